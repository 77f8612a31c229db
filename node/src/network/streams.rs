//! Opens and takes streams of this program's own protocols.
//!
//! In place of `libp2p-stream`, which keeps something of every connection for ever, dials by itself
//! and drops streams that come while another waits. This also counts connections, because it alone
//! knows who is known, and keeps those of known peers alive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::{Context, Poll};

use cairn_crdt::replica::input::Protocol;
use futures::future::Either;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{ReadyUpgrade, SelectUpgrade};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, StreamProtocol, SubstreamProtocol, ToSwarm,
};

use super::policy::{self, Occupancy};
use super::transport;

const SYNC: StreamProtocol = StreamProtocol::new("/cairn/sync/1");
const JOIN: StreamProtocol = StreamProtocol::new("/cairn/join/1");

const fn name(protocol: Protocol) -> StreamProtocol {
    match protocol {
        Protocol::Sync => SYNC,
        Protocol::Join => JOIN,
    }
}

/// Names an attempt to open a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct OpeningId(pub(super) u64);

/// What became of streams.
#[derive(Debug)]
pub(super) enum StreamEvent {
    /// A peer opened one.
    Came { peer: PeerId, protocol: Protocol, stream: Stream },
    /// One that was asked for is open.
    Opened { opening: OpeningId, stream: Stream },
    /// One that was asked for could not be opened.
    Failed { opening: OpeningId },
}

/// The connection is one too many, or its key is of the wrong kind.
#[derive(Debug, thiserror::Error)]
#[error("no more connections with this peer now")]
struct Refused;

/// The streams of all connections.
#[derive(Default)]
pub(super) struct Streams {
    known: BTreeSet<PeerId>,
    /// Whether each connection is relayed.
    connections: BTreeMap<PeerId, BTreeMap<ConnectionId, bool>>,
    opening: BTreeMap<OpeningId, ConnectionId>,
    waiting: VecDeque<ToSwarm<StreamEvent, Ask>>,
}

impl Streams {
    /// Whether there is a connection.
    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.connections.contains_key(peer)
    }

    /// Everyone with a connection.
    pub(super) fn connected(&self) -> impl Iterator<Item = &PeerId> {
        self.connections.keys()
    }

    /// Whether a peer is a member or sought.
    pub(super) fn is_known(&self, peer: &PeerId) -> bool {
        self.known.contains(peer)
    }

    /// Says whether a peer is known. The connections of one that no longer is end once idle.
    pub(super) fn set_known(&mut self, peer: PeerId, known: bool) {
        let changed = if known { self.known.insert(peer) } else { self.known.remove(&peer) };
        if changed {
            self.say_which_stay(peer);
        }
    }

    /// Whether a connected peer is reached through relays only; `None` if it is not connected.
    pub(super) fn is_relayed(&self, peer: &PeerId) -> Option<bool> {
        self.connections.get(peer).map(|connections| connections.values().all(|relayed| *relayed))
    }

    /// Connections of known peers stay when idle; a relayed one does not once there is a direct one.
    fn say_which_stay(&mut self, peer: PeerId) {
        let known = self.is_known(&peer);
        let Some(connections) = self.connections.get(&peer) else { return };
        let only_relayed = connections.values().all(|relayed| *relayed);
        for (connection, relayed) in connections {
            self.waiting.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(*connection),
                event: Ask::Keep(known && (only_relayed || !relayed)),
            });
        }
    }

    /// Asks for a stream; `false` if there is no connection.
    pub(super) fn open(&mut self, opening: OpeningId, peer: PeerId, protocol: Protocol) -> bool {
        let of_peer = self.connections.get(&peer).into_iter().flatten();
        // A direct one first, then the oldest.
        let Some((connection, _)) =
            of_peer.min_by_key(|(connection, relayed)| (**relayed, **connection))
        else {
            return false;
        };
        let connection = *connection;
        self.opening.insert(opening, connection);
        self.waiting.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: Ask::Open(opening, protocol),
        });
        true
    }

    fn admit(&self, peer: &PeerId) -> Result<StreamHandler, ConnectionDenied> {
        let known = self.is_known(peer);
        let count = |of: &PeerId| self.connections.get(of).map_or(0, BTreeMap::len);
        let now = Occupancy {
            all: self.connections.values().map(BTreeMap::len).sum(),
            strangers: self.connections.keys().filter(|of| !self.is_known(of)).map(count).sum(),
            peer: count(peer),
        };
        if transport::key_of(peer).is_none() || !policy::may_connect(now, known) {
            return Err(ConnectionDenied::new(Refused));
        }
        Ok(StreamHandler { kept: known, asked: VecDeque::new(), told: VecDeque::new() })
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(connections) = self.connections.get_mut(&peer) {
            connections.remove(&connection);
            if connections.is_empty() {
                self.connections.remove(&peer);
            }
        }
        self.say_which_stay(peer);
        let failed: Vec<OpeningId> = self
            .opening
            .iter()
            .filter_map(|(opening, on)| (*on == connection).then_some(*opening))
            .collect();
        for opening in failed {
            self.finished(opening, StreamEvent::Failed { opening });
        }
    }

    /// Tells of an attempt once and once only.
    fn finished(&mut self, opening: OpeningId, event: StreamEvent) {
        if self.opening.remove(&opening).is_some() {
            self.waiting.push_back(ToSwarm::GenerateEvent(event));
        }
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = StreamHandler;
    type ToSwarm = StreamEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<StreamHandler, ConnectionDenied> {
        self.admit(&peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<StreamHandler, ConnectionDenied> {
        self.admit(&peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                let of_peer = self.connections.entry(event.peer_id).or_default();
                of_peer.insert(event.connection_id, event.endpoint.is_relayed());
                self.say_which_stay(event.peer_id);
            }
            FromSwarm::ConnectionClosed(event) => self.closed(event.peer_id, event.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, event: Told) {
        match event {
            Told::Came(protocol, stream) => {
                let event = StreamEvent::Came { peer, protocol, stream };
                self.waiting.push_back(ToSwarm::GenerateEvent(event));
            }
            Told::Opened(opening, Some(stream)) => {
                self.finished(opening, StreamEvent::Opened { opening, stream });
            }
            Told::Opened(opening, None) => self.finished(opening, StreamEvent::Failed { opening }),
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<StreamEvent, Ask>> {
        self.waiting.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// What a connection is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// Whether to stay when idle.
    Keep(bool),
    /// To open a stream.
    Open(OpeningId, Protocol),
}

/// What a connection tells.
#[derive(Debug)]
pub(super) enum Told {
    /// The peer opened a stream.
    Came(Protocol, Stream),
    /// A stream that was asked for, or none.
    Opened(OpeningId, Option<Stream>),
}

/// The streams of one connection.
pub(super) struct StreamHandler {
    kept: bool,
    asked: VecDeque<(OpeningId, Protocol)>,
    told: VecDeque<Told>,
}

type Offered = SelectUpgrade<ReadyUpgrade<StreamProtocol>, ReadyUpgrade<StreamProtocol>>;

impl ConnectionHandler for StreamHandler {
    type FromBehaviour = Ask;
    type ToBehaviour = Told;
    type InboundProtocol = Offered;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpeningId;

    fn listen_protocol(&self) -> SubstreamProtocol<Offered> {
        let offered = SelectUpgrade::new(ReadyUpgrade::new(SYNC), ReadyUpgrade::new(JOIN));
        SubstreamProtocol::new(offered, ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.kept
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, OpeningId, Told>> {
        if let Some(told) = self.told.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told));
        }
        if let Some((opening, protocol)) = self.asked.pop_front() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(name(protocol)), opening);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Ask) {
        match event {
            Ask::Keep(kept) => self.kept = kept,
            Ask::Open(opening, protocol) => self.asked.push_back((opening, protocol)),
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Offered, ReadyUpgrade<StreamProtocol>, (), OpeningId>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => {
                let (protocol, stream) = match stream {
                    Either::Left(stream) => (Protocol::Sync, stream),
                    Either::Right(stream) => (Protocol::Join, stream),
                };
                // A peer that opens more than it may have loses them here, unseen.
                if self.told.len() < policy::PEER_SESSIONS {
                    self.told.push_back(Told::Came(protocol, stream));
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: opening,
            }) => self.told.push_back(Told::Opened(opening, Some(stream))),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: opening, .. }) => {
                self.told.push_back(Told::Opened(opening, None));
            }
            _ => {}
        }
    }
}
