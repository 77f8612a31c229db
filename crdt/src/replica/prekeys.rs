//! Prekeys that change, and epochs that a device asks for again (K8).
//!
//! A device replaces its prekey after it has processed an epoch, at most once a day, so that keys
//! that were copied from it lose their use. A replaced prekey is no reason for anyone to mint: who
//! an epoch is for is decided by devices (K2). So the writing ends with one rotation a device for
//! each epoch, and in a quiet group nothing is written.
//!
//! A device that cannot open what it may read says so on a stream, to one member at a time. The
//! connection proves its transport key, which its card binds to it: that stands for a signature.
//! What must stay true: nothing is handed to a device that could not have had it, and a device that
//! asks for ever costs each day a bounded number of entries.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::capability::grant::{GROUP_VERSION, History};
use crate::codec::List;
use crate::crypto::agreement::SecretKey;
use crate::epoch::secret::{Audience, EpochSecret};
use crate::id::{DeviceId, EntryId, EpochId, GrantId, TransportKey};
use crate::identity::device::Rotate;
use crate::limits::LACKING_EPOCHS;
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::ingest::Misbehaved;
use crate::replica::input::SessionId;
use crate::replica::outcome::Outcome;
use crate::replica::persona::{ReplicaState, Rotation};
use crate::sync::message::{Admittance, Message};
use crate::time::Timestamp;

/// Milliseconds that a prekey is in use at least.
const ROTATE_MILLIS: u64 = 86_400_000;
/// Milliseconds over which the devices of a group spread their rotations.
const ROTATE_SPREAD_MILLIS: u64 = 3_600_000;
/// Milliseconds between two askings for keys, of whomever.
const ASK_KEYS_MILLIS: u64 = 60_000;
/// Milliseconds until the same member is asked for keys again.
const ASK_AGAIN_MILLIS: u64 = 3_600_000;
/// Milliseconds for which is remembered what a device was helped with.
const HELP_MILLIS: u64 = 86_400_000;
/// Welcomes for one device in that time, by anybody, after which it is not helped further.
const HELP_WELCOMES: u32 = 16;
/// Epochs that each member hands to a device all the same: what others write may be junk.
const HELP_ALWAYS: usize = 4;

/// Whom this replica has asked for keys, and when. Members only.
#[derive(Default)]
pub(crate) struct Asked {
    last: Timestamp,
    of: BTreeMap<TransportKey, Timestamp>,
}

/// What other devices were helped with in the last day.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Help(BTreeMap<DeviceId, Helped>);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Helped {
    since: Timestamp,
    /// Welcomes for it that were written here or came in.
    welcomes: u32,
    /// Epochs that it was given here.
    epochs: BTreeSet<EpochId>,
}

impl Help {
    fn of(&mut self, device: DeviceId, now: Timestamp) -> &mut Helped {
        self.0.retain(|_, helped| now.since(helped.since) < HELP_MILLIS);
        self.0.entry(device).or_insert_with(|| Helped { since: now, ..Helped::default() })
    }

    /// A welcome for a device is in the set.
    pub(crate) fn welcomed(&mut self, device: DeviceId, now: Timestamp) {
        let helped = self.of(device, now);
        helped.welcomes = helped.welcomes.saturating_add(1);
    }
}

impl Replica {
    /// Replaces the prekey if that is due.
    pub(crate) fn rotate_prekey<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        out: &mut Outcome,
    ) {
        let since = self.persona.prekeys.last().map_or(now, |prekey| prekey.since);
        match self.persona.rotation {
            Rotation::None => return,
            Rotation::Wanted => {
                let turn = self.device().turn(ROTATE_SPREAD_MILLIS);
                let due = now.max(since.after(ROTATE_MILLIS)).after(turn);
                self.persona.rotation = Rotation::Due(due);
                out.persona_changed = true;
                return;
            }
            Rotation::Due(due) if due > now => return,
            Rotation::Due(_) => {}
        }
        let may =
            self.persona.state == ReplicaState::Member && self.authority.version() <= GROUP_VERSION;
        if !may {
            return;
        }
        let secret = SecretKey::generate(rng);
        let rotate = Control::Rotate(Rotate::Prekey(secret.public_key()));
        if self.write_control(now, GrantId::NONE, &rotate, out).is_err() {
            return;
        }
        self.persona.add_prekey(now, secret);
        self.keyring.renew(self.persona.secrets());
        self.persona.rotation = Rotation::None;
        out.persona_changed = true;
        self.refresh(out);
    }

    /// An epoch was processed: the prekey that it was wrapped to is to be replaced.
    pub(crate) fn epoch_processed(&mut self, out: &mut Outcome) {
        if self.persona.rotation == Rotation::None {
            self.persona.rotation = Rotation::Wanted;
            out.persona_changed = true;
        }
    }

    /// Epochs that this device may open, has use for and holds no secret of: content that counts
    /// is sealed under them and unread, or they are for exactly those who read now.
    fn lacking(&self) -> Vec<EpochId> {
        let held = |epoch: &EpochId| self.keyring.epoch(*epoch).is_some();
        let unread = self.documents.unread().iter().filter(|(id, epoch)| {
            !held(epoch)
                && !self.welcomed.contains_key(*id)
                && self.authority.counting(&self.set, id).counts()
        });
        let mut wanted: BTreeSet<EpochId> = unread.map(|(_, epoch)| *epoch).collect();
        let mut readers: BTreeMap<Audience, BTreeSet<DeviceId>> = BTreeMap::new();
        let gone = |epoch: &EpochId| held(epoch) || self.persona.retention.forgot(epoch);
        for (id, mint) in self.all_mints().filter(|(_, mint)| !gone(&mint.epoch)) {
            let readers = readers
                .entry(mint.audience)
                .or_insert_with(|| self.authority.readers(mint.audience).into_keys().collect());
            if mint.suits(readers) && self.authority.counting(&self.set, id).counts() {
                wanted.insert(mint.epoch);
            }
        }
        let own = self.own_devices();
        let all = self.history() == Some(History::All);
        // Asking costs nothing: whether it may be given is for who holds it to find out.
        let named: BTreeSet<EpochId> = self
            .all_mints()
            .filter(|(_, mint)| wanted.contains(&mint.epoch))
            .filter(|(_, mint)| {
                (all && mint.audience == Audience::Readers)
                    || mint.audience == Audience::Mailbox
                    || own.iter().any(|device| mint.names(*device))
            })
            .map(|(_, mint)| mint.epoch)
            .collect();
        named.into_iter().take(LACKING_EPOCHS).collect()
    }

    /// Whether a device could have an epoch's secret: it is of the epoch's audience now, and the
    /// epoch was minted for it or another device of its member (K3), or the group's history is
    /// open to all readers (K6).
    fn may_have(&self, device: &DeviceId, epoch: EpochId) -> bool {
        let Some((audience, mints)) = self.minted(epoch) else { return false };
        if !self.authority.readers(audience).contains_key(device) {
            return false;
        }
        let open = audience == Audience::Readers && self.history() == Some(History::All);
        if open || audience == Audience::Mailbox {
            return true;
        }
        let member = self.authority.member_of(device);
        let devices = self.authority.devices().iter().filter(|(_, of)| Some(of.member) == member);
        let devices: Vec<DeviceId> = devices.map(|(id, _)| *id).collect();
        mints.iter().all(|mint| devices.iter().any(|device| mint.names(*device)))
    }

    /// Asks the other end for what is lacking, if it is its turn. Before this end is done.
    pub(crate) fn ask_for_keys(&mut self, now: Timestamp, id: SessionId, out: &mut Outcome) {
        let Some(session) = self.peers.session(id) else { return };
        let peer = session.peer;
        let asked = &self.asked;
        let lately = now.since(asked.last) < ASK_KEYS_MILLIS
            || asked.of.get(&peer).is_some_and(|at| now.since(*at) < ASK_AGAIN_MILLIS);
        if lately
            || session.ours != Some(Admittance::Member)
            || self.persona.state != ReplicaState::Member
            || self.authority.device_of_transport(&peer).is_none()
        {
            return;
        }
        let lacking = self.lacking();
        if lacking.is_empty() {
            return;
        }
        self.asked.last = now;
        self.asked.of.retain(|_, at| now.since(*at) < ASK_AGAIN_MILLIS);
        self.asked.of.insert(peer, now);
        out.send(id, &Message::Lacking(List::new(lacking).unwrap_or_default()));
    }

    /// A member's device says what it cannot open: it gets what it may have, as a welcome.
    pub(crate) fn on_lacking<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        id: SessionId,
        epochs: &[EpochId],
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        let late = session.theirs.is_none() || session.done_received;
        if late || std::mem::replace(&mut session.keys_asked, true) {
            return Err(Misbehaved::OutOfOrder);
        }
        let peer = session.peer;
        let Some(device) = self.authority.device_of_transport(&peer) else { return Ok(()) };
        if self.persona.state != ReplicaState::Member || device == self.device() {
            return Ok(());
        }
        let helped = self.persona.help.of(device, now);
        if helped.welcomes >= HELP_WELCOMES && helped.epochs.len() >= HELP_ALWAYS {
            return Ok(());
        }
        let given = helped.epochs.clone();
        let mut secrets: Vec<EpochSecret> = Vec::new();
        let mut without: BTreeSet<EpochId> = BTreeSet::new();
        for epoch in epochs.iter().filter(|epoch| !given.contains(epoch)) {
            if !self.may_have(&device, *epoch) {
                continue;
            }
            match self.keyring.epoch(*epoch) {
                Some(secret) => secrets.push(secret.clone()),
                None => {
                    without.insert(*epoch);
                    continue;
                }
            }
            self.persona.help.of(device, now).epochs.insert(*epoch);
        }
        let entries = self.readable_under(&without);
        for entry in &entries {
            if let Some(epoch) = self.sealed_under.get(entry) {
                self.persona.help.of(device, now).epochs.insert(*epoch);
            }
        }
        if !entries.is_empty() {
            self.owe(device, entries, out);
        }
        self.hand_over(now, rng, device, (&secrets, &[]), out);
        out.persona_changed = true;
        Ok(())
    }

    /// Entries of documents that can be read here although the secret of their epoch is gone.
    pub(crate) fn readable_under(&self, epochs: &BTreeSet<EpochId>) -> BTreeSet<EntryId> {
        if epochs.is_empty() {
            return BTreeSet::new();
        }
        let of = self.sealed_under.iter().filter(|(id, epoch)| {
            epochs.contains(epoch)
                && self.documents.of_entry(id).is_some()
                && !self.erased.contains(id)
        });
        of.map(|(id, _)| *id).collect()
    }
}
