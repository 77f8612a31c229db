//! A run stands and falls with its one signature (L1, L4–L7).

use cairn_crdt::authority::Authority;
use cairn_crdt::codec;
use cairn_crdt::id::{EntryId, GroupId};
use cairn_crdt::limits::{PAYLOAD_BYTES, RUN_ENTRIES, RUN_PAYLOAD_BYTES};
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, VERSION, payload_hash};
use cairn_crdt::log::frontier::Frontier;
use cairn_crdt::log::run::{Entry, Run, RunRefused, Verified};
use cairn_crdt::log::set::LogSet;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::author::{Author, GRANT, device, gather, hide, log, sealed, signed, verified};

/// A run as `docs/protocol.md` writes it: this test has its own idea of the bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wire {
    version: u8,
    suite: u8,
    group: [u8; 32],
    device: [u8; 32],
    seq: u64,
    prev: [u8; 32],
    steps: Vec<Step>,
    signature: ([u8; 32], [u8; 32]),
    payloads: Vec<Option<ByteBuf>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    payload: [u8; 32],
    nonce: Option<[u8; 24]>,
    grant: Option<[u8; 32]>,
    kind: Option<u8>,
    size: Option<u32>,
    epoch: Option<[u8; 32]>,
    seen: Option<(u32, [u8; 16])>,
}

/// The run of the log without its genesis, as bytes taken apart.
fn wire(author: &Author) -> Wire {
    let run = Run::new(&author.entries[1..], true).unwrap();
    postcard::from_bytes(&run.to_bytes()).unwrap()
}

fn read(group: GroupId, wire: &Wire) -> Result<Vec<Verified<Entry>>, RunRefused> {
    Run::from_bytes(&codec::encode(wire)).and_then(|run| run.verify(group))
}

fn refused(author: &Author, change: impl FnOnce(&mut Wire)) -> RunRefused {
    let mut wire = wire(author);
    change(&mut wire);
    read(author.group, &wire).unwrap_err()
}

#[test]
fn l1_a_header_has_these_bytes_and_this_id_and_this_signature() {
    let author = log();
    let Entry { header, id, signature, .. } = author.entries[2].clone();
    let mut bytes = vec![VERSION, SUITE];
    bytes.extend_from_slice(author.group.as_bytes());
    bytes.extend_from_slice(device(1).as_bytes());
    bytes.push(2); // seq
    bytes.extend_from_slice(author.entries[1].id.as_bytes());
    bytes.extend_from_slice(&[9; 32]); // grant
    bytes.push(128); // kind
    bytes.extend_from_slice(payload_hash(b"one").as_bytes());
    bytes.push(3); // size
    bytes.push(1); // sealed
    bytes.extend_from_slice(&[1; 32]); // epoch
    bytes.extend_from_slice(&[0; 24]); // nonce
    bytes.push(2); // seen: how many
    bytes.extend_from_slice(&[3; 16]); // seen: digest
    assert_eq!(codec::encode(&header), bytes);
    let hashed = blake3::Hasher::new_derive_key("cairn 2026 v1 entry").update(&bytes).finalize();
    assert_eq!(id.as_bytes(), hashed.as_bytes());
    let label = b"cairn 2026 v1 sign entry";
    let mut message = vec![24];
    message.extend_from_slice(label);
    message.extend_from_slice(id.as_bytes());
    let key = ed25519_dalek::VerifyingKey::from_bytes(device(1).as_bytes()).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(signature.unwrap().as_bytes());
    assert!(key.verify_strict(&message, &signature).is_ok());
}

#[test]
fn l1_a_genesis_names_no_group_and_its_hash_is_the_group() {
    let author = log();
    let genesis = &author.entries[0];
    assert_eq!(genesis.header.group, GroupId::GENESIS);
    assert_eq!(author.group.as_bytes(), genesis.id.as_bytes());
    let alone = Run::new(&author.entries[..1], true).unwrap();
    assert!(alone.clone().verify(author.group).is_ok());
    let other = GroupId::from_bytes([8; 32]);
    assert_eq!(alone.verify(other), Err(RunRefused::OtherGroup));
    // Nothing but a genesis may leave the group out.
    let header = Header { group: GroupId::GENESIS, ..author.header(Kind::HIDE, GRANT) };
    let nameless = signed(1, header, Control::Hide(hide()).encode());
    let group = nameless.header.group();
    let run = Run::new(&[nameless], true).unwrap();
    assert_eq!(run.verify(group), Err(RunRefused::OtherGroup));
}

#[test]
fn l1_what_belongs_to_another_group_is_refused() {
    let author = log();
    let other = GroupId::from_bytes([8; 32]);
    let run = Run::new(&author.entries[1..], true).unwrap();
    assert_eq!(run.verify(other), Err(RunRefused::OtherGroup));
    assert_eq!(refused(&author, |wire| wire.group = [8; 32]), RunRefused::OtherGroup);
    assert_eq!(refused(&author, |wire| wire.version = 2), RunRefused::UnknownVersion);
    assert_eq!(refused(&author, |wire| wire.suite = 2), RunRefused::UnknownVersion);
}

#[test]
fn l4_a_field_that_equals_the_one_before_may_not_be_sent() {
    let author = log();
    let canonical = wire(&author);
    // Step 2 follows content on content: grant, kind, size, epoch and seen are as before.
    let second = &canonical.steps[2];
    assert!(second.grant.is_none() && second.kind.is_none() && second.size.is_none());
    assert!(second.epoch.is_none() && second.seen.is_none() && second.nonce.is_some());
    let repeats: [fn(&mut Step); 5] = [
        |step| step.grant = Some([9; 32]),
        |step| step.kind = Some(128),
        |step| step.size = Some(3),
        |step| step.epoch = Some([1; 32]),
        |step| step.seen = Some((2, [3; 16])),
    ];
    for repeat in repeats {
        assert_eq!(refused(&author, |wire| repeat(&mut wire.steps[2])), RunRefused::NotCanonical);
    }
    let first: [fn(&mut Step); 4] = [
        |step| step.grant = None,
        |step| step.kind = None,
        |step| step.size = None,
        |step| step.seen = None,
    ];
    for omit in first {
        assert_eq!(refused(&author, |wire| omit(&mut wire.steps[0])), RunRefused::NotCanonical);
    }
    let no_epoch = |wire: &mut Wire| wire.steps[1].epoch = None;
    assert_eq!(refused(&author, no_epoch), RunRefused::NotCanonical);
    let no_nonce = |wire: &mut Wire| wire.steps[1].nonce = None;
    assert_eq!(refused(&author, no_nonce), RunRefused::NotCanonical);
}

#[test]
fn l4_bytes_that_are_not_the_one_encoding_are_no_run() {
    let author = log();
    let bytes = codec::encode(&wire(&author));
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Run::from_bytes(&longer), Err(RunRefused::NotCanonical));
    for length in 0..bytes.len() {
        assert_eq!(Run::from_bytes(&bytes[..length]), Err(RunRefused::NotCanonical));
    }
    // The sequence number 1, written with a byte too many.
    let mut overlong = bytes[..66].to_vec();
    assert_eq!(bytes[66], 1);
    overlong.extend_from_slice(&[0x81, 0]);
    overlong.extend_from_slice(&bytes[67..]);
    assert_eq!(Run::from_bytes(&overlong), Err(RunRefused::NotCanonical));
    let too_many = |wire: &mut Wire| {
        wire.steps = vec![wire.steps[1].clone(); RUN_ENTRIES + 1];
        wire.payloads = vec![None; RUN_ENTRIES + 1];
    };
    assert_eq!(refused(&author, too_many), RunRefused::NotCanonical);
    let too_large = |wire: &mut Wire| {
        wire.payloads[1] = Some(ByteBuf::from(vec![0; PAYLOAD_BYTES + 1]));
    };
    assert_eq!(refused(&author, too_large), RunRefused::NotCanonical);
    let claimed = |wire: &mut Wire| {
        wire.steps[1].size = Some(u32::try_from(PAYLOAD_BYTES + 1).unwrap());
        wire.payloads[1] = None;
    };
    assert_eq!(refused(&author, claimed), RunRefused::WrongPayload);
    let short = |wire: &mut Wire| drop(wire.payloads.pop());
    assert_eq!(refused(&author, short), RunRefused::NotCanonical);
}

#[test]
fn l5_a_run_holds_by_the_key_of_its_device_alone() {
    let author = log();
    assert!(read(author.group, &wire(&author)).is_ok());
    let flip = |wire: &mut Wire| wire.signature.1[3] ^= 1;
    assert_eq!(refused(&author, flip), RunRefused::BadSignature);
    let other = |wire: &mut Wire| wire.device = *device(2).as_bytes();
    assert_eq!(refused(&author, other), RunRefused::BadSignature);
    let header = author.header(Kind::HIDE, GRANT);
    let by_another = signed(2, header, Control::Hide(hide()).encode());
    assert_eq!(verified(&author, &[by_another]), Err(RunRefused::BadSignature));
    let mut unsigned = author.entries[2].clone();
    unsigned.signature = None;
    assert_eq!(Run::new(&[unsigned], true), None);
}

#[test]
fn l6_one_signature_covers_every_field_of_every_entry() {
    let author = log();
    type Change = fn(&mut Wire);
    let fields: [(&str, Change); 8] = [
        ("seq", |wire| wire.seq += 1),
        ("prev", |wire| wire.prev[0] ^= 1),
        ("grant", |wire| wire.steps[1].grant = Some([10; 32])),
        ("kind", |wire| wire.steps[1].kind = Some(129)),
        ("epoch", |wire| wire.steps[1].epoch = Some([4; 32])),
        ("nonce", |wire| wire.steps[2].nonce = Some([1; 24])),
        ("seen", |wire| wire.steps[0].seen = Some((3, [3; 16]))),
        ("payload", |wire| {
            wire.steps[2].payload[0] ^= 1;
            wire.payloads[2] = None;
        }),
    ];
    for (field, change) in fields {
        assert_eq!(refused(&author, change), RunRefused::BadSignature, "{field}");
    }
    let size = |wire: &mut Wire| wire.steps[1].size = Some(4);
    assert_eq!(refused(&author, size), RunRefused::WrongPayload);
    // Out of order, or one left out: another chain.
    assert_eq!(refused(&author, |wire| wire.steps.swap(1, 2)), RunRefused::NotCanonical);
    let left_out = |wire: &mut Wire| {
        wire.steps.remove(2);
        wire.payloads.remove(2);
    };
    assert_eq!(refused(&author, left_out), RunRefused::BadSignature);
}

#[test]
fn l6_a_run_split_anywhere_is_authentic_in_every_part() {
    let author = log();
    let ids: Vec<EntryId> = author.entries.iter().map(|entry| entry.id).collect();
    for from in 1..ids.len() {
        for to in from + 1..=ids.len() {
            let part = verified(&author, &author.entries[from..to]).unwrap();
            let read: Vec<EntryId> = part.iter().map(|entry| entry.get().id).collect();
            assert_eq!(read, ids[from..to]);
        }
    }
    let apart = [author.entries[1].clone(), author.entries[3].clone()];
    assert_eq!(Run::new(&apart, true), None, "what does not follow is no run");
    let alters: [fn(&mut Header); 4] = [
        |header| header.prev = EntryId::NONE,
        |header| header.seq += 1,
        |header| header.device = device(2),
        |header| header.group = GroupId::from_bytes([7; 32]),
    ];
    for alter in alters {
        let mut entries = author.entries[1..3].to_vec();
        assert!(Run::new(&entries, true).is_some());
        alter(&mut entries[1].header);
        assert_eq!(Run::new(&entries, true), None);
    }
}

#[test]
fn l6_a_run_ends_where_a_signature_is_kept() {
    let mut author = log();
    for number in 0..RUN_ENTRIES {
        author.content(&[u8::try_from(number % 251).unwrap()]);
    }
    let (genesis, taken) = Run::first_of(&author.entries, true).unwrap();
    assert_eq!(taken, 1, "a genesis stands alone");
    assert!(genesis.verify(author.group).is_ok());
    let rest = &mut author.entries[1..];
    let (_, taken) = Run::first_of(rest, true).unwrap();
    assert_eq!(taken, RUN_ENTRIES);
    for entry in &mut rest[10..] {
        entry.signature = None;
    }
    let (run, taken) = Run::first_of(rest, true).unwrap();
    assert_eq!(taken, 10);
    assert_eq!(run.verify(author.group).unwrap().len(), 10);
    for entry in rest.iter_mut() {
        entry.signature = None;
    }
    assert_eq!(Run::first_of(rest, true), None);
}

#[test]
fn l6_the_payloads_of_a_run_are_bounded() {
    let mut author = Author::founder();
    for _ in 0..12 {
        author.content(&vec![7; PAYLOAD_BYTES]);
    }
    let (run, taken) = Run::first_of(&author.entries[1..], true).unwrap();
    assert!(taken <= 1 + RUN_PAYLOAD_BYTES / PAYLOAD_BYTES);
    assert!(run.to_bytes().len() < RUN_PAYLOAD_BYTES + PAYLOAD_BYTES);
    // Where only the last is signed, the run goes without some of its content.
    for entry in &mut author.entries[1..13] {
        entry.signature = None;
    }
    let (run, taken) = Run::first_of(&author.entries[1..], true).unwrap();
    assert_eq!(taken, 13);
    assert!(run.to_bytes().len() < RUN_PAYLOAD_BYTES + PAYLOAD_BYTES);
    let entries = run.verify(author.group).unwrap();
    assert!(entries.iter().any(|entry| entry.get().payload.is_none()));
}

#[test]
fn l7_content_may_be_dropped_and_nothing_else_changes() {
    let author = log();
    let bare = Run::new(&author.entries[1..], false).unwrap();
    let entries = bare.verify(author.group).unwrap();
    let content = |entry: &&Verified<Entry>| !entry.get().header.kind.is_control();
    assert!(entries.iter().filter(content).all(|entry| entry.get().payload.is_none()));
    let full = gather(author.group, author.entries.clone());
    let mut light = LogSet::new(author.group);
    light.insert(&author.entries[0].clone().from_store()).unwrap();
    for entry in &entries {
        light.insert(entry).unwrap();
    }
    let digest = |set: &LogSet| Frontier::of(set).digest(author.group);
    assert_eq!(digest(&light), digest(&full));
    assert_eq!(Authority::evaluate(&light).digest(), Authority::evaluate(&full).digest());
}

#[test]
fn l7_control_always_comes_with_its_payload_in_the_clear() {
    let author = log();
    assert_eq!(refused(&author, |wire| wire.payloads[0] = None), RunRefused::WrongPayload);
    let changed = |wire: &mut Wire| wire.payloads[1] = Some(ByteBuf::from(b"owe".to_vec()));
    assert_eq!(refused(&author, changed), RunRefused::WrongPayload);
    let payload = Control::Hide(hide()).encode();
    let header = Header { sealing: sealed(1), ..author.header(Kind::HIDE, GRANT) };
    let sealed_control = signed(1, header, payload);
    assert_eq!(verified(&author, &[sealed_control]), Err(RunRefused::WrongSealing));
    let clear_content = signed(1, author.header(Kind::CONTENT, GRANT), b"in the clear".to_vec());
    assert_eq!(verified(&author, &[clear_content]), Err(RunRefused::WrongSealing));
}

#[test]
fn l2_a_run_has_a_first_entry_and_stays_in_range() {
    let author = log();
    assert_eq!(refused(&author, |wire| wire.seq = u64::MAX), RunRefused::OutOfRange);
    let nothing = |wire: &mut Wire| {
        wire.steps.clear();
        wire.payloads.clear();
    };
    assert_eq!(refused(&author, nothing), RunRefused::OutOfRange);
}
