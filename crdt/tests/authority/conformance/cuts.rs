//! How far the removed count: cuts, heads that are missing, competing words, devices (A4, A5, A8).

use cairn_crdt::authority::Rule;
use cairn_crdt::capability::rank::Rank::{Member, Moderator, Steward};
use cairn_crdt::codec;
use cairn_crdt::crypto::domain;
use cairn_crdt::id::EntryId;
use cairn_crdt::identity::device::Unlink;
use cairn_crdt::log::entry::Control;
use cairn_crdt::log::set::{EntryRefused, LogSet};

use crate::people::{FAY, device, key, member};
use crate::scenarios::with;

#[test]
fn scenario_04_what_was_granted_up_to_the_cut_stays_and_after_it_is_dead() {
    let (mut group, ann) = with(Moderator);
    let early = group.grant("ann", ann, "bo", Member);
    let late = group.grant("ann", ann, "dan", Member);
    let removal = group.remove(FAY, group.genesis, "ann", &[("ann", early.entry())]);
    let answer = group.in_every_order();
    assert!(answer.live(early) && !answer.live(late) && !answer.live(ann));
    assert_eq!(answer.void(late.entry()), Some((Rule::A4, removal)));
}

#[test]
fn scenario_09_a_branch_that_the_removed_makes_below_the_cut_is_void() {
    let (mut group, ann) = with(Moderator);
    let first = group.post("ann", ann);
    let second = group.post("ann", ann);
    let removal = group.remove(FAY, group.genesis, "ann", &[("ann", second)]);
    group.rewind("ann", first);
    let other = group.grant("ann", ann, "dan", Member);
    let answer = group.in_every_order();
    assert!(answer.counts(first) && answer.counts(second) && !answer.live(other));
    assert_eq!(answer.void(other.entry()), Some((Rule::A4, removal)));
}

#[test]
fn scenario_10_below_a_missing_head_all_waits_and_above_it_nothing_counts() {
    let (mut group, ann) = with(Moderator);
    let first = group.post("ann", ann);
    let bo = group.grant("ann", ann, "bo", Member);
    let head = group.post("ann", ann);
    let past = group.grant("ann", ann, "dan", Member);
    group.remove(FAY, group.genesis, "ann", &[("ann", head)]);
    let mut fewer = group.clone();
    fewer.entries = group.without(&[head, past.entry()]);
    let answer = fewer.in_every_order();
    assert!(answer.parked(first) && answer.parked(bo.entry()) && !answer.live(bo));
    let answer = group.in_every_order();
    assert!(answer.counts(first) && answer.live(bo) && answer.counts(head));
    assert!(!answer.live(past) && answer.void(past.entry()).is_some());
}

#[test]
fn scenario_13_a_removal_past_its_authors_cut_is_listed_and_an_extended_cut_restores_it() {
    let (mut group, ann) = with(Moderator);
    let eve = group.grant(FAY, group.genesis, "eve", Member);
    let last = group.post("ann", ann);
    let removal = group.remove("ann", ann, "eve", &[]);
    group.remove(FAY, group.genesis, "ann", &[("ann", last)]);
    let answer = group.in_every_order();
    assert!(answer.live(eve) && answer.authority.orphaned().contains(&removal));
    group.remove(FAY, group.genesis, "ann", &[("ann", removal)]);
    let answer = group.in_every_order();
    assert!(!answer.live(eve) && answer.authority.orphaned().is_empty());
}

#[test]
fn scenario_14_two_stewards_cuts_leave_what_both_do_and_the_founders_decides() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant(FAY, group.genesis, "bo", Steward);
    let mo = group.grant(FAY, group.genesis, "mo", Moderator);
    let posts: Vec<EntryId> = (0..3).map(|_| group.post("mo", mo)).collect();
    group.remove("ann", ann, "mo", &[("mo", posts[0])]);
    group.remove("bo", bo, "mo", &[("mo", posts[1])]);
    let answer = group.in_every_order();
    assert_eq!(posts.iter().filter(|post| answer.counts(**post)).count(), 1);
    group.remove(FAY, group.genesis, "mo", &[("mo", posts[1])]);
    let answer = group.in_every_order();
    assert_eq!(posts.iter().filter(|post| answer.counts(**post)).count(), 2);
}

#[test]
fn scenario_15_two_cuts_on_different_branches_leave_what_they_share_and_show_the_fork() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant(FAY, group.genesis, "bo", Steward);
    let mo = group.grant(FAY, group.genesis, "mo", Moderator);
    let shared = group.post("mo", mo);
    let left = group.post("mo", mo);
    group.rewind("mo", shared);
    let right = group.post("mo", mo);
    group.remove("ann", ann, "mo", &[("mo", left)]);
    group.remove("bo", bo, "mo", &[("mo", right)]);
    let answer = group.in_every_order();
    assert!(answer.counts(shared) && !answer.counts(left) && !answer.counts(right));
    let seq = group.place(left).0;
    assert_eq!(answer.authority.forks()[&device("mo")], [(seq, left), (seq, right)].into());
}

#[test]
fn scenario_20_a_device_that_the_remover_did_not_know_counts_for_nothing() {
    let (mut group, ann) = with(Moderator);
    let known = group.post("ann", ann);
    let dan = group.grant("ann/2", ann, "dan", Member);
    let removal = group.remove(FAY, group.genesis, "ann", &[("ann", known)]);
    let answer = group.in_every_order();
    assert!(answer.counts(known) && !answer.live(dan));
    assert_eq!(answer.void(dan.entry()), Some((Rule::A4, removal)));
}

#[test]
fn scenario_21_a_thiefs_device_unlinks_nobody_and_is_unlinked_by_the_words() {
    let (mut group, ann) = with(Moderator);
    let before = group.post("ann", ann);
    let own = group.post("ann/2", ann);
    // The thief has the device "ann" and its key, and not the member key: whatever it signs with
    // what it has is in no set.
    let (seq, entry) = group.place(own);
    let message = codec::encode(&(group.id, device("ann/2"), seq, entry));
    let signature = key("device", "ann").sign(domain::SIGN_UNLINK, &message);
    let unlink = Unlink { member: member("ann"), device: device("ann/2"), seq, entry, signature };
    let mut stolen = group.clone();
    stolen.say("ann", ann, &Control::Unlink(unlink));
    let mut set = LogSet::new(group.id);
    let last = stolen.entries.pop().unwrap();
    stolen.entries.iter().for_each(|entry| drop(set.insert(entry).unwrap()));
    assert_eq!(set.insert(&last), Err(EntryRefused::BadInnerSignature));
    assert!(group.in_every_order().counts(own));
    // The words do it, from the other device.
    let theft = group.grant("ann", ann, "dan", Member);
    let unlinked = group.unlink("ann/2", "ann", before);
    let answer = group.in_every_order();
    assert_eq!(answer.void(theft.entry()), Some((Rule::A8, unlinked)));
    assert!(answer.counts(before) && answer.counts(own) && answer.live(ann));
}

#[test]
fn scenario_28_a_deep_chain_falls_or_stays_with_the_cut() {
    for keeps in [false, true] {
        let (mut group, ann) = with(Steward);
        let bo = group.grant("ann", ann, "bo", Moderator);
        let cleo = group.grant("bo", bo, "cleo", Member);
        let cut = [("ann", bo.entry())];
        group.remove(FAY, group.genesis, "ann", if keeps { &cut } else { &[] });
        let answer = group.in_every_order();
        assert_eq!((answer.live(bo), answer.live(cleo)), (keeps, keeps));
        assert!(!answer.live(ann));
    }
}
