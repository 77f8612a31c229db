//! The keys of mailboxes, generation by generation.

use cairn_crdt::id::{AccessKey, ControlKey};
use cairn_crdt::mailbox::Generation;
use cairn_crdt::time::Timestamp;

use super::super::Given::{Bytes, Number};
use super::super::{MailboxRow, StoreError, Tables};
use super::{Columns, first, number_of};

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
