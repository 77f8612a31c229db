//! Where a node can be reached, and who is told.

use super::*;
use crate::config::Reach;

fn profile_says(node: &Node, id: GroupId) -> Vec<Vec<u8>> {
    let profiles = node.store.profiles(id).unwrap();
    profiles.into_values().flat_map(|profile| profile.addresses).collect()
}

#[test]
fn once_a_node_goes_by_relays_only_nobody_is_told_where_it_was_before() {
    let mut node = Node::new(1);
    let (id, group) = node.found();
    let open: Multiaddr = "/ip4/203.0.113.7/tcp/4001".parse().unwrap();
    node.event(id, NetworkEvent::Listening(vec![open.to_vec()]));
    node.driver.finish(node.now);
    // Of a node that does not run, what it was is told.
    let mut node = node.reopened(1);
    assert_eq!(places(node.ask(invite(&group))), [open.to_vec()]);
    assert_eq!(profile_says(&node, id), [open.to_vec()]);
    let way = Way { reach: Reach::RelayOnly, proxy: None };
    let mut node = Node::open_by(node.store, 1, node.now, Vec::new(), way);
    assert_eq!(places(node.ask(invite(&group))), Vec::<Vec<u8>>::new());
    assert_eq!(profile_says(&node, id), Vec::<Vec<u8>>::new());
    // A circuit is told, and found again.
    let relay = libp2p::PeerId::random();
    let circuit: Multiaddr =
        format!("/ip4/203.0.113.8/tcp/4001/p2p/{relay}/p2p-circuit").parse().unwrap();
    node.event(id, NetworkEvent::Listening(vec![circuit.to_vec()]));
    node.driver.finish(node.now);
    let mut node = Node::open_by(node.store, 1, node.now, Vec::new(), way);
    assert_eq!(places(node.ask(invite(&group))), [circuit.to_vec()]);
}
