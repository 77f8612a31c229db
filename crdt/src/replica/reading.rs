//! Content that has just come, or whose key has: opened as far as its keys are held.

use crate::authority::decision::{Authorized, authorize};
use crate::document::kinds::DocumentKind;
use crate::document::rebuild;
use crate::document::sealing::{self, CannotOpen, Creation, Envelope, Owner};
use crate::document::view::View;
use crate::id::{DocumentId, EntryId, MemberId};
use crate::log::run::{Entry, Verified};
use crate::replica::Replica;
use crate::replica::effect::{Effect, Event, Write};
use crate::replica::ingest::epoch_of;
use crate::replica::input::Load;
use crate::replica::materialise::{Read, envelope_write};
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// Entries that are asked of the store at a time to be read again.
const RETRIED: usize = 256;

impl Replica {
    /// Reads content that has just come, as far as its keys are held. What counts and can be shown
    /// from one change alone is shown at once (C7).
    pub(crate) fn open_content(
        &mut self,
        now: Timestamp,
        entries: Vec<Verified<Entry>>,
        out: &mut Outcome,
    ) {
        let mut changed = Vec::new();
        for entry in entries {
            let Some(epoch) = epoch_of(&entry.get().header.sealing) else { continue };
            let (id, device) = (entry.get().id, entry.get().header.device);
            if entry.get().payload.is_none() || self.erased.contains(&id) {
                continue;
            }
            self.sealed_under.insert(id, epoch);
            let envelope = match self.open_envelope(entry.get()) {
                Ok(envelope) => envelope,
                Err(CannotOpen::NoKey) => {
                    match self.documents.of_entry(&id) {
                        Some(document) => self.documents.touch(document),
                        None => self.documents.put_off(id, epoch),
                    }
                    continue;
                }
                Err(_) => {
                    // Sealed wrongly by its author: it will never open for anyone.
                    self.documents.give_up(&id);
                    continue;
                }
            };
            // What does not count is shown nowhere, but has its place in its document: what counts
            // may be under its key, or build on it (C4).
            let authorized = authorize(&self.authority, &self.set, entry).ok();
            let (document, creation) = (envelope.document, envelope.creation);
            let author = self.authority.author(&self.set, &id);
            let own = creation.filter(|creation| is_of(creation, author));
            let kind = own.map(|creation| creation.kind);
            if device != self.device() && authorized.is_some() {
                self.owe_entry(id, epoch, out);
            }
            let first = self.documents.get(&document).is_none();
            self.documents.read(id, document, kind);
            self.settle_creation(document);
            let shown = match (kind, authorized) {
                (Some(kind), Some(authorized)) if first => self.read_first(&authorized, kind, now),
                _ => None,
            };
            let written = shown.as_ref().map(|(_, view)| view.written);
            out.write(envelope_write(id, &envelope, kind, written));
            let row = shown.and_then(|(read, view)| {
                self.welcomed.remove(&id);
                self.observe_time(view.written, now);
                self.row(document, &read, &view, out)
            });
            match row {
                Some(row) => {
                    out.write(Write::Row(row));
                    changed.push(document);
                }
                None => self.documents.touch(document),
            }
        }
        if !changed.is_empty() {
            out.notify(Event::Documents(changed));
        }
    }

    /// Which of the entries that say they create a document is the one that does (C1): of those whose
    /// author may write such a document the smallest that counts, whatever came first.
    pub(crate) fn settle_creation(&mut self, document: DocumentId) {
        let Some(known) = self.documents.get(&document) else { return };
        let may = |id: &EntryId, kind: DocumentKind| {
            let grant = self.set.slot(id).and_then(|slot| self.authority.grant(&slot.grant));
            let (needed, _) = Self::ability_for(kind);
            grant.is_some_and(|(_, capability)| capability.abilities.contains(needed))
        };
        let creations = known.creations.iter().map(|(id, kind)| (*id, *kind));
        let able: Vec<_> = creations.filter(|(id, kind)| may(id, *kind)).collect();
        // Several that count: a rollback or a demotion had voided one, its author said it again
        // (I4, A2), and it came to count after all.
        let counts =
            |(id, _): &&(EntryId, DocumentKind)| self.authority.counting(&self.set, id).counts();
        let created = able.iter().find(counts).or(able.first()).copied();
        self.documents.set_created(document, created);
    }

    /// What a document shows of which the creation is the only change so far (C7).
    fn read_first(
        &self,
        entry: &Authorized<Entry>,
        kind: DocumentKind,
        arrived: Timestamp,
    ) -> Option<(Read, View)> {
        let Entry { id, header, payload, .. } = entry.get();
        let secret = epoch_of(&header.sealing).and_then(|epoch| self.keyring.epoch(epoch));
        let known = self.welcomed.get(id).cloned();
        let payload = payload.as_deref().unwrap_or_default();
        let opened = sealing::open(header, payload, secret, known, |_| None).ok()?;
        let read = self.checked(*id, header.device, opened, kind, arrived, true)?;
        let view = rebuild::read_single(&read.change)?;
        Some((read, view))
    }

    fn open_envelope(&self, entry: &Entry) -> Result<Envelope, CannotOpen> {
        let Entry { id, header, payload, .. } = entry;
        let secret = epoch_of(&header.sealing).and_then(|epoch| self.keyring.epoch(epoch));
        let known = self.welcomed.get(id).cloned();
        sealing::open_envelope(header, payload.as_deref().unwrap_or_default(), secret, known)
    }

    /// Asks the store for content that could not be read and perhaps can be now.
    pub(crate) fn retry_unread(&mut self, out: &mut Outcome) {
        if !self.retry || self.retrying.is_some() {
            return;
        }
        let readable = |id: &EntryId, epoch| {
            self.keyring.epoch(epoch).is_some() || self.welcomed.contains_key(id)
        };
        let entries: Vec<EntryId> = self
            .documents
            .unread()
            .iter()
            .filter(|(id, epoch)| readable(id, **epoch))
            .map(|(id, _)| *id)
            .take(RETRIED)
            .collect();
        if entries.is_empty() {
            self.retry = false;
            return;
        }
        for entry in &entries {
            // What does not open now is put off again when it is here.
            self.documents.reading(entry);
        }
        let load = Load::Entries(entries);
        self.retrying = Some(load.clone());
        out.effect(Effect::Load(load));
    }

    fn observe_time(&mut self, claim: Timestamp, now: Timestamp) {
        let mut clock = crate::document::clock::HybridClock::after(self.persona.clock);
        clock.observe(claim, now);
        self.persona.clock = clock.last();
    }
}

/// Whether a creation is its author's to make (C1): anyone who can read a document knows the parts
/// that its id is made of.
fn is_of(creation: &Creation, author: Option<MemberId>) -> bool {
    match creation.owner {
        Owner::Member(owner) => Some(owner) == author && !creation.kind.is_shared(),
        Owner::Shared => creation.kind.is_shared(),
    }
}
