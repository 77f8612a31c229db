//! Checking a change before anything is done with it (C3).
//!
//! Automerge panics on crafted changes and can be left with a document that no longer works. So a
//! change is looked at three times: its size and every count on the bare bytes (`scan`), its canonical
//! form by writing it again, and every operation against the profile of the document's kind. What
//! depends on other changes (do its predecessors exist, is it the next of its actor) is looked at
//! in the rebuild ([`super::rebuild`]). Every call into Automerge on the way has unwinding caught.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpType};
use automerge::{ActorId, Change, ExpandedChange, ObjType, ScalarValue};

use crate::crypto::domain;
use crate::document::clock::LATEST;
use crate::document::kinds::{Content, DocumentKind};
use crate::document::profile::{Scalar, Values};
use crate::document::scan;
use crate::id::{DeviceId, DocumentId};
use crate::limits::CHANGE_NAMES;
use crate::time::Timestamp;

/// Hash of a change as Automerge computes it: SHA-256 of the chunk.
pub type ChangeHash = [u8; 32];

/// A device as the author of changes in one document: hash of (label, device, document). Another
/// document's change can therefore not be passed off as one of this document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Actor([u8; 32]);

impl Actor {
    /// The actor of a device in a document.
    #[must_use]
    pub fn of(device: DeviceId, document: DocumentId) -> Self {
        Self(domain::hash(domain::ACTOR, &[device.as_bytes(), document.as_bytes()]))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn read(actor: &ActorId) -> Option<Self> {
        actor.to_bytes().try_into().ok().map(Self)
    }
}

/// Names an operation in a document, in the order in which Automerge lets the later win.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct OpId {
    pub(super) counter: u64,
    pub(super) actor: Actor,
}

impl OpId {
    fn read(id: &automerge::legacy::OpId) -> Option<Self> {
        Some(Self { counter: id.counter(), actor: Actor::read(id.actor())? })
    }
}

/// An operation within the profile: there is no other sort.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    /// Sets a key, by its place among the kind's fields. `replaces` is empty in a creation only.
    Set { field: usize, value: Scalar, replaces: Vec<OpId> },
    /// Makes the shared text. In a creation only.
    MakeText,
    /// Inserts a character into the shared text, at its beginning or after another.
    Insert { text: OpId, after: Option<OpId>, character: char },
    /// Deletes a character of the shared text.
    Delete { text: OpId, character: OpId },
}

/// A change that is within the profile of its kind. Whether it fits the changes before it is
/// decided in the rebuild.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedChange {
    pub(super) kind: DocumentKind,
    pub(super) creation: bool,
    pub(super) actor: Actor,
    pub(super) seq: u64,
    pub(super) start: u64,
    pub(super) written: Timestamp,
    pub(super) dependencies: Vec<ChangeHash>,
    pub(super) operations: Vec<Operation>,
    pub(super) change: Change,
}

/// Why a change is refused. Always its author's fault, and final: it is void for good.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChangeRefused {
    /// More bytes, operations or names than a change of its kind may have.
    #[error("C3: a change is larger than it may be, or is compressed")]
    OutOfBounds,
    /// Automerge cannot read it.
    #[error("C3: a change cannot be read")]
    Unreadable,
    /// Another encoding of the same change exists, or bytes that mean nothing.
    #[error("C3: a change is not in canonical form")]
    NotCanonical,
    /// Its actor is not the device that signed the entry, in this document.
    #[error("C3: a change names another author than its entry")]
    OtherActor,
    /// Sequence number, first operation, dependencies or time cannot be.
    #[error("C3: a change has an impossible place or time")]
    Implausible,
    /// An operation that the kind of document does not have.
    #[error("C3: a change does what its kind of document does not allow")]
    OutsideProfile,
}

/// Runs a piece of Automerge on data of its own. A panic in it becomes `None`; whatever it was
/// working on is dropped with it.
pub(super) fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_default()
}

/// Checks the bytes of a change (C3). `creation`: whether the entry's envelope creates the
/// document; `actor`: [`Actor::of`] the entry's device and document. `kind` is that of the
/// document's creation.
///
/// # Errors
/// When any part of the change is outside what its kind of document allows.
pub fn check(
    kind: DocumentKind,
    creation: bool,
    bytes: &[u8],
    actor: Actor,
) -> Result<CheckedChange, ChangeRefused> {
    let rows = u64::try_from(kind.most_operations()).unwrap_or(u64::MAX);
    if !scan::is_bounded(bytes, rows) {
        return Err(ChangeRefused::OutOfBounds);
    }
    let (change, expanded, canonical) = guarded(|| {
        let change = Change::try_from(bytes).ok()?;
        let expanded = change.decode();
        let canonical = Change::from(expanded.clone()).raw_bytes() == bytes;
        Some((change, expanded, canonical))
    })
    .ok_or(ChangeRefused::Unreadable)?;
    if !canonical {
        return Err(ChangeRefused::NotCanonical);
    }
    if Actor::read(&expanded.actor_id) != Some(actor) {
        return Err(ChangeRefused::OtherActor);
    }
    if expanded.operations.is_empty() {
        return Err(ChangeRefused::OutOfBounds);
    }
    let written = place(&expanded, creation, change.other_actor_ids())?;
    let operations = expanded
        .operations
        .iter()
        .map(|operation| read(kind, operation))
        .collect::<Option<Vec<_>>>()
        .ok_or(ChangeRefused::OutsideProfile)?;
    let checked = CheckedChange {
        kind,
        creation,
        actor,
        seq: expanded.seq,
        start: expanded.start_op.get(),
        written,
        dependencies: expanded.deps.iter().map(|hash| hash.0).collect(),
        operations,
        change,
    };
    let fits = if creation { checked.content().is_some() } else { checked.is_edit() };
    if fits { Ok(checked) } else { Err(ChangeRefused::OutsideProfile) }
}

/// The time of a change, once everything about its place that can be told from it alone is right.
fn place(
    change: &ExpandedChange,
    creation: bool,
    others: &[ActorId],
) -> Result<Timestamp, ChangeRefused> {
    let start = change.start_op.get();
    let first = change.seq == 1 && start == 1 && change.deps.is_empty() && others.is_empty();
    let later = change.seq >= 1
        && start > 1
        && !change.deps.is_empty()
        && change.deps.is_sorted_by(|a, b| a < b);
    let written = u64::try_from(change.time).map(Timestamp::from_millis);
    match written {
        Ok(written) if written <= LATEST && (if creation { first } else { later }) => Ok(written),
        _ => Err(ChangeRefused::Implausible),
    }
}

/// One operation, if the kind has such a one.
fn read(kind: DocumentKind, operation: &Op) -> Option<Operation> {
    let predecessors: Vec<OpId> = operation.pred.iter().map(OpId::read).collect::<Option<_>>()?;
    if predecessors.len() > CHANGE_NAMES {
        return None;
    }
    match (&operation.obj, &operation.key, &operation.action) {
        (ObjectId::Root, Key::Map(key), action) if !operation.insert => {
            let mut fields = kind.fields().iter().enumerate();
            let (index, field) = fields.find(|(_, field)| field.key == key.as_str())?;
            match action {
                OpType::Make(ObjType::Text) if field.is_shared() && predecessors.is_empty() => {
                    Some(Operation::MakeText)
                }
                OpType::Put(value) if !field.is_shared() => {
                    let value = Scalar::of(value).filter(|value| field.shape.admits(value))?;
                    Some(Operation::Set { field: index, value, replaces: predecessors })
                }
                _ => None,
            }
        }
        (ObjectId::Id(text), Key::Seq(element), action) => {
            let text = OpId::read(text)?;
            let element = match element {
                ElementId::Head => None,
                ElementId::Id(id) => Some(OpId::read(id)?),
            };
            match action {
                OpType::Put(ScalarValue::Str(inserted))
                    if operation.insert && predecessors.is_empty() =>
                {
                    let mut characters = inserted.chars();
                    let (Some(character), None) = (characters.next(), characters.next()) else {
                        return None;
                    };
                    Some(Operation::Insert { text, after: element, character })
                }
                OpType::Delete if !operation.insert => {
                    let character = element?;
                    (predecessors == [character]).then_some(Operation::Delete { text, character })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

impl CheckedChange {
    /// The kind of document that it was checked for.
    #[must_use]
    pub const fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// Whether it creates its document.
    #[must_use]
    pub const fn is_creation(&self) -> bool {
        self.creation
    }

    /// Who wrote it.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        self.actor
    }

    /// The author's claim of when (C6).
    #[must_use]
    pub const fn written(&self) -> Timestamp {
        self.written
    }

    /// Its hash, by which others depend on it.
    #[must_use]
    pub fn hash(&self) -> ChangeHash {
        self.change.hash().0
    }

    /// The changes that it was made on top of.
    #[must_use]
    pub fn dependencies(&self) -> &[ChangeHash] {
        &self.dependencies
    }

    /// The bytes that were checked: what the store keeps, to check again when it reads them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.change.raw_bytes()
    }

    /// The name of the operation at a place in this change.
    pub(super) fn id_at(&self, index: usize) -> OpId {
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        OpId { counter: self.start.saturating_add(index), actor: self.actor }
    }

    /// One past the counter of its last operation.
    pub(super) fn end(&self) -> u64 {
        self.id_at(self.operations.len()).counter
    }

    /// What a creation says, read from its operations (C7): every key once and in order, then the
    /// characters of the shared text one after the other. `None` if it is anything else.
    pub(super) fn content(&self) -> Option<Content> {
        let fields = self.kind.fields();
        let mut values = Values::with_capacity(fields.len());
        let mut operations = self.operations.iter().enumerate();
        for (index, field) in fields.iter().enumerate() {
            match operations.next()? {
                (_, Operation::Set { field, value, replaces })
                    if *field == index && replaces.is_empty() =>
                {
                    values.push(value.clone());
                }
                (at, Operation::MakeText) if field.is_shared() => {
                    let text = self.id_at(at);
                    values.push(Scalar::Text(self.characters(text, &mut operations)?));
                }
                _ => return None,
            }
        }
        if operations.next().is_some() {
            return None;
        }
        Content::read(self.kind, &values)
    }

    fn characters<'a>(
        &self,
        made: OpId,
        operations: &mut impl Iterator<Item = (usize, &'a Operation)>,
    ) -> Option<String> {
        let mut content = String::new();
        let mut last = None;
        for (at, operation) in operations {
            let Operation::Insert { text, after, character } = operation else { return None };
            if *text != made || *after != last {
                return None;
            }
            content.push(*character);
            last = Some(self.id_at(at));
        }
        Some(content)
    }

    /// Whether it is an edit: editable keys in order, each replacing something earlier, then edits
    /// of one shared text that delete no character twice.
    fn is_edit(&self) -> bool {
        let earlier = |id: &OpId| id.counter < self.start;
        let mut next_field = 0;
        let mut shared = None;
        let mut deleted = BTreeSet::new();
        self.operations.iter().enumerate().all(|(at, operation)| match operation {
            Operation::Set { field, replaces, .. } => {
                let fields = self.kind.fields();
                let allowed = fields.get(*field).is_some_and(|field| field.editable);
                let ordered = *field >= next_field && shared.is_none();
                next_field = field.saturating_add(1);
                let unique = replaces.iter().collect::<BTreeSet<_>>().len() == replaces.len();
                allowed && ordered && unique && !replaces.is_empty() && replaces.iter().all(earlier)
            }
            Operation::Insert { text, after, .. } => {
                let before = self.id_at(at).counter;
                *shared.get_or_insert(*text) == *text
                    && after.is_none_or(|after| after.counter < before)
            }
            Operation::Delete { text, character } => {
                *shared.get_or_insert(*text) == *text && deleted.insert(*character)
            }
            Operation::MakeText => false,
        })
    }
}
