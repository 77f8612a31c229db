//! Being reached through keepers, and being seen by nobody else.

use std::collections::BTreeSet;

use cairn_crdt::replica::input::Protocol;
use cairn_node::config::{Reach, Way};
use cairn_node::network::{How, KeeperContact, NetworkCommand, NetworkEvent, Why};
use libp2p::Multiaddr;

use super::node::Node;
use super::relay::Relay;
use super::{connect, session};

const RELAY_ONLY: Way = Way { reach: Reach::RelayOnly, proxy: None };

/// Waits until a node tells circuits; all that it tells then.
async fn circuits(node: &mut Node) -> BTreeSet<Multiaddr> {
    node.wait(|event| match event {
        NetworkEvent::Listening(addresses) => {
            let read = |bytes: &Vec<u8>| Multiaddr::try_from(bytes.clone()).unwrap();
            let addresses: BTreeSet<Multiaddr> = addresses.iter().map(read).collect();
            let circuit = |address: &Multiaddr| address.to_string().ends_with("/p2p-circuit");
            addresses.iter().any(circuit).then_some(addresses)
        }
        _ => None,
    })
    .await
}

async fn until_reached(node: &mut Node, how: How) -> Why {
    node.wait(|event| match event {
        NetworkEvent::Reachability(reachability) if reachability.how == how => {
            Some(reachability.why)
        }
        _ => None,
    })
    .await
}

async fn seek_at(node: &Node, other: &Node, addresses: &BTreeSet<Multiaddr>) {
    let addresses = addresses.iter().map(Multiaddr::to_vec).collect();
    node.command(NetworkCommand::Seek { peer: other.key, addresses }).await;
}

#[tokio::test]
async fn with_relays_only_members_meet_through_a_keeper_and_tell_nothing_but_circuits() {
    let relay = Relay::start(8).await;
    let mut a = Node::start_by(1, None, RELAY_ONLY).await;
    let mut b = Node::start_by(2, None, RELAY_ONLY).await;
    for node in [&a, &b] {
        node.command(NetworkCommand::Keepers(vec![relay.contact.clone()])).await;
    }
    a.members(&[b.key]).await;
    b.members(&[a.key]).await;
    let told = circuits(&mut b).await;
    assert_eq!(told, BTreeSet::from([relay.circuit()]));
    assert_eq!(until_reached(&mut b, How::Relay).await, Why::PlaceHeld);
    seek_at(&a, &b, &told).await;
    a.connected(b.key).await;
    b.connected(a.key).await;
    let (a_key, b_key) = (a.key, b.key);
    let relayed = |of| {
        move |event: &NetworkEvent| {
            matches!(event, NetworkEvent::Relayed { peer, relayed: true } if *peer == of)
                .then_some(())
        }
    };
    a.wait(relayed(b_key)).await;
    b.wait(relayed(a_key)).await;
    let (at_a, at_b) = session(&mut a, &mut b, Protocol::Sync).await;
    a.send(at_a, b"through a keeper".to_vec()).await;
    assert_eq!(b.message(at_b).await, b"through a keeper");
    // What the keeper was told of them holds no address but its own.
    let own = relay.address.to_string();
    for info in relay.seen.lock().unwrap().iter() {
        assert!(info.listen_addrs.iter().all(|a| a.to_string().starts_with(&own)), "{info:?}");
    }
    // The keeper is connected, and nobody is told so.
    let keeper = relay.contact.transport;
    for node in [&a, &b] {
        let keepers =
            |event: &&NetworkEvent| matches!(event, NetworkEvent::Connected(key) if *key == keeper);
        assert_eq!(node.backlog.iter().filter(keepers).count(), 0);
    }
}

#[tokio::test]
async fn with_relays_only_nothing_is_dialled_but_own_keepers() {
    let (own, foreign) = (Relay::start(8).await, Relay::start(8).await);
    let mut open = Node::start(1, super::TCP).await;
    let mut hidden = Node::start_by(2, None, RELAY_ONLY).await;
    hidden.members(&[open.key]).await;
    assert_eq!(until_reached(&mut hidden, How::None).await, Why::NoKeeper);
    open.command(NetworkCommand::Keepers(vec![foreign.contact.clone()])).await;
    let told = circuits(&mut open).await;
    assert!(told.contains(&foreign.circuit()) && told.len() == 2, "{told:?}");
    hidden.command(NetworkCommand::Keepers(vec![own.contact.clone()])).await;
    circuits(&mut hidden).await;
    // The other's own address, and a relay of the other's choice.
    seek_at(&hidden, &open, &told).await;
    let open_key = open.key;
    hidden
        .wait(|event| {
            matches!(event, NetworkEvent::Unreachable { peer, .. } if *peer == open_key)
                .then_some(())
        })
        .await;
    assert_eq!(
        foreign.seen.lock().unwrap().len(),
        1,
        "only the one whose keeper it is called there"
    );
    // Through its own keeper it goes, as soon as the other is there too.
    open.command(NetworkCommand::Keepers(vec![own.contact.clone()])).await;
    let told = BTreeSet::from([own.circuit()]);
    seek_at(&hidden, &open, &told).await;
    hidden.connected(open_key).await;
}

#[tokio::test]
async fn a_keeper_without_room_is_passed_over_and_one_that_vanished_is_replaced() {
    let (full, first, second) =
        (Relay::start(0).await, Relay::start(8).await, Relay::start(8).await);
    let mut node = Node::start(1, super::TCP).await;
    let contacts = vec![full.contact.clone(), first.contact.clone()];
    node.command(NetworkCommand::Keepers(contacts)).await;
    let told = circuits(&mut node).await;
    assert!(told.contains(&first.circuit()) && !told.contains(&full.circuit()), "{told:?}");
    first.vanish();
    let contacts = vec![full.contact.clone(), first.contact.clone(), second.contact.clone()];
    node.command(NetworkCommand::Keepers(contacts)).await;
    loop {
        let told = circuits(&mut node).await;
        if told.contains(&second.circuit()) && !told.contains(&first.circuit()) {
            break;
        }
    }
}

/// A node that is called as a keeper is, and neither relays nor calls back.
fn as_keeper(node: &Node) -> KeeperContact {
    let address = Multiaddr::try_from(node.address.clone()).unwrap();
    KeeperContact { transport: node.key, addresses: vec![address] }
}

#[tokio::test]
async fn of_a_keeper_that_does_not_relay_it_is_said_that_it_has_no_place() {
    let mut node = Node::start_by(1, None, RELAY_ONLY).await;
    let keeper = Node::start(2, super::TCP).await;
    node.command(NetworkCommand::Keepers(vec![as_keeper(&keeper)])).await;
    let said = |event: &NetworkEvent| match event {
        NetworkEvent::Reachability(judged) if judged.why == Why::RelaysFull => Some(judged.how),
        _ => None,
    };
    assert_eq!(node.wait(said).await, How::None);
}

#[tokio::test]
async fn a_keeper_has_no_part_in_sessions() {
    let mut node = Node::start(1, super::TCP).await;
    let mut keeper = Node::start(2, super::TCP).await;
    node.command(NetworkCommand::Keepers(vec![as_keeper(&keeper)])).await;
    keeper.connected(node.key).await;
    keeper.command(NetworkCommand::Open { peer: node.key, protocol: Protocol::Sync }).await;
    let (session, ..) = keeper.opened().await;
    keeper.closed(session).await;
    node.command(NetworkCommand::Open { peer: keeper.key, protocol: Protocol::Sync }).await;
    node.wait(|event| matches!(event, NetworkEvent::NotOpened { .. }).then_some(())).await;
    let heard = |event: &&NetworkEvent| {
        matches!(event, NetworkEvent::Connected(_) | NetworkEvent::SessionOpened { .. })
    };
    assert_eq!(node.backlog.iter().filter(heard).count(), 0);
    // Once it is one no longer, its connection is closed; a member is never one.
    node.command(NetworkCommand::Keepers(Vec::new())).await;
    keeper.disconnected(node.key).await;
    node.members(&[keeper.key]).await;
    keeper.members(&[node.key]).await;
    connect(&mut node, &mut keeper).await;
}

#[tokio::test]
async fn whoever_is_named_as_a_keeper_is_one_from_then_on_and_none_once_a_member() {
    let mut node = Node::start(1, super::TCP).await;
    let mut other = Node::start(2, super::TCP).await;
    connect(&mut other, &mut node).await;
    node.command(NetworkCommand::Keepers(vec![as_keeper(&other)])).await;
    // Not the peer any more that the driver was told of.
    node.disconnected(other.key).await;
    other.disconnected(node.key).await;
    other.connected(node.key).await;
    node.members(&[other.key]).await;
    other.members(&[node.key]).await;
    node.seek(&other).await;
    node.connected(other.key).await;
    other.connected(node.key).await;
    session(&mut other, &mut node, Protocol::Sync).await;
}

#[tokio::test]
async fn what_a_keeper_says_of_where_it_is_is_told_to_nobody_and_not_kept_without_end() {
    let at = |port: usize| -> Multiaddr { format!("/ip4/203.0.113.9/tcp/{port}").parse().unwrap() };
    let (lying, other) = (Relay::start_saying(8, &[at(1)]).await, Relay::start(8).await);
    let mut node = Node::start(1, super::TCP).await;
    node.command(NetworkCommand::Keepers(vec![lying.contact.clone()])).await;
    circuits(&mut node).await;
    let contacts = vec![lying.contact.clone(), other.contact.clone()];
    node.command(NetworkCommand::Keepers(contacts)).await;
    let told = other.told().await;
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|at| at.starts_with(&lying.circuit().to_string())), "{told:?}");
    assert!(!told.iter().any(|at| at.contains("203.0.113.9")), "{told:?}");
    let many: Vec<Multiaddr> = (1..=20).map(at).collect();
    let talking = Relay::start_saying(8, &many).await;
    node.command(NetworkCommand::Keepers(vec![talking.contact.clone()])).await;
    talking.until_left().await;
}

#[tokio::test]
async fn two_members_behind_a_keeper_come_to_a_direct_connection() {
    let relay = Relay::start(8).await;
    let mut a = Node::start(1, super::TCP).await;
    let mut b = Node::start(2, super::TCP).await;
    a.members(&[b.key]).await;
    b.members(&[a.key]).await;
    for node in [&a, &b] {
        node.command(NetworkCommand::Keepers(vec![relay.contact.clone()])).await;
    }
    circuits(&mut b).await;
    seek_at(&a, &b, &BTreeSet::from([relay.circuit()])).await;
    let b_key = b.key;
    for expected in [true, false] {
        a.wait(|event| match event {
            NetworkEvent::Relayed { peer, relayed } if *peer == b_key => {
                (*relayed == expected).then_some(())
            }
            _ => None,
        })
        .await;
    }
}
