//! What a new evaluation changes for content, so that only those documents are rebuilt (C4).

use std::collections::{BTreeMap, BTreeSet};

use crate::authority::Authority;
use crate::authority::granted::Granted;
use crate::id::{DeviceId, EntryId, GrantId, MemberId};

/// Which content entries may count for something else than before.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Device → grant → the lowest sequence number from which entries of that device under that
    /// grant may count differently.
    pub logs: BTreeMap<DeviceId, BTreeMap<GrantId, u64>>,
    /// Documents, by the entry that created them, that are hidden, erased or restored now.
    pub documents: BTreeSet<EntryId>,
}

impl Changes {
    /// Whether an entry may count differently.
    #[must_use]
    pub fn touches(&self, device: &DeviceId, grant: &GrantId, seq: u64) -> bool {
        let from = self.logs.get(device).and_then(|grants| grants.get(grant));
        from.is_some_and(|from| seq >= *from)
    }
}

pub(super) fn between(before: &Authority, after: &Authority) -> Changes {
    let mut changes = Changes::default();
    let grants = after.by_subject(before);
    let devices: BTreeSet<&DeviceId> =
        before.grounds.openings.keys().chain(after.grounds.openings.keys()).collect();
    for device in devices {
        let mut members = before.members_of(device);
        members.extend(after.members_of(device));
        for member in members {
            for grant in grants.get(&member).into_iter().flatten() {
                if let Some(from) = first_difference(before, after, device, member, grant) {
                    changes.logs.entry(*device).or_default().insert(*grant, from);
                }
            }
        }
    }
    let hidden = (&before.documents.hidden, &after.documents.hidden);
    for id in hidden.0.keys().chain(hidden.1.keys()) {
        if hidden.0.get(id) != hidden.1.get(id) {
            changes.documents.insert(*id);
        }
    }
    let erased = (&before.documents.erased, &after.documents.erased);
    for id in erased.0.keys().chain(erased.1.keys()) {
        if erased.0.get(id) != erased.1.get(id) {
            changes.documents.insert(*id);
        }
    }
    changes
}

fn first_difference(
    before: &Authority,
    after: &Authority,
    device: &DeviceId,
    member: MemberId,
    grant: &GrantId,
) -> Option<u64> {
    if before.grounds.openings.get(device) != after.grounds.openings.get(device) {
        return Some(0);
    }
    let (Some(old), Some(new)) =
        (before.grounds.grants.get(grant), after.grounds.grants.get(grant))
    else {
        return Some(0);
    };
    let worth = |granted: &Granted| (granted.broken, granted.base.counts(), granted.base.denies());
    if worth(old) != worth(new) {
        return Some(0);
    }
    let reach = |authority: &Authority, granted: &Granted| {
        let cutting = granted.ended.and_then(|ended| authority.grounds.cuttings.get(ended));
        cutting.map(|cutting| cutting.reach(device))
    };
    let unlinked = |authority: &Authority| {
        authority.grounds.unlinked.get(&(*device, member)).map(|unlinked| unlinked.reach)
    };
    let pinned = |authority: &Authority| {
        let selection = authority.grounds.selection(*device, Some(member), new.rank);
        selection.map(|selection| selection.reach)
    };
    let pairs = [
        (reach(before, old), reach(after, new)),
        (unlinked(before), unlinked(after)),
        (pinned(before), pinned(after)),
    ];
    let mut from = None;
    for (old, new) in pairs {
        let differs = match (old, new) {
            (None, None) => None,
            (Some(reach), None) | (None, Some(reach)) => Some(reach.first_doubt()),
            (Some(old), Some(new)) => old.differs_from(new),
        };
        from = earlier(from, differs);
    }
    let forks = (before.forks.get(device), after.forks.get(device));
    let first = |fork: Option<&BTreeSet<(u64, EntryId)>>| {
        fork.and_then(|forked| forked.first()).map(|(seq, _)| *seq)
    };
    let fork = earlier(first(forks.0), first(forks.1));
    // On a forked log places on different branches differ from the fork on.
    if from.is_some() || forks.0 != forks.1 { earlier(from, fork) } else { None }
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Authority {
    fn members_of(&self, device: &DeviceId) -> BTreeSet<MemberId> {
        let openings = self.grounds.openings.get(device).into_iter().flatten();
        openings.map(|opening| opening.member).collect()
    }

    /// Grants of both evaluations by whose they are.
    fn by_subject(&self, other: &Self) -> BTreeMap<MemberId, BTreeSet<GrantId>> {
        let mut grants: BTreeMap<MemberId, BTreeSet<GrantId>> = BTreeMap::new();
        for (id, granted) in self.grounds.grants.iter().chain(&other.grounds.grants) {
            grants.entry(granted.subject).or_default().insert(*id);
        }
        grants
    }
}
