//! What a keeper holds, behind a contract: statements in a transaction.
//!
//! The rules (`mailbox.rs`) are written once over `rows`, and those once over [`Tables`], so
//! that a store is only a way to run statements. SQL is written in the part that SQLite and
//! PostgreSQL share. What must stay true of a store:
//!
//! - What [`Store::within`] returned `Ok` for is on disk; what failed left nothing.
//! - Two transactions never both hold what [`Tables::lock`] locks: places in a mailbox, its quota and
//!   its generation stay right however many processes write.
//! - Nothing in it says who came from where: no address, no peer id.

#[cfg(test)]
mod conformance;
mod error;
pub mod postgres;
pub(super) mod rows;
mod schema;
pub mod sqlite;

pub use self::error::StoreError;

/// The row of a mailbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) struct MailboxRow(pub(crate) i64);

/// A value that a statement is given.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// A number.
    Number(u64),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A value that a statement gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Taken {
    /// A number.
    Number(u64),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A row: its columns in the order in which they were selected.
pub type Row = Vec<Taken>;

/// Statements inside a transaction. Parameters are `$1`, `$2`…, first used in that order.
pub trait Tables {
    /// Runs a statement; how many rows it changed.
    ///
    /// # Errors
    /// What the store says.
    fn change(&mut self, sql: &str, given: &[Given<'_>]) -> Result<u64, StoreError>;

    /// Runs a query.
    ///
    /// # Errors
    /// What the store says, also if a column is neither a whole number from 0 nor bytes.
    fn select(&mut self, sql: &str, given: &[Given<'_>]) -> Result<Vec<Row>, StoreError>;

    /// What is written after a query whose rows no other transaction may change until this one ends.
    fn lock(&self) -> &'static str;
}

/// Work inside a transaction.
pub type Work<'a> = &'a mut dyn FnMut(&mut dyn Tables) -> Result<(), StoreError>;

/// A keeper's store.
pub trait Store: Send {
    /// Runs `work` in a transaction. It may be run again from the start if another process was in
    /// the way, so it must set what it returns, and not add to it.
    ///
    /// # Errors
    /// What `work` or the store says; then nothing was changed.
    fn within(&mut self, work: Work<'_>) -> Result<(), StoreError>;

    /// Requests that are worth a transaction together.
    fn together(&self) -> usize;

    /// Whether other processes write to it.
    fn shared(&self) -> bool;

    /// Something was deleted that should be overwritten now.
    fn overwrite(&mut self) {}
}
