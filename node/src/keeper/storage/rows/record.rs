//! Records.

use cairn_crdt::id::RecordId;
use cairn_crdt::mailbox::Cursor;
use cairn_crdt::time::Timestamp;

use super::super::Given::{Bytes, Number};
use super::super::{MailboxRow, StoreError, Tables};
use super::{Columns, first, number_of, row_of};

/// A record without its bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Held {
    pub(crate) row: u64,
    pub(crate) erase: [u8; 32],
    pub(crate) size: u64,
}

/// A record to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding<'a> {
    pub(crate) cursor: Cursor,
    pub(crate) id: RecordId,
    pub(crate) erase: &'a [u8; 32],
    pub(crate) until: Timestamp,
    pub(crate) bytes: &'a [u8],
}

/// A record by its id.
pub(crate) fn held(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    id: RecordId,
) -> Result<Option<Held>, StoreError> {
    let rows = tables.select(
        "SELECT row, erase, size FROM record WHERE mailbox = $1 AND id = $2",
        &[number_of(mailbox), Bytes(id.as_bytes())],
    )?;
    let Some(mut columns) = first(rows) else { return Ok(None) };
    Ok(Some(Held { row: columns.number()?, erase: columns.id()?, size: columns.number()? }))
}

/// Adds a record. The caller counts it.
pub(crate) fn add_record(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    holding: &Holding<'_>,
) -> Result<(), StoreError> {
    tables.change(
        "INSERT INTO record (mailbox, cursor, id, erase, until, size, bytes)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            number_of(mailbox),
            Number(holding.cursor.0),
            Bytes(holding.id.as_bytes()),
            Bytes(holding.erase),
            Number(holding.until.as_millis()),
            Number(u64::try_from(holding.bytes.len()).unwrap_or(u64::MAX)),
            Bytes(holding.bytes),
        ],
    )?;
    Ok(())
}

/// Holds a record until a time; whether there is one. One that is held for a time not much shorter
/// is left alone: the disk is written for nothing less than `slack`.
pub(crate) fn renew(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    id: RecordId,
    until: Timestamp,
    slack: u64,
) -> Result<bool, StoreError> {
    let Some(held) = held(tables, mailbox, id)? else { return Ok(false) };
    tables.change(
        "UPDATE record SET until = $1 WHERE row = $2 AND until < $3",
        &[
            Number(until.as_millis()),
            Number(held.row),
            Number(until.as_millis().saturating_sub(slack)),
        ],
    )?;
    Ok(true)
}

/// Places, sizes and rows of the records after a place, in order, at most so many.
pub(crate) fn after(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    after: Cursor,
    limit: u64,
) -> Result<Vec<(Cursor, u64, u64)>, StoreError> {
    let rows = tables.select(
        "SELECT cursor, size, row FROM record WHERE mailbox = $1 AND cursor > $2
         ORDER BY cursor LIMIT $3",
        &[number_of(mailbox), Number(after.0), Number(limit)],
    )?;
    rows.into_iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok((Cursor(columns.number()?), columns.number()?, columns.number()?))
        })
        .collect()
}

/// Place and bytes of a record by its row.
pub(crate) fn record(
    tables: &mut dyn Tables,
    row: u64,
) -> Result<Option<(Cursor, Vec<u8>)>, StoreError> {
    let rows = tables.select("SELECT cursor, bytes FROM record WHERE row = $1", &[Number(row)])?;
    let Some(mut columns) = first(rows) else { return Ok(None) };
    Ok(Some((Cursor(columns.number()?), columns.bytes()?)))
}

/// Deletes a record by its row; whether it was still there. The caller counts it.
pub(crate) fn delete_record(tables: &mut dyn Tables, row: u64) -> Result<bool, StoreError> {
    Ok(tables.change("DELETE FROM record WHERE row = $1", &[Number(row)])? > 0)
}

/// The ids from one on up to another, in order, at most so many.
pub(crate) fn ids_between(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    (from, to): (&[u8; 32], &[u8; 32]),
    limit: u64,
) -> Result<Vec<RecordId>, StoreError> {
    let rows = tables.select(
        "SELECT id FROM record WHERE mailbox = $1 AND id >= $2 AND id <= $3 ORDER BY id LIMIT $4",
        &[number_of(mailbox), Bytes(from), Bytes(to), Number(limit)],
    )?;
    rows.into_iter().map(|row| Columns::of(row).id().map(RecordId::from_bytes)).collect()
}

/// How many ids there are from one on up to another.
pub(crate) fn count_between(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    (from, to): (&[u8; 32], &[u8; 32]),
) -> Result<u64, StoreError> {
    let rows = tables.select(
        "SELECT count(*) FROM record WHERE mailbox = $1 AND id >= $2 AND id <= $3",
        &[number_of(mailbox), Bytes(from), Bytes(to)],
    )?;
    first(rows).ok_or(StoreError::Damaged)?.number()
}

/// Mailbox, size and row of records whose time is over, at most so many.
pub(crate) fn over(
    tables: &mut dyn Tables,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<(MailboxRow, u64, u64)>, StoreError> {
    let rows = tables.select(
        "SELECT mailbox, size, row FROM record WHERE until < $1 ORDER BY until LIMIT $2",
        &[Number(now.as_millis()), Number(limit)],
    )?;
    rows.into_iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok((row_of(columns.number()?)?, columns.number()?, columns.number()?))
        })
        .collect()
}
