//! A code says where its maker's node is, also when the node has just started.

use super::*;

/// A node that was told to listen at one address and does not yet, and a code that is asked for.
fn asked() -> (Node, GroupId, String, oneshot::Receiver<Result<Answer, ApiError>>) {
    let mut node = Node::new(1);
    let listen = vec!["/ip4/203.0.113.7/tcp/0".parse().unwrap()];
    node = Node::open_by(node.store, 1, node.now, listen, Way::default());
    let (id, group) = node.found();
    let mut code = node.asked(invite(&group));
    node.driver.finish(node.now);
    code.try_recv().unwrap_err();
    (node, id, group, code)
}

#[test]
fn a_code_waits_until_a_network_that_has_just_started_says_where_it_listens() {
    let (mut node, id, group, mut code) = asked();
    let place: Multiaddr = "/ip4/203.0.113.7/tcp/4001".parse().unwrap();
    node.event(id, NetworkEvent::Listening(vec![place.to_vec()]));
    node.driver.finish(node.now);
    assert_eq!(places(code.try_recv().unwrap()), [place.to_vec()]);
    // The next one has nothing to wait for.
    assert_eq!(places(node.ask(invite(&group))), [place.to_vec()]);
}

#[test]
fn a_code_waits_for_a_place_no_longer_than_a_start_takes() {
    let (mut node, _, group, mut code) = asked();
    let over = node.now.after(LISTENING_MILLIS);
    assert!(node.driver.next_wake().unwrap() <= over, "it is woken for it");
    node.now = over;
    node.driver.finish(node.now);
    assert_eq!(places(code.try_recv().unwrap()), Vec::<Vec<u8>>::new());
    assert_eq!(places(node.ask(invite(&group))), Vec::<Vec<u8>>::new());
}

#[test]
fn whoever_waits_for_a_code_is_told_when_the_node_stops() {
    let (mut node, _, _, mut code) = asked();
    node.driver.handle(node.now, Incoming::Stop);
    assert_eq!(code.try_recv().unwrap().unwrap_err().kind, "unavailable");
}
