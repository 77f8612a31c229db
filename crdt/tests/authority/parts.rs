//! A group's entries read once, to be put together into many sets.
//!
//! Whether the signatures inside an entry hold depends on the entry alone, so they are checked
//! when it is read, by the same `insert` that every replica uses, and not again for each set.

use std::collections::BTreeSet;

use cairn_crdt::capability::grant::RootAction;
use cairn_crdt::capability::revocation::Cut;
use cairn_crdt::id::{DeviceId, EntryId, GroupId};
use cairn_crdt::log::entry::{Control, Kind};
use cairn_crdt::log::set::{LogSet, Slot};

use crate::people::Group;
use crate::random::Dice;

#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) id: EntryId,
    pub(crate) device: DeviceId,
    pub(crate) seq: u64,
    pub(crate) slot: Slot,
    pub(crate) control: Option<Control>,
}

#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) group: GroupId,
    /// In the order in which they were written.
    pub(crate) all: Vec<Part>,
}

impl Parts {
    /// Reads what a set took. `opened`: a set that holds the beginning of the group already.
    pub(crate) fn of(group: &Group, opened: LogSet) -> Self {
        let mut set = opened;
        for entry in &group.entries {
            set.insert(entry).unwrap();
        }
        let all = group.entries.iter().map(|entry| {
            let entry = entry.get();
            let slot = *set.slot(&entry.id).unwrap();
            let control = set.control().get(&entry.id).cloned();
            let (device, seq) = (entry.header.device, entry.header.seq);
            Part { id: entry.id, device, seq, slot, control }
        });
        Self { group: group.id, all: all.collect() }
    }

    /// All of them, in the order in which they were written.
    pub(crate) fn set(&self) -> LogSet {
        self.gather(&self.all.iter().collect::<Vec<_>>())
    }

    /// Puts parts into a set in this order, repeated ones too; what cannot be rooted yet waits,
    /// and is left out if it never can.
    pub(crate) fn gather(&self, order: &[&Part]) -> LogSet {
        let mut set = LogSet::new(self.group);
        self.add(&mut set, order);
        set
    }

    /// As [`Self::gather`], to a set that holds something already.
    pub(crate) fn add(&self, set: &mut LogSet, order: &[&Part]) {
        let mut waiting: Vec<&Part> = order.to_vec();
        loop {
            let before = waiting.len();
            waiting.retain(|part| {
                let rooted = part.seq == 0 || set.contains(&part.slot.prev);
                if rooted && !set.contains(&part.id) {
                    set.restore(part.id, part.device, part.seq, part.slot, part.control.clone());
                }
                !rooted
            });
            if waiting.len() == before {
                return;
            }
        }
    }

    /// All but one.
    pub(crate) fn without(&self, left_out: &EntryId) -> LogSet {
        let rest: Vec<&Part> = self.all.iter().filter(|part| part.id != *left_out).collect();
        self.gather(&rest)
    }

    /// Every one once, some twice, in an order that the dice decide.
    pub(crate) fn shuffled(&self, dice: &mut Dice) -> Vec<&Part> {
        let mut order: Vec<&Part> = self.all.iter().chain(self.all.iter().step_by(3)).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, dice.roll(at + 1));
        }
        order
    }

    /// Every log broken off somewhere.
    pub(crate) fn broken_off(&self, dice: &mut Dice) -> Vec<&Part> {
        let mut gone: BTreeSet<EntryId> = BTreeSet::new();
        let mut left = Vec::new();
        // Some heads that cuts and pins name are missing; some logs are far behind, the others
        // nearly complete.
        let named: Vec<EntryId> =
            self.all.iter().filter_map(|part| part.control.as_ref()).flat_map(heads).collect();
        for _ in 0..3 {
            gone.extend(dice.pick(&named));
        }
        let behind = u8::try_from(dice.roll(256)).unwrap();
        for part in &self.all {
            let odds = if part.device.as_bytes()[0] ^ behind < 100 { 30 } else { 1 };
            if gone.contains(&part.slot.prev)
                || (part.seq > 0 && gone.contains(&part.id))
                || (part.seq > 0 && dice.chance(odds))
            {
                gone.insert(part.id);
            } else {
                left.push(part);
            }
        }
        left
    }

    /// Those that no other follows.
    pub(crate) fn tips(&self) -> Vec<&Part> {
        let followed: BTreeSet<EntryId> = self.all.iter().map(|part| part.slot.prev).collect();
        let mut tips: Vec<&Part> =
            self.all.iter().filter(|part| !followed.contains(&part.id)).collect();
        tips.retain(|part| part.slot.kind != Kind::GENESIS);
        tips
    }
}

/// What an entry names as the last of a log that counts, or as a place on a branch.
pub(crate) fn heads(control: &Control) -> Vec<EntryId> {
    let of = |cut: &Cut| cut.0.iter().map(|(_, head)| head.entry).collect();
    match control {
        Control::Revoke(revoke) => of(&revoke.cut),
        Control::Remove(remove) => of(&remove.cut),
        Control::Replace(replace) => of(&replace.cut),
        Control::Leave(leave) => of(&leave.cut),
        Control::Root(act) => match &act.action {
            RootAction::Remove(remove) => of(&remove.cut),
            _ => Vec::new(),
        },
        Control::Pin(pin) => vec![pin.head.entry],
        Control::Unlink(unlink) => vec![unlink.entry],
        _ => Vec::new(),
    }
}
