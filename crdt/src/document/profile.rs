//! What a document of a kind may hold: its keys, in order, and the shape of each (C2, C3).
//!
//! Every key is set by the change that creates the document, in this order, so that every change
//! after it replaces something and nothing is ever deleted at the root: an absent optional value
//! is written as null.

use automerge::ScalarValue;

use crate::codec::{self, Bytes, List, Text};
use crate::document::kinds::post::Imported;
use crate::document::kinds::profile::Pseudonym;
use crate::limits::{ADDRESS_BYTES, ADDRESSES};

/// Addresses of a device in their binary form.
pub type Addresses = List<Bytes<ADDRESS_BYTES>, ADDRESSES>;
/// Bytes that encoded addresses may have.
const ADDRESSES_BYTES: usize = ADDRESSES * (ADDRESS_BYTES + 2) + 1;
/// Bytes that an encoded [`Imported`] may have.
const IMPORTED_BYTES: usize = 256;

/// A value at the root of a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scalar {
    /// Absent.
    Null,
    /// Text; for a shared text, all of it.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A number.
    Number(u64),
}

/// The values of a document in the order of its kind's fields.
pub type Values = Vec<Scalar>;

/// A key of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the document.
    pub key: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether a change after the creation may replace it.
    pub editable: bool,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// Text of at most so many bytes.
    Text(usize),
    /// A [`Pseudonym`].
    Pseudonym,
    /// A 32-byte identifier.
    Id,
    /// A 32-byte identifier or null.
    MaybeId,
    /// A number below this.
    Below(u64),
    /// A number below this, or null.
    MaybeBelow(u64),
    /// Encoded [`Addresses`].
    Addresses,
    /// An encoded [`Imported`] or null.
    MaybeImported,
    /// A Text object of at most so many bytes, which many edit at once. The last field of its
    /// kind.
    Shared(usize),
}

impl Field {
    /// A key that may be edited.
    #[must_use]
    pub const fn editable(key: &'static str, shape: Shape) -> Self {
        Self { key, shape, editable: true }
    }

    /// A key that stays as created.
    #[must_use]
    pub const fn fixed(key: &'static str, shape: Shape) -> Self {
        Self { key, shape, editable: false }
    }

    /// Whether the key holds a Text object.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.shape, Shape::Shared(_))
    }
}

impl Shape {
    /// Whether a value is of this shape and within its bound.
    #[must_use]
    pub fn admits(self, value: &Scalar) -> bool {
        match (self, value) {
            (Self::Text(most) | Self::Shared(most), Scalar::Text(text)) => text.len() <= most,
            (Self::Pseudonym, Scalar::Text(text)) => Pseudonym::new(text).is_ok(),
            (Self::Id | Self::MaybeId, Scalar::Bytes(bytes)) => bytes.len() == 32,
            (Self::Below(most) | Self::MaybeBelow(most), Scalar::Number(number)) => *number < most,
            (Self::Addresses, Scalar::Bytes(bytes)) => {
                codec::decode::<Addresses>(bytes, ADDRESSES_BYTES).is_ok()
            }
            (Self::MaybeImported, Scalar::Bytes(bytes)) => {
                codec::decode::<Imported>(bytes, IMPORTED_BYTES).is_ok()
            }
            (Self::MaybeId | Self::MaybeBelow(_) | Self::MaybeImported, Scalar::Null) => true,
            _ => false,
        }
    }
}

impl Scalar {
    /// A bounded text.
    #[must_use]
    pub fn text<const MAX: usize>(&self) -> Option<Text<MAX>> {
        let Self::Text(text) = self else { return None };
        Text::new(text.as_str()).ok()
    }

    /// Thirty-two bytes.
    #[must_use]
    pub fn id(&self) -> Option<[u8; 32]> {
        let Self::Bytes(bytes) = self else { return None };
        bytes.as_slice().try_into().ok()
    }

    /// A number.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        let Self::Number(number) = self else { return None };
        Some(*number)
    }

    /// What `read` makes of the value, or nothing for null; `None` if it makes nothing of it.
    pub fn maybe<T>(&self, read: impl FnOnce(&Self) -> Option<T>) -> Option<Option<T>> {
        if *self == Self::Null { Some(None) } else { read(self).map(Some) }
    }

    /// Encoded addresses.
    #[must_use]
    pub fn addresses(&self) -> Option<Addresses> {
        let Self::Bytes(bytes) = self else { return None };
        codec::decode(bytes, ADDRESSES_BYTES).ok()
    }

    /// An encoded [`Imported`].
    #[must_use]
    pub fn imported(&self) -> Option<Imported> {
        let Self::Bytes(bytes) = self else { return None };
        codec::decode(bytes, IMPORTED_BYTES).ok()
    }

    /// The value, or null if there is none.
    #[must_use]
    pub fn or_null<T>(value: Option<T>, write: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, write)
    }

    pub(super) fn of(value: &ScalarValue) -> Option<Self> {
        Some(match value {
            ScalarValue::Null => Self::Null,
            ScalarValue::Str(text) => Self::Text(text.to_string()),
            ScalarValue::Bytes(bytes) => Self::Bytes(bytes.clone()),
            ScalarValue::Uint(number) => Self::Number(*number),
            _ => return None,
        })
    }

    pub(super) fn to_automerge(&self) -> ScalarValue {
        match self {
            Self::Null => ScalarValue::Null,
            Self::Text(text) => ScalarValue::Str(text.as_str().into()),
            Self::Bytes(bytes) => ScalarValue::Bytes(bytes.clone()),
            Self::Number(number) => ScalarValue::Uint(*number),
        }
    }
}
