//! How the file is opened, and its migrations.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::storage::StorageError;

/// In order; the number of those applied is the file's `user_version`.
const MIGRATIONS: [&str; 2] = [
    include_str!("../../../migrations/0001_store.sql"),
    include_str!("../../../migrations/0002_keepers.sql"),
];

/// Statements that are kept prepared: more than there are.
const STATEMENTS: usize = 96;

/// Before the key. The lock of the home keeps other processes out; the thread that has the store
/// has it alone, so SQLite's own mutexes are not needed.
pub(super) fn connect(path: &Path) -> Result<Connection, StorageError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.execute_batch("PRAGMA cipher_log_level = NONE;")?;
    Ok(connection)
}

/// SQLite without encryption ignores the key in silence: then nothing is opened.
pub(super) fn must_be_encrypted(connection: &Connection) -> Result<(), StorageError> {
    let status: Option<String> =
        connection.query_row("PRAGMA cipher_status", [], |row| row.get(0)).optional()?;
    if status.as_deref() == Some("1") { Ok(()) } else { Err(StorageError::Failed { code: 0 }) }
}

/// After the key: the first look into the file, so a key that does not fit is found here.
///
/// - `secure_delete`: what is deleted is overwritten with zeroes (C5).
/// - `synchronous = FULL`: a transaction is synced before it is acknowledged (S4).
/// - `locking_mode = EXCLUSIVE`: no second process, even one that ignores the home's lock.
/// - `temp_store = MEMORY`: nothing is written outside this file and its log.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), StorageError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA cell_size_check = ON;
         PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA cache_size = -32768;
         PRAGMA wal_autocheckpoint = 8192;
         PRAGMA journal_size_limit = 33554432;",
    )?;
    migrate(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), StorageError> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if version > known {
        return Err(StorageError::TooNew { found: version, known });
    }
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    for (number, migration) in (1_u32..).zip(MIGRATIONS).skip(applied) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {number}"))?;
        transaction.commit()?;
    }
    Ok(())
}
