//! Entries and how they travel (L1, L6, S2, S6).

use cairn_crdt::capability::revocation::Hide;
use cairn_crdt::crypto::aead::Nonce;
use cairn_crdt::id::{EntryId, EpochId, GrantId, GroupId};
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::frontier::{Frontier, Tip};
use cairn_crdt::log::run::{Entry, Run};

use crate::control;
use crate::documents;
use crate::form::{Form, form};
use crate::values::{GRANT, GROUP, SEEN, device, entry, key, list};

pub(crate) fn header(kind: Kind) -> Header {
    Header {
        version: VERSION,
        suite: SUITE,
        group: GROUP,
        device: device(1),
        seq: 0,
        prev: EntryId::NONE,
        grant: GrantId::NONE,
        kind,
        payload: payload_hash(&[]),
        size: 0,
        sealing: Sealing::Clear,
        seen: Seen::default(),
    }
}

pub(crate) fn signed(header: Header, payload: Vec<u8>) -> Entry {
    let size = u32::try_from(payload.len()).unwrap();
    let header = Header { payload: payload_hash(&payload), size, ..header };
    Entry::author(&key(1), header, payload).into_inner()
}

fn first(group: GroupId, control: &Control) -> Entry {
    let header = Header { group, ..header(control.kind().unwrap()) };
    signed(header, control.encode())
}

fn genesis() -> Entry {
    first(GroupId::GENESIS, &Control::Genesis(control::genesis()))
}

/// A card, content under one epoch twice and under another once, and control.
pub(crate) fn log() -> Vec<Entry> {
    let mut entries = vec![first(GROUP, &Control::Card(control::card()))];
    let mut next = |kind, sealing, seen, payload: Vec<u8>| {
        let before = entries.last().unwrap();
        let (seq, prev) = (before.header.seq + 1, before.id);
        let header = Header { seq, prev, grant: GRANT, sealing, seen, ..header(kind) };
        entries.push(signed(header, payload));
    };
    for (epoch, words) in [(1, "one"), (1, "two"), (2, "three")] {
        next(Kind::CONTENT, sealed(epoch), SEEN, words.as_bytes().to_vec());
    }
    let hide = Control::Hide(Hide { created: entry(7) });
    next(Kind::HIDE, Sealing::Clear, SEEN.with(entry(5)), hide.encode());
    entries
}

fn sealed(epoch: u8) -> Sealing {
    Sealing::Sealed { epoch: EpochId::from_bytes([epoch; 32]), nonce: Nonce::zero() }
}

pub(crate) fn run() -> Run {
    Run::new(&log(), true).unwrap()
}

pub(crate) fn opening() -> Run {
    Run::new(&log()[..1], true).unwrap()
}

pub(crate) fn tips() -> Vec<Tip> {
    vec![Tip { seq: 4, entry: entry(4) }, Tip { seq: 4_000_000_000, entry: entry(5) }]
}

pub(crate) fn frontier() -> Frontier {
    let tips = tips();
    let logs = [(device(1), list(tips.clone())), (device(2), list(tips[..1].to_vec()))];
    Frontier(cairn_crdt::codec::Map::new(logs.into()).unwrap())
}

pub(crate) fn forms() -> Vec<Form> {
    let genesis = genesis();
    let log = log();
    let [creating, following] = documents::sealed();
    let headers = [
        ("genesis", genesis.header.clone()),
        ("card", log[0].header.clone()),
        ("content", log[3].header.clone()),
        ("control", log[4].header.clone()),
        ("creating", creating.0),
        ("following", following.0),
    ];
    let nothing = Entry { payload: None, ..log[1].clone() };
    let runs = [
        ("genesis", Run::new(&[genesis], true).unwrap()),
        ("card", opening()),
        ("all", run()),
        ("bare", Run::new(&log, false).unwrap()),
        ("nothing", Run::new(&[nothing], true).unwrap()),
    ];
    vec![
        form("Header", headers),
        form("Sealing", [("Clear", Sealing::Clear), ("Sealed", sealed(1))]),
        form("Seen", [("none", Seen::default()), ("some", SEEN), ("more", SEEN.with(entry(1)))]),
        form("Run", runs),
        form("Tip", tips().into_iter().zip(["near", "far"]).map(|(tip, word)| (word, tip))),
        form("Frontier", [("empty", Frontier::default()), ("two", frontier())]),
    ]
}

/// What the file holds is authentic, and not only of this form.
#[test]
fn l6_golden_runs_verify() {
    for (word, bytes) in crate::files::read("Run").unwrap() {
        let group = if word == "genesis" { genesis().header.group() } else { GROUP };
        let entries = Run::from_bytes(&bytes).unwrap().verify(group).unwrap();
        assert!(!entries.is_empty(), "{word}");
    }
}
