//! Being reached through keepers, and being seen by nobody else.

use std::collections::BTreeSet;

use cairn_crdt::replica::input::Protocol;
use cairn_node::config::{Reach, Way};
use cairn_node::network::{How, NetworkCommand, NetworkEvent, Why};
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

#[tokio::test]
async fn a_keeper_has_no_part_in_sessions() {
    let mut node = Node::start(1, super::TCP).await;
    let mut keeper = Node::start(2, super::TCP).await;
    let contact = cairn_node::network::KeeperContact {
        transport: keeper.key,
        addresses: vec![Multiaddr::try_from(keeper.address.clone()).unwrap()],
    };
    node.command(NetworkCommand::Keepers(vec![contact])).await;
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
async fn a_node_that_a_keeper_can_call_back_needs_no_relay() {
    let relay = Relay::start_calling(8, true).await;
    let mut node = Node::start(1, super::TCP).await;
    node.command(NetworkCommand::Keepers(vec![relay.contact.clone()])).await;
    circuits(&mut node).await;
    assert_eq!(until_reached(&mut node, How::Direct).await, Why::CalledBack);
    node.wait(|event| match event {
        NetworkEvent::Listening(addresses) => {
            let own = |bytes: &Vec<u8>| Multiaddr::try_from(bytes.clone()).unwrap();
            let circuit = |bytes| own(bytes).to_string().ends_with("/p2p-circuit");
            (!addresses.iter().any(circuit)).then_some(())
        }
        _ => None,
    })
    .await;
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
