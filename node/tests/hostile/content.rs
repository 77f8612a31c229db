//! Entries that a set holds and that count for nothing: kept, passed on, and no row comes of them.

use std::time::Duration;

use cairn_crdt::codec::{self, Bytes, Text};
use cairn_crdt::crypto::aead::Nonce;
use cairn_crdt::crypto::padding;
use cairn_crdt::document::change::Actor;
use cairn_crdt::document::kinds::Content;
use cairn_crdt::document::kinds::post::Post;
use cairn_crdt::document::sealing::{DocumentKey, SealedContent};
use cairn_crdt::id::{DeviceId, PayloadHash};
use cairn_crdt::limits;
use cairn_crdt::log::entry::{Header, Kind, Sealing, payload_hash};
use cairn_crdt::log::run::Entry;
use cairn_node::clock;
use rand_core::Rng as _;

use crate::bounded;
use crate::insider::Insider;
use crate::node::Node;
use crate::wire::Ending;

/// Hands an entry over: the node keeps it, shows nothing of it, and goes on.
async fn is_void(forge: impl FnOnce(&mut Insider, &Node) -> Entry) {
    bounded(async {
        let node = Node::up().await;
        let mut forger = Insider::join(&node, 1).await;
        let (holds, shows) = (node.holds().await, node.shows().await);
        let honest = forger.again();
        let entry = forge(&mut forger, &node);
        assert_eq!(forger.hand_run(&node, &entry).await, Ending::Content);
        let after = node.holds().await;
        assert_eq!(after.1, holds.1 + 1, "it is kept, so that all hold the same");
        assert_ne!(after.0, holds.0);
        assert_eq!(node.shows().await, shows);
        // Its author comes to its senses: what it writes after that counts.
        honest.knowing(&entry).the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

/// What the tests below forge with: with nothing wrong, it is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_is_put_together_by_hand_is_shown() {
    bounded(async {
        let node = Node::up().await;
        let mut forger = Insider::join(&node, 1).await;
        let envelope = forger.creation();
        let actor = Actor::of(forger.replica.device(), envelope.document);
        let change = by_hand(&node).create(actor, clock::now()).unwrap();
        let header = forger.header(Kind::CONTENT, forger.grant());
        let entry = forger.seal(header, &envelope, &change);
        assert_eq!(forger.hand_run(&node, &entry).await, Ending::Content);
        while !node.shows_post("by hand").await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        node.down().await;
    })
    .await;
}

fn by_hand(node: &Node) -> Content {
    Content::Post(Post {
        thread: node.thread,
        reply_to: None,
        body: Text::new("by hand").unwrap(),
        note: Text::new("").unwrap(),
        wants: None,
        imported: None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l3_an_entry_under_anothers_grant_counts_for_nothing() {
    is_void(|forger, node| {
        // A post that would be shown, were it not for the grant.
        let post = forger.post(node, "under the founder's grant");
        let grant = forger.grant_of_another();
        assert_ne!(post.header.grant, grant);
        let opened = forger.open(&post);
        forger.seal(Header { grant, ..post.header }, &opened.envelope, &opened.change)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_a_change_that_is_garbage_shows_nothing() {
    is_void(|forger, _| {
        let mut change = vec![0; 4000];
        forger.rng.fill_bytes(&mut change);
        let envelope = forger.creation();
        let header = forger.header(Kind::CONTENT, forger.grant());
        forger.seal(header, &envelope, &change)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_a_change_that_breaks_off_shows_nothing() {
    is_void(|forger, node| {
        let post = forger.post(node, "breaks off");
        let opened = forger.open(&post);
        let half = &opened.change[..opened.change.len() / 2];
        forger.seal(post.header, &opened.envelope, half)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_a_change_in_the_name_of_another_device_shows_nothing() {
    is_void(|forger, node| {
        let envelope = forger.creation();
        let actor = Actor::of(DeviceId::from_bytes([3; 32]), envelope.document);
        let change = by_hand(node).create(actor, clock::now()).unwrap();
        let header = forger.header(Kind::CONTENT, forger.grant());
        forger.seal(header, &envelope, &change)
    })
    .await;
}

/// A raw deflate stream (RFC 1951) of zeros that is about a hundred and fifty times smaller.
fn bomb(bytes: usize) -> Vec<u8> {
    let (mut stream, mut filled) = (Vec::new(), 0_u32);
    let mut bit = |bit: u32| {
        if filled.is_multiple_of(8) {
            stream.push(0_u8);
        }
        *stream.last_mut().unwrap() |= u8::try_from(bit & 1).unwrap() << (filled % 8);
        filled += 1;
    };
    // The last block, with the fixed codes; codes go with their highest bit first.
    let mut code = |value: u32, length: u32| {
        for at in (0..length).rev() {
            bit(value >> at);
        }
    };
    code(0b1, 1);
    code(0b10, 2);
    code(0b0011_0000, 8);
    for _ in 0..bytes / 258 {
        // 258 bytes more of what was one byte before.
        code(0b1100_0101, 8);
        code(0, 5);
    }
    code(0, 7);
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k5_a_bomb_that_inflates_shows_nothing() {
    let size = 100 * limits::CHANGE_BYTES;
    let bomb = bomb(size);
    assert!(bomb.len() < limits::CHANGE_BYTES);
    is_void(|forger, _| {
        let envelope = forger.creation();
        let DocumentKey::Fresh(key) = &envelope.key else { unreachable!() };
        let key = key.clone();
        let (secret, nonce) = (forger.secret(), Nonce::generate(&mut forger.rng));
        let epoch = secret.epoch(forger.replica.group());
        let mut header = forger.header(Kind::CONTENT, forger.grant());
        header.sealing = Sealing::Sealed { epoch, nonce };
        header.payload = PayloadHash::from_bytes([0; 32]);
        let associated = header.associated();
        let packed = padding::pad([[1].as_slice(), &bomb].concat());
        let envelope = codec::encode(&envelope);
        let sealed = secret.envelope_key().seal(&nonce, &associated, &envelope);
        let content = SealedContent {
            envelope: Bytes::new(sealed).unwrap(),
            body: Bytes::new(key.seal(&nonce, &associated, &packed)).unwrap(),
        };
        let payload = codec::encode(&content);
        header.payload = payload_hash(&payload);
        header.size = u32::try_from(payload.len()).unwrap();
        Entry::author(&forger.device_key(), header, payload).into_inner()
    })
    .await;
}
