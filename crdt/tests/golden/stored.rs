//! What only a device's own store holds: the record of its persona.

use cairn_crdt::capability::grant::History;
use cairn_crdt::id::GroupId;
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::replica::effect::{Effect, Write};
use cairn_crdt::replica::snapshot::Snapshot;
use cairn_crdt::replica::{Founding, Joining, Replica, ReplicaState};
use cairn_crdt::time::Timestamp;

use crate::files;
use crate::form::{Form, written_only};
use crate::joining::code;
use crate::values::{GROUP, rng};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// The record that these effects ask the store to keep.
fn record(effects: Vec<Effect>) -> Vec<u8> {
    let mut writes = effects.into_iter().flat_map(|effect| match effect {
        Effect::Persist(writes) => writes,
        _ => Vec::new(),
    });
    let record = writes.find_map(|write| match write {
        Write::Persona(record) => Some(record.to_vec()),
        _ => None,
    });
    record.unwrap()
}

fn founder() -> (Replica, Vec<u8>) {
    let founding = Founding {
        seed: &Seed::from_bytes([1; 32]),
        name: "Tuesday circle".to_owned(),
        pseudonym: "quiet heron".to_owned(),
        history: History::SinceJoining,
    };
    let (replica, effects) = Replica::found(NOW, &mut rng(6), founding).unwrap();
    (replica, record(effects))
}

fn newcomer() -> (Replica, Vec<u8>) {
    let joining = Joining {
        seed: &Seed::from_bytes([2; 32]),
        code: code(),
        pseudonym: "still water".to_owned(),
        words: "I would like to join.".to_owned(),
    };
    let (replica, effects) = Replica::join(NOW, &mut rng(7), joining).unwrap();
    (replica, record(effects))
}

/// What the same record was before records had a version: without the mark and what came since.
fn before(record: &[u8]) -> Vec<u8> {
    let since = record.strip_suffix(&[0; 7]).unwrap();
    since.strip_prefix(b"cairn persona\x01").unwrap().to_vec()
}

pub(crate) fn forms() -> Vec<Form> {
    let lines = vec![("member", founder().1), ("waiting", newcomer().1)];
    let old = lines.iter().map(|(word, record)| (*word, before(record))).collect();
    vec![
        Form { name: "persona", lines: old, again: written_only },
        Form { name: "persona-1", lines, again: written_only },
    ]
}

fn restored(group: GroupId, persona: Vec<u8>) -> Replica {
    let snapshot = Snapshot {
        group,
        persona: persona.into(),
        entries: Vec::new(),
        missing: Vec::new(),
        epochs: Vec::new(),
        requests: Vec::new(),
        receipts: Vec::new(),
        keepers: Vec::new(),
        stale: Vec::new(),
    };
    Replica::restore(NOW, snapshot).unwrap().0
}

/// Whoever updates the program is still who they were.
#[test]
fn s4_a_golden_persona_comes_back() {
    let held = ["persona", "persona-1"].map(|name| files::read(name).unwrap());
    let people = [founder(), newcomer(), founder(), newcomer()];
    for ((word, record), (replica, _)) in held.into_iter().flatten().zip(people) {
        let back = restored(replica.group(), record);
        let who = |replica: &Replica| {
            (replica.member(), replica.device(), replica.transport_key().verifying_key())
        };
        assert_eq!(who(&back), who(&replica), "{word}");
        assert_eq!(back.state(), replica.state(), "{word}");
        let waiting = back.state() == ReplicaState::Waiting;
        assert_eq!(waiting, word == "waiting");
        let pending = back.pending_code().map(|code| code.to_text());
        assert_eq!(pending, waiting.then(|| code().to_text()));
        assert_eq!(back.group() == GROUP, waiting);
    }
}
