//! Small things to write.

use cairn_crdt::codec;
use cairn_crdt::crypto::signing::Signature;
use cairn_crdt::id::{DeviceId, DocumentId, EntryId, EpochId, GrantId, GroupId, MemberId};
use cairn_crdt::log::entry::{Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::replica::effect::{PostRow, PostState, Row, Write};
use cairn_crdt::time::Timestamp;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::storage::{Home, SqliteStore, Store, VaultCost};

pub(crate) const PASSPHRASE: &str = "a quiet heron by the lake";

pub(crate) fn home() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path()).unwrap();
    let store = home.init_with_cost(PASSPHRASE, VaultCost::FOR_TESTS).unwrap();
    (folder, store)
}

pub(crate) fn unlock(folder: &TempDir) -> SqliteStore {
    Home::open(folder.path()).unwrap().unlock(PASSPHRASE).unwrap()
}

pub(crate) fn group(number: u8) -> GroupId {
    GroupId::from_bytes([number; 32])
}

pub(crate) fn document(number: u8) -> DocumentId {
    DocumentId::from_bytes([number; 32])
}

pub(crate) fn member(number: u8) -> MemberId {
    MemberId::from_bytes([number; 32])
}

pub(crate) fn epoch(number: u8) -> EpochId {
    EpochId::from_bytes([number; 32])
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn signature(number: u8) -> Signature {
    Signature::from_bytes([number; 64])
}

/// A content header of a device's log; the id follows from it.
pub(crate) fn content(device: u8, seq: u64, payload: &[u8]) -> (EntryId, Header) {
    let header = Header {
        version: VERSION,
        suite: SUITE,
        group: group(1),
        device: DeviceId::from_bytes([device; 32]),
        seq,
        prev: EntryId::from_bytes([9; 32]),
        grant: GrantId::of(EntryId::from_bytes([8; 32])),
        kind: Kind::CONTENT,
        payload: payload_hash(payload),
        size: u32::try_from(payload.len()).unwrap(),
        sealing: Sealing::Sealed { epoch: epoch(3), nonce: codec::decode(&[4; 24], 24).unwrap() },
        seen: Seen { count: 7, ..Seen::default() },
    };
    (header.id(), header)
}

pub(crate) fn control(device: u8, seq: u64, payload: &[u8]) -> (EntryId, Header) {
    let (_, header) = content(device, seq, payload);
    let header = Header { kind: Kind::GRANT, sealing: Sealing::Clear, ..header };
    (header.id(), header)
}

pub(crate) fn entry(
    (id, header): &(EntryId, Header),
    payload: Option<&[u8]>,
    signed: Option<Signature>,
    arrived: u64,
) -> Write {
    Write::Entry {
        id: *id,
        header: header.clone(),
        payload: payload.map(<[u8]>::to_vec),
        signature: signed,
        arrived: at(arrived),
    }
}

pub(crate) fn envelope(entry: EntryId, of: u8, creates: Option<u8>, written: u64) -> Write {
    Write::Envelope {
        entry,
        document: document(of),
        creates,
        written: Some(at(written)),
        envelope: Zeroizing::new(b"envelope".to_vec()),
    }
}

/// A post of member 5 in a thread; a thread's own row if the numbers are equal.
pub(crate) fn post(number: u8, thread: u8, body: &str, written: u64) -> PostRow {
    PostRow {
        document: document(number),
        thread: document(thread),
        title: (number == thread).then(|| format!("Thread {number}")),
        reply_to: None,
        author: member(5),
        created: EntryId::from_bytes([number; 32]),
        body: body.to_owned(),
        note: None,
        wants: None,
        imported: None,
        written: at(written),
        arrived: at(written),
        edited: None,
        state: PostState::Shown,
    }
}

pub(crate) fn row(post: &PostRow) -> Write {
    Write::Row(Row::Post(post.clone()))
}

/// Adds group 1 with these writes.
pub(crate) fn begin(store: &mut dyn Store, writes: &[Write]) -> GroupId {
    store.add_group(group(1), writes).unwrap();
    group(1)
}
