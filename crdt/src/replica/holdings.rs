//! What other devices are known to hold (S6): from the digests and frontiers they show, and from
//! the signed receipts that are passed on. Held by a device is not read by a person. What they hold
//! and this one does not says that it shows an old state (M4).

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{self, List, Map};
use crate::crypto::domain;
use crate::crypto::signing::{SigningKey, verify};
use crate::id::{DeviceId, EntryId, GroupId, MemberId};
use crate::log::frontier::Frontier;
use crate::log::set::LogSet;
use crate::replica::Replica;
use crate::sync::message::Receipt;

/// Receipts that are passed on in one synchronisation.
pub(crate) const RECEIPTS_PASSED_ON: usize = 32;

/// Tips of logs that are not held here which a receipt may name.
const LOGS_AHEAD: usize = 64;

/// The last known frontier of every other device.
#[derive(Default)]
pub(crate) struct Holdings {
    shown: BTreeMap<DeviceId, Frontier>,
    receipts: BTreeMap<DeviceId, Receipt>,
    /// Whether a receipt came that was not passed on yet.
    news: bool,
}

impl Holdings {
    /// A device showed its frontier, or one equal to this. Of logs that are not held nothing is
    /// kept, nor of more than one tip for each: it is as large as the set at most.
    pub(crate) fn show(&mut self, set: &LogSet, device: DeviceId, frontier: &Frontier) {
        let known = frontier.0.iter().filter(|(device, _)| set.log(device).is_some());
        let tips = known.filter_map(|(device, tips)| {
            let held = tips.iter().find(|tip| set.contains(&tip.entry)).or(tips.iter().next());
            Some((*device, List::new(vec![*held?]).ok()?))
        });
        self.shown.insert(device, Frontier(Map::new(tips.collect()).unwrap_or_default()));
    }

    /// Takes a receipt if its signature holds, it is newer, and it fits. Whether it was taken.
    pub(crate) fn take(&mut self, set: &LogSet, receipt: Receipt) -> bool {
        let newer =
            self.receipts.get(&receipt.device).is_none_or(|held| held.count < receipt.count);
        let holds = newer && fits(set, &receipt) && is_signed(set.group(), &receipt);
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

    /// Whether a device has a receipt for the ends of known logs that are not held here.
    fn names_more(&self, set: &LogSet, device: &DeviceId) -> bool {
        let receipt = self.receipts.get(device).map(|receipt| &receipt.frontier);
        receipt.into_iter().flat_map(|frontier| frontier.0.iter()).any(|(of, tips)| {
            set.log(of).is_some() && tips.iter().any(|tip| !set.contains(&tip.entry))
        })
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

impl Replica {
    /// The members who have seen more of the group than this device holds, as they say: by the
    /// `seen` of the newest entry of their logs (L1) or by a receipt. A hint: whoever served this
    /// device last may have withheld something, and anyone may claim to have seen what is not.
    #[must_use]
    pub fn seen_further(&self) -> BTreeSet<MemberId> {
        let own = self.member();
        let held = self.set.seen().count;
        let further = |device: &DeviceId| {
            let newest = self.set.log(device).into_iter().flat_map(|log| {
                log.heads().iter().filter_map(|(seq, id)| Some(log.slot(*seq, id)?.seen))
            });
            newest.max().is_some_and(|seen| seen > held)
                || self.holdings.names_more(&self.set, device)
        };
        let others = self.authority.members().iter().filter(|(member, _)| **member != own);
        let others = others.filter(|(_, standing)| standing.devices.iter().any(further));
        others.map(|(member, _)| *member).collect()
    }
}

/// Signs what a device holds.
pub(crate) fn sign(key: &SigningKey, group: GroupId, count: u64, frontier: Frontier) -> Receipt {
    let signature = key.sign(domain::SIGN_RECEIPT, &message(group, count, &frontier));
    Receipt { device: DeviceId::from_bytes(key.verifying_key()), count, frontier, signature }
}

/// Whether a receipt names no more logs than this set has, and a few.
pub(crate) fn fits(set: &LogSet, receipt: &Receipt) -> bool {
    let tips: usize = receipt.frontier.0.iter().map(|(_, tips)| tips.len()).sum();
    tips <= set.logs().len().saturating_mul(2).saturating_add(LOGS_AHEAD)
}

/// Whether a receipt is of the device that it names.
pub(crate) fn is_signed(group: GroupId, receipt: &Receipt) -> bool {
    let Receipt { device, count, frontier, signature } = receipt;
    let message = message(group, *count, frontier);
    verify(device.as_bytes(), domain::SIGN_RECEIPT, &message, signature).is_ok()
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
