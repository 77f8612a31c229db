//! Operators' invitations, and how much there is of everything.

use cairn_crdt::id::MailboxId;
use cairn_crdt::time::Timestamp;

use super::super::Given::{Bytes, Number};
use super::super::{StoreError, Tables};
use super::first;

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
