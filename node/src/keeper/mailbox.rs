//! The rules of a mailbox, over whatever store (M1–M3). Time and randomness are arguments.
//!
//! ```text
//! KeeperRequest ─► answer(rows, now, visit) ─► Answer { reply, place, news, cost }
//! ```
//!
//! What must stay true:
//!
//! - Whoever has not proved access to a mailbox, or no longer has it, learns nothing of it and changes
//!   nothing in it. `Refused` is the same for every reason.
//! - Access is looked up again at each request: a generation that ends, ends for all connections.
//! - A place is given once and rises.
//! - Nothing grows beyond a quota or a bound of [`Limits`], [`policy`] and `cairn_crdt::limits`.

mod access;
mod drops;
mod records;
mod sweep;

use cairn_crdt::id::{AccessKey, DropBoxId};
use cairn_crdt::mailbox::access::Meeting;
use cairn_crdt::mailbox::message::{KeeperReply, KeeperRequest};
use cairn_crdt::mailbox::{Cursor, Generation};
use cairn_crdt::time::Timestamp;

pub(super) use self::records::RECONCILE_AIM;
pub(super) use self::sweep::{Swept, sweep};
use super::policy::{self, Limits};
use super::rates::Payer;
use super::storage::rows::{self, Mailbox};
use super::storage::{MailboxRow, StoreError, Tables};

/// A client on a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    /// What its proofs are made over.
    pub(super) meeting: Meeting,
    /// Where it has proved that it may be.
    pub(super) place: Place,
}

/// Where a client may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Nowhere yet.
    Outside,
    /// In a mailbox, with the key of a generation.
    Mailbox {
        /// Which.
        row: MailboxRow,
        /// Whose key was proved.
        generation: Generation,
        /// That key.
        access: AccessKey,
    },
    /// In a drop-box and nowhere else.
    Drop {
        /// The mailbox that it belongs to.
        row: MailboxRow,
        /// Which.
        drop: DropBoxId,
    },
}

impl Place {
    /// The mailbox that it is in.
    pub(super) const fn mailbox(&self) -> Option<MailboxRow> {
        match self {
            Self::Outside => None,
            Self::Mailbox { row, .. } | Self::Drop { row, .. } => Some(*row),
        }
    }

    /// Whose rate pays.
    pub(super) const fn payer(&self) -> Option<Payer> {
        match self {
            Self::Outside => None,
            Self::Mailbox { row, .. } => Some(Payer::Members(*row)),
            Self::Drop { row, .. } => Some(Payer::DropBoxes(*row)),
        }
    }
}

/// What comes of a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: KeeperReply,
    /// Where the client is from now on.
    pub(super) place: Place,
    /// For those who watch the mailbox: its newest place and count of drops have changed.
    pub(super) news: Option<News>,
    /// Something was deleted.
    pub(super) deleted: bool,
    /// What it cost besides the bytes of the request.
    pub(super) cost: u64,
}

/// A mailbox has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct News {
    pub(super) row: MailboxRow,
    pub(super) newest: Cursor,
    pub(super) drops: u64,
}

impl News {
    pub(super) fn of(mailbox: &Mailbox) -> Self {
        Self { row: mailbox.row, newest: mailbox.newest, drops: mailbox.drops }
    }
}

impl Answer {
    pub(super) const fn new(place: Place, reply: KeeperReply) -> Self {
        Self { reply, place, news: None, deleted: false, cost: 0 }
    }

    fn changed(mut self, mailbox: &Mailbox) -> Self {
        self.news = Some(News::of(mailbox));
        self
    }
}

/// What every rule is given.
pub(super) struct Rules<'a> {
    pub(super) tables: &'a mut dyn Tables,
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
    pub(super) visit: Visit,
}

impl Rules<'_> {
    /// Answers a request. `fresh` is random, used for what the request makes.
    ///
    /// # Errors
    /// What the store says; then nothing was changed.
    pub(super) fn answer(
        &mut self,
        request: &KeeperRequest,
        fresh: &[u8; 32],
    ) -> Result<Answer, StoreError> {
        match request {
            KeeperRequest::Create { secret, owner, access, control } => {
                self.create(secret, *owner, *access, *control, fresh)
            }
            KeeperRequest::Open { mailbox, access, proof } => self.open(*mailbox, *access, proof),
            KeeperRequest::Put(records) => self.put(records.as_slice()),
            KeeperRequest::Get { after, bytes } => self.get(*after, *bytes),
            KeeperRequest::Watch { .. } => self.newest(),
            KeeperRequest::Renew(ids) => self.renew(ids.as_slice()),
            KeeperRequest::Fetch(ids) => self.fetch(ids.as_slice()),
            KeeperRequest::Reconcile { bits, prefix, message } => {
                self.reconcile(*bits, *prefix, message.as_slice())
            }
            KeeperRequest::Erase(named) => self.erase(named.as_slice()),
            KeeperRequest::Rotate(signed) => self.rotate(signed),
            KeeperRequest::OpenDrop { drop, expires } => self.open_drop(*drop, *expires),
            KeeperRequest::CloseDrop(drop) => self.close_drop(*drop),
            KeeperRequest::DropGet { drop, after } => self.drop_get(*drop, *after),
            KeeperRequest::DropPut { drop, record } => self.drop_put(*drop, record.as_slice()),
            KeeperRequest::Drop { drop, proof } => self.enter_drop(*drop, proof),
        }
    }

    fn stay(&self, reply: KeeperReply) -> Answer {
        Answer::new(self.visit.place, reply)
    }

    fn refused(&self) -> Answer {
        self.stay(KeeperReply::Refused)
    }

    /// The mailbox that the client is in, if it may still be there; otherwise what it is told.
    /// Locked: nobody else changes it until the transaction ends.
    fn mailbox(&mut self, locked: bool) -> Result<Result<Mailbox, Answer>, StoreError> {
        let Place::Mailbox { row, generation, access } = self.visit.place else {
            return Ok(Err(self.refused()));
        };
        let mailbox = match locked {
            true => rows::mailbox_locked(self.tables, row)?,
            false => rows::mailbox_at(self.tables, row)?,
        };
        let Some(mailbox) = mailbox else { return Ok(Err(self.refused())) };
        if mailbox.generation == generation && mailbox.access == access {
            return Ok(Ok(mailbox));
        }
        Ok(Err(self.ended(row, generation, access)?))
    }

    fn newest(&mut self) -> Result<Answer, StoreError> {
        if let Place::Drop { drop, .. } = self.visit.place {
            let Some(held) = self.entered(drop)? else { return Ok(self.refused()) };
            return Ok(self.stay(KeeperReply::Newest { cursor: held.newest, drops: 0 }));
        }
        Ok(match self.mailbox(false)? {
            Ok(mailbox) => {
                self.stay(KeeperReply::Newest { cursor: mailbox.newest, drops: mailbox.drops })
            }
            Err(answer) => answer,
        })
    }

    /// Until when something that is put now is held.
    const fn until(&self) -> Timestamp {
        self.now.after(self.limits.retention)
    }
}
