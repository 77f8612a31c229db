//! Entries that a set holds and that count for nothing: kept, passed on, and no row comes of them.

use cairn_crdt::codec::{self, Bytes};
use cairn_crdt::crypto::aead::Nonce;
use cairn_crdt::crypto::padding;
use cairn_crdt::document::change::Actor;
use cairn_crdt::document::sealing::{DocumentKey, SealedContent};
use cairn_crdt::id::{EntryId, GrantId, PayloadHash};
use cairn_crdt::limits;
use cairn_crdt::log::entry::{Header, Kind, Sealing, payload_hash};
use cairn_crdt::log::run::Entry;
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
        let mut honest = forger.again();
        let entry = forge(&mut forger, &node);
        assert_eq!(forger.hand_run(&node, &entry).await, Ending::Content);
        let after = node.holds().await;
        assert_eq!(after.1, holds.1 + 1, "it is kept, so that all hold the same");
        assert_ne!(after.0, holds.0);
        assert_eq!(node.shows().await, shows);
        // Its author comes to its senses: what it writes after that counts.
        honest.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

/// The first grant of the group: the founder's own.
fn founders_grant(forger: &Insider) -> GrantId {
    GrantId::of(EntryId::from_bytes(*forger.replica.group().as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l3_an_entry_under_anothers_grant_counts_for_nothing() {
    is_void(|forger, node| {
        // A post that would be shown, were it not for the grant.
        let post = forger.post(node, "under the founder's grant");
        let grant = founders_grant(forger);
        assert_ne!(post.header.grant, grant);
        resealed(forger, &post, grant)
    })
    .await;
}

/// The same post under another grant: opened and sealed again, for the grant is bound to the seals.
fn resealed(forger: &mut Insider, post: &Entry, grant: GrantId) -> Entry {
    let secret = forger.secret();
    let payload = post.payload.as_deref().unwrap();
    let opened =
        cairn_crdt::document::sealing::open(&post.header, payload, Some(&secret), None, |_| None)
            .unwrap_or_else(|why| panic!("{why}"));
    let DocumentKey::Fresh(key) = &opened.envelope.key else { panic!("a new post's key is fresh") };
    let header = Header { grant, ..post.header.clone() };
    let (header, payload) = cairn_crdt::document::sealing::seal(
        &mut forger.rng,
        header,
        &secret,
        &opened.envelope,
        key,
        &opened.change,
    )
    .unwrap();
    Entry::author(&forger.device_key(), header, payload).into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_a_change_that_is_garbage_shows_nothing() {
    is_void(|forger, _| {
        let mut change = vec![0; 4000];
        forger.rng.fill_bytes(&mut change);
        let grant = forger.grant();
        forger.sealed(grant, &change)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_a_change_cut_off_in_the_middle_shows_nothing() {
    is_void(|forger, node| {
        let post = forger.post(node, "cut off");
        let secret = forger.secret();
        let payload = post.payload.as_deref().unwrap();
        let opened = cairn_crdt::document::sealing::open(
            &post.header,
            payload,
            Some(&secret),
            None,
            |_| None,
        )
        .unwrap_or_else(|why| panic!("{why}"));
        let DocumentKey::Fresh(key) = &opened.envelope.key else { panic!("a fresh key") };
        let half = &opened.change[..opened.change.len() / 2];
        let (header, payload) = cairn_crdt::document::sealing::seal(
            &mut forger.rng,
            post.header.clone(),
            &secret,
            &opened.envelope,
            key,
            half,
        )
        .unwrap();
        Entry::author(&forger.device_key(), header, payload).into_inner()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_a_change_by_another_actor_shows_nothing() {
    is_void(|forger, _| {
        let (envelope, key) = forger.creation();
        // All is well with it but for whose device it says it is of.
        let other = cairn_crdt::id::DeviceId::from_bytes([3; 32]);
        let content = cairn_crdt::document::kinds::Content::Thread(
            cairn_crdt::document::kinds::thread::Thread::default(),
        );
        let actor = Actor::of(other, envelope.document);
        let change = content.create(actor, cairn_node::clock::now()).unwrap();
        let _ = key;
        let grant = forger.grant();
        forger.sealed(grant, &change)
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
        let (envelope, key) = forger.creation();
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
