//! The rows of a keeper's store as values: every statement that is run stands here.

mod drop_box;
mod generation;
mod invitation;
mod mailbox;
mod record;

use cairn_crdt::time::Timestamp;

pub(crate) use self::drop_box::*;
pub(crate) use self::generation::*;
pub(crate) use self::invitation::*;
pub(crate) use self::mailbox::*;
pub(crate) use self::record::*;

use super::Given::Number;
use super::{MailboxRow, Row, StoreError, Taken};

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
