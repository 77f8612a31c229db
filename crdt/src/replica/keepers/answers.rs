//! What a keeper's answers come to.

use rand_core::CryptoRng;

use super::{Asked, Deposited, ERASING, Misconduct};
use crate::id::{EpochId, RecordId, TransportKey};
use crate::log::frontier::FrontierDigest;
use crate::mailbox::Cursor;
use crate::mailbox::message::{KeeperReply, MailboxState, Putting};
use crate::mailbox::shelf::{Kept, Shelf};
use crate::replica::Replica;
use crate::replica::effect::Write;
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::time::Timestamp;

/// Milliseconds until a keeper that did not let this node in, or was full, is asked again.
const REST_MILLIS: u64 = 300_000;
/// The same after it could not answer.
pub(super) const SHORT_REST_MILLIS: u64 = 15_000;
/// Milliseconds until a keeper that had no news is waited for again: it should have waited itself.
const NO_NEWS_MILLIS: u64 = 1_000;

impl Replica {
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
        if let (Asked::Fetch(named), KeeperReply::Later { .. } | KeeperReply::Unavailable) =
            (&asked, &reply)
        {
            visit.fetch.extend(named);
        }
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
            // Another member has closed the drop-box, or it has expired.
            (Asked::DropGet(invite), KeeperReply::Refused) if visit.state.is_some() => {
                visit.box_gone(now, invite);
            }
            (Asked::Answer(request), KeeperReply::Refused) if visit.state.is_some() => {
                visit.answers_due = now.after(REST_MILLIS);
                if let Some(letter) = self.persona.letters.get(&request) {
                    visit.box_gone(now, letter.invite);
                }
            }
            (_, KeeperReply::Refused) if visit.state.is_some() => visit.state = None,
            (Asked::Get, KeeperReply::Records { records, more }) => {
                for held in records.into_vec() {
                    self.read_record(now, keeper, Some(held.cursor), held.bytes.as_slice(), out);
                }
                if !more {
                    self.all_given(now, keeper);
                }
            }
            (Asked::Fetch(named), KeeperReply::Records { records, more }) => {
                self.fetched(now, keeper, named, (records.into_vec(), more), out);
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
                if cursor < visit.memory.cursor {
                    // It was set back: opened again it says from where it goes on.
                    visit.state = None;
                    visit.rest = now.after(SHORT_REST_MILLIS);
                } else if cursor > visit.memory.cursor {
                    visit.read = false;
                } else if drops == visit.drops && visit.asked.is_empty() {
                    visit.rest = visit.rest.max(now.after(NO_NEWS_MILLIS));
                }
                if drops != visit.drops {
                    visit.drops = drops;
                    visit.unread_boxes.clone_from(&visit.standing);
                }
            }
            (Asked::Rotate(next), KeeperReply::Rotated) => {
                visit.state = None;
                visit.forget_refusals();
                visit.remember(|memory| memory.epoch = Some(next));
            }
            (Asked::Rotate(_), KeeperReply::Conflict(_)) => {
                visit.state = None;
                visit.forget_refusals();
            }
            (asked, reply) => self.box_answered(now, rng, keeper, (asked, reply), out),
        }
    }

    fn opened(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
        epoch: EpochId,
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
        visit.read &= visit.newest <= visit.memory.cursor;
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
        let erased = std::mem::take(&mut visit.erased_meanwhile);
        for Deposited { record, kept, putting } in records {
            match putting {
                Putting::Stored(_) | Putting::Known => {
                    visit.full &= !content;
                    let written = kept.to_bytes();
                    // It is wanted again.
                    if visit.memory.erasing.iter().any(|(id, _)| *id == record) {
                        visit.remember(|memory| memory.erasing.retain(|(id, _)| *id != record));
                    }
                    let spoilt = Shelf::holds_any(set, &kept, &erased);
                    visit.shelf.learn(set, record, Kept { since: now, ..kept });
                    out.write(Write::Record { keeper, record, kept: written });
                    if spoilt {
                        visit.shelf.spoil(record);
                    }
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
        epoch: EpochId,
        digest: FrontierDigest,
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
}
