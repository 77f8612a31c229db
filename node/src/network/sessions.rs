//! The sessions of one persona: which are open, with whom, and the work on each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_crdt::replica::input::{Protocol, SessionId};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::PeerId;
use libp2p::swarm::Stream;
use tokio::sync::mpsc;

use super::framing::{self, Ends, Report};
use super::policy::{self, Occupancy};
use super::streams::OpeningId;

/// For all networks of the process, so that no session is ever taken for another.
static NEXT: AtomicU64 = AtomicU64::new(1);

struct Live {
    peer: PeerId,
    /// Whether the peer counts against the strangers' share.
    known: bool,
    /// `None` once this node has closed it.
    outgoing: Option<mpsc::Sender<Vec<u8>>>,
    /// `None` once the connection is gone.
    taken: Option<mpsc::Sender<()>>,
}

/// The open sessions, those being opened, and their work.
pub(super) struct Sessions {
    live: BTreeMap<SessionId, Live>,
    opening: BTreeMap<OpeningId, (PeerId, Protocol)>,
    next_opening: u64,
    work: FuturesUnordered<BoxFuture<'static, ()>>,
    reports: mpsc::Receiver<(SessionId, Report)>,
    reporter: mpsc::Sender<(SessionId, Report)>,
}

impl Sessions {
    /// None yet.
    pub(super) fn new() -> Self {
        let (reporter, reports) = mpsc::channel(1);
        Self {
            live: BTreeMap::new(),
            opening: BTreeMap::new(),
            next_opening: 0,
            work: FuturesUnordered::new(),
            reports,
            reporter,
        }
    }

    fn may_open(&self, peer: &PeerId, known: bool) -> bool {
        let with = |of: &PeerId| of == peer;
        let now = Occupancy {
            all: self.live.len().saturating_add(self.opening.len()),
            strangers: self.live.values().filter(|live| !live.known).count(),
            peer: self
                .live
                .values()
                .filter(|live| with(&live.peer))
                .count()
                .saturating_add(self.opening.values().filter(|(of, _)| with(of)).count()),
        };
        policy::may_open(now, known)
    }

    /// Notes that a stream is being opened; `None` if there are too many.
    pub(super) fn begin(
        &mut self,
        peer: PeerId,
        protocol: Protocol,
        known: bool,
    ) -> Option<OpeningId> {
        if !self.may_open(&peer, known) {
            return None;
        }
        let opening = OpeningId(self.next_opening);
        self.next_opening = self.next_opening.saturating_add(1);
        self.opening.insert(opening, (peer, protocol));
        Some(opening)
    }

    /// The attempt is over; whose it was.
    pub(super) fn settle(&mut self, opening: OpeningId) -> Option<(PeerId, Protocol)> {
        self.opening.remove(&opening)
    }

    /// Takes a stream that a peer opened; `None`, and the stream is dropped, if there are too many.
    pub(super) fn accept(
        &mut self,
        peer: PeerId,
        known: bool,
        stream: Stream,
    ) -> Option<SessionId> {
        self.may_open(&peer, known).then(|| self.add(peer, known, stream))
    }

    /// Starts the work on a stream.
    pub(super) fn add(&mut self, peer: PeerId, known: bool, stream: Stream) -> SessionId {
        let session = SessionId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (outgoing, queue) = mpsc::channel(policy::SESSION_QUEUE);
        let (taken, permits) = mpsc::channel(1);
        let ends = Ends { outgoing: queue, taken: permits, reports: self.reporter.clone() };
        self.work.push(Box::pin(framing::run(session, stream, ends)));
        let live = Live { peer, known, outgoing: Some(outgoing), taken: Some(taken) };
        self.live.insert(session, live);
        session
    }

    /// Queues a message. A driver that does not wait for `Drained` loses the session.
    pub(super) fn send(&mut self, session: SessionId, message: Vec<u8>) {
        let Some(live) = self.live.get_mut(&session) else { return };
        let Some(outgoing) = &live.outgoing else { return };
        let fits = message.len() <= cairn_crdt::limits::MESSAGE_BYTES;
        if !fits || outgoing.try_send(message).is_err() {
            tracing::warn!("a session was given more to send than it may carry and is closed");
            live.outgoing = None;
        }
    }

    /// Lets the next message come.
    pub(super) fn taken(&self, session: SessionId) {
        if let Some(taken) = self.live.get(&session).and_then(|live| live.taken.as_ref()) {
            // Full means that it was said twice, closed that the session is over.
            let _ = taken.try_send(());
        }
    }

    /// Flushes and closes a session.
    pub(super) fn close(&mut self, session: SessionId) {
        if let Some(live) = self.live.get_mut(&session) {
            live.outgoing = None;
        }
    }

    /// Flushes and closes all.
    pub(super) fn close_all(&mut self) {
        for live in self.live.values_mut() {
            live.outgoing = None;
        }
    }

    /// The last connection of a peer is gone: its sessions wait for the driver no longer.
    pub(super) fn abandon(&mut self, peer: &PeerId) {
        for live in self.live.values_mut().filter(|live| live.peer == *peer) {
            live.taken = None;
        }
    }

    /// Forgets a session that reported its end.
    pub(super) fn over(&mut self, session: SessionId) {
        self.live.remove(&session);
    }

    /// Whether none is open.
    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Works on all sessions until one has something to report.
    pub(super) async fn report(&mut self) -> (SessionId, Report) {
        loop {
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => return report,
                Some(()) = self.work.next(), if !self.work.is_empty() => {}
                else => std::future::pending().await,
            }
        }
    }
}
