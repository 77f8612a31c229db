//! Whom this node may dial, and where. The last word before a socket is opened, whoever wants it:
//! `reconnect`, a relay's client, hole punching.
//!
//! - A name is dialled for keepers only: what peers claim must not make anyone resolve names.
//! - With relays only, members are reached through the relays of this node's own keepers and in no
//!   other way: a member could name a relay of its own, to learn who calls at it.

use std::collections::BTreeSet;
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};

use super::discovery::{self, is_relayed};
use super::names::is_name;

/// This connection must not be.
#[derive(Debug, thiserror::Error)]
#[error("this node does not connect there")]
struct Forbidden;

/// The rules, and the keepers that they are about.
pub(super) struct Guard {
    circuits_only: bool,
    keepers: BTreeSet<PeerId>,
}

impl Guard {
    /// No keepers yet.
    pub(super) const fn new(circuits_only: bool) -> Self {
        Self { circuits_only, keepers: BTreeSet::new() }
    }

    /// From now on these are this node's keepers.
    pub(super) fn set_keepers(&mut self, keepers: BTreeSet<PeerId>) {
        self.keepers = keepers;
    }

    /// Whether a peer may be dialled at an address.
    pub(super) fn allows(&self, peer: Option<PeerId>, address: &Multiaddr) -> bool {
        if peer.is_some_and(|peer| self.keepers.contains(&peer)) {
            return true;
        }
        let through_own = discovery::relay_of(address).is_some_and(|r| self.keepers.contains(&r));
        if self.circuits_only {
            return through_own;
        }
        through_own || !is_name(address)
    }

    fn established(
        &self,
        peer: PeerId,
        relayed: bool,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        match self.circuits_only && !relayed && !self.keepers.contains(&peer) {
            true => Err(ConnectionDenied::new(Forbidden)),
            false => Ok(dummy::ConnectionHandler),
        }
    }
}

impl NetworkBehaviour for Guard {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = std::convert::Infallible;

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        match addresses.iter().all(|address| self.allows(peer, address)) {
            true => Ok(Vec::new()),
            false => Err(ConnectionDenied::new(Forbidden)),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        self.established(peer, is_relayed(local))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        self.established(peer, is_relayed(address))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuit(host: &str, relay: PeerId) -> Multiaddr {
        format!("{host}/tcp/1/p2p/{relay}/p2p-circuit").parse().unwrap()
    }

    #[test]
    fn with_relays_only_members_are_called_through_own_keepers_and_nowhere_else() {
        let (keeper, member, other) = (PeerId::random(), PeerId::random(), PeerId::random());
        let mut guard = Guard::new(true);
        let direct: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        assert!(!guard.allows(Some(keeper), &direct), "nobody is a keeper yet");
        guard.set_keepers(BTreeSet::from([keeper]));
        assert!(guard.allows(Some(keeper), &direct));
        assert!(!guard.allows(Some(member), &direct));
        assert!(!guard.allows(None, &direct));
        assert!(guard.allows(Some(member), &circuit("/ip4/192.0.2.2", keeper)));
        assert!(!guard.allows(Some(member), &circuit("/ip4/192.0.2.2", other)));
        assert!(guard.established(member, false).is_err());
        assert!(guard.established(member, true).is_ok());
        assert!(guard.established(keeper, false).is_ok());
    }

    #[test]
    fn a_name_is_dialled_for_keepers_only() {
        let (keeper, member) = (PeerId::random(), PeerId::random());
        let mut guard = Guard::new(false);
        guard.set_keepers(BTreeSet::from([keeper]));
        let name: Multiaddr = "/dns4/tracker.example/tcp/1".parse().unwrap();
        assert!(guard.allows(Some(keeper), &name));
        assert!(!guard.allows(Some(member), &name));
        assert!(!guard.allows(None, &name));
        assert!(guard.allows(Some(member), &"/ip4/192.0.2.1/tcp/1".parse().unwrap()));
        assert!(!guard.allows(Some(member), &circuit("/dns4/tracker.example", member)));
    }
}
