//! The rows of a keeper's store as values: every statement that is run stands here.

use cairn_crdt::id::{AccessKey, ControlKey, DropBoxId, MailboxId, RecordId};
use cairn_crdt::mailbox::{Cursor, Generation};
use cairn_crdt::time::Timestamp;

use super::Given::{Bytes, Number};
use super::{MailboxRow, Row, StoreError, Tables, Taken};

/// A mailbox with its counters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mailbox {
    pub(crate) row: MailboxRow,
    pub(crate) store: [u8; 32],
    pub(crate) generation: Generation,
    /// Of the present keys.
    pub(crate) access: AccessKey,
    pub(crate) newest: Cursor,
    pub(crate) drops: u64,
    pub(crate) used: u64,
    pub(crate) records: u64,
}

/// The keys of a mailbox, of one generation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Keys {
    pub(crate) generation: Generation,
    pub(crate) access: AccessKey,
    pub(crate) control: ControlKey,
    pub(crate) by_owner: bool,
    /// The owner began another of the same number.
    pub(crate) replaced: bool,
    /// `None` for the present ones.
    pub(crate) ended: Option<Timestamp>,
}

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

/// A drop-box with its counters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DropBox {
    pub(crate) mailbox: MailboxRow,
    pub(crate) expires: Timestamp,
    pub(crate) newest: Cursor,
    pub(crate) records: u64,
}

/// An operator's invitation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Invitation {
    pub(crate) until: Timestamp,
    /// The mailbox that was made with it.
    pub(crate) mailbox: Option<MailboxId>,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) mailboxes: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) invitations: u64,
}

/// Reads the columns of one row.
struct Columns(std::vec::IntoIter<Taken>);

impl Columns {
    fn of(row: Row) -> Self {
        Self(row.into_iter())
    }

    fn number(&mut self) -> Result<u64, StoreError> {
        match self.0.next() {
            Some(Taken::Number(number)) => Ok(number),
            _ => Err(StoreError::Damaged),
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.0.next() {
            Some(Taken::Bytes(bytes)) => Ok(bytes),
            _ => Err(StoreError::Damaged),
        }
    }

    fn id(&mut self) -> Result<[u8; 32], StoreError> {
        self.bytes()?.try_into().map_err(|_| StoreError::Damaged)
    }

    fn time(&mut self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_millis(self.number()?))
    }
}

fn first(rows: Vec<Row>) -> Option<Columns> {
    rows.into_iter().next().map(Columns::of)
}

fn row_of(number: u64) -> Result<MailboxRow, StoreError> {
    i64::try_from(number).map(MailboxRow).map_err(|_| StoreError::Damaged)
}

fn number_of(row: MailboxRow) -> super::Given<'static> {
    Number(u64::try_from(row.0).unwrap_or_default())
}

// Mailboxes ---------------------------------------------------------------------------------------

const MAILBOX: &str =
    "SELECT row, store, generation, access, newest, drops, used, records FROM mailbox";

fn mailbox(rows: Vec<Row>) -> Result<Option<Mailbox>, StoreError> {
    let Some(mut columns) = first(rows) else { return Ok(None) };
    Ok(Some(Mailbox {
        row: row_of(columns.number()?)?,
        store: columns.id()?,
        generation: Generation(columns.number()?),
        access: AccessKey::from_bytes(columns.id()?),
        newest: Cursor(columns.number()?),
        drops: columns.number()?,
        used: columns.number()?,
        records: columns.number()?,
    }))
}

/// A mailbox by its name.
pub(crate) fn mailbox_named(
    tables: &mut dyn Tables,
    id: MailboxId,
) -> Result<Option<Mailbox>, StoreError> {
    mailbox(tables.select(&format!("{MAILBOX} WHERE id = $1"), &[Bytes(id.as_bytes())])?)
}

/// A mailbox by its row.
pub(crate) fn mailbox_at(
    tables: &mut dyn Tables,
    row: MailboxRow,
) -> Result<Option<Mailbox>, StoreError> {
    mailbox(tables.select(&format!("{MAILBOX} WHERE row = $1"), &[number_of(row)])?)
}

/// A mailbox by its row, that nobody else changes until the transaction ends.
pub(crate) fn mailbox_locked(
    tables: &mut dyn Tables,
    row: MailboxRow,
) -> Result<Option<Mailbox>, StoreError> {
    let lock = tables.lock();
    mailbox(tables.select(&format!("{MAILBOX} WHERE row = $1{lock}"), &[number_of(row)])?)
}

/// Makes an empty mailbox of generation 1.
pub(crate) fn add_mailbox(
    tables: &mut dyn Tables,
    id: MailboxId,
    store: &[u8; 32],
    access: AccessKey,
    control: ControlKey,
) -> Result<(), StoreError> {
    tables.change(
        "INSERT INTO mailbox (id, store, generation, access, newest, drops, used, records)
         VALUES ($1, $2, 1, $3, 0, 0, 0, 0)",
        &[Bytes(id.as_bytes()), Bytes(store), Bytes(access.as_bytes())],
    )?;
    let made = mailbox_named(tables, id)?.ok_or(StoreError::Damaged)?;
    let keys = Keys {
        generation: Generation(1),
        access,
        control,
        by_owner: true,
        replaced: false,
        ended: None,
    };
    add_keys(tables, made.row, &keys, &[])
}

/// Writes a mailbox's counters and generation back.
pub(crate) fn set_mailbox(tables: &mut dyn Tables, mailbox: &Mailbox) -> Result<(), StoreError> {
    tables.change(
        "UPDATE mailbox
         SET generation = $1, access = $2, newest = $3, drops = $4, used = $5, records = $6
         WHERE row = $7",
        &[
            Number(mailbox.generation.0),
            Bytes(mailbox.access.as_bytes()),
            Number(mailbox.newest.0),
            Number(mailbox.drops),
            Number(mailbox.used),
            Number(mailbox.records),
            number_of(mailbox.row),
        ],
    )?;
    Ok(())
}

// Generations -------------------------------------------------------------------------------------

/// The keys of a number: the present ones or those that ended, and those that the owner replaced.
pub(crate) fn keys(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    generation: Generation,
) -> Result<Vec<Keys>, StoreError> {
    let rows = tables.select(
        "SELECT access, control, by_owner, replaced, ended FROM generation
         WHERE mailbox = $1 AND number = $2 ORDER BY replaced LIMIT 8",
        &[number_of(mailbox), Number(generation.0)],
    )?;
    rows.into_iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok(Keys {
                generation,
                access: AccessKey::from_bytes(columns.id()?),
                control: ControlKey::from_bytes(columns.id()?),
                by_owner: columns.number()? != 0,
                replaced: columns.number()? != 0,
                ended: Some(columns.time()?).filter(|at| at.as_millis() != 0),
            })
        })
        .collect()
}

/// The first generation from a number on that is not replaced, with its wrapped keys.
pub(crate) fn rekey(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    from: Generation,
) -> Result<Option<(Generation, Vec<u8>)>, StoreError> {
    let rows = tables.select(
        "SELECT number, rekey FROM generation
         WHERE mailbox = $1 AND number >= $2 AND replaced = 0 ORDER BY number LIMIT 1",
        &[number_of(mailbox), Number(from.0)],
    )?;
    let Some(mut columns) = first(rows) else { return Ok(None) };
    Ok(Some((Generation(columns.number()?), columns.bytes()?)))
}

/// Adds keys, with what was wrapped for them.
pub(crate) fn add_keys(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    keys: &Keys,
    rekey: &[u8],
) -> Result<(), StoreError> {
    tables.change(
        "INSERT INTO generation
         (mailbox, access, number, control, by_owner, replaced, ended, rekey)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &[
            number_of(mailbox),
            Bytes(keys.access.as_bytes()),
            Number(keys.generation.0),
            Bytes(keys.control.as_bytes()),
            Number(u64::from(keys.by_owner)),
            Number(u64::from(keys.replaced)),
            Number(keys.ended.map_or(0, Timestamp::as_millis)),
            Bytes(rekey),
        ],
    )?;
    Ok(())
}

/// The generation, present or ended, that has this access key.
pub(crate) fn generation_of(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    access: AccessKey,
) -> Result<Option<Generation>, StoreError> {
    let rows = tables.select(
        "SELECT number FROM generation WHERE mailbox = $1 AND access = $2",
        &[number_of(mailbox), Bytes(access.as_bytes())],
    )?;
    let Some(mut columns) = first(rows) else { return Ok(None) };
    Ok(Some(Generation(columns.number()?)))
}

/// Ends the present keys.
pub(crate) fn end_keys(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    now: Timestamp,
    replaced: bool,
) -> Result<(), StoreError> {
    tables.change(
        "UPDATE generation SET ended = $1, replaced = $2 WHERE mailbox = $3 AND ended = 0",
        &[Number(now.as_millis().max(1)), Number(u64::from(replaced)), number_of(mailbox)],
    )?;
    Ok(())
}

/// Forgets the keys that ended, of numbers below one.
pub(crate) fn forget_keys(
    tables: &mut dyn Tables,
    mailbox: MailboxRow,
    below: Generation,
) -> Result<(), StoreError> {
    tables.change(
        "DELETE FROM generation WHERE mailbox = $1 AND number < $2 AND ended > 0",
        &[number_of(mailbox), Number(below.0)],
    )?;
    Ok(())
}

/// Forgets all keys that ended before a time; how many there were.
pub(crate) fn forget_ended_keys(
    tables: &mut dyn Tables,
    before: Timestamp,
) -> Result<u64, StoreError> {
    tables.change(
        "DELETE FROM generation WHERE ended > 0 AND ended < $1",
        &[Number(before.as_millis())],
    )
}

// Records -----------------------------------------------------------------------------------------

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

// Drop-boxes --------------------------------------------------------------------------------------

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

// Invitations, totals -----------------------------------------------------------------------------

/// An invitation by the hash of its secret, that nobody else uses until the transaction ends.
pub(crate) fn invitation(
    tables: &mut dyn Tables,
    hash: &[u8; 32],
) -> Result<Option<Invitation>, StoreError> {
    let lock = tables.lock();
    let rows = tables.select(
        &format!("SELECT until, mailbox FROM invitation WHERE hash = $1{lock}"),
        &[Bytes(hash)],
    )?;
    let Some(mut columns) = first(rows) else { return Ok(None) };
    let (until, used) = (columns.time()?, columns.bytes()?);
    let mailbox = <[u8; 32]>::try_from(used).ok().map(MailboxId::from_bytes);
    Ok(Some(Invitation { until, mailbox }))
}

/// Adds an invitation.
pub(crate) fn add_invitation(
    tables: &mut dyn Tables,
    hash: &[u8; 32],
    until: Timestamp,
) -> Result<(), StoreError> {
    tables.change(
        "INSERT INTO invitation (hash, until, mailbox) VALUES ($1, $2, $3)",
        &[Bytes(hash), Number(until.as_millis()), Bytes(&[])],
    )?;
    Ok(())
}

/// Uses an invitation up.
pub(crate) fn use_invitation(
    tables: &mut dyn Tables,
    hash: &[u8; 32],
    mailbox: MailboxId,
) -> Result<(), StoreError> {
    tables.change(
        "UPDATE invitation SET mailbox = $1 WHERE hash = $2",
        &[Bytes(mailbox.as_bytes()), Bytes(hash)],
    )?;
    Ok(())
}

/// Forgets the invitations whose time is over.
pub(crate) fn forget_invitations(
    tables: &mut dyn Tables,
    now: Timestamp,
) -> Result<u64, StoreError> {
    tables.change("DELETE FROM invitation WHERE until < $1", &[Number(now.as_millis())])
}

/// How much there is of everything. Reads every mailbox, but no record.
pub(crate) fn totals(tables: &mut dyn Tables) -> Result<Totals, StoreError> {
    let number = |tables: &mut dyn Tables, sql: &str| {
        first(tables.select(sql, &[])?).ok_or(StoreError::Damaged)?.number()
    };
    Ok(Totals {
        mailboxes: number(tables, "SELECT count(*) FROM mailbox")?,
        records: number(tables, "SELECT CAST(COALESCE(sum(records), 0) AS BIGINT) FROM mailbox")?,
        bytes: number(tables, "SELECT CAST(COALESCE(sum(used), 0) AS BIGINT) FROM mailbox")?,
        invitations: number(tables, "SELECT count(*) FROM invitation WHERE length(mailbox) = 0")?,
    })
}
