//! The kinds of documents, and how their changes are written (C2).
//!
//! Creating and editing are deterministic: the same content, actor, time and changes before it
//! give the same bytes.

use automerge::transaction::{CommitOptions, Transactable as _};
use automerge::{ActorId, Automerge, ObjType, ROOT, ReadDoc as _};
use serde::{Deserialize, Serialize};

use crate::document::change::{Actor, ChangeRefused, CheckedChange, check, guarded};
use crate::document::profile::{Field, Scalar, Values};
use crate::document::rebuild;
use crate::id::EntryId;
use crate::limits::{CHANGE_BYTES, CHANGE_OPS};
use crate::time::Timestamp;

pub mod act;
pub mod agreement;
pub mod post;
pub mod profile;
pub mod response;
pub mod thread;

/// What a document is. Part of its id (C1).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub enum DocumentKind {
    /// A member's name and addresses.
    Profile,
    /// A title and an opening.
    Thread,
    /// A reply.
    Post,
    /// One word in answer.
    Response,
    /// The group's name and agreement. Shared.
    Agreement,
    /// The words of an act of moderation.
    Act,
}

impl DocumentKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Profile, Self::Thread, Self::Post, Self::Response, Self::Agreement, Self::Act];

    /// Its number, as stores keep it: its place in [`Self::ALL`].
    #[must_use]
    pub fn number(self) -> u8 {
        let place = Self::ALL.iter().position(|kind| *kind == self);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
    }

    /// The kind with this number.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The keys that a document of this kind has.
    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Profile => profile::FIELDS,
            Self::Thread => thread::FIELDS,
            Self::Post => post::FIELDS,
            Self::Response => response::FIELDS,
            Self::Agreement => agreement::FIELDS,
            Self::Act => act::FIELDS,
        }
    }

    /// Whether others than the owner write in it: by ability, not by ownership (C1).
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Agreement)
    }

    /// Operations that one change of it may have: one for each key, or for each character of a
    /// shared text.
    #[must_use]
    pub const fn most_operations(self) -> usize {
        if self.is_shared() { CHANGE_OPS } else { 64 }
    }
}

/// What a document holds, typed and within its bounds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// See [`profile::Profile`].
    Profile(profile::Profile),
    /// See [`thread::Thread`].
    Thread(thread::Thread),
    /// See [`post::Post`].
    Post(post::Post),
    /// See [`response::Response`].
    Response(response::Response),
    /// See [`agreement::Agreement`].
    Agreement(agreement::Agreement),
    /// See [`act::Act`].
    Act(act::Act),
}

/// A change could not be written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotWrite {
    /// The content is what the document already holds.
    #[error("nothing was changed")]
    NothingChanged,
    /// The document does not stand: it was not created, or its creation does not count.
    #[error("the document is not there")]
    NoDocument,
    /// The content is of another kind, or changes a key that stays as created.
    #[error("this part of a document cannot be edited")]
    Fixed,
    /// Within the bounds of each part, but too large as one change.
    #[error("this is too long to be written at once: shorten it, or write it in two steps")]
    TooLarge,
    /// What would be written would be refused by others.
    #[error("the text cannot be written: {0}")]
    Refused(#[from] ChangeRefused),
}

impl Content {
    /// What kind of document holds this.
    #[must_use]
    pub const fn kind(&self) -> DocumentKind {
        match self {
            Self::Profile(_) => DocumentKind::Profile,
            Self::Thread(_) => DocumentKind::Thread,
            Self::Post(_) => DocumentKind::Post,
            Self::Response(_) => DocumentKind::Response,
            Self::Agreement(_) => DocumentKind::Agreement,
            Self::Act(_) => DocumentKind::Act,
        }
    }

    /// The values in the order of the kind's fields.
    #[must_use]
    pub fn values(&self) -> Values {
        match self {
            Self::Profile(profile) => profile.values(),
            Self::Thread(thread) => thread.values(),
            Self::Post(post) => post.values(),
            Self::Response(response) => response.values(),
            Self::Agreement(agreement) => agreement.values(),
            Self::Act(act) => act.values(),
        }
    }

    /// The content with these values; `None` if they are not of the kind or past a bound.
    #[must_use]
    pub fn read(kind: DocumentKind, values: &[Scalar]) -> Option<Self> {
        Some(match kind {
            DocumentKind::Profile => Self::Profile(profile::Profile::read(values)?),
            DocumentKind::Thread => Self::Thread(thread::Thread::read(values)?),
            DocumentKind::Post => Self::Post(post::Post::read(values)?),
            DocumentKind::Response => Self::Response(response::Response::read(values)?),
            DocumentKind::Agreement => Self::Agreement(agreement::Agreement::read(values)?),
            DocumentKind::Act => Self::Act(act::Act::read(values)?),
        })
    }

    /// The change that creates a document with this content.
    ///
    /// # Errors
    /// When the bounds of single fields hold but the change as a whole is too large.
    pub fn create(&self, actor: Actor, written: Timestamp) -> Result<Vec<u8>, CannotWrite> {
        let bytes = guarded(|| {
            let mut document = Automerge::new();
            self.write(&mut document, None, actor, written)
        });
        self.written(true, bytes, actor)
    }

    /// The change that makes a document, of which `existing` are the changes, hold this content.
    /// What is equal is not written, so that what others change at the same time stays.
    ///
    /// # Errors
    /// When nothing would change, the document does not stand, or a fixed part would change.
    pub fn edit(
        &self,
        existing: &[(EntryId, CheckedChange)],
        actor: Actor,
        written: Timestamp,
    ) -> Result<Vec<u8>, CannotWrite> {
        let kind = self.kind();
        let before = rebuild::rebuild(kind, existing);
        let view = before.view.ok_or(CannotWrite::NoDocument)?;
        let old = view.content.values();
        if view.content == *self {
            return Err(CannotWrite::NothingChanged);
        }
        let new = self.values();
        let fixed = kind.fields().iter().zip(old.iter().zip(&new));
        if fixed.into_iter().any(|(field, (old, new))| !field.editable && old != new) {
            return Err(CannotWrite::Fixed);
        }
        let standing: Vec<&CheckedChange> =
            rebuild::standing(existing, &before.void).into_iter().collect();
        let bytes = guarded(|| {
            let mut document = rebuild::merged(&standing)?;
            self.write(&mut document, Some(&old), actor, written)
        });
        self.written(false, bytes, actor)
    }

    /// A change of this build's own goes through the same check as another's.
    fn written(
        &self,
        creation: bool,
        bytes: Option<Vec<u8>>,
        actor: Actor,
    ) -> Result<Vec<u8>, CannotWrite> {
        let bytes = bytes.ok_or(ChangeRefused::Unreadable)?;
        if bytes.len() > CHANGE_BYTES {
            return Err(CannotWrite::TooLarge);
        }
        check(self.kind(), creation, &bytes, actor)?;
        Ok(bytes)
    }

    /// Writes what differs from `old` as one change.
    fn write(
        &self,
        document: &mut Automerge,
        old: Option<&Values>,
        actor: Actor,
        written: Timestamp,
    ) -> Option<Vec<u8>> {
        document.set_actor(ActorId::from(actor.as_bytes().as_slice()));
        let mut transaction = document.transaction();
        for (index, (field, value)) in self.kind().fields().iter().zip(self.values()).enumerate() {
            let before = old.and_then(|old| old.get(index));
            if before == Some(&value) {
                continue;
            }
            match (&value, field.is_shared(), before) {
                (Scalar::Text(text), true, None) => {
                    let object = transaction.put_object(ROOT, field.key, ObjType::Text).ok()?;
                    transaction.splice_text(&object, 0, 0, text).ok()?;
                }
                (Scalar::Text(text), true, Some(Scalar::Text(before))) => {
                    let (_, object) = transaction.get(ROOT, field.key).ok()??;
                    let middle = Middle::between(before, text);
                    if middle.is_small() {
                        transaction.update_text(&object, text).ok()?;
                    } else {
                        let removed = isize::try_from(middle.removed).ok()?;
                        transaction
                            .splice_text(&object, middle.at, removed, &middle.inserted)
                            .ok()?;
                    }
                }
                _ => transaction.put(ROOT, field.key, value.to_automerge()).ok()?,
            }
        }
        let time = i64::try_from(written.as_millis()).ok()?;
        transaction.commit_with(CommitOptions::default().with_time(time)).0?;
        Some(document.get_last_local_change()?.raw_bytes().to_vec())
    }
}

/// What lies between the common beginning and the common end of two texts, in characters.
struct Middle {
    at: usize,
    removed: usize,
    inserted: String,
}

impl Middle {
    fn between(old: &str, new: &str) -> Self {
        let at = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
        let old: Vec<char> = old.chars().skip(at).collect();
        let new: Vec<char> = new.chars().skip(at).collect();
        let same = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new);
        let end = same.count();
        Self {
            at,
            removed: old.len().saturating_sub(end),
            inserted: new.iter().take(new.len().saturating_sub(end)).collect(),
        }
    }

    /// Whether a fine comparison of the two texts is quick; its steps are about the product of
    /// the lengths. Past it the middle is replaced as a whole.
    fn is_small(&self) -> bool {
        self.removed.saturating_mul(self.inserted.len()) <= 1_000_000
    }
}
