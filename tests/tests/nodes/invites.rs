//! Codes that do not let anybody in (J1, J2): each is said in a sentence.

use std::time::Duration;

use cairn_tests::circle::string;
use cairn_tests::patience::until;
use cairn_tests::person::Person;
use cairn_tests::place::Place;
use cairn_tests::relay::{tcp, with_addresses};

#[test]
fn j2_a_code_that_is_used_up_or_expired_admits_nobody() {
    let place = Place::new();
    let [ana, ben, cleo, dan] = Person::settle(&place, ["ana", "ben", "cleo", "dan"]);
    let group = string(&ana.ask(&["group", "create", "Quiet hour", "--as", "ana"]), "group");

    // One use, two people who ask before anybody is admitted: the first is, the second is not.
    let code = ana.invite(&group, 1);
    for person in [&ben, &cleo] {
        assert_eq!(person.join(&code)["state"], "waiting");
    }
    let requests = until("both requests reach ana", || {
        let requests = ana.ask(&["requests", &group]);
        (requests.as_array().unwrap().len() == 2).then_some(requests)
    });
    let request = |name: &str| {
        let mut all = requests.as_array().unwrap().iter();
        string(all.find(|request| request["pseudonym"] == name).unwrap(), "request")
    };
    drop(ana.ask(&["admit", &group, &request("ben")]));
    ben.until_state(&group, "member");
    let refused = ana.run(&["admit", &group, &request("cleo")], "");
    assert!(refused.refusal().contains("used up"), "{refused:?}");
    assert_eq!(ana.ranks(&group).len(), 2);

    // Whoever comes now is told at once, and no request is left behind.
    let refused = dan.run(&["join", &code, "--as", "dan"], "");
    let said = refused.refusal();
    assert!(said.contains("used up") && said.contains("Hint: "), "{said}");
    assert_eq!(dan.state(&group).as_deref(), Some("declined"));

    // An expired one. The second has to pass; nothing depends on how long it really was.
    let short = string(&ana.ask(&["invite", &group, "--expires", "1s"]), "code");
    std::thread::sleep(Duration::from_millis(1100));
    let refused = dan.run(&["join", &short, "--as", "dan"], "");
    let said = refused.refusal();
    assert!(said.contains("expired") && said.contains("Hint: "), "{said}");
    assert_eq!(ana.ranks(&group).len(), 2);

    // A fresh code lets the same person in.
    assert_eq!(dan.join(&ana.invite(&group, 1))["state"], "waiting");
    until("dan's request reaches ana", || {
        let requests = ana.ask(&["requests", &group]);
        let mut requests = requests.as_array().unwrap().iter();
        requests.find(|request| request["pseudonym"] == "dan").cloned()
    });
}

#[test]
fn j1_a_malformed_code_is_named_and_an_unreachable_address_is_waited_for() {
    let place = Place::new();
    let [mut ana, mut ben] = Person::settle(&place, ["ana", "ben"]);
    let group = string(&ana.ask(&["group", "create", "Quiet hour", "--as", "ana"]), "group");
    let code = ana.invite(&group, 1);

    let other = ben.run(&["join", "https://example.org/join", "--as", "ben"], "");
    assert!(other.refusal().contains("not an invitation code"), "{other:?}");
    let cut: String = code.chars().take(code.len() - 9).collect();
    let damaged = ben.run(&["join", &cut, "--as", "ben"], "");
    let said = damaged.refusal();
    assert!(said.contains("damaged") && said.contains("Hint: "), "{said}");
    assert_eq!(ben.ask(&["group", "list"]), serde_json::json!([]), "nothing was begun");

    // Nobody answers at port 1. That is no error of the person: the node goes on trying.
    let nowhere = with_addresses(&code, &[tcp(1)]);
    let ran = ben.run(&["join", &nowhere, "--as", "ben", "--json"], "");
    assert_eq!(ran.json()["state"], "waiting");
    assert!(ran.stderr.contains("Nobody of the group was reached yet."), "{ran:?}");
    assert_eq!(ben.state(&group).as_deref(), Some("waiting"));

    // The same group by a code with a good address: the person is let in, without a second store.
    ben.depart();
    ben.arrive();
    assert_eq!(ben.state(&group).as_deref(), Some("waiting"), "the request outlives the node");
    drop(ben.join(&code));
    ana.admit(&group, 1);
    ben.until_state(&group, "member");
    ana.depart();
}
