//! How values of the core stand in columns.

use cairn_crdt::log::entry::Header;
use cairn_crdt::replica::input::{ResponseWord, Wants};
use cairn_crdt::time::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;

/// What the column `held` of an entry says of its payload.
pub(super) const MISSING: i64 = 0;
/// See [`MISSING`].
pub(super) const HERE: i64 = 1;
/// See [`MISSING`].
pub(super) const ERASED: i64 = 2;

/// A time. Claimed ones are clamped long before they reach the end of the range.
pub(super) fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// An id of any sort.
pub(super) fn id<T>(
    row: &Row<'_>,
    column: usize,
    from: impl FnOnce([u8; 32]) -> T,
) -> rusqlite::Result<T> {
    row.get(column).map(from)
}

/// An id of any sort that may be absent.
pub(super) fn maybe_id<T>(
    row: &Row<'_>,
    column: usize,
    from: impl FnOnce([u8; 32]) -> T,
) -> rusqlite::Result<Option<T>> {
    Ok(row.get::<_, Option<[u8; 32]>>(column)?.map(from))
}

/// A time.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    maybe_time(row, column)?.ok_or_else(|| damaged(column))
}

/// A time that may be absent.
pub(super) fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let millis: Option<i64> = row.get(column)?;
    millis
        .map(|millis| u64::try_from(millis).map(Timestamp::from_millis))
        .transpose()
        .map_err(|_| damaged(column))
}

/// A count.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let count: i64 = row.get(column)?;
    u64::try_from(count).map_err(|_| damaged(column))
}

/// The header of an entry.
pub(super) fn header(row: &Row<'_>, column: usize) -> rusqlite::Result<Header> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|_| damaged(column))?;
    Header::decode(bytes).map_err(|_| damaged(column))
}

/// A value that is not what was written: becomes `StorageError::Damaged`.
pub(super) fn damaged(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, String::new(), Type::Blob)
}

pub(super) const fn wants_number(wants: Wants) -> i64 {
    match wants {
        Wants::JustListen => 0,
        Wants::AdviceWelcome => 1,
        Wants::SameBoat => 2,
    }
}

pub(super) const fn wants(number: i64) -> Option<Wants> {
    Some(match number {
        0 => Wants::JustListen,
        1 => Wants::AdviceWelcome,
        2 => Wants::SameBoat,
        _ => return None,
    })
}

pub(super) const fn word_number(word: ResponseWord) -> i64 {
    match word {
        ResponseWord::Hear => 0,
        ResponseWord::Same => 1,
        ResponseWord::Thanks => 2,
        ResponseWord::Thinking => 3,
    }
}

pub(super) const fn word(number: i64) -> Option<ResponseWord> {
    Some(match number {
        0 => ResponseWord::Hear,
        1 => ResponseWord::Same,
        2 => ResponseWord::Thanks,
        3 => ResponseWord::Thinking,
        _ => return None,
    })
}
