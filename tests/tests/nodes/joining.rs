//! Joining with approval (J1–J3).

use cairn_tests::circle::{GROUP, string, until_equal};
use cairn_tests::patience::until;
use cairn_tests::person::{Person, text};
use cairn_tests::place::Place;

#[test]
fn j2_a_newcomer_waits_until_a_person_admits_them() {
    let place = Place::new();
    let [ana, ben] = Person::settle(&place, ["ana", "ben"]);
    let founded = ana.ask(&["group", "create", GROUP, "--as", "ana"]);
    let group = string(&founded, "group");
    let before = ana.start(&group, "Before", "Said before ben was here.");
    let code = ana.invite(&group, 1);

    let words = ben.file("words", "I sleep badly and would like company.\n".as_bytes());
    let joined = ben.ask(&["join", &code, "--as", "ben", "--words-file", text(&words)]);
    assert_eq!(joined["state"], "waiting");
    assert!(ben.run(&["threads", &group], "").refusal().contains("not a member of this group yet"));

    let request = until("the request reaches ana", || {
        ana.ask(&["requests", &group]).as_array().unwrap().first().cloned()
    });
    assert_eq!(request["pseudonym"], "ben");
    assert_eq!(request["introduction"], "I sleep badly and would like company.");
    assert_eq!(ana.ranks(&group).len(), 1, "nobody is a member for having asked");
    assert_eq!(ben.state(&group).as_deref(), Some("waiting"));

    drop(ana.ask(&["admit", &group, &string(&request, "request")]));
    assert_eq!(ana.ask(&["requests", &group]), serde_json::json!([]));
    ben.until_state(&group, "member");
    let thread = ana.start(&group, "After", "Good evening, ben.");
    until_equal(&group, &[&ana, &ben]);
    assert_eq!(ben.ranks(&group)["ben"], "member");

    // K6: with the usual history, newcomers open what is written from their admission on.
    let read = ben.view(&group);
    assert_eq!(read.values().map(|post| post.body.as_str()).collect::<Vec<_>>(), [
        "Good evening, ben."
    ]);
    assert!(!read.values().any(|post| post.thread == before));
    let answer = ben.post(&group, &thread, "Good evening, all.");
    ana.until_read(&group, &answer);
}

#[test]
fn j3_who_is_declined_learns_it_and_reads_nothing() {
    let place = Place::new();
    let [ana, ben] = Person::settle(&place, ["ana", "ben"]);
    let founded = ana.ask(&["group", "create", GROUP, "--as", "ana"]);
    let group = string(&founded, "group");
    drop(ana.start(&group, "Ours", "Among us."));
    drop(ben.join(&ana.invite(&group, 1)));
    let request = until("the request reaches ana", || {
        ana.ask(&["requests", &group]).as_array().unwrap().first().cloned()
    });
    drop(ana.ask(&["decline", &group, &string(&request, "request")]));
    ben.until_state(&group, "declined");
    assert!(ben.run(&["threads", &group], "").refusal().contains("declined"));
    assert_eq!(ana.ranks(&group).len(), 1);
}
