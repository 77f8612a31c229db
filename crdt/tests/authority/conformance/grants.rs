//! Who removes, grants and comes back: equals, rings, colluders, citations (A1-A3, A11, L3).

use cairn_crdt::authority::Rule;
use cairn_crdt::capability::rank::Rank::{Founder, Member, Moderator, Reader, Steward};
use cairn_crdt::id::{EntryId, GrantId};

use crate::people::{FAY, granting};
use crate::scenarios::with;

#[test]
fn scenario_01_equal_stewards_who_remove_each_other_both_stay() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant(FAY, group.genesis, "bo", Steward);
    group.remove("ann", ann, "bo", &[]);
    group.remove("bo", bo, "ann", &[]);
    let answer = group.in_every_order();
    assert!(answer.live(ann) && answer.live(bo));
}

#[test]
fn scenario_02_a_ring_of_three_equals_removes_nobody() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant(FAY, group.genesis, "bo", Moderator);
    let cleo = group.grant(FAY, group.genesis, "cleo", Moderator);
    group.remove("ann", ann, "bo", &[]);
    group.remove("bo", bo, "cleo", &[]);
    group.remove("cleo", cleo, "ann", &[]);
    let answer = group.in_every_order();
    assert!(answer.live(ann) && answer.live(bo) && answer.live(cleo));
}

#[test]
fn scenario_03_a_ring_through_somebody_appointed_lower_is_no_ring() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant("ann", ann, "bo", Moderator);
    group.remove("bo", bo, "ann", &[]);
    group.remove("ann", ann, "bo", &[]);
    let answer = group.in_every_order();
    assert!(answer.live(ann) && !answer.live(bo));
}

#[test]
fn scenario_05_who_is_demoted_loses_what_was_granted_after_the_cut() {
    for after in [false, true] {
        let (mut group, ann) = with(Moderator);
        let before = group.post("ann", ann);
        let dan = group.grant("ann", ann, "dan", Member);
        let cut = if after { before } else { dan.entry() };
        let with = granting("ann", Member, &[]);
        group.replace(FAY, group.genesis, ann, &[("ann", cut)], with);
        let answer = group.in_every_order();
        assert_eq!(answer.rank("ann"), Some(Member));
        assert_eq!(answer.live(dan), !after);
    }
}

#[test]
fn scenario_06_a_device_added_meanwhile_acts_under_the_new_grant_only() {
    let (mut group, ann) = with(Moderator);
    let known = group.post("ann", ann);
    let meanwhile = group.post("ann/2", ann);
    let with = granting("ann", Member, &[]);
    let demoted = group.replace(FAY, group.genesis, ann, &[("ann", known)], with);
    let after = group.post("ann/2", GrantId::of(demoted));
    let answer = group.in_every_order();
    assert!(answer.counts(known) && !answer.counts(meanwhile) && answer.counts(after));
}

#[test]
fn scenario_07_a_colluder_cannot_bring_back_the_removed() {
    for crony in [Moderator, Member] {
        let (mut group, ann) = with(Moderator);
        let mallory = group.grant("ann", ann, "mallory", Member);
        let colluder = group.grant(FAY, group.genesis, "crony", crony);
        group.remove("ann", ann, "mallory", &[]);
        group.remove("crony", colluder, "ann", &[]);
        let answer = group.in_every_order();
        assert!(answer.live(ann) && !answer.live(mallory));
    }
}

#[test]
fn scenario_08_what_the_removed_writes_as_if_it_knew_nothing_is_void() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant(FAY, group.genesis, "bo", Steward);
    let removal = group.remove(FAY, group.genesis, "bo", &[]);
    let dan = group.grant("ann", ann, "dan", Member);
    let revenge = group.remove("bo", bo, "ann", &[]);
    let second = group.remove("bo/2", bo, "ann", &[]);
    let answer = group.in_every_order();
    assert!(answer.live(ann) && answer.live(dan) && !answer.live(bo));
    assert_eq!(answer.void(revenge), Some((Rule::A4, removal)));
    assert_eq!(answer.void(second), Some((Rule::A4, removal)));
}

#[test]
fn scenario_16_a_grant_by_somebody_unaware_of_the_removal_does_not_bring_back() {
    let (mut group, ann) = with(Moderator);
    let bo = group.grant(FAY, group.genesis, "bo", Moderator);
    let removal = group.remove("ann", ann, "eve", &[]);
    let unaware = group.grant("bo", bo, "eve", Member);
    assert!(!group.in_every_order().live(unaware));
    let aware = group.grant_citing("bo", bo, "eve", Member, &[removal]);
    let answer = group.in_every_order();
    assert!(answer.live(aware) && !answer.live(unaware));
    // Nor by citing, from a lower rank.
    let above = group.remove(FAY, group.genesis, "eve", &[]);
    let cited = group.grant_citing("bo", bo, "eve", Member, &[removal, above]);
    assert!(!group.in_every_order().live(cited));
}

#[test]
fn scenario_17_after_removal_and_return_only_the_new_grant_acts_and_the_log_goes_on() {
    let (mut group, ann) = with(Moderator);
    let old = group.grant("ann", ann, "bo", Member);
    let before = group.post("bo", old);
    let removal = group.remove("ann", ann, "bo", &[("bo", before)]);
    let new = group.grant_citing("ann", ann, "bo", Member, &[removal]);
    let meanwhile = group.post("bo", old);
    let after = group.post("bo", new);
    let answer = group.in_every_order();
    assert!(answer.counts(before) && !answer.counts(meanwhile) && answer.counts(after));
    assert_eq!(answer.void(meanwhile), Some((Rule::A4, removal)));
}

#[test]
fn scenario_18_nothing_issued_under_the_old_grant_revives_with_a_new_one() {
    let (mut group, ann) = with(Steward);
    let old = group.grant("ann", ann, "eve", Moderator);
    let gift = group.grant("eve", old, "dan", Member);
    let removal = group.remove("ann", ann, "eve", &[]);
    let new = group.grant_citing("ann", ann, "eve", Moderator, &[removal]);
    let answer = group.in_every_order();
    assert!(answer.live(new) && !answer.live(old) && !answer.live(gift));
    assert_eq!(answer.rank("dan"), None);
}

#[test]
fn scenario_19_one_removal_ends_three_grants_one_of_them_unseen() {
    let (mut group, ann) = with(Moderator);
    let first = group.grant("ann", ann, "troll", Member);
    let second = group.grant(FAY, group.genesis, "troll", Reader);
    group.remove("ann", ann, "troll", &[]);
    let unseen = group.grant(FAY, group.genesis, "troll", Member);
    let answer = group.in_every_order();
    assert_eq!(answer.rank("troll"), None);
    assert!(![first, second, unseen].into_iter().any(|grant| answer.live(grant)));
}

#[test]
fn scenario_22_a_removal_before_its_target_kills_the_grant_on_arrival() {
    let (mut group, ann) = with(Moderator);
    let removal = group.remove("ann", ann, "eve", &[]);
    let grant = group.grant(FAY, group.genesis, "eve", Member);
    let post = group.post("eve", grant);
    let answer = group.in_every_order();
    assert!(!answer.live(grant));
    assert_eq!(answer.void(post), Some((Rule::A4, removal)));
}

#[test]
fn scenario_23_a_removal_of_nobody_and_one_by_a_stranger_do_nothing() {
    let (mut group, ann) = with(Moderator);
    let nobody = group.remove("ann", ann, "nobody", &[]);
    let stolen = group.remove("stranger", ann, "ann", &[]);
    let own = group.remove("stranger", GrantId::of(stolen), "ann", &[]);
    let none = group.remove("stranger", GrantId::NONE, "ann", &[]);
    let answer = group.in_every_order();
    assert!(answer.live(ann) && answer.counts(nobody));
    for void in [stolen, own, none] {
        assert_eq!(answer.void(void).map(|(rule, _)| rule), Some(Rule::L3));
    }
    assert_eq!(answer.authority.members().len(), 2);
}

#[test]
fn scenario_24_grants_that_rest_on_nothing_confer_nothing() {
    let (mut group, ann) = with(Steward);
    let missing = GrantId::of(EntryId::from_bytes([7; 32]));
    let up = group.grant("eve", missing, "dan", Moderator);
    // Each of two rests on the other's member, and neither on the genesis.
    let down = group.grant("dan", up, "eve", Member);
    let more = group.grant("eve", down, "dan", Reader);
    let answer = group.in_every_order();
    assert!(answer.live(ann));
    assert_eq!(answer.authority.members().len(), 2);
    for grant in [up, down, more] {
        assert!(!answer.live(grant) && answer.void(grant.entry()).is_some());
    }
}

#[test]
fn scenario_25_nobody_grants_what_they_are_not_above() {
    let (mut group, ann) = with(Moderator);
    let reader = group.grant("ann", ann, "rea", Reader);
    let up = group.grant("rea", reader, "eve", Member);
    let steward = group.grant("ann", ann, "eve", Steward);
    let founder = group.grant(FAY, group.genesis, "eve", Founder);
    let answer = group.in_every_order();
    assert_eq!(answer.rank("eve"), None);
    for grant in [up, steward, founder] {
        assert_eq!(answer.void(grant.entry()), Some((Rule::A1, grant.entry())));
    }
}
