//! Epochs in use: which to write under (K2), minting, what is learnt from others.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::capability::grant::History;
use crate::capability::rank::Abilities;
use crate::epoch::secret::{Audience, EpochSecret, Mint};
use crate::epoch::welcome::Welcome;
use crate::id::{DeviceId, EntryId, EpochId, PublicKey};
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::effect::{Refused, Write};
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// Epochs that a device mints in a day because the one in use may have leaked (K2).
const LEAK_MINTS: u32 = 8;
/// Secrets that are held although no entry that is held mints their epoch (K6).
const UNNAMED_EPOCHS: usize = 1024;

impl Replica {
    /// The devices for whom an audience's epoch is minted, with their prekeys.
    fn recipients(&self, audience: Audience) -> BTreeMap<DeviceId, PublicKey> {
        self.authority.readers(audience)
    }

    /// The epoch to write under for an audience; mints one if none will do (K2).
    pub(crate) fn epoch_for<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        audience: Audience,
        out: &mut Outcome,
    ) -> Result<EpochId, Refused> {
        if let Some(epoch) = self.chosen.get(&audience) {
            return Ok(*epoch);
        }
        let usable = match self.usable(audience) {
            Some(epoch) => Some(epoch),
            None => self.all_the_same(now, audience, out),
        };
        let epoch = match usable {
            Some(epoch) => epoch,
            None => self.fresh_epoch(now, rng, audience, out)?,
        };
        self.chosen.insert(audience, epoch);
        Ok(epoch)
    }

    /// Mints an epoch for an audience.
    pub(crate) fn fresh_epoch<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        audience: Audience,
        out: &mut Outcome,
    ) -> Result<EpochId, Refused> {
        let recipients = self.recipients(audience);
        let mint = self.mint(rng, audience, &recipients, out)?;
        let epoch = mint.epoch;
        let grant = self.grant_with(Abilities::READ, None, "to be a member")?;
        let id = self.write_control(now, grant, &Control::Epoch(mint), out)?;
        self.mints.insert(id);
        self.refresh(out);
        self.chosen.remove(&audience);
        Ok(epoch)
    }

    /// Entries by which the secrets of an audience's epochs may have come to a device that is no
    /// reader now: welcomes can carry them on (K8), and in a group with history `all` later epochs
    /// do (K6). What is written must not be sealed under an epoch that one of them could carry,
    /// though it was minted for just those who are readers now. Each with how much its author had
    /// seen, most first, and the epoch that it is itself of.
    fn leaks(
        &self,
        audience: Audience,
        readers: &BTreeSet<DeviceId>,
    ) -> Vec<(u32, Option<EpochId>)> {
        let member = |device: &DeviceId| self.authority.member_of(device);
        // Who is not of the moderators is welcomed to nothing of theirs.
        let of_audience = |device: &DeviceId| {
            matches!(audience, Audience::Readers | Audience::Mailbox)
                || readers.iter().any(|reader| member(reader) == member(device))
        };
        let leak = |control: &Control| match control {
            Control::Welcome(Welcome { recipient, .. }) => {
                (!readers.contains(recipient) && of_audience(recipient)).then_some(None)
            }
            _ => mint_of(control).and_then(|mint| {
                let carries = mint.audience == audience && !mint.history.as_slice().is_empty();
                let others = || {
                    let missing = mint.missing(readers).count();
                    mint.wraps.len() > readers.len().saturating_sub(missing)
                };
                (carries && others()).then_some(Some(mint.epoch))
            }),
        };
        // Nobody has seen more than there is: such a claim would spoil every epoch to come.
        let all = self.set.seen().count;
        let control = self.set.control().iter();
        let mut leaks: Vec<(u32, Option<EpochId>)> = control
            .filter_map(|(id, control)| {
                let seen = self.set.slot(id)?.seen;
                Some((seen, leak(control).filter(|_| seen <= all)?))
            })
            .collect();
        leaks.sort_unstable_by(|one, other| other.cmp(one));
        leaks
    }

    /// The epoch that a writer would use for an audience, of those that are held (K2).
    pub(crate) fn usable(&self, audience: Audience) -> Option<EpochId> {
        let readers: BTreeSet<DeviceId> = self.recipients(audience).into_keys().collect();
        self.best_of(audience, &readers, &self.leaks(audience, &readers))
    }

    /// All epochs that a writer may use for an audience.
    pub(crate) fn usable_epochs(&self, audience: Audience) -> BTreeSet<EpochId> {
        let readers: BTreeSet<DeviceId> = self.recipients(audience).into_keys().collect();
        let leaks = self.leaks(audience, &readers);
        let unspoilt = self.unspoilt(audience, &readers, &leaks);
        unspoilt.into_iter().map(|(mint, _)| mint.epoch).collect()
    }

    /// Whether a writer might use an epoch of the mailboxes if nobody had handed it on, and those could
    /// still read who left of their own accord.
    pub(crate) fn was_trusted(&self, epoch: EpochId) -> bool {
        let mut readers: BTreeSet<DeviceId> =
            self.recipients(Audience::Mailbox).into_keys().collect();
        let devices = self.authority.devices().iter();
        let left = devices.filter(|(_, device)| self.authority.has_left(&device.member));
        readers.extend(left.map(|(id, _)| *id));
        let fitting = self.unspoilt(Audience::Mailbox, &readers, &[]);
        fitting.into_iter().any(|(mint, _)| mint.epoch == epoch)
    }

    /// The epoch that would be used if nothing could have leaked it, once so many were minted for
    /// that reason today: any member can claim at any time to have handed on what is in use, and
    /// one who means to hand it on needs no entry for it.
    fn all_the_same(
        &mut self,
        now: Timestamp,
        audience: Audience,
        out: &mut Outcome,
    ) -> Option<EpochId> {
        let readers: BTreeSet<DeviceId> = self.recipients(audience).into_keys().collect();
        let leaked = self.best_of(audience, &readers, &[])?;
        out.persona_changed = true;
        (!self.persona.leaked.take(now, LEAK_MINTS)).then_some(leaked)
    }

    fn best_of(
        &self,
        audience: Audience,
        readers: &BTreeSet<DeviceId>,
        leaks: &[(u32, Option<EpochId>)],
    ) -> Option<EpochId> {
        self.keyring.choose(self.unspoilt(audience, readers, leaks), audience, readers)
    }

    /// The mints for an audience that count and whose secret cannot have gone further, each with how
    /// much its author had seen.
    fn unspoilt(
        &self,
        audience: Audience,
        readers: &BTreeSet<DeviceId>,
        leaks: &[(u32, Option<EpochId>)],
    ) -> Vec<(&Mint, u32)> {
        let went_further = |mint: &Mint, seen: u32| {
            let other = leaks.iter().find(|(_, of)| *of != Some(mint.epoch));
            other.is_some_and(|(leaked, _)| *leaked >= seen)
        };
        let counted = self.all_mints().filter_map(|(id, mint)| {
            // Whoever mints for an audience is of it: a mint of someone else's may name a secret
            // that they know.
            let (minter, _) = self.set.place_of(id)?;
            let seen = self.set.slot(id)?.seen;
            let fits = mint.audience == audience
                && readers.contains(&minter)
                && mint.suits(readers)
                && self.authority.counting(&self.set, id).counts()
                && !went_further(mint, seen)
                && self.minted(mint.epoch).is_some_and(|(for_whom, _)| for_whom == audience);
            fits.then_some((mint, seen))
        });
        counted.collect()
    }

    /// Mints an epoch and keeps its secret. The caller writes the entry that carries it.
    pub(crate) fn mint<R: CryptoRng>(
        &mut self,
        rng: &mut R,
        audience: Audience,
        recipients: &BTreeMap<DeviceId, PublicKey>,
        out: &mut Outcome,
    ) -> Result<Mint, Refused> {
        let carry = self.history() == Some(History::All) && audience == Audience::Readers;
        let before: Vec<(EpochId, &EpochSecret)> = if carry {
            let readers = self.epochs_of(Audience::Readers);
            self.keyring
                .epochs()
                .iter()
                .filter(|(epoch, _)| readers.contains(epoch))
                .map(|(epoch, secret)| (*epoch, secret))
                .collect()
        } else {
            Vec::new()
        };
        let (secret, mint) =
            Mint::fresh(rng, self.persona.group, self.device(), audience, recipients, &before)
                .map_err(|why| Refused::Conflict(why.to_string()))?;
        self.keep_epoch(secret, out);
        Ok(mint)
    }

    /// The group's history policy, once the genesis is held.
    pub(crate) fn history(&self) -> Option<History> {
        let genesis = EntryId::from_bytes(*self.persona.group.as_bytes());
        match self.set.control().get(&genesis) {
            Some(Control::Genesis(genesis)) => Some(genesis.history),
            _ => None,
        }
    }

    fn epochs_of(&self, audience: Audience) -> BTreeSet<EpochId> {
        let held = self.keyring.epochs().keys();
        let of = |epoch: &&EpochId| self.minted(**epoch).is_some_and(|(of, _)| of == audience);
        held.filter(of).copied().collect()
    }

    /// All mints of the set with the entries that carry them.
    pub(crate) fn all_mints(&self) -> impl Iterator<Item = (&EntryId, &Mint)> {
        self.mints.iter().filter_map(|id| Some((id, mint_of(self.set.control().get(id)?)?)))
    }

    /// For whom an epoch was minted, and the mints that say so. Anyone can name an epoch of others
    /// in a mint of their own, for another audience or other devices. Where several name one, those
    /// that this device made or can open are of who knew the secret, because a wrap is bound to its
    /// minter; without such a one all of them have to agree.
    pub(crate) fn minted(&self, epoch: EpochId) -> Option<(Audience, Vec<&Mint>)> {
        let mut mints: Vec<(&EntryId, &Mint)> =
            self.all_mints().filter(|(_, mint)| mint.epoch == epoch).collect();
        if mints.len() > 1 {
            let (group, prekeys) = (self.persona.group, self.keyring.prekeys());
            let own = self.own_devices();
            let genuine = |(id, mint): &&(&EntryId, &Mint)| {
                self.set.place_of(id).is_some_and(|(minter, _)| {
                    let opens = |own| mint.open(group, minter, own, prekeys).is_ok();
                    own.contains(&minter) || own.iter().copied().any(opens)
                })
            };
            let opened: Vec<_> = mints.iter().filter(genuine).copied().collect();
            if !opened.is_empty() {
                mints = opened;
            }
        }
        let (_, first) = mints.first()?;
        let agree = mints.iter().all(|(_, mint)| mint.audience == first.audience);
        agree.then(|| (first.audience, mints.into_iter().map(|(_, mint)| mint).collect()))
    }

    fn keep_epoch(&mut self, secret: EpochSecret, out: &mut Outcome) {
        let bytes = Zeroizing::new(*secret.as_bytes());
        let epoch = self.keyring.learn_epoch(self.persona.group, secret);
        out.write(Write::Epoch { epoch, secret: bytes });
        self.epoch_processed(out);
    }

    /// Opens what new control entries carry for this device.
    pub(crate) fn learn_keys(&mut self, now: Timestamp, entries: &[EntryId], out: &mut Outcome) {
        let (group, own) = (self.persona.group, self.own_devices());
        let mut learnt = false;
        for id in entries {
            let Some(control) = self.set.control().get(id) else { continue };
            if let Some(mint) = mint_of(control) {
                self.mints.insert(*id);
                let Some((minter, _)) = self.set.place_of(id) else { continue };
                let opened = own
                    .iter()
                    .find_map(|own| self.keyring.learn_mint(group, minter, *own, mint).ok());
                let opened = opened.unwrap_or_default();
                let room = self.room_for_history(mint.epoch, &opened);
                for (place, epoch) in opened.into_iter().enumerate() {
                    let carried = epoch != mint.epoch;
                    if self.persona.retention.forgot(&epoch) || (carried && place >= room) {
                        // Someone carries on what was destroyed here, or what is of nothing.
                        self.keyring.forget_epoch(epoch);
                        continue;
                    }
                    learnt = true;
                    if let Some(secret) = self.keyring.epoch(epoch) {
                        let secret = Zeroizing::new(*secret.as_bytes());
                        out.write(Write::Epoch { epoch, secret });
                    }
                }
            } else if let Control::Welcome(welcome) = control {
                if !own.contains(&welcome.recipient) {
                    self.persona.help.welcomed(welcome.recipient, now);
                    out.persona_changed = true;
                } else if let Ok(keys) = welcome.open(group, self.keyring.prekeys()) {
                    learnt = true;
                    self.learn_welcome(&keys, out);
                }
            }
        }
        self.chosen.clear();
        if learnt {
            self.reread_sealed(out);
            self.retry = true;
            self.epoch_processed(out);
        }
    }

    /// How many secrets may be taken over that an epoch carries of those before it. A minter can
    /// carry whatever it likes: only in a group whose history is open, and never many more than
    /// there are epochs.
    fn room_for_history(&self, carrier: EpochId, opened: &[EpochId]) -> usize {
        if opened.iter().all(|epoch| *epoch == carrier) {
            return 0;
        }
        if self.history() == Some(History::SinceJoining) {
            return 0;
        }
        let named: BTreeSet<EpochId> = self.all_mints().map(|(_, mint)| mint.epoch).collect();
        let held = self.keyring.epochs().keys();
        let unnamed = held.filter(|epoch| !named.contains(epoch) && !opened.contains(epoch));
        UNNAMED_EPOCHS.saturating_sub(unnamed.count())
    }
}

/// The mint that a control entry carries.
pub(crate) fn mint_of(control: &Control) -> Option<&Mint> {
    match control {
        Control::Epoch(mint) => Some(mint),
        Control::Revoke(revoke) => revoke.epoch.as_ref(),
        Control::Remove(remove) => remove.epoch.as_ref(),
        _ => None,
    }
}
