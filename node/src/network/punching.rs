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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hole_is_punched_for_a_stranger() {
        let (own, member, stranger) = (PeerId::random(), PeerId::random(), PeerId::random());
        let mut punching = Punching::new(own);
        punching.set_known(member, true);
        let circuit: Multiaddr =
            format!("/ip4/192.0.2.1/tcp/1/p2p/{own}/p2p-circuit").parse().unwrap();
        let mut punches = |peer| {
            let connection = ConnectionId::new_unchecked(1);
            let (role, port) = (Endpoint::Dialer, PortUse::Reuse);
            let came = punching
                .handle_established_inbound_connection(connection, peer, &circuit, &circuit);
            let called = punching
                .handle_established_outbound_connection(connection, peer, &circuit, role, port);
            (matches!(came, Ok(Either::Left(_))), matches!(called, Ok(Either::Left(_))))
        };
        assert_eq!(punches(member), (true, true));
        assert_eq!(punches(stranger), (false, false));
    }
}
