//! The keys of a mailbox (M2): which opens it, under which records are sealed, and when new ones are
//! due because someone was removed.

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use super::{Asked, KeeperAsk};
use crate::codec::Bytes;
use crate::epoch::secret::{Audience, EpochSecret};
use crate::id::{AccessKey, ControlKey, DeviceId, EpochId, MailboxId, TransportKey};
use crate::limits::MAILBOX_SECRETS;
use crate::mailbox::access::NewGeneration;
use crate::mailbox::keys::{access_key, control_key, owner_key};
use crate::mailbox::message::KeeperRequest;
use crate::mailbox::record::{Parcel, Sealer};
use crate::replica::Replica;
use crate::replica::effect::Write;
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::time::Timestamp;

/// Milliseconds until a mailbox that none of the keys opened is tried again.
const LOCKED_OUT_MILLIS: u64 = 120_000;
/// Generations that this device begins at one keeper in a day: any member can claim at any time to
/// have handed on the keys in use. A node that starts again has a new day.
const ROTATIONS: u32 = 16;
/// Milliseconds for which the entries of who began a generation are waited for, and over which
/// devices spread what they do without them.
const AWAITED_MILLIS: u64 = 60_000;
/// Milliseconds for which nothing is put under keys that somebody claims to have handed on, or had
/// who left.
const CLAIMED_MILLIS: u64 = 300_000;

impl Replica {
    /// The epochs that may have given a mailbox its keys, of those whose secret is held: the newest
    /// first, and before them what a keeper's rekey record or an admission brought whose entry is
    /// not here yet.
    pub(crate) fn mailbox_epochs(&self) -> Vec<EpochId> {
        let minted = self.minted_for(Audience::Mailbox);
        let provisional = self.persona.mailbox_epochs.iter().rev();
        let provisional = provisional.filter(|epoch| self.keyring.epoch(**epoch).is_some());
        // What somebody claims leaves room for what the group has.
        let room = MAILBOX_SECRETS.saturating_sub(minted.len().min(MAILBOX_SECRETS / 2));
        let provisional = provisional.take(room);
        let mut found: Vec<EpochId> = Vec::new();
        for epoch in provisional.copied().chain(minted) {
            if !found.contains(&epoch) {
                found.push(epoch);
            }
        }
        found.truncate(MAILBOX_SECRETS);
        found
    }

    /// The epochs of an audience that entries name and whose secret is held, newest first.
    pub(crate) fn minted_for(&self, audience: Audience) -> Vec<EpochId> {
        let mut minted: Vec<(u32, EpochId)> = self
            .all_mints()
            .filter(|(_, mint)| mint.audience == audience)
            .filter(|(_, mint)| self.keyring.epoch(mint.epoch).is_some())
            .filter_map(|(id, mint)| Some((self.set.slot(id)?.seen, mint.epoch)))
            .collect();
        minted.sort_unstable_by(|one, other| other.cmp(one));
        minted.into_iter().map(|(_, epoch)| epoch).collect()
    }

    /// The secrets that open a group's mailboxes, for a newcomer: newest last.
    pub(crate) fn mailbox_secrets(&self) -> Vec<EpochSecret> {
        let epochs = self.mailbox_epochs();
        epochs.iter().rev().filter_map(|epoch| self.keyring.epoch(*epoch)).cloned().collect()
    }

    /// What seals and opens records at a keeper under an epoch.
    pub(super) fn sealer_of(&self, keeper: TransportKey, epoch: EpochId) -> Option<Sealer> {
        self.sealer_for(self.mailbox_at(&keeper)?, epoch)
    }

    /// The same for a mailbox.
    pub(crate) fn sealer_for(&self, mailbox: MailboxId, epoch: EpochId) -> Option<Sealer> {
        let secret = self.keyring.epoch(epoch)?.clone();
        Some(Sealer { mailbox, epoch, secret })
    }

    /// Under what to seal now: the epoch of the mailbox's generation, if nobody who was removed has
    /// it. If somebody has, nothing is put until a moderator has begun the next: what was sealed
    /// under another epoch could be opened by nobody, for its mint would lie in the same record.
    pub(super) fn sealer(&mut self, now: Timestamp, keeper: TransportKey) -> Option<Sealer> {
        let current = self.keepers.visits.get(&keeper)?.memory.epoch?;
        if self.persona.state == ReplicaState::Left {
            return self.sealer_of(keeper, current);
        }
        let safe = self.is_safe(current);
        // Any member can claim at any time to have handed it on, and who leaves means no harm: a
        // moderator is waited for so long only.
        let claimed = !safe && self.was_trusted(current);
        let visit = self.keepers.visits.get_mut(&keeper)?;
        let until = *visit.claimed.get_or_insert(now.after(CLAIMED_MILLIS));
        if safe {
            visit.claimed = None;
        }
        let sealed = safe || (claimed && until <= now);
        sealed.then(|| self.sealer_of(keeper, current)).flatten()
    }

    /// Whether an epoch can be known to nobody but those who may read now.
    fn is_safe(&self, epoch: EpochId) -> bool {
        self.usable_epochs(Audience::Mailbox).contains(&epoch)
    }

    /// Tries the next key that may open the mailbox.
    pub(super) fn opening(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
    ) -> Option<(Asked, KeeperAsk)> {
        let epochs = self.mailbox_epochs();
        let visit = self.keepers.visits.get_mut(&keeper)?;
        let mailbox = visit.memory.mailbox?;
        let last = visit.memory.epoch.filter(|epoch| epochs.contains(epoch));
        let mut candidates = last.into_iter().chain(epochs);
        let Some(epoch) = candidates.find(|epoch| !visit.refused.contains(epoch)) else {
            visit.forget_refusals();
            visit.rest = now.after(LOCKED_OUT_MILLIS);
            visit.why =
                Some("the keeper does not let this node in with the keys that it has".to_owned());
            return None;
        };
        let key = access_key(self.keyring.epoch(epoch)?, mailbox);
        Some((Asked::Open(epoch), KeeperAsk::Open { mailbox, key: Box::new(key) }))
    }

    /// The mailbox has other keys since: they are wrapped for this device in the rekey record, if it
    /// still belongs there. What is taken from it is provisional until its entry is here.
    pub(super) fn rekeyed(
        &mut self,
        keeper: TransportKey,
        ended: EpochId,
        record: &[u8],
        out: &mut Outcome,
    ) {
        let learnt =
            self.sealer_of(keeper, ended).and_then(|sealer| match sealer.open(record)? {
                Parcel::Rekey { minter, mint } => self.open_rekey(minter, &mint, out),
                _ => None,
            });
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        visit.refused.push(ended);
        visit.ended.insert(ended);
        // Where an earlier key has led already, no later one leads any further.
        if let Some(epoch) = learnt.filter(|epoch| !visit.ended.contains(epoch)) {
            visit.refused.retain(|refused| *refused != epoch);
            visit.remember(|memory| memory.epoch = Some(epoch));
        }
    }

    /// Opens what a rekey record wraps for this device.
    pub(crate) fn open_rekey(
        &mut self,
        minter: DeviceId,
        mint: &crate::epoch::secret::Mint,
        out: &mut Outcome,
    ) -> Option<EpochId> {
        if mint.audience != Audience::Mailbox {
            return None;
        }
        let (group, prekeys) = (self.persona.group, self.keyring.prekeys());
        let own = self.own_devices();
        let mut opened = own.iter().filter_map(|own| mint.open(group, minter, *own, prekeys).ok());
        let secret = opened.next()?;
        Some(self.learn_mailbox_secret(secret, out))
    }

    /// Takes over the secret of an epoch whose entry may still be to come.
    pub(crate) fn learn_mailbox_secret(
        &mut self,
        secret: EpochSecret,
        out: &mut Outcome,
    ) -> EpochId {
        let epoch = secret.epoch(self.persona.group);
        if self.keyring.epoch(epoch).is_some() {
            return epoch;
        }
        let bytes = zeroize::Zeroizing::new(*secret.as_bytes());
        self.keyring.learn_epoch(self.persona.group, secret);
        out.write(Write::Epoch { epoch, secret: bytes });
        let known = &mut self.persona.mailbox_epochs;
        known.retain(|known| *known != epoch);
        known.push(epoch);
        let extra = known.len().saturating_sub(MAILBOX_SECRETS);
        let gone: Vec<EpochId> = known.drain(..extra).collect();
        out.persona_changed = true;
        // Of what was never minted here nothing stays behind.
        for epoch in gone {
            if !self.all_mints().any(|(_, mint)| mint.epoch == epoch) {
                self.keyring.forget_epoch(epoch);
                out.write(Write::ForgetEpoch { epoch });
            }
        }
        self.reread_sealed(out);
        epoch
    }

    /// Whether the entries of who began the generation are still waited for: they are put as soon as
    /// can be. Until then nothing is begun and nothing put. Two who know different things would else
    /// shut each other out again and again before either has read what the other knows.
    pub(super) fn awaits_keys(&mut self, now: Timestamp, keeper: TransportKey) -> bool {
        let own = self.device();
        let Some(visit) = self.keepers.visits.get(&keeper) else { return false };
        let unknown = visit.memory.epoch.filter(|epoch| self.minted(*epoch).is_none());
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return false };
        visit.awaited = unknown.map(|epoch| match visit.awaited {
            Some(before) if before.0 == epoch => before,
            _ => (epoch, now.after(AWAITED_MILLIS).after(own.turn(AWAITED_MILLIS))),
        });
        visit.awaited.is_some_and(|(_, until)| now < until)
    }

    /// Begins a new generation, if someone who was removed has the keys of this one, or its control
    /// key is not the moderators' of now, and this device can.
    pub(super) fn rotation<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        keeper: TransportKey,
        out: &mut Outcome,
    ) -> Option<(Asked, KeeperAsk)> {
        let visit = self.keepers.visits.get(&keeper)?;
        let (mailbox, current) = (visit.memory.mailbox?, visit.memory.epoch?);
        let state = visit.state.clone()?;
        if !self.authority.readers(Audience::Moderators).contains_key(&self.device()) {
            return None;
        }
        let safe = self.is_safe(current);
        let control_of = |epoch: EpochId| {
            let key = control_key(self.keyring.epoch(epoch)?, mailbox);
            let is_current = ControlKey::from_bytes(key.verifying_key()) == state.control;
            is_current.then_some((epoch, key))
        };
        let controls = self.moderating_epochs().into_iter().find_map(control_of);
        let used = controls.as_ref().map(|(epoch, _)| *epoch);
        let moderators = self.usable_epochs(Audience::Moderators);
        if safe && used.is_some_and(|used| moderators.contains(&used)) {
            return None;
        }
        let owner = owner_key(&self.persona.member, self.persona.group, keeper);
        let owner = (owner.verifying_key() == *mailbox.as_bytes()).then_some(owner);
        let signing = controls.map(|(_, key)| key).or(owner)?;
        let visit = self.keepers.visits.get_mut(&keeper)?;
        if !visit.rotations.take(now, ROTATIONS) {
            return None;
        }
        let moderators = self.epoch_for(now, rng, Audience::Moderators, out).ok()?;
        // One that opened a generation before opens no other.
        let next = self.fresh_epoch(now, rng, Audience::Mailbox, out).ok()?;
        let access = access_key(self.keyring.epoch(next)?, mailbox);
        let control = control_key(self.keyring.epoch(moderators)?, mailbox);
        let rekey = self.rekey_record(keeper, current, next)?;
        let new = NewGeneration {
            mailbox,
            generation: state.generation.next(),
            access: AccessKey::from_bytes(access.verifying_key()),
            control: ControlKey::from_bytes(control.verifying_key()),
            rekey,
        };
        let request = KeeperRequest::Rotate(Box::new(new.sign(&signing)));
        Some((Asked::Rotate(next), KeeperAsk::Request(Box::new(request))))
    }

    /// The keys of an epoch for who only has those of the one before.
    fn rekey_record(
        &self,
        keeper: TransportKey,
        before: EpochId,
        next: EpochId,
    ) -> Option<Bytes<{ crate::limits::REKEY_BYTES }>> {
        let parcel = self.rekey_parcel(next)?;
        let sealer = self.sealer_of(keeper, before)?;
        Bytes::new(sealer.seal(&parcel).ok()?).ok()
    }

    /// The mint of an epoch, with who made it.
    pub(crate) fn rekey_parcel(&self, epoch: EpochId) -> Option<Parcel> {
        let (id, mint) = self.all_mints().find(|(id, mint)| {
            mint.epoch == epoch && self.authority.counting(&self.set, id).counts()
        })?;
        let (minter, _) = self.set.place_of(id)?;
        Some(Parcel::Rekey { minter, mint: mint.clone() })
    }

    /// Epochs of the moderators whose secret is held.
    fn moderating_epochs(&self) -> BTreeSet<EpochId> {
        let of = |epoch: &&EpochId| {
            self.minted(**epoch).is_some_and(|(of, _)| of == Audience::Moderators)
        };
        self.keyring.epochs().keys().filter(of).copied().collect()
    }

    /// Secrets for devices that just became readers: they can use the mailboxes at once.
    pub(crate) fn open_mailboxes_to<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        device: DeviceId,
        out: &mut Outcome,
    ) {
        let secrets = self.mailbox_secrets();
        if !secrets.is_empty() {
            self.hand_over(now, rng, device, (&secrets, &[]), out);
        }
    }

    /// The mailbox of a keeper, if it is known.
    pub(crate) fn mailbox_at(&self, keeper: &TransportKey) -> Option<MailboxId> {
        self.keepers.visits.get(keeper)?.memory.mailbox
    }
}
