//! A machine that relays and calls back, as a keeper does, and nothing else.

use std::sync::{Arc, Mutex};

use cairn_crdt::id::TransportKey;
use cairn_node::network::KeeperContact;
use futures::StreamExt as _;
use libp2p::autonat::v2::server;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, relay};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{SAFETY, swarm};

#[derive(NetworkBehaviour)]
struct Machine {
    relay: relay::Behaviour,
    probes: Toggle<server::Behaviour>,
    identify: identify::Behaviour,
}

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    pub(crate) contact: KeeperContact,
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    /// Where the peers that it saw called from, and what they said of themselves.
    pub(crate) seen: Arc<Mutex<Vec<identify::Info>>>,
    running: JoinHandle<()>,
}

impl Relay {
    /// One with room for so many places, that calls nobody back.
    pub(crate) async fn start(places: usize) -> Self {
        Self::start_calling(places, false).await
    }

    /// One with room for so many places, that calls back or not.
    pub(crate) async fn start_calling(places: usize, calls_back: bool) -> Self {
        let config = relay::Config {
            max_reservations: places,
            max_circuit_bytes: 0,
            ..relay::Config::default()
        };
        let mut swarm: Swarm<Machine> = swarm(|key| Machine {
            relay: relay::Behaviour::new(key.public().to_peer_id(), config),
            probes: calls_back.then(server::Behaviour::default).into(),
            identify: identify::Behaviour::new(identify::Config::new(String::new(), key.public())),
        });
        let peer = *swarm.local_peer_id();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = timeout(SAFETY, async {
            loop {
                if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                    break address;
                }
            }
        });
        let address = address.await.unwrap();
        swarm.add_external_address(address.clone());
        let seen: Arc<Mutex<Vec<identify::Info>>> = Arc::default();
        let keep = Arc::clone(&seen);
        let running = tokio::spawn(async move {
            loop {
                if let SwarmEvent::Behaviour(MachineEvent::Identify(identify::Event::Received {
                    info,
                    ..
                })) = swarm.select_next_some().await
                {
                    keep.lock().unwrap().push(info);
                }
            }
        });
        let key = libp2p::identity::PublicKey::try_decode_protobuf(peer.as_ref().digest()).unwrap();
        let key = key.try_into_ed25519().unwrap();
        let transport = TransportKey::from_bytes(key.to_bytes());
        let contact = KeeperContact { transport, addresses: vec![address.clone()] };
        Self { contact, peer, address, seen, running }
    }

    /// The circuit to whoever has a place here.
    pub(crate) fn circuit(&self) -> Multiaddr {
        self.address.clone().with(Protocol::P2p(self.peer)).with(Protocol::P2pCircuit)
    }

    /// Stops it, as a machine that is switched off.
    pub(crate) fn vanish(&self) {
        self.running.abort();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.running.abort();
    }
}
