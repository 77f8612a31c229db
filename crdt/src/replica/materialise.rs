//! From entries to what can be read: opening content, building documents, making rows (C1–C7).

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::codec;
use crate::crypto::aead::SymmetricKey;
use crate::document::change::{Actor, CheckedChange, check};
use crate::document::kinds::{Content, DocumentKind};
use crate::document::rebuild;
use crate::document::sealing::{self, CannotOpen, DocumentKey, Envelope, Opened, Owner};
use crate::document::view::View;
use crate::id::{DocumentId, EntryId, MemberId};
use crate::log::run::Entry;
use crate::replica::Replica;
use crate::replica::effect::{Effect, Event, PostRow, PostState, Row, Write};
use crate::replica::ingest::epoch_of;
use crate::replica::input::{Load, Stored};
use crate::replica::outcome::Outcome;
use crate::replica::posts::Ground;
use crate::time::Timestamp;

/// A change that was opened and checked, and who wrote it when.
pub(crate) struct Read {
    pub(crate) id: EntryId,
    pub(crate) author: MemberId,
    pub(crate) envelope: Envelope,
    pub(crate) change: CheckedChange,
    pub(crate) arrived: Timestamp,
    pub(crate) counts: bool,
}

impl Replica {
    /// What the store was asked for is here.
    pub(crate) fn loaded<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        load: &Load,
        entries: Vec<Stored>,
        out: &mut Outcome,
    ) {
        if let Some(device) = self.paying.remove(load) {
            if let Load::Entries(paid) = load {
                self.write_welcome(now, rng, (device, paid), &entries, out);
            }
        } else if let Some(sessions) = self.passports.remove(load) {
            for session in sessions {
                self.show_passport(session, &entries, out);
            }
        } else if let Load::Document(document) = load {
            self.documents.loaded(document);
            if !self.write_anew(now, rng, *document, &entries, out) {
                self.build(now, rng, *document, entries, out);
            }
        } else if self.retrying.as_ref() == Some(load) {
            self.retrying = None;
            let entries = entries.into_iter().map(|stored| {
                Entry {
                    id: stored.id,
                    header: stored.header,
                    payload: Some(stored.payload),
                    signature: None,
                }
                .from_store()
            });
            let entries = entries.collect();
            self.open_content(now, entries, out);
        }
    }

    /// Builds a document anew from all of its entries (C4), and goes on with what waits for it.
    fn build<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        document: DocumentId,
        entries: Vec<Stored>,
        out: &mut Outcome,
    ) {
        self.settle_creation(document);
        let Some((created, kind)) = self.documents.get(&document).and_then(|known| known.created)
        else {
            return;
        };
        let creations = self.creations_of(&document, &created);
        let mut erasures = creations.iter().filter_map(|id| self.authority.erased(id));
        // A shared document is nobody's to erase.
        let erasure = erasures.find(|erasure| erasure.final_ && !kind.is_shared());
        if let Some(erasure) = erasure {
            let changes: Vec<EntryId> = erasure.changes.iter().copied().collect();
            self.erase(document, created, kind, &changes, entries, out);
            self.refuse_edits(document, out);
            return;
        }
        let reads = self.read_all(kind, entries);
        let lent = self.lent(&reads);
        let standing: Vec<(EntryId, CheckedChange)> = reads
            .iter()
            .filter(|read| read.counts || lent.contains(&read.id))
            .map(|read| (read.id, read.change.clone()))
            .collect();
        let rebuilt = rebuild::rebuild(kind, &standing);
        for read in &reads {
            let written = Some(read.change.written());
            let creates = read.envelope.creation.map(|creation| creation.kind);
            out.write(envelope_write(read.id, &read.envelope, creates, written));
        }
        let first = reads.iter().find(|read| read.id == created);
        let row = match (first, &rebuilt.view) {
            (Some(first), Some(view)) => self.row(document, first, view, out),
            _ => Some(Row::Gone(document)),
        };
        if let Some(row) = row {
            out.write(Write::Row(row));
            if self.documents.is_dirty(&document) {
                out.write(Write::Stale(vec![document]));
            }
            out.notify(Event::Documents(vec![document]));
        }
        if let Some(edits) = self.edits.remove(&document) {
            let envelopes = reads.into_iter().map(|read| (read.id, read.envelope)).collect();
            let ground = Ground { standing, envelopes };
            self.continue_edits(now, rng, document, edits, &ground, out);
        }
    }

    /// Opens and checks the entries of a document; what does not hold is left out.
    pub(crate) fn read_all(&self, kind: DocumentKind, entries: Vec<Stored>) -> Vec<Read> {
        let mut keys: BTreeMap<EntryId, SymmetricKey> = BTreeMap::new();
        let mut waiting: Vec<(Stored, Option<Envelope>)> = Vec::new();
        for stored in entries {
            let known: Option<Envelope> = stored
                .envelope
                .as_deref()
                .and_then(|bytes| codec::decode(bytes, sealing::ENVELOPE_BYTES).ok())
                .or_else(|| self.welcomed.get(&stored.id).cloned());
            waiting.push((stored, known));
        }
        // Keys first: a change may name one that an entry after it in this list carried.
        let mut reads = Vec::new();
        for _ in 0..2 {
            let mut left = Vec::new();
            for (stored, known) in waiting {
                let secret =
                    epoch_of(&stored.header.sealing).and_then(|epoch| self.keyring.epoch(epoch));
                let opened =
                    sealing::open(&stored.header, &stored.payload, secret, known.clone(), |id| {
                        keys.get(id).cloned()
                    });
                match opened {
                    Ok(opened) => {
                        if let DocumentKey::Fresh(key) = &opened.envelope.key {
                            keys.insert(stored.id, key.clone());
                        }
                        reads.extend(self.read_stored(stored, opened, kind));
                    }
                    Err(CannotOpen::NoDocumentKey(_)) => left.push((stored, known)),
                    Err(_) => {}
                }
            }
            waiting = left;
        }
        reads
    }

    fn read_stored(&self, stored: Stored, opened: Opened, kind: DocumentKind) -> Option<Read> {
        let counts = self.authority.counting(&self.set, &stored.id).counts();
        self.checked(stored.id, stored.header.device, opened, kind, stored.arrived, counts)
    }

    /// Whether the author may write this kind of document (C1), and whether the change is one
    /// that a document takes (C3).
    pub(crate) fn checked(
        &self,
        id: EntryId,
        device: crate::id::DeviceId,
        opened: Opened,
        kind: DocumentKind,
        arrived: Timestamp,
        counts: bool,
    ) -> Option<Read> {
        let author = self.authority.member_of(&device)?;
        let grant = self.set.slot(&id)?.grant;
        let (needed, _) = Self::ability_for(kind);
        if !self.authority.grant(&grant)?.1.abilities.contains(needed) {
            return None;
        }
        let document = opened.envelope.document;
        let creation = opened.envelope.creation;
        if let Some(creation) = creation {
            let owned = match creation.owner {
                Owner::Member(owner) => owner == author && !creation.kind.is_shared(),
                Owner::Shared => creation.kind.is_shared(),
            };
            if !owned || creation.kind != kind {
                return None;
            }
        } else if !kind.is_shared() && self.owner_of(&document) != Some(author) {
            return None;
        }
        let actor = Actor::of(device, document);
        let change = check(kind, creation.is_some(), &opened.change, actor).ok()?;
        Some(Read { id, author, envelope: opened.envelope, change, arrived, counts })
    }

    /// The member whose device created a document.
    pub(crate) fn owner_of(&self, document: &DocumentId) -> Option<MemberId> {
        let (created, _) = self.documents.get(document)?.created?;
        let (device, _) = self.set.place_of(&created)?;
        self.authority.member_of(&device)
    }

    fn lent(&self, reads: &[Read]) -> BTreeSet<EntryId> {
        let counted: Vec<(MemberId, &CheckedChange)> =
            reads.iter().filter(|read| read.counts).map(|r| (r.author, &r.change)).collect();
        let void: Vec<(EntryId, MemberId, &CheckedChange)> = reads
            .iter()
            .filter(|read| !read.counts)
            .map(|read| (read.id, read.author, &read.change))
            .collect();
        rebuild::lent(&counted, &void)
    }

    fn creations_of(&self, document: &DocumentId, created: &EntryId) -> BTreeSet<EntryId> {
        let known = self.documents.get(document);
        let mut creations: BTreeSet<EntryId> =
            known.into_iter().flat_map(|known| known.creations.keys().copied()).collect();
        creations.insert(*created);
        creations
    }

    /// Whether a document is shown. An act on any of the entries that create it is one on it: an
    /// owner who creates it once more brings nothing back.
    pub(crate) fn state_of(&self, document: &DocumentId, created: &EntryId) -> PostState {
        let creations = self.creations_of(document, created);
        let erased = creations.iter().filter_map(|id| self.authority.erased(id));
        let hidden = creations.iter().filter_map(|id| self.authority.hidden(id));
        let by = erased.map(|erasure| erasure.by).min().or_else(|| hidden.min());
        by.map_or(PostState::Shown, PostState::Hidden)
    }

    /// What a document shows, as a row; `None` if it shows nothing of its own.
    pub(crate) fn row(
        &mut self,
        document: DocumentId,
        first: &Read,
        view: &View,
        out: &mut Outcome,
    ) -> Option<Row> {
        let created = first.id;
        let state = self.state_of(&document, &created);
        let post = |thread, title: Option<&str>, reply_to, imported| {
            Row::Post(PostRow {
                document,
                thread,
                title: title.map(str::to_owned),
                reply_to,
                author: first.author,
                created,
                body: view.body().unwrap_or_default().to_owned(),
                note: view.note().map(str::to_owned),
                wants: view.wants(),
                imported,
                written: crate::document::clock::clamped(view.written, first.arrived),
                arrived: first.arrived,
                edited: view.edited,
                state,
            })
        };
        Some(match &view.content {
            Content::Thread(_) => post(document, view.title(), None, None),
            Content::Post(content) => {
                let imported = content.imported.as_ref();
                let imported = imported.map(|from| (from.label.as_str().to_owned(), from.at));
                post(content.thread, None, content.reply_to, imported)
            }
            Content::Response(content) => Row::Response {
                document,
                post: content.post,
                member: first.author,
                word: content.word,
            },
            Content::Profile(profile) => {
                let addresses: Vec<Vec<u8>> =
                    profile.addresses.iter().map(|a| a.as_slice().to_vec()).collect();
                self.seek(first.author, &addresses, out);
                Row::Profile {
                    document,
                    member: first.author,
                    pseudonym: profile.pseudonym.as_str().to_owned(),
                    addresses,
                }
            }
            Content::Agreement(agreement) => Row::Agreement {
                document,
                name: agreement.name.as_str().to_owned(),
                text: agreement.text.as_str().to_owned(),
            },
            Content::Act(act) => {
                self.acts.entry(act.subject).or_default().insert(created);
                Row::Act {
                    document,
                    about: act.about,
                    subject: act.subject,
                    author: first.author,
                    rule: act.rule.as_str().to_owned(),
                    reason: act.reason.as_str().to_owned(),
                    written: view.written,
                }
            }
        })
    }

    /// Members tell each other where their nodes listen: from now on they are looked for there.
    fn seek(&self, member: MemberId, addresses: &[Vec<u8>], out: &mut Outcome) {
        if member == self.member() || addresses.is_empty() {
            return;
        }
        let Some(standing) = self.authority.members().get(&member) else { return };
        // In a large group each looks for those that follow it in the circle of all devices.
        let own = self.device();
        let live = self.authority.members().values().flat_map(|standing| &standing.devices);
        let live: BTreeSet<_> = live.filter(|device| **device != own).copied().collect();
        let circle = live.range(own..).chain(live.range(..own));
        let near: BTreeSet<_> = circle.take(crate::limits::SOUGHT_PEERS).collect();
        let devices = standing.devices.iter().filter(|device| near.contains(device));
        for device in devices.filter_map(|id| self.authority.device(id)) {
            out.effect(Effect::Seek { peer: device.transport, addresses: addresses.to_vec() });
        }
    }

    /// Documents whose entries count otherwise than before are built anew, and newcomers get the keys of
    /// what counts only now (K3).
    pub(crate) fn follow_counting(&mut self, before: &Authority, out: &mut Outcome) {
        let changes = self.authority.changed_since(before);
        let mut touched: Vec<DocumentId> =
            changes.documents.iter().filter_map(|id| self.documents.of_entry(id)).collect();
        let mut changed = Vec::new();
        for (device, grants) in &changes.logs {
            let Some(lowest) = grants.values().min() else { continue };
            let Some(log) = self.set.log(device) else { continue };
            changed.extend(log.between(*lowest, u64::MAX).filter_map(|(id, slot)| {
                let seq = self.set.place_of(&id).map_or(0, |(_, seq)| seq);
                let content = !slot.kind.is_control() && changes.touches(device, &slot.grant, seq);
                content.then_some((id, *device))
            }));
        }
        for (id, device) in changed {
            touched.extend(self.documents.of_entry(&id));
            if let Some(epoch) = self.sealed_under.get(&id).copied()
                && device != self.device()
                && self.authority.counting(&self.set, &id).counts()
                && !before.counting(&self.set, &id).counts()
            {
                self.owe_entry(id, epoch, out);
            }
        }
        for document in touched {
            self.documents.touch(document);
        }
        let own = changes.logs.get(&self.device()).and_then(|grants| grants.values().min());
        if let Some(lowest) = own {
            self.note_voided(*lowest);
        }
        self.chosen.clear();
        self.retry = true;
    }
}

pub(crate) fn envelope_write(
    entry: EntryId,
    envelope: &Envelope,
    creates: Option<DocumentKind>,
    written: Option<Timestamp>,
) -> Write {
    Write::Envelope {
        entry,
        document: envelope.document,
        creates: creates.map(DocumentKind::number),
        written,
        envelope: Zeroizing::new(codec::encode(envelope)),
    }
}
