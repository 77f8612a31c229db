//! Sets as sets: order, parts, emptiness, and a council that contradicts itself (A9-A11).

use std::collections::BTreeSet;

use cairn_crdt::authority::{Authority, Counting, Rule, sign_root};
use cairn_crdt::capability::grant::{Council, RootAct, RootAction};
use cairn_crdt::capability::rank::Rank::{Founder, Member, Moderator, Steward};
use cairn_crdt::codec::List;
use cairn_crdt::id::{EntryId, GrantId};
use cairn_crdt::log::entry::Control;

use crate::people::{FAY, Group, gather, granting, key, shuffled};
use crate::random::{group, partial};
use crate::scenarios::with;

fn founded() -> Group {
    let keys = ["a", "b", "c"].map(|name| key("council", name).verifying_key());
    Group::with_council(Council { keys: List::new(keys.to_vec()).unwrap(), threshold: 2 })
}

fn appoint(group: &mut Group, previous: EntryId, whom: &str, signers: [(u8, &str); 2]) -> GrantId {
    let action = RootAction::Grant(granting(whom, Founder, &[]));
    let signatures = signers.map(|(index, name)| {
        (index, sign_root(&key("council", name), group.id, previous, &action))
    });
    let signatures = List::new(signatures.to_vec()).unwrap();
    let act = Control::Root(RootAct { previous, action, signatures });
    GrantId::of(group.say(FAY, GrantId::NONE, &act))
}

#[test]
fn scenario_26_any_order_any_repetition_any_batches_one_digest() {
    // All orders of eight entries, and, with every signature checked, many of more.
    let (mut small, ann) = with(Moderator);
    let bo = small.grant("ann", ann, "bo", Member);
    small.post("bo", bo);
    small.remove("ann", ann, "bo", &[]);
    assert_eq!(small.entries.len(), 8);
    small.in_every_order();
    for seed in 0..20 {
        let group = group(seed, 40);
        let whole = Authority::evaluate(&gather(group.id, &group.entries)).digest();
        for order in 0..10 {
            let set = gather(group.id, &shuffled(&group.entries, order));
            assert_eq!(Authority::evaluate(&set).digest(), whole, "seed {seed}");
        }
    }
}

#[test]
fn scenario_27_without_any_one_control_entry_the_digest_is_another() {
    let (mut group, ann) = with(Steward);
    let bo = group.grant("ann", ann, "bo", Moderator);
    let removal = group.remove("bo", bo, "eve", &[]);
    group.grant_citing("bo", bo, "eve", Member, &[removal]);
    group.pin(FAY, group.genesis, "bo", removal);
    let all = group.in_every_order().authority.digest();
    let mut digests = BTreeSet::from([all]);
    for entry in &group.entries {
        let set = gather(group.id, &group.without(&[entry.get().id]));
        digests.insert(Authority::evaluate(&set).digest());
    }
    // What cannot be rooted without the genesis and the founder's card is left out with them: the
    // two sets differ all the same.
    assert_eq!(digests.len(), group.entries.len() + 1);
}

#[test]
fn scenario_38_a_group_of_nobody_is_a_value_and_the_council_refills_it() {
    let mut group = founded();
    let ann = group.grant(FAY, group.genesis, "ann", Steward);
    group.remove(FAY, group.genesis, "ann", &[]);
    group.leave("ann", &[ann], &[]);
    group.leave(FAY, &[group.genesis], &[]);
    assert!(group.in_every_order().authority.members().is_empty());
    let first = group.genesis.entry();
    let gus = appoint(&mut group, first, "gus", [(0, "a"), (1, "b")]);
    let bo = group.grant("gus", gus, "bo", Member);
    let answer = group.in_every_order();
    assert_eq!(answer.authority.members().len(), 2);
    assert!(answer.live(gus) && answer.live(bo));
}

#[test]
fn scenario_50_two_acts_of_the_council_after_one_freeze_the_root_only() {
    let mut group = founded();
    let ann = group.grant(FAY, group.genesis, "ann", Moderator);
    let first = group.genesis.entry();
    let one = appoint(&mut group, first, "gus", [(0, "a"), (1, "b")]);
    let other = appoint(&mut group, first, "max", [(1, "b"), (2, "c")]);
    let bo = group.grant("ann", ann, "bo", Member);
    let answer = group.in_every_order();
    assert!(answer.live(group.genesis) && answer.live(ann) && answer.live(bo));
    for act in [one, other] {
        assert!(!answer.live(act));
        let counting = answer.counting(act.entry());
        assert!(matches!(counting, Counting::Suspended { rule: Rule::A10, .. }));
    }
    assert_eq!(answer.authority.last_root_act(), None);
    // Who signed both is in the set for everyone to see.
    let signers = |act: GrantId| match &answer.set.control()[&act.entry()] {
        Control::Root(act) => act.signatures.iter().map(|(key, _)| *key).collect::<BTreeSet<u8>>(),
        _ => BTreeSet::new(),
    };
    assert_eq!(&signers(one) & &signers(other), BTreeSet::from([1]));
}

#[test]
fn scenario_52_a_part_of_a_set_has_an_answer_and_the_rest_leads_to_the_same() {
    for seed in 0..100 {
        let group = group(seed, 40);
        let whole = Authority::evaluate(&gather(group.id, &group.entries)).digest();
        let mut set = gather(group.id, &partial(&group, seed));
        assert!(Authority::evaluate(&set).members().len() <= 6);
        for entry in &group.entries {
            set.insert(entry).unwrap();
        }
        assert_eq!(Authority::evaluate(&set).digest(), whole, "seed {seed}");
    }
}
