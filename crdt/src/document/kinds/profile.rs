//! A member's profile: the name that the group knows it by, and where its node listens.

use serde::{Deserialize, Serialize};

use crate::codec::{self, Text};
use crate::document::profile::{Addresses, Field, Scalar, Shape, Values};
use crate::limits::PSEUDONYM_CHARS;

/// Bytes that the characters of a pseudonym can take.
const PSEUDONYM_BYTES: usize = PSEUDONYM_CHARS * 4;

/// A name that a member chose: 1 to [`PSEUDONYM_CHARS`] characters, no white space at its ends,
/// no control characters, nothing that turns the direction of writing.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pseudonym(Text<PSEUDONYM_BYTES>);

/// The text cannot be a pseudonym.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a name has 1 to {PSEUDONYM_CHARS} characters, none of them a control character, and no space at its ends"
)]
pub struct NotAPseudonym;

impl Pseudonym {
    /// Takes the text if it can be a pseudonym.
    ///
    /// # Errors
    /// When it is empty, too long, or has characters that would let it pass for another.
    pub fn new(text: &str) -> Result<Self, NotAPseudonym> {
        let hidden = |c: char| {
            c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{feff}')
        };
        let wrong = text.is_empty() || text.trim() != text || text.chars().any(hidden);
        if wrong || text.chars().count() > PSEUDONYM_CHARS {
            return Err(NotAPseudonym);
        }
        Text::new(text).map(Self).map_err(|_| NotAPseudonym)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<String> for Pseudonym {
    type Error = NotAPseudonym;

    fn try_from(text: String) -> Result<Self, NotAPseudonym> {
        Self::new(&text)
    }
}

impl From<Pseudonym> for String {
    fn from(pseudonym: Pseudonym) -> Self {
        pseudonym.as_str().to_owned()
    }
}

/// A profile.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The name in this group.
    pub pseudonym: Pseudonym,
    /// Binary multiaddrs of the member's nodes; often none.
    pub addresses: Addresses,
}

pub(super) const FIELDS: &[Field] = &[
    Field::editable("pseudonym", Shape::Pseudonym),
    Field::editable("addresses", Shape::Addresses),
];

impl Profile {
    pub(super) fn values(&self) -> Values {
        vec![
            Scalar::Text(self.pseudonym.as_str().to_owned()),
            Scalar::Bytes(codec::encode(&self.addresses)),
        ]
    }

    pub(super) fn read(values: &[Scalar]) -> Option<Self> {
        let [Scalar::Text(pseudonym), addresses] = values else { return None };
        Some(Self { pseudonym: Pseudonym::new(pseudonym).ok()?, addresses: addresses.addresses()? })
    }
}
