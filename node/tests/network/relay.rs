//! A machine that relays, as a keeper does, and nothing else.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cairn_crdt::id::TransportKey;
use cairn_node::network::KeeperContact;
use futures::StreamExt as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, relay};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{SAFETY, swarm};

#[derive(NetworkBehaviour)]
struct Machine {
    relay: relay::Behaviour,
    identify: identify::Behaviour,
}

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    pub(crate) contact: KeeperContact,
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    /// Where the peers that it saw called from, and what they said of themselves.
    pub(crate) seen: Arc<Mutex<Vec<identify::Info>>>,
    /// How often the last connection of a peer has ended.
    left: Arc<AtomicU32>,
    running: JoinHandle<()>,
}

impl Relay {
    /// One with room for so many places.
    pub(crate) async fn start(places: usize) -> Self {
        Self::start_saying(places, &[]).await
    }

    /// The same; it says that it is at these addresses, too.
    pub(crate) async fn start_saying(places: usize, says: &[Multiaddr]) -> Self {
        let config = relay::Config {
            max_reservations: places,
            max_circuit_bytes: 0,
            ..relay::Config::default()
        };
        let mut swarm: Swarm<Machine> = swarm(|key| Machine {
            relay: relay::Behaviour::new(key.public().to_peer_id(), config),
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
        for address in says.iter().chain([&address]) {
            swarm.add_external_address(address.clone());
        }
        let seen: Arc<Mutex<Vec<identify::Info>>> = Arc::default();
        let left: Arc<AtomicU32> = Arc::default();
        let (keep, count) = (Arc::clone(&seen), Arc::clone(&left));
        let running = tokio::spawn(async move {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::Behaviour(MachineEvent::Identify(identify::Event::Received {
                        info,
                        ..
                    })) => keep.lock().unwrap().push(info),
                    SwarmEvent::ConnectionClosed { num_established: 0, .. } => {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => {}
                }
            }
        });
        let key = libp2p::identity::PublicKey::try_decode_protobuf(peer.as_ref().digest()).unwrap();
        let key = key.try_into_ed25519().unwrap();
        let transport = TransportKey::from_bytes(key.to_bytes());
        let contact = KeeperContact { transport, addresses: vec![address.clone()] };
        Self { contact, peer, address, seen, left, running }
    }

    /// The circuit to whoever has a place here.
    pub(crate) fn circuit(&self) -> Multiaddr {
        self.address.clone().with(Protocol::P2p(self.peer)).with(Protocol::P2pCircuit)
    }

    /// The addresses that the first peer which it saw said of itself.
    pub(crate) async fn told(&self) -> Vec<Multiaddr> {
        let told = async {
            loop {
                if let Some(info) = self.seen.lock().unwrap().first() {
                    break info.listen_addrs.clone();
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SAFETY, told).await.unwrap()
    }

    /// Waits until the last connection of some peer has ended.
    pub(crate) async fn until_left(&self) {
        let left = async {
            while self.left.load(Ordering::Relaxed) == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SAFETY, left).await.unwrap();
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
