//! Which peers are connected, which streams are open, and when to synchronise next.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::TransportKey;
use crate::replica::input::{Protocol, SessionId};
use crate::sync::session::Session;
use crate::time::Timestamp;

/// Milliseconds after which a connected peer is synchronised with again.
pub(crate) const RESYNC_MILLIS: u64 = 45_000;
/// Milliseconds after own writing when peers are asked whether it came.
const STIR_MILLIS: u64 = 1_500;
/// Milliseconds between two requests to join over one connection.
pub(crate) const ASK_MILLIS: u64 = 10_000;
/// Streams of one peer at a time.
const SESSIONS_PER_PEER: usize = 3;
/// Peers that are synchronised with at once.
pub(crate) const SYNC_AT_ONCE: usize = 8;

/// Connections and streams of one replica.
#[derive(Default)]
pub(crate) struct Peers {
    /// Connected peers, and when a stream with them was last begun.
    connected: BTreeMap<TransportKey, Timestamp>,
    sessions: BTreeMap<SessionId, Session>,
    /// Streams asked for and not yet open.
    opening: BTreeSet<(TransportKey, Protocol)>,
    /// Peers that are due sooner than usual.
    stirred: BTreeMap<TransportKey, Timestamp>,
}

impl Peers {
    pub(crate) fn connect(&mut self, peer: TransportKey) {
        self.connected.entry(peer).or_default();
    }

    pub(crate) fn disconnected(&mut self, peer: TransportKey) {
        self.connected.remove(&peer);
        self.stirred.remove(&peer);
        self.opening.retain(|(opening, _)| *opening != peer);
    }

    pub(crate) fn connected(&self) -> impl Iterator<Item = TransportKey> {
        self.connected.keys().copied()
    }

    pub(crate) fn is_connected(&self, peer: &TransportKey) -> bool {
        self.connected.contains_key(peer)
    }

    /// Whether a stream of this sort may be asked for now: there is none. Remembers that it is.
    pub(crate) fn may_open(
        &mut self,
        now: Timestamp,
        peer: TransportKey,
        protocol: Protocol,
    ) -> bool {
        let busy = self.opening.contains(&(peer, protocol))
            || self.sessions.values().any(|s| s.peer == peer && s.protocol == protocol);
        if busy || !self.is_connected(&peer) {
            return false;
        }
        self.opening.insert((peer, protocol));
        self.begun(now, peer);
        true
    }

    /// The stream that was asked for will not come: it may be asked for again.
    pub(crate) fn not_opened(&mut self, peer: TransportKey, protocol: Protocol) {
        self.opening.remove(&(peer, protocol));
    }

    fn begun(&mut self, now: Timestamp, peer: TransportKey) {
        self.stirred.remove(&peer);
        if let Some(last) = self.connected.get_mut(&peer) {
            *last = now;
        }
    }

    /// A stream is open. `false` if the peer has too many.
    pub(crate) fn open(&mut self, id: SessionId, session: Session) -> bool {
        let peer = session.peer;
        if session.initiated {
            self.opening.remove(&(peer, session.protocol));
        }
        let open = self.sessions.values().filter(|other| other.peer == peer).count();
        if open >= SESSIONS_PER_PEER {
            return false;
        }
        self.begun(session.heard, peer);
        self.sessions.insert(id, session);
        true
    }

    pub(crate) fn close(&mut self, id: SessionId) -> Option<Session> {
        self.sessions.remove(&id)
    }

    pub(crate) fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// Streams whose other end has been silent for too long.
    pub(crate) fn silent(&self, now: Timestamp) -> Vec<SessionId> {
        self.sessions().filter(|(_, session)| session.is_silent(now)).map(|(id, _)| id).collect()
    }

    /// This device wrote something: soon ask a few peers whether it came.
    pub(crate) fn stir(&mut self, now: Timestamp) {
        let at = now.after(STIR_MILLIS);
        for peer in self.connected.keys().take(SYNC_AT_ONCE) {
            self.stirred.entry(*peer).or_insert(at);
        }
    }

    /// More was written than is gossiped: synchronise at once.
    pub(crate) fn stir_now(&mut self, now: Timestamp) {
        for peer in self.connected.keys().take(SYNC_AT_ONCE) {
            self.stirred.insert(*peer, now);
        }
    }

    /// One peer is due at once.
    pub(crate) fn stir_peer(&mut self, now: Timestamp, peer: TransportKey) {
        if self.is_connected(&peer) {
            self.stirred.insert(peer, now);
        }
    }

    /// A stranger is never due: nobody who merely connects keeps this device awake.
    pub(crate) fn calm(&mut self, peer: &TransportKey) {
        self.stirred.remove(peer);
    }

    /// The clock was set back: all that are connected are due, and every stream was heard just now.
    pub(crate) fn forget_times(&mut self, now: Timestamp) {
        self.connected.values_mut().for_each(|last| *last = Timestamp::default());
        self.stirred.clear();
        self.sessions.values_mut().for_each(|session| session.heard = now);
    }

    /// Every connected peer is due at once.
    pub(crate) fn stir_all(&mut self, now: Timestamp) {
        self.stirred = self.connected.keys().map(|peer| (*peer, now)).collect();
    }

    /// Peers with whom a stream should be opened now.
    pub(crate) fn due(&self, now: Timestamp, usual: u64) -> Vec<TransportKey> {
        let late = |peer: &TransportKey, last: &Timestamp| {
            now.since(*last) >= usual || self.stirred.get(peer).is_some_and(|at| *at <= now)
        };
        self.connected
            .iter()
            .filter(|(peer, last)| late(peer, last))
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// When to look again, at the latest.
    pub(crate) fn next_due(&self, now: Timestamp) -> Timestamp {
        let next = self.stirred.values().min().copied();
        next.map_or(Timestamp::from_millis(u64::MAX), |at| at.max(now.after(50)))
    }
}
