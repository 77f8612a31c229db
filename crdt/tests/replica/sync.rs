//! Writing apart and coming together (S2, S4, S6, C4).

use cairn_crdt::replica::effect::Reply;
use cairn_crdt::replica::input::{Command, ImportedPost};
use cairn_crdt::time::{DAY_MILLIS, Timestamp};

use crate::community::Community;

#[test]
fn s2_two_who_wrote_apart_hold_the_same_after_they_meet() {
    let mut c = Community::with_members(20, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(2);
    for n in 0..5 {
        c.post(1, thread, &format!("from one, {n}"));
        c.post(2, thread, &format!("from two, {n}"));
    }
    c.connect(1, 2);
    c.settle();
    c.connect(0, 2);
    c.settle();
    c.assert_same(&[0, 1, 2]);
    assert!(c.reads(0, "from two, 4") && c.reads(2, "from one, 4"));
}

#[test]
fn s2_peers_that_are_equal_exchange_a_constant_number_of_bytes() {
    let mut c = Community::with_members(21, 2);
    let thread = c.thread(0, "Evening", "hello");
    let quiet = |c: &mut Community| {
        // Until the receipts of what was written have gone round (S6).
        c.pass(600_000);
        let before = c.bytes;
        c.settle();
        c.bytes - before
    };
    let few = quiet(&mut c);
    for n in 0..40 {
        c.post(1, thread, &format!("{n}"));
    }
    assert_eq!(quiet(&mut c), few);
}

#[test]
fn s2_a_large_gap_comes_headers_first_and_is_complete() {
    let mut c = Community::with_members(22, 2);
    c.unplug(1);
    let posts = (0..700)
        .map(|n| ImportedPost {
            thread: "Old forum".to_owned(),
            reply_to: None,
            author: "speaker".to_owned(),
            at: Timestamp::from_millis(n),
            text: format!("line {n}"),
        })
        .collect();
    assert!(matches!(c.ask(0, Command::Import { posts }), Ok(Reply::Documents(_))));
    c.connect(0, 1);
    c.settle();
    c.assert_same(&[0, 1]);
    assert!(c.reads(1, "line 0") && c.reads(1, "line 699"));
}

#[test]
fn s4_a_replica_that_is_restarted_is_what_it_was() {
    let mut c = Community::with_members(23, 3);
    let thread = c.thread(0, "Evening", "hello");
    let post = c.post(0, thread, "before");
    c.settle();
    let digest = c.people[1].replica.digest();
    let authority = c.people[1].replica.authority().digest();
    c.restart(1);
    assert_eq!(c.people[1].replica.digest(), digest);
    assert_eq!(c.people[1].replica.authority().digest(), authority);
    c.connect(0, 1);
    c.post(1, thread, "after");
    c.restart(0);
    c.connect(0, 1);
    let text = "before, edited".to_owned();
    assert!(c.ask(0, Command::Edit { document: post, text }).is_ok());
    c.settle();
    c.connect(0, 2);
    c.settle();
    c.assert_same(&[0, 1, 2]);
    assert!(c.reads(0, "after") && c.reads(2, "before, edited"));
}

#[test]
fn s3_gossip_crosses_a_line_of_members() {
    let mut c = Community::with_members(25, 4);
    c.unplug(0);
    c.connect(1, 2);
    c.connect(2, 3);
    c.settle();
    let thread = c.thread(1, "A line", "one");
    c.run();
    assert!(c.reads(3, "one"), "without waiting for a synchronisation");
    c.post(3, thread, "three");
    assert!(c.reads(1, "three"));
}

#[test]
fn c4_two_stewards_who_edit_the_agreement_at_once_lose_nothing() {
    let mut c = Community::with_members(26, 2);
    let member = c.member(1);
    let steward = Command::Grant { member, rank: cairn_crdt::capability::rank::Rank::Steward };
    assert!(c.ask(0, steward).is_ok());
    let set = |text: &str| Command::SetAgreement {
        name: "Thursday circle".to_owned(),
        text: text.to_owned(),
    };
    assert!(c.ask(0, set("Be kind.\n")).is_ok());
    c.settle();
    c.unplug(1);
    assert!(c.ask(0, set("Be kind.\nListen.\n")).is_ok());
    assert!(c.ask(1, set("We meet on Thursdays.\nBe kind.\n")).is_ok());
    c.connect(0, 1);
    c.settle();
    c.assert_same(&[0, 1]);
    let text = |who: usize| {
        c.people[who].store.rows.values().find_map(|row| match row {
            cairn_crdt::replica::effect::Row::Agreement { text, .. } => Some(text.clone()),
            _ => None,
        })
    };
    assert_eq!(text(0), text(1));
    let text = text(0).unwrap();
    assert!(text.contains("Listen") && text.contains("Thursdays"), "{text}");
}

#[test]
fn s1_a_clock_that_is_set_back_a_day_keeps_nobody_from_synchronising() {
    let mut c = Community::with_members(41, 2);
    // Gossip does not come through: it is for the next stream to bring what was written.
    c.people[1].members.clear();
    c.thread(0, "Ahead", "of my time");
    c.set_clock_back(DAY_MILLIS);
    c.pass(60_000);
    assert!(c.reads(1, "of my time"));
}
