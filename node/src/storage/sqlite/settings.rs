//! Small values by name.

use rusqlite::{Connection, OptionalExtension as _};
use zeroize::Zeroizing;

use super::ReplicaRow;
use crate::storage::StorageError;

pub(super) fn of_home(
    connection: &Connection,
    name: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
    Ok(connection
        .prepare_cached("SELECT value FROM setting WHERE name = ?1")?
        .query_row([name], |row| row.get(0).map(Zeroizing::new))
        .optional()?)
}

pub(super) fn set_of_home(
    connection: &Connection,
    name: &str,
    value: &[u8],
) -> Result<(), StorageError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)")?
        .execute((name, value))?;
    Ok(())
}

pub(super) fn of_replica(
    connection: &Connection,
    replica: ReplicaRow,
    name: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
    Ok(connection
        .prepare_cached("SELECT value FROM replica_setting WHERE replica = ?1 AND name = ?2")?
        .query_row((replica, name), |row| row.get(0).map(Zeroizing::new))
        .optional()?)
}

pub(super) fn set_of_replica(
    connection: &Connection,
    replica: ReplicaRow,
    name: &str,
    value: &[u8],
) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO replica_setting (replica, name, value) VALUES (?1, ?2, ?3)",
        )?
        .execute((replica, name, value))?;
    Ok(())
}
