//! Frontiers (S2): device → the ends of its log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::codec::{self, List, Map};
use crate::crypto::domain;
use crate::id::{DeviceId, EntryId, GroupId, MemberId};
use crate::limits::{DEVICES, FORK_BRANCHES};
use crate::log::entry::{Control, Header};
use crate::log::set::{Log, LogSet};

/// One end of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub struct Tip {
    /// Its sequence number.
    pub seq: u64,
    /// The entry.
    pub entry: EntryId,
}

/// The ends of every log that a replica holds. Equal frontiers, equal sets of rooted entries.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Frontier(pub Map<DeviceId, List<Tip, FORK_BRANCHES>, DEVICES>);

/// Hash of a frontier. Equal exactly when two replicas hold the same set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FrontierDigest(pub [u8; 32]);

impl Frontier {
    /// The frontier of a set.
    #[must_use]
    pub fn of(set: &LogSet) -> Self {
        let mut tips = BTreeMap::new();
        for (device, log) in shown(set) {
            let ends: Vec<Tip> =
                log.heads().iter().map(|(seq, entry)| Tip { seq: *seq, entry: *entry }).collect();
            tips.insert(*device, List::new(ends).unwrap_or_default());
        }
        Self(Map::new(tips).unwrap_or_default())
    }

    /// The frontier of what a device holds with its payloads (S6): of a log that lacks some, up to
    /// the entry before the first of them. Whoever withholds a payload holds up their own log only.
    #[must_use]
    pub fn whole(set: &LogSet, missing: &BTreeMap<EntryId, Header>) -> Self {
        let mut first: BTreeMap<DeviceId, u64> = BTreeMap::new();
        for header in missing.values() {
            let seq = first.entry(header.device).or_insert(header.seq);
            *seq = header.seq.min(*seq);
        }
        let mut tips = Self::of(set).0.into_map();
        for (device, seq) in first {
            let (Some(log), Some(before)) = (set.log(&device), seq.checked_sub(1)) else {
                tips.remove(&device);
                continue;
            };
            let heads = log.heads().iter().filter_map(|(head_seq, head)| {
                let at = before.min(*head_seq);
                Some(Tip { seq: at, entry: log.ancestor(*head_seq, head, at)? })
            });
            let whole: BTreeSet<Tip> = heads.collect();
            if let Some(tips) = tips.get_mut(&device) {
                *tips = List::new(whole.into_iter().collect()).unwrap_or_default();
            }
        }
        Self(Map::new(tips).unwrap_or_default())
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self, group: GroupId) -> FrontierDigest {
        FrontierDigest(domain::hash(domain::FRONTIER, &[group.as_bytes(), &codec::encode(self)]))
    }
}

/// The logs that a frontier names: all, unless there are more than it can. Then those first that
/// come first among the devices of their member, so that whoever opens logs without end hides
/// their own, and everybody else still meets.
fn shown(set: &LogSet) -> Vec<(&DeviceId, &Log)> {
    if set.logs().len() <= DEVICES {
        return set.logs().iter().collect();
    }
    let mut devices: BTreeMap<MemberId, BTreeSet<(u32, DeviceId)>> = BTreeMap::new();
    for (id, control) in set.control() {
        if let (Control::Card(card), Some((device, 0))) = (control, set.place_of(id)) {
            devices.entry(card.member).or_default().insert((card.index, device));
        }
    }
    let mut first: BTreeMap<DeviceId, usize> = BTreeMap::new();
    for of_member in devices.into_values() {
        for (place, (_, device)) in of_member.into_iter().enumerate() {
            let best = first.entry(device).or_insert(place);
            *best = place.min(*best);
        }
    }
    let mut logs: Vec<_> = set.logs().iter().collect();
    // The founder's log opens with the genesis.
    logs.sort_by_key(|(device, _)| (first.get(device).copied().unwrap_or_default(), **device));
    logs.truncate(DEVICES);
    logs
}
