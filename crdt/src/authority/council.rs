//! The council: who signs for the root, and what it has done (A10).
//!
//! Root acts form a chain: each names the one before it, the first names the genesis. It does not
//! matter whose log carries one. Two different valid successors of one act are a fork of the
//! root: from there on, as on any fork, what they deny counts and nothing else does, and the
//! grants of lower ranks go on as they were. Entries that carry the same act are one act, so that
//! nobody can bring about a fork, or a second life of a grant, by copying.

use std::collections::{BTreeMap, BTreeSet};

use crate::authority::counting::{Counting, Grounds, Rule};
use crate::authority::fork::{Line, Point};
use crate::capability::grant::{Council, GROUP_VERSION, RootAct, RootAction};
use crate::codec;
use crate::crypto::domain;
use crate::crypto::signing::{Signature, SigningKey, verify};
use crate::id::{EntryId, GrantId, GroupId};
use crate::log::entry::Control;
use crate::log::set::LogSet;

/// Signs a root act with one key of the council.
#[must_use]
pub fn sign_root(
    key: &SigningKey,
    group: GroupId,
    previous: EntryId,
    action: &RootAction,
) -> Signature {
    key.sign(domain::SIGN_ROOT, &message(group, previous, action))
}

/// Whether a signature of a key over a root act holds.
#[must_use]
pub fn root_signature_holds(
    key: &[u8; 32],
    group: GroupId,
    previous: EntryId,
    action: &RootAction,
    signature: &Signature,
) -> bool {
    verify(key, domain::SIGN_ROOT, &message(group, previous, action), signature).is_ok()
}

fn message(group: GroupId, previous: EntryId, action: &RootAction) -> Vec<u8> {
    codec::encode(&(group, previous, action))
}

/// What the root acts of a set amount to.
#[derive(Clone, Debug)]
pub(super) struct Acts {
    /// The council in force; `None` if its keys or threshold are not sound: then none can act.
    pub(super) council: Option<Council>,
    /// Version of the rules in force.
    pub(super) version: u16,
    /// The last act, which the next has to name. `None` while two contend.
    pub(super) last: Option<EntryId>,
    /// Valid acts and where they stand.
    pub(super) valid: BTreeMap<EntryId, Point>,
}

/// Successors of one act that do the same: the act, and all entries that carry it.
struct Same<'set> {
    act: &'set RootAct,
    entries: Vec<EntryId>,
}

/// An act from which to go on.
struct Step {
    entries: Vec<EntryId>,
    council: Option<Council>,
    depth: u64,
    contested: Option<EntryId>,
}

impl Grounds {
    /// Walks the root acts from the genesis.
    pub(super) fn convene(&mut self, set: &LogSet) -> Acts {
        let genesis = EntryId::from_bytes(*set.group().as_bytes());
        let mut acts = Acts {
            council: None,
            version: GROUP_VERSION,
            last: Some(genesis),
            valid: BTreeMap::new(),
        };
        let Some(Control::Genesis(first)) = set.control().get(&genesis) else { return acts };
        acts.version = first.version;
        acts.council = sound(&first.council);

        let mut successors: BTreeMap<EntryId, Vec<(EntryId, &RootAct)>> = BTreeMap::new();
        for (id, control) in set.control() {
            let Control::Root(act) = control else { continue };
            let named = set.slot(id).is_some_and(|slot| slot.grant != GrantId::NONE);
            let counting = if named {
                Counting::Void { rule: Rule::L3, by: *id }
            } else if set.contains(&act.previous) {
                Counting::Void { rule: Rule::A10, by: *id }
            } else {
                Counting::Parked { rule: Rule::A10, by: act.previous }
            };
            self.acts.insert(*id, counting);
            if !named {
                successors.entry(act.previous).or_default().push((*id, act));
            }
        }
        let mut forked = BTreeSet::new();
        let mut steps = Vec::new();
        let mut open = vec![Step {
            entries: vec![genesis],
            council: acts.council.clone(),
            depth: 0,
            contested: None,
        }];
        while let Some(step) = open.pop() {
            let next: Vec<Same<'_>> = step
                .council
                .as_ref()
                .map(|council| valid_successors(set.group(), council, &step.entries, &successors))
                .unwrap_or_default();
            let fork = (next.len() > 1)
                .then(|| next.iter().flat_map(|same| same.entries.first()).min().copied())
                .flatten();
            let Some(depth) = step.depth.checked_add(1) else { continue };
            let before = step.entries.first().copied().unwrap_or(genesis);
            if next.is_empty() && step.contested.is_none() {
                acts.last = Some(before);
            }
            for same in next {
                let contested = step.contested.or(fork);
                let Some(this) = same.entries.first().copied() else { continue };
                for entry in &same.entries {
                    self.alias.insert(*entry, this);
                    self.acts.insert(
                        *entry,
                        contested.map_or(Counting::Counts, |by| Counting::Suspended {
                            rule: Rule::A10,
                            by,
                        }),
                    );
                }
                if fork.is_some() {
                    forked.insert((depth, this));
                }
                steps.push((depth, this, before));
                let council = match &same.act.action {
                    RootAction::Rotate(council) => sound(council),
                    _ => step.council.clone(),
                };
                if contested.is_none() {
                    acts.council.clone_from(&council);
                    if let RootAction::Raise { version } = same.act.action {
                        acts.version = acts.version.max(version);
                    }
                } else {
                    acts.last = None;
                }
                open.push(Step { entries: same.entries, council, depth, contested });
            }
        }
        steps.sort_unstable();
        let first_fork = forked.first().map_or(u64::MAX, |(depth, _)| *depth);
        let from_fork = steps.partition_point(|(depth, ..)| *depth < first_fork);
        let (_, after) = steps.split_at_checked(from_fork).unwrap_or((&steps, &[]));
        self.paths.add(Line::Council, &forked, after);
        for (depth, id, _) in &steps {
            acts.valid.insert(*id, self.paths.point(set, Line::Council, *depth, id));
        }
        acts
    }
}

/// The different acts that validly follow one that is carried by `entries`.
fn valid_successors<'set>(
    group: GroupId,
    council: &Council,
    entries: &[EntryId],
    successors: &BTreeMap<EntryId, Vec<(EntryId, &'set RootAct)>>,
) -> Vec<Same<'set>> {
    let mut by_action: BTreeMap<Vec<u8>, Same<'set>> = BTreeMap::new();
    let all = entries.iter().filter_map(|entry| successors.get(entry)).flatten();
    for (id, act) in all {
        let takes_over = match &act.action {
            RootAction::Rotate(council) => sound(council).is_some(),
            _ => true,
        };
        if takes_over && signed(group, council, act) {
            let same = by_action
                .entry(codec::encode(&act.action))
                .or_insert_with(|| Same { act, entries: Vec::new() });
            same.entries.push(*id);
        }
    }
    by_action
        .into_values()
        .map(|mut same| {
            same.entries.sort_unstable();
            same
        })
        .collect()
}

/// A council whose keys are distinct and whose threshold is more than half and at most all.
fn sound(council: &Council) -> Option<Council> {
    let keys: BTreeSet<&[u8; 32]> = council.keys.iter().collect();
    let (all, needed) = (council.keys.len(), usize::from(council.threshold));
    let majority = needed.checked_mul(2).is_some_and(|twice| twice > all);
    (keys.len() == all && majority && needed <= all).then(|| council.clone())
}

/// Whether enough different keys of the council signed an act, and no signature is wrong.
fn signed(group: GroupId, council: &Council, act: &RootAct) -> bool {
    let rising = act.signatures.as_slice().is_sorted_by(|(a, _), (b, _)| a < b);
    if !rising || act.signatures.len() < usize::from(council.threshold) {
        return false;
    }
    let message = message(group, act.previous, &act.action);
    act.signatures.iter().all(|(index, signature)| {
        let key = council.keys.as_slice().get(usize::from(*index));
        key.is_some_and(|key| verify(key, domain::SIGN_ROOT, &message, signature).is_ok())
    })
}
