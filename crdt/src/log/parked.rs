//! Entries that have to wait: for the entry before them (L2), or, if they open a log, for a grant
//! of their member (L3). Bounded; the oldest go first. Nothing parked is stored or relayed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::id::{EntryId, MemberId};
use crate::limits::{PARKED_BYTES, PARKED_ENTRIES};
use crate::log::run::{Entry, Verified};

/// What an entry waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Awaited {
    /// The entry before it.
    Entry(EntryId),
    /// A grant of this member.
    GrantOf(MemberId),
}

/// The waiting room.
#[derive(Debug, Default)]
pub struct Parked {
    waiting: BTreeMap<EntryId, (Awaited, Verified<Entry>)>,
    by_awaited: BTreeMap<Awaited, BTreeSet<EntryId>>,
    order: VecDeque<EntryId>,
    bytes: usize,
}

impl Parked {
    /// Lets an entry wait. If the room is full, the one that has waited longest has to go.
    pub fn park(&mut self, awaited: Awaited, entry: Verified<Entry>) {
        let id = entry.get().id;
        if self.waiting.contains_key(&id) {
            return;
        }
        self.bytes = self.bytes.saturating_add(size(&entry));
        while self.waiting.len() >= PARKED_ENTRIES || self.bytes > PARKED_BYTES {
            match self.order.pop_front() {
                Some(oldest) => drop(self.take(oldest)),
                None => break,
            }
        }
        self.by_awaited.entry(awaited).or_default().insert(id);
        self.waiting.insert(id, (awaited, entry));
        self.order.push_back(id);
    }

    /// Calls out those that waited for this.
    pub fn release(&mut self, awaited: Awaited) -> Vec<Verified<Entry>> {
        let ids = self.by_awaited.remove(&awaited).unwrap_or_default();
        let released: Vec<_> = ids.into_iter().filter_map(|id| self.take(id)).collect();
        // Ids that left stay in the queue until it is twice the bound; then they are swept out.
        if self.order.len() > PARKED_ENTRIES.saturating_mul(2) {
            let waiting = &self.waiting;
            self.order.retain(|id| waiting.contains_key(id));
        }
        released
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take(&mut self, id: EntryId) -> Option<Verified<Entry>> {
        let (awaited, entry) = self.waiting.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(size(&entry));
        if let Some(ids) = self.by_awaited.get_mut(&awaited) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_awaited.remove(&awaited);
            }
        }
        Some(entry)
    }
}

/// Bytes of an entry's payload.
fn size(entry: &Verified<Entry>) -> usize {
    entry.get().payload.as_ref().map_or(0, Vec::len)
}
