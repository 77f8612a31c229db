//! Streams with other nodes: who is let in (S1), what is asked and served (S2), gossip (S3).

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use crate::codec::List;
use crate::id::TransportKey;
use crate::limits::WANTED_RANGES;
use crate::log::frontier::{Frontier, FrontierDigest};
use crate::replica::Replica;
use crate::replica::effect::{Effect, Event};
use crate::replica::holdings::RECEIPTS_PASSED_ON;
use crate::replica::ingest::Misbehaved;
use crate::replica::input::{Protocol, SessionEvent, SessionId};
use crate::replica::outcome::Outcome;
use crate::replica::peers::{RESYNC_MILLIS, SYNC_AT_ONCE};
use crate::replica::persona::ReplicaState;
use crate::sync::message::{Admittance, JoinMessage, Message, Range, Refusal, SYNC_VERSION};
use crate::sync::reconcile;
use crate::sync::session::{Awaiting, Session};
use crate::time::Timestamp;

/// Milliseconds between two receipts (S6).
const RECEIPT_MILLIS: u64 = 60_000;

impl Replica {
    pub(crate) fn connected(&mut self, now: Timestamp, peer: TransportKey, out: &mut Outcome) {
        self.peers.connect(peer);
        if self.standing_of(&peer).is_some() {
            out.effect(Effect::Members(self.gossip_members()));
            // One end begins at once; the other follows when nothing has come by its next look.
            let first = self.persona.transport.verifying_key() < *peer.as_bytes();
            if first || self.persona.state != ReplicaState::Member {
                self.peers.stir_peer(now, peer);
            } else {
                self.peers.stir(now);
            }
        }
    }

    pub(crate) fn tick(&mut self, now: Timestamp, out: &mut Outcome) {
        for session in self.peers.silent(now) {
            self.peers.close(session);
            out.effect(Effect::Close { session });
        }
        let waiting = self.persona.state == ReplicaState::Waiting;
        let usual = if waiting { crate::replica::peers::ASK_MILLIS } else { RESYNC_MILLIS };
        for peer in self.peers.due(now, usual).into_iter().take(SYNC_AT_ONCE) {
            if self.standing_of(&peer).is_none() {
                self.peers.calm(&peer);
                continue;
            }
            let protocol = if waiting { Protocol::Join } else { Protocol::Sync };
            if self.peers.may_open(now, peer, protocol) {
                out.effect(Effect::Open { peer, protocol });
            }
        }
        self.pay_welcomes(out);
        self.next_tick = Timestamp::default();
    }

    pub(crate) fn session_event<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        id: SessionId,
        event: SessionEvent,
        out: &mut Outcome,
    ) {
        match event {
            SessionEvent::Opened { peer, protocol, initiated } => {
                let session = Session::new(peer, protocol, initiated, now);
                if !self.peers.open(id, session) {
                    out.effect(Effect::Close { session: id });
                    return;
                }
                match protocol {
                    Protocol::Sync => out.send(id, &self.hello()),
                    Protocol::Join if initiated => self.send_request(rng, id, out),
                    Protocol::Join => {}
                }
            }
            SessionEvent::Message(bytes) => {
                let Some(session) = self.peers.session(id) else { return };
                // Who is not let in has one stretch of patience, whatever it says in it.
                if session.theirs.is_some() {
                    session.heard = now;
                }
                let (protocol, peer) = (session.protocol, session.peer);
                let result = match protocol {
                    Protocol::Sync => Message::from_bytes(&bytes)
                        .map_err(|_| Misbehaved::Message)
                        .and_then(|message| self.sync_message(now, rng, id, message, out)),
                    Protocol::Join => JoinMessage::from_bytes(&bytes)
                        .map_err(|_| Misbehaved::Message)
                        .and_then(|message| self.join_message(now, rng, id, message, out)),
                };
                if let Err(why) = result {
                    out.notify(Event::Misbehaved { rule: why.to_string() });
                    if protocol == Protocol::Sync {
                        out.send(id, &Message::Refused(Refusal::Misbehaved));
                    }
                    self.end(id, out);
                    out.effect(Effect::Disconnect { peer });
                }
            }
            SessionEvent::Closed => {
                self.peers.close(id);
            }
        }
    }

    pub(crate) fn end(&mut self, id: SessionId, out: &mut Outcome) {
        self.peers.close(id);
        out.effect(Effect::Close { session: id });
    }

    fn hello(&self) -> Message {
        Message::Hello {
            version: SYNC_VERSION,
            group: self.persona.group,
            frontier: self.digest(),
            seen: self.set.seen(),
        }
    }

    /// What a peer is let have (S1); `None` for strangers.
    pub(crate) fn standing_of(&self, peer: &TransportKey) -> Option<Admittance> {
        if self.authority.device_of_transport(peer).is_some() {
            return Some(Admittance::Member);
        }
        // Before it holds the genesis, a newcomer trusts those whom its code names.
        let from_code = self
            .pending_code()
            .is_some_and(|code| code.contacts.iter().any(|c| c.transport == *peer));
        if from_code {
            return Some(Admittance::Member);
        }
        self.authority.known_transport(peer).map(|_| Admittance::Removed)
    }

    pub(crate) fn gossip_members(&self) -> BTreeSet<TransportKey> {
        let own = self.device();
        if self.persona.state != ReplicaState::Member {
            return BTreeSet::new();
        }
        self.authority
            .members()
            .values()
            .flat_map(|standing| &standing.devices)
            .filter(|device| **device != own)
            .filter_map(|device| self.authority.device(device))
            .map(|device| device.transport)
            .filter(|key| self.authority.device_of_transport(key).is_some())
            .collect()
    }

    fn sync_message<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        id: SessionId,
        message: Message,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        match message {
            Message::Hello { version, group, frontier, .. } => {
                self.on_hello(now, id, (version, group), frontier, out)
            }
            Message::Passport(passport) => self.on_passport(now, id, passport, out),
            Message::Welcome(admittance) => {
                let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
                if session.ours.replace(admittance).is_some() {
                    return Err(Misbehaved::OutOfOrder);
                }
                self.advance(now, id, out);
                Ok(())
            }
            Message::Refused(refusal) => self.on_refused(id, refusal, out),
            Message::Frontier(frontier) => self.on_frontier(now, id, frontier, out),
            Message::Want { wants, content } => self.on_want(id, wants.as_slice(), content, out),
            Message::Run(run) => self.on_run(now, id, run, out),
            Message::RunsDone => self.on_all_sent(now, id, Awaiting::Runs, out),
            Message::WantPayloads(ranges) => self.on_want_payloads(id, ranges.as_slice(), out),
            Message::Payloads(payloads) => self.on_payloads(now, id, payloads.into_vec(), out),
            Message::PayloadsDone => self.on_all_sent(now, id, Awaiting::Payloads, out),
            Message::Receipt(receipt) => {
                self.take_receipt(receipt, out);
                Ok(())
            }
            Message::Done { all } => self.on_done(now, id, all, out),
            Message::Lacking(epochs) => self.on_lacking(now, rng, id, epochs.as_slice(), out),
        }
    }

    fn on_hello(
        &mut self,
        now: Timestamp,
        id: SessionId,
        (version, group): (u8, crate::id::GroupId),
        theirs: FrontierDigest,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        if std::mem::replace(&mut session.greeted, true) {
            return Err(Misbehaved::OutOfOrder);
        }
        let peer = session.peer;
        if version != SYNC_VERSION || group != self.persona.group {
            let why =
                if group == self.persona.group { Refusal::Version } else { Refusal::NotKnown };
            out.send(id, &Message::Refused(why));
            self.end(id, out);
            return Ok(());
        }
        match self.standing_of(&peer) {
            Some(admittance) => {
                let equal = theirs == self.digest();
                self.let_in(now, id, admittance, equal, out);
            }
            None => out.send(id, &Message::Refused(Refusal::NotKnown)),
        }
        Ok(())
    }

    /// The other end may synchronise: says so, and shows what is held unless it is the same.
    fn let_in(
        &mut self,
        now: Timestamp,
        id: SessionId,
        admittance: Admittance,
        equal: bool,
        out: &mut Outcome,
    ) {
        let Some(session) = self.peers.session(id) else { return };
        session.theirs = Some(admittance);
        session.frontier_sent = true;
        session.shown = Some(Frontier::of(&self.set));
        if equal {
            session.equal = true;
            session.awaiting = Awaiting::Nothing;
        }
        out.send(id, &Message::Welcome(admittance));
        if !equal {
            out.send(id, &Message::Frontier(Frontier::of(&self.set)));
        }
        self.advance(now, id, out);
    }

    /// Someone unknown shows who let them in. Opens the door; what they bring is checked as ever.
    fn on_passport(
        &mut self,
        now: Timestamp,
        id: SessionId,
        passport: crate::sync::message::Passport,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        let peer = session.peer;
        if session.theirs.is_some() || std::mem::replace(&mut session.passport, true) {
            return Err(Misbehaved::OutOfOrder);
        }
        if self.passport_holds(&peer, passport)? {
            self.let_in(now, id, Admittance::Member, false, out);
            let early = self.peers.session(id).and_then(|session| session.early.take());
            if let Some(frontier) = early {
                self.on_frontier(now, id, frontier, out)?;
            }
        } else {
            out.send(id, &Message::Refused(Refusal::NotKnown));
            self.end(id, out);
        }
        Ok(())
    }

    fn on_refused(
        &mut self,
        id: SessionId,
        refusal: Refusal,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let peer = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?.peer;
        // A passport names members: it is shown to one of them, and to no stranger who says no.
        let member = self.standing_of(&peer) == Some(Admittance::Member);
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        let ask = member
            && refusal == Refusal::NotKnown
            && !std::mem::replace(&mut session.passport, true);
        match self.passport_load().filter(|_| ask) {
            Some(load) => {
                let sessions = self.passports.entry(load.clone()).or_default();
                // For several at once it is read once.
                if sessions.is_empty() {
                    out.effect(Effect::Load(load));
                }
                sessions.insert(id);
            }
            None => self.end(id, out),
        }
        Ok(())
    }

    /// Says what comes next on a stream whose ends have let each other in.
    pub(crate) fn advance(&mut self, now: Timestamp, id: SessionId, out: &mut Outcome) {
        let missing = self.documents.missing().len();
        let doubtful = self.documents.doubtful().len();
        let Some(session) = self.peers.session(id) else { return };
        let (Some(_), Some(ours)) = (session.theirs, session.ours) else { return };
        if session.awaiting != Awaiting::Nothing || session.done_sent {
            return;
        }
        let worth = ours == Admittance::Member || self.persona.state == ReplicaState::Removed;
        let wanted = missing.saturating_add(if session.equal { 0 } else { doubtful });
        if wanted > 0 && worth && session.missing_when_asked != Some(wanted) {
            session.missing_when_asked = Some(wanted);
            session.awaiting = Awaiting::Payloads;
            let (missing, doubtful) = (self.documents.missing(), self.documents.doubtful());
            let wanted = missing.keys().chain(doubtful.keys()).copied();
            let ranges = reconcile::ranges(&self.set, wanted);
            let ranges = List::<Range, WANTED_RANGES>::new(ranges).unwrap_or_default();
            out.send(id, &Message::WantPayloads(ranges));
            return;
        }
        session.done_sent = true;
        let over = session.is_over();
        self.send_receipts(now, id, out);
        self.ask_for_keys(now, id, out);
        out.send(id, &Message::Done { all: missing == 0 });
        if over {
            self.finish(id, out);
        }
    }

    /// Tells what this device holds and what it knows of others, at most once a minute (S6).
    fn send_receipts(&mut self, now: Timestamp, id: SessionId, out: &mut Outcome) {
        let lately = now.since(self.last_receipt) < RECEIPT_MILLIS;
        if self.persona.state != ReplicaState::Member || lately {
            return;
        }
        let frontier = Frontier::whole(&self.set, self.documents.missing());
        let digest = frontier.digest(self.persona.group);
        if !self.holdings.has_news() && self.last_told == Some(digest) {
            return;
        }
        self.last_receipt = now;
        self.holdings.told();
        self.last_told = Some(digest);
        let own = self.sign_receipt(out);
        let others: Vec<_> = self.holdings.receipts().take(RECEIPTS_PASSED_ON).cloned().collect();
        for receipt in others.into_iter().chain(own) {
            out.send(id, &Message::Receipt(receipt));
        }
    }

    fn on_done(
        &mut self,
        now: Timestamp,
        id: SessionId,
        all: bool,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        if session.theirs.is_none() {
            return Err(Misbehaved::OutOfOrder);
        }
        session.done_received = true;
        let (peer, shown) = (session.peer, session.shown.take().filter(|_| all));
        let over = session.is_over();
        // It has all that it was shown, payloads too: only now is that reached (S6).
        if let (Some(device), Some(shown)) = (self.authority.device_of_transport(&peer), shown) {
            self.holdings.show(&self.set, device, &shown);
        }
        if over {
            self.finish(id, out);
        } else if session.awaiting == Awaiting::Frontier {
            // To the other end both were equal when they greeted: no frontier will come.
            session.awaiting = Awaiting::Nothing;
            self.advance(now, id, out);
        }
        Ok(())
    }

    fn finish(&mut self, id: SessionId, out: &mut Outcome) {
        let Some(session) = self.peers.close(id) else { return };
        if session.initiated {
            out.effect(Effect::Close { session: id });
        }
        self.synced = true;
        out.notify(Event::Synced { peer: session.peer });
    }
}
