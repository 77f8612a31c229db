//! What a keeper does for nodes that put nothing into it: relay, reachability, hash table (M5).

use std::time::Duration;

use cairn_node::keeper::TABLE;
use cairn_node::keeper::policy::{Limits, RelayLimits};
use futures::StreamExt as _;
use libp2p::core::transport::ListenerId;
use libp2p::kad::store::MemoryStore;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{FromSwarm, NetworkBehaviour, NewExternalAddrCandidate, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, autonat, identify, kad, noise, ping, relay, tcp, yamux,
};
use tokio::time::timeout;

use crate::house::{House, PATIENCE};

/// A member's node, as far as a keeper sees it.
#[derive(NetworkBehaviour)]
struct Node {
    relay: relay::client::Behaviour,
    table: kad::Behaviour<MemoryStore>,
    reachability: autonat::v2::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

fn node() -> Swarm<Node> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| {
            let peer = key.public().to_peer_id();
            let mut table =
                kad::Behaviour::with_config(peer, MemoryStore::new(peer), kad::Config::new(TABLE));
            table.set_mode(Some(kad::Mode::Client));
            Node {
                relay,
                table,
                reachability: autonat::v2::client::Behaviour::default(),
                identify: identify::Behaviour::new(identify::Config::new(
                    String::new(),
                    key.public(),
                )),
                ping: ping::Behaviour::default(),
            }
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build()
}

fn keeper_of(house: &House) -> PeerId {
    let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(house.key.as_bytes()).unwrap();
    PeerId::from_public_key(&key.into())
}

/// Runs a node until something happened that is looked for.
async fn until<T>(
    swarm: &mut Swarm<Node>,
    mut found: impl FnMut(SwarmEvent<NodeEvent>) -> Option<T>,
) -> T {
    let looking = async {
        loop {
            if let Some(found) = found(swarm.select_next_some().await) {
                return found;
            }
        }
    };
    timeout(PATIENCE, looking).await.unwrap()
}

async fn connected(house: &House) -> Swarm<Node> {
    let mut swarm = node();
    let keeper = keeper_of(house);
    swarm.behaviour_mut().table.add_address(&keeper, house.address.clone());
    swarm.dial(DialOpts::peer_id(keeper).addresses(vec![house.address.clone()]).build()).unwrap();
    until(&mut swarm, |event| match event {
        SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Received { .. })) => Some(()),
        _ => None,
    })
    .await;
    swarm
}

fn through(house: &House) -> Multiaddr {
    house.address.clone().with(Protocol::P2p(keeper_of(house))).with(Protocol::P2pCircuit)
}

fn reserve(swarm: &mut Swarm<Node>, house: &House) -> ListenerId {
    swarm.listen_on(through(house)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_two_nodes_that_cannot_reach_each_other_meet_through_a_keeper() {
    let house = House::start(Limits::default()).await;
    let (mut one, mut two) = (connected(&house).await, connected(&house).await);
    reserve(&mut one, &house);
    until(&mut one, |event| match event {
        SwarmEvent::Behaviour(NodeEvent::Relay(relay::client::Event::ReservationReqAccepted {
            limit,
            ..
        })) => {
            let limit = limit.unwrap();
            assert!(limit.duration().unwrap() >= Duration::from_secs(3600));
            assert!(limit.data_in_bytes().unwrap() >= 256 << 20);
            Some(())
        }
        _ => None,
    })
    .await;
    house.counted("cairn_keeper_reservations", 1).await;
    let to = through(&house).with(Protocol::P2p(*one.local_peer_id()));
    two.dial(to).unwrap();
    let (peer, other) = (*one.local_peer_id(), *two.local_peer_id());
    let found = |with: PeerId| {
        move |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Ping(ping::Event { peer, result: Ok(_), .. })) => {
                (peer == with).then_some(())
            }
            _ => None,
        }
    };
    tokio::join!(until(&mut one, found(other)), until(&mut two, found(peer)));
    house.counted("cairn_keeper_circuits", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_a_relay_has_as_many_places_as_its_operator_gives() {
    let relay = RelayLimits { reservations: 1, ..RelayLimits::default() };
    let house = House::start(Limits { relay, ..Limits::default() }).await;
    let (mut one, mut two) = (connected(&house).await, connected(&house).await);
    reserve(&mut one, &house);
    until(&mut one, |event| match event {
        SwarmEvent::Behaviour(NodeEvent::Relay(_)) => Some(()),
        _ => None,
    })
    .await;
    let listener = reserve(&mut two, &house);
    let idle = async { while one.next().await.is_some() {} };
    let refused = until(&mut two, |event| match event {
        SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == listener => {
            Some(reason.is_err())
        }
        _ => None,
    });
    tokio::select! {
        refused = refused => assert!(refused),
        () = idle => {}
    }
}

/// The value that the keeper holds under a name.
async fn held(swarm: &mut Swarm<Node>, name: &[u8]) -> Option<kad::Record> {
    let query = swarm.behaviour_mut().table.get_record(kad::RecordKey::new(&name));
    until(swarm, |event| match event {
        SwarmEvent::Behaviour(NodeEvent::Table(kad::Event::OutboundQueryProgressed {
            id,
            result: kad::QueryResult::GetRecord(got),
            ..
        })) if id == query => Some(match got {
            Ok(kad::GetRecordOk::FoundRecord(found)) => Some(found.record),
            _ => None,
        }),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_small_values_are_held_for_all_and_others_are_not() {
    let house = House::start(Limits::default()).await;
    let (mut one, mut two) = (connected(&house).await, connected(&house).await);
    let small = kad::Record::new(b"under a blinded name".to_vec(), vec![7; 900]);
    let large = kad::Record::new(b"too large".to_vec(), vec![7; 1025]);
    let long = kad::Record::new(vec![b'n'; 65], vec![7; 10]);
    for (record, count) in [(large, 0), (long, 0), (small, 1)] {
        one.behaviour_mut().table.put_record(record, kad::Quorum::One).unwrap();
        until(&mut one, |event| match event {
            SwarmEvent::Behaviour(NodeEvent::Table(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::PutRecord(_),
                ..
            })) => Some(()),
            _ => None,
        })
        .await;
        house.counted("cairn_keeper_table_records_total", count).await;
    }
    let record = held(&mut two, b"under a blinded name").await.unwrap();
    assert_eq!((record.value, record.publisher), (vec![7; 900], None));
    assert!(held(&mut two, b"too large").await.is_none());
    assert!(held(&mut two, &[b'n'; 65]).await.is_none());
    // Nobody is named to anybody.
    two.behaviour_mut().table.get_closest_peers(*one.local_peer_id());
    let peers = until(&mut two, |event| match event {
        SwarmEvent::Behaviour(NodeEvent::Table(kad::Event::OutboundQueryProgressed {
            result: kad::QueryResult::GetClosestPeers(Ok(found)),
            step,
            ..
        })) if step.last => Some(found.peers),
        _ => None,
    })
    .await;
    assert!(peers.iter().all(|peer| peer.peer_id != *one.local_peer_id()));
}

/// Has the keeper say whether the node can be reached there.
fn ask_about(swarm: &mut Swarm<Node>, address: &Multiaddr) {
    let candidate = NewExternalAddrCandidate { addr: address };
    let event = FromSwarm::NewExternalAddrCandidate(candidate);
    swarm.behaviour_mut().reachability.on_swarm_event(event);
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_who_can_be_reached_is_told_so_and_nobody_else_is_dialled() {
    let house = House::start(Limits::default()).await;
    let mut one = connected(&house).await;
    let told = |event| match event {
        SwarmEvent::Behaviour(NodeEvent::Reachability(event)) => Some(event),
        _ => None,
    };
    // A service on this machine that is not where the node comes from: 127.0.0.3.
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.3:0").await.unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let address: Multiaddr = format!("/ip4/127.0.0.3/tcp/{port}").parse().unwrap();
    ask_about(&mut one, &address);
    let event = tokio::select! {
        biased;
        came = elsewhere.accept() => panic!("the keeper has dialled {came:?}"),
        event = until(&mut one, told) => event,
    };
    assert!(event.result.is_err());

    one.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = until(&mut one, |event| match event {
        SwarmEvent::NewListenAddr { address, .. } => Some(address),
        _ => None,
    })
    .await;
    ask_about(&mut one, &address);
    let event = until(&mut one, |event| told(event).filter(|told| told.tested_addr == address));
    assert!(event.await.result.is_ok());
}
