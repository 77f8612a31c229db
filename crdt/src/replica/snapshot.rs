//! What the store hands back when a group is opened: places and secrets, nothing to rebuild.

use zeroize::Zeroizing;

use crate::id::{DeviceId, DocumentId, EntryId, EpochId, GroupId};
use crate::log::entry::Header;
use crate::log::set::Slot;
use crate::replica::keepers::KeeperSnapshot;
use crate::time::Timestamp;

/// A group as the store holds it.
#[derive(Clone)]
pub struct Snapshot {
    /// The group.
    pub group: GroupId,
    /// The last [`super::effect::Write::Persona`].
    pub persona: Zeroizing<Vec<u8>>,
    /// Every entry, by device and rising sequence number.
    pub entries: Vec<SnapshotEntry>,
    /// Headers of the content entries whose payload is neither there nor erased.
    pub missing: Vec<(EntryId, Header)>,
    /// Every document of a [`super::effect::Write::Stale`] without a row after it.
    pub stale: Vec<DocumentId>,
    /// Every [`super::effect::Write::Epoch`] not forgotten.
    pub epochs: Vec<(EpochId, Zeroizing<[u8; 32]>)>,
    /// The bytes of every request that waits.
    pub requests: Vec<Vec<u8>>,
    /// The bytes of every receipt.
    pub receipts: Vec<Vec<u8>>,
    /// What is remembered of keepers.
    pub keepers: Vec<KeeperSnapshot>,
}

/// An entry as the store holds it.
#[derive(Clone, Debug)]
pub struct SnapshotEntry {
    /// Its id.
    pub id: EntryId,
    /// Whose log.
    pub device: DeviceId,
    /// When it came to this device.
    pub arrived: Timestamp,
    /// Position in the log.
    pub seq: u64,
    /// Its place in the chain.
    pub slot: Slot,
    /// The payload, for control.
    pub control: Option<Vec<u8>>,
    /// For content: what is there of it.
    pub content: Option<SnapshotContent>,
}

/// What the store holds of a content entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SnapshotContent {
    /// Whether its payload is there.
    pub payload: bool,
    /// The epoch that it is sealed under.
    pub epoch: EpochId,
    /// The document, if its envelope was opened.
    pub document: Option<DocumentId>,
    /// If it created that document: the kind, from [`super::effect::Write::Envelope`].
    pub creates: Option<u8>,
}
