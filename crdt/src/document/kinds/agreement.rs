//! The group's agreement: shared, so that its text can be worked on by several at once (C2).

use serde::{Deserialize, Serialize};

use crate::codec::Text;
use crate::document::profile::{Field, Scalar, Shape, Values};
use crate::limits::{AGREEMENT_BYTES, TITLE_BYTES};

/// The agreement, with the group's name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The group's name.
    pub name: Text<TITLE_BYTES>,
    /// The text. What several write at once is merged, not overwritten.
    pub text: Text<AGREEMENT_BYTES>,
}

pub(super) const FIELDS: &[Field] = &[
    Field::editable("name", Shape::Text(TITLE_BYTES)),
    Field::editable("text", Shape::Shared(AGREEMENT_BYTES)),
];

impl Agreement {
    pub(super) fn values(&self) -> Values {
        vec![
            Scalar::Text(self.name.as_str().to_owned()),
            Scalar::Text(self.text.as_str().to_owned()),
        ]
    }

    pub(super) fn read(values: &[Scalar]) -> Option<Self> {
        let [name, text] = values else { return None };
        Some(Self { name: name.text()?, text: text.text()? })
    }
}
