//! What lies in a mailbox is read: verified like what any peer brings, and remembered; and what should
//! lie there and does not is noticed (M4).

use std::collections::BTreeSet;

use super::{Misconduct, Visit};
use crate::codec::{self, List};
use crate::id::{EntryId, EpochId, RecordId, TransportKey};
use crate::log::run::Run;
use crate::mailbox::message::HeldRecord;
use crate::mailbox::record::Parcel;
use crate::mailbox::shelf::{Kept, Shelf, Stretch, stretches};
use crate::mailbox::{Cursor, record_id};
use crate::replica::Replica;
use crate::replica::effect::{Event, Write};
use crate::replica::holdings;
use crate::replica::outcome::Outcome;
use crate::sync::message::Receipt;
use crate::time::Timestamp;

/// How often a record that the keeper names and does not give is asked for, on one connection.
const FETCHES: u8 = 3;
/// The part of the retention by which a record may run out before this device thinks that it does: the
/// keeper has a clock of its own, and this device's may have been set.
const EXPIRY_SLACK: u64 = 4;

/// What was found in a record.
#[derive(Default)]
pub(crate) struct Contents {
    /// Which entries it holds whole.
    holds: Vec<Stretch>,
    /// Whether it holds a payload that was erased.
    erased: bool,
}

impl Replica {
    /// A record that the keeper gave.
    pub(super) fn read_record(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        cursor: Option<Cursor>,
        bytes: &[u8],
        out: &mut Outcome,
    ) {
        let record = record_id(bytes);
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        if let Some(cursor) = cursor {
            visit.remember(|memory| memory.cursor = memory.cursor.max(cursor));
        }
        let known = visit.shelf.record(&record).is_some();
        let going = visit.memory.erasing.iter().any(|(id, _)| *id == record);
        if known || going || visit.shelf.room() == 0 {
            return;
        }
        visit.ungiven.remove(&record);
        let (epoch, Contents { holds, erased }) = match self.open_record(keeper, bytes) {
            Some((epoch, parcel)) => (Some(epoch), self.take_parcel(now, keeper, parcel, out)),
            // Of a generation whose keys this device never had, or junk of one who has them.
            None => (None, Contents::default()),
        };
        let holds = List::new(holds).unwrap_or_default();
        // How long it has lain there is not known: it is renewed before it is counted on.
        let kept = Kept { epoch, since: Timestamp::default(), holds };
        out.write(Write::Record { keeper, record, kept: kept.to_bytes() });
        let set = &self.set;
        if let Some(visit) = self.keepers.visits.get_mut(&keeper) {
            visit.shelf.learn(set, record, kept);
            if erased {
                visit.shelf.spoil(record);
            }
        }
    }

    /// Records that were asked for by name. Those for which the answer had no room are asked for
    /// again. The others that it lacks may have been deleted since they were named, and may lie there
    /// again when they are named the next time: but not again and again.
    pub(super) fn fetched(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        mut named: Vec<RecordId>,
        (records, more): (Vec<HeldRecord>, bool),
        out: &mut Outcome,
    ) {
        for held in &records {
            self.read_record(now, keeper, None, held.bytes.as_slice(), out);
        }
        let given: BTreeSet<RecordId> =
            records.iter().map(|held| record_id(held.bytes.as_slice())).collect();
        let before = named.len();
        named.retain(|record| !given.contains(record));
        self.synced = true;
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        if more && named.len() < before {
            visit.fetch.extend(named);
            return;
        }
        let mut withheld: u32 = 0;
        for record in named {
            let times = visit.ungiven.entry(record).or_default();
            *times = times.saturating_add(1);
            withheld = withheld.saturating_add(u32::from(*times == FETCHES));
        }
        if withheld > 0 {
            self.blame(now, keeper, Misconduct::Withholds(withheld));
        }
    }

    fn open_record(&self, keeper: TransportKey, bytes: &[u8]) -> Option<(EpochId, Parcel)> {
        let current = self.keepers.visits.get(&keeper)?.memory.epoch;
        let epochs = current.into_iter().chain(self.mailbox_epochs());
        epochs
            .into_iter()
            .find_map(|epoch| Some((epoch, self.sealer_of(keeper, epoch)?.open(bytes)?)))
    }

    /// Takes in what a record holds.
    fn take_parcel(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        parcel: Parcel,
        out: &mut Outcome,
    ) -> Contents {
        match parcel {
            Parcel::Runs(runs) => self.take_runs(now, runs.into_vec(), out),
            Parcel::Receipt { receipt, left_at } => {
                self.take_left(&receipt, left_at.as_slice());
                self.take_receipt(receipt, out);
                Contents::default()
            }
            // New keys come with the end of a generation, which only moderators begin.
            Parcel::Rekey { .. } | Parcel::End(_) => {
                out.notify(Event::Misbehaved { rule: format!("M1: {keeper:?} holds junk") });
                Contents::default()
            }
        }
    }

    /// Takes in runs that someone who has the mailbox's keys put together. What is good of them is
    /// kept.
    pub(crate) fn take_runs(
        &mut self,
        now: Timestamp,
        runs: Vec<Run>,
        out: &mut Outcome,
    ) -> Contents {
        let mut contents = Vec::new();
        let mut erased = false;
        for run in runs {
            let entries = match run.verify(self.persona.group) {
                Ok(entries) => entries,
                Err(why) => {
                    out.notify(Event::Misbehaved { rule: why.to_string() });
                    continue;
                }
            };
            let ids = entries.iter().map(|entry| (entry.get().id, entry.get().payload.is_some()));
            let ids: Vec<(EntryId, bool)> = ids.collect();
            erased |= ids.iter().any(|(id, whole)| *whole && self.erased.contains(id));
            contents.push(ids);
            if let Err(why) = self.ingest(now, entries, out) {
                out.notify(Event::Misbehaved { rule: why.to_string() });
            }
        }
        out.notify(Event::Progress { held: self.held(), missing: self.missing() });
        let mut found = stretches(&contents, |id| self.erased.contains(id));
        found.truncate(crate::limits::RECORD_STRETCHES);
        Contents { holds: found, erased }
    }

    pub(crate) fn take_receipt(&mut self, receipt: Receipt, out: &mut Outcome) {
        let (bytes, device) = (codec::encode(&receipt), receipt.device);
        let known = device != self.device() && self.authority.member_of(&device).is_some();
        if known && self.holdings.take(&self.set, receipt) {
            out.write(Write::Receipt { bytes, device });
        }
    }

    /// Somebody says that all that a receipt names lies in these mailboxes.
    fn take_left(&mut self, receipt: &Receipt, left_at: &[crate::id::MailboxId]) {
        let known = self.authority.member_of(&receipt.device).is_some();
        if !known
            || !holdings::fits(&self.set, receipt)
            || !holdings::is_signed(self.persona.group, receipt)
        {
            return;
        }
        for visit in self.keepers.visits.values_mut() {
            let here = visit.memory.mailbox.is_some_and(|mailbox| left_at.contains(&mailbox));
            let newer = visit
                .claims
                .get(&receipt.device)
                .is_none_or(|claimed| claimed.count < receipt.count);
            if here && newer {
                visit.claims.insert(receipt.device, receipt.clone());
                visit.suspected |= visit.read;
            }
        }
    }

    /// What members say lies there, and was not given: before it is held against the keeper, all of
    /// its records are compared once more.
    pub(super) fn weigh_claims(&mut self, now: Timestamp, keeper: TransportKey) {
        let Some(visit) = self.keepers.visits.get(&keeper) else { return };
        // What was erased may lie there without its payload in a record that was read before that was
        // known: nobody can tell then that it was whole.
        let mut withheld = unmet(visit);
        // It may lie in a record that this device cannot open: of a time before it came.
        let sealed = visit.shelf.records().values().any(|kept| kept.epoch.is_none());
        // Or it may have run out: what lay there when this device looked after it last has not.
        let half = visit.memory.retention.checked_div(2).unwrap_or(0);
        let outlived = now.since(visit.memory.tended) >= half;
        if sealed || outlived {
            withheld.clear();
        } else if !withheld.is_empty() {
            let gone = self.erased_or_to_be();
            withheld.retain(|entry| !gone.contains(entry));
        }
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        if withheld.is_empty() {
            visit.claims.clear();
            visit.suspected = false;
            return;
        }
        let compared = visit.compared.is_some_and(|at| at == now);
        if !compared || !visit.fetch.is_empty() {
            visit.suspected = true;
            return;
        }
        visit.suspected = false;
        visit.claims.clear();
        let count = u32::try_from(withheld.len()).unwrap_or(u32::MAX);
        self.blame(now, keeper, Misconduct::Withholds(count));
    }

    /// Keys have come that may open records which did not open: they are fetched once more.
    pub(crate) fn reread_sealed(&mut self, out: &mut Outcome) {
        let set = &self.set;
        for (keeper, visit) in &mut self.keepers.visits {
            let sealed = visit.shelf.records().iter().filter(|(_, kept)| kept.epoch.is_none());
            let sealed: Vec<RecordId> = sealed.map(|(record, _)| *record).collect();
            for record in &sealed {
                visit.shelf.lose(set, record);
                out.write(Write::ForgetRecord { keeper: *keeper, record: *record });
            }
            if !sealed.is_empty() {
                visit.compared = None;
            }
        }
    }

    /// What a comparison of all records has found.
    pub(super) fn compared(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        there: Vec<RecordId>,
        here: Vec<RecordId>,
        out: &mut Outcome,
    ) {
        let set = &self.set;
        // Also what was heard of just now, and whose payload is still to be dropped here.
        let erased = if here.is_empty() { BTreeSet::new() } else { self.erased_or_to_be() };
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        let compare = visit.asked.iter().position(|asked| *asked == super::Asked::Compare);
        if compare.and_then(|at| visit.asked.remove(at)).is_none() {
            return;
        }
        visit.compared = Some(now);
        let erasing: BTreeSet<RecordId> =
            visit.memory.erasing.iter().map(|(record, _)| *record).collect();
        let mut unread = there;
        unread.retain(|record| visit.shelf.record(record).is_none());
        let wanted = unread.iter().filter(|record| !erasing.contains(*record)).copied();
        let given_up = |record: &RecordId| visit.ungiven.get(record) >= Some(&FETCHES);
        visit.fetch = wanted.filter(|record| !given_up(record)).take(visit.shelf.room()).collect();
        if visit.fetch.len() < unread.len() {
            // What is not looked into, since it is being erased, may hold what members say lies there.
            visit.claims.clear();
        }
        // What was erased just now may be deleted before this device has heard of it: what is new is
        // read first, and all compared once more.
        visit.doubted = !visit.doubted && !here.is_empty();
        if visit.doubted {
            (visit.read, visit.compared) = (false, None);
            return;
        }
        let retention = visit.memory.retention;
        let slack = retention.checked_div(EXPIRY_SLACK).unwrap_or(0);
        let sure = retention.saturating_sub(slack);
        let mut withheld: u32 = 0;
        for record in here {
            let stale = visit.shelf.stale().contains(&record);
            let Some(kept) = visit.shelf.lose(set, &record) else { continue };
            out.write(Write::ForgetRecord { keeper, record });
            // Receipts are replaced by their devices, and what was erased by anyone.
            let replaced = kept.holds.is_empty() || stale || Shelf::holds_any(set, &kept, &erased);
            let expired = now.since(kept.since) >= sure;
            if !replaced && !expired {
                withheld = withheld.saturating_add(1);
            }
        }
        let set_back =
            matches!(&visit.memory.misconduct, Some((Misconduct::SetBack, at)) if *at == now);
        if withheld > 0 && !set_back {
            self.blame(now, keeper, Misconduct::Withholds(withheld));
        }
        self.weigh_claims(now, keeper);
    }
}

/// The tips that members say lie there and no record is known to hold.
fn unmet(visit: &Visit) -> Vec<EntryId> {
    let receipts = visit.claims.values();
    let tips = receipts.flat_map(|receipt| receipt.frontier.0.iter()).flat_map(|(_, tips)| tips);
    let unmet: BTreeSet<EntryId> =
        tips.map(|tip| tip.entry).filter(|entry| !visit.shelf.holds(entry)).collect();
    unmet.into_iter().collect()
}
