//! The council (A10).

use cairn_crdt::authority::{Authority, Counting, Rule, sign_root};
use cairn_crdt::capability::grant::{Council, RootAct, RootAction};
use cairn_crdt::capability::rank::Rank::{Founder, Member, Moderator};
use cairn_crdt::capability::revocation::{Cut, Remove};
use cairn_crdt::codec::List;
use cairn_crdt::id::{EntryId, GrantId};
use cairn_crdt::log::entry::Control;

use crate::people::{FAY, Group, granting, key, member};

fn council(names: &[&str], threshold: u8) -> Council {
    let keys = names.iter().map(|name| key("council", name).verifying_key()).collect();
    Council { keys: List::new(keys).unwrap(), threshold }
}

/// A root act by the council keys of these indexes and names.
fn act(
    group: &mut Group,
    by: &str,
    previous: EntryId,
    action: RootAction,
    signers: &[(u8, &str)],
) -> EntryId {
    let signatures = signers
        .iter()
        .map(|(index, name)| {
            (*index, sign_root(&key("council", name), group.id, previous, &action))
        })
        .collect();
    let signatures = List::new(signatures).unwrap();
    group.say(by, GrantId::NONE, &Control::Root(RootAct { previous, action, signatures }))
}

fn removal(name: &str) -> RootAction {
    RootAction::Remove(Remove { subject: member(name), cut: Cut::default(), epoch: None })
}

fn appointment(name: &str, cites: &[EntryId]) -> RootAction {
    RootAction::Grant(granting(name, Founder, cites))
}

const ABC: [&str; 3] = ["a", "b", "c"];

fn stage() -> (Group, EntryId) {
    let group = Group::with_council(council(&ABC, 2));
    let genesis = group.genesis.entry();
    (group, genesis)
}

#[test]
fn a10_the_council_replaces_a_founder() {
    let (mut group, genesis) = stage();
    let old = group.grant(FAY, group.genesis, "ann", Moderator);
    let out = act(&mut group, "ann", genesis, removal(FAY), &[(0, "a"), (2, "c")]);
    let new = act(&mut group, "ann", out, appointment("gus", &[]), &[(0, "a"), (1, "b")]);
    let bo = group.grant("gus", GrantId::of(new), "bo", Member);
    let answer = group.answer();
    assert_eq!((answer.rank(FAY), answer.rank("gus")), (None, Some(Founder)));
    assert!(answer.live(bo) && !answer.live(old));
    assert_eq!(answer.authority.last_root_act(), Some(new));
    assert_eq!(answer.authority.removed(&member(FAY)), Some(out));
}

#[test]
fn a10_the_root_brings_back_by_citing() {
    let (mut group, genesis) = stage();
    let out = act(&mut group, FAY, genesis, removal(FAY), &[(0, "a"), (2, "c")]);
    let uncited = act(&mut group, FAY, out, appointment(FAY, &[]), &[(0, "a"), (2, "c")]);
    let answer = group.answer();
    assert_eq!(answer.rank(FAY), None);
    assert_eq!(answer.authority.removals_of(&answer.set, &member(FAY)), [out].into());
    act(&mut group, FAY, uncited, appointment(FAY, &[out]), &[(0, "a"), (2, "c")]);
    assert_eq!(group.answer().rank(FAY), Some(Founder));
}

#[test]
fn a10_whoever_cites_one_copy_of_a_removal_cites_it() {
    let (mut group, genesis) = stage();
    let both = [(0, "a"), (2, "c")];
    let out = act(&mut group, FAY, genesis, removal(FAY), &both);
    let copy = act(&mut group, "ann", genesis, removal(FAY), &both);
    for (previous, cited) in [(out, copy), (copy, out)] {
        let mut group = group.clone();
        assert_eq!(group.answer().rank(FAY), None);
        act(&mut group, FAY, previous, appointment(FAY, &[cited]), &both);
        assert_eq!(group.answer().rank(FAY), Some(Founder));
    }
}

#[test]
fn a10_too_few_wrong_or_repeated_signatures_do_nothing() {
    let (mut group, genesis) = stage();
    let cases: [&[(u8, &str)]; 6] = [
        &[],
        &[(0, "a")],
        &[(0, "a"), (0, "a")],
        &[(1, "b"), (0, "a")],
        &[(0, "a"), (1, "x")],
        &[(0, "a"), (7, "b")],
    ];
    for signers in cases {
        let void = act(&mut group, FAY, genesis, removal(FAY), signers);
        let answer = group.answer();
        assert_eq!(answer.rank(FAY), Some(Founder), "{signers:?}");
        assert_eq!(answer.void(void), Some((Rule::A10, void)));
    }
}

#[test]
fn a10_a_council_without_a_majority_or_with_a_key_twice_cannot_act() {
    for (names, threshold) in
        [(&["a", "b"][..], 1), (&["a", "a", "b"], 2), (&["a"], 2), (&["a", "b"], 0)]
    {
        let mut group = Group::with_council(council(names, threshold));
        let genesis = group.genesis.entry();
        act(&mut group, FAY, genesis, removal(FAY), &[(0, names[0]), (1, names[names.len() - 1])]);
        let answer = group.answer();
        assert_eq!(answer.rank(FAY), Some(Founder));
        assert!(answer.authority.council().is_none());
    }
}

#[test]
fn a10_another_council_takes_over() {
    let (mut group, genesis) = stage();
    let both = [(0, "a"), (1, "b")];
    let turn = act(&mut group, FAY, genesis, RootAction::Rotate(council(&["x"], 1)), &both);
    act(&mut group, FAY, turn, removal(FAY), &both);
    assert_eq!(group.answer().rank(FAY), Some(Founder), "the old one has no say");
    act(&mut group, FAY, turn, removal(FAY), &[(0, "x")]);
    let answer = group.answer();
    assert_eq!(answer.rank(FAY), None);
    assert_eq!(answer.authority.council(), Some(&council(&["x"], 1)));
}

#[test]
fn a10_a_council_that_could_not_act_takes_over_from_nobody() {
    let (mut group, genesis) = stage();
    let both = [(0, "a"), (1, "b")];
    for (names, threshold) in [(&["x"][..], 0), (&["x", "x"], 2)] {
        let turn = RootAction::Rotate(council(names, threshold));
        let void = act(&mut group, FAY, genesis, turn, &both);
        assert_eq!(group.answer().void(void), Some((Rule::A10, void)));
    }
    act(&mut group, FAY, genesis, removal(FAY), &both);
    assert_eq!(group.answer().rank(FAY), None, "the act has one successor");
}

#[test]
fn a10_two_successors_freeze_the_root_only() {
    let (mut group, genesis) = stage();
    let ann = group.grant(FAY, group.genesis, "ann", Moderator);
    let eve = group.grant(FAY, group.genesis, "eve", Member);
    let first = act(&mut group, FAY, genesis, removal("eve"), &[(0, "a"), (1, "b")]);
    let next = act(&mut group, FAY, first, appointment("gus", &[]), &[(0, "a"), (1, "b")]);
    assert_eq!(group.answer().rank("gus"), Some(Founder));
    let second = act(&mut group, FAY, genesis, appointment("max", &[]), &[(1, "b"), (2, "c")]);
    let answer = group.answer();
    assert_eq!((answer.rank("gus"), answer.rank("max")), (None, None));
    assert!(answer.live(ann), "lower ranks go on");
    assert!(!answer.live(eve), "what the root denied stays denied");
    for contested in [first, next, second] {
        assert!(matches!(answer.counting(contested), Counting::Suspended { rule: Rule::A10, .. }));
    }
    assert_eq!(answer.authority.last_root_act(), None);
}

#[test]
fn a10_copying_an_act_is_no_second_act() {
    let (mut group, genesis) = stage();
    let first = act(&mut group, FAY, genesis, appointment("gus", &[]), &[(0, "a"), (1, "b")]);
    let bo = group.grant("gus", GrantId::of(first), "bo", Moderator);
    let before = group.answer();
    let copy = act(&mut group, "bo", genesis, appointment("gus", &[]), &[(0, "a"), (1, "b")]);
    let answer = group.answer();
    assert_eq!(answer.rank("gus"), Some(Founder));
    assert_eq!(answer.authority.members()[&member("gus")].grants.len(), 1);
    assert!(answer.live(bo) && before.live(bo));
    // And it may be named by either.
    let more = group.grant("gus", GrantId::of(copy), "dan", Member);
    let out = act(&mut group, FAY, copy, removal("gus"), &[(0, "a"), (1, "b")]);
    let answer = group.answer();
    assert_eq!(answer.rank("gus"), None);
    assert!(!answer.live(more));
    assert_eq!(answer.authority.last_root_act(), Some(out));
}

#[test]
fn l4_the_version_rises_by_a_root_act() {
    let (mut group, genesis) = stage();
    assert_eq!(group.answer().authority.version(), 1);
    act(&mut group, FAY, genesis, RootAction::Raise { version: 3 }, &[(0, "a"), (1, "b")]);
    assert_eq!(group.answer().authority.version(), 3);
}

#[test]
fn a10_the_root_can_refill_an_empty_group() {
    let (mut group, genesis) = stage();
    group.leave(FAY, &[group.genesis], &[]);
    assert!(group.answer().authority.members().is_empty());
    act(&mut group, FAY, genesis, appointment("gus", &[]), &[(0, "a"), (1, "b")]);
    let answer = group.answer();
    assert_eq!(answer.authority.members().len(), 1);
    assert_eq!(Authority::evaluate(&answer.set).digest(), answer.authority.digest());
}
