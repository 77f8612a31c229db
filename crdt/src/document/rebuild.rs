//! The state of a document from its changes (C4, C7): any order, any duplication, the same view.
//!
//! Changes are put into canonical order (what a change depends on first, then time, actor,
//! sequence number and entry id), and each must fit those before it: its dependencies stand, it is
//! the next of its actor, its operations follow on, and whatever an operation names was made by
//! the changes that it depends on. What does not fit is void, with what depends on it. Automerge
//! then merges what is left; a change that still fails there is void likewise. The document
//! stands without them.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, ROOT, ReadDoc as _, Value};

use crate::document::change::{Actor, ChangeHash, CheckedChange, OpId, Operation, guarded};
use crate::document::kinds::{Content, DocumentKind};
use crate::document::profile::{Scalar, Values};
use crate::document::view::View;
use crate::id::{EntryId, MemberId};
use crate::limits::DOCUMENT_CHANGES;

/// A document, rebuilt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rebuilt {
    /// What it says; `None` when nothing stands, because no creation does.
    pub view: Option<View>,
    /// The entries whose changes do not count, by id, each with the reason.
    pub void: BTreeMap<EntryId, Void>,
}

/// Why a change does not count in a rebuild. More entries can change that; C3 refusals are final.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, thiserror::Error)]
pub enum Void {
    /// Checked for another kind of document than this.
    #[error("C1: the change is of another kind of document")]
    OtherKind,
    /// The same change is in an entry before it, or the document was created before.
    #[error("C4: the same was written in another entry")]
    Repeated,
    /// What it depends on is missing or void.
    #[error("C4: what the change depends on is missing or does not count")]
    Missing,
    /// Not the next change of its actor, or its operations do not follow on.
    #[error("C3: the change does not follow on those before it")]
    OutOfPlace,
    /// It names an operation that the changes before it did not make.
    #[error("C3: the change refers to what was never written")]
    Unknown,
    /// The document cannot be read with it, or becomes larger than it may.
    #[error("C3: the document does not bear the change")]
    Unbearable,
    /// More changes than are looked at in one document.
    #[error("C4: the document has more changes than are looked at")]
    TooMany,
}

/// The document that these changes make.
#[must_use]
pub fn rebuild(kind: DocumentKind, changes: &[(EntryId, CheckedChange)]) -> Rebuilt {
    let mut void = BTreeMap::new();
    let mut standing: Vec<(EntryId, &CheckedChange)> = Vec::new();
    let mut known = Known::default();
    for (place, (entry, change)) in ordered(kind, changes, &mut void).into_iter().enumerate() {
        let fits = if place < DOCUMENT_CHANGES { known.accept(change) } else { Err(Void::TooMany) };
        match fits {
            Ok(()) => standing.push((entry, change)),
            Err(reason) => {
                void.insert(entry, reason);
            }
        }
    }
    let view = match standing.as_slice() {
        [] => None,
        [(_, creation)] => read_single(creation),
        several => {
            let several: Vec<_> = several.iter().map(|(_, change)| *change).collect();
            read_merged(kind, &several).or_else(|| read_one_by_one(kind, &standing, &mut void))
        }
    };
    Rebuilt { view, void }
}

/// What a document says that has one change, read from its operations (C7). `None` if the change
/// is no creation.
#[must_use]
pub fn read_single(change: &CheckedChange) -> Option<View> {
    if !change.creation {
        return None;
    }
    Some(View { content: change.content()?, written: change.written, edited: None })
}

/// The changes of `all` that are not void, each once.
pub(super) fn standing<'a>(
    all: &'a [(EntryId, CheckedChange)],
    void: &BTreeMap<EntryId, Void>,
) -> Vec<&'a CheckedChange> {
    let mut seen = BTreeSet::new();
    all.iter()
        .filter(|(entry, _)| !void.contains_key(entry) && seen.insert(*entry))
        .map(|(_, change)| change)
        .collect()
}

/// Void entries of a shared document that a counted entry of another member depends on, directly
/// or through others: their changes are part of the document all the same (C4).
#[must_use]
pub fn lent(
    counted: &[(MemberId, &CheckedChange)],
    void: &[(EntryId, MemberId, &CheckedChange)],
) -> BTreeSet<EntryId> {
    let by_hash: BTreeMap<ChangeHash, (EntryId, MemberId, &CheckedChange)> =
        void.iter().map(|item| (item.2.hash(), *item)).collect();
    let mut lent = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = counted.to_vec();
    while let Some((member, change)) = open.pop() {
        for dependency in change.dependencies() {
            let Some((entry, author, needed)) = by_hash.get(dependency) else { continue };
            if *author != member && seen.insert((member, *entry)) {
                lent.insert(*entry);
                open.push((member, needed));
            }
        }
    }
    lent
}

/// Canonical order. What can never be placed goes to `void`.
fn ordered<'a>(
    kind: DocumentKind,
    changes: &'a [(EntryId, CheckedChange)],
    void: &mut BTreeMap<EntryId, Void>,
) -> Vec<(EntryId, &'a CheckedChange)> {
    let mut by_hash: BTreeMap<ChangeHash, (EntryId, &CheckedChange)> = BTreeMap::new();
    for (entry, change) in changes {
        if change.kind != kind {
            void.insert(*entry, Void::OtherKind);
            continue;
        }
        let kept = by_hash.entry(change.hash()).or_insert((*entry, change));
        if kept.0 != *entry {
            let (first, second) = (kept.0.min(*entry), kept.0.max(*entry));
            kept.0 = first;
            void.insert(second, Void::Repeated);
        }
    }
    let mut waiting: BTreeMap<ChangeHash, usize> = BTreeMap::new();
    let mut followers: BTreeMap<ChangeHash, Vec<ChangeHash>> = BTreeMap::new();
    let mut ready = BTreeSet::new();
    let key = |entry: EntryId, change: &CheckedChange, hash: ChangeHash| {
        (change.written, change.actor, change.seq, entry, hash)
    };
    for (hash, (entry, change)) in &by_hash {
        waiting.insert(*hash, change.dependencies.len());
        for dependency in &change.dependencies {
            followers.entry(*dependency).or_default().push(*hash);
        }
        if change.dependencies.is_empty() {
            ready.insert(key(*entry, change, *hash));
        }
    }
    let mut order = Vec::with_capacity(by_hash.len());
    while let Some((.., hash)) = ready.pop_first() {
        let Some((entry, change)) = by_hash.remove(&hash) else { continue };
        order.push((entry, change));
        for follower in followers.remove(&hash).unwrap_or_default() {
            let Some(count) = waiting.get_mut(&follower) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0
                && let Some((entry, change)) = by_hash.get(&follower)
            {
                ready.insert(key(*entry, change, follower));
            }
        }
    }
    for (entry, _) in by_hash.into_values() {
        void.insert(entry, Void::Missing);
    }
    order
}

/// What the changes accepted so far have made.
#[derive(Default)]
struct Known<'a> {
    /// For each change, by its hash: how far it reaches in each actor's changes, itself included,
    /// and one past the largest counter up to it.
    changes: BTreeMap<ChangeHash, (Clock, u64)>,
    /// The accepted changes of each actor, by the counter of their first operation.
    by_start: BTreeMap<(Actor, u64), &'a CheckedChange>,
    taken: BTreeSet<(Actor, u64)>,
    created: bool,
}

/// Actor → sequence number of its last change that is included.
type Clock = BTreeMap<Actor, u64>;

impl<'a> Known<'a> {
    fn accept(&mut self, change: &'a CheckedChange) -> Result<(), Void> {
        if change.creation && self.created {
            return Err(Void::Repeated);
        }
        let mut clock = Clock::new();
        let mut start = 1;
        for dependency in &change.dependencies {
            let (reach, end) = self.changes.get(dependency).ok_or(Void::Missing)?;
            start = start.max(*end);
            for (actor, seq) in reach {
                let known = clock.entry(*actor).or_default();
                *known = (*known).max(*seq);
            }
        }
        let before = clock.get(&change.actor).copied().unwrap_or(0);
        if before.checked_add(1) != Some(change.seq) || change.start != start {
            return Err(Void::OutOfPlace);
        }
        if self.taken.contains(&(change.actor, change.seq)) {
            return Err(Void::Repeated);
        }
        if !change.creation && !self.knows_all(change, &clock) {
            return Err(Void::Unknown);
        }
        clock.insert(change.actor, change.seq);
        self.created |= change.creation;
        self.taken.insert((change.actor, change.seq));
        self.by_start.insert((change.actor, change.start), change);
        self.changes.insert(change.hash(), (clock, change.end()));
        Ok(())
    }

    /// Whether every operation that the change names exists in what it depends on (or, for a
    /// character inserted, in the change itself) and is of the sort that it is named as.
    fn knows_all(&self, change: &CheckedChange, clock: &Clock) -> bool {
        let find = |id: &OpId| self.find(id, clock);
        let is_text = |id: &OpId| matches!(find(id), Some(Operation::MakeText));
        let is_character = |id: &OpId| matches!(find(id), Some(Operation::Insert { .. }));
        let own = |id: &OpId| {
            let at = id.counter.checked_sub(change.start).filter(|_| id.actor == change.actor);
            let at = at.and_then(|at| usize::try_from(at).ok());
            matches!(at.and_then(|at| change.operations.get(at)), Some(Operation::Insert { .. }))
        };
        change.operations.iter().all(|operation| {
            match operation {
            Operation::Set { field, replaces, .. } => replaces.iter().all(|id| {
                matches!(find(id), Some(Operation::Set { field: other, .. }) if other == field)
            }),
            Operation::MakeText => false,
            Operation::Insert { text, after, .. } => {
                is_text(text) && after.as_ref().is_none_or(|id| own(id) || is_character(id))
            }
            Operation::Delete { text, character } => is_text(text) && is_character(character),
        }
        })
    }

    /// An operation that is included in `clock`.
    fn find(&self, id: &OpId, clock: &Clock) -> Option<&'a Operation> {
        let range = (id.actor, 0)..=(id.actor, id.counter);
        let ((_, start), change) = self.by_start.range(range).next_back()?;
        if change.seq > clock.get(&id.actor).copied().unwrap_or(0) {
            return None;
        }
        let index = usize::try_from(id.counter.checked_sub(*start)?).ok()?;
        change.operations.get(index)
    }
}

/// An Automerge document of these changes, which all fit. `None` if Automerge does not take them.
pub(super) fn merged(changes: &[&CheckedChange]) -> Option<Automerge> {
    let mut document = Automerge::new();
    add(&mut document, changes)?;
    Some(document)
}

fn add(document: &mut Automerge, changes: &[&CheckedChange]) -> Option<()> {
    let all: Vec<_> = changes.iter().map(|change| change.change.clone()).collect();
    document.apply_changes(all).ok()?;
    let is_in = |change: &&CheckedChange| {
        document.get_change_meta_by_hash(&automerge::ChangeHash(change.hash())).is_some()
    };
    changes.iter().all(is_in).then_some(())
}

/// All at once: the usual way.
pub(super) fn read_merged(kind: DocumentKind, changes: &[&CheckedChange]) -> Option<View> {
    let content = guarded(|| read(kind, &merged(changes)?))?;
    dated(content, changes.iter().copied())
}

/// One after the other, each on a scratch copy: finds the changes that the document does not bear.
fn read_one_by_one(
    kind: DocumentKind,
    changes: &[(EntryId, &CheckedChange)],
    void: &mut BTreeMap<EntryId, Void>,
) -> Option<View> {
    let mut document = Automerge::new();
    let mut content = None;
    let mut standing: BTreeMap<ChangeHash, &CheckedChange> = BTreeMap::new();
    for (entry, change) in changes {
        if change.dependencies.iter().any(|dependency| !standing.contains_key(dependency)) {
            void.insert(*entry, Void::Missing);
            continue;
        }
        let step = guarded(|| {
            let mut scratch = document.clone();
            add(&mut scratch, &[change])?;
            let content = read(kind, &scratch)?;
            Some((scratch, content))
        });
        match step {
            Some((scratch, read)) => {
                document = scratch;
                content = Some(read);
                standing.insert(change.hash(), change);
            }
            None => {
                void.insert(*entry, Void::Unbearable);
            }
        }
    }
    dated(content?, standing.into_values())
}

/// A view of this content, with the times of the changes that it comes from.
fn dated<'a>(content: Content, changes: impl Iterator<Item = &'a CheckedChange>) -> Option<View> {
    let (mut written, mut edited) = (None, None);
    for change in changes {
        if change.creation {
            written = Some(change.written);
        } else {
            edited = edited.max(Some(change.written));
        }
    }
    Some(View { content, written: written?, edited })
}

/// Reads every key of the kind from a document.
fn read(kind: DocumentKind, document: &Automerge) -> Option<Content> {
    let mut values = Values::with_capacity(kind.fields().len());
    for field in kind.fields() {
        let (value, object) = document.get(ROOT, field.key).ok()??;
        let value = match value {
            Value::Object(_) if field.is_shared() => Scalar::Text(document.text(&object).ok()?),
            Value::Scalar(scalar) => Scalar::of(&scalar)?,
            Value::Object(_) => return None,
        };
        values.push(Some(value).filter(|value| field.shape.admits(value))?);
    }
    Content::read(kind, &values)
}
