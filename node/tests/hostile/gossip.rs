//! Gossip (S3): from members only, and only what proves itself.

use std::collections::BTreeSet;
use std::time::Duration;

use cairn_crdt::crypto::signing::{Signature, SigningKey};
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::sync::message::{Message, Refusal};
use cairn_node::network::NetworkCommand;

use crate::bounded;
use crate::insider::Insider;
use crate::node::Node;
use crate::wire::Wire;

fn gossiped(entry: &Entry) -> Vec<u8> {
    Run::new(std::slice::from_ref(entry), true).unwrap().to_bytes()
}

async fn gossips(wire: &Wire) {
    wire.command(NetworkCommand::Members(BTreeSet::from([wire.peer]))).await;
}

/// Publishes until the node holds more than it did. What reached nobody is not held back as said.
async fn publish_until_taken(wire: &Wire, node: &Node, entry: &Entry) {
    let before = node.holds().await.1;
    while node.holds().await.1 == before {
        wire.command(NetworkCommand::Publish(gossiped(entry))).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_gossip_from_a_stranger_is_not_taken_and_from_a_member_it_is() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let (holds, shows) = (node.holds().await, node.shows().await);
        let post = insider.post(&node, "over the fence");
        // A stranger got hold of a member's post and hands it on.
        let mut stranger = Wire::to(&node.code, &SigningKey::from_seed(&[66; 32])).await;
        gossips(&stranger).await;
        for _ in 0..20 {
            stranger.command(NetworkCommand::Publish(gossiped(&post))).await;
            let (session, answer) = stranger.greet().await;
            assert_eq!(answer, Message::Refused(Refusal::NotKnown));
            stranger.command(NetworkCommand::Close { session }).await;
            while stranger.hear(session).await.is_some() {}
        }
        assert_eq!((node.holds().await, node.shows().await), (holds, shows));
        let wire = insider.wire(&node).await;
        gossips(&wire).await;
        publish_until_taken(&wire, &node, &post).await;
        while !node.shows_post("over the fence").await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        wire.end().await;
        stranger.end().await;
        insider.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_gossip_that_proves_nothing_is_not_taken() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let wire = insider.wire(&node).await;
        gossips(&wire).await;
        // The first is good and shows that the way is open; the last shows that it still is.
        let first = insider.post(&node, "first");
        publish_until_taken(&wire, &node, &first).await;
        let entries = node.holds().await.1;
        let last = insider.post(&node, "last");
        let unsigned = Entry { signature: Some(Signature::from_bytes([0; 64])), ..last.clone() };
        let mut longer = gossiped(&last);
        longer.push(0);
        let run = Run::new(&[first.clone(), last.clone()], true).unwrap().to_bytes();
        for bytes in [gossiped(&unsigned), longer, run, vec![0; 100_000], Vec::new()] {
            wire.command(NetworkCommand::Publish(bytes)).await;
        }
        publish_until_taken(&wire, &node, &last).await;
        assert_eq!(node.holds().await.1, entries + 1);
        wire.end().await;
        insider.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}
