//! What is asked of a keeper next. One question at a time; only the wait for news is interrupted by
//! another.

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use super::answers::SHORT_REST_MILLIS;
use super::{Asked, KeeperAsk, Visit};
use crate::codec::List;
use crate::id::{DeviceId, EntryId, RecordId, TransportKey};
use crate::limits::NAMED_RECORDS;
use crate::log::entry::Control;
use crate::log::frontier::{Frontier, FrontierDigest};
use crate::mailbox::deposit::Deposit;
use crate::mailbox::message::KeeperRequest;
use crate::mailbox::record::Parcel;
use crate::replica::Replica;
use crate::replica::effect::Effect;
use crate::replica::holdings;
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::time::Timestamp;

/// Bytes of records that are asked for at a time.
const GET_BYTES: u32 = 512 * 1024;
/// Entries that are put at a time.
const DEPOSIT_ENTRIES: usize = 1024;
/// Records that are fetched by name at a time.
const FETCHED: usize = 64;
/// Milliseconds that entries of others wait for their author to put them.
const OTHERS_MILLIS: u64 = 120_000;
/// Milliseconds over which members spread the putting of others' entries.
const OTHERS_SPREAD_MILLIS: u64 = 60_000;
/// Milliseconds between two renewals of what lies there.
const RENEW_MILLIS: u64 = 86_400_000;
/// Milliseconds between two receipts that this device leaves at one keeper.
const LEFT_RECEIPT_MILLIS: u64 = 60_000;

impl Replica {
    /// What every input ends with: what is new is noted as lacking, and if it `stirs` every keeper is
    /// asked what is to be asked next. What peers bring is put when time has passed.
    pub(crate) fn tend_keepers<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        stirs: bool,
        out: &mut Outcome,
    ) {
        self.grow_shelves(out);
        let keepers = self.keepers.visits.keys().filter(|_| stirs || out.has_authored());
        let keepers: Vec<TransportKey> = keepers.copied().collect();
        for keeper in keepers {
            if let Some((asked, ask)) = self.next_ask(now, rng, keeper, out)
                && let Some(visit) = self.keepers.visits.get_mut(&keeper)
            {
                visit.asked.push_back(asked);
                out.effect(Effect::Keeper { keeper, ask });
            }
            // Asking can mint an epoch, which lies with none of them yet.
            self.grow_shelves(out);
        }
        self.keep_memories(out);
    }

    fn grow_shelves(&mut self, out: &mut Outcome) {
        for place in std::mem::take(&mut out.entered) {
            self.keepers.grow(&self.set, place);
        }
    }

    fn next_ask<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        keeper: TransportKey,
        out: &mut Outcome,
    ) -> Option<(Asked, KeeperAsk)> {
        let visit = self.keepers.visits.get(&keeper)?;
        let busy = visit.asked.iter().any(|asked| *asked != Asked::Watch);
        if !visit.up || busy || now < visit.rest {
            return None;
        }
        if let Some(ask) = self.creation(keeper) {
            return Some(ask);
        }
        if visit.memory.mailbox.is_none() {
            return self.letter_ask(now, rng, keeper);
        }
        if visit.state.is_none() {
            return self.opening(now, keeper);
        }
        match self.persona.state {
            ReplicaState::Member => {}
            // The last words are left there too.
            ReplicaState::Left => return self.deposit_ask(now, keeper),
            _ => return self.reading_ask(now, keeper),
        }
        let ask = if self.awaits_keys(now, keeper) {
            self.box_ask(now, keeper).or_else(|| self.reading_ask(now, keeper))
        } else {
            self.box_ask(now, keeper)
                .or_else(|| self.rotation(now, rng, keeper, out))
                .or_else(|| self.reading_ask(now, keeper))
                .or_else(|| self.answer_ask(now, rng, keeper))
                .or_else(|| self.deposit_ask(now, keeper))
                .or_else(|| self.receipt_ask(now, keeper, out))
                .or_else(|| self.tidying_ask(now, keeper))
        };
        if ask.is_some() {
            return ask;
        }
        let visit = self.keepers.visits.get(&keeper)?;
        let request = KeeperRequest::Watch { after: visit.memory.cursor, drops: visit.drops };
        let idle = visit.asked.is_empty();
        idle.then(|| (Asked::Watch, KeeperAsk::Request(Box::new(request))))
    }

    /// The next step of catching up.
    fn reading_ask(&mut self, now: Timestamp, keeper: TransportKey) -> Option<(Asked, KeeperAsk)> {
        let visit = self.keepers.visits.get_mut(&keeper)?;
        if !visit.read {
            let request = KeeperRequest::Get { after: visit.memory.cursor, bytes: GET_BYTES };
            return Some((Asked::Get, KeeperAsk::Request(Box::new(request))));
        }
        if !visit.fetch.is_empty() {
            let rest = visit.fetch.split_off(visit.fetch.len().min(FETCHED));
            let named = std::mem::replace(&mut visit.fetch, rest);
            let request = KeeperRequest::Fetch(List::new(named.clone()).unwrap_or_default());
            return Some((Asked::Fetch(named), KeeperAsk::Request(Box::new(request))));
        }
        if visit.was_compared(now) && !visit.suspected {
            return None;
        }
        let held = visit.shelf.records().keys().copied().collect();
        Some((Asked::Compare, KeeperAsk::Compare { held }))
    }

    /// What is held here and lies in no record there.
    fn deposit_ask(&mut self, now: Timestamp, keeper: TransportKey) -> Option<(Asked, KeeperAsk)> {
        let own = self.device();
        let introduced = self.introduced(keeper);
        let visit = self.keepers.visits.get_mut(&keeper)?;
        let others = visit.shelf.lacking().iter().any(|(device, ..)| *device != own);
        if others && visit.others_due.is_none() {
            visit.others_due = Some(now.after(OTHERS_MILLIS).after(own.turn(OTHERS_SPREAD_MILLIS)));
        } else if !others {
            visit.others_due = None;
        }
        // Whoever has left says so under the keys that they have, whoever else has them: of others they
        // say nothing.
        let all = self.persona.state != ReplicaState::Left
            && (visit.shelf.records().is_empty()
                || !visit.memory.erasing.is_empty()
                || visit.others_due.is_some_and(|due| due <= now));
        if !all && introduced.is_empty() && visit.shelf.lacking_of(own).next().is_none() {
            return None;
        }
        let (set, missing) = (&self.set, self.documents.missing());
        let content = !visit.full || visit.room_due <= now;
        let ready = |entry: &EntryId| {
            let control = set.slot(entry).is_some_and(|slot| slot.kind.is_control());
            let of_own = set.place_of(entry).is_some_and(|(device, _)| device == own)
                || introduced.contains(entry);
            (of_own || all) && (control || content) && !missing.contains_key(entry)
        };
        let paths = visit.shelf.to_put(set, DEPOSIT_ENTRIES, ready);
        if paths.is_empty() {
            // Nothing of it is whole yet: it is looked through again in a while.
            let later = now.after(SHORT_REST_MILLIS);
            visit.others_due = visit.others_due.map(|due| due.max(later));
            return None;
        }
        let all = paths.iter().flatten().copied();
        let missing = all.filter(|id| self.documents.missing().contains_key(id)).collect();
        let sealer = self.sealer(now, keeper)?;
        let deposit = Deposit { paths, missing, content, sealer };
        Some((Asked::Deposit { content }, KeeperAsk::Deposit(Box::new(deposit))))
    }

    /// The cards of those whom this device has welcomed, as long as they lie in no record: a welcome
    /// for a device that nobody has heard of is one for a stranger.
    fn introduced(&self, keeper: TransportKey) -> BTreeSet<EntryId> {
        let own = self.device();
        let Some(visit) = self.keepers.visits.get(&keeper) else { return BTreeSet::new() };
        let first = visit.shelf.lacking().iter().filter(|(_, seq, _)| *seq == 0);
        let first: Vec<(DeviceId, EntryId)> = first.map(|(device, _, id)| (*device, *id)).collect();
        if first.iter().all(|(device, _)| *device == own) {
            return BTreeSet::new();
        }
        let welcomed = self.set.control().iter().filter_map(|(id, control)| match control {
            Control::Welcome(welcome) => {
                let (by, _) = self.set.place_of(id)?;
                (by == own).then_some(welcome.recipient)
            }
            _ => None,
        });
        let welcomed: BTreeSet<DeviceId> = welcomed.collect();
        first.into_iter().filter(|(of, _)| welcomed.contains(of)).map(|(_, id)| id).collect()
    }

    /// Says what this device holds, where others find it (S6).
    fn receipt_ask(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        out: &mut Outcome,
    ) -> Option<(Asked, KeeperAsk)> {
        let visit = self.keepers.visits.get(&keeper)?;
        let told = visit.memory.receipt.map(|(_, _, digest)| digest);
        if now < visit.receipt_due || told == Some(self.held_digest().1) {
            return None;
        }
        let receipt = self.sign_receipt(out)?;
        let digest = self.last_shown?;
        // What a mailbox holds wholly is said, so that whoever does not find it there knows; not of one
        // whose records are only remembered: while this device was away they may have run out.
        let whole = |visit: &&Visit| {
            visit.state.is_some() && visit.was_compared(now) && visit.shelf.lacking().is_empty()
        };
        let left_at = self.keepers.visits.values().filter(whole);
        let left_at = List::new(left_at.filter_map(|visit| visit.memory.mailbox).collect());
        let sealer = self.sealer(now, keeper)?;
        let parcel = Parcel::Receipt { receipt, left_at: left_at.unwrap_or_default() };
        let record = sealer.put(&parcel, false).ok()?;
        let id = crate::mailbox::record_id(record.bytes.as_slice());
        let visit = self.keepers.visits.get_mut(&keeper)?;
        visit.receipt_due = now.after(LEFT_RECEIPT_MILLIS);
        let request = KeeperRequest::Put(List::new(vec![record]).ok()?);
        let asked = Asked::Receipt(id, sealer.epoch, digest);
        Some((asked, KeeperAsk::Request(Box::new(request))))
    }

    /// Replaces what was erased, deletes what was replaced, and keeps alive what is wanted.
    fn tidying_ask(&mut self, now: Timestamp, keeper: TransportKey) -> Option<(Asked, KeeperAsk)> {
        let visit = self.keepers.visits.get_mut(&keeper)?;
        if !visit.memory.erasing.is_empty() {
            let erasing = visit.memory.erasing.clone();
            let token = |(record, epoch): &(RecordId, _)| {
                let sealer = self.sealer_of(keeper, *epoch)?;
                Some((*record, *sealer.token(*record)))
            };
            let tokens: Vec<_> = erasing.iter().filter_map(token).take(NAMED_RECORDS).collect();
            let named = erasing.iter().map(|(record, _)| *record).collect();
            let request = KeeperRequest::Erase(List::new(tokens).ok()?);
            return Some((Asked::Erase(named), KeeperAsk::Request(Box::new(request))));
        }
        let half = visit.memory.retention.checked_div(2).unwrap_or(0);
        if half == 0 || visit.renewed.is_some_and(|at| now.since(at) < RENEW_MILLIS) {
            return None;
        }
        let old = visit
            .shelf
            .records()
            .iter()
            .filter(|(_, kept)| now.since(kept.since) >= half && !kept.holds.is_empty());
        let old: Vec<RecordId> = old.map(|(id, _)| *id).take(NAMED_RECORDS).collect();
        if old.is_empty() {
            visit.renewed = Some(now);
            if visit.was_compared(now) {
                visit.remember(|memory| memory.tended = now);
            }
            return None;
        }
        let request = KeeperRequest::Renew(List::new(old.clone()).ok()?);
        Some((Asked::Renew(old), KeeperAsk::Request(Box::new(request))))
    }

    /// Signs what this device holds, if that is another than what it said last.
    pub(crate) fn sign_receipt(
        &mut self,
        out: &mut Outcome,
    ) -> Option<crate::sync::message::Receipt> {
        let (frontier, digest) = self.held_digest();
        if self.last_shown != Some(digest) || self.own_receipt.is_none() {
            self.last_shown = Some(digest);
            self.persona.receipts = self.persona.receipts.saturating_add(1);
            out.persona_changed = true;
            let (key, count) = (&self.persona.device, self.persona.receipts);
            self.own_receipt = Some(holdings::sign(key, self.persona.group, count, frontier));
        }
        self.own_receipt.clone()
    }

    /// What this device holds whole.
    fn held_digest(&self) -> (Frontier, FrontierDigest) {
        let frontier = Frontier::whole(&self.set, self.documents.missing());
        let digest = frontier.digest(self.persona.group);
        (frontier, digest)
    }
}
