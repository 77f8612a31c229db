//! The evaluation against one that follows the text of the rules (A9), and what else must hold
//! for every set: which sets the digest tells apart, and when an answer is out of date.

use std::collections::BTreeSet;

use cairn_crdt::authority::decision::authorize;
use cairn_crdt::authority::{Authority, Counting};
use cairn_crdt::id::{EntryId, GrantId};
use cairn_crdt::log::entry::Kind;
use cairn_crdt::log::set::LogSet;

use crate::laws::ids;
use crate::oracle::{Oracle, State};
use crate::parts::Part;
use crate::people::gather;
use crate::random::{Dice, group, group_without_council, partial, read};

/// Sets that the slow evaluation is asked about.
const SETS: u64 = 3000;

/// What the oracle does not speak of: entries that need no grant, and acts of the council.
fn beyond(set: &LogSet, id: &EntryId) -> bool {
    let slot = set.slot(id).unwrap();
    let other = matches!(slot.kind, Kind::CARD | Kind::ROTATE | Kind::ROOT);
    other || (slot.kind == Kind::ERASE && slot.grant == GrantId::NONE) || slot.kind == Kind(77)
}

#[test]
fn a9_the_oracle_agrees() {
    let mut seen = [0_u32; 5];
    for seed in 0..SETS {
        let parts = read(&group_without_council(seed, 26));
        let mut dice = Dice::new(!seed);
        let set =
            if seed % 2 == 0 { parts.gather(&parts.broken_off(&mut dice)) } else { parts.set() };
        let authority = Authority::evaluate(&set);
        let oracle = Oracle::new(&set);
        let mut orphaned = BTreeSet::new();
        for id in oracle.entries().filter(|id| !beyond(&set, id)) {
            let counting = authority.counting(&set, id);
            let state = match counting {
                Counting::Counts => State::Live,
                Counting::Suspended { .. } => State::Suspended,
                Counting::Parked { .. } => State::Parked,
                Counting::Void { .. } => State::Void,
                Counting::Unknown => panic!("held"),
            };
            assert_eq!(state, oracle.state(id), "seed {seed}: {counting:?}");
            seen[state as usize] += 1;
            if oracle.orphaned(id) {
                orphaned.insert(*id);
            }
        }
        seen[4] += u32::try_from(orphaned.len()).unwrap();
        assert_eq!(*authority.orphaned(), orphaned, "seed {seed}");
        let members = authority.members().iter();
        let members = members
            .map(|(member, standing)| (*member, standing.grants.keys().copied().collect()))
            .collect();
        assert_eq!(oracle.members(), members, "seed {seed}");
    }
    // Nothing of this is proved by sets in which it does not happen.
    assert!(seen.iter().all(|count| *count > 40), "{seen:?}");
}

#[test]
fn a9_the_digest_tells_sets_of_control_entries_apart() {
    for seed in 0..60 {
        let parts = read(&group(seed, 30));
        let mut digests = BTreeSet::from([Authority::evaluate(&parts.set()).digest()]);
        let mut sets = 1;
        for tip in parts.tips().into_iter().filter(|tip| tip.slot.kind.is_control()) {
            digests.insert(Authority::evaluate(&parts.without(&tip.id)).digest());
            sets += 1;
        }
        assert_eq!(digests.len(), sets, "seed {seed}");
    }
}

#[test]
fn c4_only_what_counts_is_authorized() {
    for seed in 0..20 {
        let group = group(seed, 40);
        let set = gather(group.id, &group.entries);
        let authority = Authority::evaluate(&set);
        for entry in &group.entries {
            let counts = authority.counting(&set, &entry.get().id).counts();
            assert_eq!(authorize(&authority, &set, entry.clone()).is_ok(), counts);
        }
    }
}

/// What is said of staleness and of changes is never too little.
#[test]
fn a9_an_answer_knows_when_it_is_out_of_date() {
    for seed in 0..150 {
        let parts = read(&group(seed, 40));
        let mut dice = Dice::new(!seed);
        let mut set = parts.gather(&parts.broken_off(&mut dice));
        let mut authority = Authority::evaluate(&set);
        let order = parts.shuffled(&mut dice);
        let all: Vec<&Part> = order.into_iter().chain(&parts.all).collect();
        for part in all {
            let before: Vec<EntryId> = ids(&set).collect();
            if set.contains(&part.id) {
                continue;
            }
            parts.add(&mut set, &[part]);
            if !set.contains(&part.id) {
                continue;
            }
            let after = Authority::evaluate(&set);
            let changes = after.changed_since(&authority);
            for id in before {
                let counting = |authority: &Authority| {
                    let counting = authority.counting(&set, &id);
                    (counting.counts(), counting.denies())
                };
                if counting(&authority) != counting(&after) {
                    let slot = set.slot(&id).unwrap();
                    let (device, seq) = set.place_of(&id).unwrap();
                    let told = changes.touches(&device, &slot.grant, seq);
                    assert!(told || slot.kind.is_control(), "seed {seed}: {id:?}");
                }
            }
            if after.digest() != authority.digest() {
                assert!(authority.is_stale_after(&set, &part.id), "seed {seed}: {:?}", part.id);
            }
            authority = after;
        }
    }
}

#[test]
fn a9_what_arrives_in_part_is_checked_like_the_whole() {
    for seed in 0..20 {
        let group = group(seed, 40);
        let mut set = gather(group.id, &partial(&group, seed));
        for entry in &group.entries {
            set.insert(entry).unwrap();
        }
        let whole = Authority::evaluate(&gather(group.id, &group.entries));
        assert_eq!(Authority::evaluate(&set).digest(), whole.digest(), "seed {seed}");
    }
}
