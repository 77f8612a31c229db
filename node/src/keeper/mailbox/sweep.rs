//! What goes by itself when its time is over.

use std::collections::BTreeMap;

use cairn_crdt::time::Timestamp;

use super::{policy, rows};
use crate::keeper::policy::Limits;
use crate::keeper::storage::{MailboxRow, StoreError, Tables};

/// Deletes a bounded part of what is over: records, drop-boxes, keys, invitations. Whether there may
/// be more.
///
/// # Errors
/// What the store says; then nothing was deleted.
pub(in crate::keeper) fn sweep(
    tables: &mut dyn Tables,
    limits: &Limits,
    now: Timestamp,
) -> Result<Swept, StoreError> {
    let over = rows::over(tables, now, policy::SWEEP_RECORDS)?;
    let full = u64::try_from(over.len()).unwrap_or(u64::MAX) >= policy::SWEEP_RECORDS;
    // One mailbox after the other, by rising row: two sweeps then never wait for each other.
    let mut by_mailbox: BTreeMap<MailboxRow, Vec<(u64, u64)>> = BTreeMap::new();
    for (mailbox, size, row) in over {
        by_mailbox.entry(mailbox).or_default().push((size, row));
    }
    let mut records: u64 = 0;
    for (row, over) in by_mailbox {
        let Some(mut mailbox) = rows::mailbox_locked(tables, row)? else { continue };
        for (size, record) in over {
            if rows::delete_record(tables, record)? {
                mailbox.used = mailbox.used.saturating_sub(size);
                mailbox.records = mailbox.records.saturating_sub(1);
                records = records.saturating_add(1);
            }
        }
        rows::set_mailbox(tables, &mailbox)?;
    }
    let boxes = rows::over_drop_boxes(tables, now, policy::SWEEP_RECORDS)?;
    for drop in &boxes {
        rows::delete_drop_box(tables, *drop)?;
    }
    let before = Timestamp::from_millis(now.as_millis().saturating_sub(limits.retention));
    let keys = rows::forget_ended_keys(tables, before)?;
    let invitations = rows::forget_invitations(tables, now)?;
    let deleted = records > 0 || !boxes.is_empty() || keys > 0 || invitations > 0;
    Ok(Swept { deleted, more: full })
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::keeper) struct Swept {
    /// Something was deleted.
    pub(in crate::keeper) deleted: bool,
    /// There may be more.
    pub(in crate::keeper) more: bool,
}
