//! Entries that a set cannot hold (L1, L4, L5, I2): refused by name, and nothing is kept of them.

use cairn_crdt::capability::grant::History;
use cairn_crdt::crypto::domain;
use cairn_crdt::crypto::signing::{Signature, SigningKey};
use cairn_crdt::id::{DeviceId, EntryId, GrantId, PublicKey};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::log::entry::{Control, Header, Kind, payload_hash};
use cairn_crdt::log::run::Entry;
use cairn_crdt::replica::effect::{Effect, Write};
use cairn_crdt::replica::{Founding, Replica};
use cairn_crdt::sync::message::Refusal;
use cairn_node::clock;

use crate::bounded;
use crate::insider::{Insider, run_message};
use crate::node::Node;
use crate::wire::Ending;

/// Whether the node refused and said so, or hung up before that could come through.
fn refused(ending: Ending) -> bool {
    matches!(ending, Ending::Refused(None | Some(Refusal::Misbehaved)))
}

/// Hands one message over in place of the run that the node asks for: it is refused, nothing grows,
/// and the node goes on.
async fn refuses(forge: impl FnOnce(&mut Insider, &Node) -> (Entry, Vec<u8>)) {
    bounded(async {
        let node = Node::up().await;
        let mut forger = Insider::join(&node, 1).await;
        let (holds, shows) = (node.holds().await, node.shows().await);
        // What the forger writes on the way stays with it: the honest one starts from here.
        let mut honest = forger.again();
        let (entry, message) = forge(&mut forger, &node);
        let ending = forger.hand_over(&node, &entry, &[message]).await;
        assert!(refused(ending), "{ending:?}");
        assert_eq!((node.holds().await, node.shows().await), (holds, shows));
        honest.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

/// A post that only its author's signature is wrong of.
async fn refuses_signature(sign: fn(&Insider, EntryId) -> Signature) {
    refuses(|forger, node| {
        let post = forger.post(node, "forged");
        let entry = Entry { signature: Some(sign(forger, post.id)), ..post };
        let message = run_message(&entry);
        (entry, message)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_an_unsigned_run_is_refused() {
    refuses_signature(|_, _| Signature::from_bytes([0; 64])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_a_run_signed_by_another_key_is_refused() {
    refuses_signature(|_, id| {
        SigningKey::from_seed(&[77; 32]).sign(domain::SIGN_ENTRY, id.as_bytes())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_a_signature_made_for_something_else_is_refused() {
    refuses_signature(|forger, id| forger.device_key().sign(domain::SIGN_RECEIPT, id.as_bytes()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l4_a_message_with_a_byte_too_many_is_refused() {
    refuses(|forger, node| {
        let post = forger.post(node, "forged");
        let mut message = run_message(&post);
        message.push(0);
        (post, message)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l4_a_number_that_is_written_too_long_is_refused() {
    refuses(|forger, node| {
        let post = forger.post(node, "forged");
        let mut message = run_message(&post);
        // The number of the sort of message, in two bytes where one is enough.
        message[0] |= 0x80;
        message.insert(1, 0);
        (post, message)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l7_a_payload_that_is_not_the_headers_is_refused() {
    refuses(|forger, node| {
        let mut post = forger.post(node, "forged");
        if let Some(byte) = post.payload.as_mut().and_then(|payload| payload.last_mut()) {
            *byte ^= 1;
        }
        let message = run_message(&post);
        (post, message)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_a_run_replayed_from_another_group_is_refused() {
    refuses(|forger, _| {
        let founding = Founding {
            seed: &Seed::from_bytes([9; 32]),
            name: "Elsewhere".to_owned(),
            pseudonym: "insider".to_owned(),
            history: History::All,
        };
        let (_, effects) = Replica::found(clock::now(), &mut forger.rng, founding).unwrap();
        let writes = effects.into_iter().filter_map(|effect| match effect {
            Effect::Persist(writes) => Some(writes),
            _ => None,
        });
        let card = writes.flatten().find_map(|write| match write {
            Write::Entry { id, header, payload, signature, .. } if header.kind == Kind::CARD => {
                Some(Entry { id, header, payload, signature })
            }
            _ => None,
        });
        let card = card.expect("a founder opens its log with its card");
        let message = run_message(&card);
        (card, message)
    })
    .await;
}

/// A card of the forger's own member for one more device.
fn card(forger: &Insider, sign: impl Fn(MemberKey, DeviceId, &SigningKey) -> Control) -> Entry {
    // The member key is the second part of what the store keeps of a persona.
    let member: [u8; 32] = forger.store.persona[46..78].try_into().unwrap();
    let member = MemberKey::new(SigningKey::from_seed(&member));
    assert_eq!(member.id(), forger.replica.member());
    let (device, transport) = (SigningKey::from_seed(&[81; 32]), SigningKey::from_seed(&[82; 32]));
    let id = DeviceId::from_bytes(device.verifying_key());
    let payload = sign(member, id, &transport).encode();
    let header = Header {
        device: id,
        seq: 0,
        prev: EntryId::NONE,
        payload: payload_hash(&payload),
        size: u32::try_from(payload.len()).unwrap(),
        ..forger.header(Kind::CARD, GrantId::NONE)
    };
    Entry::author(&device, header, payload).into_inner()
}

const PREKEY: PublicKey = PublicKey::from_bytes([5; 32]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i2_a_card_that_its_member_did_not_sign_is_refused() {
    refuses(|forger, _| {
        let group = forger.replica.group();
        let entry = card(forger, |member, device, transport| {
            let other = MemberKey::new(SigningKey::from_seed(&[83; 32]));
            let mut card = other.sign_card(group, device, 1, PREKEY, transport);
            card.member = member.id();
            Control::Card(card)
        });
        let message = run_message(&entry);
        (entry, message)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i2_a_card_that_takes_anothers_transport_key_is_refused() {
    refuses(|forger, node| {
        let group = forger.replica.group();
        let entry = card(forger, |member, device, transport| {
            let mut card = member.sign_card(group, device, 1, PREKEY, transport);
            card.transport = node.code.contacts.iter().next().unwrap().transport;
            Control::Card(card)
        });
        let message = run_message(&entry);
        (entry, message)
    })
    .await;
}
