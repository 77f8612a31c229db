//! A thread: a title and the opening. Erasing it leaves the replies (C5).

use serde::{Deserialize, Serialize};

use crate::codec::Text;
use crate::document::kinds::post::Wants;
use crate::document::profile::{Field, Scalar, Shape, Values};
use crate::limits::{BODY_BYTES, NOTE_BYTES, TITLE_BYTES};

/// A thread.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// The title.
    pub title: Text<TITLE_BYTES>,
    /// The opening.
    pub body: Text<BODY_BYTES>,
    /// Content note, under which the opening is folded; empty for none.
    pub note: Text<NOTE_BYTES>,
    /// What the author would like back.
    pub wants: Option<Wants>,
}

pub(super) const FIELDS: &[Field] = &[
    Field::editable("title", Shape::Text(TITLE_BYTES)),
    Field::editable("body", Shape::Text(BODY_BYTES)),
    Field::editable("note", Shape::Text(NOTE_BYTES)),
    Field::editable("wants", Shape::MaybeBelow(Wants::COUNT)),
];

impl Thread {
    pub(super) fn values(&self) -> Values {
        vec![
            Scalar::Text(self.title.as_str().to_owned()),
            Scalar::Text(self.body.as_str().to_owned()),
            Scalar::Text(self.note.as_str().to_owned()),
            Scalar::or_null(self.wants, |wants| Scalar::Number(wants.number())),
        ]
    }

    pub(super) fn read(values: &[Scalar]) -> Option<Self> {
        let [title, body, note, wants] = values else { return None };
        Some(Self {
            title: title.text()?,
            body: body.text()?,
            note: note.text()?,
            wants: wants.maybe(|wants| Wants::of(wants.number()?))?,
        })
    }
}
