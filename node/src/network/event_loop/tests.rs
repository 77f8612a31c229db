//! One persona's network from inside: what cannot be brought about, or seen, from outside.

use std::time::Duration;

use cairn_crdt::crypto::signing::SigningKey;
use libp2p::core::ConnectedPoint;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::ConnectionEstablished;
use libp2p::swarm::{ConnectionId, FromSwarm, NetworkBehaviour, SwarmEvent};
use libp2p::{SwarmBuilder, identify, noise, relay, tcp, yamux};
use tokio::time::timeout;

use super::super::KeeperContact;
use super::*;
use crate::config::{Proxy, Reach};

const HERE: &str = "/ip4/127.0.0.1/tcp/0";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(NetworkBehaviour)]
struct Machine {
    relay: relay::Behaviour,
    identify: identify::Behaviour,
}

/// A machine that relays, as a keeper does.
async fn keeper() -> (Swarm<Machine>, KeeperContact) {
    let key = Keypair::generate_ed25519();
    let public = key.public().try_into_ed25519().unwrap().to_bytes();
    let mut swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Machine {
            relay: relay::Behaviour::new(key.public().to_peer_id(), relay::Config::default()),
            identify: identify::Behaviour::new(identify::Config::new(String::new(), key.public())),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build();
    swarm.listen_on(HERE.parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    swarm.add_external_address(address.clone());
    let transport = TransportKey::from_bytes(public);
    (swarm, KeeperContact { transport, addresses: vec![address] })
}

type Ends = (mpsc::Sender<NetworkCommand>, mpsc::Receiver<NetworkEvent>);

/// A node whose driver does not hear it, with the driver's ends.
fn node() -> (EventLoop, Ends) {
    node_by(HERE, Way::default())
}

fn node_by(listen: &str, way: Way) -> (EventLoop, Ends) {
    let config = NetworkConfig {
        key: SigningKey::from_seed(&[1; 32]),
        topic: [9; 32],
        listen: vec![listen.parse().unwrap()],
        mdns: false,
        upnp: false,
        way,
        jitter: [1; 32],
    };
    let (commanding, commands) = mpsc::channel(1);
    let (events, hearing) = mpsc::channel(1);
    (EventLoop::new(config, commands, events).unwrap(), (commanding, hearing))
}

#[tokio::test]
async fn in_another_network_keepers_are_called_anew() {
    let (mut keeper, contact) = keeper().await;
    let (mut node, _ends) = node();
    node.keepers(&[contact]);
    let (mut calls, mut has_moved) = (Vec::new(), false);
    let called = async {
        while calls.len() < 2 {
            tokio::select! {
                _ = node.step() => {}
                event = keeper.select_next_some() => {
                    if let SwarmEvent::ConnectionEstablished { peer_id, .. } = event {
                        calls.push(peer_id);
                    }
                }
            }
            if !has_moved && calls.len() == 1 && node.keepers.count().connected == 1 {
                node.moved();
                has_moved = true;
            }
        }
    };
    timeout(PATIENCE, called).await.unwrap();
}

#[tokio::test]
async fn a_place_is_given_up_with_its_connection_once_nobody_is_reached_through_a_relay() {
    let (mut keeper, contact) = keeper().await;
    let (mut node, _ends) = node();
    node.keepers(&[contact]);
    let somebody = PeerId::random();
    node.relayed.insert(somebody);
    let mut left = false;
    let mut until = async |node: &mut EventLoop, patience: Duration, held: usize| {
        let so = async {
            while node.keepers.count().held != held || left != (held == 0) {
                tokio::select! {
                    _ = node.step() => {}
                    event = keeper.select_next_some() => {
                        left |= matches!(event, SwarmEvent::ConnectionClosed { .. });
                    }
                }
            }
        };
        timeout(patience, so).await.is_ok()
    };
    assert!(until(&mut node, PATIENCE, 1).await);
    node.was_called = true;
    node.place_orders();
    assert!(!until(&mut node, Duration::from_millis(500), 0).await, "somebody would be lost");
    node.relayed.remove(&somebody);
    node.place_orders();
    assert!(until(&mut node, PATIENCE, 0).await);
}

#[tokio::test]
async fn of_a_keeper_nothing_is_told_though_it_comes_through_a_relay() {
    let (_keeper, contact) = keeper().await;
    let (mut node, _ends) = node();
    let peer = peer_of(&contact.transport).unwrap();
    let circuit: Multiaddr =
        format!("/ip4/192.0.2.1/tcp/1/p2p/{}/p2p-circuit", PeerId::random()).parse().unwrap();
    let endpoint =
        ConnectedPoint::Listener { local_addr: circuit.clone(), send_back_addr: circuit };
    let came = FromSwarm::ConnectionEstablished(ConnectionEstablished {
        peer_id: peer,
        connection_id: ConnectionId::new_unchecked(1),
        endpoint: &endpoint,
        failed_addresses: &[],
        other_established: 0,
    });
    node.keepers(&[contact]);
    node.swarm.behaviour_mut().streams.on_swarm_event(came);
    node.tell_relayed(peer);
    let told = |event: &NetworkEvent| matches!(event, NetworkEvent::Relayed { .. });
    assert!(!node.outbox.iter().any(told));
}

#[tokio::test]
async fn whom_a_router_lets_in_because_this_node_called_there_proves_nothing() {
    let (mut node, _ends) = node();
    let (member, keeper) = (PeerId::random(), PeerId::random());
    let at = |text: &str| -> Multiaddr { text.parse().unwrap() };
    node.reconnect.seek(member, vec![at("/ip4/203.0.113.7/tcp/1")], false, Instant::now());
    node.keepers.set(BTreeSet::from([keeper]));
    assert!(node.was_let_in(&member, &at("/ip4/203.0.113.7/udp/9/quic-v1")));
    assert!(node.was_let_in(&keeper, &at("/ip4/203.0.113.8/tcp/9")));
    // From elsewhere there was no hole; but one is punched from a relayed connection.
    assert!(!node.was_let_in(&member, &at("/ip4/203.0.113.8/tcp/9")));
    node.relayed.insert(member);
    assert!(node.was_let_in(&member, &at("/ip4/203.0.113.8/tcp/9")));
    assert!(!node.was_let_in(&PeerId::random(), &at("/ip4/203.0.113.7/tcp/9")));
}

#[tokio::test]
async fn no_peer_makes_this_node_knock_at_its_own_doors_or_at_those_of_its_proxy() {
    let here: Multiaddr = "/ip4/127.0.0.1/tcp/22".parse().unwrap();
    let near: Multiaddr = "/ip4/192.168.1.1/tcp/22".parse().unwrap();
    let far: Multiaddr = "/ip4/203.0.113.7/tcp/4001".parse().unwrap();
    let calls = |node: &EventLoop| [&here, &near, &far].map(|at| node.may_call(at));
    let (mut open, _ends) = node_by("/ip4/0.0.0.0/tcp/0", Way::default());
    assert_eq!(calls(&open), [false, true, true]);
    open.listening.extend([here.clone(), near.clone()]);
    assert_eq!(calls(&open), [false, true, true]);
    // Who has no network has neighbours on this machine only.
    open.listening.remove(&near);
    assert_eq!(calls(&open), [true, true, true]);
    let (closed, _ends) = node();
    assert_eq!(calls(&closed), [true, true, true]);
    let proxy = Some(Proxy("127.0.0.1:9050".parse().unwrap()));
    let (proxied, _ends) = node_by(HERE, Way { proxy, ..Way::default() });
    assert_eq!(calls(&proxied), [false, false, true]);
    let (hidden, _ends) = node_by(HERE, Way { reach: Reach::RelayOnly, proxy: None });
    assert_eq!(calls(&hidden), [false, false, false]);
}

#[tokio::test]
async fn where_this_node_itself_listens_is_told_first() {
    let (mut node, (_commanding, mut hearing)) = node();
    let mapped: Multiaddr = "/ip4/1.2.3.4/tcp/1".parse().unwrap();
    node.swarm.add_external_address(mapped.clone());
    let told = async {
        loop {
            tokio::select! {
                _ = node.step() => {}
                event = hearing.recv() => {
                    if let Some(NetworkEvent::Listening(told)) = event {
                        return told;
                    }
                }
            }
        }
    };
    let told = timeout(PATIENCE, told).await.unwrap();
    assert!(told.len() == 2 && told[1] == mapped.to_vec());
}
