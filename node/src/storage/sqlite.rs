//! The store as one SQLCipher file.
//!
//! A transaction is in the write-ahead log and synced before it is acknowledged (S4). The log is
//! encrypted as the file is. After a write that erased something, the log is brought into the file
//! and cut off, so that the old pages are overwritten now and not at some later time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cairn_crdt::id::{DocumentId, EntryId, GroupId, MemberId};
use cairn_crdt::log::run::Entry;
use cairn_crdt::replica::effect::{PostRow, Write};
use cairn_crdt::replica::input::{Load, ResponseWord, Stored};
use cairn_crdt::replica::snapshot::Snapshot;
use rusqlite::{Connection, OptionalExtension as _};
use zeroize::Zeroizing;

use super::home::HomeLock;
use super::vault::VaultKey;
use super::{ActRow, Place, ProfileRow, RequestRow, SearchHit, StorageError, Store, ThreadSummary};

mod column;
mod entries;
mod post;
mod schema;
mod settings;
mod snapshot;
mod view;
mod write;

#[cfg(test)]
mod tests;

/// The row of a group in the table `replica`.
type ReplicaRow = i64;

/// The encrypted store of a home. It keeps the home's lock until it is dropped.
pub struct SqliteStore {
    connection: Connection,
    /// Something was erased whose old pages are still in the write-ahead log.
    overwrite_due: bool,
    _lock: Option<Arc<HomeLock>>,
}

impl SqliteStore {
    /// Opens the file, or makes an empty one into a store.
    pub(super) fn open(
        path: &Path,
        key: &VaultKey,
        lock: Option<Arc<HomeLock>>,
    ) -> Result<Self, StorageError> {
        let connection = schema::connect(path)?;
        connection.execute_batch(&key.pragma())?;
        schema::must_be_encrypted(&connection)?;
        Self::prepare(connection, lock)
    }

    /// Everything after the key. Tests come in here with a file that is not encrypted, to look for
    /// what was erased in its bytes.
    fn prepare(
        mut connection: Connection,
        lock: Option<Arc<HomeLock>>,
    ) -> Result<Self, StorageError> {
        schema::prepare(&mut connection)?;
        let mut store = Self { connection, overwrite_due: true, _lock: lock };
        store.overwrite();
        Ok(store)
    }

    fn replica(&self, group: GroupId) -> Result<ReplicaRow, StorageError> {
        self.connection
            .prepare_cached("SELECT row FROM replica WHERE \"group\" = ?1")?
            .query_row([group.as_bytes()], |row| row.get(0))
            .optional()?
            .ok_or(StorageError::UnknownGroup)
    }

    fn apply(&mut self, replica: ReplicaRow, writes: &[Write]) -> Result<(), StorageError> {
        let transaction = self.connection.transaction()?;
        write::apply_all(&transaction, replica, writes)?;
        transaction.commit()?;
        self.overwrite_due |= writes.iter().any(write::erases);
        self.overwrite();
        Ok(())
    }

    /// Brings the write-ahead log into the file and cuts it off, if something was erased. A failure
    /// is no failure of the write, which is safe: it is tried again after the next one, and when
    /// the store is opened.
    fn overwrite(&mut self) {
        if self.overwrite_due {
            let busy: rusqlite::Result<i64> =
                self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
            self.overwrite_due = !matches!(busy, Ok(0));
        }
    }
}

impl Store for SqliteStore {
    fn groups(&self) -> Result<Vec<GroupId>, StorageError> {
        let mut statement =
            self.connection.prepare_cached("SELECT \"group\" FROM replica ORDER BY \"group\"")?;
        let rows = statement.query_map([], |row| row.get(0).map(GroupId::from_bytes))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn add_group(&mut self, group: GroupId, writes: &[Write]) -> Result<(), StorageError> {
        let transaction = self.connection.transaction()?;
        let added = transaction
            .execute("INSERT OR IGNORE INTO replica (\"group\") VALUES (?1)", [group.as_bytes()])?;
        if added == 0 {
            return Err(StorageError::KnownGroup);
        }
        let replica = transaction.last_insert_rowid();
        write::apply_all(&transaction, replica, writes)?;
        transaction.commit()?;
        Ok(())
    }

    fn forget_group(&mut self, group: GroupId) -> Result<(), StorageError> {
        let replica = self.replica(group)?;
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM replica WHERE row = ?1", [replica])?;
        write::overwrite_words(&transaction)?;
        transaction.commit()?;
        self.overwrite_due = true;
        self.overwrite();
        Ok(())
    }

    fn write(&mut self, group: GroupId, writes: &[Write]) -> Result<(), StorageError> {
        let replica = self.replica(group)?;
        self.apply(replica, writes)
    }

    fn snapshot(&self, group: GroupId) -> Result<Snapshot, StorageError> {
        snapshot::read(&self.connection, self.replica(group)?, group)
    }

    fn load(&self, group: GroupId, load: &Load) -> Result<Vec<Stored>, StorageError> {
        entries::load(&self.connection, self.replica(group)?, load)
    }

    fn entries(
        &self,
        group: GroupId,
        ids: &[EntryId],
        content: bool,
    ) -> Result<Vec<Entry>, StorageError> {
        entries::entries(&self.connection, self.replica(group)?, ids, content)
    }

    fn payloads(
        &self,
        group: GroupId,
        ids: &[EntryId],
    ) -> Result<Vec<(EntryId, Vec<u8>)>, StorageError> {
        entries::payloads(&self.connection, self.replica(group)?, ids)
    }

    fn newest_first(&self, group: GroupId, ids: &[EntryId]) -> Result<Vec<EntryId>, StorageError> {
        entries::newest_first(&self.connection, self.replica(group)?, ids)
    }

    fn place(&self, group: GroupId, entry: &EntryId) -> Result<Option<Place>, StorageError> {
        entries::place(&self.connection, self.replica(group)?, entry)
    }

    fn entries_with_prefix(
        &self,
        group: GroupId,
        prefix: &str,
    ) -> Result<Vec<EntryId>, StorageError> {
        entries::with_prefix(&self.connection, self.replica(group)?, prefix)
    }

    fn documents_with_prefix(
        &self,
        group: GroupId,
        prefix: &str,
    ) -> Result<Vec<DocumentId>, StorageError> {
        post::with_prefix(&self.connection, self.replica(group)?, prefix)
    }

    fn threads(&self, group: GroupId) -> Result<Vec<ThreadSummary>, StorageError> {
        post::threads(&self.connection, self.replica(group)?)
    }

    fn thread(&self, group: GroupId, thread: DocumentId) -> Result<Vec<PostRow>, StorageError> {
        post::thread(&self.connection, self.replica(group)?, thread)
    }

    fn post(&self, group: GroupId, document: DocumentId) -> Result<Option<PostRow>, StorageError> {
        post::one(&self.connection, self.replica(group)?, document)
    }

    fn responses(
        &self,
        group: GroupId,
        thread: DocumentId,
    ) -> Result<Vec<(DocumentId, MemberId, ResponseWord)>, StorageError> {
        view::responses(&self.connection, self.replica(group)?, thread)
    }

    fn search(
        &self,
        group: GroupId,
        words: &str,
        limit: u32,
    ) -> Result<Vec<SearchHit>, StorageError> {
        post::search(&self.connection, self.replica(group)?, words, limit)
    }

    fn profiles(&self, group: GroupId) -> Result<BTreeMap<MemberId, ProfileRow>, StorageError> {
        view::profiles(&self.connection, self.replica(group)?)
    }

    fn agreement(&self, group: GroupId) -> Result<Option<(String, String)>, StorageError> {
        view::agreement(&self.connection, self.replica(group)?)
    }

    fn acts(&self, group: GroupId) -> Result<Vec<ActRow>, StorageError> {
        view::acts(&self.connection, self.replica(group)?)
    }

    fn requests(&self, group: GroupId) -> Result<Vec<RequestRow>, StorageError> {
        view::requests(&self.connection, self.replica(group)?)
    }

    fn mark_read(&mut self, group: GroupId, thread: DocumentId) -> Result<(), StorageError> {
        post::mark_read(&self.connection, self.replica(group)?, thread)
    }

    fn unread(&self, group: GroupId) -> Result<u64, StorageError> {
        post::unread(&self.connection, self.replica(group)?)
    }

    fn own_posts(&self, group: GroupId, member: MemberId) -> Result<Vec<PostRow>, StorageError> {
        post::of_author(&self.connection, self.replica(group)?, member)
    }

    fn setting(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        settings::of_home(&self.connection, name)
    }

    fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        settings::set_of_home(&self.connection, name, value)
    }

    fn group_setting(
        &self,
        group: GroupId,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        settings::of_replica(&self.connection, self.replica(group)?, name)
    }

    fn set_group_setting(
        &mut self,
        group: GroupId,
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        settings::set_of_replica(&self.connection, self.replica(group)?, name, value)
    }
}
