//! Frontiers (S2): device → the ends of its log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::codec::{self, List, Map};
use crate::crypto::domain;
use crate::id::{DeviceId, EntryId, GroupId};
use crate::limits::{DEVICES, FORK_BRANCHES};
use crate::log::entry::Header;
use crate::log::set::LogSet;

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
        for (device, log) in set.logs() {
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
            tips.insert(device, List::new(whole.into_iter().collect()).unwrap_or_default());
        }
        Self(Map::new(tips).unwrap_or_default())
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self, group: GroupId) -> FrontierDigest {
        FrontierDigest(domain::hash(domain::FRONTIER, &[group.as_bytes(), &codec::encode(self)]))
    }
}
