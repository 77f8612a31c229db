//! What a change alone shows of whether a document can take it (C3).

#![expect(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "test code")]

#[path = "fixtures/content.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod content;

use automerge::legacy::{Key, OpId, SortedVec};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange};
use cairn_crdt::document::change::{ChangeRefused, CheckedChange, check};
use cairn_crdt::document::kinds::DocumentKind;
use cairn_crdt::limits::CHANGE_NAMES;
use content::{actor, at, created, edit, entry, post};

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
