//! Mailboxes with their counters.

use cairn_crdt::id::{AccessKey, ControlKey, MailboxId};
use cairn_crdt::mailbox::{Cursor, Generation};

use super::super::Given::{Bytes, Number};
use super::super::{MailboxRow, Row, StoreError, Tables};
use super::generation::{Keys, add_keys};
use super::{first, number_of, row_of};

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
