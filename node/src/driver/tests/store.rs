//! A store in memory that outlives its driver, counts its writes and can be made to fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cairn_crdt::id::{DocumentId, EntryId, GroupId, MemberId};
use cairn_crdt::log::run::Entry;
use cairn_crdt::replica::effect::{PostRow, Write};
use cairn_crdt::replica::input::{Load, ResponseWord, Stored};
use cairn_crdt::replica::snapshot::Snapshot;
use zeroize::Zeroizing;

use crate::storage::{
    ActRow, MemoryStore, Place, ProfileRow, RequestRow, SearchHit, StorageError, Store,
    ThreadSummary,
};

#[derive(Clone, Default)]
pub(super) struct SharedStore(Arc<Inner>);

#[derive(Default)]
struct Inner {
    store: Mutex<MemoryStore>,
    full: AtomicBool,
    writes: AtomicUsize,
}

impl SharedStore {
    pub(super) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::SeqCst);
    }

    pub(super) fn writes(&self) -> usize {
        self.0.writes.load(Ordering::SeqCst)
    }

    fn writing(&self) -> Result<std::sync::MutexGuard<'_, MemoryStore>, StorageError> {
        if self.0.full.load(Ordering::SeqCst) {
            return Err(StorageError::Full);
        }
        Ok(self.0.store.lock().unwrap())
    }
}

macro_rules! reads {
    ($(fn $name:ident($($arg:ident: $of:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self $(, $arg: $of)*) -> Result<$out, StorageError> {
            self.0.store.lock().unwrap().$name($($arg),*)
        })*
    };
}

impl Store for SharedStore {
    reads! {
        fn groups() -> Vec<GroupId>;
        fn snapshot(group: GroupId) -> Snapshot;
        fn load(group: GroupId, load: &Load) -> Vec<Stored>;
        fn entries(group: GroupId, ids: &[EntryId], content: bool) -> Vec<Entry>;
        fn payloads(group: GroupId, ids: &[EntryId]) -> Vec<(EntryId, Vec<u8>)>;
        fn newest_first(group: GroupId, ids: &[EntryId]) -> Vec<EntryId>;
        fn place(group: GroupId, entry: &EntryId) -> Option<Place>;
        fn entries_with_prefix(group: GroupId, prefix: &str) -> Vec<EntryId>;
        fn documents_with_prefix(group: GroupId, prefix: &str) -> Vec<DocumentId>;
        fn threads(group: GroupId) -> Vec<ThreadSummary>;
        fn thread(group: GroupId, thread: DocumentId) -> Vec<PostRow>;
        fn post(group: GroupId, document: DocumentId) -> Option<PostRow>;
        fn responses(group: GroupId, thread: DocumentId)
            -> Vec<(DocumentId, MemberId, ResponseWord)>;
        fn search(group: GroupId, words: &str, limit: u32) -> Vec<SearchHit>;
        fn profiles(group: GroupId) -> BTreeMap<MemberId, ProfileRow>;
        fn agreement(group: GroupId) -> Option<(String, String)>;
        fn acts(group: GroupId) -> Vec<ActRow>;
        fn requests(group: GroupId) -> Vec<RequestRow>;
        fn unread(group: GroupId) -> u64;
        fn own_posts(group: GroupId, member: MemberId) -> Vec<PostRow>;
        fn setting(name: &str) -> Option<Zeroizing<Vec<u8>>>;
        fn group_setting(group: GroupId, name: &str) -> Option<Zeroizing<Vec<u8>>>;
    }

    fn add_group(&mut self, group: GroupId, writes: &[Write]) -> Result<(), StorageError> {
        self.writing()?.add_group(group, writes)
    }

    fn forget_group(&mut self, group: GroupId) -> Result<(), StorageError> {
        self.writing()?.forget_group(group)
    }

    fn write(&mut self, group: GroupId, writes: &[Write]) -> Result<(), StorageError> {
        self.writing()?.write(group, writes)?;
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn mark_read(&mut self, group: GroupId, thread: DocumentId) -> Result<(), StorageError> {
        self.writing()?.mark_read(group, thread)
    }

    fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.writing()?.set_setting(name, value)
    }

    fn set_group_setting(
        &mut self,
        group: GroupId,
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        self.writing()?.set_group_setting(group, name, value)
    }
}
