//! What simulated worlds have shown to go wrong where members meet at a keeper only (M2, M4, C5).

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::List;
use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::input::{Command, CutChoice, Input, Load};

use crate::community::Community;
use crate::keepers::{apart, view};

/// Somebody joins with a code of person 0, through the keeper alone.
fn join(c: &mut Community) -> usize {
    let mut invitation = c.invite(0, Rank::Member, 1, true);
    invitation.contacts = List::default();
    c.pass(10_000);
    let newcomer = c.join(invitation);
    c.pass(20_000);
    assert_eq!(c.people[newcomer].replica.state(), ReplicaState::Member);
    newcomer
}

fn places(c: &Community, keeper: TransportKey) -> u64 {
    c.keepers[&keeper].one().newest
}

#[test]
fn m2_two_moderators_who_know_different_things_do_not_shut_each_other_out() {
    let (mut c, keeper) = apart(201, 5);
    let member = c.member(1);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    let before = c.keepers[&keeper].one().generations.len();
    c.hang_up(keeper);
    c.remove(0, 2, CutChoice::FromTip);
    c.remove(1, 3, CutChoice::FromTip);
    c.call(keeper, &[0, 1, 4]);
    c.settle();
    c.settle();
    c.assert_same(&[0, 1, 4]);
    let begun = c.keepers[&keeper].one().generations.len() - before;
    assert!((1..=4).contains(&begun), "{begun} generations");
    c.thread(4, "Evening", "is it quiet again");
    c.settle();
    assert!(c.reads(0, "is it quiet again") && c.reads(1, "is it quiet again"));
}

#[test]
fn m2_what_is_put_just_after_somebody_came_can_be_opened_by_everyone() {
    let (mut c, _) = apart(202, 3);
    let newcomer = join(&mut c);
    c.thread(1, "Evening", "a new face");
    c.pass(20_000);
    assert!(c.reads(0, "a new face") && c.reads(2, "a new face"));
    assert!(c.reads(newcomer, "a new face"));
}

#[test]
fn c5_what_is_erased_is_replaced_at_a_keeper_once() {
    let (mut c, keeper) = apart(203, 2);
    let thread = c.thread(0, "Regret", "first words");
    let document = c.post(0, thread, "said too much");
    c.settle();
    c.ask(0, Command::Erase { document }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    let before = places(&c, keeper);
    // The store answers a second time: the document had been asked for twice.
    let load = Load::Document(document);
    let entries = c.people[1].store.load(&load);
    c.inputs.push_back((1, Input::Loaded { load, entries }));
    c.run();
    c.settle();
    assert_eq!(places(&c, keeper), before, "nothing is put again");
    assert_eq!(view(&c, 1).misconduct, None);
}

#[test]
fn m4_a_newcomer_does_not_miss_what_was_erased_before_it_came() {
    let (mut c, _) = apart(204, 3);
    let thread = c.thread(0, "Evening", "hello");
    let document = c.post(1, thread, "said too much");
    c.pass(100_000);
    c.ask(1, Command::Erase { document }).unwrap_or_else(|why| panic!("{why}"));
    let newcomer = join(&mut c);
    c.settle();
    assert_eq!(view(&c, newcomer).misconduct, None);
    c.assert_same(&[0, 1, 2, newcomer]);
}
