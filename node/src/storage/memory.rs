//! A store in memory, for tests: nothing is left when it is dropped. No program falls back on it.
//!
//! It is the plain reading of the contract that the real store is compared with, so it is written
//! for clarity. One difference is left: its search does not fold accents.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use cairn_crdt::id::{DocumentId, EntryId, GroupId, MemberId};
use cairn_crdt::log::run::Entry;
use cairn_crdt::replica::effect::{PostRow, Write};
use cairn_crdt::replica::input::{Load, ResponseWord, Stored};
use cairn_crdt::replica::snapshot::Snapshot;
use zeroize::Zeroizing;

use super::{
    ActRow, PREFIX_MATCHES, Place, ProfileRow, RequestRow, SearchHit, StorageError, Store,
    ThreadSummary,
};

mod held;
mod view;

use held::{Held, Payload};

type Settings = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// A store in memory, for tests.
#[derive(Default)]
pub struct MemoryStore {
    groups: BTreeMap<GroupId, Held>,
    settings: Settings,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn held(&self, group: GroupId) -> Result<&Held, StorageError> {
        self.groups.get(&group).ok_or(StorageError::UnknownGroup)
    }

    fn held_mut(&mut self, group: GroupId) -> Result<&mut Held, StorageError> {
        self.groups.get_mut(&group).ok_or(StorageError::UnknownGroup)
    }
}

impl Store for MemoryStore {
    fn groups(&self) -> Result<Vec<GroupId>, StorageError> {
        Ok(self.groups.keys().copied().collect())
    }

    fn add_group(&mut self, group: GroupId, writes: &[Write]) -> Result<(), StorageError> {
        if self.groups.contains_key(&group) {
            return Err(StorageError::KnownGroup);
        }
        self.groups.insert(group, Held::default());
        self.write(group, writes)
    }

    fn forget_group(&mut self, group: GroupId) -> Result<(), StorageError> {
        self.groups.remove(&group).map(|_| ()).ok_or(StorageError::UnknownGroup)
    }

    fn write(&mut self, group: GroupId, writes: &[Write]) -> Result<(), StorageError> {
        let held = self.held_mut(group)?;
        writes.iter().for_each(|write| held.apply(write));
        Ok(())
    }

    fn snapshot(&self, group: GroupId) -> Result<Snapshot, StorageError> {
        Ok(self.held(group)?.snapshot(group))
    }

    fn load(&self, group: GroupId, load: &Load) -> Result<Vec<Stored>, StorageError> {
        Ok(self.held(group)?.load(load))
    }

    fn entries(
        &self,
        group: GroupId,
        ids: &[EntryId],
        content: bool,
    ) -> Result<Vec<Entry>, StorageError> {
        let held = self.held(group)?;
        let entry = |id: &EntryId| {
            let entry = held.entries.get(id)?;
            let with = content || entry.header.kind.is_control();
            Some(Entry {
                id: *id,
                header: entry.header.clone(),
                payload: entry.payload.bytes().filter(|_| with).map(<[u8]>::to_vec),
                signature: entry.signature,
            })
        };
        Ok(ids.iter().filter_map(entry).collect())
    }

    fn payloads(
        &self,
        group: GroupId,
        ids: &[EntryId],
    ) -> Result<Vec<(EntryId, Vec<u8>)>, StorageError> {
        let held = self.held(group)?;
        let payload = |id: &EntryId| Some((*id, held.entries.get(id)?.payload.bytes()?.to_vec()));
        Ok(ids.iter().filter_map(payload).collect())
    }

    fn newest_first(&self, group: GroupId, ids: &[EntryId]) -> Result<Vec<EntryId>, StorageError> {
        let held = self.held(group)?;
        let mut ids = ids.to_vec();
        ids.sort_by_key(|id| Reverse(held.entries.get(id).and_then(|entry| entry.written)));
        Ok(ids)
    }

    fn place(&self, group: GroupId, entry: &EntryId) -> Result<Option<Place>, StorageError> {
        Ok(self.held(group)?.entries.get(entry).map(|entry| Place {
            device: entry.header.device,
            seq: entry.header.seq,
            kind: entry.header.kind,
            arrived: entry.arrived,
            written: entry.written,
            document: entry.document,
            erased: matches!(entry.payload, Payload::Erased),
        }))
    }

    fn entries_with_prefix(
        &self,
        group: GroupId,
        prefix: &str,
    ) -> Result<Vec<EntryId>, StorageError> {
        let ids = self.held(group)?.entries.keys().copied();
        Ok(ids.filter(|id| id.to_string().starts_with(prefix)).take(PREFIX_MATCHES).collect())
    }

    fn documents_with_prefix(
        &self,
        group: GroupId,
        prefix: &str,
    ) -> Result<Vec<DocumentId>, StorageError> {
        let mut ids: Vec<DocumentId> =
            self.held(group)?.posts().map(|post| post.document).collect();
        ids.retain(|id| id.to_string().starts_with(prefix));
        ids.truncate(PREFIX_MATCHES);
        Ok(ids)
    }

    fn threads(&self, group: GroupId) -> Result<Vec<ThreadSummary>, StorageError> {
        Ok(self.held(group)?.threads())
    }

    fn thread(&self, group: GroupId, thread: DocumentId) -> Result<Vec<PostRow>, StorageError> {
        let held = self.held(group)?;
        let mut posts: Vec<PostRow> =
            held.posts().filter(|post| post.thread == thread).cloned().collect();
        posts.sort_by_key(|post| (post.document != thread, post.written, post.document));
        Ok(posts)
    }

    fn post(&self, group: GroupId, document: DocumentId) -> Result<Option<PostRow>, StorageError> {
        Ok(self.held(group)?.post(document).cloned())
    }

    fn responses(
        &self,
        group: GroupId,
        thread: DocumentId,
    ) -> Result<Vec<(DocumentId, MemberId, ResponseWord)>, StorageError> {
        Ok(self.held(group)?.responses(thread))
    }

    fn search(
        &self,
        group: GroupId,
        words: &str,
        limit: u32,
    ) -> Result<Vec<SearchHit>, StorageError> {
        Ok(self.held(group)?.search(words, limit))
    }

    fn profiles(&self, group: GroupId) -> Result<BTreeMap<MemberId, ProfileRow>, StorageError> {
        Ok(self.held(group)?.profiles())
    }

    fn agreement(&self, group: GroupId) -> Result<Option<(String, String)>, StorageError> {
        Ok(self.held(group)?.agreement())
    }

    fn acts(&self, group: GroupId) -> Result<Vec<ActRow>, StorageError> {
        Ok(self.held(group)?.acts())
    }

    fn requests(&self, group: GroupId) -> Result<Vec<RequestRow>, StorageError> {
        let mut requests: Vec<RequestRow> =
            self.held(group)?.requests.values().map(|(row, _)| row.clone()).collect();
        requests.sort_by_key(|row| (row.arrived, row.request));
        Ok(requests)
    }

    fn mark_read(&mut self, group: GroupId, thread: DocumentId) -> Result<(), StorageError> {
        let held = self.held_mut(group)?;
        let seen: Vec<DocumentId> =
            held.posts().filter(|post| post.thread == thread).map(|post| post.document).collect();
        held.seen.extend(seen);
        Ok(())
    }

    fn unread(&self, group: GroupId) -> Result<u64, StorageError> {
        let held = self.held(group)?;
        Ok(view::count(held.posts().filter(|post| held.is_unread(post))))
    }

    fn own_posts(&self, group: GroupId, member: MemberId) -> Result<Vec<PostRow>, StorageError> {
        let held = self.held(group)?;
        let mut posts: Vec<PostRow> =
            held.posts().filter(|post| post.author == member).cloned().collect();
        posts.sort_by_key(|post| (post.written, post.document));
        Ok(posts)
    }

    fn setting(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        Ok(self.settings.get(name).cloned())
    }

    fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.settings.insert(name.to_owned(), Zeroizing::new(value.to_vec()));
        Ok(())
    }

    fn group_setting(
        &self,
        group: GroupId,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        Ok(self.held(group)?.settings.get(name).cloned())
    }

    fn set_group_setting(
        &mut self,
        group: GroupId,
        name: &str,
        value: &[u8],
    ) -> Result<(), StorageError> {
        let value = Zeroizing::new(value.to_vec());
        self.held_mut(group)?.settings.insert(name.to_owned(), value);
        Ok(())
    }
}
