//! What one end lacks is asked of the other and served (S2), within what each is let have (S1).

use std::collections::BTreeSet;

use crate::codec::List;
use crate::id::{EntryId, TransportKey};
use crate::limits::DEVICES;
use crate::log::entry::payload_hash;
use crate::log::frontier::Frontier;
use crate::log::run::Run;
use crate::replica::Replica;
use crate::replica::effect::{Effect, Event, Serve};
use crate::replica::ingest::Misbehaved;
use crate::replica::input::SessionId;
use crate::replica::outcome::Outcome;
use crate::sync::message::{Admittance, Message, PayloadOf, Range, Want};
use crate::sync::reconcile;
use crate::sync::session::{Awaiting, LARGE_GAP, WANTS};
use crate::time::Timestamp;

/// Entries of its own log that a removed member may hand in at a time.
const REMOVED_ENTRIES: u64 = 256;

impl Replica {
    pub(crate) fn on_frontier(
        &mut self,
        now: Timestamp,
        id: SessionId,
        frontier: Frontier,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        if session.ours.is_none() {
            return Err(Misbehaved::OutOfOrder);
        }
        if std::mem::take(&mut session.equal) {
            // The other end wrote something between the two greetings. The next stream brings it.
            return Ok(());
        }
        if session.awaiting != Awaiting::Frontier {
            return Err(Misbehaved::OutOfOrder);
        }
        let (peer, theirs) = (session.peer, session.theirs);
        let Some(theirs) = theirs else {
            // Not let in yet: what it holds is looked at when it has shown its passport.
            session.early = Some(frontier);
            return Ok(());
        };
        let only = match theirs {
            Admittance::Member => None,
            Admittance::Removed => self.authority.known_transport(&peer),
        };
        let mut lacking = reconcile::difference(&self.set, &frontier, only);
        if theirs == Admittance::Removed && lacking.entries > REMOVED_ENTRIES {
            lacking.wants.clear();
        }
        let content = theirs == Admittance::Member && lacking.entries <= LARGE_GAP;
        let wants = List::<Want, DEVICES>::new(lacking.wants).unwrap_or_default();
        let asks = !wants.is_empty();
        if let Some(session) = self.peers.session(id) {
            session.awaiting = if asks { Awaiting::Runs } else { Awaiting::Nothing };
        }
        if asks {
            out.send(id, &Message::Want { wants, content });
        } else {
            self.advance(now, id, out);
        }
        Ok(())
    }

    pub(crate) fn on_want(
        &mut self,
        id: SessionId,
        wants: &[Want],
        content: bool,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        if !session.may_want() || session.wants_served >= WANTS {
            return Err(Misbehaved::OutOfOrder);
        }
        session.wants_served = session.wants_served.saturating_add(1);
        let content = content && session.may_want_content();
        let order = reconcile::granting_order(&self.set);
        let mut wants: Vec<&Want> = wants.iter().collect();
        wants.sort_by_key(|want| order.get(&want.device).copied().unwrap_or(usize::MAX));
        for want in wants {
            let entries = reconcile::path(&self.set, want);
            if !entries.is_empty() {
                let serve = Serve::Runs { entries, content };
                out.effect(Effect::Serve { session: id, serve });
            }
        }
        out.send(id, &Message::RunsDone);
        Ok(())
    }

    pub(crate) fn on_run(
        &mut self,
        now: Timestamp,
        id: SessionId,
        run: Run,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        if session.awaiting != Awaiting::Runs {
            return Err(Misbehaved::OutOfOrder);
        }
        let (peer, theirs) = (session.peer, session.theirs);
        let entries = run.verify(self.persona.group)?;
        if theirs == Some(Admittance::Removed) {
            let own = self.authority.known_transport(&peer);
            if entries.iter().any(|entry| Some(entry.get().header.device) != own) {
                return Err(Misbehaved::NotYours);
            }
        }
        self.ingest(now, entries, out)?;
        out.notify(Event::Progress { held: self.held(), missing: self.missing() });
        Ok(())
    }

    pub(crate) fn on_all_sent(
        &mut self,
        now: Timestamp,
        id: SessionId,
        awaited: Awaiting,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        if session.awaiting != awaited {
            return Err(Misbehaved::OutOfOrder);
        }
        session.awaiting = Awaiting::Nothing;
        self.advance(now, id, out);
        Ok(())
    }

    pub(crate) fn on_want_payloads(
        &mut self,
        id: SessionId,
        ranges: &[Range],
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        if !session.may_want() || session.wants_served >= WANTS {
            return Err(Misbehaved::OutOfOrder);
        }
        session.wants_served = session.wants_served.saturating_add(1);
        let (peer, all) = (session.peer, session.may_want_content());
        let mut entries = reconcile::entries_in(&self.set, ranges);
        if !all {
            let concerning = self.acts_concerning(&peer);
            entries.retain(|entry| concerning.contains(entry));
        }
        let entries: Vec<EntryId> =
            entries.into_iter().filter(|id| self.documents.awaited(id).is_none()).collect();
        if !entries.is_empty() {
            out.effect(Effect::Serve { session: id, serve: Serve::Payloads { entries } });
        }
        out.send(id, &Message::PayloadsDone);
        Ok(())
    }

    /// The changes of acts of moderation that concern a removed member: no other payload is
    /// served to it (S1).
    fn acts_concerning(&self, peer: &TransportKey) -> BTreeSet<EntryId> {
        self.authority
            .known_transport(peer)
            .and_then(|device| self.authority.member_of(&device))
            .and_then(|member| self.acts.get(&member).cloned())
            .unwrap_or_default()
    }

    pub(crate) fn on_payloads(
        &mut self,
        now: Timestamp,
        id: SessionId,
        payloads: Vec<PayloadOf>,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        if session.awaiting != Awaiting::Payloads {
            return Err(Misbehaved::OutOfOrder);
        }
        for PayloadOf { entry, payload } in payloads {
            let Some(header) = self.documents.awaited(&entry) else { continue };
            let payload = payload.into_vec();
            let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            if size != header.size || payload_hash(&payload) != header.payload {
                return Err(Misbehaved::WrongPayload);
            }
            self.payload_arrived(now, entry, payload, out);
        }
        out.notify(Event::Progress { held: self.held(), missing: self.missing() });
        Ok(())
    }
}
