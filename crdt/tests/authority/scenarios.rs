//! What the rules are for, told with people. Numbers are those of no list: each test is named by
//! its rule.

use cairn_crdt::authority::{Authority, Rule};
use cairn_crdt::capability::rank::Rank::{Founder, Member, Moderator, Reader, Steward};
use cairn_crdt::id::{EntryId, GrantId};

use crate::people::{FAY, Group, gather, granting, member};

/// Fay founds, and appoints Ann and Bo moderators and stewards as asked.
fn with(ann: cairn_crdt::capability::rank::Rank) -> (Group, GrantId) {
    let mut group = Group::new();
    let genesis = group.genesis;
    let grant = group.grant(FAY, genesis, "ann", ann);
    (group, grant)
}

#[test]
fn a2_equals_cannot_remove_each_other() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant(FAY, group.genesis, "bo", Steward);
    group.remove("ann", ann, "bo", &[]);
    group.remove("bo", bo, "ann", &[]);
    let answer = group.answer();
    assert_eq!((answer.rank("ann"), answer.rank("bo")), (Some(Steward), Some(Steward)));
}

#[test]
fn a2_a_ring_of_three_equals_removes_nobody() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant(FAY, group.genesis, "bo", Moderator);
    let cleo = group.grant(FAY, group.genesis, "cleo", Moderator);
    group.remove("ann", ann, "bo", &[]);
    group.remove("bo", bo, "cleo", &[]);
    group.remove("cleo", cleo, "ann", &[]);
    let answer = group.answer();
    assert_eq!(answer.authority.members().len(), 4);
}

#[test]
fn a2_a_ring_through_a_lower_rank_is_no_ring() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant("ann", ann, "bo", Moderator);
    let cleo = group.grant("bo", bo, "cleo", Member);
    group.remove("cleo", cleo, "ann", &[]);
    group.remove("ann", ann, "bo", &[]);
    let answer = group.answer();
    assert_eq!(answer.rank("ann"), Some(Steward));
    assert_eq!((answer.rank("bo"), answer.rank("cleo")), (None, None));
}

#[test]
fn a2_a_lower_rank_cannot_avenge_who_a_higher_one_removed() {
    let (mut group, ann) = with(Moderator);
    let mallory = group.grant("ann", ann, "mallory", Member);
    let crony = group.grant("ann", ann, "crony", Member);
    group.remove("ann", ann, "mallory", &[]);
    group.remove("crony", crony, "ann", &[]);
    group.remove("mallory", mallory, "ann", &[]);
    let answer = group.answer();
    assert_eq!((answer.rank("ann"), answer.rank("mallory")), (Some(Moderator), None));
}

#[test]
fn a4_what_was_granted_before_the_cut_stays_and_after_it_does_not() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    let dan = group.grant("ann", ann, "dan", Member);
    let removal = group.remove(FAY, group.genesis, "ann", &[("ann", bo.entry())]);
    let answer = group.answer();
    assert_eq!((answer.rank("ann"), answer.rank("bo")), (None, Some(Member)));
    assert_eq!(answer.rank("dan"), None);
    assert_eq!(answer.void(dan.entry()), Some((Rule::A4, removal)));
    assert_eq!(answer.authority.removed(&member("ann")), Some(removal));
}

#[test]
fn a3_what_falls_with_its_issuer_names_the_removal() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    let post = group.post("bo", bo);
    let removal = group.remove(FAY, group.genesis, "ann", &[]);
    let answer = group.answer();
    assert_eq!(answer.rank("bo"), None);
    assert_eq!(answer.void(post), Some((Rule::A3, removal)));
    assert_eq!(answer.authority.removed(&member("bo")), Some(removal));
}

#[test]
fn a2_a_demotion_is_never_half_done() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    let late = group.grant("ann", ann, "dan", Member);
    let with = granting("ann", Member, &[]);
    let genesis = group.genesis;
    let replaced = group.replace(FAY, genesis, ann, &[("ann", bo.entry())], with);
    let after = group.post("ann", GrantId::of(replaced));
    let answer = group.answer();
    assert_eq!(answer.rank("ann"), Some(Member));
    assert_eq!((answer.live(bo), answer.live(late)), (true, false));
    assert!(answer.counts(after));
}

#[test]
fn a4_a_device_that_the_remover_did_not_know_counts_for_nothing() {
    let (mut group, ann) = with(Moderator);
    let known = group.post("ann", ann);
    let unknown = group.post("ann/2", ann);
    group.remove(FAY, group.genesis, "ann", &[("ann", known)]);
    let answer = group.answer();
    assert!(answer.counts(known));
    assert!(answer.void(unknown).is_some());
}

#[test]
fn a4_the_cut_decides_and_not_what_a_removed_device_claims() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant(FAY, group.genesis, "bo", Member);
    let last = group.post("bo", bo);
    let removal = group.remove("ann", ann, "bo", &[("bo", last)]);
    // Written by someone who has seen nothing but the genesis.
    let claims = group.post("bo", bo);
    let answer = group.answer();
    assert!(answer.counts(last));
    assert_eq!(answer.void(claims), Some((Rule::A4, removal)));
}

#[test]
fn a4_another_branch_below_the_cut_is_void() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    let first = group.post("bo", bo);
    let second = group.post("bo", bo);
    let third = group.post("bo", bo);
    let removal = group.remove("ann", ann, "bo", &[("bo", third)]);
    group.rewind("bo", first);
    let other = group.post("bo", bo);
    let answer = group.answer();
    assert_eq!(answer.void(other), Some((Rule::A4, removal)));
    // And the fork suspends nothing of what the cut selects.
    assert!(answer.counts(first) && answer.counts(second) && answer.counts(third));
}

#[test]
fn a4_below_a_head_that_is_not_held_entries_wait() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    let first = group.post("bo", bo);
    let head = group.post("bo", bo);
    group.rewind("bo", first);
    let other = group.post("bo", bo);
    let beyond = group.post("bo", bo);
    group.remove("ann", ann, "bo", &[("bo", head)]);
    let mut fewer = group.clone();
    fewer.entries = group.without(&[head]);
    let answer = fewer.answer();
    assert!(answer.parked(first));
    assert!(answer.void(other).is_some() && answer.void(beyond).is_some());
    let answer = group.answer();
    assert!(answer.counts(first) && answer.counts(head));
    assert!(answer.void(other).is_some());
}

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
    assert!(answer.authority.forks().contains_key(&crate::people::device("ann")));
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
fn a9_a_denial_past_its_authors_cut_is_listed_and_can_be_brought_back() {
    let (mut group, ann) = with(Moderator);
    let eve = group.grant(FAY, group.genesis, "eve", Member);
    let last = group.post("ann", ann);
    let removal = group.remove("ann", ann, "eve", &[]);
    let genesis = group.genesis;
    group.remove(FAY, genesis, "ann", &[("ann", last)]);
    let answer = group.answer();
    assert!(answer.live(eve));
    assert!(answer.authority.orphaned().contains(&removal));
    // A5: Fay says it again, with a later cut.
    group.remove(FAY, genesis, "ann", &[("ann", removal)]);
    let answer = group.answer();
    assert!(!answer.live(eve) && !answer.live(ann));
    assert!(answer.authority.orphaned().is_empty());
}

#[test]
fn a5_cuts_of_equals_combine_and_a_higher_rank_decides() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant(FAY, group.genesis, "bo", Steward);
    let eve = group.grant(FAY, group.genesis, "eve", Moderator);
    let posts: Vec<EntryId> = (0..3).map(|_| group.post("eve", eve)).collect();
    group.remove("ann", ann, "eve", &[("eve", posts[0])]);
    group.remove("bo", bo, "eve", &[("eve", posts[1])]);
    let counted = |group: &Group| {
        let answer = group.answer();
        posts.iter().filter(|post| answer.counts(**post)).count()
    };
    assert_eq!(counted(&group), 1);
    group.remove(FAY, group.genesis, "eve", &[("eve", posts[2])]);
    assert_eq!(counted(&group), 3);
}

#[test]
fn a5_a_later_statement_supersedes_only_on_its_own_branch() {
    let (mut group, ann) = with(Steward);
    let eve = group.grant(FAY, group.genesis, "eve", Moderator);
    let posts: Vec<EntryId> = (0..3).map(|_| group.post("eve", eve)).collect();
    let first = group.remove("ann", ann, "eve", &[("eve", posts[0])]);
    group.remove("ann", ann, "eve", &[("eve", posts[1])]);
    let answer = group.answer();
    assert!(answer.counts(posts[1]) && !answer.counts(posts[2]));
    let mut forked = group.clone();
    forked.rewind("ann", ann_card(&group, first));
    forked.remove("ann", ann, "eve", &[("eve", posts[2])]);
    let answer = forked.answer();
    assert!(answer.counts(posts[1]) && !answer.counts(posts[2]), "the shorter of two branches");
}

/// The entry before one.
fn ann_card(group: &Group, entry: EntryId) -> EntryId {
    let found = group.entries.iter().find(|other| other.get().id == entry).unwrap();
    found.get().header.prev
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
fn a3_a_grant_that_does_not_cite_the_removal_is_dead() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant(FAY, group.genesis, "bo", Moderator);
    group.grant("ann", ann, "eve", Member);
    let removal = group.remove("ann", ann, "eve", &[]);
    let unaware = group.grant("bo", bo, "eve", Member);
    assert_eq!(group.answer().rank("eve"), None);
    let citing = group.grant_citing("bo", bo, "eve", Member, &[removal]);
    let answer = group.answer();
    assert!(answer.live(citing) && !answer.live(unaware));
}

#[test]
fn a3_a_citation_needs_an_issuer_of_at_least_the_removers_rank() {
    let (mut group, ann) = with(Moderator);
    let genesis = group.genesis;
    group.grant("ann", ann, "eve", Member);
    let steward = group.grant(FAY, genesis, "cleo", Steward);
    let removal = group.remove("cleo", steward, "eve", &[]);
    group.grant_citing("ann", ann, "eve", Member, &[removal]);
    assert_eq!(group.answer().rank("eve"), None);
    group.grant_citing("cleo", steward, "eve", Member, &[removal]);
    assert_eq!(group.answer().rank("eve"), Some(Member));
}

#[test]
fn a3_every_removal_has_to_be_cited() {
    let (mut group, ann) = with(Moderator);
    group.grant("ann", ann, "eve", Member);
    let first = group.remove("ann", ann, "eve", &[]);
    let second = group.remove("ann", ann, "eve", &[]);
    group.grant_citing("ann", ann, "eve", Member, &[second]);
    assert_eq!(group.answer().rank("eve"), None);
    let answer = group.answer();
    let all = answer.authority.removals_of(&answer.set, &member("eve"));
    assert_eq!(all, [first, second].into());
    let all: Vec<EntryId> = all.into_iter().collect();
    group.grant_citing("ann", ann, "eve", Member, &all);
    assert_eq!(group.answer().rank("eve"), Some(Member));
}

#[test]
fn a3_who_comes_back_gets_nothing_of_the_old_back() {
    let (mut group, ann) = with(Steward);
    let old = group.grant("ann", ann, "eve", Moderator);
    let kept = group.post("eve", old);
    let removal = group.remove("ann", ann, "eve", &[("eve", kept)]);
    let meanwhile = group.post("eve", old);
    let issued = group.grant("eve", old, "dan", Member);
    let new = group.grant_citing("ann", ann, "eve", Moderator, &[removal]);
    let after = group.post("eve", new);
    let answer = group.answer();
    assert!(answer.live(new) && answer.counts(after), "the log goes on");
    assert!(answer.counts(kept) && !answer.counts(meanwhile) && !answer.live(issued));
}

#[test]
fn a2_one_removal_ends_all_grants_seen_or_not() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant(FAY, group.genesis, "bo", Moderator);
    group.grant("ann", ann, "troll", Member);
    group.grant("bo", bo, "troll", Reader);
    let removal = group.remove("ann", ann, "troll", &[]);
    let unseen = group.grant("bo", bo, "troll", Member);
    let answer = group.answer();
    assert_eq!(answer.rank("troll"), None);
    assert_eq!(answer.authority.ended(&unseen).map(|ended| ended.by), Some(vec![removal]));
}

#[test]
fn a2_a_revocation_ends_one_grant_and_no_other() {
    let (mut group, ann) = with(Moderator);
    let first = group.grant("ann", ann, "bo", Member);
    let second = group.grant("ann", ann, "bo", Reader);
    group.revoke("ann", ann, first, &[]);
    let answer = group.answer();
    assert!(!answer.live(first) && answer.live(second));
    group.revoke("ann", ann, ann, &[]);
    assert!(group.answer().live(ann), "not an equal, not oneself");
}

#[test]
fn a8_only_the_member_key_unlinks_and_only_above_the_cut() {
    let (mut group, ann) = with(Moderator);
    let before = group.post("ann", ann);
    let stolen = group.post("ann", ann);
    let bo = group.grant("ann", ann, "bo", Member);
    let unlink = group.unlink("ann/2", "ann", before);
    let elsewhere = group.post("ann/2", ann);
    let answer = group.answer();
    assert!(answer.counts(before) && answer.counts(elsewhere) && answer.live(ann));
    assert_eq!(answer.void(stolen), Some((Rule::A8, unlink)));
    assert!(!answer.live(bo));
    assert!(!answer.authority.device(&crate::people::device("ann")).unwrap().live);
    // The thief's removal of the member's other acts is nothing: it has no member key, and its
    // device key signs nothing that an unlinking is made of.
    let left = group.leave("ann", &[ann], &[]);
    let answer = group.answer();
    assert!(answer.void(left).is_some() && answer.live(ann), "nor can it leave for the member");
}

#[test]
fn a8_an_unlinking_combines_with_a_cut_to_the_shorter() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    let posts: Vec<EntryId> = (0..3).map(|_| group.post("bo", bo)).collect();
    group.unlink("bo/2", "bo", posts[0]);
    group.remove("ann", ann, "bo", &[("bo", posts[2])]);
    let answer = group.answer();
    let counted: Vec<bool> = posts.iter().map(|post| answer.counts(*post)).collect();
    assert_eq!(counted, [true, false, false]);
}

#[test]
fn a8_a_leave_is_honoured_even_past_a_cut_and_need_not_be_cited() {
    let (mut group, ann) = with(Moderator);
    let first = group.grant("ann", ann, "bo", Member);
    let second = group.grant("ann", ann, "bo", Reader);
    let kept = group.post("bo", first);
    group.revoke("ann", ann, first, &[("bo", kept)]);
    group.leave("bo", &[second], &[("bo", kept)]);
    let answer = group.answer();
    assert_eq!(answer.rank("bo"), None);
    assert!(answer.authority.ended(&second).unwrap().rank.is_none());
    assert_eq!(
        answer.authority.removed(&member("bo")),
        answer.authority.ended(&first).map(|ended| ended.by[0])
    );
    group.grant("ann", ann, "bo", Member);
    assert_eq!(group.answer().rank("bo"), Some(Member));
}

#[test]
fn a8_nobody_leaves_for_another() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    group.leave("bo", &[ann], &[]);
    let answer = group.answer();
    assert!(answer.live(ann) && answer.live(bo));
}

#[test]
fn a11_a_removal_may_come_before_its_target() {
    let (mut group, ann) = with(Moderator);
    group.remove("ann", ann, "eve", &[]);
    let stranger = group.post("eve", GrantId::NONE);
    let answer = group.answer();
    assert_eq!(answer.void(stranger).map(|(rule, _)| rule), Some(Rule::L3));
    let grant = group.grant("ann", ann, "eve", Member);
    assert!(!group.answer().live(grant), "dead on arrival");
}

#[test]
fn l3_a_stranger_signs_for_nothing() {
    let (mut group, ann) = with(Moderator);
    let theft = group.remove("eve", ann, "ann", &[]);
    let own = group.grant("eve", GrantId::of(theft), "eve", Member);
    let answer = group.answer();
    assert_eq!(answer.void(theft), Some((Rule::L3, ann.entry())));
    assert!(answer.live(ann) && !answer.live(own));
    assert!(answer.void(own.entry()).is_some());
}

#[test]
fn a1_a_grant_must_be_weaker_than_the_one_it_is_issued_under() {
    let (mut group, ann) = with(Moderator);
    let reader = group.grant("ann", ann, "rea", Reader);
    let up = group.grant("rea", reader, "eve", Member);
    let equal = group.grant("ann", ann, "eve", Moderator);
    let under = group.post("eve", equal);
    let founder = group.grant(FAY, group.genesis, "eve", Founder);
    let answer = group.answer();
    assert_eq!(answer.rank("eve"), None);
    for grant in [up, equal, founder] {
        assert_eq!(answer.void(grant.entry()), Some((Rule::A1, grant.entry())));
    }
    assert_eq!(answer.void(under), Some((Rule::A1, equal.entry())));
}

#[test]
fn a1_nobody_passes_on_an_ability_that_they_do_not_have() {
    use cairn_crdt::capability::rank::Abilities;
    use cairn_crdt::log::entry::Control;
    let (mut group, ann) = with(Moderator);
    let mut grant = granting("bo", Member, &[]);
    grant.abilities = Abilities::ALL;
    let too_much = group.say("ann", ann, &Control::Grant(grant));
    // Nor does a rank alone appoint: that takes the ability.
    let mut steward = granting("cleo", Steward, &[]);
    steward.abilities = Abilities::usual(Member);
    let cleo = GrantId::of(group.say(FAY, group.genesis, &Control::Grant(steward)));
    let powerless = group.grant("cleo", cleo, "dan", Member);
    group.remove("cleo", cleo, "ann", &[]);
    let answer = group.answer();
    assert_eq!(answer.void(too_much), Some((Rule::A1, too_much)));
    assert_eq!(answer.void(powerless.entry()), Some((Rule::A1, powerless.entry())));
    assert!(answer.live(ann) && answer.live(cleo));
}

#[test]
fn a4_a_long_chain_of_grants_falls_or_stays_as_the_cut_says() {
    for keeps in [false, true] {
        let (mut group, ann) = with(Steward);
        let bo = group.grant("ann", ann, "bo", Moderator);
        let cleo = group.grant("bo", bo, "cleo", Member);
        let post = group.post("cleo", cleo);
        let cut = [("ann", bo.entry())];
        group.remove(FAY, group.genesis, "ann", if keeps { &cut } else { &[] });
        let answer = group.answer();
        assert_eq!(
            (answer.live(bo), answer.live(cleo), answer.counts(post)),
            (keeps, keeps, keeps)
        );
    }
}

#[test]
fn a8_a_group_of_nobody_is_a_value() {
    let mut group = Group::new();
    let genesis = group.genesis;
    group.leave(FAY, &[genesis], &[]);
    let answer = group.answer();
    assert!(answer.authority.members().is_empty());
    let empty = gather(group.id, &[]);
    assert!(Authority::evaluate(&empty).members().is_empty());
}

#[test]
fn i2_a_log_of_two_cards_speaks_for_neither() {
    let (mut group, ann) = with(Moderator);
    let first = group.card_for("shared", "ann", "shared");
    let as_ann = group.post("shared", ann);
    let bo = group.grant("ann", ann, "bo", Member);
    let mut forked = group.clone();
    forked.entries.retain(|entry| entry.get().id != first && entry.get().id != as_ann);
    // The same device key, now for Bo.
    let mut second = Group::clone(&group);
    second.forget("shared");
    let other = second.card_for("shared", "bo", "shared");
    let as_bo = second.post("shared", bo);
    let answer = second.answer();
    assert!(answer.suspended(as_ann) && answer.suspended(as_bo));
    assert_eq!(answer.authority.author(&answer.set, &as_ann), Some(member("ann")));
    assert_eq!(answer.authority.author(&answer.set, &as_bo), Some(member("bo")));
    assert_eq!(answer.authority.device(&crate::people::device("shared")), None);
    second.pin(FAY, second.genesis, "shared", other);
    let answer = second.answer();
    assert!(answer.counts(as_bo) && answer.void(as_ann).is_some());
    let device = answer.authority.device(&crate::people::device("shared")).unwrap();
    assert_eq!((device.member, device.live), (member("bo"), true));
}
