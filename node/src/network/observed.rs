//! What others say of this node's own addresses, believed of keepers only.
//!
//! libp2p's identify takes every peer's word for where this node was seen, and hands it on to be
//! tried and to be told to others. Here only what a keeper has seen goes on, and of each keeper a
//! bounded number: nobody else can make this node believe, try or spread an address, and no keeper
//! can keep another from being heard.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::behaviour::{ExpiredListenAddr, NewListenAddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, identify};

use super::discovery::is_relayed;
use super::policy;

/// Identify, with ears for keepers only.
pub(super) struct Observed {
    inner: identify::Behaviour,
    /// Where each keeper has seen this node, since it came into its network.
    seen: BTreeMap<PeerId, BTreeSet<Multiaddr>>,
    /// Whose words the candidates are that come next.
    speaker: Option<PeerId>,
}

impl Observed {
    /// No keepers yet.
    pub(super) fn new(config: identify::Config) -> Self {
        Self { inner: identify::Behaviour::new(config), seen: BTreeMap::new(), speaker: None }
    }

    /// From now on these are this node's keepers.
    pub(super) fn set_keepers(&mut self, keepers: BTreeSet<PeerId>) {
        self.seen.retain(|peer, _| keepers.contains(peer));
        for keeper in keepers {
            self.seen.entry(keeper).or_default();
        }
    }

    /// Begins anew, because the machine has moved to another network: where it was seen before says
    /// nothing of where it is, and takes no room.
    pub(super) fn begin_anew(&mut self) {
        self.seen.values_mut().for_each(BTreeSet::clear);
    }

    fn believes(&mut self, address: &Multiaddr) -> bool {
        let Some(seen) = self.speaker.and_then(|speaker| self.seen.get_mut(&speaker)) else {
            return false;
        };
        if seen.len() < policy::OWN_ADDRESSES {
            seen.insert(address.clone());
        }
        seen.contains(address)
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
        match event {
            // What a relay says of where it is would be told to everyone as this node's own address,
            // and leave no room for those that are.
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. })
            | FromSwarm::ExpiredListenAddr(ExpiredListenAddr { addr, .. })
                if is_relayed(addr) => {}
            event => self.inner.on_swarm_event(event),
        }
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

    #[test]
    fn each_keeper_is_believed_so_often_and_anew_in_another_network() {
        let key = libp2p::identity::Keypair::generate_ed25519().public();
        let mut observed = Observed::new(identify::Config::new(String::new(), key));
        let (flooding, honest) = (PeerId::random(), PeerId::random());
        observed.set_keepers(BTreeSet::from([flooding, honest]));
        let at =
            |port: usize| -> Multiaddr { format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap() };
        let says = |observed: &mut Observed, who, port| {
            observed.speaker = Some(who);
            observed.believes(&at(port))
        };
        let believed = (1..1000).filter(|port| says(&mut observed, flooding, *port)).count();
        assert_eq!(believed, policy::OWN_ADDRESSES);
        assert!(says(&mut observed, flooding, 1), "what was believed is, when it is said again");
        assert!(says(&mut observed, honest, 1000));
        observed.begin_anew();
        assert!(says(&mut observed, flooding, 1000));
        observed.set_keepers(BTreeSet::from([honest]));
        assert!(!says(&mut observed, flooding, 1000) && says(&mut observed, honest, 1000));
        assert_eq!(observed.seen.len(), 1);
    }

    #[tokio::test]
    async fn only_a_keeper_is_believed_about_where_this_node_is() {
        assert!(believed(true).await);
        assert!(!believed(false).await);
    }
}
