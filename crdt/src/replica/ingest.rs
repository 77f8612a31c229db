//! Entries come into the set: from runs, gossip and requests. Everything here is verified; what
//! cannot be in any set is its author's fault, what is early waits.

use std::collections::VecDeque;

use crate::authority::Authority;
use crate::id::EntryId;
use crate::log::entry::{Control, Sealing};
use crate::log::parked::Awaited;
use crate::log::run::{Entry, RunRefused, Verified};
use crate::log::set::{EntryRefused, Inserted};
use crate::replica::Replica;
use crate::replica::effect::{Effect, Event, Write};
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::time::Timestamp;

/// Why what a peer sent is refused. Always the peer's fault, or its author's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Misbehaved {
    /// A run.
    #[error(transparent)]
    Run(#[from] RunRefused),
    /// An entry.
    #[error(transparent)]
    Entry(#[from] EntryRefused),
    /// A message that is not canonical or over its bound.
    #[error("L4: a message is not in canonical form")]
    Message,
    /// A message that may not come now.
    #[error("S2: a message came out of order")]
    OutOfOrder,
    /// A payload that does not match the header that asks for it.
    #[error("L7: a payload does not match its header")]
    WrongPayload,
    /// An entry from someone who may not hand it in.
    #[error("S1: an entry was handed in by someone who may not")]
    NotYours,
}

/// What became of entries that were taken in.
#[derive(Default)]
pub(crate) struct Taken {
    /// How many are new in the set.
    pub(crate) new: usize,
    /// Whether some wait for others.
    pub(crate) waiting: bool,
}

impl Replica {
    /// Takes entries in, in any order. What is good is kept even if something else is refused.
    pub(crate) fn ingest(
        &mut self,
        now: Timestamp,
        entries: Vec<Verified<Entry>>,
        out: &mut Outcome,
    ) -> Result<Taken, Misbehaved> {
        let mut taken = Taken::default();
        let mut refused = None;
        let mut content = Vec::new();
        let mut control = Vec::new();
        let mut queue: VecDeque<(Verified<Entry>, bool)> =
            entries.into_iter().map(|entry| (entry, true)).collect();
        while let Some((entry, from_peer)) = queue.pop_front() {
            match self.take_one(now, entry, &mut queue, out) {
                Ok(Step::New(entry)) => {
                    taken.new = taken.new.saturating_add(1);
                    if entry.get().header.kind.is_control() {
                        control.push(entry.get().id);
                    } else {
                        content.push(entry);
                    }
                }
                Ok(Step::Waits) => taken.waiting = true,
                Ok(Step::Known) => {}
                // What waited came from an earlier message: whose fault it is cannot be told now.
                Err(why) if from_peer => refused = refused.or(Some(why)),
                Err(_) => {}
            }
        }
        let stale =
            |entry: &Verified<Entry>| self.authority.is_stale_after(&self.set, &entry.get().id);
        if !control.is_empty() || content.iter().any(stale) {
            self.refresh(out);
            self.learn_keys(now, &control, out);
        }
        self.open_content(now, content, out);
        refused.map_or(Ok(taken), Err)
    }

    fn take_one(
        &mut self,
        now: Timestamp,
        entry: Verified<Entry>,
        queue: &mut VecDeque<(Verified<Entry>, bool)>,
        out: &mut Outcome,
    ) -> Result<Step, Misbehaved> {
        let (id, kind, seq) = (entry.get().id, entry.get().header.kind, entry.get().header.seq);
        if self.set.contains(&id) {
            self.late_payload(now, &entry, out);
            return Ok(Step::Known);
        }
        let control = match &entry.get().payload {
            Some(payload) if kind.is_control() => {
                Some(Control::decode(kind, payload).map_err(|_| EntryRefused::NotCanonical)?)
            }
            _ => None,
        };
        if let (0, Some(Control::Card(card))) = (seq, &control)
            && !self.granted.contains(&card.member)
            && card.member != self.persona.member_id()
        {
            self.parked.park(Awaited::GrantOf(card.member), entry);
            return Ok(Step::Waits);
        }
        let own_tip = self.own_tip().filter(|_| entry.get().header.device == self.device());
        let evicted = match self.set.insert(&entry)? {
            Inserted::New { evicted } => evicted,
            Inserted::Known | Inserted::Surplus => return Ok(Step::Known),
            Inserted::Unrooted => {
                let prev = entry.get().header.prev;
                self.parked.park(Awaited::Entry(prev), entry);
                return Ok(Step::Waits);
            }
        };
        if let Some(tip) = own_tip {
            self.note_overtaken(tip, out);
        }
        for gone in evicted {
            self.documents.forget(&gone);
            out.write(Write::Evict { entry: gone });
        }
        if matches!(control, Some(Control::Erase(_))) {
            self.erasures_heard.insert(id, now);
        }
        let granted = match &control {
            Some(Control::Genesis(genesis)) => Some(genesis.founder),
            Some(Control::Grant(grant)) => Some(grant.subject),
            Some(Control::Replace(replace)) => Some(replace.with.subject),
            _ => None,
        };
        if let Some(member) = granted {
            self.granted.insert(member);
            let released = self.parked.release(Awaited::GrantOf(member));
            queue.extend(released.into_iter().map(|entry| (entry, false)));
        }
        let released = self.parked.release(Awaited::Entry(id));
        queue.extend(released.into_iter().map(|entry| (entry, false)));
        let payload =
            entry.get().payload.clone().filter(|_| kind.is_control() || !self.erased.contains(&id));
        if !kind.is_control() && payload.is_none() && !self.erased.contains(&id) {
            self.documents.miss(id, entry.get().header.clone());
        }
        out.entry(entry.get(), payload, now);
        Ok(Step::New(entry))
    }

    /// An entry that is held comes again, now with the payload that was missing.
    fn late_payload(&mut self, now: Timestamp, entry: &Verified<Entry>, out: &mut Outcome) {
        let Entry { id, payload, .. } = entry.get();
        let Some(payload) = payload else { return };
        if self.documents.awaited(id).is_some() {
            self.payload_arrived(now, *id, payload.clone(), out);
        }
    }

    /// A payload that was missing is here and matches its header.
    pub(crate) fn payload_arrived(
        &mut self,
        now: Timestamp,
        id: EntryId,
        payload: Vec<u8>,
        out: &mut Outcome,
    ) {
        let Some(header) = self.documents.arrived(&id) else { return };
        if self.erased.contains(&id) {
            return;
        }
        out.write(Write::Payload { entry: id, payload: payload.clone(), arrived: now });
        let entry = Entry { id, header, payload: Some(payload), signature: None }.from_store();
        self.open_content(now, vec![entry], out);
    }

    /// Evaluates anew and does what follows from the difference.
    pub(crate) fn refresh(&mut self, out: &mut Outcome) {
        let before = std::mem::replace(&mut self.authority, Authority::evaluate(&self.set));
        if before.digest() == self.authority.digest() {
            // The head of a cut has come: who stands where is the same, what counts is not (A4).
            self.follow_counting(&before, out);
            return;
        }
        out.notify(Event::Authority);
        self.follow_own_standing(out);
        self.follow_keepers(out);
        self.follow_members(&before, out);
        self.follow_erasures(out);
        self.follow_counting(&before, out);
    }

    fn follow_own_standing(&mut self, out: &mut Outcome) {
        let is_member = self.authority.rank_of(&self.member()).is_some();
        let state = match (self.persona.state, is_member) {
            (ReplicaState::Member, false) => ReplicaState::Removed,
            (ReplicaState::Left, false) => ReplicaState::Left,
            (_, true) => ReplicaState::Member,
            (state, false) => state,
        };
        if state == self.persona.state {
            return;
        }
        self.persona.state = state;
        out.persona_changed = true;
        out.notify(Event::Standing { member: is_member });
        if is_member {
            self.persona.joining = None;
            self.introduction_due = true;
        }
    }

    /// Who takes part in gossip, and whose connections end (S3).
    fn follow_members(&mut self, before: &Authority, out: &mut Outcome) {
        let members = self.gossip_members();
        let gone: Vec<_> = self
            .peers
            .connected()
            .filter(|peer| {
                before.device_of_transport(peer).is_some()
                    && self.authority.device_of_transport(peer).is_none()
            })
            .collect();
        out.effect(Effect::Members(members));
        for peer in gone {
            out.effect(Effect::Forget { peer });
            out.effect(Effect::Disconnect { peer });
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "short-lived: one at a time")]
enum Step {
    New(Verified<Entry>),
    Waits,
    Known,
}

/// The epoch under which a content entry is sealed.
pub(crate) const fn epoch_of(sealing: &Sealing) -> Option<crate::id::EpochId> {
    match sealing {
        Sealing::Clear => None,
        Sealing::Sealed { epoch, .. } => Some(*epoch),
    }
}
