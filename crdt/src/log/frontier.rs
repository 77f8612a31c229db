//! Frontiers (S2): device → the ends of its log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::{self, List, Map};
use crate::crypto::domain;
use crate::id::{DeviceId, EntryId, GroupId};
use crate::limits::{DEVICES, FORK_BRANCHES};
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

    /// Its digest.
    #[must_use]
    pub fn digest(&self, group: GroupId) -> FrontierDigest {
        FrontierDigest(domain::hash(domain::FRONTIER, &[group.as_bytes(), &codec::encode(self)]))
    }
}
