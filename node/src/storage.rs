//! The encrypted store: everything that a node keeps between two starts.
//!
//! ```text
//! Home ── lock, salt ──► vault: passphrase → key ──► SqliteStore (SQLCipher)
//! driver ── Write… ──► Store::write: one transaction, on disk when it returns (S4)
//! pages, commands ◄── rows ── Store: threads, posts, profiles, search
//! ```
//!
//! What must stay true:
//!
//! - What [`Store::write`] returned `Ok` for survives a crash; what it returned an error for left no
//!   trace (S4). It never acknowledges half.
//! - Writing the same thing twice is the same as writing it once.
//! - What was erased is overwritten, and does not come back with a later write (C5).
//! - Nothing but the salt, the lock and the socket is readable without the passphrase, and no key,
//!   name or text is in an error (section 10, rule 5 of the protocol).

use std::collections::BTreeMap;

use cairn_crdt::id::{DocumentId, EntryId, GroupId, MemberId};
use cairn_crdt::log::run::Entry;
use cairn_crdt::replica::effect::{PostRow, Write};
use cairn_crdt::replica::input::{Load, ResponseWord, Stored};
use cairn_crdt::replica::snapshot::Snapshot;
use zeroize::Zeroizing;

mod error;
mod home;
mod memory;
mod prefix;
mod rows;
mod sqlite;
mod vault;
mod words;

#[cfg(test)]
mod conformance;

pub use error::StorageError;
pub(crate) use home::write_private;
pub use home::{BUNDLE_PREFIX, Home, LOCK_FILE, SALT_FILE, SOCKET_FILE, STORE_FILE};
pub use memory::MemoryStore;
pub use rows::{ActRow, Place, ProfileRow, RequestRow, SearchHit, ThreadSummary};
pub use sqlite::SqliteStore;
pub use vault::VaultCost;

/// The group setting that holds the own [`MemberId`] of the persona in that group (32 bytes). While
/// it is not set, own posts count as unread too.
pub const MEMBER_SETTING: &str = "member";

/// Ids that a look-up by prefix returns at most: enough to say that a prefix is ambiguous.
pub const PREFIX_MATCHES: usize = 16;

/// Hits that a search returns at most.
pub const SEARCH_HITS: u32 = 500;

/// A member's home on disk, or one in memory for tests. Every method blocks.
///
/// All methods but [`Store::groups`], [`Store::add_group`] and the settings of the home answer
/// [`StorageError::UnknownGroup`] for a group that was not added.
pub trait Store: Send {
    /// The groups that this home holds, smallest id first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn groups(&self) -> Result<Vec<GroupId>, StorageError>;

    /// Adds a group with its first writes, in one transaction.
    ///
    /// # Errors
    /// [`StorageError::KnownGroup`] if it is there already; otherwise as [`Store::write`].
    fn add_group(&mut self, group: GroupId, writes: &[Write]) -> Result<(), StorageError>;

    /// Overwrites and forgets all that is held of a group.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing is forgotten.
    fn forget_group(&mut self, group: GroupId) -> Result<(), StorageError>;

    /// Writes all of these in order, in one transaction that is on disk when this returns (S4).
    ///
    /// # Errors
    /// When the store cannot be written; then none of them is.
    fn write(&mut self, group: GroupId, writes: &[Write]) -> Result<(), StorageError>;

    /// What a replica is opened with.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn snapshot(&self, group: GroupId) -> Result<Snapshot, StorageError>;

    /// The entries asked for, of those that are held with their payload.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&self, group: GroupId, load: &Load) -> Result<Vec<Stored>, StorageError>;

    /// Entries for serving runs, in the order of `ids`; what is not held is left out. Payloads of
    /// control are always there, those of content if `content` and held.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn entries(
        &self,
        group: GroupId,
        ids: &[EntryId],
        content: bool,
    ) -> Result<Vec<Entry>, StorageError>;

    /// The payloads held of these entries, in the order of `ids`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn payloads(
        &self,
        group: GroupId,
        ids: &[EntryId],
    ) -> Result<Vec<(EntryId, Vec<u8>)>, StorageError>;

    /// The same ids, by the time at which their authors say they were written, newest first; those
    /// of which this is not known last. Equals keep their order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn newest_first(&self, group: GroupId, ids: &[EntryId]) -> Result<Vec<EntryId>, StorageError>;

    /// What the store knows of one entry, if it is held.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn place(&self, group: GroupId, entry: &EntryId) -> Result<Option<Place>, StorageError>;

    /// Entries whose written id begins like this, smallest first, at most [`PREFIX_MATCHES`].
    ///
    /// # Errors
    /// When the store cannot be read.
    fn entries_with_prefix(
        &self,
        group: GroupId,
        prefix: &str,
    ) -> Result<Vec<EntryId>, StorageError>;

    /// Posts and threads whose written id begins like this, smallest first, at most
    /// [`PREFIX_MATCHES`].
    ///
    /// # Errors
    /// When the store cannot be read.
    fn documents_with_prefix(
        &self,
        group: GroupId,
        prefix: &str,
    ) -> Result<Vec<DocumentId>, StorageError>;

    /// Every thread whose title is held, the one with the newest post first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn threads(&self, group: GroupId) -> Result<Vec<ThreadSummary>, StorageError>;

    /// The thread's own row first, then its posts by the time they claim and their id. Empty if
    /// there is no such thread.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn thread(&self, group: GroupId, thread: DocumentId) -> Result<Vec<PostRow>, StorageError>;

    /// One post or thread.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn post(&self, group: GroupId, document: DocumentId) -> Result<Option<PostRow>, StorageError>;

    /// The latest response of each member to each post of a thread, by post and member.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn responses(
        &self,
        group: GroupId,
        thread: DocumentId,
    ) -> Result<Vec<(DocumentId, MemberId, ResponseWord)>, StorageError>;

    /// Shown posts and titles that contain all of the words, the last of which may be the beginning
    /// of one; newest first, at most `limit` and at most [`SEARCH_HITS`]. Case and accents do not
    /// matter. Any text is fine: none has a special meaning.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn search(
        &self,
        group: GroupId,
        words: &str,
        limit: u32,
    ) -> Result<Vec<SearchHit>, StorageError>;

    /// The profile of each member that has one.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn profiles(&self, group: GroupId) -> Result<BTreeMap<MemberId, ProfileRow>, StorageError>;

    /// The group's name and the text of its agreement, if held.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn agreement(&self, group: GroupId) -> Result<Option<(String, String)>, StorageError>;

    /// The words of the acts of moderation, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn acts(&self, group: GroupId) -> Result<Vec<ActRow>, StorageError>;

    /// Requests to join that wait for an answer, in the order in which they came.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn requests(&self, group: GroupId) -> Result<Vec<RequestRow>, StorageError>;

    /// From now on none of the posts held of a thread is unread. Known to this device only.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn mark_read(&mut self, group: GroupId, thread: DocumentId) -> Result<(), StorageError>;

    /// Shown posts of others that came since their threads were last marked as read.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn unread(&self, group: GroupId) -> Result<u64, StorageError>;

    /// All posts and threads of a member, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn own_posts(&self, group: GroupId, member: MemberId) -> Result<Vec<PostRow>, StorageError>;

    /// A small value of the home, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn setting(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError>;

    /// Replaces a small value of the home.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError>;

    /// A small value kept for one group, by name; forgotten with the group.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn group_setting(
        &self,
        group: GroupId,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError>;

    /// Replaces a small value kept for one group.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn set_group_setting(
        &mut self,
        group: GroupId,
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError>;
}
