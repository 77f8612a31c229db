//! What a device holds no longer than it has use for (K7).
//!
//! The envelope of every entry that was opened is in the store: with it a live document can be read
//! and built anew without the secret of its epoch. So a secret is only for what is still to come.
//! When no writer would use the epoch any more, and a window has passed in which what others wrote
//! under it can arrive, the secret is destroyed; so is each prekey that was replaced that long ago,
//! for the entries that wrapped the secret to it stay for ever. What must stay true: the envelope
//! of what was erased is nowhere, so that nothing that is left opens what somebody hoarded of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::authority::Counting;
use crate::capability::grant::History;
use crate::epoch::secret::Audience;
use crate::id::{EntryId, EpochId, InviteId};
use crate::limits::WAITING_REQUESTS;
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::effect::Write;
use crate::replica::ingest::epoch_of;
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// Milliseconds that a secret is kept after it came out of use.
const RETENTION_MILLIS: u64 = 30 * 86_400_000;
/// The same for what something seems to wait for that does not come: nobody can keep a secret
/// alive for ever by withholding.
const RETENTION_AT_LAST_MILLIS: u64 = 60 * 86_400_000;
/// Milliseconds between two looks.
const SWEEP_MILLIS: u64 = 3_600_000;
/// Epochs of which is remembered that their secret was destroyed.
const FORGOTTEN_EPOCHS: usize = 4096;

/// What came out of use, and since when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Retention {
    retired: BTreeMap<EpochId, Timestamp>,
    /// Destroyed: not taken back from the history of a later epoch.
    forgotten: BTreeSet<EpochId>,
}

impl Retention {
    /// Whether an epoch's secret was destroyed here.
    pub(crate) fn forgot(&self, epoch: &EpochId) -> bool {
        self.forgotten.contains(epoch)
    }

    /// An epoch's secret is destroyed.
    fn forget(&mut self, epoch: EpochId) {
        self.retired.remove(&epoch);
        while self.forgotten.len() >= FORGOTTEN_EPOCHS {
            self.forgotten.pop_first();
        }
        self.forgotten.insert(epoch);
    }
}

impl Replica {
    /// Destroys what has been out of use for long enough.
    pub(crate) fn sweep(&mut self, now: Timestamp, out: &mut Outcome) {
        let lately = self.swept <= now && now.since(self.swept) < SWEEP_MILLIS;
        if lately || self.retry || self.retrying.is_some() {
            return;
        }
        self.swept = now;
        self.retire(now, out);
        self.forget_epochs(now, out);
        self.forget_prekeys(now, out);
        self.forget_request_secrets(now, out);
    }

    /// Notes which epochs nobody would write under any more, as far as this device can tell.
    fn retire(&mut self, now: Timestamp, out: &mut Outcome) {
        // What opens mailboxes opens no content, and a newcomer needs it for what lies there (M2).
        let opens_mailboxes: BTreeSet<EpochId> = self.mailbox_epochs().into_iter().collect();
        let held = self.keyring.epochs().keys().copied();
        let held: Vec<EpochId> = held.filter(|epoch| !opens_mailboxes.contains(epoch)).collect();
        let audiences: BTreeSet<Audience> =
            held.iter().filter_map(|epoch| self.minted(*epoch)).map(|(of, _)| of).collect();
        let used: BTreeSet<EpochId> =
            audiences.into_iter().filter_map(|audience| self.usable(audience)).collect();
        let retired = &mut self.persona.retention.retired;
        let before = retired.len();
        retired.retain(|epoch, _| !used.contains(epoch) && held.contains(epoch));
        let mut changed = retired.len() != before;
        for epoch in held.into_iter().filter(|epoch| !used.contains(epoch)) {
            changed |= retired.insert(epoch, *retired.get(&epoch).unwrap_or(&now)).is_none();
        }
        out.persona_changed |= changed;
    }

    fn forget_epochs(&mut self, now: Timestamp, out: &mut Outcome) {
        let old = self.persona.retention.retired.iter();
        let old: Vec<(EpochId, u64)> = old
            .map(|(epoch, since)| (*epoch, now.since(*since)))
            .filter(|(_, age)| *age >= RETENTION_MILLIS)
            .collect();
        if old.is_empty() {
            return;
        }
        let awaited = self.awaited_epochs();
        for (epoch, age) in old {
            if awaited.contains(&epoch) && age < RETENTION_AT_LAST_MILLIS {
                continue;
            }
            self.keep_request_secrets(epoch);
            self.keyring.forget_epoch(epoch);
            out.write(Write::ForgetEpoch { epoch });
            self.persona.retention.forget(epoch);
            out.persona_changed = true;
        }
    }

    /// Epochs under which something is sealed that is still to come, or to be read.
    fn awaited_epochs(&self) -> BTreeSet<EpochId> {
        let may_count =
            |id: &EntryId| !matches!(self.authority.counting(&self.set, id), Counting::Void { .. });
        let unread = self.documents.unread().iter();
        let unread = unread.filter(|(id, _)| may_count(id)).map(|(_, epoch)| *epoch);
        let missing = self.documents.missing().iter();
        let missing = missing
            .filter(|(id, _)| may_count(id))
            .filter_map(|(_, header)| epoch_of(&header.sealing));
        unread.chain(missing).collect()
    }

    /// The newest prekey stays; others go a while after they were replaced, when everything that
    /// was handed over under them has found its entry.
    fn forget_prekeys(&mut self, now: Timestamp, out: &mut Outcome) {
        let waits =
            |id: &EntryId| self.documents.of_entry(id).is_none() && !self.erased.contains(id);
        let limit = match self.welcomed.keys().any(waits) {
            true => RETENTION_AT_LAST_MILLIS,
            false => RETENTION_MILLIS,
        };
        let replaced = self.persona.prekeys.iter().skip(1);
        let old = replaced.take_while(|next| now.since(next.since) >= limit).count();
        if old > 0 {
            self.persona.prekeys.drain(..old);
            self.keyring.renew(self.persona.secrets());
            out.persona_changed = true;
        }
    }

    /// Of the invites that this member honours the secret half of the request key is kept, not the
    /// epoch that it was sealed under (J1).
    fn keep_request_secrets(&mut self, epoch: EpochId) {
        let own = self.member();
        let kept: Vec<_> = self
            .set
            .control()
            .values()
            .filter_map(|control| match control {
                Control::Invite(invite)
                    if invite.request_secret.epoch == epoch
                        && invite.admitters.get(&own).is_some() =>
                {
                    Some((invite.invite, self.request_secret(invite)?.to_bytes()))
                }
                _ => None,
            })
            .collect();
        let room = WAITING_REQUESTS.saturating_sub(self.persona.request_secrets.len());
        self.persona.request_secrets.extend(kept.into_iter().take(room));
    }

    /// An invite that is used up, expired or void needs none.
    fn forget_request_secrets(&mut self, now: Timestamp, out: &mut Outcome) {
        let dead: BTreeSet<InviteId> = self
            .persona
            .request_secrets
            .keys()
            .filter(|invite| self.invite_for(invite, now).is_err())
            .copied()
            .collect();
        for invite in dead {
            self.persona.request_secrets.remove(&invite);
            out.persona_changed = true;
        }
    }

    /// Entries that all readers may read and whose epoch's secret is held no more: in a group with
    /// history `all` a newcomer gets their envelopes (K6).
    pub(crate) fn readable_without_epoch(&self) -> BTreeSet<EntryId> {
        if self.history() != Some(History::All) {
            return BTreeSet::new();
        }
        let gone: BTreeSet<EpochId> = self
            .sealed_under
            .values()
            .filter(|epoch| self.keyring.epoch(**epoch).is_none())
            .copied()
            .collect();
        let of_readers =
            |epoch: &EpochId| self.minted(*epoch).is_some_and(|(of, _)| of == Audience::Readers);
        self.readable_under(&gone.into_iter().filter(of_readers).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k7_of_what_was_destroyed_a_bounded_number_is_remembered() {
        let mut retention = Retention::default();
        let epochs = (0..u64::try_from(FORGOTTEN_EPOCHS).unwrap() + 10).map(|n| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            EpochId::from_bytes(bytes)
        });
        for epoch in epochs {
            retention.retired.insert(epoch, Timestamp::default());
            retention.forget(epoch);
            assert!(retention.forgot(&epoch) && retention.retired.is_empty());
        }
        assert_eq!(retention.forgotten.len(), FORGOTTEN_EPOCHS);
    }
}
