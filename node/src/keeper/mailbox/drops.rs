//! Drop-boxes: where a newcomer and the members of a group, who share nothing but an invite, leave
//! something for each other (M2).
//!
//! A drop-box has bounds of its own, so that whoever holds an invite cannot fill the mailbox.

use cairn_crdt::codec::List;
use cairn_crdt::crypto::signing::Signature;
use cairn_crdt::id::DropBoxId;
use cairn_crdt::limits::{ANSWER_BYTES, DROP_BOXES, DROP_RECORDS, SMALLEST_RECORD};
use cairn_crdt::mailbox::message::{KeeperReply, Putting};
use cairn_crdt::mailbox::{Cursor, record_id};
use cairn_crdt::time::Timestamp;

use super::records::Given;
use super::{Answer, Place, Rules, rows};
use crate::keeper::storage::StoreError;
use crate::keeper::storage::rows::DropBox;

fn count(bound: usize) -> u64 {
    u64::try_from(bound).unwrap_or(u64::MAX)
}

impl Rules<'_> {
    /// A drop-box that the client may use: it proved the invite's key, or is in its mailbox.
    pub(super) fn entered(&mut self, drop: DropBoxId) -> Result<Option<DropBox>, StoreError> {
        let row = match self.visit.place {
            Place::Outside => return Ok(None),
            Place::Drop { drop: entered, .. } if entered != drop => return Ok(None),
            Place::Drop { row, .. } | Place::Mailbox { row, .. } => row,
        };
        let found = rows::drop_box(self.tables, drop)?;
        Ok(found.filter(|found| found.mailbox == row && found.expires >= self.now))
    }

    /// Whether a member's key still holds; who came with an invite's key has no other.
    fn still_member(&mut self, locked: bool) -> Result<Option<Answer>, StoreError> {
        match self.visit.place {
            Place::Mailbox { .. } => Ok(self.mailbox(locked)?.err()),
            Place::Drop { .. } => Ok(None),
            Place::Outside => Ok(Some(self.refused())),
        }
    }

    pub(super) fn open_drop(
        &mut self,
        drop: DropBoxId,
        expires: Timestamp,
    ) -> Result<Answer, StoreError> {
        let mailbox = match self.mailbox(true)? {
            Ok(mailbox) => mailbox,
            Err(answer) => return Ok(answer),
        };
        let expires = expires.min(self.until());
        match rows::drop_box(self.tables, drop)? {
            Some(found) if found.mailbox == mailbox.row => {
                rows::set_drop_box(self.tables, drop, expires)?;
            }
            Some(_) => return Ok(self.refused()),
            None if rows::drop_boxes(self.tables, mailbox.row)? >= count(DROP_BOXES) => {
                return Ok(self.stay(KeeperReply::Full));
            }
            None => rows::add_drop_box(self.tables, drop, mailbox.row, expires)?,
        }
        Ok(self.stay(KeeperReply::Done))
    }

    /// Closing a drop-box that is gone, or is another mailbox's, is done and does nothing.
    pub(super) fn close_drop(&mut self, drop: DropBoxId) -> Result<Answer, StoreError> {
        let mailbox = match self.mailbox(true)? {
            Ok(mailbox) => mailbox,
            Err(answer) => return Ok(answer),
        };
        let own = rows::drop_box(self.tables, drop)?.filter(|found| found.mailbox == mailbox.row);
        if own.is_some() {
            rows::delete_drop_box(self.tables, drop)?;
        }
        Ok(Answer { deleted: own.is_some(), ..self.stay(KeeperReply::Done) })
    }

    pub(super) fn enter_drop(
        &mut self,
        drop: DropBoxId,
        proof: &Signature,
    ) -> Result<Answer, StoreError> {
        let proved = self.visit.meeting.check_drop(drop, proof).is_ok();
        let outside = self.visit.place == Place::Outside;
        let found = rows::drop_box(self.tables, drop)?
            .filter(|found| proved && outside && found.expires >= self.now);
        Ok(match found {
            Some(found) => Answer::new(Place::Drop { row: found.mailbox, drop }, KeeperReply::Done),
            None => self.refused(),
        })
    }

    pub(super) fn drop_get(
        &mut self,
        drop: DropBoxId,
        after: Cursor,
    ) -> Result<Answer, StoreError> {
        if let Some(answer) = self.still_member(false)? {
            return Ok(answer);
        }
        if self.entered(drop)?.is_none() {
            return Ok(self.refused());
        }
        let mut given = Given::new(ANSWER_BYTES);
        for (cursor, bytes) in rows::drop_after(self.tables, drop, after, count(DROP_RECORDS))? {
            if !given.has_room(count(bytes.len())) {
                break;
            }
            given.add(cursor, bytes);
        }
        Ok(Answer { cost: given.cost(), ..self.stay(given.reply()) })
    }

    pub(super) fn drop_put(
        &mut self,
        drop: DropBoxId,
        record: &[u8],
    ) -> Result<Answer, StoreError> {
        if record.len() < SMALLEST_RECORD {
            return Ok(self.refused());
        }
        if let Some(answer) = self.still_member(true)? {
            return Ok(answer);
        }
        let Some(row) = self.visit.place.mailbox() else { return Ok(self.refused()) };
        // The mailbox first, always: two transactions then never wait for each other.
        let Some(mut mailbox) = rows::mailbox_locked(self.tables, row)? else {
            return Ok(self.refused());
        };
        let Some(found) = self.entered(drop)? else { return Ok(self.refused()) };
        let id = record_id(record);
        let told = |putting| KeeperReply::Put(List::new(vec![putting]).unwrap_or_default());
        if rows::drop_has(self.tables, drop, id)? {
            return Ok(self.stay(told(Putting::Known)));
        }
        if found.records >= count(DROP_RECORDS) {
            return Ok(self.stay(told(Putting::Full)));
        }
        let cursor = Cursor(found.newest.0.saturating_add(1));
        rows::add_drop_record(self.tables, drop, cursor, id, record)?;
        mailbox.drops = mailbox.drops.saturating_add(1);
        rows::set_mailbox(self.tables, &mailbox)?;
        Ok(self.stay(told(Putting::Stored(cursor))).changed(&mailbox))
    }
}
