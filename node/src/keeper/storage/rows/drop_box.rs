//! Drop-boxes and what is in them.

use cairn_crdt::id::{DropBoxId, RecordId};
use cairn_crdt::mailbox::Cursor;
use cairn_crdt::time::Timestamp;

use super::super::Given::{Bytes, Number};
use super::super::{MailboxRow, StoreError, Tables};
use super::{Columns, first, number_of, row_of};

/// A drop-box with its counters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DropBox {
    pub(crate) mailbox: MailboxRow,
    pub(crate) expires: Timestamp,
    pub(crate) newest: Cursor,
    pub(crate) records: u64,
}

/// A drop-box by its name, locked like its mailbox.
pub(crate) fn drop_box(
    tables: &mut dyn Tables,
    id: DropBoxId,
) -> Result<Option<DropBox>, StoreError> {
    let lock = tables.lock();
    let rows = tables.select(
        &format!("SELECT mailbox, expires, newest FROM drop_box WHERE id = $1{lock}"),
        &[Bytes(id.as_bytes())],
    )?;
    let Some(mut columns) = first(rows) else { return Ok(None) };
    let (mailbox, expires) = (row_of(columns.number()?)?, columns.time()?);
    let newest = Cursor(columns.number()?);
    let rows = tables
        .select("SELECT count(*) FROM drop_record WHERE drop_box = $1", &[Bytes(id.as_bytes())])?;
    let records = first(rows).ok_or(StoreError::Damaged)?.number()?;
    Ok(Some(DropBox { mailbox, expires, newest, records }))
}

/// How many drop-boxes a mailbox has.
pub(crate) fn drop_boxes(tables: &mut dyn Tables, mailbox: MailboxRow) -> Result<u64, StoreError> {
    let rows =
        tables.select("SELECT count(*) FROM drop_box WHERE mailbox = $1", &[number_of(mailbox)])?;
    first(rows).ok_or(StoreError::Damaged)?.number()
}

/// Makes a drop-box.
pub(crate) fn add_drop_box(
    tables: &mut dyn Tables,
    id: DropBoxId,
    mailbox: MailboxRow,
    expires: Timestamp,
) -> Result<(), StoreError> {
    tables.change(
        "INSERT INTO drop_box (id, mailbox, expires, newest) VALUES ($1, $2, $3, 0)",
        &[Bytes(id.as_bytes()), number_of(mailbox), Number(expires.as_millis())],
    )?;
    Ok(())
}

/// Says when a drop-box goes.
pub(crate) fn set_drop_box(
    tables: &mut dyn Tables,
    id: DropBoxId,
    expires: Timestamp,
) -> Result<(), StoreError> {
    tables.change(
        "UPDATE drop_box SET expires = $1 WHERE id = $2",
        &[Number(expires.as_millis()), Bytes(id.as_bytes())],
    )?;
    Ok(())
}

/// Deletes a drop-box and what is in it.
pub(crate) fn delete_drop_box(tables: &mut dyn Tables, id: DropBoxId) -> Result<(), StoreError> {
    tables.change("DELETE FROM drop_record WHERE drop_box = $1", &[Bytes(id.as_bytes())])?;
    tables.change("DELETE FROM drop_box WHERE id = $1", &[Bytes(id.as_bytes())])?;
    Ok(())
}

/// The drop-boxes whose time is over, at most so many.
pub(crate) fn over_drop_boxes(
    tables: &mut dyn Tables,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<DropBoxId>, StoreError> {
    let rows = tables.select(
        "SELECT id FROM drop_box WHERE expires < $1 ORDER BY expires LIMIT $2",
        &[Number(now.as_millis()), Number(limit)],
    )?;
    rows.into_iter().map(|row| Columns::of(row).id().map(DropBoxId::from_bytes)).collect()
}

/// Puts a record into a drop-box, at the place after its newest.
pub(crate) fn add_drop_record(
    tables: &mut dyn Tables,
    drop: DropBoxId,
    cursor: Cursor,
    id: RecordId,
    bytes: &[u8],
) -> Result<(), StoreError> {
    tables.change(
        "INSERT INTO drop_record (drop_box, cursor, id, bytes) VALUES ($1, $2, $3, $4)",
        &[Bytes(drop.as_bytes()), Number(cursor.0), Bytes(id.as_bytes()), Bytes(bytes)],
    )?;
    tables.change(
        "UPDATE drop_box SET newest = $1 WHERE id = $2",
        &[Number(cursor.0), Bytes(drop.as_bytes())],
    )?;
    Ok(())
}

/// Whether a drop-box holds a record.
pub(crate) fn drop_has(
    tables: &mut dyn Tables,
    drop: DropBoxId,
    id: RecordId,
) -> Result<bool, StoreError> {
    let rows = tables.select(
        "SELECT cursor FROM drop_record WHERE drop_box = $1 AND id = $2",
        &[Bytes(drop.as_bytes()), Bytes(id.as_bytes())],
    )?;
    Ok(!rows.is_empty())
}

/// Places and bytes of the records of a drop-box after a place, at most so many.
pub(crate) fn drop_after(
    tables: &mut dyn Tables,
    drop: DropBoxId,
    after: Cursor,
    limit: u64,
) -> Result<Vec<(Cursor, Vec<u8>)>, StoreError> {
    let rows = tables.select(
        "SELECT cursor, bytes FROM drop_record WHERE drop_box = $1 AND cursor > $2
         ORDER BY cursor LIMIT $3",
        &[Bytes(drop.as_bytes()), Number(after.0), Number(limit)],
    )?;
    rows.into_iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok((Cursor(columns.number()?), columns.bytes()?))
        })
        .collect()
}
