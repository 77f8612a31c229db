//! One device's log: a chain of headers, or a tree if the device forked it (L8).

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{EntryId, GrantId};
use crate::limits::FORK_BRANCHES;
use crate::log::entry::Kind;

/// An entry's place in its log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Slot {
    /// The entry before it.
    pub prev: EntryId,
    /// The grant that it is exercised under.
    pub grant: GrantId,
    /// What it is.
    pub kind: Kind,
    /// How many control entries its author had seen (K2).
    pub seen: u32,
}

/// One device's log: a chain, or a tree if the device forked it.
#[derive(Clone, Debug, Default)]
pub struct Log {
    slots: BTreeMap<(u64, EntryId), Slot>,
    heads: BTreeSet<(u64, EntryId)>,
    /// Children of every `prev` that has more than one.
    forked: BTreeSet<(u64, EntryId)>,
}

impl Log {
    pub(super) fn add(&mut self, seq: u64, id: EntryId, slot: Slot) {
        let siblings: Vec<(u64, EntryId)> = self
            .at(seq)
            .filter(|(_, other)| other.prev == slot.prev)
            .map(|(id, _)| (seq, id))
            .collect();
        if !siblings.is_empty() {
            self.forked.extend(siblings);
            self.forked.insert((seq, id));
        }
        if let Some(before) = seq.checked_sub(1) {
            self.heads.remove(&(before, slot.prev));
        }
        // A restored log may come in any order of branches, but parents first; a head is what
        // has no child.
        self.heads.insert((seq, id));
        self.slots.insert((seq, id), slot);
    }

    /// Drops branches past the bound: the highest and largest first.
    pub(super) fn evict(&mut self) -> Vec<EntryId> {
        let mut gone = Vec::new();
        while self.forked.len() > FORK_BRANCHES {
            let Some((seq, id)) = self.forked.last().copied() else { break };
            let prev = self.slots.get(&(seq, id)).map(|slot| slot.prev);
            let mut doomed = BTreeSet::from([id]);
            let mut level = seq;
            self.remove(seq, id);
            gone.push(id);
            let left: Vec<EntryId> = self
                .at(seq)
                .filter(|(_, slot)| Some(slot.prev) == prev)
                .map(|(id, _)| id)
                .collect();
            if let [only] = left.as_slice() {
                self.forked.remove(&(seq, *only));
            }
            while !doomed.is_empty() {
                let Some(next) = level.checked_add(1) else { break };
                let children: Vec<EntryId> = self
                    .at(next)
                    .filter(|(_, slot)| doomed.contains(&slot.prev))
                    .map(|(id, _)| id)
                    .collect();
                for child in &children {
                    self.remove(next, *child);
                    gone.push(*child);
                }
                doomed = children.into_iter().collect();
                level = next;
            }
        }
        gone
    }

    fn remove(&mut self, seq: u64, id: EntryId) {
        self.forked.remove(&(seq, id));
        self.heads.remove(&(seq, id));
        self.slots.remove(&(seq, id));
    }

    /// The entries with this sequence number: more than one if the log is forked at or before it.
    pub fn at(&self, seq: u64) -> impl Iterator<Item = (EntryId, &Slot)> {
        self.between(seq, seq)
    }

    /// The entries from one sequence number to another, both included; none if `to` is below
    /// `from`.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = (EntryId, &Slot)> {
        let first = (from, EntryId::from_bytes([0; 32]));
        let last = (to.max(from), EntryId::from_bytes([0xff; 32]));
        self.slots
            .range(first..=last)
            .filter(move |_| from <= to)
            .map(|((_, id), slot)| (*id, slot))
    }

    /// All entries by rising sequence number.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, EntryId, &Slot)> {
        self.slots.iter().map(|((seq, id), slot)| (*seq, *id, slot))
    }

    /// The slot of an entry.
    #[must_use]
    pub fn slot(&self, seq: u64, id: &EntryId) -> Option<&Slot> {
        self.slots.get(&(seq, *id))
    }

    /// The entries that no other follows, by rising sequence number. One, unless forked.
    #[must_use]
    pub const fn heads(&self) -> &BTreeSet<(u64, EntryId)> {
        &self.heads
    }

    /// The ids of all its entries, which go with it.
    pub(super) fn into_ids(self) -> impl Iterator<Item = EntryId> {
        self.slots.into_keys().map(|(_, id)| id)
    }

    /// How many entries there are, on all branches.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Children of every `prev` that has more than one, by rising sequence number.
    #[must_use]
    pub const fn forked(&self) -> &BTreeSet<(u64, EntryId)> {
        &self.forked
    }

    /// The lowest sequence number at which there are two branches.
    #[must_use]
    pub fn fork_seq(&self) -> Option<u64> {
        self.forked.first().map(|(seq, _)| *seq)
    }

    /// The ancestor of a held entry at `seq` (itself, if that is its own). `None` if the entry is
    /// not held or `seq` is above it.
    #[must_use]
    pub fn ancestor(&self, head_seq: u64, head: &EntryId, seq: u64) -> Option<EntryId> {
        if seq > head_seq || !self.slots.contains_key(&(head_seq, *head)) {
            return None;
        }
        let unforked = self.fork_seq().is_none_or(|fork| seq < fork);
        if unforked {
            return self.at(seq).next().map(|(id, _)| id);
        }
        let (mut at, mut id) = (head_seq, *head);
        while at > seq {
            id = self.slots.get(&(at, id))?.prev;
            at = at.checked_sub(1)?;
        }
        Some(id)
    }

    /// Whether `entry` at `seq` lies on the path from the log's first entry to `head`, ends
    /// included.
    #[must_use]
    pub fn on_path(&self, head_seq: u64, head: &EntryId, seq: u64, entry: &EntryId) -> bool {
        self.ancestor(head_seq, head, seq).as_ref() == Some(entry)
    }
}
