//! How far a log counts after a removal, a leave or an unlinking (A4, A5, A8).

use cairn_crdt::authority::{Authority, Rule};
use cairn_crdt::capability::rank::Rank::{Member, Moderator, Reader, Steward};
use cairn_crdt::id::EntryId;

use crate::people::{FAY, Group, device, gather, member};
use crate::scenarios::with;

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
    forked.rewind("ann", before(&group, first));
    forked.remove("ann", ann, "eve", &[("eve", posts[2])]);
    let answer = forked.answer();
    assert!(answer.counts(posts[1]) && !answer.counts(posts[2]), "the shorter of two branches");
}

/// The entry before another in its log.
fn before(group: &Group, entry: EntryId) -> EntryId {
    let found = group.entries.iter().find(|other| other.get().id == entry).unwrap();
    found.get().header.prev
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
    assert!(!answer.authority.device(&device("ann")).unwrap().live);
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
