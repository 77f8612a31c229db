//! What is asked of a keeper next, and what its answers come to. One question at a time; only the
//! wait for news is interrupted by another.

use rand_core::CryptoRng;

use super::{Asked, Deposited, ERASING, KeeperAsk, Memory, Misconduct, Visit};
use crate::codec::List;
use crate::id::{EntryId, RecordId, TransportKey};
use crate::limits::NAMED_RECORDS;
use crate::log::frontier::Frontier;
use crate::mailbox::Cursor;
use crate::mailbox::deposit::Deposit;
use crate::mailbox::message::{KeeperReply, KeeperRequest, MailboxState, Putting};
use crate::mailbox::record::Parcel;
use crate::mailbox::shelf::Kept;
use crate::replica::Replica;
use crate::replica::effect::{Effect, Write};
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
/// Milliseconds between two comparisons of all records.
const COMPARE_MILLIS: u64 = 3_600_000;
/// Milliseconds between two renewals of what lies there.
const RENEW_MILLIS: u64 = 86_400_000;
/// Milliseconds between two receipts that this device leaves at one keeper.
const LEFT_RECEIPT_MILLIS: u64 = 60_000;
/// Milliseconds until a keeper that did not let this node in, or was full, is asked again.
const REST_MILLIS: u64 = 300_000;
/// The same after it could not answer.
const SHORT_REST_MILLIS: u64 = 15_000;

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
        for place in std::mem::take(&mut out.entered) {
            self.keepers.grow(&self.set, place);
        }
        let keepers = self.keepers.visits.keys().filter(|_| stirs || out.has_authored());
        let keepers: Vec<TransportKey> = keepers.copied().collect();
        for keeper in keepers {
            if let Some((asked, ask)) = self.next_ask(now, rng, keeper, out)
                && let Some(visit) = self.keepers.visits.get_mut(&keeper)
            {
                visit.asked.push_back(asked);
                out.effect(Effect::Keeper { keeper, ask });
            }
        }
        // Asking can mint an epoch, which is an entry too.
        for place in std::mem::take(&mut out.entered) {
            self.keepers.grow(&self.set, place);
        }
        self.keep_memories(out);
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
            ReplicaState::Left => return self.deposit_ask(now, rng, keeper, out),
            _ => return self.reading_ask(now, keeper),
        }
        let ask = self
            .box_ask(now, keeper)
            .or_else(|| self.rotation(now, rng, keeper, out))
            .or_else(|| self.reading_ask(now, keeper))
            .or_else(|| self.answer_ask(now, rng, keeper))
            .or_else(|| self.deposit_ask(now, rng, keeper, out))
            .or_else(|| self.receipt_ask(now, rng, keeper, out))
            .or_else(|| self.tidying_ask(now, keeper));
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
            let ids = List::new(std::mem::replace(&mut visit.fetch, rest)).unwrap_or_default();
            return Some((Asked::Fetch, KeeperAsk::Request(Box::new(KeeperRequest::Fetch(ids)))));
        }
        let lately = visit.compared.is_some_and(|at| now.since(at) < COMPARE_MILLIS);
        if lately && !visit.suspected {
            return None;
        }
        let held = visit.shelf.records().keys().copied().collect();
        Some((Asked::Compare, KeeperAsk::Compare { held }))
    }

    /// What is held here and lies in no record there.
    fn deposit_ask<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        keeper: TransportKey,
        out: &mut Outcome,
    ) -> Option<(Asked, KeeperAsk)> {
        let own = self.device();
        let visit = self.keepers.visits.get_mut(&keeper)?;
        let others = visit.shelf.lacking().iter().any(|(device, ..)| *device != own);
        if others && visit.others_due.is_none() {
            let [a, b, c, d, ..] = *own.as_bytes();
            let spread = u64::from(u32::from_be_bytes([a, b, c, d]));
            let spread = spread.checked_rem(OTHERS_SPREAD_MILLIS).unwrap_or(0);
            visit.others_due = Some(now.after(OTHERS_MILLIS).after(spread));
        } else if !others {
            visit.others_due = None;
        }
        let all = visit.shelf.records().is_empty()
            || !visit.memory.erasing.is_empty()
            || visit.others_due.is_some_and(|due| due <= now);
        let of_own = (own, 0, EntryId::from_bytes([0; 32]))
            ..=(own, u64::MAX, EntryId::from_bytes([u8::MAX; 32]));
        if !all && visit.shelf.lacking().range(of_own).next().is_none() {
            return None;
        }
        let (set, missing) = (&self.set, self.documents.missing());
        let content = !visit.full || visit.room_due <= now;
        let ready = |entry: &EntryId| {
            let control = set.slot(entry).is_some_and(|slot| slot.kind.is_control());
            let of_own = set.place_of(entry).is_some_and(|(device, _)| device == own);
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
        let sealer = self.sealer(now, rng, keeper, out)?;
        let deposit = Deposit { paths, missing, content, sealer };
        Some((Asked::Deposit { content }, KeeperAsk::Deposit(Box::new(deposit))))
    }

    /// Says what this device holds, where others find it (S6).
    fn receipt_ask<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        keeper: TransportKey,
        out: &mut Outcome,
    ) -> Option<(Asked, KeeperAsk)> {
        let visit = self.keepers.visits.get(&keeper)?;
        if now < visit.receipt_due || visit.memory.receipt_digest() == self.last_shown_whole() {
            return None;
        }
        let receipt = self.sign_receipt(out)?;
        let digest = self.last_shown?;
        // What a mailbox holds wholly is said, so that whoever does not find it there knows.
        let whole = |visit: &&Visit| visit.state.is_some() && visit.shelf.lacking().is_empty();
        let left_at = self.keepers.visits.values().filter(whole);
        let left_at = List::new(left_at.filter_map(|visit| visit.memory.mailbox).collect());
        let sealer = self.sealer(now, rng, keeper, out)?;
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
            return None;
        }
        let request = KeeperRequest::Renew(List::new(old.clone()).ok()?);
        Some((Asked::Renew(old), KeeperAsk::Request(Box::new(request))))
    }

    /// The answer to what was asked first.
    pub(super) fn keeper_answered<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        keeper: TransportKey,
        reply: KeeperReply,
        out: &mut Outcome,
    ) {
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        let Some(asked) = visit.asked.pop_front() else { return };
        match reply {
            KeeperReply::Later { millis } => {
                visit.rest = now.after(u64::from(millis).max(1));
                return;
            }
            KeeperReply::Unavailable => {
                visit.rest = now.after(SHORT_REST_MILLIS);
                self.not_added(keeper, "the keeper cannot answer now", out);
                return;
            }
            _ => {}
        }
        match (asked, reply) {
            // Somebody has begun another generation meanwhile.
            (asked, KeeperReply::Ended { rekey, .. }) => {
                visit.state = None;
                let ended = match asked {
                    Asked::Open(epoch) => Some(epoch),
                    _ => visit.memory.epoch,
                };
                if let Some(ended) = ended {
                    self.rekeyed(keeper, ended, rekey.as_slice(), out);
                }
            }
            (Asked::Create, reply) => self.created_at(now, keeper, &reply, out),
            (Asked::Open(epoch), KeeperReply::Opened(state)) => {
                self.opened(now, keeper, epoch, state);
            }
            (Asked::Open(epoch), KeeperReply::Refused) => visit.refused.push(epoch),
            (Asked::Rotate(_), KeeperReply::Refused) => visit.rest = now.after(REST_MILLIS),
            (_, KeeperReply::Refused) if visit.state.is_some() => visit.state = None,
            (Asked::Get, KeeperReply::Records { records, more }) => {
                for held in records.into_vec() {
                    self.read_record(now, keeper, Some(held.cursor), held.bytes.as_slice(), out);
                }
                if !more {
                    self.all_given(now, keeper);
                }
            }
            (Asked::Fetch, KeeperReply::Records { records, .. }) => {
                for held in records.into_vec() {
                    self.read_record(now, keeper, None, held.bytes.as_slice(), out);
                }
                self.synced = true;
            }
            (Asked::Receipt(record, epoch, digest), KeeperReply::Put(puttings)) => {
                let full = puttings.iter().any(|putting| *putting == Putting::Full);
                if !full {
                    self.left_receipt(keeper, record, epoch, digest);
                }
            }
            (Asked::Erase(records), KeeperReply::Done | KeeperReply::NotErased(_)) => {
                for record in &records {
                    out.write(Write::ForgetRecord { keeper, record: *record });
                }
                visit.remember(|memory| memory.erasing.retain(|(id, _)| !records.contains(id)));
            }
            (Asked::Renew(records), KeeperReply::Done) => {
                self.renewed(now, keeper, &records, &[], out);
            }
            (Asked::Renew(records), KeeperReply::Unknown(unknown)) => {
                self.renewed(now, keeper, &records, unknown.as_slice(), out);
            }
            (Asked::Watch, KeeperReply::Newest { cursor, drops }) => {
                visit.newest = cursor;
                if cursor > visit.memory.cursor {
                    visit.read = false;
                }
                if drops != visit.drops {
                    visit.drops = drops;
                    visit.unread_boxes.clone_from(&visit.standing);
                }
            }
            (Asked::Rotate(next), KeeperReply::Rotated) => {
                visit.state = None;
                visit.refused.clear();
                visit.remember(|memory| memory.epoch = Some(next));
            }
            (Asked::Rotate(_), KeeperReply::Conflict(_)) => {
                visit.state = None;
                visit.refused.clear();
            }
            (asked, reply) => self.box_answered(now, rng, keeper, (asked, reply), out),
        }
    }

    fn opened(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        epoch: crate::id::EpochId,
        state: MailboxState,
    ) {
        let set = &self.set;
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        let memory = &visit.memory;
        let another = memory.store.is_some_and(|store| store != state.store);
        let back = state.newest < memory.cursor;
        if another || back {
            // Everything is looked through again, and put again where it is gone.
            visit.compared = None;
        }
        if another {
            let records: Vec<RecordId> = visit.shelf.records().keys().copied().collect();
            for record in records {
                visit.shelf.lose(set, &record);
            }
        }
        visit.remember(|memory| {
            memory.store = Some(state.store);
            memory.generation = state.generation;
            memory.epoch = Some(epoch);
            memory.retention = state.retention;
            if another || back {
                memory.cursor = Cursor::START;
                memory.receipt = None;
            }
        });
        visit.drops = state.drops;
        visit.newest = state.newest;
        visit.state = Some(state);
        visit.full = false;
        visit.why = None;
        if another || back {
            self.blame(now, keeper, Misconduct::SetBack);
        }
    }

    /// All that the keeper gives after the last known place was read.
    fn all_given(&mut self, now: Timestamp, keeper: TransportKey) {
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        visit.read = true;
        // What it speaks of and does not give is gone, or kept back: the comparison tells.
        let newest = visit.newest.max(visit.memory.cursor);
        visit.remember(|memory| memory.cursor = newest);
        // As when a stream has brought all that the other end had.
        self.synced = true;
        self.weigh_claims(now, keeper);
    }

    pub(super) fn deposited(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        records: Vec<Deposited>,
        out: &mut Outcome,
    ) {
        let set = &self.set;
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        let deposit = visit.asked.iter().position(|asked| matches!(asked, Asked::Deposit { .. }));
        let asked = deposit.and_then(|at| visit.asked.remove(at));
        let Some(Asked::Deposit { content }) = asked else { return };
        let before = visit.shelf.lacking().len();
        for Deposited { record, kept, putting } in records {
            match putting {
                Putting::Stored(_) | Putting::Known => {
                    visit.full &= !content;
                    let written = kept.to_bytes();
                    // It is wanted again.
                    if visit.memory.erasing.iter().any(|(id, _)| *id == record) {
                        visit.remember(|memory| memory.erasing.retain(|(id, _)| *id != record));
                    }
                    visit.shelf.learn(set, record, Kept { since: now, ..kept });
                    out.write(Write::Record { keeper, record, kept: written });
                }
                Putting::Full if content => {
                    visit.full = true;
                    visit.room_due = now.after(REST_MILLIS);
                }
                Putting::Full => visit.rest = now.after(REST_MILLIS),
            }
        }
        if visit.shelf.lacking().len() >= before {
            // The store had none of it, the keeper took none, or none of it is whole.
            visit.rest = visit.rest.max(now.after(SHORT_REST_MILLIS));
        }
        if self.persona.state == ReplicaState::Left {
            self.follow_keepers(out);
        }
    }

    fn renewed(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        records: &[RecordId],
        unknown: &[RecordId],
        out: &mut Outcome,
    ) {
        let set = &self.set;
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        for record in records {
            if unknown.contains(record) {
                visit.shelf.lose(set, record);
                out.write(Write::ForgetRecord { keeper, record: *record });
            } else if let Some(kept) = visit.shelf.record_mut(record) {
                kept.since = now;
                out.write(Write::Record { keeper, record: *record, kept: kept.to_bytes() });
            }
        }
    }

    fn left_receipt(
        &mut self,
        keeper: TransportKey,
        record: RecordId,
        epoch: crate::id::EpochId,
        digest: crate::log::frontier::FrontierDigest,
    ) {
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        visit.remember(|memory| {
            if let Some((before, sealed, _)) = memory.receipt.replace((record, epoch, digest))
                && before != record
                && memory.erasing.len() < ERASING
            {
                memory.erasing.push((before, sealed));
            }
        });
    }

    /// Signs what this device holds, if that is another than what it said last.
    pub(crate) fn sign_receipt(
        &mut self,
        out: &mut Outcome,
    ) -> Option<crate::sync::message::Receipt> {
        let frontier = Frontier::whole(&self.set, self.documents.missing());
        let digest = frontier.digest(self.persona.group);
        if self.last_shown != Some(digest) || self.own_receipt.is_none() {
            self.last_shown = Some(digest);
            self.persona.receipts = self.persona.receipts.saturating_add(1);
            out.persona_changed = true;
            let (key, count) = (&self.persona.device, self.persona.receipts);
            self.own_receipt = Some(holdings::sign(key, self.persona.group, count, frontier));
        }
        self.own_receipt.clone()
    }

    fn last_shown_whole(&self) -> Option<crate::log::frontier::FrontierDigest> {
        let frontier = Frontier::whole(&self.set, self.documents.missing());
        Some(frontier.digest(self.persona.group))
    }
}

impl Memory {
    fn receipt_digest(&self) -> Option<crate::log::frontier::FrontierDigest> {
        self.receipt.map(|(_, _, digest)| digest)
    }
}
