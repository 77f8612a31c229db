//! A moderator who is one no more (A4, A5: the cut of a `replace`).

use cairn_tests::circle::{GROUP, gather, string, until_equal};
use cairn_tests::patience::until;
use cairn_tests::person::Person;
use cairn_tests::place::Place;

#[test]
fn a4_what_a_moderator_granted_before_a_demotion_stands_and_what_came_later_does_not() {
    let place = Place::new();
    let [mut ana, mut mo, ben, pia, quinn] =
        Person::settle(&place, ["ana", "mo", "ben", "pia", "quinn"]);
    let group = gather(&ana, &[&mo, &ben]);
    drop(ana.ask(&["grant", &group, "mo", "moderator"]));
    until("mo's node knows that mo is a moderator", || {
        (mo.ranks(&group)["mo"] == "moderator").then_some(())
    });

    // As a moderator, mo admits pia and hides a post. Quinn has asked too, and waits.
    drop(pia.join(&mo.invite(&group, 1)));
    mo.admit(&group, 1);
    pia.until_state(&group, "member");
    let thread = ben.start(&group, GROUP, "To the point.");
    let (first, second) =
        (ben.post(&group, &thread, "Unkind words."), ben.post(&group, &thread, "Kind words."));
    mo.until_read(&group, &second);
    drop(mo.ask(&["hide", &group, &first, "--rule", "kindness", "--reason", "It hurts."]));
    drop(quinn.join(&mo.invite(&group, 1)));
    let request = until("quinn's request reaches mo", || {
        mo.ask(&["requests", &group]).as_array().unwrap().first().cloned()
    });
    until_equal(&group, &[&ana, &mo, &ben, &pia]);

    // Mo is away when ana makes mo a member like the others; not knowing, mo goes on as before.
    mo.depart();
    let demotion = string(&ana.ask(&["grant", &group, "mo", "member"]), "entry");
    until_equal(&group, &[&ana, &ben, &pia]);
    let admitted = mo.ask(&["admit", &group, &string(&request, "request")]);
    let lowered = string(&mo.ask(&["grant", &group, "ben", "reader"]), "entry");
    drop(mo.ask(&["hide", &group, &second, "--rule", "kindness", "--reason", "Out of order."]));
    assert_eq!(mo.ranks(&group)["ben"], "reader", "mo's own node does not know better yet");

    mo.arrive();
    until_equal(&group, &[&ana, &mo, &ben, &pia]);
    for person in [&ana, &mo, &ben, &pia] {
        let ranks = person.ranks(&group);
        let rank = |name: &str| ranks.get(name).map(String::as_str);
        assert_eq!(rank("mo"), Some("member"), "on {}'s node", person.name);
        assert_eq!(rank("pia"), Some("member"), "the earlier grant stands for {}", person.name);
        assert_eq!(rank("ben"), Some("member"), "the later grant is void for {}", person.name);
        assert_eq!(ranks.len(), 4, "the later admission is void for {}", person.name);
        let view = person.view(&group);
        if person.name != "pia" {
            assert_eq!(view[&first].state, "hidden", "for {}", person.name);
        }
        assert_eq!(view[&second].state, "shown", "for {}", person.name);
        let why = person.ask(&["explain", &group, &lowered]);
        assert_eq!((&why["counts"], &why["rule"]), (&false.into(), &"A4".into()), "{why}");
        assert_eq!(why["entry"], demotion.as_str());
    }
    let why = ana.ask(&["explain", &group, &string(&admitted, "member")]);
    assert_eq!(why["counts"], false, "{why}");
    assert_ne!(quinn.state(&group).as_deref(), Some("member"));

    // Pia is as good a member as any: what pia writes counts for everyone.
    let post = pia.post(&group, &thread, "Glad to be here still.");
    for person in [&ana, &mo, &ben] {
        person.until_read(&group, &post);
    }
    ana.depart();
}
