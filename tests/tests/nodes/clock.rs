//! A machine whose clock is far off (A11, C6): nothing is lost or stops, and `doctor` says it.
//!
//! A test cannot set the machine's clock. The driver is told what time it is, so here the store of
//! a real home is opened by a driver that is told wrongly, and by real nodes that are not.

use cairn_crdt::time::Timestamp;
use cairn_node::api::command::{Answer, ApiError, Request};
use cairn_node::clock;
use cairn_node::driver::Driver;
use cairn_node::driver::incoming::Incoming;
use cairn_node::storage::Home;
use cairn_tests::circle::{gather, until_equal};
use cairn_tests::person::Person;
use cairn_tests::place::{PASSPHRASE, Place};
use tokio::sync::oneshot;

const YEAR: u64 = 365 * 24 * 3600 * 1000;

/// Asks the store of a person whose machine shows this time.
fn ask(person: &Person, now: Timestamp, request: Request) -> Result<Answer, ApiError> {
    let store = Home::open(&person.home).unwrap().unlock(PASSPHRASE).unwrap();
    let rng = clock::randomness().unwrap();
    let mut driver = Driver::open(now, person.home.clone(), Box::new(store), rng, None)?;
    let (answer, mut answered) = oneshot::channel();
    driver.handle(now, Incoming::Ask { request, answer });
    driver.finish(now);
    answered.try_recv().unwrap()
}

/// What `doctor` says of the clock: whether it is in order, and in which words.
fn of_clock(checks: &Answer) -> (bool, String) {
    let check = checks.as_array().unwrap().iter().find(|check| check["check"] == "clock").unwrap();
    (check["ok"] == true, format!("{} {}", check["words"], check["hint"]))
}

#[test]
fn c6_a_clock_that_is_far_off_loses_nothing_and_is_named() {
    let place = Place::new();
    let [ana, mut ben] = Person::settle(&place, ["ana", "ben"]);
    let group = gather(&ana, &[&ben]);
    let thread = ana.start(&group, "Evenings", "How was your day?");
    until_equal(&group, &[&ana, &ben]);
    ben.depart();

    // The battery of ben's clock is empty: it shows 1970. Then it is set, a year too far.
    let far = Timestamp::from_millis(clock::now().as_millis() + YEAR);
    for (now, body) in [(Timestamp::from_millis(0), "In 1970."), (far, "In a year.")] {
        let (ok, words) = of_clock(&ask(&ben, now, Request::Doctor).unwrap());
        assert!(ok == (now == far), "{words}");
        assert!(ok || words.contains("Set the clock"), "{words}");
        let post = Request::Post {
            group: group.clone(),
            thread: thread.clone(),
            reply_to: None,
            body: body.to_owned(),
            note: None,
            wants: None,
        };
        assert!(ask(&ben, now, post).unwrap()["post"].is_string());
    }

    // Back in the present: everything ben wrote is there, reaches ana, and counts.
    ben.arrive();
    until_equal(&group, &[&ana, &ben]);
    let bodies = |person: &Person| {
        let mut bodies: Vec<_> =
            person.view(&group).into_values().map(|post| post.body).collect();
        bodies.sort();
        bodies
    };
    assert_eq!(bodies(&ana), ["How was your day?", "In 1970.", "In a year."]);
    assert_eq!(bodies(&ben), bodies(&ana));
    // Ben's machine is told, as long as that shows. Ana's takes no claim far beyond its own time.
    for (person, in_order) in [(&ana, true), (&ben, false)] {
        let checks = person.run(&["doctor", "--json"], "");
        let (ok, words) = of_clock(&serde_json::from_str(&checks.stdout).unwrap());
        assert_eq!(ok, in_order, "{}: {words}", person.name);
        assert!(ok || words.contains("more than an hour from now"), "{words}");
        assert_eq!(checks.code, Some(i32::from(!in_order)));
    }
    let after = ana.post(&group, &thread, "Still the same evening.");
    ben.until_read(&group, &after);
}
