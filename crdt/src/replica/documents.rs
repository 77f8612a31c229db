//! Which entries make which document, and which of them cannot be read yet. Ids only: what a
//! document says is in the store.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::kinds::DocumentKind;
use crate::id::{DocumentId, EntryId, EpochId};
use crate::log::entry::Header;

/// A document, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    /// The entry that created it and its kind, once that was read.
    pub(crate) created: Option<(EntryId, DocumentKind)>,
    /// Every entry of its owner that says it creates it: one, unless the owner is dishonest.
    pub(crate) creations: BTreeMap<EntryId, DocumentKind>,
    /// Every entry that changes it.
    pub(crate) entries: BTreeSet<EntryId>,
}

/// The index of all documents.
#[derive(Default)]
pub(crate) struct Documents {
    known: BTreeMap<DocumentId, Document>,
    by_entry: BTreeMap<EntryId, DocumentId>,
    /// Content whose payload is held but was not read: no key yet.
    unread: BTreeMap<EntryId, EpochId>,
    /// Content whose payload is not held.
    missing: BTreeMap<EntryId, Header>,
    /// Of the same: what an erasure names that may be of a shared document, which nobody erases. It
    /// is asked for along with others, and not waited for: as a rule nobody has it any more.
    doubtful: BTreeMap<EntryId, Header>,
    /// To be built anew from the store.
    dirty: BTreeSet<DocumentId>,
    /// Of these, those that the store does not know of yet.
    unmarked: Vec<DocumentId>,
    /// Asked for and not yet there.
    loading: BTreeSet<DocumentId>,
}

impl Documents {
    pub(crate) fn get(&self, document: &DocumentId) -> Option<&Document> {
        self.known.get(document)
    }

    pub(crate) fn of_entry(&self, entry: &EntryId) -> Option<DocumentId> {
        self.by_entry.get(entry).copied()
    }

    pub(crate) fn of_kind(
        &self,
        kind: DocumentKind,
    ) -> impl Iterator<Item = (DocumentId, &Document)> {
        self.known
            .iter()
            .filter(move |(_, document)| document.created.is_some_and(|(_, is)| is == kind))
            .map(|(id, document)| (*id, document))
    }

    /// An entry was read, and changes this document.
    pub(crate) fn read(
        &mut self,
        entry: EntryId,
        document: DocumentId,
        creates: Option<DocumentKind>,
    ) {
        self.unread.remove(&entry);
        self.by_entry.insert(entry, document);
        let known = self.known.entry(document).or_default();
        known.entries.insert(entry);
        if let Some(kind) = creates {
            known.creations.insert(entry, kind);
        }
    }

    /// Which entry counts as the one that created a document.
    pub(crate) fn set_created(
        &mut self,
        document: DocumentId,
        created: Option<(EntryId, DocumentKind)>,
    ) {
        if let Some(known) = self.known.get_mut(&document) {
            known.created = created;
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = DocumentId> {
        self.known.keys().copied()
    }

    pub(crate) fn put_off(&mut self, entry: EntryId, epoch: EpochId) {
        self.unread.insert(entry, epoch);
    }

    pub(crate) const fn unread(&self) -> &BTreeMap<EntryId, EpochId> {
        &self.unread
    }

    pub(crate) fn miss(&mut self, entry: EntryId, header: Header) {
        self.missing.insert(entry, header);
    }

    pub(crate) const fn missing(&self) -> &BTreeMap<EntryId, Header> {
        &self.missing
    }

    /// What an erasure names and nobody may have any more.
    pub(crate) const fn doubtful(&self) -> &BTreeMap<EntryId, Header> {
        &self.doubtful
    }

    /// This entry is not waited for, whatever it is of.
    pub(crate) fn doubt(&mut self, entry: &EntryId) {
        if let Some(header) = self.missing.remove(entry) {
            self.doubtful.insert(*entry, header);
        }
    }

    /// The header of an entry whose payload may come.
    pub(crate) fn awaited(&self, entry: &EntryId) -> Option<&Header> {
        self.missing.get(entry).or_else(|| self.doubtful.get(entry))
    }

    pub(crate) fn arrived(&mut self, entry: &EntryId) -> Option<Header> {
        self.missing.remove(entry).or_else(|| self.doubtful.remove(entry))
    }

    /// This entry is being read again.
    pub(crate) fn reading(&mut self, entry: &EntryId) {
        self.unread.remove(entry);
    }

    /// Nothing of this entry is to be read or waited for any more.
    pub(crate) fn give_up(&mut self, entry: &EntryId) {
        self.unread.remove(entry);
        self.missing.remove(entry);
        self.doubtful.remove(entry);
    }

    pub(crate) fn forget(&mut self, entry: &EntryId) {
        self.give_up(entry);
        if let Some(document) = self.by_entry.remove(entry)
            && let Some(known) = self.known.get_mut(&document)
        {
            known.entries.remove(entry);
            known.creations.remove(entry);
            self.touch(document);
        }
    }

    pub(crate) fn touch(&mut self, document: DocumentId) {
        if self.dirty.insert(document) {
            self.unmarked.push(document);
        }
    }

    /// Documents that have become dirty since this was last asked.
    pub(crate) fn newly_dirty(&mut self) -> Vec<DocumentId> {
        std::mem::take(&mut self.unmarked)
    }

    pub(crate) fn is_dirty(&self, document: &DocumentId) -> bool {
        self.dirty.contains(document)
    }

    /// The next documents to ask the store for.
    pub(crate) fn next_loads(&mut self, at_most: usize) -> Vec<DocumentId> {
        let room = at_most.saturating_sub(self.loading.len());
        let ready: Vec<DocumentId> =
            self.dirty.iter().filter(|id| !self.loading.contains(id)).take(room).copied().collect();
        for document in &ready {
            self.dirty.remove(document);
            self.loading.insert(*document);
        }
        ready
    }

    pub(crate) fn loaded(&mut self, document: &DocumentId) {
        self.loading.remove(document);
    }
}
