//! Where a node can be reached, and who is told.

use cairn_crdt::capability::invite::Code;

use super::*;
use crate::config::Reach;

/// What an invitation says of where the node is.
fn invites_to(node: &mut Node, group: &str) -> Vec<Vec<u8>> {
    let invite = Request::Invite {
        group: group.to_owned(),
        rank: "member".to_owned(),
        uses: 1,
        expires_in_seconds: None,
        at_once: false,
    };
    let code = Code::from_text(&text(&node.ask(invite).unwrap(), "code")).unwrap();
    let contacts = code.contacts.iter().flat_map(|contact| contact.addresses.iter());
    contacts.map(|address| address.as_slice().to_vec()).collect()
}

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
    assert_eq!(invites_to(&mut node, &group), [open.to_vec()]);
    assert_eq!(profile_says(&node, id), [open.to_vec()]);
    let way = Way { reach: Reach::RelayOnly, proxy: None };
    let mut node = Node::open_by(node.store, 1, node.now, way);
    assert_eq!(invites_to(&mut node, &group), Vec::<Vec<u8>>::new());
    assert_eq!(profile_says(&node, id), Vec::<Vec<u8>>::new());
    // A circuit is told, and found again.
    let relay = libp2p::PeerId::random();
    let circuit: Multiaddr =
        format!("/ip4/203.0.113.8/tcp/4001/p2p/{relay}/p2p-circuit").parse().unwrap();
    node.event(id, NetworkEvent::Listening(vec![circuit.to_vec()]));
    node.driver.finish(node.now);
    let mut node = Node::open_by(node.store, 1, node.now, way);
    assert_eq!(invites_to(&mut node, &group), [circuit.to_vec()]);
}
