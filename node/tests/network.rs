//! Networks of several personas on loopback.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

#[path = "network/finding.rs"]
mod finding;
#[path = "network/node.rs"]
mod node;
#[path = "network/relay.rs"]
mod relay;
#[path = "network/relayed.rs"]
mod relayed;

use std::time::Duration;

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{TransportKey, write_base32};
use cairn_crdt::limits;
use cairn_crdt::replica::effect::Verdict;
use cairn_crdt::replica::input::{Protocol, SessionId};
use cairn_node::network::{NetworkCommand, NetworkEvent};
use futures::StreamExt as _;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, ValidationMode};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent, dummy};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, identify, identity, noise, tcp, yamux};
use tokio::sync::mpsc;
use tokio::time::timeout;

use node::Node;

const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const TOPIC: [u8; 32] = [9; 32];
/// No test waits for this long unless it fails.
const SAFETY: Duration = Duration::from_secs(120);

async fn connect(a: &mut Node, b: &mut Node) {
    a.seek(b).await;
    a.connected(b.key).await;
    b.connected(a.key).await;
}

async fn session(a: &mut Node, b: &mut Node, protocol: Protocol) -> (SessionId, SessionId) {
    a.command(NetworkCommand::Open { peer: b.key, protocol }).await;
    let (at_a, peer, of, initiated) = a.opened().await;
    assert_eq!((peer, of, initiated), (b.key, protocol, true));
    let (at_b, peer, of, initiated) = b.opened().await;
    assert_eq!((peer, of, initiated), (a.key, protocol, false));
    (at_a, at_b)
}

/// Publishes until the other hears one: who is in the mesh is not to be seen from outside.
async fn gossip_until_heard(from: &Node, to: &mut Node) {
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    let publishing = async {
        for number in 0_u32.. {
            beat.tick().await;
            let entry = [b"warm".as_slice(), &number.to_be_bytes()].concat();
            from.command(NetworkCommand::Publish(entry)).await;
        }
    };
    tokio::select! {
        () = publishing => unreachable!(),
        (_, heard) = to.gossip(Verdict::Accept) => assert_eq!(heard, from.key),
    }
}

/// Sends `count` messages of the largest size and hears as many, one at a time.
async fn exchange(node: &mut Node, session: SessionId, count: u8) {
    let (mut sent, mut heard) = (1, 0);
    node.send(session, vec![0; limits::MESSAGE_BYTES]).await;
    while heard < count || sent < count {
        let message = node
            .wait(|event| match event {
                NetworkEvent::Message { session: of, message } if *of == session => {
                    Some(Some(message.clone()))
                }
                NetworkEvent::Drained(of) if *of == session => Some(None),
                _ => None,
            })
            .await;
        match message {
            Some(message) => {
                assert_eq!(message, vec![heard; limits::MESSAGE_BYTES]);
                heard += 1;
                node.command(NetworkCommand::Taken { session }).await;
            }
            None if sent < count => {
                node.send(session, vec![sent; limits::MESSAGE_BYTES]).await;
                sent += 1;
            }
            None => {}
        }
    }
}

async fn large_messages_over(listen: &str) {
    let mut a = Node::start(1, listen).await;
    let mut b = Node::start(2, listen).await;
    connect(&mut a, &mut b).await;
    let (at_a, at_b) = session(&mut a, &mut b, Protocol::Sync).await;
    let both = async {
        tokio::join!(exchange(&mut a, at_a, 6), exchange(&mut b, at_b, 6));
    };
    timeout(SAFETY, both).await.unwrap();
    a.command(NetworkCommand::Close { session: at_a }).await;
    a.closed(at_a).await;
    b.closed(at_b).await;
    b.stop().await;
    a.disconnected(TransportKey::from_bytes(SigningKey::from_seed(&[2; 32]).verifying_key())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_both_ways_over_tcp() {
    large_messages_over(TCP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_both_ways_over_quic() {
    large_messages_over(QUIC).await;
}

#[tokio::test]
async fn no_message_comes_before_the_last_one_is_taken() {
    let mut a = Node::start(1, TCP).await;
    let mut b = Node::start(2, TCP).await;
    connect(&mut a, &mut b).await;
    let (at_a, at_b) = session(&mut a, &mut b, Protocol::Sync).await;
    a.send(at_a, vec![1]).await;
    a.send(at_a, vec![2]).await;
    assert_eq!(b.message(at_b).await, [1]);
    // All that was sent has long come when a later stream has carried something there and back.
    let (other_a, other_b) = session(&mut a, &mut b, Protocol::Join).await;
    a.send(other_a, vec![3]).await;
    assert_eq!(b.message(other_b).await, [3]);
    b.send(other_b, vec![4]).await;
    assert_eq!(a.message(other_a).await, [4]);
    let early = |event: &NetworkEvent| matches!(event, NetworkEvent::Message { session, .. } if *session == at_b);
    assert!(!b.backlog.iter().any(early));
    b.command(NetworkCommand::Taken { session: at_b }).await;
    assert_eq!(b.message(at_b).await, [2]);
}

#[tokio::test]
async fn a_peer_has_four_sessions_and_a_fifth_is_refused() {
    let mut a = Node::start(1, TCP).await;
    let mut b = Node::start(2, TCP).await;
    let not_opened = |event: &NetworkEvent| match event {
        NetworkEvent::NotOpened { peer, protocol } => Some((*peer, *protocol)),
        _ => None,
    };
    a.command(NetworkCommand::Open { peer: b.key, protocol: Protocol::Join }).await;
    assert_eq!(a.wait(not_opened).await, (b.key, Protocol::Join));
    connect(&mut a, &mut b).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(session(&mut a, &mut b, Protocol::Sync).await);
    }
    a.command(NetworkCommand::Open { peer: b.key, protocol: Protocol::Sync }).await;
    assert_eq!(a.wait(not_opened).await, (b.key, Protocol::Sync));
    a.command(NetworkCommand::Close { session: open[0].0 }).await;
    a.closed(open[0].0).await;
    b.closed(open[0].1).await;
    session(&mut a, &mut b, Protocol::Sync).await;
}

#[tokio::test]
async fn a_driver_that_sends_more_than_it_may_loses_the_session_only() {
    let mut a = Node::start(1, TCP).await;
    let mut b = Node::start(2, TCP).await;
    connect(&mut a, &mut b).await;
    let (at_a, at_b) = session(&mut a, &mut b, Protocol::Sync).await;
    a.send(at_a, vec![0; limits::MESSAGE_BYTES + 1]).await;
    a.closed(at_a).await;
    b.closed(at_b).await;
    session(&mut a, &mut b, Protocol::Sync).await;
}

#[tokio::test]
async fn a_sought_peer_is_reached_again_after_it_restarts() {
    let mut a = Node::start(1, TCP).await;
    let mut b = Node::start(2, TCP).await;
    connect(&mut a, &mut b).await;
    let (at_a, _) = session(&mut a, &mut b, Protocol::Sync).await;
    let (key, address) = (b.key, Multiaddr::try_from(b.address.clone()).unwrap());
    b.stop().await;
    a.closed(at_a).await;
    a.disconnected(key).await;
    let mut b = Node::start(2, &address.to_string()).await;
    a.connected(key).await;
    b.connected(a.key).await;
    session(&mut a, &mut b, Protocol::Sync).await;
    // Once forgotten, it is let go.
    a.command(NetworkCommand::Forget { peer: key }).await;
    a.command(NetworkCommand::Disconnect { peer: key }).await;
    a.disconnected(key).await;
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_reported_without_its_address() {
    let mut a = Node::start(1, TCP).await;
    let b = Node::start(2, TCP).await;
    let gone = (b.key, b.address.clone());
    b.stop().await;
    a.command(NetworkCommand::Seek { peer: gone.0, addresses: vec![gone.1] }).await;
    let why = a
        .wait(|event| match event {
            NetworkEvent::Unreachable { peer, why } => Some((*peer, why.clone())),
            _ => None,
        })
        .await;
    assert_eq!(why.0, gone.0);
    assert!(!why.1.contains(|character: char| character.is_ascii_digit()), "{}", why.1);
}

#[tokio::test]
async fn s3_a_peer_admitted_while_connected_gossips_and_its_streams_go_on() {
    let mut a = Node::start(1, TCP).await;
    let mut b = Node::start(2, TCP).await;
    connect(&mut a, &mut b).await;
    let (at_a, at_b) = session(&mut a, &mut b, Protocol::Sync).await;
    a.members(&[b.key]).await;
    // What one end does alone has surely arrived at the other.
    a.send(at_a, vec![1]).await;
    assert_eq!(b.message(at_b).await, [1]);
    b.command(NetworkCommand::Taken { session: at_b }).await;
    b.members(&[a.key]).await;
    gossip_until_heard(&a, &mut b).await;
    gossip_until_heard(&b, &mut a).await;
    a.send(at_a, vec![2]).await;
    assert_eq!(b.message(at_b).await, [2]);
}

#[tokio::test]
async fn s3_the_connections_of_a_removed_member_close_at_once() {
    let mut a = Node::start(1, TCP).await;
    let mut b = Node::start(2, TCP).await;
    a.members(&[b.key]).await;
    b.members(&[a.key]).await;
    connect(&mut a, &mut b).await;
    gossip_until_heard(&a, &mut b).await;
    b.members(&[]).await;
    b.disconnected(a.key).await;
    a.disconnected(b.key).await;
}

#[tokio::test]
async fn s3_a_rejected_entry_is_not_passed_on() {
    let mut a = Node::start(1, TCP).await;
    let mut b = Node::start(2, TCP).await;
    let mut c = Node::start(3, TCP).await;
    a.members(&[b.key]).await;
    b.members(&[a.key, c.key]).await;
    c.members(&[b.key]).await;
    connect(&mut a, &mut b).await;
    connect(&mut c, &mut b).await;
    gossip_until_heard(&b, &mut c).await;
    gossip_until_heard(&a, &mut b).await;
    let good = |entry: &[u8]| entry.starts_with(b"warm") || entry == b"good";
    a.command(NetworkCommand::Publish(b"bad".to_vec())).await;
    a.command(NetworkCommand::Publish(b"good".to_vec())).await;
    loop {
        let (token, entry) = b
            .wait(|event| match event {
                NetworkEvent::Gossip { token, bytes, .. } => Some((*token, bytes.clone())),
                _ => None,
            })
            .await;
        let verdict = if good(&entry) { Verdict::Accept } else { Verdict::Reject };
        b.command(NetworkCommand::Verdict { token, verdict }).await;
        if entry == b"good" {
            break;
        }
    }
    loop {
        let (entry, from) = c.gossip(Verdict::Accept).await;
        assert_eq!(from, b.key);
        assert!(good(&entry));
        if entry == b"good" {
            break;
        }
    }
}

#[derive(NetworkBehaviour)]
struct Stranger {
    gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
}

fn swarm<B: NetworkBehaviour>(behaviour: impl FnOnce(&identity::Keypair) -> B) -> Swarm<B> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(behaviour)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(SAFETY))
        .build()
}

fn multiaddr(node: &Node) -> Multiaddr {
    Multiaddr::try_from(node.address.clone()).unwrap()
}

#[tokio::test]
async fn s3_a_stranger_hears_nothing_and_is_not_heard() {
    let mut a = Node::start(1, TCP).await;
    let mut b = Node::start(2, TCP).await;
    a.members(&[b.key]).await;
    b.members(&[a.key]).await;
    connect(&mut a, &mut b).await;

    // It knows the topic, speaks the protocol and publishes to whoever would listen.
    let topic = IdentTopic::new(write_base32(&TOPIC));
    let mut stranger = swarm(|key| {
        let config = gossipsub::ConfigBuilder::default()
            .validation_mode(ValidationMode::Anonymous)
            .build()
            .unwrap();
        let identify = identify::Config::new(String::new(), key.public());
        Stranger {
            gossip: gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config).unwrap(),
            identify: identify::Behaviour::new(identify),
        }
    });
    stranger.behaviour_mut().gossip.subscribe(&topic).unwrap();
    stranger.dial(multiaddr(&a)).unwrap();
    let refused = async {
        let (mut refused, mut offered) = (false, None);
        while !refused || offered.is_none() {
            match stranger.select_next_some().await {
                SwarmEvent::Behaviour(StrangerEvent::Gossip(event)) => {
                    assert!(
                        matches!(event, gossipsub::Event::GossipsubNotSupported { .. }),
                        "{event:?}"
                    );
                    refused = true;
                }
                SwarmEvent::Behaviour(StrangerEvent::Identify(identify::Event::Received {
                    info,
                    ..
                })) => offered = Some(info),
                _ => {}
            }
        }
        offered.unwrap()
    };
    let offered = timeout(SAFETY, refused).await.unwrap();
    assert!(!offered.protocols.iter().any(|name| name.as_ref().contains("meshsub")));
    assert_eq!((offered.agent_version.as_str(), offered.protocol_version.as_str()), ("cairn", ""));

    let published =
        stranger.behaviour_mut().gossip.publish(topic.clone(), b"from outside".to_vec());
    assert!(matches!(published, Err(gossipsub::PublishError::NoPeersSubscribedToTopic)));
    let listening = async {
        loop {
            if let SwarmEvent::Behaviour(StrangerEvent::Gossip(event)) =
                stranger.select_next_some().await
            {
                panic!("a stranger was told {event:?}");
            }
        }
    };
    tokio::select! {
        () = listening => {}
        () = async {
            gossip_until_heard(&a, &mut b).await;
            gossip_until_heard(&b, &mut a).await;
        } => {}
    }
    let heard = a.backlog.iter().chain(&b.backlog);
    for event in heard {
        if let NetworkEvent::Gossip { from, .. } = event {
            assert!([a.key, b.key].contains(from));
        }
    }
}

#[tokio::test]
async fn one_peer_holds_four_connections_at_most() {
    let a = Node::start(1, TCP).await;
    let mut flood = swarm(|_| dummy::Behaviour);
    for _ in 0..12 {
        let dial = DialOpts::unknown_peer_id().address(multiaddr(&a)).build();

        flood.dial(dial).unwrap();
    }
    let refused = async {
        let (mut open, mut ended) = (0, 0);
        while ended < 8 {
            match flood.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => open += 1,
                SwarmEvent::ConnectionClosed { .. } => {
                    open -= 1;
                    ended += 1;
                }
                SwarmEvent::OutgoingConnectionError { .. } => ended += 1,
                _ => {}
            }
        }
        (open, ended)
    };
    let (open, ended) = timeout(SAFETY, refused).await.unwrap();
    assert!(open <= 4 && ended == 8, "{open} {ended}");
}

#[tokio::test]
async fn a_flood_of_strangers_does_not_keep_a_member_out() {
    let mut a = Node::start(1, TCP).await;
    let mut member = Node::start(2, TCP).await;
    a.members(&[member.key]).await;
    let address = multiaddr(&a);
    let (told, mut refusals) = mpsc::channel(100);
    let mut flood = Vec::new();
    // In two waves: fewer at once than may be in the middle of connecting.
    for _ in 0..2 {
        for _ in 0..40 {
            let (address, told) = (address.clone(), told.clone());
            flood.push(tokio::spawn(async move {
                let mut stranger = swarm(|_| dummy::Behaviour);
                stranger.dial(DialOpts::unknown_peer_id().address(address).build()).unwrap();
                loop {
                    if let SwarmEvent::ConnectionClosed { .. } = stranger.select_next_some().await {
                        told.send(()).await.unwrap();
                    }
                }
            }));
        }
        if flood.len() == 40 {
            for _ in 0..40 {
                a.wait(|event| matches!(event, NetworkEvent::Connected(_)).then_some(())).await;
            }
        }
    }
    for _ in 0..16 {
        timeout(SAFETY, refusals.recv()).await.unwrap().unwrap();
    }
    member.seek(&a).await;
    member.connected(a.key).await;
    let member_key = member.key;
    a.connected(member_key).await;
    for task in flood {
        task.abort();
    }
}
