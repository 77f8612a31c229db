//! What an author is told of where a post has come (S6), and what a crash leaves to be done (S4).

use cairn_crdt::id::{DocumentId, EntryId};
use cairn_crdt::replica::input::Command;

use crate::community::Community;

/// Members other than `who` that hold a post, as far as `who` knows.
fn reached(c: &Community, who: usize, post: &DocumentId) -> usize {
    let entry = c.people[who].replica.created(post).unwrap();
    c.people[who].replica.reach(&entry).members
}

/// Takes the payload of an entry out of a person's store, as if it had never come.
fn lose(c: &mut Community, who: usize, entry: &EntryId) {
    let kept = c.people[who].store.entries.get_mut(entry).unwrap();
    (kept.payload, kept.document, kept.envelope) = (None, None, None);
    c.restart(who);
}

#[test]
fn s6_an_author_sees_to_how_many_a_post_has_come() {
    let mut c = Community::with_members(24, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(2);
    let post = c.post(0, thread, "is anyone there");
    let entry = c.people[0].replica.created(&post).unwrap();
    let reach = c.people[0].replica.reach(&entry);
    assert_eq!((reach.members, reach.of), (0, 2));
    c.settle();
    assert_eq!(c.people[0].replica.reach(&entry).members, 1);
    c.connect(0, 2);
    c.settle();
    assert_eq!(c.people[0].replica.reach(&entry).members, 2);
}

#[test]
fn s6_a_header_without_its_words_has_reached_nobody() {
    let mut c = Community::with_members(27, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(2);
    c.connect(0, 1);
    let withheld = c.post(1, thread, "the words that are lacking");
    c.settle();
    let entry = c.people[0].replica.created(&withheld).unwrap();
    c.unplug(1);
    lose(&mut c, 0, &entry);

    // Two synchronise who both lack the words of someone who is away.
    let later = c.post(0, thread, "is anyone there");
    c.connect(0, 2);
    c.pass(600_000);
    assert_eq!(c.people[2].replica.missing(), 1);
    assert_eq!(reached(&c, 0, &later), 1, "what one withholds holds up nobody else");
    let of_withheld = c.people[0].replica.reach(&entry);
    assert_eq!(of_withheld.members, 1, "its author alone");

    c.connect(0, 1);
    c.connect(1, 2);
    c.pass(600_000);
    assert_eq!(c.people[2].replica.missing(), 0);
    assert_eq!(reached(&c, 0, &withheld), 2);
    assert_eq!(reached(&c, 0, &later), 2);
}

#[test]
fn s4_what_was_being_built_when_a_node_died_is_built_when_it_is_back() {
    let mut c = Community::with_members(28, 2);
    let thread = c.thread(0, "Evening", "hello");
    let post = c.post(0, thread, "before");
    c.settle();
    c.dying.insert(1);
    let text = "after".to_owned();
    assert!(c.ask(0, Command::Edit { document: post, text }).is_ok());
    c.settle();
    assert!(c.reads(1, "before"), "the store was not asked in time");
    c.restart(1);
    assert!(c.reads(1, "after") && !c.reads(1, "before"));
    assert!(c.people[1].store.stale.is_empty());
}
