//! The conformance scenarios about documents: erasing, and pages that rest on what does not count
//! (C4, C5).

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::replica::effect::{PostState, Row};
use cairn_crdt::replica::input::{Command, CutChoice};

use crate::community::Community;
use crate::relay::{gossip, stored, tip};
use crate::scenarios_joining::appoint;

fn agreement(text: &str) -> Command {
    Command::SetAgreement { name: "Thursday circle".to_owned(), text: text.to_owned() }
}

/// The words of the agreement as a person sees them.
fn page(c: &Community, who: usize) -> Option<String> {
    c.people[who].store.rows.values().find_map(|row| match row {
        Row::Agreement { text, .. } => Some(text.clone()),
        _ => None,
    })
}

#[test]
fn scenario_41_an_erased_payload_that_comes_late_is_dropped_and_a_voided_erasure_is_undone() {
    let mut c = Community::with_members(109, 3);
    appoint(&mut c, 1, Rank::Moderator);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(2);
    let post = c.post(1, thread, "too much");
    let created = c.people[1].replica.created(&post).unwrap();
    let with_words = stored(&c, 1, created);
    c.settle();
    c.ask(1, Command::Erase { document: post }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    // Late, to one who had it and to one who never saw it.
    c.connect(0, 2);
    c.settle();
    for to in [0, 2] {
        gossip(&mut c, to, 1, with_words.clone());
        let kept = &c.people[to].store.entries[&created];
        assert!(kept.payload.is_none() && !c.reads(to, "too much"), "{to}");
    }
    // The erasure before the words: the erasing log comes first, the erased one after.
    c.unplug(2);
    let other = c.post(2, thread, "not for all");
    let created = c.people[2].replica.created(&other).unwrap();
    let with_words = stored(&c, 2, created);
    c.ask(2, Command::Erase { document: other }).unwrap_or_else(|why| panic!("{why}"));
    let erasure = stored(&c, 2, tip(&c, 2).1);
    gossip(&mut c, 0, 2, erasure);
    gossip(&mut c, 0, 2, with_words);
    assert!(!c.reads(0, "not for all"));
    assert!(c.people[0].store.entries[&created].payload.is_none());
    // By a moderator who is removed from the start: hidden, and then there again.
    c.connect(0, 2);
    c.settle();
    let third = c.post(2, thread, "fair words");
    c.settle();
    c.ask(1, Command::Erase { document: third }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    let state = |c: &Community, who: usize| {
        c.people[who].store.posts().iter().find(|row| row.document == third).unwrap().state
    };
    assert!(matches!((state(&c, 0), state(&c, 2)), (PostState::Hidden(_), PostState::Hidden(_))));
    c.remove(0, 1, CutChoice::FromStart);
    c.settle();
    assert_eq!((state(&c, 0), state(&c, 2)), (PostState::Shown, PostState::Shown));
    assert!(c.reads(0, "fair words") && c.reads(2, "fair words"));
}

#[test]
fn scenario_48_two_histories_of_one_device_give_all_the_same_page() {
    let mut c = Community::with_members(110, 4);
    appoint(&mut c, 3, Rank::Steward);
    assert!(c.ask(3, agreement("Be kind.\n")).is_ok());
    c.settle();
    c.unplug(3);
    let copy = c.copy(3);
    assert!(c.ask(3, agreement("Be kind.\nListen.\n")).is_ok());
    assert!(c.ask(copy, agreement("We meet on Thursdays.\nBe kind.\n")).is_ok());
    // One hears the one history first, another the other.
    c.unplug(1);
    c.unplug(2);
    c.hand_over(3, 1);
    c.hand_over(copy, 1);
    c.hand_over(copy, 2);
    c.hand_over(3, 2);
    c.connect(1, 2);
    c.settle();
    c.assert_same(&[1, 2]);
    assert_eq!(page(&c, 1), page(&c, 2));
    assert_eq!(page(&c, 1).as_deref(), Some("Be kind.\n"), "neither branch before a pin");
    let device = c.people[3].replica.device();
    assert!(c.people[1].replica.authority().forks().contains_key(&device));
}

#[test]
fn scenario_49_an_honest_edit_stands_on_a_void_one() {
    let mut c = Community::with_members(111, 4);
    appoint(&mut c, 1, Rank::Steward);
    appoint(&mut c, 2, Rank::Steward);
    assert!(c.ask(0, agreement("Be kind.\n")).is_ok());
    c.settle();
    assert!(c.ask(1, agreement("Be kind.\nListen.\n")).is_ok());
    c.settle();
    assert!(c.ask(2, agreement("Be kind.\nListen.\nNo advice unasked.\n")).is_ok());
    c.settle();
    // Another page of the same who is removed, on which nobody built.
    let thread = c.thread(1, "Alone", "on this nobody built");
    c.settle();
    c.remove(0, 1, CutChoice::FromStart);
    c.settle();
    c.settle();
    for who in [0, 2, 3] {
        assert!(page(&c, who).unwrap().contains("No advice unasked."), "{who}");
        assert!(!c.reads(who, "on this nobody built"));
    }
    assert!(c.people[0].store.posts().iter().all(|row| row.document != thread));
    c.assert_same(&[0, 2, 3]);
}
