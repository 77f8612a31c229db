//! The set of rooted entries (L2): every log as a tree of headers, in memory.
//!
//! Of a content entry only its place in the chain is kept; of a control entry the payload too. A
//! fork is kept, up to a bound that depends on the set alone (L8).

use std::collections::{BTreeMap, BTreeSet};

use crate::capability::revocation::PinRight;
use crate::crypto::domain;
use crate::id::{DeviceId, EntryId, GrantId, GroupId};
use crate::identity::device::Rotate;
use crate::identity::member;
use crate::limits::FORK_BRANCHES;
use crate::log::entry::{Control, Kind, Seen};
use crate::log::run::{Entry, Verified};

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

/// All rooted entries of a group.
#[derive(Clone, Debug)]
pub struct LogSet {
    group: GroupId,
    logs: BTreeMap<DeviceId, Log>,
    places: BTreeMap<EntryId, (DeviceId, u64)>,
    control: BTreeMap<EntryId, Control>,
    seen: Seen,
}

/// What became of an entry that was offered to the set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Inserted {
    /// It is in the set. The entries named had to go in its place (L8).
    New {
        /// Branches past the bound, with all that followed on them.
        evicted: Vec<EntryId>,
    },
    /// It was there already.
    Known,
    /// The entry before it is not there: it has to wait (L2).
    Unrooted,
}

/// Why an entry cannot be in any set. Always its author's fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EntryRefused {
    /// `seq` is not that of the entry before it plus one, or its log is another (L2).
    #[error("L2: an entry does not continue its log")]
    BrokenChain,
    /// A control payload is not canonical (L4).
    #[error("L4: a control payload is not in canonical form")]
    NotCanonical,
    /// A log opens with something other than a card or the genesis (I2).
    #[error("I2: a log opens with neither a card nor the genesis")]
    NoCard,
    /// A signature inside a card, rotation, unlinking or pin does not hold (I2, A6, A8).
    #[error("I2: a signature inside an entry does not hold")]
    BadInnerSignature,
    /// A branch past the bound on forks (L8).
    #[error("L8: too many branches of one log")]
    TooManyBranches,
}

impl LogSet {
    /// The empty set of a group.
    #[must_use]
    pub const fn new(group: GroupId) -> Self {
        Self {
            group,
            logs: BTreeMap::new(),
            places: BTreeMap::new(),
            control: BTreeMap::new(),
            seen: Seen { count: 0, digest: [0; 16] },
        }
    }

    /// Adds an entry if the one before it is there.
    ///
    /// # Errors
    /// When it can be in no set.
    pub fn insert(&mut self, entry: &Verified<Entry>) -> Result<Inserted, EntryRefused> {
        let Entry { id, header, payload, .. } = entry.get();
        if self.places.contains_key(id) {
            return Ok(Inserted::Known);
        }
        let control = match payload {
            Some(payload) if header.kind.is_control() => Some(
                Control::decode(header.kind, payload).map_err(|_| EntryRefused::NotCanonical)?,
            ),
            _ => None,
        };
        if control
            .as_ref()
            .is_some_and(|control| !signed_inside(self.group, header.device, control))
        {
            return Err(EntryRefused::BadInnerSignature);
        }
        if header.seq == 0 {
            if header.prev != EntryId::NONE {
                return Err(EntryRefused::BrokenChain);
            }
            let genesis = header.kind == Kind::GENESIS && header.group() == self.group;
            if header.kind != Kind::CARD && !genesis {
                return Err(EntryRefused::NoCard);
            }
        } else {
            match self.places.get(&header.prev) {
                None => return Ok(Inserted::Unrooted),
                Some((device, seq)) => {
                    if *device != header.device || seq.checked_add(1) != Some(header.seq) {
                        return Err(EntryRefused::BrokenChain);
                    }
                }
            }
        }
        let slot = Slot {
            prev: header.prev,
            grant: header.grant,
            kind: header.kind,
            seen: header.seen.count,
        };
        let evicted = self.place(*id, header.device, header.seq, slot, control);
        if evicted.contains(id) {
            Err(EntryRefused::TooManyBranches)
        } else {
            Ok(Inserted::New { evicted })
        }
    }

    /// Puts back what the set held before, from the store: no check is made again.
    pub fn restore(
        &mut self,
        id: EntryId,
        device: DeviceId,
        seq: u64,
        slot: Slot,
        control: Option<Control>,
    ) {
        self.place(id, device, seq, slot, control);
    }

    fn place(
        &mut self,
        id: EntryId,
        device: DeviceId,
        seq: u64,
        slot: Slot,
        control: Option<Control>,
    ) -> Vec<EntryId> {
        let log = self.logs.entry(device).or_default();
        log.add(seq, id, slot);
        self.places.insert(id, (device, seq));
        if let Some(control) = control {
            self.seen = self.seen.with(id);
            self.control.insert(id, control);
        }
        let evicted = log.evict();
        for gone in &evicted {
            self.places.remove(gone);
            if self.control.remove(gone).is_some() {
                // Exclusive or: adding the same id again takes it out.
                let digest = self.seen.with(*gone).digest;
                self.seen = Seen { count: self.seen.count.saturating_sub(1), digest };
            }
        }
        evicted
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// The logs by device.
    #[must_use]
    pub const fn logs(&self) -> &BTreeMap<DeviceId, Log> {
        &self.logs
    }

    /// One device's log.
    #[must_use]
    pub fn log(&self, device: &DeviceId) -> Option<&Log> {
        self.logs.get(device)
    }

    /// Where an entry is: its device and sequence number.
    #[must_use]
    pub fn place_of(&self, entry: &EntryId) -> Option<(DeviceId, u64)> {
        self.places.get(entry).copied()
    }

    /// An entry's slot.
    #[must_use]
    pub fn slot(&self, entry: &EntryId) -> Option<&Slot> {
        let (device, seq) = self.places.get(entry)?;
        self.logs.get(device)?.slot(*seq, entry)
    }

    /// Whether the set holds an entry.
    #[must_use]
    pub fn contains(&self, entry: &EntryId) -> bool {
        self.places.contains_key(entry)
    }

    /// The payloads of all control entries by id.
    #[must_use]
    pub const fn control(&self) -> &BTreeMap<EntryId, Control> {
        &self.control
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Count and digest of the control entries.
    #[must_use]
    pub const fn seen(&self) -> Seen {
        self.seen
    }
}

/// Whether the signatures that a payload carries hold. They depend on the entry alone, so that
/// checking them once, here, leaves the same set everywhere. Root acts depend on the council in
/// force and are checked by the evaluation (A10).
fn signed_inside(group: GroupId, device: DeviceId, control: &Control) -> bool {
    let own = |label, member, (device, seq, entry), signature| {
        member::verify_cut_of_own(label, group, member, (device, seq, entry), signature).is_ok()
    };
    match control {
        Control::Card(card) => member::verify_card(group, device, card).is_ok(),
        Control::Rotate(Rotate::Transport { key, signature }) => {
            member::verify_transport(group, device, *key, signature).is_ok()
        }
        Control::Unlink(unlink) => own(
            domain::SIGN_UNLINK,
            unlink.member,
            (unlink.device, unlink.seq, unlink.entry),
            &unlink.signature,
        ),
        Control::Pin(pin) => match &pin.by {
            PinRight::Rank => true,
            PinRight::Member(member, signature) => {
                let head = (pin.device, pin.head.seq, pin.head.entry);
                own(domain::SIGN_PIN, *member, head, signature)
            }
        },
        _ => true,
    }
}

impl Log {
    fn add(&mut self, seq: u64, id: EntryId, slot: Slot) {
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
    fn evict(&mut self) -> Vec<EntryId> {
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
