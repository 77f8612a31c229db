//! Devices: the card that opens a log, and what the device has rotated since (I2, K8).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::authority::counting::Grounds;
use crate::id::{DeviceId, EntryId, MemberId, PublicKey, TransportKey};
use crate::identity::device::Rotate;
use crate::limits::MEMBER_DEVICES;
use crate::log::entry::Control;
use crate::log::set::LogSet;

/// A device of a member.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// For whom it acts.
    pub member: MemberId,
    /// Its card.
    pub card: EntryId,
    /// Position among the member's devices, chosen by the member.
    pub index: u32,
    /// Its prekeys, the newest last; never empty.
    pub prekeys: Vec<PublicKey>,
    /// Its libp2p identity now.
    pub transport: TransportKey,
    /// Its card counts and its member's key has not ended it. Says nothing of the member.
    pub live: bool,
}

/// The devices of a set. A device whose log opens with two cards that nothing has decided between
/// is none.
pub(super) fn devices(set: &LogSet, grounds: &Grounds) -> BTreeMap<DeviceId, Device> {
    let mut devices = BTreeMap::new();
    for (device, openings) in &grounds.openings {
        let mut found = openings.iter().filter_map(|opening| {
            let place = grounds.place(set, &opening.card)?;
            let counting = grounds.decide(set, &place);
            let Control::Card(card) = set.control().get(&opening.card)? else { return None };
            let unlinked = grounds.unlinked.contains_key(&(*device, opening.member));
            // Undecided cards are all suspended; a pin leaves one that counts.
            counting.denies().then(|| Device {
                member: opening.member,
                card: opening.card,
                index: card.index,
                prekeys: vec![card.prekey],
                transport: card.transport,
                live: counting.counts() && !unlinked,
            })
        });
        if let (Some(only), None) = (found.next(), found.next()) {
            devices.insert(*device, only);
        }
    }
    only_so_many(&mut devices);
    // By device and sequence number: of what counts in one log there is one at each.
    let mut rotations: BTreeMap<(DeviceId, u64), &Rotate> = BTreeMap::new();
    for (id, control) in set.control() {
        let Control::Rotate(rotate) = control else { continue };
        let Some(place) = grounds.place(set, id) else { continue };
        let card = devices.get(&place.device).map(|device| device.card);
        let opening = grounds.opening(place.device, place.at).map(|opening| opening.card);
        if card == opening && grounds.decide(set, &place).counts() {
            rotations.insert((place.device, place.at.seq), rotate);
        }
    }
    for ((device, _), rotate) in rotations {
        let Some(device) = devices.get_mut(&device) else { continue };
        match rotate {
            Rotate::Prekey(prekey) => device.prekeys.push(*prekey),
            Rotate::Transport { key, .. } => device.transport = *key,
        }
    }
    devices
}

/// A member has as many live devices as one cut can name, those of the highest index: a member who
/// signs cards without end cannot make epochs too large for everybody.
fn only_so_many(devices: &mut BTreeMap<DeviceId, Device>) {
    let mut of: BTreeMap<MemberId, BTreeSet<(u32, DeviceId)>> = BTreeMap::new();
    for (id, device) in devices.iter().filter(|(_, device)| device.live) {
        of.entry(device.member).or_default().insert((device.index, *id));
    }
    for live in of.into_values() {
        for (_, id) in live.iter().rev().skip(MEMBER_DEVICES) {
            if let Some(device) = devices.get_mut(id) {
                device.live = false;
            }
        }
    }
}

/// Transport key → the one device that goes by it. A key that two go by is valid for neither
/// until one rotates (I2), whether or not they are live: whoever holds it could be either.
pub(super) fn transports(devices: &BTreeMap<DeviceId, Device>) -> BTreeMap<TransportKey, DeviceId> {
    let mut by_key = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for (id, device) in devices {
        if by_key.insert(device.transport, *id).is_some() {
            twice.insert(device.transport);
        }
    }
    by_key.retain(|key, _| !twice.contains(key));
    by_key
}
