//! Streams of the keeper's protocol, at either end, and who may be dialled.
//!
//! A keeper takes streams and dials nobody, save for one thing: whoever asks whether it can be reached
//! (AutoNAT) is dialled at the address that it comes from, and at no other. Otherwise a stranger could
//! make a keeper look around in the network that it stands in. A client opens one stream on its
//! connection.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::task::{Context, Poll};

use either::Either;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, ReadyUpgrade};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, Stream, StreamProtocol, SubstreamProtocol, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};

use super::policy;

/// The name of the protocol.
pub(super) const KEEPER: StreamProtocol = StreamProtocol::new("/cairn/keeper/1");

/// Which end this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Takes streams.
    Keeper,
    /// Opens one.
    Client,
}

/// What became of a stream.
#[derive(Debug)]
pub(super) enum StreamEvent {
    /// One is open, with a peer.
    Open(PeerId, Box<Stream>),
    /// The client's could not be opened.
    Failed,
}

/// An address that was not the peer's own was to be dialled.
#[derive(Debug, thiserror::Error)]
#[error("a keeper dials nobody there")]
struct NotThere;

/// The streams of all connections.
#[derive(Debug)]
pub(super) struct Streams {
    end: End,
    /// From where the connected peers come; forgotten with the connection.
    from: BTreeMap<ConnectionId, (PeerId, IpAddr)>,
    waiting: VecDeque<StreamEvent>,
}

impl Streams {
    pub(super) const fn new(end: End) -> Self {
        Self { end, from: BTreeMap::new(), waiting: VecDeque::new() }
    }

    const fn handler(&self) -> StreamHandler {
        StreamHandler { end: self.end, asked: false, taken: 0, told: VecDeque::new() }
    }

    /// Whether all of these addresses are where a peer is connected from.
    fn is_there(&self, peer: Option<PeerId>, addresses: &[Multiaddr]) -> bool {
        !addresses.is_empty()
            && addresses.iter().all(|address| {
                self.from
                    .values()
                    .any(|(from, ip)| Some(*from) == peer && Some(*ip) == ip_of(address))
            })
    }
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)),
        _ => None,
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = StreamHandler;
    type ToSwarm = StreamEvent;

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if self.end == End::Keeper && !self.is_there(peer, addresses) {
            return Err(ConnectionDenied::new(NotThere));
        }
        Ok(Vec::new())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<StreamHandler, ConnectionDenied> {
        if let Some(ip) = ip_of(remote) {
            self.from.insert(connection, (peer, ip));
        }
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<StreamHandler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(event) => {
                self.from.remove(&event.connection_id);
            }
            // Another part may refuse a connection that was noted here.
            FromSwarm::ListenFailure(event) => {
                self.from.remove(&event.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.waiting.push_back(match event {
            Some(stream) => StreamEvent::Open(peer, Box::new(stream)),
            None => StreamEvent::Failed,
        });
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<StreamEvent, THandlerInEvent<Self>>> {
        self.waiting
            .pop_front()
            .map_or(Poll::Pending, |event| Poll::Ready(ToSwarm::GenerateEvent(event)))
    }
}

type Offered = Either<ReadyUpgrade<StreamProtocol>, DeniedUpgrade>;

/// The streams of one connection.
pub(super) struct StreamHandler {
    end: End,
    asked: bool,
    taken: usize,
    told: VecDeque<Option<Stream>>,
}

impl ConnectionHandler for StreamHandler {
    type FromBehaviour = std::convert::Infallible;
    type ToBehaviour = Option<Stream>;
    type InboundProtocol = Offered;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Offered> {
        SubstreamProtocol::new(
            match self.end {
                End::Keeper => Either::Left(ReadyUpgrade::new(KEEPER)),
                End::Client => Either::Right(DeniedUpgrade),
            },
            (),
        )
    }

    /// A client's connection is for its stream; a keeper's ends when it carries none.
    fn connection_keep_alive(&self) -> bool {
        self.end == End::Client
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, (), Option<Stream>>> {
        if let Some(told) = self.told.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told));
        }
        if self.end == End::Client && !self.asked {
            self.asked = true;
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(KEEPER), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: std::convert::Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Offered, ReadyUpgrade<StreamProtocol>>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: futures::future::Either::Left(stream),
                ..
            }) if self.taken < policy::PEER_STREAMS => {
                // One stream in the life of a connection is all that a client needs; more are
                // dropped, unseen.
                self.taken = self.taken.saturating_add(1);
                self.told.push_back(Some(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                ..
            }) => self.told.push_back(Some(stream)),
            ConnectionEvent::DialUpgradeError(_) => self.told.push_back(None),
            _ => {}
        }
    }
}
