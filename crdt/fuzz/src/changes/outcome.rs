//! What becomes of a crafted change, and what must hold whatever it is.

use automerge::{Automerge, Change, ROOT, ReadDoc as _, Value};
use cairn_crdt::document::change::{ChangeRefused, CheckedChange, check};
use cairn_crdt::document::kinds::{Content, DocumentKind};
use cairn_crdt::document::rebuild::{Rebuilt, Void, rebuild};
use cairn_crdt::id::EntryId;

use super::super::fixtures::{at, edit, entry};
use super::story::Story;

/// The entry that a crafted change came in beside the honest ones.
const BESIDE: u8 = 200;
/// The entry that an honest author writes next.
const NEXT: u8 = 201;
/// The device of that author.
const AUTHOR: u8 = 5;

/// What became of a crafted change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Automerge could not write it down, so nobody can send it.
    Unwritable,
    /// It is what it was.
    Unchanged,
    /// The check refused it.
    Refused(ChangeRefused),
    /// The check let it pass: what it is in the place of the honest one, and beside it.
    Checked([Side; 2]),
}

/// What a change is in a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// It does not count.
    Void(Void),
    /// It does.
    Stands,
}

impl Story {
    /// Checks a crafted form of the change at `place`. If it passes, the document is rebuilt with
    /// it, once in the place of the honest one and once beside it.
    pub(super) fn try_out(&self, place: usize, mutant: &[u8]) -> Outcome {
        let (entry_of, honest) = &self.changes[place];
        if mutant == honest.bytes() {
            return Outcome::Unchanged;
        }
        let who = self.author_of(place);
        let checked = match check(self.kind, honest.is_creation(), mutant, who) {
            Ok(checked) => checked,
            Err(refused) => return Outcome::Refused(refused),
        };
        let again = Change::from(Change::try_from(mutant).unwrap().decode());
        assert_eq!((checked.bytes(), again.raw_bytes()), (mutant, mutant));
        let mut instead = self.changes.clone();
        instead[place].1 = checked.clone();
        let mut beside = self.changes.clone();
        beside.push((entry(BESIDE), checked));
        Outcome::Checked([self.goes_on(instead, *entry_of), self.goes_on(beside, entry(BESIDE))])
    }

    /// Any order is the same document; it is saved, loaded and read; an honest author goes on.
    fn goes_on(&self, mut changes: Vec<(EntryId, CheckedChange)>, crafted: EntryId) -> Side {
        let rebuilt = rebuild(self.kind, &changes);
        changes.reverse();
        assert_eq!(rebuild(self.kind, &changes), rebuilt, "the order makes a difference");
        let side = rebuilt.void.get(&crafted).map_or(Side::Stands, |void| Side::Void(*void));
        let Some(view) = &rebuilt.view else { return side };
        if side == Side::Stands {
            is_whole(self.kind, &changes, &rebuilt);
        }
        let next = self.next_after(&view.content);
        if view.content != next && self.kind != DocumentKind::Act {
            changes.push((entry(NEXT), edit(&changes, &next, AUTHOR, at(50))));
            let after = rebuild(self.kind, &changes);
            assert_eq!(after.view.map(|view| view.content).as_ref(), Some(&next));
            assert!(!after.void.contains_key(&entry(NEXT)), "an honest change is void");
        }
        side
    }

    /// What an honest author writes next, who leaves alone what cannot be edited.
    fn next_after(&self, now: &Content) -> Content {
        let mut next = self.next.clone();
        match (&mut next, now) {
            (Content::Post(next), Content::Post(now)) => {
                let (body, note, wants) = (next.body.clone(), next.note.clone(), next.wants);
                *next = now.clone();
                (next.body, next.note, next.wants) = (body, note, wants);
            }
            (Content::Response(next), Content::Response(now)) => next.post = now.post,
            _ => {}
        }
        next
    }
}

/// The standing changes make a document that Automerge saves, loads, and reads every key of. None
/// of this is guarded: a panic here is one that would reach the program.
fn is_whole(kind: DocumentKind, changes: &[(EntryId, CheckedChange)], rebuilt: &Rebuilt) {
    let standing = changes.iter().filter(|(entry, _)| !rebuilt.void.contains_key(entry));
    let read = |(_, change): &(EntryId, CheckedChange)| Change::try_from(change.bytes()).unwrap();
    let standing: Vec<Change> = standing.map(read).collect();
    let mut document = Automerge::new();
    document.apply_changes(standing.clone()).unwrap();
    let loaded = Automerge::load(&document.save()).unwrap();
    assert_eq!(loaded.get_heads(), document.get_heads());
    for field in kind.fields() {
        let (value, object) = loaded.get(ROOT, field.key).unwrap().unwrap();
        if matches!(value, Value::Object(_)) {
            assert_eq!(loaded.text(&object).unwrap(), document.text(&object).unwrap());
        }
        assert_eq!(document.get(ROOT, field.key).unwrap().unwrap().0, value);
    }
}
