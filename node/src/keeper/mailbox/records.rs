//! Records: put, given, compared, renewed, deleted (M1, M3).

use std::panic::{AssertUnwindSafe, catch_unwind};

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::RecordId;
use cairn_crdt::limits::{ANSWER_BYTES, GET_RECORDS, RECONCILE_RECORDS, SMALLEST_RECORD};
use cairn_crdt::mailbox::message::{HeldRecord, KeeperReply, NewRecord, Putting};
use cairn_crdt::mailbox::{Cursor, erase_hash, record_id};
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::{Answer, Rules, policy, rows};
use crate::keeper::storage::StoreError;
use crate::keeper::storage::rows::{Holding, Mailbox};

/// Bytes of a message of a set reconciliation as the library aims at; it may miss by a little.
pub(in crate::keeper) const RECONCILE_AIM: u64 = 60_000;

impl Rules<'_> {
    pub(super) fn put(&mut self, records: &[NewRecord]) -> Result<Answer, StoreError> {
        if records.iter().any(|record| record.bytes.as_slice().len() < SMALLEST_RECORD) {
            return Ok(self.refused());
        }
        let mut mailbox = match self.mailbox(true)? {
            Ok(mailbox) => mailbox,
            Err(answer) => return Ok(answer),
        };
        let before = mailbox.newest;
        let mut puttings = Vec::with_capacity(records.len());
        for record in records {
            puttings.push(self.put_one(&mut mailbox, record)?);
        }
        let answer = self.stay(KeeperReply::Put(List::new(puttings).unwrap_or_default()));
        if mailbox.newest == before {
            return Ok(answer);
        }
        rows::set_mailbox(self.tables, &mailbox)?;
        Ok(answer.changed(&mailbox))
    }

    fn put_one(
        &mut self,
        mailbox: &mut Mailbox,
        record: &NewRecord,
    ) -> Result<Putting, StoreError> {
        let bytes = record.bytes.as_slice();
        let (id, until) = (record_id(bytes), self.until());
        if rows::renew(self.tables, mailbox.row, id, until, policy::DAY_MILLIS)? {
            return Ok(Putting::Known);
        }
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let used = mailbox.used.saturating_add(size);
        if used > self.limits.room(record.priority) {
            return Ok(Putting::Full);
        }
        let cursor = Cursor(mailbox.newest.0.saturating_add(1));
        let holding = Holding { cursor, id, erase: &record.erase, until, bytes };
        rows::add_record(self.tables, mailbox.row, &holding)?;
        mailbox.newest = cursor;
        mailbox.used = used;
        mailbox.records = mailbox.records.saturating_add(1);
        Ok(Putting::Stored(cursor))
    }

    pub(super) fn get(&mut self, after: Cursor, bytes: u32) -> Result<Answer, StoreError> {
        let mailbox = match self.mailbox(false)? {
            Ok(mailbox) => mailbox,
            Err(answer) => return Ok(answer),
        };
        let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(ANSWER_BYTES);
        let limit = u64::try_from(GET_RECORDS).unwrap_or(u64::MAX);
        let found = rows::after(self.tables, mailbox.row, after, limit.saturating_add(1))?;
        let mut given = Given::new(most);
        for (_, size, row) in found {
            if !given.has_room(size) {
                break;
            }
            if let Some((cursor, bytes)) = rows::record(self.tables, row)? {
                given.add(cursor, bytes);
            }
        }
        Ok(Answer { cost: given.cost(), ..self.stay(given.reply()) })
    }

    pub(super) fn fetch(&mut self, ids: &[RecordId]) -> Result<Answer, StoreError> {
        let mailbox = match self.mailbox(false)? {
            Ok(mailbox) => mailbox,
            Err(answer) => return Ok(answer),
        };
        let mut given = Given::new(ANSWER_BYTES);
        for id in ids {
            let Some(held) = rows::held(self.tables, mailbox.row, *id)? else { continue };
            if !given.has_room(held.size) {
                break;
            }
            if let Some((cursor, bytes)) = rows::record(self.tables, held.row)? {
                given.add(cursor, bytes);
            }
        }
        Ok(Answer { cost: given.cost(), ..self.stay(given.reply()) })
    }

    pub(super) fn renew(&mut self, ids: &[RecordId]) -> Result<Answer, StoreError> {
        let mailbox = match self.mailbox(true)? {
            Ok(mailbox) => mailbox,
            Err(answer) => return Ok(answer),
        };
        let (until, mut unknown) = (self.until(), Vec::new());
        for id in ids {
            if !rows::renew(self.tables, mailbox.row, *id, until, policy::DAY_MILLIS)? {
                unknown.push(*id);
            }
        }
        Ok(self.stay(KeeperReply::Unknown(List::new(unknown).unwrap_or_default())))
    }

    pub(super) fn erase(&mut self, named: &[(RecordId, [u8; 32])]) -> Result<Answer, StoreError> {
        let mut mailbox = match self.mailbox(true)? {
            Ok(mailbox) => mailbox,
            Err(answer) => return Ok(answer),
        };
        let (mut kept, mut deleted) = (Vec::new(), false);
        for (id, token) in named {
            let Some(held) = rows::held(self.tables, mailbox.row, *id)? else { continue };
            if held.erase != erase_hash(token) {
                kept.push(*id);
            } else if rows::delete_record(self.tables, held.row)? {
                mailbox.used = mailbox.used.saturating_sub(held.size);
                mailbox.records = mailbox.records.saturating_sub(1);
                deleted = true;
            }
        }
        if deleted {
            rows::set_mailbox(self.tables, &mailbox)?;
        }
        let reply = KeeperReply::NotErased(List::new(kept).unwrap_or_default());
        Ok(Answer { deleted, ..self.stay(reply) })
    }

    /// Reads the ids of the part anew at each round, so that nothing is kept for a connection.
    pub(super) fn reconcile(
        &mut self,
        bits: u8,
        prefix: u16,
        message: &[u8],
    ) -> Result<Answer, StoreError> {
        let mailbox = match self.mailbox(false)? {
            Ok(mailbox) => mailbox,
            Err(answer) => return Ok(answer),
        };
        let Some((from, to)) = part(bits, prefix) else { return Ok(self.refused()) };
        let limit = u64::try_from(RECONCILE_RECORDS).unwrap_or(u64::MAX);
        let between = (&from, &to);
        let ids = rows::ids_between(self.tables, mailbox.row, between, limit.saturating_add(1))?;
        let compared = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        let cost = compared.saturating_mul(policy::COMPARED_COST);
        let reply = if compared > limit {
            KeeperReply::TooMany(rows::count_between(self.tables, mailbox.row, between)?)
        } else {
            compare(&ids, message).map_or(KeeperReply::Refused, KeeperReply::Reconcile)
        };
        Ok(Answer { cost, ..self.stay(reply) })
    }
}

/// The first and the last id of a part; `None` if there is no such part.
fn part(bits: u8, prefix: u16) -> Option<([u8; 32], [u8; 32])> {
    let free = 16_u32.checked_sub(u32::from(bits))?;
    let first = u32::from(prefix).checked_shl(free)?;
    let first = u16::try_from(first).ok()?;
    let last = first | u16::try_from((1_u32 << free).saturating_sub(1)).ok()?;
    let (mut from, mut to) = ([0; 32], [u8::MAX; 32]);
    for (id, edge) in [(&mut from, first), (&mut to, last)] {
        if let Some(begin) = id.first_chunk_mut::<2>() {
            *begin = edge.to_be_bytes();
        }
    }
    Some((from, to))
}

fn compare(
    ids: &[RecordId],
    message: &[u8],
) -> Option<Bytes<{ cairn_crdt::limits::RECONCILE_BYTES }>> {
    let mut set = NegentropyStorageVector::with_capacity(ids.len());
    for id in ids {
        set.insert(0, Id::from_byte_array(*id.as_bytes())).ok()?;
    }
    set.seal().ok()?;
    let mut ours = Negentropy::owned(set, RECONCILE_AIM).ok()?;
    // A stranger's bytes in a library of others: should it panic, only this request is refused.
    let reply = catch_unwind(AssertUnwindSafe(|| ours.reconcile(message))).ok()?;
    Bytes::new(reply.ok()?).ok()
}

/// Records on their way out, within the bounds of an answer.
pub(super) struct Given {
    records: Vec<HeldRecord>,
    bytes: usize,
    most: usize,
    more: bool,
}

impl Given {
    pub(super) const fn new(most: usize) -> Self {
        Self { records: Vec::new(), bytes: 0, most, more: false }
    }

    /// Whether one more of this size fits; the first always does.
    pub(super) fn has_room(&mut self, size: u64) -> bool {
        let bytes = self.bytes.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        let fits =
            self.records.is_empty() || (bytes <= self.most && self.records.len() < GET_RECORDS);
        self.more |= !fits;
        fits
    }

    pub(super) fn add(&mut self, cursor: Cursor, bytes: Vec<u8>) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        // What is on disk was within the bound when it was put.
        if let Ok(bytes) = Bytes::new(bytes) {
            self.records.push(HeldRecord { cursor, bytes });
        }
    }

    /// What it costs to give them.
    pub(super) fn cost(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(u64::MAX)
    }

    pub(super) fn reply(self) -> KeeperReply {
        let records = List::new(self.records).unwrap_or_default();
        KeeperReply::Records { records, more: self.more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_the_parts_of_a_mailbox_are_all_of_it_and_do_not_overlap() {
        assert_eq!(part(0, 0), Some(([0; 32], [255; 32])));
        assert_eq!(part(0, 1), None);
        assert_eq!(part(17, 0), None);
        assert_eq!(part(16, u16::MAX).map(|(from, _)| from[..3].to_vec()), Some(vec![255, 255, 0]));
        for bits in 1..=16_u8 {
            assert_eq!(part(bits, 0).map(|(from, _)| from), Some([0; 32]));
            let last = u16::try_from((1_u32 << bits) - 1).unwrap();
            assert_eq!(part(bits, last).map(|(_, to)| to), Some([255; 32]));
            let (_, end) = part(bits, 0).unwrap();
            let (begin, _) = part(bits, 1).unwrap();
            let edge = |id: [u8; 32]| u32::from(u16::from_be_bytes([id[0], id[1]]));
            assert_eq!(edge(end) + 1, edge(begin));
            assert!(bits == 16 || part(bits, last + 1).is_none());
        }
    }

    #[test]
    fn m1_no_message_of_a_set_reconciliation_panics() {
        use rand_core::{Rng as _, SeedableRng as _};
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
        let ids: Vec<RecordId> = (0..1000_u16).map(|n| record_id(&n.to_be_bytes())).collect();
        let mut set = NegentropyStorageVector::new();
        for id in ids.iter().skip(100) {
            set.insert(0, Id::from_byte_array(*id.as_bytes())).unwrap();
        }
        set.seal().unwrap();
        let first = Negentropy::owned(set, RECONCILE_AIM).unwrap().initiate().unwrap();
        assert!(compare(&ids, &first).is_some());
        for _ in 0..5000 {
            let mut message = first.clone();
            for _ in 0..=rng.next_u32() % 4 {
                let place = rng.next_u64() as usize % message.len();
                message[place] = rng.next_u32() as u8;
            }
            message.truncate(1 + rng.next_u64() as usize % first.len());
            let _ = compare(&ids, &message);
        }
        let _ = compare(&ids, &[]);
        let _ = compare(&ids, &[0x61, 255, 255, 255, 255, 255, 255, 255, 255, 255, 127, 1, 1, 1]);
    }
}
