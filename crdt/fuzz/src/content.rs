//! Content of an author who holds the right keys and seals what no honest author would (K5).

use cairn_crdt::codec::{self, Bytes};
use cairn_crdt::crypto::aead::{Nonce, SymmetricKey};
use cairn_crdt::crypto::padding;
use cairn_crdt::document::kinds::DocumentKind;
use cairn_crdt::document::sealing::{
    Creation, DocumentKey, ENVELOPE_BYTES, Envelope, Owner, SealedContent, open, open_envelope,
};
use cairn_crdt::epoch::secret::EpochSecret;
use cairn_crdt::id::{DeviceId, EntryId, GrantId, GroupId, MemberId, PayloadHash};
use cairn_crdt::limits::CHANGE_BYTES;
use cairn_crdt::log::entry::{Header, Kind, SUITE, Sealing, Seen, VERSION};

const GROUP: GroupId = GroupId::from_bytes([1; 32]);
const EARLIER: EntryId = EntryId::from_bytes([8; 32]);

fn header(secret: &EpochSecret) -> Header {
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
        sealing: Sealing::Sealed { epoch: secret.epoch(GROUP), nonce: Nonce::zero() },
        seen: Seen { count: 3, digest: [5; 16] },
    }
}

fn honest() -> Envelope {
    let owner = Owner::Member(MemberId::from_bytes([9; 32]));
    let creation = Creation { owner, random: [10; 16], kind: DocumentKind::Post };
    Envelope {
        document: creation.document(GROUP),
        creation: Some(creation),
        key: DocumentKey::Of(EARLIER),
    }
}

/// First byte: what the rest is. 0: a payload as it is. 1: an envelope, to be sealed. 2: a body
/// with its padding. From 3: a codec and what follows it, to be padded.
pub fn content(data: &[u8]) {
    let Some((part, rest)) = data.split_first() else { return };
    let secret = EpochSecret::from_bytes([6; 32]);
    let key = SymmetricKey::from_bytes([7; 32]);
    let header = header(&secret);
    let associated = header.associated();
    let seal = |envelope: &[u8], body: &[u8]| {
        let envelope = secret.envelope_key().seal(&Nonce::zero(), &associated, envelope);
        let body = key.seal(&Nonce::zero(), &associated, body);
        let content =
            SealedContent { envelope: Bytes::new(envelope).ok()?, body: Bytes::new(body).ok()? };
        Some(codec::encode(&content))
    };
    let plain = codec::encode(&honest());
    let payload = match part {
        0 => Some(rest.to_vec()),
        1 => seal(rest, &padding::pad(vec![0, 1])),
        2 => seal(&plain, rest),
        _ => seal(&plain, &padding::pad(rest.to_vec())),
    };
    let Some(payload) = payload else { return };
    let key_of = |entry: &EntryId| (*entry == EARLIER).then(|| key.clone());
    let first = open_envelope(&header, &payload, Some(&secret), None);
    let opened = open(&header, &payload, Some(&secret), None, key_of);
    if let Ok(opened) = opened {
        assert!(opened.change.len() <= CHANGE_BYTES);
        assert!(first.is_ok_and(|envelope| envelope == opened.envelope));
        let bytes = codec::encode(&opened.envelope);
        assert!(bytes.len() <= ENVELOPE_BYTES);
        if *part == 1 {
            assert_eq!(bytes, rest);
        }
        if *part >= 3 && rest.first() == Some(&0) {
            assert_eq!(Some(opened.change.as_slice()), rest.get(1..));
        }
    }
}
