//! What a change alone shows of whether a document can take it (C3).

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code"
)]

#[path = "fixtures/content.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod content;

use core::num::NonZeroU64;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType, SortedVec};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange, ObjType, ScalarValue};
use cairn_crdt::document::change::{ChangeRefused, CheckedChange, check};
use cairn_crdt::document::kinds::{Content, DocumentKind};
use cairn_crdt::limits::{BODY_BYTES, CHANGE_NAMES};
use content::{actor, agreement, at, created, edit, entry, post};
use sha2::Digest as _;

/// The change, with something about it altered, in canonical form.
fn altered(change: &CheckedChange, alter: impl FnOnce(&mut ExpandedChange)) -> Vec<u8> {
    let mut expanded = Change::try_from(change.bytes()).unwrap().decode();
    alter(&mut expanded);
    Change::from(expanded).raw_bytes().to_vec()
}

/// What can be told of a change's place from the change alone, one condition after the other.
#[test]
fn c3_a_creation_is_a_first_change_and_an_edit_is_not() {
    let creation = created(&post("one", ""), 1, at(0));
    let edit = edit(&[(entry(1), creation.clone())], &post("two", ""), 1, at(1));
    let hash = Change::try_from(creation.bytes()).unwrap().hash();
    assert!(check(DocumentKind::Post, true, creation.bytes(), actor(1)).is_ok());
    assert!(check(DocumentKind::Post, false, edit.bytes(), actor(1)).is_ok());
    type Alter = fn(&mut ExpandedChange, ChangeHash);
    let of_creation: [Alter; 3] = [
        |change, _| change.seq = 2,
        |change, _| change.start_op = change.start_op.checked_add(1).unwrap(),
        |change, hash| change.deps.push(hash),
    ];
    for alter in of_creation {
        let bytes = altered(&creation, |change| alter(change, hash));
        let refused = check(DocumentKind::Post, true, &bytes, actor(1)).err();
        assert_eq!(refused, Some(ChangeRefused::Implausible));
    }
    let of_edit: [(Alter, ChangeRefused); 6] = [
        (|change, _| change.deps.clear(), ChangeRefused::Implausible),
        (
            |change, _| {
                let many = (0..=u8::try_from(CHANGE_NAMES).unwrap()).map(|n| [n; 32]);
                change.deps = many.map(ChangeHash).collect();
            },
            ChangeRefused::OutOfBounds,
        ),
        (
            |change, _| change.operations[0].pred = SortedVec::from(vec![]),
            ChangeRefused::OutsideProfile,
        ),
        (
            |change, _| {
                let own = ActorId::from(actor(1).as_bytes().as_slice());
                let start = change.start_op.get();
                change.operations[0].pred = SortedVec::from(vec![OpId(start + 1, own)]);
            },
            ChangeRefused::OutsideProfile,
        ),
        (
            |change, _| change.operations.push(change.operations[0].clone()),
            ChangeRefused::OutsideProfile,
        ),
        (
            |change, _| {
                let mut note = change.operations[0].clone();
                note.key = Key::Map("note".into());
                change.operations.insert(0, note);
            },
            ChangeRefused::OutsideProfile,
        ),
    ];
    for (number, (alter, why)) in of_edit.into_iter().enumerate() {
        let bytes = altered(&edit, |change| alter(change, hash));
        let refused = check(DocumentKind::Post, false, &bytes, actor(1)).err();
        assert_eq!(refused, Some(why), "{number}");
    }
    // As many as may be named are not too many.
    let most = altered(&edit, |change| {
        let many = (0..u8::try_from(CHANGE_NAMES).unwrap()).map(|n| [n; 32]);
        change.deps = many.map(ChangeHash).collect();
    });
    assert!(check(DocumentKind::Post, false, &most, actor(1)).is_ok());
}

/// A change to alter: what it is a change of, whether it creates that, and itself.
#[derive(Clone)]
struct Sample {
    kind: DocumentKind,
    creation: bool,
    change: CheckedChange,
}

impl Sample {
    fn creation(content: &Content) -> Self {
        Self { kind: content.kind(), creation: true, change: created(content, 1, at(0)) }
    }

    fn edit(before: &Content, after: &Content) -> Self {
        let existing = [(entry(1), created(before, 1, at(0)))];
        let change = edit(&existing, after, 1, at(1));
        Self { kind: before.kind(), creation: false, change }
    }

    fn check(&self, bytes: &[u8]) -> Option<ChangeRefused> {
        check(self.kind, self.creation, bytes, actor(1)).err()
    }

    /// Why the change is refused with something about it altered.
    fn altered(&self, alter: impl FnOnce(&mut ExpandedChange)) -> Option<ChangeRefused> {
        self.check(&altered(&self.change, alter))
    }

    /// Why it is refused with something about one operation altered.
    fn with(&self, operation: usize, alter: impl FnOnce(&mut Op)) -> Option<ChangeRefused> {
        self.altered(|change| alter(&mut change.operations[operation]))
    }

    fn start(&self) -> u64 {
        Change::try_from(self.change.bytes()).unwrap().decode().start_op.get()
    }
}

/// An operation of the device whose changes these are.
fn own(counter: u64) -> OpId {
    OpId(counter, ActorId::from(actor(1).as_bytes().as_slice()))
}

fn replacing(ids: impl IntoIterator<Item = OpId>) -> SortedVec<OpId> {
    ids.into_iter().collect()
}

const OUTSIDE: Option<ChangeRefused> = Some(ChangeRefused::OutsideProfile);

#[test]
fn c3_an_edit_follows_on_something_and_does_something() {
    let edit = Sample::edit(&post("one", ""), &post("two", ""));
    let implausible = Some(ChangeRefused::Implausible);
    assert_eq!(edit.altered(|change| change.seq = 0), implausible);
    assert_eq!(edit.altered(|change| change.start_op = NonZeroU64::MIN), implausible);
    assert_eq!(edit.altered(|change| change.time = -1), implausible);
    assert_eq!(edit.altered(|change| change.operations.clear()), Some(ChangeRefused::OutOfBounds));
    let creation = Sample::creation(&post("one", ""));
    let other = OpId(1, ActorId::from(actor(2).as_bytes().as_slice()));
    assert_eq!(creation.with(0, |op| op.pred = replacing([other])), implausible);
}

#[test]
fn c3_a_change_has_one_form() {
    let edit = Sample::edit(&post("one", ""), &post("two", ""));
    let mut bytes = edit.change.bytes().to_vec();
    // A column that says "one value, as it is" comes to say "the next value, once".
    let column = bytes.iter().rposition(|byte| *byte == 0x7f).unwrap();
    bytes[column] = 1;
    let sum = sha2::Sha256::digest(&bytes[8..]);
    bytes[4..8].copy_from_slice(&sum[..4]);
    assert_eq!(Change::try_from(bytes.as_slice()).unwrap().decode().operations.len(), 1);
    assert_eq!(edit.check(&bytes), Some(ChangeRefused::NotCanonical));
}

#[test]
fn c3_every_operation_is_one_that_the_kind_has() {
    let post_edit = Sample::edit(&post("one", ""), &post("two", ""));
    let circle = |text| agreement("Circle", text);
    let written = Sample::creation(&circle("ab"));
    let inserted = Sample::edit(&circle("ab"), &circle("abc"));
    let deleted = Sample::edit(&circle("ab"), &circle("a"));
    let named = Sample::edit(&circle("ab"), &agreement("Evening", "ab"));
    for sample in [&post_edit, &written, &inserted, &deleted, &named] {
        assert_eq!(sample.altered(|_| {}), None);
    }
    let put = |value: ScalarValue| move |op: &mut Op| op.action = OpType::Put(value);
    // At the root: no insertion, a value of the key's shape, and of the shared text its making only.
    assert_eq!(post_edit.with(0, |op| op.insert = true), OUTSIDE);
    assert_eq!(post_edit.with(0, put(ScalarValue::Uint(3))), OUTSIDE);
    let long = "x".repeat(BODY_BYTES + 1);
    assert_eq!(post_edit.with(0, put(ScalarValue::Str(long.into()))), OUTSIDE);
    assert_eq!(post_edit.with(0, |op| op.action = OpType::Make(ObjType::Text)), OUTSIDE);
    assert_eq!(post_edit.with(0, |op| op.action = OpType::Delete), OUTSIDE);
    assert_eq!(written.with(1, |op| op.pred = replacing([own(1)])), OUTSIDE);
    let whole = put(ScalarValue::Str("ab".into()));
    let no_text = written.altered(|change| {
        change.operations.truncate(2);
        whole(&mut change.operations[1]);
    });
    assert_eq!(no_text, OUTSIDE);
    // In the shared text: a character is inserted and replaces nothing, or one is deleted.
    assert_eq!(inserted.with(0, |op| op.insert = false), OUTSIDE);
    assert_eq!(inserted.with(0, |op| op.pred = replacing([own(3)])), OUTSIDE);
    assert_eq!(inserted.with(0, put(ScalarValue::Str("cd".into()))), OUTSIDE);
    assert_eq!(deleted.with(0, |op| op.insert = true), OUTSIDE);
    assert_eq!(deleted.with(0, |op| op.pred = replacing([own(3)])), OUTSIDE);
    // As many as may be named are replaced, and no more.
    let replaces = |many: usize| {
        let ids = (1..=many).map(|counter| own(u64::try_from(counter).unwrap()));
        named.altered(|change| {
            change.start_op = NonZeroU64::new(1000).unwrap();
            change.operations[0].pred = replacing(ids);
        })
    };
    assert_eq!((replaces(CHANGE_NAMES), replaces(CHANGE_NAMES + 1)), (None, OUTSIDE));
}

#[test]
fn c3_a_creation_sets_every_key_once_and_in_order() {
    let post = Sample::creation(&post("one", ""));
    assert_eq!(post.altered(|change| change.operations.swap(2, 3)), OUTSIDE);
    assert_eq!(post.altered(|change| drop(change.operations.pop())), OUTSIDE);
    let again = |change: &mut ExpandedChange| change.operations.push(change.operations[2].clone());
    assert_eq!(post.altered(again), OUTSIDE);
    // The characters of the text that was made, each after the one before.
    let written = Sample::creation(&agreement("Circle", "abc"));
    assert_eq!(written.with(3, |op| op.obj = ObjectId::Id(own(1))), OUTSIDE);
    assert_eq!(written.with(4, |op| op.key = Key::from(own(3))), OUTSIDE);
    assert_eq!(written.with(3, |op| op.key = Key::head()), OUTSIDE);
}

#[test]
fn c3_an_edit_replaces_what_was_there_before_it() {
    let body = Sample::edit(&post("one", ""), &post("two", ""));
    let start = body.start();
    assert_eq!(body.with(0, |op| op.pred = replacing([own(start)])), OUTSIDE);
    let twice = vec![own(3), own(3)];
    assert_eq!(body.with(0, |op| op.pred = SortedVec::from(twice)), OUTSIDE);
    assert_eq!(body.with(0, |op| op.key = Key::Map("thread".into())), OUTSIDE);
    // Keys first, then the text.
    let both = Sample::edit(&agreement("Circle", "ab"), &agreement("Evening", "abc"));
    assert_eq!(both.altered(|_| {}), None);
    assert_eq!(both.altered(|change| change.operations.swap(0, 1)), OUTSIDE);
    // One text, after what is there, and nothing deleted twice.
    let inserted = Sample::edit(&agreement("Circle", "ab"), &agreement("Circle", "abcd"));
    let start = inserted.start();
    assert_eq!(inserted.with(1, |op| op.obj = ObjectId::Id(own(1))), OUTSIDE);
    assert_eq!(inserted.with(0, |op| op.key = Key::from(own(start))), OUTSIDE);
    assert_eq!(inserted.with(0, |op| op.key = Key::from(own(start + 1))), OUTSIDE);
    let deleted = Sample::edit(&agreement("Circle", "abc"), &agreement("Circle", "a"));
    assert_eq!(deleted.altered(|_| {}), None);
    assert_eq!(deleted.with(1, |op| op.obj = ObjectId::Id(own(1))), OUTSIDE);
    let again = |change: &mut ExpandedChange| change.operations.push(change.operations[0].clone());
    assert_eq!(deleted.altered(again), OUTSIDE);
}
