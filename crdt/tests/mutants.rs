//! Changed changes (C3): thousands of seeded mutants of real ones, with repaired checksums. None
//! may panic, and none may leave a document that its honest authors cannot go on with.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code"
)]

#[path = "fixtures/content.rs"]
mod content;

use std::collections::BTreeMap;
use std::panic::{catch_unwind, set_hook};

use automerge::legacy::{ElementId, Key, MarkData, ObjectId, OpId, OpType, SortedVec};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange, ObjType, ScalarValue};
use cairn_crdt::document::change::{Actor, ChangeRefused, CheckedChange, check};
use cairn_crdt::document::kinds::{Content, DocumentKind};
use cairn_crdt::document::rebuild::rebuild;
use cairn_crdt::id::EntryId;
use content::{actor, agreement, at, created, edit, edited, entry, post, samples};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// A document with a creation and edits by two devices, the last two at once.
struct Story {
    kind: DocumentKind,
    changes: Vec<(EntryId, CheckedChange)>,
    authors: Vec<u8>,
    next: Content,
}

fn story(first: &Content, second: &Content, third: &Content, next: Content) -> Story {
    let creation = (entry(1), created(first, 1, at(0)));
    let edited = (entry(2), edit(std::slice::from_ref(&creation), second, 2, at(1)));
    let both = vec![creation, edited];
    let here = (entry(3), edit(&both, third, 1, at(2)));
    let there = (entry(4), edit(&both, first, 2, at(2)));
    let kind = first.kind();
    let changes = both.into_iter().chain([here, there]).collect();
    Story { kind, changes, authors: vec![1, 2, 1, 2], next }
}

fn stories() -> Vec<Story> {
    let mut stories = vec![
        story(&post("a", ""), &post("b", "n"), &post("c", "m"), post("d", "x")),
        story(
            &agreement("Name", "One two three"),
            &agreement("Name", "One and three"),
            &agreement("Other", "Öne and two"),
            agreement("Last", "None."),
        ),
    ];
    for (first, second) in samples().into_iter().zip(edited()) {
        let creation = (entry(1), created(&first, 1, at(0)));
        let kind = first.kind();
        let mut changes = vec![creation];
        if let Some(second) = second {
            changes.push((entry(2), edit(&changes, &second, 2, at(1))));
        }
        let authors = vec![1, 2];
        stories.push(Story { kind, changes, authors, next: first });
    }
    stories
}

fn pick(rng: &mut ChaCha20Rng, below: usize) -> usize {
    usize::try_from(rng.next_u64() % below.max(1) as u64).unwrap()
}

/// Puts header and checksum around the contents of a change chunk.
fn chunk(contents: &[u8]) -> Vec<u8> {
    let mut length = Vec::new();
    let mut rest = contents.len();
    while rest >= 0x80 {
        length.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    length.push(rest as u8);
    let hashed: Vec<u8> = [1].iter().chain(&length).chain(contents).copied().collect();
    let sum = Sha256::digest(&hashed);
    let header = [0x85, 0x6f, 0x4a, 0x83, sum[0], sum[1], sum[2], sum[3]];
    header.into_iter().chain(hashed).collect()
}

/// The contents of a change chunk.
fn contents(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().skip(9).position(|byte| byte & 0x80 == 0).unwrap();
    &bytes[10 + length..]
}

/// Changes bytes anywhere, then repairs length and checksum.
fn flipped(rng: &mut ChaCha20Rng, bytes: &[u8]) -> Vec<u8> {
    let mut inside = contents(bytes).to_vec();
    for _ in 0..=pick(rng, 3) {
        let place = pick(rng, inside.len());
        match pick(rng, 6) {
            0 => inside[place] ^= 1 << pick(rng, 8),
            1 => inside[place] = (rng.next_u32() & 0xff) as u8,
            2 => inside[place] = inside[place].wrapping_add(1),
            3 => inside.insert(place, (rng.next_u32() & 0xff) as u8),
            4 => drop(inside.remove(place)),
            _ => {
                let other = pick(rng, inside.len());
                inside.swap(place, other);
            }
        }
    }
    chunk(&inside)
}

fn some_id(rng: &mut ChaCha20Rng) -> OpId {
    let who = actor(1 + (pick(rng, 3) as u8));
    OpId(pick(rng, 24) as u64, ActorId::from(who.as_bytes().as_slice()))
}

/// Changes the meaning of a change; `None` if Automerge cannot write it down.
fn twisted(rng: &mut ChaCha20Rng, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut change: ExpandedChange = Change::try_from(bytes).unwrap().decode();
    for _ in 0..=pick(rng, 2) {
        let place = pick(rng, change.operations.len());
        let id = some_id(rng);
        let other = change.operations[pick(rng, change.operations.len())].clone();
        let operation = &mut change.operations[place];
        match pick(rng, 22) {
            0 => operation.obj = ObjectId::Id(id),
            1 => operation.obj = ObjectId::Root,
            2 => operation.key = Key::Map("body".into()),
            3 => operation.key = Key::Map("unknown".into()),
            4 => operation.key = Key::Seq(ElementId::Head),
            5 => operation.key = Key::Seq(ElementId::Id(id)),
            6 => operation.insert = !operation.insert,
            7 => operation.pred = SortedVec::from(vec![id]),
            8 => operation.pred = SortedVec::from(vec![id, some_id(rng)]),
            9 => operation.pred = SortedVec::new(),
            10 => operation.action = OpType::Delete,
            11 => operation.action = OpType::Make([ObjType::Map, ObjType::Text][pick(rng, 2)]),
            12 => operation.action = OpType::Increment(1),
            13 => operation.action = OpType::Put(ScalarValue::Uint(rng.next_u64())),
            14 => operation.action = OpType::Put(ScalarValue::Str("xy".into())),
            15 => {
                let data = MarkData { name: "m".into(), value: true.into(), expand: false };
                operation.action =
                    [OpType::MarkBegin(data), OpType::MarkEnd(true)][pick(rng, 2)].clone();
            }
            16 => change.seq = pick(rng, 5) as u64,
            17 => change.start_op = (1 + pick(rng, 30) as u64).try_into().unwrap(),
            18 => change.deps = vec![ChangeHash([7; 32])],
            19 => change.deps.clear(),
            20 => change.operations.push(other),
            _ => match pick(rng, 4) {
                0 => change.time = -1,
                1 => change.message = Some("hello".into()),
                2 => change.extra_bytes = vec![1, 2, 3],
                _ => drop(change.operations.remove(place)),
            },
        }
        if change.operations.is_empty() {
            break;
        }
    }
    catch_unwind(|| Change::from(change).raw_bytes().to_vec()).ok()
}

/// What became of the mutants.
#[derive(Debug, Default)]
struct Tally {
    refused: BTreeMap<String, usize>,
    void: BTreeMap<String, usize>,
    stood: usize,
    unchanged: usize,
}

impl Tally {
    /// Checks a mutant of the change at `place` and, if it passes, rebuilds the story with it,
    /// once in its place and once beside it; an honest author must be able to go on.
    fn try_out(&mut self, story: &Story, place: usize, mutant: &[u8], who: Actor) {
        let (_, honest) = &story.changes[place];
        if mutant == honest.bytes() {
            self.unchanged += 1;
            return;
        }
        let checked = match check(story.kind, honest.is_creation(), mutant, who) {
            Ok(checked) => checked,
            Err(refused) => {
                *self.refused.entry(format!("{refused:?}")).or_default() += 1;
                return;
            }
        };
        let again = Change::from(Change::try_from(mutant).unwrap().decode());
        assert_eq!((checked.bytes(), again.raw_bytes()), (mutant, mutant));
        let mut instead = story.changes.clone();
        instead[place].1 = checked.clone();
        let mut beside = story.changes.clone();
        beside.push((entry(200), checked));
        for (changes, id) in [(&mut instead, story.changes[place].0), (&mut beside, entry(200))] {
            let rebuilt = rebuild(story.kind, changes);
            let mut turned = changes.clone();
            turned.reverse();
            assert_eq!(rebuild(story.kind, &turned), rebuilt);
            match rebuilt.void.get(&id) {
                Some(reason) => *self.void.entry(format!("{reason:?}")).or_default() += 1,
                None => self.stood += 1,
            }
            let Some(view) = rebuilt.view else { continue };
            if view.content == story.next || story.kind == DocumentKind::Act {
                continue;
            }
            let mut next = story.next.clone();
            match (&mut next, &view.content) {
                (Content::Post(next), Content::Post(now)) => {
                    let (body, note, wants) = (next.body.clone(), next.note.clone(), next.wants);
                    *next = now.clone();
                    (next.body, next.note, next.wants) = (body, note, wants);
                }
                (Content::Response(next), Content::Response(now)) => next.post = now.post,
                _ => {}
            }
            if view.content == next {
                continue;
            }
            let change = edit(changes, &next, 5, at(50));
            changes.push((entry(201), change));
            let after = rebuild(story.kind, changes);
            assert_eq!(after.view.unwrap().content, next);
            assert!(!after.void.contains_key(&entry(201)));
        }
    }
}

#[test]
fn c3_no_mutant_panics_or_poisons_a_document() {
    // Automerge panics on some of them: caught, counted as refused, and not worth printing.
    set_hook(Box::new(|info| {
        if info.location().is_some_and(|place| place.file().contains("tests/")) {
            eprintln!("{info}");
        }
    }));
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let stories = stories();
    let mut tally = Tally::default();
    for round in 0..24_000 {
        let story = &stories[round % stories.len()];
        let place = pick(&mut rng, story.changes.len());
        let honest = story.changes[place].1.bytes();
        let mutant = if round % 2 == 0 {
            Some(flipped(&mut rng, honest))
        } else {
            twisted(&mut rng, honest)
        };
        let Some(mutant) = mutant else { continue };
        tally.try_out(story, place, &mutant, actor(story.authors[place]));
    }
    // The mutants reach every layer of the defence.
    println!("{tally:?}");
    for reason in ["OutOfBounds", "Unreadable", "NotCanonical", "OtherActor", "Implausible"] {
        assert!(tally.refused.get(reason).is_some_and(|count| *count > 50), "{reason} {tally:?}");
    }
    assert!(tally.refused["OutsideProfile"] > 500, "{tally:?}");
    for reason in ["OutOfPlace", "Unknown", "Missing"] {
        assert!(tally.void.get(reason).is_some_and(|count| *count > 10), "{reason} {tally:?}");
    }
    assert!(tally.stood > 100, "{tally:?}");
}

#[test]
fn c3_few_bytes_cannot_claim_many_operations() {
    // 2^40 operations in runs: each column says its one value so many times.
    let many = [0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
    let run = |value: &[u8]| [many.as_slice(), value].concat();
    let columns = [
        (0x15, run(&[4, b'b', b'o', b'd', b'y'])),
        (0x34, many.to_vec()),
        (0x42, run(&[1])),
        (0x56, run(&[0])),
        (0x70, run(&[0])),
    ];
    let who = actor(1);
    let bomb = |only: Option<usize>| {
        let mut inside = vec![0, 32];
        inside.extend(who.as_bytes());
        inside.extend([1, 1, 0, 0, 0, columns.len() as u8]);
        let data: Vec<Vec<u8>> = columns
            .iter()
            .enumerate()
            .map(|(place, (_, run))| match only {
                Some(only) if only != place => [&[1], &run[many.len()..]].concat(),
                _ => run.clone(),
            })
            .collect();
        for ((specification, _), data) in columns.iter().zip(&data) {
            inside.extend([*specification, data.len() as u8]);
        }
        inside.extend(data.concat());
        chunk(&inside)
    };
    for only in [None, Some(0), Some(1), Some(2), Some(3), Some(4)] {
        let refused = check(DocumentKind::Post, true, &bomb(only), who).err();
        assert_eq!(refused, Some(ChangeRefused::OutOfBounds), "{only:?}");
    }
}
