//! Documents whose changes are crafted.

use std::sync::LazyLock;

use automerge::{Change, ExpandedChange};
use cairn_crdt::document::change::{Actor, CheckedChange};
use cairn_crdt::document::kinds::{Content, DocumentKind};
use cairn_crdt::id::EntryId;

use super::super::fixtures::{actor, agreement, at, created, edit, edited, entry, post, samples};

/// The device with this number, in every story.
pub fn author(number: u8) -> Actor {
    actor(number)
}

/// A document with a creation and edits by two devices, and what one of them writes next.
pub struct Story {
    /// What it is.
    pub kind: DocumentKind,
    /// Its changes, by the entries that they came in.
    pub changes: Vec<(EntryId, CheckedChange)>,
    pub(super) next: Content,
    authors: Vec<u8>,
    expanded: Vec<ExpandedChange>,
}

impl Story {
    fn new(changes: Vec<(EntryId, CheckedChange)>, authors: &[u8], next: Content) -> Self {
        let read = |change: &CheckedChange| Some(Change::try_from(change.bytes()).ok()?.decode());
        Self {
            kind: next.kind(),
            expanded: changes.iter().filter_map(|(_, change)| read(change)).collect(),
            changes,
            authors: authors.to_vec(),
            next,
        }
    }

    pub(super) fn honest(&self, place: usize) -> &CheckedChange {
        &self.changes[place].1
    }

    pub(super) fn expanded(&self, place: usize) -> &ExpandedChange {
        &self.expanded[place]
    }

    pub fn author_of(&self, place: usize) -> Actor {
        author(self.authors[place])
    }
}

/// A creation, an edit of another device, and one of each at once.
fn at_once(first: &Content, second: &Content, third: &Content, next: Content) -> Story {
    let creation = (entry(1), created(first, 1, at(0)));
    let second = (entry(2), edit(std::slice::from_ref(&creation), second, 2, at(1)));
    let both = vec![creation, second];
    let here = (entry(3), edit(&both, third, 1, at(2)));
    let there = (entry(4), edit(&both, first, 2, at(2)));
    let changes = both.into_iter().chain([here, there]).collect();
    Story::new(changes, &[1, 2, 1, 2], next)
}

/// A document of each kind, and two that were edited at once.
pub fn stories() -> &'static [Story] {
    static STORIES: LazyLock<Vec<Story>> = LazyLock::new(|| {
        let mut stories = vec![
            at_once(&post("a", ""), &post("b", "n"), &post("c", "m"), post("d", "x")),
            at_once(
                &agreement("Name", "One two three"),
                &agreement("Name", "One and three"),
                &agreement("Other", "Öne and two"),
                agreement("Last", "None."),
            ),
        ];
        for (first, second) in samples().into_iter().zip(edited()) {
            let mut changes = vec![(entry(1), created(&first, 1, at(0)))];
            if let Some(second) = second {
                changes.push((entry(2), edit(&changes, &second, 2, at(1))));
            }
            stories.push(Story::new(changes, &[1, 2], first));
        }
        stories
    });
    &STORIES
}
