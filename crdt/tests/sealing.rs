//! Sealed content (K5), and the document ids in it (C1).

#![expect(clippy::unwrap_used, reason = "test code")]

use cairn_crdt::codec::{self, Bytes};
use cairn_crdt::crypto::aead::{Nonce, SymmetricKey};
use cairn_crdt::crypto::{domain, padding};
use cairn_crdt::document::kinds::DocumentKind;
use cairn_crdt::document::sealing::{
    CannotOpen, CannotSeal, Creation, DocumentKey, Envelope, Opened, Owner, SealedContent, open,
    seal,
};
use cairn_crdt::epoch::secret::EpochSecret;
use cairn_crdt::id::{
    DeviceId, DocumentId, EntryId, EpochId, GrantId, GroupId, MemberId, PayloadHash,
};
use cairn_crdt::limits::{CHANGE_BYTES, PAYLOAD_BYTES};
use cairn_crdt::log::entry::{Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use chacha20poly1305::KeyInit as _;
use chacha20poly1305::aead::{Aead as _, Payload};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

const GROUP: GroupId = GroupId::from_bytes([1; 32]);
const EARLIER: EntryId = EntryId::from_bytes([8; 32]);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

const fn header() -> Header {
    Header {
        version: VERSION,
        suite: SUITE,
        group: GROUP,
        device: DeviceId::from_bytes([2; 32]),
        seq: 4,
        prev: EntryId::from_bytes([3; 32]),
        grant: GrantId::of(EntryId::from_bytes([4; 32])),
        kind: Kind::CONTENT,
        payload: PayloadHash::from_bytes([0; 32]),
        size: 0,
        sealing: Sealing::Clear,
        seen: Seen { count: 3, digest: [5; 16] },
    }
}

fn secret() -> EpochSecret {
    EpochSecret::from_bytes([6; 32])
}

fn key() -> SymmetricKey {
    SymmetricKey::from_bytes([7; 32])
}

fn creating() -> Envelope {
    let owner = Owner::Member(MemberId::from_bytes([9; 32]));
    let creation = Creation { owner, random: [10; 16], kind: DocumentKind::Post };
    let document = creation.document(GROUP);
    Envelope { document, creation: Some(creation), key: DocumentKey::Fresh(key()) }
}

fn following() -> Envelope {
    Envelope { creation: None, key: DocumentKey::Of(EARLIER), ..creating() }
}

fn sealed(envelope: &Envelope, change: &[u8]) -> (Header, Vec<u8>) {
    seal(&mut rng(), header(), &secret(), envelope, &key(), change).unwrap()
}

fn key_of(entry: &EntryId) -> Option<SymmetricKey> {
    (*entry == EARLIER).then(key)
}

fn opened(header: &Header, payload: &[u8]) -> Result<Opened, CannotOpen> {
    open(header, payload, Some(&secret()), None, key_of)
}

/// Seals a body that no honest author would, under the right keys.
fn crafted(envelope: &Envelope, body: &[u8]) -> (Header, Vec<u8>) {
    let nonce = Nonce::generate(&mut rng());
    let sealing = Sealing::Sealed { epoch: secret().epoch(GROUP), nonce };
    let mut header = Header { sealing, ..header() };
    let associated = header.associated();
    let envelope = secret().envelope_key().seal(&nonce, &associated, &codec::encode(envelope));
    let payload = codec::encode(&SealedContent {
        envelope: Bytes::new(envelope).unwrap(),
        body: Bytes::new(key().seal(&nonce, &associated, body)).unwrap(),
    });
    header.payload = payload_hash(&payload);
    header.size = u32::try_from(payload.len()).unwrap();
    (header, payload)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]
    #[test]
    fn k5_what_is_sealed_is_opened(change in proptest::collection::vec(any::<u8>(), 0..5000)) {
        for envelope in [creating(), following()] {
            let (header, payload) = sealed(&envelope, &change);
            let opened = opened(&header, &payload).unwrap();
            prop_assert!(opened.change == change && opened.envelope == envelope);
        }
    }
}

#[test]
fn k5_the_header_is_completed_and_the_smallest_posts_look_alike() {
    let (header, payload) = sealed(&following(), b"short");
    assert_eq!(header.payload, payload_hash(&payload));
    assert_eq!(header.size as usize, payload.len());
    let Sealing::Sealed { epoch, .. } = header.sealing else { panic!() };
    assert_eq!(epoch, secret().epoch(GROUP));
    let (other, _) = sealed(&following(), &[1; 200]);
    assert_eq!(header.size, other.size);
    let again = seal(&mut rng(), self::header(), &secret(), &following(), &key(), b"short");
    assert_eq!(again, Ok((header, payload)));
}

/// The written format, read with the libraries alone.
#[test]
fn k5_a_payload_opens_by_the_written_format() {
    let change = vec![b'x'; 3000];
    let (header, payload) = sealed(&creating(), &change);
    let length = usize::from(payload[0]) - 128 + 128 * usize::from(payload[1]);
    let (sealed_envelope, body) = payload[2..].split_at(length);
    let body = &body[2..];
    let mut envelope_key = [0; 32];
    let info = [domain::ENVELOPE.as_bytes(), &[0]].concat();
    hkdf::Hkdf::<sha2::Sha256>::new(None, &[6; 32]).expand(&info, &mut envelope_key).unwrap();
    let Sealing::Sealed { nonce, .. } = header.sealing else { panic!() };
    let nonce: [u8; 24] = codec::encode(&nonce).try_into().unwrap();
    let cleared = Header { payload: PayloadHash::from_bytes([0; 32]), size: 0, ..header };
    let aad = codec::encode(&cleared);
    let decrypt = |key: [u8; 32], msg: &[u8]| {
        let cipher = chacha20poly1305::XChaCha20Poly1305::new(&key.into());
        cipher.decrypt(&nonce.into(), Payload { msg, aad: &aad }).unwrap()
    };
    let envelope = decrypt(envelope_key, sealed_envelope);
    let document = creating().document;
    let parts = [&[0], [9; 32].as_slice(), &[10; 16], &[2]].concat();
    let id = domain::hash(domain::DOCUMENT, &[&[1; 32], &parts]);
    assert_eq!(document, DocumentId::from_bytes(id));
    let expected = [id.as_slice(), &[1], &parts, &[0], &[7; 32]].concat();
    assert_eq!(envelope, expected);
    let packed = decrypt([7; 32], body);
    assert_eq!((packed.len(), packed[0]), (padding::SMALLEST, 1));
    let end = packed.iter().rposition(|byte| *byte == 0x80).unwrap();
    let inflated = miniz_oxide::inflate::decompress_to_vec(&packed[1..end]).unwrap();
    assert_eq!(inflated, change);
}

#[test]
fn l4_content_of_an_unknown_kind_is_read_as_nothing() {
    let nonce = Nonce::generate(&mut rng());
    let sealing = Sealing::Sealed { epoch: secret().epoch(GROUP), nonce };
    for kind in [Kind::CONTENT, Kind(129)] {
        let header = Header { sealing, kind, ..header() };
        let (associated, envelope) = (header.associated(), codec::encode(&creating()));
        let envelope = secret().envelope_key().seal(&nonce, &associated, &envelope);
        let body = padding::pad(b"\0change".to_vec());
        let payload = codec::encode(&SealedContent {
            envelope: Bytes::new(envelope).unwrap(),
            body: Bytes::new(key().seal(&nonce, &associated, &body)).unwrap(),
        });
        match opened(&header, &payload) {
            Ok(opened) => {
                assert_eq!((kind, opened.change.as_slice()), (Kind::CONTENT, &b"change"[..]))
            }
            Err(why) => assert_eq!((kind, why), (Kind(129), CannotOpen::NotContent)),
        }
    }
}

#[test]
fn k5_the_seals_are_bound_to_the_header() {
    let (header, payload) = sealed(&creating(), b"change");
    assert!(opened(&header, &payload).is_ok());
    let Sealing::Sealed { epoch, .. } = header.sealing else { panic!() };
    let nonce = Nonce::zero();
    let changed = [
        Header { version: 2, ..header.clone() },
        Header { suite: 2, ..header.clone() },
        Header { device: DeviceId::from_bytes([3; 32]), ..header.clone() },
        Header { seq: 5, ..header.clone() },
        Header { prev: EARLIER, ..header.clone() },
        Header { grant: GrantId::NONE, ..header.clone() },
        Header { sealing: Sealing::Sealed { epoch, nonce }, ..header.clone() },
        Header { seen: Seen::default(), ..header.clone() },
    ];
    for other in changed {
        assert_eq!(opened(&other, &payload).err(), Some(CannotOpen::Damaged));
        let known = open(&other, &payload, None, Some(creating()), key_of).err();
        assert_eq!(known, Some(CannotOpen::Damaged));
    }
    let elsewhere = Header { group: GroupId::from_bytes([2; 32]), ..header.clone() };
    assert_eq!(opened(&elsewhere, &payload).err(), Some(CannotOpen::NoKey));
    let clear = Header { sealing: Sealing::Clear, ..header };
    assert_eq!(opened(&clear, &payload).err(), Some(CannotOpen::NotContent));
}

#[test]
fn k5_every_changed_byte_of_a_payload_is_noticed() {
    let (header, payload) = sealed(&following(), b"change");
    for place in 0..payload.len() {
        let mut changed = payload.clone();
        changed[place] ^= 1;
        let refused = opened(&header, &changed).err();
        assert!(matches!(refused, Some(CannotOpen::Damaged | CannotOpen::Malformed)), "{place}");
    }
}

#[test]
fn k3_a_welcome_opens_a_document_without_its_epoch() {
    let (header, payload) = sealed(&creating(), b"change");
    let with = |known| open(&header, &payload, None, known, |_| None);
    assert_eq!(with(None).err(), Some(CannotOpen::NoKey));
    assert!(with(Some(creating())).is_ok_and(|opened| opened.change == b"change"));
    let wrong =
        Envelope { key: DocumentKey::Fresh(SymmetricKey::from_bytes([0; 32])), ..creating() };
    assert_eq!(with(Some(wrong)).err(), Some(CannotOpen::Damaged));
    // A lying welcomer cannot pass the entry off as the creation of another document.
    let other = Envelope { document: DocumentId::from_bytes([0; 32]), ..creating() };
    assert_eq!(with(Some(other)).err(), Some(CannotOpen::OtherDocument));
    // With the epoch at hand, what a welcome says does not matter.
    let lie = Envelope { document: DocumentId::from_bytes([0; 32]), ..following() };
    let both = open(&header, &payload, Some(&secret()), Some(lie), |_| None);
    assert!(both.is_ok_and(|opened| opened.envelope == creating()));
}

#[test]
fn k5_what_follows_opens_with_the_key_of_the_entry_that_it_names() {
    let (header, payload) = sealed(&following(), b"change");
    let with = |key: Option<SymmetricKey>| {
        open(&header, &payload, Some(&secret()), None, |_| key.clone()).err()
    };
    assert_eq!(with(Some(key())), None);
    assert_eq!(with(None), Some(CannotOpen::NoDocumentKey(EARLIER)));
    let other = SymmetricKey::from_bytes([0; 32]);
    assert_eq!(with(Some(other)), Some(CannotOpen::Damaged));
}

#[test]
fn k5_who_holds_only_the_epochs_of_before_reads_nothing_after() {
    let fresh = EpochSecret::from_bytes([11; 32]);
    let key = SymmetricKey::from_bytes([12; 32]);
    let envelope = Envelope { key: DocumentKey::Fresh(key.clone()), creation: None, ..creating() };
    let (header, payload) = seal(&mut rng(), header(), &fresh, &envelope, &key, b"after").unwrap();
    assert_eq!(opened(&header, &payload).err(), Some(CannotOpen::NoKey));
    // Naming the old epoch for it does not help, nor does the document's old key.
    let Sealing::Sealed { nonce, .. } = header.sealing else { panic!() };
    let epoch: EpochId = secret().epoch(GROUP);
    let forged = Header { sealing: Sealing::Sealed { epoch, nonce }, ..header.clone() };
    assert_eq!(opened(&forged, &payload).err(), Some(CannotOpen::Damaged));
    let old = open(&header, &payload, None, Some(following()), key_of).err();
    assert_eq!(old, Some(CannotOpen::Damaged));
}

#[test]
fn k5_bombs_and_malformed_contents_are_refused() {
    let bomb = |bytes: usize| {
        let mut body = vec![1];
        body.extend(miniz_oxide::deflate::compress_to_vec(&vec![0; bytes], 9));
        padding::pad(body)
    };
    let refused = |body: &[u8]| {
        let (header, payload) = crafted(&following(), body);
        opened(&header, &payload).err()
    };
    assert_eq!(refused(&bomb(CHANGE_BYTES)), None);
    assert_eq!(refused(&bomb(CHANGE_BYTES + 1)), Some(CannotOpen::Malformed));
    assert_eq!(refused(&bomb(20_000_000)), Some(CannotOpen::Malformed));
    assert_eq!(refused(&padding::pad([0; CHANGE_BYTES + 2].into())), Some(CannotOpen::Malformed));
    assert_eq!(refused(&padding::pad(vec![2, 1, 2, 3])), Some(CannotOpen::Malformed));
    assert_eq!(refused(&padding::pad(vec![1, 0xff, 0xff])), Some(CannotOpen::Malformed));
    assert_eq!(refused(&padding::pad(Vec::new())), Some(CannotOpen::Malformed));
    assert_eq!(refused(&[0, 1, 2]), Some(CannotOpen::Malformed));
    assert_eq!(refused(&[]), Some(CannotOpen::Malformed));
}

#[test]
fn c1_a_document_is_what_its_parts_make() {
    let creation = creating().creation.unwrap();
    let document = creation.document(GROUP);
    let others = [
        Creation { owner: Owner::Shared, ..creation },
        Creation { random: [0; 16], ..creation },
        Creation { kind: DocumentKind::Thread, ..creation },
    ];
    for other in others {
        assert_ne!(other.document(GROUP), document);
    }
    assert_ne!(creation.document(GroupId::from_bytes([2; 32])), document);
    let ownerless = others[0];
    let kind = DocumentKind::Agreement;
    let owned = Creation { kind, ..creation };
    assert!(Creation { kind, ..ownerless }.is_sound() && creation.is_sound());
    for unsound in [ownerless, owned] {
        let document = unsound.document(GROUP);
        let envelope = Envelope { document, creation: Some(unsound), ..creating() };
        let (header, payload) = crafted(&envelope, &padding::pad(vec![0, 1]));
        assert_eq!(opened(&header, &payload).err(), Some(CannotOpen::OtherDocument));
    }
    let false_id = Envelope { document: DocumentId::from_bytes([0; 32]), ..creating() };
    let refused = seal(&mut rng(), header(), &secret(), &false_id, &key(), b"x");
    assert_eq!(refused, Err(CannotSeal::OtherDocument));
    let (header, payload) = crafted(&false_id, &padding::pad(vec![0, 1]));
    assert_eq!(opened(&header, &payload).err(), Some(CannotOpen::OtherDocument));
}

#[test]
fn k5_the_largest_change_fits_and_no_more() {
    let change: Vec<u8> = (0..CHANGE_BYTES)
        .map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let (header, payload) = sealed(&creating(), &change);
    assert!(payload.len() <= PAYLOAD_BYTES);
    assert!(opened(&header, &payload).is_ok_and(|opened| opened.change == change));
    let more = vec![0; CHANGE_BYTES + 1];
    let refused = |envelope: &Envelope, key: &SymmetricKey, change: &[u8]| {
        seal(&mut rng(), self::header(), &secret(), envelope, key, change).err()
    };
    assert_eq!(refused(&creating(), &key(), &more), Some(CannotSeal::TooLarge));
    let other = SymmetricKey::from_bytes([0; 32]);
    assert_eq!(refused(&creating(), &other, b"x"), Some(CannotSeal::OtherKey));
}
