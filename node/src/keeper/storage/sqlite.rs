//! A keeper's store as one SQLite file. It is not encrypted: all that is in it was sealed by those who
//! put it there, and whoever runs a keeper reads no more in it than its memory shows.
//!
//! A transaction is in the write-ahead log and synced before it is acknowledged. What is deleted is
//! overwritten, and the log brought into the file after that.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params_from_iter};

use super::{Given, Row, Store, StoreError, Tables, Taken, Work, schema};

const TYPES: schema::Types =
    schema::Types { number: "INTEGER", bytes: "BLOB", row: "INTEGER PRIMARY KEY" };
/// How long another process that writes is waited for.
const BUSY: Duration = Duration::from_secs(10);
/// Statements that are kept prepared.
const STATEMENTS: usize = 64;
/// Requests that are written together: each would cost a sync of the disk alone.
const TOGETHER: usize = 64;

/// The store in a file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
}

impl SqliteStore {
    /// Opens the file, or makes one that only this user can read.
    ///
    /// # Errors
    /// When it is no keeper's store, too new, or the disk fails.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        private(path).map_err(|error| StoreError::Failed(error.kind().to_string()))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self::prepare(Connection::open_with_flags(path, flags)?)
    }

    /// A store that is gone with this value.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, StoreError> {
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA secure_delete = ON;
             PRAGMA cache_size = -32768; PRAGMA journal_size_limit = 67108864;
             PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
        )?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tables: i64 = transaction.query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table'",
            [],
            |row| row.get(0),
        )?;
        if tables == 0 {
            transaction.execute_batch(&schema::tables(TYPES))?;
        } else {
            let version: i64 = transaction
                .query_row("SELECT version FROM keeper", [], |row| row.get(0))
                .map_err(|_| StoreError::Damaged)?;
            if u64::try_from(version).unwrap_or(u64::MAX) > schema::VERSION {
                return Err(StoreError::TooNew);
            }
        }
        transaction.commit()?;
        Ok(Self { connection })
    }
}

/// Makes the file, if there is none, so that nobody else can read it.
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

impl Store for SqliteStore {
    fn within(&mut self, work: Work<'_>) -> Result<(), StoreError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&mut Statements(&transaction))?;
        Ok(transaction.commit()?)
    }

    fn together(&self) -> usize {
        TOGETHER
    }

    fn shared(&self) -> bool {
        false
    }

    /// A failure is no failure of the deletion, which is safe: it is tried again the next time.
    fn overwrite(&mut self) {
        let _: rusqlite::Result<i64> =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    }
}

struct Statements<'a>(&'a Transaction<'a>);

impl Tables for Statements<'_> {
    fn change(&mut self, sql: &str, given: &[Given<'_>]) -> Result<u64, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let changed = statement.execute(params_from_iter(given))?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn select(&mut self, sql: &str, given: &[Given<'_>]) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(given))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut values = Vec::with_capacity(columns);
            for column in 0..columns {
                values.push(match row.get_ref(column)? {
                    ValueRef::Integer(number) => {
                        Taken::Number(u64::try_from(number).map_err(|_| StoreError::Damaged)?)
                    }
                    ValueRef::Blob(bytes) => Taken::Bytes(bytes.to_vec()),
                    _ => return Err(StoreError::Damaged),
                });
            }
            found.push(values);
        }
        Ok(found)
    }

    /// There is one writer at a time.
    fn lock(&self) -> &'static str {
        ""
    }
}

impl rusqlite::ToSql for Given<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::ToSqlOutput;
        Ok(match self {
            // No number here comes near: times, sizes and places, all bounded when they are set.
            Self::Number(number) => ToSqlOutput::from(i64::try_from(*number).unwrap_or(i64::MAX)),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}
