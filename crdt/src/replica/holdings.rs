//! What other devices are known to hold (S6): from the digests and frontiers they show, and from
//! the signed receipts that are passed on. Held by a device is not read by a person.

use std::collections::BTreeMap;

use crate::codec;
use crate::crypto::domain;
use crate::crypto::signing::{SigningKey, verify};
use crate::id::{DeviceId, EntryId, GroupId};
use crate::log::frontier::Frontier;
use crate::log::set::LogSet;
use crate::sync::message::Receipt;

/// Receipts that are passed on in one synchronisation.
pub(crate) const RECEIPTS_PASSED_ON: usize = 32;

/// The last known frontier of every other device.
#[derive(Default)]
pub(crate) struct Holdings {
    shown: BTreeMap<DeviceId, Frontier>,
    receipts: BTreeMap<DeviceId, Receipt>,
    /// Whether a receipt came that was not passed on yet.
    news: bool,
}

impl Holdings {
    /// A device showed its frontier, or one equal to this.
    pub(crate) fn show(&mut self, device: DeviceId, frontier: Frontier) {
        self.shown.insert(device, frontier);
    }

    /// Takes a receipt if its signature holds and it is newer. Whether it was taken.
    pub(crate) fn take(&mut self, group: GroupId, receipt: Receipt) -> bool {
        let newer =
            self.receipts.get(&receipt.device).is_none_or(|held| held.count < receipt.count);
        let message = message(group, receipt.count, &receipt.frontier);
        let holds = newer
            && verify(
                receipt.device.as_bytes(),
                domain::SIGN_RECEIPT,
                &message,
                &receipt.signature,
            )
            .is_ok();
        if holds {
            self.receipts.insert(receipt.device, receipt);
            self.news = true;
        }
        holds
    }

    pub(crate) const fn has_news(&self) -> bool {
        self.news
    }

    pub(crate) const fn told(&mut self) {
        self.news = false;
    }

    pub(crate) fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.receipts.values()
    }

    /// Whether a device is known to hold an entry.
    pub(crate) fn holds(&self, set: &LogSet, device: &DeviceId, entry: &EntryId) -> bool {
        let receipt = self.receipts.get(device).map(|receipt| &receipt.frontier);
        [self.shown.get(device), receipt]
            .into_iter()
            .flatten()
            .any(|frontier| covers(set, frontier, entry))
    }
}

/// Signs what a device holds.
pub(crate) fn sign(key: &SigningKey, group: GroupId, count: u64, frontier: Frontier) -> Receipt {
    let signature = key.sign(domain::SIGN_RECEIPT, &message(group, count, &frontier));
    Receipt { device: DeviceId::from_bytes(key.verifying_key()), count, frontier, signature }
}

fn message(group: GroupId, count: u64, frontier: &Frontier) -> Vec<u8> {
    codec::encode(&(group, count, frontier))
}

/// Whether whoever holds this frontier holds the entry.
fn covers(set: &LogSet, frontier: &Frontier, entry: &EntryId) -> bool {
    let Some((device, seq)) = set.place_of(entry) else { return false };
    let (Some(log), Some(tips)) = (set.log(&device), frontier.0.get(&device)) else {
        return false;
    };
    tips.iter().any(|tip| log.on_path(tip.seq, &tip.entry, seq, entry))
}
