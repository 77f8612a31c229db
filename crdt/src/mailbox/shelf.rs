//! What is known to lie in one mailbox: its records, and which entries they hold.
//!
//! From it follows what is still to be put there, what has to be put anew because it was erased
//! since, and what the keeper withholds. It is remembered record by record in the store.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::codec::{self, List};
use crate::id::{DeviceId, EntryId, EpochId, RecordId};
use crate::limits::{RECORD_STRETCHES, RUN_ENTRIES, SHELF_RECORDS};
use crate::log::set::LogSet;
use crate::time::Timestamp;

/// Bytes of a written [`Kept`].
const KEPT_BYTES: usize = 128 * 1024;

/// One record, as this device remembers it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The epoch that it is sealed under; `None` if it did not open.
    pub epoch: Option<EpochId>,
    /// When it was put, renewed or first seen.
    pub since: Timestamp,
    /// The entries that it holds whole, in stretches of one log.
    pub holds: List<Stretch, RECORD_STRETCHES>,
}

/// Entries that follow one another in one log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// The last.
    pub head: EntryId,
    /// How many.
    pub count: u16,
}

/// The stretches of entries that runs hold whole: with their payload, or of which `dropped` says that
/// nobody is to have it. Of each run its entries in order, with whether their payload is there.
#[must_use]
pub fn stretches(
    runs: &[Vec<(EntryId, bool)>],
    dropped: impl Fn(&EntryId) -> bool,
) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    for run in runs {
        let mut open = false;
        for (id, whole) in run.iter().copied() {
            if !whole && !dropped(&id) {
                open = false;
                continue;
            }
            match found.last_mut().filter(|last| open && last.count < u16::MAX) {
                Some(last) => {
                    *last = Stretch { head: id, count: last.count.saturating_add(1) };
                }
                None => found.push(Stretch { head: id, count: 1 }),
            }
            open = true;
        }
    }
    found
}

impl Kept {
    /// For the store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// From the store.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        codec::decode(bytes, KEPT_BYTES).ok()
    }

    /// The entries, of those that the set has.
    fn entries(&self, set: &LogSet) -> Vec<EntryId> {
        let mut found = Vec::new();
        for Stretch { head, count } in self.holds.iter() {
            let mut at = *head;
            for _ in 0..*count {
                let Some(slot) = set.slot(&at) else { break };
                found.push(at);
                at = slot.prev;
            }
        }
        found
    }
}

/// What is known of one mailbox.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    records: BTreeMap<RecordId, Kept>,
    /// Entries with the records that hold them.
    covered: BTreeSet<(EntryId, RecordId)>,
    /// Entries of the set that no record is known to hold, by log.
    lacking: BTreeSet<(DeviceId, u64, EntryId)>,
    /// Records that hold what was erased since.
    stale: BTreeSet<RecordId>,
    /// The ends of stretches that the set does not have yet, with their records.
    awaited: BTreeSet<(EntryId, RecordId)>,
}

impl Shelf {
    /// What is known from before, for the entries that the set has now. A record with entries that
    /// the set does not have is not known: they were waiting for others, and are to be read again.
    #[must_use]
    pub fn restore(set: &LogSet, mut records: BTreeMap<RecordId, Kept>) -> Self {
        records.retain(|_, kept| kept.holds.iter().all(|stretch| set.contains(&stretch.head)));
        let mut shelf = Self { records, ..Self::default() };
        for (id, kept) in &shelf.records {
            shelf.covered.extend(kept.entries(set).into_iter().map(|entry| (entry, *id)));
        }
        for (device, log) in set.logs() {
            let all = log.iter().map(|(seq, id, _)| (*device, seq, id));
            let lacking: Vec<_> = all.filter(|(_, _, id)| !shelf.holds(id)).collect();
            shelf.lacking.extend(lacking);
        }
        shelf
    }

    /// An entry came into the set.
    pub fn grow(&mut self, set: &LogSet, device: DeviceId, seq: u64, entry: EntryId) {
        if !self.holds(&entry) {
            self.lacking.insert((device, seq, entry));
        }
        // It may end what a record holds that was read before its time.
        let records = of_entry(&self.awaited, &entry);
        for record in records {
            self.awaited.remove(&(entry, record));
            if let Some(kept) = self.records.get(&record) {
                let entries = kept.entries(set);
                self.cover(set, record, entries);
            }
        }
    }

    /// A record lies there.
    pub fn learn(&mut self, set: &LogSet, record: RecordId, kept: Kept) {
        let heads = kept.holds.iter().map(|stretch| stretch.head);
        let awaited = heads.filter(|head| !set.contains(head)).map(|head| (head, record));
        self.awaited.extend(awaited);
        self.cover(set, record, kept.entries(set));
        self.records.insert(record, kept);
    }

    fn cover(&mut self, set: &LogSet, record: RecordId, entries: Vec<EntryId>) {
        for entry in entries {
            self.covered.insert((entry, record));
            if let Some((device, seq)) = set.place_of(&entry) {
                self.lacking.remove(&(device, seq, entry));
            }
        }
    }

    /// A record does not lie there any more. What it was, if it was known.
    pub fn lose(&mut self, set: &LogSet, record: &RecordId) -> Option<Kept> {
        let kept = self.records.remove(record)?;
        self.stale.remove(record);
        for stretch in kept.holds.iter() {
            self.awaited.remove(&(stretch.head, *record));
        }
        for entry in kept.entries(set) {
            self.covered.remove(&(entry, *record));
            if !self.holds(&entry)
                && let Some((device, seq)) = set.place_of(&entry)
            {
                self.lacking.insert((device, seq, entry));
            }
        }
        Some(kept)
    }

    /// An entry's payload was erased: every record that holds it is to be replaced.
    pub fn erase(&mut self, entry: &EntryId) {
        self.stale.extend(of_entry(&self.covered, entry));
    }

    /// A record brought a payload that was erased before: it is to be replaced.
    pub fn spoil(&mut self, record: RecordId) {
        if self.records.contains_key(&record) {
            self.stale.insert(record);
        }
    }

    /// Whether anything that a record holds is one of those.
    #[must_use]
    pub fn holds_any(set: &LogSet, kept: &Kept, of: &BTreeSet<EntryId>) -> bool {
        kept.entries(set).iter().any(|entry| of.contains(entry))
    }

    /// Records that hold what was erased.
    #[must_use]
    pub const fn stale(&self) -> &BTreeSet<RecordId> {
        &self.stale
    }

    /// Whether an entry lies there.
    #[must_use]
    pub fn holds(&self, entry: &EntryId) -> bool {
        let (first, last) = records_of(entry);
        self.covered.range(first..=last).next().is_some()
    }

    /// A record.
    #[must_use]
    pub fn record(&self, record: &RecordId) -> Option<&Kept> {
        self.records.get(record)
    }

    /// How many records more are remembered.
    #[must_use]
    pub fn room(&self) -> usize {
        SHELF_RECORDS.saturating_sub(self.records.len())
    }

    /// A record, to note when it was renewed.
    pub fn record_mut(&mut self, record: &RecordId) -> Option<&mut Kept> {
        self.records.get_mut(record)
    }

    /// All records.
    #[must_use]
    pub const fn records(&self) -> &BTreeMap<RecordId, Kept> {
        &self.records
    }

    /// Entries that are in no record, by log and place.
    #[must_use]
    pub const fn lacking(&self) -> &BTreeSet<(DeviceId, u64, EntryId)> {
        &self.lacking
    }

    /// Those of one device's log.
    pub fn lacking_of(
        &self,
        device: DeviceId,
    ) -> impl Iterator<Item = &(DeviceId, u64, EntryId)> + '_ {
        let first = (device, 0, EntryId::from_bytes([0; 32]));
        self.lacking.range(first..).take_while(move |(of, ..)| *of == device)
    }

    /// What is to be put: for each log that has something lacking that `ready` lets through, all
    /// that is lacking, up to the ends of the log: without what is before an entry nobody can take
    /// it. Of those about as many as `limit` in all. Entries that the set has no more are forgotten.
    pub fn to_put(
        &mut self,
        set: &LogSet,
        limit: usize,
        ready: impl Fn(&EntryId) -> bool,
    ) -> Vec<Vec<EntryId>> {
        let mut paths: Vec<Vec<EntryId>> = Vec::new();
        let mut chosen: BTreeSet<EntryId> = BTreeSet::new();
        let (mut gone, mut left) = (Vec::new(), limit);
        let devices: BTreeSet<DeviceId> =
            self.lacking.iter().filter(|(.., id)| ready(id)).map(|(device, ..)| *device).collect();
        for place in self.lacking.iter().filter(|(device, ..)| devices.contains(device)) {
            let (device, seq, entry) = *place;
            if left == 0 {
                break;
            }
            if !set.contains(&entry) {
                gone.push(*place);
                continue;
            }
            if chosen.contains(&entry) {
                continue;
            }
            let mut path = path_from(set, &device, seq, &entry);
            // What is before the first that is ready goes along; of the rest only so much.
            let first = path.iter().position(|id| ready(id) && !self.holds(id));
            let first = first.unwrap_or_default();
            path.truncate(first.saturating_add(left.max(RUN_ENTRIES)));
            left = left.saturating_sub(path.len());
            chosen.extend(path.iter().copied());
            paths.push(path);
        }
        for place in gone {
            self.lacking.remove(&place);
        }
        paths
    }
}

/// The least and the greatest pair that an entry and a record can make.
const fn records_of(entry: &EntryId) -> ((EntryId, RecordId), (EntryId, RecordId)) {
    ((*entry, RecordId::from_bytes([0; 32])), (*entry, RecordId::from_bytes([u8::MAX; 32])))
}

fn of_entry(pairs: &BTreeSet<(EntryId, RecordId)>, entry: &EntryId) -> Vec<RecordId> {
    let (first, last) = records_of(entry);
    pairs.range(first..=last).map(|(_, record)| *record).collect()
}

/// The entries of a log from this one on, along the branch that leads to the highest end.
fn path_from(set: &LogSet, device: &DeviceId, seq: u64, entry: &EntryId) -> Vec<EntryId> {
    let Some(log) = set.log(device) else { return Vec::new() };
    let heads = log.heads().iter().rev();
    let mut ends = heads.filter(|(at, head)| log.on_path(*at, head, seq, entry));
    let Some((end, head)) = ends.next() else { return Vec::new() };
    let (mut at, mut id) = (*end, *head);
    let mut path = vec![id];
    while at > seq {
        let Some(slot) = log.slot(at, &id) else { break };
        id = slot.prev;
        at = at.saturating_sub(1);
        path.push(id);
    }
    path.reverse();
    path
}
