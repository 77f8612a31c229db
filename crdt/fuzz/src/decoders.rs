//! One target for every form that comes from outside: what is read is written back the same, and
//! nothing more or less than those bytes is read as it.

use cairn_crdt::capability::draft::Draft;
use cairn_crdt::capability::grant::Council;
use cairn_crdt::capability::invite::{CODE_PREFIX, Code};
use cairn_crdt::codec::{self, Bytes, List};
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::discovery::Whereabouts;
use cairn_crdt::document::kinds::post::Imported;
use cairn_crdt::document::sealing::{Envelope, SealedContent};
use cairn_crdt::epoch::secret::{EpochSecret, Mint};
use cairn_crdt::epoch::welcome::Keys;
use cairn_crdt::id::{ControlKey, DeviceId, GroupId};
use cairn_crdt::limits::{
    KEEPER_MESSAGE_BYTES, MESSAGE_BYTES, PAYLOAD_BYTES, SEALED_BOX_BYTES, WHEREABOUTS_BYTES,
};
use cairn_crdt::log::entry::{Control, Header, Kind};
use cairn_crdt::log::frontier::Frontier;
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::mailbox::KeeperCode;
use cairn_crdt::mailbox::access::SignedBy;
use cairn_crdt::mailbox::message::{KeeperGreeting, KeeperReply, KeeperRequest};
use cairn_crdt::replica::Replica;
use cairn_crdt::replica::snapshot::Snapshot;
use cairn_crdt::sync::message::{Introduction, JoinMessage, Message, Receipt, Request};
use cairn_crdt::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

const GROUP: GroupId = GroupId::from_bytes([1; 32]);

/// Reads a value; if there is one, it has these bytes and no others.
fn read<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Option<T> {
    let value: T = codec::decode(bytes, limit).ok()?;
    assert!(bytes.len() <= limit && codec::encode(&value) == bytes, "written otherwise");
    let longer = [bytes, &[0]].concat();
    assert!(codec::decode::<T>(&longer, usize::MAX).is_err(), "bytes are left over");
    let shorter = bytes.split_last().map_or(&[][..], |(_, rest)| rest);
    let empty = bytes.is_empty();
    assert!(empty || codec::decode::<T>(shorter, limit).is_err(), "bytes are not needed");
    Some(value)
}

/// The header of an entry.
pub fn header(data: &[u8]) {
    let Ok(header) = Header::decode(data) else { return };
    assert_eq!(codec::encode(&header), data);
    assert_eq!(header.id(), header.clone().id());
    let _ = (header.group(), header.associated());
}

/// The payload of a control entry; its kind is the first byte.
pub fn control(data: &[u8]) {
    let Some((kind, payload)) = data.split_first() else { return };
    let kind = Kind(*kind);
    let Ok(control) = Control::decode(kind, payload) else { return };
    let Some(known) = control.kind() else { return };
    assert_eq!((known, control.encode().as_slice()), (kind, payload));
    let longer = [payload, &[0]].concat();
    assert!(Control::decode(kind, &longer).is_err());
    if let Control::Epoch(mint) = control {
        epoch(&mint);
    }
}

/// What is wrapped in an epoch is junk, and is found to be.
fn epoch(mint: &Mint) {
    let minter = DeviceId::from_bytes([2; 32]);
    let secret = EpochSecret::from_bytes([3; 32]);
    let _ = mint.previous(GROUP, minter, &secret);
    assert!(!mint.names(minter) || !mint.is_for_exactly(&[].into()));
}

/// A run: what is verified makes the same run again.
pub fn run(data: &[u8]) {
    let Ok(run) = Run::from_bytes(data) else { return };
    assert_eq!(run.to_bytes(), data);
    for group in [GROUP, GroupId::GENESIS] {
        let Ok(entries) = run.clone().verify(group) else { continue };
        let entries: Vec<Entry> = entries.into_iter().map(|entry| entry.into_inner()).collect();
        let again = Run::new(&entries, true).map(|run| run.to_bytes());
        assert_eq!(again.as_deref(), Some(data));
    }
}

/// A frontier.
pub fn frontier(data: &[u8]) {
    if let Some(frontier) = read::<Frontier>(data, MESSAGE_BYTES) {
        let other = GroupId::from_bytes([2; 32]);
        assert_ne!(frontier.digest(GROUP), frontier.digest(other));
    }
}

/// A message on a stream for synchronising.
pub fn sync_message(data: &[u8]) {
    if let Ok(message) = Message::from_bytes(data) {
        assert_eq!(message.to_bytes(), data);
    }
    read::<Message>(data, MESSAGE_BYTES);
    read::<Receipt>(data, MESSAGE_BYTES);
}

/// A message on a stream for joining.
pub fn join_message(data: &[u8]) {
    if let Ok(message) = JoinMessage::from_bytes(data) {
        assert_eq!(message.to_bytes(), data);
    }
    read::<JoinMessage>(data, MESSAGE_BYTES);
}

/// A request, as the store keeps it.
pub fn request(data: &[u8]) {
    if let Some(request) = read::<Request>(data, MESSAGE_BYTES) {
        assert_eq!(request.id(), request.clone().id());
        let opening = request.opening.clone().verify(request.group);
        assert!(opening.is_err() || request.opening.verify(GroupId::from_bytes([7; 32])).is_err());
    }
}

/// A code: as text, and as bytes to which prefix and checksum are added.
pub fn code(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(code) = Code::from_text(text)
    {
        let normal: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        assert_eq!(code.to_text(), normal.to_lowercase());
    }
    if let Some(code) = read::<Code>(data, 8192) {
        let text = code.to_text();
        assert!(text.starts_with(CODE_PREFIX));
        assert!(Code::from_text(&text).is_ok_and(|read| read == code));
        assert!(Code::from_text(&text.to_uppercase()).is_ok_and(|read| read == code));
    }
}

/// An act of the council as it goes round: as text, and as bytes. Signing it adds one signature.
pub fn draft(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(draft) = Draft::from_text(text)
    {
        let normal: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        assert_eq!(draft.to_text(), normal.to_lowercase());
    }
    let Some(draft) = read::<Draft>(data, PAYLOAD_BYTES) else { return };
    assert_eq!(Draft::from_text(&draft.to_text()).as_ref(), Ok(&draft));
    let key = SigningKey::from_seed(&[1; 32]);
    let keys = List::new(vec![key.verifying_key()]).unwrap_or_default();
    let council = Council { keys, threshold: 1 };
    let (group, last) = (draft.group, draft.act.previous);
    let Ok(signed) = draft.sign(&key, group, &council, Some(last)) else { return };
    assert!(signed.is_complete(&council) && signed.act.signatures.len() == 1);
    assert_eq!(signed.clone().sign(&key, group, &council, Some(last)), Ok(signed));
}

/// What a keeper and its client say to each other; the first byte says which of it.
pub fn keeper(data: &[u8]) {
    let Some((part, rest)) = data.split_first() else { return };
    match part {
        0 => drop(read::<KeeperGreeting>(rest, KEEPER_MESSAGE_BYTES)),
        1 => {
            let Some(request) = read::<KeeperRequest>(rest, KEEPER_MESSAGE_BYTES) else { return };
            assert_eq!(KeeperRequest::from_bytes(rest), Ok(request.clone()));
            if let KeeperRequest::Rotate(signed) = request {
                let other = ControlKey::from_bytes([1; 32]);
                assert!(signed.signer(other) != Ok(SignedBy::Control), "nobody has that key");
            }
        }
        2 => drop(read::<KeeperReply>(rest, KEEPER_MESSAGE_BYTES)),
        3 => {
            let Some(code) = read::<KeeperCode>(rest, 8192) else { return };
            assert!(KeeperCode::from_text(&code.to_text()).is_ok_and(|read| read == code));
        }
        _ => {
            if let Ok(text) = std::str::from_utf8(rest)
                && let Ok(code) = KeeperCode::from_text(text)
            {
                let normal: String = text.chars().filter(|c| !c.is_whitespace()).collect();
                assert_eq!(code.to_text(), normal.to_lowercase());
            }
        }
    }
}

/// What is read once its seal is open; the first byte says what.
pub fn sealed_parts(data: &[u8]) {
    let Some((part, rest)) = data.split_first() else { return };
    match part {
        0 => drop(read::<SealedContent>(rest, PAYLOAD_BYTES)),
        1 => drop(read::<Envelope>(rest, PAYLOAD_BYTES)),
        2 => drop(read::<Keys>(rest, SEALED_BOX_BYTES)),
        3 => drop(read::<Introduction>(rest, SEALED_BOX_BYTES)),
        4 => drop(read::<Imported>(rest, PAYLOAD_BYTES)),
        6 => drop(read::<Whereabouts>(rest, WHEREABOUTS_BYTES)),
        _ => drop(read::<List<Bytes<256>, 16>>(rest, PAYLOAD_BYTES)),
    }
}

/// The record of a persona, as the store keeps it; the group is in its first 32 bytes after the
/// version, if there is one.
pub fn persona(data: &[u8]) {
    let record = data.strip_prefix(b"cairn persona").and_then(|versioned| versioned.get(1..));
    let Some(group) = record.unwrap_or(data).first_chunk::<32>() else { return };
    let snapshot = |persona: &[u8]| Snapshot {
        group: GroupId::from_bytes(*group),
        persona: persona.to_vec().into(),
        entries: Vec::new(),
        missing: Vec::new(),
        epochs: Vec::new(),
        requests: Vec::new(),
        receipts: Vec::new(),
        keepers: Vec::new(),
        stale: Vec::new(),
    };
    let now = Timestamp::from_millis(1_790_000_000_000);
    let Ok((replica, _)) = Replica::restore(now, snapshot(data)) else { return };
    assert_eq!(replica.group().as_bytes(), group);
    assert!(Replica::restore(now, snapshot(&[data, &[0]].concat())).is_err());
}
