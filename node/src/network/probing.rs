//! Whether this node can be reached from outside: its keepers are asked to call back (AutoNAT v2).
//!
//! Nobody else is asked, whatever they offer: a stranger could say that an address works which does
//! not. Nor is a keeper on the same machine or network: that it comes through says nothing of those
//! who call from outside, who would then be without a relay.

use std::collections::BTreeSet;
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::autonat::v2::client;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, ListenAddresses, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use rand_chacha::ChaCha20Rng;

use super::discovery::{comes_from_outside, is_relayed};
use super::policy;

type Client = client::Behaviour<ChaCha20Rng>;

/// AutoNAT's client, with keepers as the only servers.
pub(super) struct Probing {
    inner: Client,
    keepers: BTreeSet<PeerId>,
    listening: ListenAddresses,
    /// Connections that the client knows: those since it last began anew.
    current: BTreeSet<ConnectionId>,
    chance: ChaCha20Rng,
}

impl Probing {
    /// No keepers yet. What is random in it comes from `chance`.
    pub(super) fn new(chance: ChaCha20Rng) -> Self {
        Self {
            inner: client(chance.clone()),
            keepers: BTreeSet::new(),
            listening: ListenAddresses::default(),
            current: BTreeSet::new(),
            chance,
        }
    }

    /// Begins anew, because the machine has moved to another network: the client tries an address
    /// once and would believe what it found out there for ever. Connections from before are of no
    /// use to it: whoever says that it moved closes those to keepers.
    pub(super) fn begin_anew(&mut self) {
        // Never the nonces of before.
        self.chance.set_stream(self.chance.get_stream().wrapping_add(1 << 32));
        self.inner = client(self.chance.clone());
        self.current.clear();
    }

    /// From now on these are this node's keepers. Whoever was connected before it became one is
    /// asked from its next connection on.
    pub(super) fn set_keepers(&mut self, keepers: BTreeSet<PeerId>) {
        self.keepers = keepers;
    }
}

fn client(chance: ChaCha20Rng) -> Client {
    let config = client::Config::default()
        .with_max_candidates(policy::PROBES)
        .with_probe_interval(policy::PROBE_EVERY);
    Client::new(chance, config)
}

impl NetworkBehaviour for Probing {
    type ConnectionHandler = THandler<Client>;
    type ToSwarm = client::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
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
        // At a circuit is not this node, but who relays for it says that it is.
        let own = self.listening.iter().filter(|own| !is_relayed(own));
        let outside = comes_from_outside(address, own);
        if self.keepers.contains(&peer) && !is_relayed(address) && outside {
            return self
                .inner
                .handle_established_outbound_connection(connection, peer, address, role, port);
        }
        // The side that only answers: it never learns that the peer could be asked.
        self.inner.handle_established_inbound_connection(connection, peer, address, address)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.listening.on_swarm_event(&event);
        match &event {
            FromSwarm::ConnectionEstablished(established) => {
                self.current.insert(established.connection_id);
            }
            // The client does not know it.
            FromSwarm::ConnectionClosed(closed) if !self.current.remove(&closed.connection_id) => {
                return;
            }
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        if self.current.contains(&connection) {
            self.inner.on_connection_handler_event(peer, connection, event);
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ToSwarm<client::Event, THandlerInEvent<Self>>> {
        self.inner.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use either::Either;
    use libp2p::core::transport::ListenerId;
    use libp2p::swarm::behaviour::NewListenAddr;
    use rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn only_keepers_outside_that_this_node_has_called_are_asked_to_call_back() {
        let (keeper, member) = (PeerId::random(), PeerId::random());
        let mut probing = Probing::new(ChaCha20Rng::from_seed([1; 32]));
        probing.set_keepers(BTreeSet::from([keeper]));
        probing.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr {
            listener_id: ListenerId::next(),
            addr: &"/ip6/2001:db8:1:2::7/tcp/1".parse().unwrap(),
        }));
        let direct: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let relayed = format!("{direct}/p2p/{member}/p2p-circuit/p2p/{keeper}").parse().unwrap();
        let mut asks = |peer, address: &Multiaddr| {
            let connection = ConnectionId::new_unchecked(1);
            let (role, port) = (Endpoint::Dialer, PortUse::Reuse);
            let handler = probing
                .handle_established_outbound_connection(connection, peer, address, role, port);
            matches!(handler, Ok(Either::Left(_)))
        };
        assert!(asks(keeper, &direct));
        assert!(!asks(member, &direct));
        assert!(!asks(keeper, &relayed));
        for near in ["/ip4/192.168.1.9/tcp/1", "/ip6/2001:db8:1:2::9/tcp/1", "/ip4/127.0.0.1/tcp/1"]
        {
            assert!(!asks(keeper, &near.parse().unwrap()), "{near}");
        }
        assert!(asks(keeper, &"/ip6/2001:db8:1:3::9/tcp/1".parse().unwrap()));
    }
}
