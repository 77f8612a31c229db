//! The set of rooted entries (L2), in memory: the logs of all devices.
//!
//! Of a content entry only its place in the chain is kept; of a control entry the payload too. A
//! fork is kept, and so are the logs of a member, up to bounds that depend on the set alone (L8).

use std::collections::{BTreeMap, BTreeSet};

use crate::capability::revocation::PinRight;
use crate::crypto::domain;
use crate::id::{DeviceId, EntryId, GroupId, MemberId};
use crate::identity::device::{Card, Rotate};
use crate::identity::member;
use crate::limits::MEMBER_LOGS;
use crate::log::entry::{Control, Kind, Seen};
use crate::log::run::{Entry, Verified};
pub use crate::log::tree::{Log, Slot};

/// All rooted entries of a group.
#[derive(Clone, Debug)]
pub struct LogSet {
    group: GroupId,
    logs: BTreeMap<DeviceId, Log>,
    places: BTreeMap<EntryId, (DeviceId, u64)>,
    control: BTreeMap<EntryId, Control>,
    /// The logs of each member, by the cards that open them.
    of_member: BTreeMap<MemberId, BTreeSet<(u32, DeviceId)>>,
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
    /// It opens one log more than are kept of its member (L8). Whoever passes it on may not know.
    Surplus,
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
            of_member: BTreeMap::new(),
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
        let mut evicted = self.place(*id, header.device, header.seq, slot, control);
        if evicted.contains(id) {
            return Err(EntryRefused::TooManyBranches);
        }
        if header.kind == Kind::CARD && header.seq == 0 {
            evicted.extend(self.evict_logs(id));
        }
        if self.contains(id) { Ok(Inserted::New { evicted }) } else { Ok(Inserted::Surplus) }
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
        let opens = seq == 0 && slot.kind == Kind::CARD;
        self.place(id, device, seq, slot, control);
        if opens {
            self.note_log(&id);
        }
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
        self.forget(&evicted);
        evicted
    }

    /// A card opens a log: among those of its member.
    fn note_log(&mut self, card: &EntryId) -> Option<MemberId> {
        let Some(Control::Card(Card { member, index, .. })) = self.control.get(card) else {
            return None;
        };
        let (device, _) = self.places.get(card)?;
        self.of_member.entry(*member).or_default().insert((*index, *device));
        Some(*member)
    }

    /// Of a member who opens logs without end those of the lowest index are kept, then of the
    /// smallest id: so that what is kept depends on the set alone (L8).
    fn evict_logs(&mut self, card: &EntryId) -> Vec<EntryId> {
        let mut evicted = Vec::new();
        let member = self.note_log(card);
        let Some(logs) = member.and_then(|member| self.of_member.get_mut(&member)) else {
            return evicted;
        };
        while logs.len() > MEMBER_LOGS {
            let Some((_, device)) = logs.pop_last() else { break };
            let log = self.logs.remove(&device).unwrap_or_default();
            evicted.extend(log.into_ids());
        }
        self.forget(&evicted);
        evicted
    }

    fn forget(&mut self, evicted: &[EntryId]) {
        for gone in evicted {
            self.places.remove(gone);
            if self.control.remove(gone).is_some() {
                // Exclusive or: adding the same id again takes it out.
                let digest = self.seen.with(*gone).digest;
                self.seen = Seen { count: self.seen.count.saturating_sub(1), digest };
            }
        }
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
