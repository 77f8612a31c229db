//! Who gets in: new mailboxes, proofs, generations (M2).

use cairn_crdt::codec::Bytes;
use cairn_crdt::crypto::signing::Signature;
use cairn_crdt::id::{AccessKey, ControlKey, MailboxId};
use cairn_crdt::mailbox::access::{SignedBy, SignedGeneration};
use cairn_crdt::mailbox::message::{KeeperReply, MailboxState};
use cairn_crdt::mailbox::{Generation, invitation_hash};

use super::{Answer, Place, Rules, policy, rows};
use crate::keeper::storage::rows::{Keys, Mailbox};
use crate::keeper::storage::{MailboxRow, StoreError};

impl Rules<'_> {
    /// Makes a mailbox. Asked again with the same words, because the answer was lost, it says the same.
    pub(super) fn create(
        &mut self,
        secret: &[u8; 32],
        owner: MailboxId,
        access: AccessKey,
        control: ControlKey,
        fresh: &[u8; 32],
    ) -> Result<Answer, StoreError> {
        let hash = invitation_hash(secret);
        let Some(invitation) = rows::invitation(self.tables, &hash)? else {
            return Ok(self.refused());
        };
        if let Some(made) = invitation.mailbox {
            let again = made == owner && self.began_with(owner, access, control)?;
            return Ok(if again { self.stay(KeeperReply::Created) } else { self.refused() });
        }
        let taken = rows::mailbox_named(self.tables, owner)?.is_some();
        if taken || invitation.until < self.now {
            return Ok(self.refused());
        }
        rows::use_invitation(self.tables, &hash, owner)?;
        rows::add_mailbox(self.tables, owner, fresh, access, control)?;
        Ok(self.stay(KeeperReply::Created))
    }

    fn began_with(
        &mut self,
        owner: MailboxId,
        access: AccessKey,
        control: ControlKey,
    ) -> Result<bool, StoreError> {
        let Some(mailbox) = rows::mailbox_named(self.tables, owner)? else { return Ok(false) };
        let keys = rows::keys(self.tables, mailbox.row, Generation(1))?;
        Ok(keys.iter().any(|keys| keys.access == access && keys.control == control))
    }

    pub(super) fn open(
        &mut self,
        id: MailboxId,
        access: AccessKey,
        proof: &Signature,
    ) -> Result<Answer, StoreError> {
        let meeting = self.visit.meeting;
        let mailbox = match self.visit.place {
            Place::Drop { .. } => None,
            _ => rows::mailbox_named(self.tables, id)?,
        };
        let Some(mailbox) = mailbox else {
            // As long as for a mailbox that there is, so that nobody learns which there are.
            let _ = meeting.check_access(AccessKey::from_bytes(*id.as_bytes()), id, proof);
            return Ok(self.refused());
        };
        let proved = meeting.check_access(access, id, proof).is_ok();
        let generation = rows::generation_of(self.tables, mailbox.row, access)?;
        let Some(generation) = generation.filter(|_| proved) else { return Ok(self.refused()) };
        if mailbox.generation == generation && mailbox.access == access {
            let place = Place::Mailbox { row: mailbox.row, generation, access };
            let Some(present) = self.present(&mailbox)? else { return Ok(self.refused()) };
            let state = self.state(&mailbox, present.control);
            return Ok(Answer::new(place, KeeperReply::Opened(state)));
        }
        self.ended(mailbox.row, generation, access)
    }

    const fn state(&self, mailbox: &Mailbox, control: ControlKey) -> MailboxState {
        MailboxState {
            generation: mailbox.generation,
            control,
            newest: mailbox.newest,
            drops: mailbox.drops,
            store: mailbox.store,
            retention: self.limits.retention,
            quota: self.limits.quota,
            used: mailbox.used,
            records: mailbox.records,
        }
    }

    /// What is told to who proved the key of a generation that has ended: what followed it, once.
    pub(super) fn ended(
        &mut self,
        row: MailboxRow,
        generation: Generation,
        access: AccessKey,
    ) -> Result<Answer, StoreError> {
        let outside = |reply| Answer::new(Place::Outside, reply);
        let keys = rows::keys(self.tables, row, generation)?;
        let keys = keys.into_iter().find(|keys| keys.access == access);
        let remembered = keys.filter(|keys| {
            keys.ended.is_some_and(|at| self.now.since(at) <= self.limits.retention)
        });
        let Some(keys) = remembered else { return Ok(outside(KeeperReply::Refused)) };
        let from = if keys.replaced { generation } else { generation.next() };
        let Some((generation, rekey)) = rows::rekey(self.tables, row, from)? else {
            return Ok(outside(KeeperReply::Refused));
        };
        // Nobody pays for it but the connection: whoever was removed must not slow the members.
        let cost = u64::try_from(rekey.len()).unwrap_or(u64::MAX);
        let reply = Bytes::new(rekey)
            .map_or(KeeperReply::Refused, |rekey| KeeperReply::Ended { generation, rekey });
        Ok(Answer { cost, ..outside(reply) })
    }

    /// Begins a generation. The signature is enough: the owner may have been shut out by another.
    pub(super) fn rotate(&mut self, signed: &SignedGeneration) -> Result<Answer, StoreError> {
        let new = &signed.new;
        let inside = !matches!(self.visit.place, Place::Drop { .. });
        let named = rows::mailbox_named(self.tables, new.mailbox)?.filter(|_| inside);
        let Some(named) = named else { return Ok(self.refused()) };
        let Some(mut mailbox) = rows::mailbox_locked(self.tables, named.row)? else {
            return Ok(self.refused());
        };
        let Some(present) = self.present(&mailbox)? else { return Ok(self.refused()) };
        let outside = |reply| Answer::new(Place::Outside, reply);
        let same = new.generation == mailbox.generation;
        if same && present.access == new.access && present.control == new.control {
            // It was begun before, and the answer was lost.
            return Ok(outside(KeeperReply::Rotated));
        }
        let signer = signed.signer(present.control);
        let replaces = same && signer == Ok(SignedBy::Owner) && !present.by_owner;
        let follows = new.generation == mailbox.generation.next();
        let Some(by) = signer.ok().filter(|_| replaces || follows) else {
            return self.not_begun(&mailbox, signed);
        };
        if rows::generation_of(self.tables, mailbox.row, new.access)?.is_some() {
            return Ok(self.refused());
        }
        rows::end_keys(self.tables, mailbox.row, self.now, replaces)?;
        let keys = Keys {
            generation: new.generation,
            access: new.access,
            control: new.control,
            by_owner: by == SignedBy::Owner,
            replaced: false,
            ended: None,
        };
        rows::add_keys(self.tables, mailbox.row, &keys, new.rekey.as_slice())?;
        mailbox.generation = new.generation;
        mailbox.access = new.access;
        rows::set_mailbox(self.tables, &mailbox)?;
        let oldest = new.generation.0.saturating_sub(policy::ENDED_GENERATIONS);
        rows::forget_keys(self.tables, mailbox.row, Generation(oldest))?;
        Ok(outside(KeeperReply::Rotated).changed(&mailbox))
    }

    fn present(&mut self, mailbox: &Mailbox) -> Result<Option<Keys>, StoreError> {
        let keys = rows::keys(self.tables, mailbox.row, mailbox.generation)?;
        Ok(keys.into_iter().find(|keys| keys.access == mailbox.access))
    }

    /// Who could have begun this generation, had nobody else, is told who was first.
    fn not_begun(
        &mut self,
        mailbox: &Mailbox,
        signed: &SignedGeneration,
    ) -> Result<Answer, StoreError> {
        let before = Generation(signed.new.generation.0.saturating_sub(1));
        let keys = rows::keys(self.tables, mailbox.row, before)?;
        let late = signed.new.generation <= mailbox.generation
            && keys.iter().any(|keys| signed.signer(keys.control).is_ok());
        Ok(if late {
            Answer::new(Place::Outside, KeeperReply::Conflict(mailbox.generation))
        } else {
            self.refused()
        })
    }
}
