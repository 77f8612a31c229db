//! Too much, too large, too slow: what a peer can do below the protocol's messages.

use cairn_crdt::limits;
use cairn_crdt::log::entry::Seen;
use cairn_crdt::log::frontier::FrontierDigest;
use cairn_crdt::sync::message::{Admittance, Message, SYNC_VERSION};
use futures::stream::FuturesUnordered;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::muxing::SubstreamBox;

use crate::bounded;
use crate::insider::Insider;
use crate::node::Node;
use crate::raw::{Raw, SYNC, drain, framed};

/// Messages of a flood.
const MANY: usize = 20_000;
/// More streams of one connection than a node takes.
const STREAMS: usize = 24;
/// More connections of strangers than a node takes.
const STRANGERS: u8 = 90;

pub(crate) fn hello(node: &Node) -> Vec<u8> {
    let frontier = FrontierDigest([0; 32]);
    let (version, group, seen) = (SYNC_VERSION, node.group, Seen::default());
    framed(&Message::Hello { version, group, frontier, seen }.to_bytes())
}

/// What is written on one stream, and whether the node ends the stream for it.
async fn is_ended(key: impl Fn(&Insider) -> [u8; 32], bytes: Vec<u8>) {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let holds = node.holds().await;
        let raw = Raw::to(&node.code, key(&insider)).await.unwrap();
        let mut stream = raw.open(SYNC).await.unwrap();
        // The node may end it before all is written.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.flush().await;
        drain(&mut stream).await;
        assert_eq!(node.holds().await, holds);
        insider.the_node_goes_on(&node).await;
        raw.end();
        node.down().await;
    })
    .await;
}

pub(crate) fn member(insider: &Insider) -> [u8; 32] {
    *insider.key().to_seed()
}

const fn stranger(_: &Insider) -> [u8; 32] {
    [55; 32]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_over_the_bound_ends_the_stream_before_it_is_read() {
    // Only the length: whoever waited for the rest would wait for ever.
    let length = u32::try_from(limits::MESSAGE_BYTES + 1).unwrap();
    is_ended(member, length.to_be_bytes().to_vec()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_frame_of_four_gigabytes_ends_the_stream() {
    is_ended(stranger, vec![0xFF; 4]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_frame_of_garbage_ends_the_stream() {
    is_ended(stranger, framed(&vec![0xFF; limits::MESSAGE_BYTES])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_frame_ends_the_stream() {
    is_ended(member, framed(&[])).await;
}

async fn flooded(node: &Node, raw: &Raw, message: &Message) -> SubstreamBox {
    let mut stream = raw.open(SYNC).await.unwrap();
    stream.write_all(&hello(node)).await.unwrap();
    let tiny = framed(&message.to_bytes());
    for _ in 0..MANY / 1000 {
        let _ = stream.write_all(&tiny.repeat(1000)).await;
        // The node answers people meanwhile.
        node.holds().await;
    }
    let _ = stream.flush().await;
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_tiny_messages_keeps_nobody_from_the_node() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let holds = node.holds().await;
        // What a stranger may say as often as it likes, because it changes nothing.
        let outside = Raw::to(&node.code, [55; 32]).await.unwrap();
        let welcome = Message::Welcome(Admittance::Member);
        let from_outside = flooded(&node, &outside, &welcome).await;
        // What a member may, and what it may not.
        let inside = Raw::to(&node.code, member(&insider)).await.unwrap();
        let mut from_inside = flooded(&node, &inside, &Message::RunsDone).await;
        drain(&mut from_inside).await;
        assert_eq!(node.holds().await, holds);
        insider.the_node_goes_on(&node).await;
        drop(from_outside);
        outside.end();
        inside.end();
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_of_one_peer_are_a_few() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let raw = Raw::to(&node.code, [55; 32]).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(raw.open(SYNC).await.expect("the protocol is spoken"));
        }
        // All but a few are dropped: the node says nothing on them, not even a greeting.
        let mut ended = FuturesUnordered::new();
        for mut stream in streams {
            ended.push(async move { drain(&mut stream).await });
        }
        for _ in 0..STREAMS - 4 {
            ended.next().await.unwrap();
        }
        insider.the_node_goes_on(&node).await;
        raw.end();
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_strangers_keep_no_member_out() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let holds = node.holds().await;
        let mut kept = Vec::new();
        for number in 0..STRANGERS {
            let Some(raw) = Raw::to(&node.code, [number; 32]).await else { continue };
            if let Some(mut stream) = raw.open(SYNC).await {
                let _ = stream.write_all(&hello(&node)).await;
                let _ = stream.flush().await;
                kept.push((raw, stream));
            }
        }
        assert!((8..usize::from(STRANGERS)).contains(&kept.len()), "{}", kept.len());
        let (_, first) = kept.first_mut().unwrap();
        let mut length = [0; 4];
        first.read_exact(&mut length).await.expect("a stranger is greeted");
        assert_eq!(node.holds().await, holds);
        insider.the_node_goes_on(&node).await;
        for (raw, _) in kept {
            raw.end();
        }
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_on_a_stream_holds_nobody_up() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let mut other = Insider::join(&node, 2).await;
        let holds = node.holds().await;
        let (mut silent, mut connections) = (Vec::new(), Vec::new());
        for key in [[55; 32], member(&insider)] {
            let raw = Raw::to(&node.code, key).await.unwrap();
            let greeting = hello(&node);
            // Nothing; half a length; half a message; a greeting and nothing after it.
            for bytes in [&greeting[..0], &greeting[..2], &greeting[..9], &greeting[..]] {
                let mut stream = raw.open(SYNC).await.unwrap();
                let _ = stream.write_all(bytes).await;
                let _ = stream.flush().await;
                silent.push(stream);
            }
            silent.push(raw.open(SYNC).await.unwrap());
            connections.push(raw);
        }
        assert_eq!(node.holds().await, holds);
        other.the_node_goes_on(&node).await;
        drop(silent);
        for raw in connections {
            raw.end();
        }
        insider.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}
