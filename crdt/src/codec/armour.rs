//! Bytes that people hand to each other as text: a prefix that says what it is, base32 that survives
//! upper case and line breaks, and a checksum that catches a slip.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::crypto::domain;
use crate::id::{read_base32, write_base32};

/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 4;

/// Why a text cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unreadable {
    /// It does not begin as it must: it is something else.
    OtherText,
    /// A character is wrong or a part is missing.
    Damaged,
}

/// Writes a value as text.
#[must_use]
pub fn write<T: Serialize>(prefix: &str, value: &T) -> String {
    let mut bytes = codec::encode(value);
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum);
    format!("{prefix}{}", write_base32(&bytes))
}

/// Reads a value of at most `limit` bytes; white space around and inside the text does not matter,
/// nor does case.
///
/// # Errors
/// When the text is something else or damaged.
pub fn read<T: Serialize + DeserializeOwned>(
    prefix: &str,
    limit: usize,
    text: &str,
) -> Result<T, Unreadable> {
    let text: String =
        text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    let written = text.strip_prefix(prefix).ok_or(Unreadable::OtherText)?;
    let bytes = read_base32(written).ok_or(Unreadable::Damaged)?;
    let body = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(Unreadable::Damaged)?;
    let (body, sum) = bytes.split_at_checked(body).ok_or(Unreadable::Damaged)?;
    if checksum(body) != sum {
        return Err(Unreadable::Damaged);
    }
    codec::decode(body, limit).map_err(|_| Unreadable::Damaged)
}

fn checksum(bytes: &[u8]) -> Vec<u8> {
    domain::hash(domain::CODE, &[bytes]).into_iter().take(CHECKSUM_BYTES).collect()
}
