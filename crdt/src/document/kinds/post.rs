//! A post: a reply in a thread.

use serde::{Deserialize, Serialize};

use crate::codec::{self, Text};
use crate::document::profile::{Field, Scalar, Shape, Values};
use crate::id::DocumentId;
use crate::limits::{BODY_BYTES, NOTE_BYTES};
use crate::time::Timestamp;

/// What an author would like back.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wants {
    /// Just listen.
    JustListen,
    /// Advice is welcome.
    AdviceWelcome,
    /// Stories of others in the same boat.
    SameBoat,
}

impl Wants {
    pub(crate) const COUNT: u64 = 3;

    pub(super) const fn number(self) -> u64 {
        match self {
            Self::JustListen => 0,
            Self::AdviceWelcome => 1,
            Self::SameBoat => 2,
        }
    }

    pub(super) const fn of(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::JustListen,
            1 => Self::AdviceWelcome,
            2 => Self::SameBoat,
            _ => return None,
        })
    }
}

/// Where a post that was written elsewhere comes from. All of it is the importer's claim.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// What the place or the author was called.
    pub label: Text<80>,
    /// When it was written there.
    pub at: Timestamp,
    /// What it was called there: tells whether it was imported already.
    pub id: Text<120>,
}

/// A post.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Post {
    /// The thread that it is in.
    pub thread: DocumentId,
    /// The post that it answers, if not the opening.
    pub reply_to: Option<DocumentId>,
    /// The text.
    pub body: Text<BODY_BYTES>,
    /// Content note, under which the post is folded; empty for none.
    pub note: Text<NOTE_BYTES>,
    /// What the author would like back.
    pub wants: Option<Wants>,
    /// If it was written elsewhere.
    pub imported: Option<Imported>,
}

pub(super) const FIELDS: &[Field] = &[
    Field::fixed("thread", Shape::Id),
    Field::fixed("reply_to", Shape::MaybeId),
    Field::editable("body", Shape::Text(BODY_BYTES)),
    Field::editable("note", Shape::Text(NOTE_BYTES)),
    Field::editable("wants", Shape::MaybeBelow(Wants::COUNT)),
    Field::fixed("imported", Shape::MaybeImported),
];

impl Post {
    pub(super) fn values(&self) -> Values {
        vec![
            Scalar::Bytes(self.thread.as_bytes().to_vec()),
            Scalar::or_null(self.reply_to, |post| Scalar::Bytes(post.as_bytes().to_vec())),
            Scalar::Text(self.body.as_str().to_owned()),
            Scalar::Text(self.note.as_str().to_owned()),
            Scalar::or_null(self.wants, |wants| Scalar::Number(wants.number())),
            Scalar::or_null(self.imported.as_ref(), |from| Scalar::Bytes(codec::encode(from))),
        ]
    }

    pub(super) fn read(values: &[Scalar]) -> Option<Self> {
        let [thread, reply_to, body, note, wants, imported] = values else { return None };
        Some(Self {
            thread: DocumentId::from_bytes(thread.id()?),
            reply_to: reply_to.maybe(Scalar::id)?.map(DocumentId::from_bytes),
            body: body.text()?,
            note: note.text()?,
            wants: wants.maybe(|wants| Wants::of(wants.number()?))?,
            imported: imported.maybe(Scalar::imported)?,
        })
    }
}
