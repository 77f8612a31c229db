//! Welcomes: keys for a device that was not there when they were made (K3, K6), as they are read, owed
//! and written.

use std::collections::BTreeSet;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::capability::rank::Abilities;
use crate::codec;
use crate::document::kinds::DocumentKind;
use crate::document::sealing::{ENVELOPE_BYTES, Envelope};
use crate::epoch::secret::{Audience, EpochSecret};
use crate::epoch::welcome::{Keys, Welcome};
use crate::id::{DeviceId, EntryId, EpochId, MemberId};
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::effect::{Effect, Write};
use crate::replica::input::{Load, Stored};
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// Envelopes that one welcome duty covers: profiles, agreement, titles of threads.
const WELCOMED_ENTRIES: usize = 4096;
/// Devices admitted lately whose epochs are looked after (K3).
const WARDS: usize = 32;

impl Replica {
    /// Takes over what a welcome for this device carries.
    pub(super) fn learn_welcome(&mut self, keys: &Keys, out: &mut Outcome) {
        for epoch in self.keyring.learn_epochs(self.persona.group, keys) {
            if let Some(secret) = self.keyring.epoch(epoch) {
                out.write(Write::Epoch { epoch, secret: Zeroizing::new(*secret.as_bytes()) });
            }
        }
        self.keep_envelopes(keys);
    }

    /// An envelope is a claim: it is believed when it opens its entry.
    fn keep_envelopes(&mut self, keys: &Keys) {
        for (entry, envelope) in &keys.envelopes {
            if self.documents.of_entry(entry).is_none() {
                self.welcomed.insert(*entry, envelope.clone());
            }
        }
    }

    /// Opens the welcomes that are held already: their envelopes are kept in memory only until
    /// they have opened their entries.
    pub(crate) fn reopen_welcomes(&mut self) {
        let own = self.own_devices();
        let keys: Vec<Keys> = self
            .set
            .control()
            .values()
            .filter_map(|control| match control {
                Control::Welcome(welcome) if own.contains(&welcome.recipient) => {
                    welcome.open(self.persona.group, self.keyring.prekeys()).ok()
                }
                _ => None,
            })
            .collect();
        for keys in &keys {
            self.keep_envelopes(keys);
        }
        self.retry = true;
    }

    /// This device admitted another: it owes it the keys of what is shared (K3, K6).
    pub(crate) fn owe_welcome(&mut self, device: DeviceId, out: &mut Outcome) {
        let shared = [DocumentKind::Agreement, DocumentKind::Profile, DocumentKind::Thread];
        let entries: BTreeSet<EntryId> = shared
            .into_iter()
            .flat_map(|kind| self.documents.of_kind(kind))
            .flat_map(|(_, document)| document.entries.iter().copied())
            .chain(self.readable_without_epoch())
            .take(WELCOMED_ENTRIES)
            .collect();
        self.owe(device, entries, out);
    }

    /// What ended somebody's standing ended what they had done to others: whoever is back by an act of
    /// this device is owed what was shared while they were gone, as if it had admitted them (K3).
    pub(crate) fn welcome_back<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        before: &BTreeSet<MemberId>,
        out: &mut Outcome,
    ) {
        let members = self.authority.members().iter();
        let back: Vec<DeviceId> = members
            .filter(|(member, _)| !before.contains(member))
            .flat_map(|(_, standing)| standing.devices.iter().copied())
            .collect();
        for device in back {
            self.owe_welcome(device, out);
            self.open_mailboxes_to(now, rng, device, out);
        }
        self.pay_welcomes(out);
    }

    /// Entries whose keys a device is to get. The latest devices are looked after further (K3).
    pub(crate) fn owe(&mut self, device: DeviceId, entries: BTreeSet<EntryId>, out: &mut Outcome) {
        let known = self.persona.owed.contains_key(&device);
        while !known && self.persona.owed.len() >= WARDS {
            self.persona.owed.pop_first();
        }
        let owed = self.persona.owed.entry(device).or_default();
        let room = WELCOMED_ENTRIES.saturating_sub(owed.len());
        owed.extend(entries.into_iter().take(room));
        out.persona_changed = true;
    }

    /// An entry came that was sealed without knowing of devices that this one admitted.
    pub(crate) fn owe_entry(&mut self, entry: EntryId, epoch: EpochId, out: &mut Outcome) {
        if self.persona.owed.is_empty() {
            return;
        }
        let Some((Audience::Readers, mints)) = self.minted(epoch) else { return };
        let without = |device: &&DeviceId| !mints.iter().all(|mint| mint.names(**device));
        let without: Vec<DeviceId> = self.persona.owed.keys().filter(without).copied().collect();
        for device in without {
            let Some(entries) = self.persona.owed.get_mut(&device) else { continue };
            if entries.len() < WELCOMED_ENTRIES && entries.insert(entry) {
                out.persona_changed = true;
            }
        }
    }

    /// Asks the store for the keys that are owed. The welcome is written when they are there.
    pub(crate) fn pay_welcomes(&mut self, out: &mut Outcome) {
        for (device, entries) in &self.persona.owed {
            if entries.is_empty() || self.paying.values().any(|paying| paying == device) {
                continue;
            }
            let load = Load::Entries(entries.iter().copied().collect());
            // Another device is owed the same: this one has its turn at the next tick.
            if self.paying.contains_key(&load) {
                continue;
            }
            self.paying.insert(load.clone(), *device);
            out.effect(Effect::Load(load));
        }
    }

    /// What the store has of the keys that are owed to a device.
    pub(crate) fn write_welcome<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        (device, paid): (DeviceId, &[EntryId]),
        stored: &[Stored],
        out: &mut Outcome,
    ) {
        let envelopes: Vec<(EntryId, Envelope)> = stored
            .iter()
            .filter_map(|stored| {
                let envelope = codec::decode(stored.envelope.as_deref()?, ENVELOPE_BYTES).ok()?;
                Some((stored.id, envelope))
            })
            .collect();
        self.hand_over(now, rng, device, (&[], &envelopes), out);
        if let Some(entries) = self.persona.owed.get_mut(&device) {
            for entry in paid {
                entries.remove(entry);
            }
        }
        out.persona_changed = true;
    }

    /// Writes welcomes with these keys for a device, to the newest prekey that is known of it.
    pub(crate) fn hand_over<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        device: DeviceId,
        (epochs, envelopes): (&[EpochSecret], &[(EntryId, Envelope)]),
        out: &mut Outcome,
    ) {
        let prekey = self
            .authority
            .device(&device)
            .filter(|device| self.authority.rank_of(&device.member).is_some())
            .and_then(|device| device.prekeys.last().copied());
        let grant = self.grant_with(Abilities::READ, None, "to be a member");
        let (Some(prekey), Ok(grant)) = (prekey, grant) else { return };
        let mut written = false;
        for keys in Keys::pack(epochs, envelopes) {
            let group = self.persona.group;
            let Ok(welcome) = Welcome::seal(rng, group, device, &prekey, &keys) else { continue };
            if self.write_control(now, grant, &Control::Welcome(welcome), out).is_ok() {
                self.persona.help.welcomed(device, now);
                written = true;
            }
        }
        if written {
            out.persona_changed = true;
            self.refresh(out);
        }
    }
}
