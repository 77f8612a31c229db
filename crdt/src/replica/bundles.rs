//! Bundles (S5): all that a member holds, in a file that any member can read, for a stick that is
//! carried from hand to hand.
//!
//! A bundle is a row of records like those at a keeper, sealed for one mailbox that every group has
//! and no keeper. First come rekey records, so that who was away while keys changed can open the rest;
//! last comes how many there were. Each record stands for itself: what came of a bundle that was cut
//! short is kept, and two bundles can be read in any order.

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use crate::codec::List;
use crate::crypto::domain;
use crate::epoch::secret::Audience;
use crate::id::{EntryId, EpochId, MailboxId};
use crate::mailbox::deposit::Deposit;
use crate::mailbox::record::{Parcel, Sealer};
use crate::mailbox::shelf::Shelf;
use crate::replica::Replica;
use crate::replica::effect::{Effect, Event, Refused, Reply};
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// Earlier epochs of either sort whose holders can open a bundle.
const OPENED_BY: usize = 4;
/// The readers' newest epochs that are tried on a record that no mailbox's key opens.
const TRIED: usize = 64;

/// What a bundle is made of.
#[derive(Clone)]
pub struct Bundle {
    /// Records that come first.
    pub head: Vec<Vec<u8>>,
    /// The entries, to be packed from the store: the same bytes for the same entries, so that a
    /// bundle that was cut short can be completed.
    pub deposit: Deposit,
    /// Records that come after those.
    pub tail: Vec<Vec<u8>>,
}

impl Bundle {
    /// The record that comes last, after so many others.
    #[must_use]
    pub fn end(&self, records: u32) -> Vec<u8> {
        self.deposit.sealer.seal(&Parcel::End(records)).unwrap_or_default()
    }
}

/// What became of some records of a bundle.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unpacked {
    /// Records that opened.
    pub opened: u64,
    /// Records that did not: of another group, or of a time when this device was not in it.
    pub foreign: u64,
    /// How many records came before the end, if it was among them.
    pub end: Option<u32>,
}

impl Replica {
    /// Puts together what a bundle is made of.
    pub(crate) fn bundle<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let epoch = self.epoch_for(now, rng, Audience::Mailbox, out)?;
        let sealer = self
            .sealer_for(self.bundle_mailbox(), epoch)
            .ok_or(Refused::Unknown { what: "key" })?;
        let mut head = Vec::new();
        if let Some(parcel) = self.rekey_parcel(epoch) {
            for before in self.earlier(epoch) {
                head.extend(before.seal(&parcel));
            }
        }
        let receipts: Vec<_> = self.holdings.receipts().cloned().collect();
        let mut tail = Vec::new();
        for receipt in receipts.into_iter().chain(self.sign_receipt(out)) {
            let parcel = Parcel::Receipt { receipt, left_at: List::default() };
            tail.extend(sealer.seal(&parcel));
        }
        let set = &self.set;
        let mut shelf = Shelf::restore(set, std::collections::BTreeMap::new());
        let paths = shelf.to_put(set, usize::MAX, |_| true);
        let all = paths.iter().flatten().copied();
        let missing: BTreeSet<EntryId> =
            all.filter(|id| self.documents.missing().contains_key(id)).collect();
        let deposit = Deposit { paths, missing, content: true, sealer };
        Ok(Reply::Bundle(Box::new(Bundle { head, deposit, tail })))
    }

    /// Reads some records of a bundle.
    pub(crate) fn unpack(&mut self, now: Timestamp, records: &[Vec<u8>], out: &mut Outcome) {
        let mut unpacked = Unpacked::default();
        let mut rekeys = OPENED_BY.saturating_mul(2);
        for record in records {
            let Some(parcel) = self.open_bundled(record) else {
                unpacked.foreign = unpacked.foreign.saturating_add(1);
                continue;
            };
            unpacked.opened = unpacked.opened.saturating_add(1);
            match parcel {
                Parcel::Runs(runs) => {
                    self.take_runs(now, runs.into_vec(), out);
                }
                Parcel::Receipt { receipt, .. } => self.take_receipt(receipt, out),
                Parcel::Rekey { minter, mint } => {
                    if rekeys > 0 {
                        self.open_rekey(minter, &mint, out);
                    }
                    rekeys = rekeys.saturating_sub(1);
                }
                Parcel::End(count) => unpacked.end = Some(count),
            }
        }
        // As when a stream has brought all that the other end had.
        self.synced |= unpacked.end.is_some();
        out.effect(Effect::Notify(Event::Unpacked(unpacked)));
    }

    fn open_bundled(&self, record: &[u8]) -> Option<Parcel> {
        let mailbox = self.bundle_mailbox();
        let readers = self.minted_for(Audience::Readers).into_iter().take(TRIED);
        let mut epochs = self.mailbox_epochs().into_iter().chain(readers);
        epochs.find_map(|epoch| self.sealer_for(mailbox, epoch)?.open(record))
    }

    /// What the holders of earlier keys can open: mailboxes' first, then the readers'.
    fn earlier(&self, epoch: EpochId) -> Vec<Sealer> {
        let mailbox = self.bundle_mailbox();
        let mailboxes = self.mailbox_epochs().into_iter().filter(|held| *held != epoch);
        let readers = self.minted_for(Audience::Readers).into_iter();
        let epochs = mailboxes.take(OPENED_BY).chain(readers.take(OPENED_BY));
        epochs.filter_map(|epoch| self.sealer_for(mailbox, epoch)).collect()
    }

    /// The name under which a group's bundles are sealed.
    fn bundle_mailbox(&self) -> MailboxId {
        MailboxId::from_bytes(domain::hash(domain::BUNDLE, &[self.persona.group.as_bytes()]))
    }
}
