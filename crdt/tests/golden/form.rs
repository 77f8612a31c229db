//! A wire form: its name, its values in bytes, and how it is read.

use cairn_crdt::codec;
use cairn_crdt::limits::MESSAGE_BYTES;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One form with the values that its file holds.
pub(crate) struct Form {
    /// As in the specification: the name of the type.
    pub(crate) name: &'static str,
    /// What each value is, in one word, and its bytes. Of an enum: every variant, in order.
    pub(crate) lines: Vec<(&'static str, Vec<u8>)>,
    /// Reads the bytes of the line with this word and writes what it read; `None` if it cannot.
    pub(crate) again: fn(&str, &[u8]) -> Option<Vec<u8>>,
}

/// A form that is the canonical encoding of a type.
pub(crate) fn form<T: Serialize + DeserializeOwned>(
    name: &'static str,
    lines: impl IntoIterator<Item = (&'static str, T)>,
) -> Form {
    let lines = lines.into_iter().map(|(word, value)| (word, codec::encode(&value))).collect();
    Form { name, lines, again: again::<T> }
}

fn again<T: Serialize + DeserializeOwned>(_: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let value: T = codec::decode(bytes, MESSAGE_BYTES).ok()?;
    Some(codec::encode(&value))
}

/// A form that is only ever written, never read: a hash.
pub(crate) fn written_only(_: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}
