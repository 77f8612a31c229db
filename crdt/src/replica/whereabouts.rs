//! Telling the members where this device is, and looking for those that are not met (M5).
//!
//! What must stay true: only who may read now can compute where to look, and nothing is put that a
//! member who was removed could look for.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;

use crate::discovery::{Day, DiscoverySecret};
use crate::epoch::secret::Audience;
use crate::id::{DeviceId, EpochId};
use crate::mailbox::keys::discovery_secret;
use crate::replica::Replica;
use crate::replica::effect::Effect;
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::time::Timestamp;

/// Milliseconds between two lookings for the same device.
const LOOK_AGAIN_MILLIS: u64 = 15 * 60_000;
/// Milliseconds between two lookings for whomever.
const LOOK_MILLIS: u64 = 20_000;
/// Devices that are looked for at a time.
const LOOKED_FOR: usize = 4;

/// What this device has told, and whom it looks for.
#[derive(Default)]
pub(crate) struct Lookout {
    told: Option<(EpochId, Day, Vec<Vec<u8>>)>,
    /// When each device was looked for last.
    looked: BTreeMap<DeviceId, Timestamp>,
    next: Timestamp,
    /// Keys that were asked for, of which device, on which day: of each device's at most three.
    asked: BTreeMap<[u8; 32], (DeviceId, Day)>,
    /// The newest that is known of each device.
    newest: BTreeMap<DeviceId, u64>,
}

impl Lookout {
    /// The clock was set back: everyone can be looked for again.
    pub(crate) fn forget_times(&mut self) {
        self.looked.clear();
        self.next = Timestamp::default();
    }
}

impl Replica {
    /// Tells and looks, when it is time.
    pub(crate) fn tend_whereabouts<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        out: &mut Outcome,
    ) {
        if self.persona.state != ReplicaState::Member || self.keepers.is_empty() {
            return;
        }
        let Some((epoch, secret)) = self.discovery() else { return };
        let today = Day::of(now);
        let told = Some((epoch, today, self.addresses.clone()));
        if self.lookout.told != told && !self.addresses.is_empty() {
            let key = secret.key(today, self.device());
            // Never less than what was told before, whatever became of the clock meanwhile.
            let counter = self.next_time(now, out).as_millis();
            let device = &self.persona.device;
            let value = secret.seal(rng, today, device, counter, &self.addresses);
            out.effect(Effect::Tell { key, value });
            self.lookout.told = told;
        }
        if now < self.lookout.next {
            return;
        }
        self.lookout.next = now.after(LOOK_MILLIS);
        let days = Day::around(now);
        self.lookout.asked.retain(|_, (_, day)| days.contains(day));
        for device in self.unmet(now) {
            self.lookout.looked.insert(device, now);
            for day in days {
                let key = secret.key(day, device);
                self.lookout.asked.insert(key, (device, day));
                out.effect(Effect::LookFor { key });
            }
        }
    }

    /// Something stands where this device looked.
    pub(crate) fn whereabouts_found(&mut self, key: [u8; 32], value: &[u8], out: &mut Outcome) {
        let Some((device, day)) = self.lookout.asked.get(&key).copied() else { return };
        let Some((_, secret)) = self.discovery() else { return };
        let Ok(found) = secret.open(day, device, value) else { return };
        let newer = self.lookout.newest.get(&device).is_none_or(|held| *held < found.counter);
        let Some(transport) = self.authority.device(&device).map(|device| device.transport) else {
            return;
        };
        let addresses: Vec<Vec<u8>> =
            found.addresses.iter().map(|address| address.as_slice().to_vec()).collect();
        if newer && !addresses.is_empty() {
            self.lookout.newest.insert(device, found.counter);
            out.effect(Effect::Seek { peer: transport, addresses });
        }
    }

    /// From what members compute where to look: the epoch of the mailboxes in use.
    fn discovery(&self) -> Option<(EpochId, DiscoverySecret)> {
        let epoch = self.usable(Audience::Mailbox)?;
        let secret = discovery_secret(self.keyring.epoch(epoch)?, self.persona.group);
        Some((epoch, DiscoverySecret::from_bytes(*secret)))
    }

    /// Members' devices without a connection that were not looked for lately, longest ago first.
    fn unmet(&self, now: Timestamp) -> Vec<DeviceId> {
        let own = self.member();
        let members = self.authority.members().iter().filter(|(member, _)| **member != own);
        let devices: BTreeSet<DeviceId> =
            members.flat_map(|(_, standing)| standing.devices.iter().copied()).collect();
        let looked =
            |device: &DeviceId| self.lookout.looked.get(device).copied().unwrap_or_default();
        let mut unmet: Vec<DeviceId> = devices
            .into_iter()
            .filter(|device| now.since(looked(device)) >= LOOK_AGAIN_MILLIS)
            .filter(|device| {
                let transport = self.authority.device(device).map(|device| device.transport);
                transport.is_some_and(|transport| !self.peers.is_connected(&transport))
            })
            .collect();
        unmet.sort_by_key(|device| (looked(device), *device));
        unmet.truncate(LOOKED_FOR);
        unmet
    }
}
