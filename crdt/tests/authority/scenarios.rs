//! Grants and removals, told with people (L3, A1-A3). Each test is named by its rule.

use cairn_crdt::authority::Rule;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::capability::rank::Rank::{Founder, Member, Moderator, Reader, Steward};
use cairn_crdt::id::{EntryId, GrantId};

use crate::people::{FAY, Group, granting, member};

/// Fay founds a group and appoints Ann.
pub(crate) fn with(ann: Rank) -> (Group, GrantId) {
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

/// What was done to others, and a grant that never was one, say nothing of why somebody is out.
#[test]
fn a9_who_is_out_is_told_of_the_act_that_ended_its_own_valid_grant() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant("ann", ann, "bo", Member);
    let cleo = group.grant("ann", ann, "cleo", Member);
    group.grant("ann", ann, "dan", Steward);
    let first = group.remove("ann", ann, "bo", &[]);
    let second = group.remove("ann", ann, "cleo", &[]);
    let before = group.remove("ann", ann, "dan", &[]);
    let answer = group.answer();
    assert!(!answer.live(bo) && !answer.live(cleo));
    let removed = |name| answer.authority.removed(&member(name));
    assert_eq!((removed("bo"), removed("cleo")), (Some(first), Some(second)));
    // Dan was never a member, whoever wanted to make a steward of it.
    assert_eq!((removed("dan"), removed("eve")), (None, None));
    assert!(!answer.authority.was_member(&member("dan")));
    assert!(answer.counts(before));
}

#[test]
fn a9_of_two_grants_that_one_was_the_last_which_counted_to_its_end() {
    let (mut group, ann) = with(Moderator);
    group.grant("ann", ann, "bo", Member);
    let own = group.grant(FAY, group.genesis, "bo", Member);
    group.remove(FAY, group.genesis, "ann", &[]);
    let revocation = group.revoke(FAY, group.genesis, own, &[]);
    let answer = group.answer();
    assert_eq!(answer.authority.removed(&member("bo")), Some(revocation));
}
