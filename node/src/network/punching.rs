//! From a relayed connection to a direct one (DCUtR), with known peers only.
//!
//! Punching means to dial addresses that the other end names. A stranger that comes through a relay
//! is not obeyed, so that it can neither learn this node's address so nor point it at others.

use std::collections::BTreeSet;
use std::task::{Context, Poll};

use either::Either;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{PeerId, dcutr};

use super::discovery::is_relayed;

/// DCUtR for known peers.
pub(super) struct Punching {
    inner: dcutr::Behaviour,
    known: BTreeSet<PeerId>,
}

impl Punching {
    /// Nobody is known yet.
    pub(super) fn new(own: PeerId) -> Self {
        Self { inner: dcutr::Behaviour::new(own), known: BTreeSet::new() }
    }

    /// Says whether a peer is known.
    pub(super) fn set_known(&mut self, peer: PeerId, known: bool) {
        if known {
            self.known.insert(peer);
        } else {
            self.known.remove(&peer);
        }
    }
}

impl NetworkBehaviour for Punching {
    type ConnectionHandler = THandler<dcutr::Behaviour>;
    type ToSwarm = dcutr::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if is_relayed(local) && !self.known.contains(&peer) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if is_relayed(address) && !self.known.contains(&peer) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ToSwarm<dcutr::Event, THandlerInEvent<Self>>> {
        self.inner.poll(context)
    }
}
