//! Writing while apart (S1–S4, C4).

use cairn_tests::circle::{gather, until_equal};
use cairn_tests::patience::until;
use cairn_tests::person::Person;
use cairn_tests::place::Place;

#[test]
fn s3_what_both_sides_wrote_while_apart_comes_together() {
    let place = Place::new();
    let [ana, mut ben, cleo] = Person::settle(&place, ["ana", "ben", "cleo"]);
    let group = gather(&ana, &[&ben, &cleo]);
    let thread = ana.start(&group, "Evenings", "How was your day?");
    let question = until("ben reads the question", || {
        ben.view(&group).into_iter().find(|(_, post)| post.thread == thread).map(|(id, _)| id)
    });

    ben.depart();
    // No node runs for ben: his store alone takes what he writes.
    let mut written = vec![ben.post(&group, &thread, "Long. I went up to the hut, no signal.")];
    drop(ben.ask(&["respond", &group, &question, "same"]));
    let alone = ben.start(&group, "From the hut", "Snow, and a stove.");
    for (body, person) in [("Mine was quiet.", &ana), ("We miss ben tonight.", &cleo)] {
        written.push(person.post(&group, &thread, body));
    }
    drop(ana.ask(&["respond", &group, &question, "hear"]));
    let apart = until_equal(&group, &[&ana, &cleo]);
    assert!(!ana.view(&group).contains_key(&written[0]), "what was written apart is still apart");
    assert_ne!(ben.standing(&group)["digest"], apart.as_str());

    ben.arrive();
    until_equal(&group, &[&ana, &ben, &cleo]);
    let view = ana.view(&group);
    assert_eq!(ben.view(&group), view);
    assert_eq!(cleo.view(&group), view);
    assert!(written.iter().all(|post| view.contains_key(post)));
    assert!(view.values().any(|post| post.thread == alone && post.body == "Snow, and a stove."));
    assert_eq!(view.len(), 5);

    let words = |person: &Person| {
        let page = person.ask(&["read", &group, &thread]);
        let posts = page["posts"].as_array().unwrap();
        let post = posts.iter().find(|post| post["post"] == question.as_str()).unwrap();
        let mut words: Vec<_> = post["responses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|response| (response["pseudonym"].to_string(), response["word"].to_string()))
            .collect();
        words.sort();
        words
    };
    assert_eq!(words(&ana).len(), 2);
    assert_eq!(words(&ana), words(&ben));
}
