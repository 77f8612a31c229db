//! Forked logs and pins (A6, A7, I2).

use cairn_crdt::authority::Rule;
use cairn_crdt::capability::rank::Rank::{Member, Moderator, Steward};
use cairn_crdt::id::GrantId;

use crate::people::{FAY, device, granting, member};
use crate::scenarios::with;

#[test]
fn a7_a_fork_suspends_from_where_it_begins_and_denials_stand() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    let eve = group.grant(FAY, group.genesis, "eve", Member);
    let before = group.post("ann", ann);
    let removal = group.remove("ann", ann, "eve", &[]);
    let dan = group.grant("ann", ann, "dan", Member);
    let sibling = {
        group.rewind("ann", before);
        group.post("ann", ann)
    };
    let answer = group.answer();
    assert!(answer.live(bo) && answer.counts(before));
    assert!(answer.suspended(removal) && answer.suspended(sibling));
    assert!(!answer.live(dan) && !answer.live(eve));
    assert!(answer.live(ann), "the fork ends nobody");
    assert!(answer.authority.suspended_denials().contains(&removal));
    assert!(answer.authority.forks().contains_key(&device("ann")));
    // A superior heals it.
    group.pin(FAY, group.genesis, "ann", dan.entry());
    let answer = group.answer();
    assert!(answer.counts(removal) && answer.live(dan));
    assert_eq!(answer.void(sibling).map(|(rule, _)| rule), Some(Rule::A6));
}

#[test]
fn a7_grants_from_a_suspended_entry_deny_and_do_nothing_else() {
    let (mut group, ann) = with(Steward);
    let mallory = group.grant(FAY, group.genesis, "mallory", Member);
    let before = group.post("ann", ann);
    let bo = group.grant("ann", ann, "bo", Moderator);
    let removal = group.remove("bo", bo, "mallory", &[]);
    let post = group.post("bo", bo);
    group.rewind("ann", before);
    group.post("ann", ann);
    let answer = group.answer();
    assert!(!answer.live(bo) && answer.suspended(post));
    assert!(answer.suspended(removal));
    assert!(!answer.live(mallory), "who was out stays out");
}

#[test]
fn a7_of_a_suspended_replace_only_the_revocation_counts() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant(FAY, group.genesis, "bo", Moderator);
    let before = group.post("ann", ann);
    let replaced = group.replace("ann", ann, bo, &[], granting("bo", Member, &[]));
    group.rewind("ann", before);
    group.post("ann", ann);
    let answer = group.answer();
    assert!(!answer.live(bo) && !answer.live(GrantId::of(replaced)));
}

#[test]
fn a5_pins_of_different_branches_leave_what_they_share() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant(FAY, group.genesis, "bo", Steward);
    let eve = group.grant(FAY, group.genesis, "eve", Member);
    let first = group.post("eve", eve);
    let shared = group.post("eve", eve);
    let left = group.post("eve", eve);
    group.rewind("eve", shared);
    let right = group.post("eve", eve);
    group.pin("ann", ann, "eve", left);
    group.pin("bo", bo, "eve", right);
    let answer = group.answer();
    assert!(answer.counts(first) && answer.counts(shared));
    assert!(answer.suspended(left) && answer.suspended(right));
    group.pin(FAY, group.genesis, "eve", right);
    let answer = group.answer();
    assert!(answer.counts(right) && answer.void(left).is_some());
}

#[test]
fn a6_a_pin_needs_a_strictly_higher_rank_and_counts_only_in_full() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant(FAY, group.genesis, "bo", Moderator);
    let steward = group.grant(FAY, group.genesis, "cleo", Steward);
    let shared = group.post("ann", ann);
    let left = group.post("ann", ann);
    group.rewind("ann", shared);
    group.post("ann", ann);
    group.pin("bo", bo, "ann", left);
    assert!(group.answer().suspended(left), "an equal cannot select");
    let at = group.post("cleo", steward);
    group.pin("cleo", steward, "ann", left);
    assert!(group.answer().counts(left));
    group.rewind("cleo", at);
    group.post("cleo", steward);
    assert!(group.answer().suspended(left), "a suspended pin selects nothing");
}

#[test]
fn a6_a_pin_decides_only_for_grants_below_its_rank() {
    let (mut group, ann) = with(Moderator);
    let as_member = group.grant(FAY, group.genesis, "eve", Member);
    let as_steward = group.grant(FAY, group.genesis, "eve", Steward);
    let shared = group.post("eve", as_member);
    let low = group.post("eve", as_member);
    let high = group.post("eve", as_steward);
    group.rewind("eve", shared);
    group.post("eve", as_member);
    group.pin("ann", ann, "eve", high);
    let answer = group.answer();
    assert!(answer.counts(low));
    assert!(answer.suspended(high));
}

#[test]
fn a6_under_an_ended_grant_a_pin_still_voids_the_other_branch() {
    let (mut group, ann) = with(Moderator);
    let eve = group.grant("ann", ann, "eve", Member);
    let shared = group.post("eve", eve);
    let left = group.post("eve", eve);
    group.rewind("eve", shared);
    let right = group.post("eve", eve);
    let removal = group.remove("ann", ann, "eve", &[("eve", right)]);
    assert!(group.answer().counts(right));
    group.pin(FAY, group.genesis, "eve", left);
    let answer = group.answer();
    assert!(answer.counts(shared));
    assert_eq!(answer.void(right).map(|(rule, _)| rule), Some(Rule::A6));
    assert_eq!(answer.void(left), Some((Rule::A4, removal)), "it lifts no removal");
}

#[test]
fn a6_the_member_key_settles_its_own_fork() {
    let (mut group, ann) = with(Moderator);
    let shared = group.post("ann", ann);
    let bo = group.grant("ann", ann, "bo", Member);
    group.rewind("ann", shared);
    let other = group.post("ann", ann);
    // I4: the restored device opens a new log, and the member key pins the old one.
    group.own_pin("ann/2", ann, "ann", bo.entry());
    let answer = group.answer();
    assert!(answer.live(bo) && answer.void(other).is_some());
    // A superior's word stands above it.
    group.pin(FAY, group.genesis, "ann", other);
    let answer = group.answer();
    assert!(!answer.live(bo) && answer.counts(other));
}

#[test]
fn a6_nobody_brings_up_a_members_pin_again() {
    let (mut group, ann) = with(Moderator);
    let eve = group.grant(FAY, group.genesis, "eve", Member);
    let shared = group.post("ann", ann);
    let left = group.post("ann", ann);
    group.rewind("ann", shared);
    let right = group.post("ann", ann);
    group.own_pin("ann/2", ann, "ann", left);
    group.own_pin("ann/2", ann, "ann", right);
    assert!(group.answer().counts(right));
    // The same bytes that Ann has superseded, in Eve's log.
    group.own_pin("eve", eve, "ann", left);
    let answer = group.answer();
    assert!(answer.counts(right) && answer.void(left).is_some());
}

#[test]
fn i2_a_log_of_two_cards_speaks_for_neither() {
    let (mut group, ann) = with(Moderator);
    group.card_for("shared", "ann", "shared");
    let as_ann = group.post("shared", ann);
    let bo = group.grant("ann", ann, "bo", Member);
    // The same device key, now for Bo.
    let mut second = group.clone();
    second.forget("shared");
    let other = second.card_for("shared", "bo", "shared");
    let as_bo = second.post("shared", bo);
    let answer = second.answer();
    assert!(answer.suspended(as_ann) && answer.suspended(as_bo));
    assert_eq!(answer.authority.author(&answer.set, &as_ann), Some(member("ann")));
    assert_eq!(answer.authority.author(&answer.set, &as_bo), Some(member("bo")));
    assert_eq!(answer.authority.device(&device("shared")), None);
    second.pin(FAY, second.genesis, "shared", other);
    let answer = second.answer();
    assert!(answer.counts(as_bo) && answer.void(as_ann).is_some());
    let device = answer.authority.device(&device("shared")).unwrap();
    assert_eq!((device.member, device.live), (member("bo"), true));
}

/// Of several pins, and of several unlinkings, the one is named that alone says so: here one knows
/// its head and the other waits for it.
#[test]
fn a5_of_two_statements_the_one_that_says_so_is_named() {
    let mut orders = std::collections::BTreeSet::new();
    for more in 0..8 {
        let (mut group, ann) = with(Moderator);
        let cleo = group.grant(FAY, group.genesis, "cleo", Steward);
        let max = group.grant(FAY, group.genesis, "max", Steward);
        let first = group.post("ann", ann);
        let held = group.post("ann", ann);
        let on = group.post("ann", ann);
        let beyond = group.post("ann", ann);
        let later = group.post("ann", ann);
        group.rewind("ann", first);
        let other = group.post("ann", ann);
        for _ in 0..more {
            group.post("cleo", cleo);
        }
        let knows = group.pin("cleo", cleo, "ann", on);
        let waits = group.pin("max", max, "ann", later);
        let mut alone = group.without(&[later]);
        let answer = group.answer_of(&alone);
        assert_eq!(answer.void(other), Some((Rule::A6, knows)));
        assert_eq!(answer.parked_by(held), Some((Rule::A6, waits)));
        // The same of the member's own unlinkings.
        let knows = group.unlink("fay", "ann", on);
        let waits = group.unlink("fay", "ann", later);
        alone.extend(group.entries.iter().rev().take(2).rev().cloned());
        let answer = group.answer_of(&alone);
        assert_eq!(answer.void(beyond), Some((Rule::A8, knows)));
        assert_eq!(answer.parked_by(held), Some((Rule::A8, waits)));
        orders.insert(knows < waits);
    }
    assert_eq!(orders.len(), 2, "either comes first");
}
