//! What others say of this node's own addresses, believed of keepers only.
//!
//! libp2p's identify takes every peer's word for where this node was seen, and hands it on to be
//! tried and to be told to others. Here only what a keeper has seen goes on, and of that a bounded
//! number: nobody else can make this node believe, try or spread an address.

use std::collections::BTreeSet;
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, identify};

use super::policy;

/// Identify, with ears for keepers only.
pub(super) struct Observed {
    inner: identify::Behaviour,
    keepers: BTreeSet<PeerId>,
    /// Whose words the candidates are that come next.
    speaker: Option<PeerId>,
    seen: BTreeSet<Multiaddr>,
}

impl Observed {
    /// No keepers yet.
    pub(super) fn new(config: identify::Config) -> Self {
        Self {
            inner: identify::Behaviour::new(config),
            keepers: BTreeSet::new(),
            speaker: None,
            seen: BTreeSet::new(),
        }
    }

    /// From now on these are this node's keepers.
    pub(super) fn set_keepers(&mut self, keepers: BTreeSet<PeerId>) {
        self.keepers = keepers;
    }

    fn believes(&mut self, address: &Multiaddr) -> bool {
        let keeper = self.speaker.is_some_and(|speaker| self.keepers.contains(&speaker));
        if !keeper || (self.seen.len() >= policy::OWN_ADDRESSES && !self.seen.contains(address)) {
            return false;
        }
        self.seen.insert(address.clone());
        true
    }
}

impl NetworkBehaviour for Observed {
    type ConnectionHandler = THandler<identify::Behaviour>;
    type ToSwarm = identify::Event;

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
    ) -> Poll<ToSwarm<identify::Event, THandlerInEvent<Self>>> {
        loop {
            let Poll::Ready(event) = self.inner.poll(context) else { return Poll::Pending };
            match &event {
                // Candidates come right behind the event that they are taken from.
                ToSwarm::GenerateEvent(identify::Event::Received { peer_id, .. }) => {
                    self.speaker = Some(*peer_id);
                }
                ToSwarm::NewExternalAddrCandidate(address) if !self.believes(address) => continue,
                _ => {}
            }
            return Poll::Ready(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt as _;
    use libp2p::swarm::SwarmEvent;
    use libp2p::{Swarm, SwarmBuilder, noise, tcp, yamux};
    use tokio::time::timeout;

    use super::*;

    fn swarm<B: NetworkBehaviour>(make: impl FnOnce(identify::Config) -> B) -> Swarm<B> {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|key| make(identify::Config::new(String::new(), key.public())))
            .unwrap()
            .build();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        swarm
    }

    /// Whether an address that a peer saw is taken for one's own.
    async fn believed(is_keeper: bool) -> bool {
        let mut node = swarm(Observed::new);
        let mut other = swarm(identify::Behaviour::new);
        if is_keeper {
            node.behaviour_mut().set_keepers(BTreeSet::from([*other.local_peer_id()]));
        }
        let mut told = false;
        let settled = async {
            loop {
                tokio::select! {
                    event = node.select_next_some() => match event {
                        SwarmEvent::NewExternalAddrCandidate { .. } => told = true,
                        // The second one comes after all that followed from the first.
                        SwarmEvent::Behaviour(identify::Event::Received { .. }) if !told => {
                            let peer = *other.local_peer_id();
                            other.behaviour_mut().push([*node.local_peer_id()]);
                            node.behaviour_mut().inner.push([peer]);
                        }
                        SwarmEvent::Behaviour(
                            identify::Event::Received { .. } | identify::Event::Pushed { .. },
                        ) => return told,
                        _ => {}
                    },
                    event = other.select_next_some() => {
                        if let SwarmEvent::NewListenAddr { address, .. } = event {
                            node.dial(address).unwrap();
                        }
                    }
                }
            }
        };
        timeout(Duration::from_secs(60), settled).await.unwrap()
    }

    #[tokio::test]
    async fn only_a_keeper_is_believed_about_where_this_node_is() {
        assert!(believed(true).await);
        assert!(!believed(false).await);
    }
}
