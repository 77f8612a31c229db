//! From entries to what can be read: opening content, building documents, making rows (C1–C7).

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::authority::decision::{Authorized, authorize};
use crate::codec;
use crate::crypto::aead::SymmetricKey;
use crate::document::change::{Actor, CheckedChange, check};
use crate::document::kinds::{Content, DocumentKind};
use crate::document::rebuild;
use crate::document::sealing::{self, CannotOpen, DocumentKey, Envelope, Opened, Owner};
use crate::document::view::View;
use crate::id::{DocumentId, EntryId, MemberId};
use crate::log::run::{Entry, Verified};
use crate::replica::Replica;
use crate::replica::effect::{Effect, Event, PostRow, PostState, Row, Write};
use crate::replica::ingest::epoch_of;
use crate::replica::input::{Load, Stored};
use crate::replica::outcome::Outcome;
use crate::replica::posts::Ground;
use crate::time::Timestamp;

/// Entries that are asked of the store at a time to be read again.
const RETRIED: usize = 256;

/// A change that was opened and checked, and who wrote it when.
struct Read {
    id: EntryId,
    author: MemberId,
    envelope: Envelope,
    change: CheckedChange,
    arrived: Timestamp,
    counts: bool,
}

impl Replica {
    /// Reads content that has just come, as far as its keys are held and it counts. What can be
    /// shown from one change alone is shown at once (C7).
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
            let Ok(authorized) = authorize(&self.authority, &self.set, entry) else {
                self.documents.put_off(id, epoch);
                continue;
            };
            let envelope = match self.open_envelope(&authorized) {
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
            let (document, creation) = (envelope.document, envelope.creation);
            let kind = creation.map(|creation| creation.kind);
            if device != self.device() {
                self.owe_entry(id, epoch, out);
            }
            let first = self.documents.get(&document).is_none();
            self.documents.read(id, document, kind);
            let shown = match kind {
                Some(kind) if first => self.read_first(&authorized, kind, now),
                _ => None,
            };
            out.write(envelope_write(id, &envelope, shown.as_ref().map(|(_, view)| view.written)));
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
        } else if let Some(session) = self.passports.remove(load) {
            self.show_passport(session, &entries, out);
        } else if let Load::Document(document) = load {
            self.documents.loaded(document);
            self.build(now, rng, *document, entries, out);
        } else {
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
        let Some((created, kind)) = self.documents.get(&document).and_then(|known| known.created)
        else {
            return;
        };
        if let Some(erasure) = self.authority.erased(&created).filter(|erasure| erasure.final_) {
            let changes: Vec<EntryId> = erasure.changes.iter().copied().collect();
            self.erase(document, created, kind, &changes, entries, out);
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
            out.write(envelope_write(read.id, &read.envelope, written));
        }
        let first = reads.iter().find(|read| read.id == created);
        let row = match (first, &rebuilt.view) {
            (Some(first), Some(view)) => self.row(document, first, view, out),
            _ => Some(Row::Gone(document)),
        };
        if let Some(row) = row {
            out.write(Write::Row(row));
            out.notify(Event::Documents(vec![document]));
        }
        if let Some(edits) = self.edits.remove(&document) {
            let envelopes = reads.into_iter().map(|read| (read.id, read.envelope)).collect();
            let ground = Ground { standing, envelopes };
            self.continue_edits(now, rng, document, edits, &ground, out);
        }
    }

    /// Opens and checks the entries of a document; what does not hold is left out.
    fn read_all(&self, kind: DocumentKind, entries: Vec<Stored>) -> Vec<Read> {
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

    /// Whether the author may write this kind of document (C1), and whether the change is one
    /// that a document takes (C3).
    fn checked(
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

    fn open_envelope(&self, entry: &Authorized<Entry>) -> Result<Envelope, CannotOpen> {
        let Entry { id, header, payload, .. } = entry.get();
        let secret = epoch_of(&header.sealing).and_then(|epoch| self.keyring.epoch(epoch));
        let known = self.welcomed.get(id).cloned();
        sealing::open_envelope(header, payload.as_deref().unwrap_or_default(), secret, known)
    }

    /// What a document shows, as a row; `None` if it shows nothing of its own.
    fn row(
        &mut self,
        document: DocumentId,
        first: &Read,
        view: &View,
        out: &mut Outcome,
    ) -> Option<Row> {
        let created = first.id;
        let state = match self.authority.erased(&created) {
            Some(erasure) => PostState::Hidden(erasure.by),
            None => self.authority.hidden(&created).map_or(PostState::Shown, PostState::Hidden),
        };
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

    /// The words of an erased document go, for good (C5); a mark stays where it stood.
    fn erase(
        &mut self,
        document: DocumentId,
        created: EntryId,
        kind: DocumentKind,
        named: &[EntryId],
        entries: Vec<Stored>,
        out: &mut Outcome,
    ) {
        let reads = self.read_all(kind, entries);
        let view = reads
            .iter()
            .find(|read| read.id == created)
            .and_then(|read| rebuild::read_single(&read.change).map(|view| (read, view)));
        let row = match view {
            Some((read, view)) => self.row(document, read, &view, out),
            None => None,
        };
        if let Some(Row::Post(post)) = row {
            out.write(Write::Row(Row::Post(PostRow {
                title: post.title.map(|_| String::new()),
                body: String::new(),
                note: None,
                wants: None,
                imported: None,
                state: PostState::Erased,
                ..post
            })));
        } else if !matches!(kind, DocumentKind::Post | DocumentKind::Thread) {
            out.write(Write::Row(Row::Gone(document)));
        }
        let known = self.documents.get(&document).map(|known| known.entries.clone());
        for entry in known.into_iter().flatten().chain(named.iter().copied()) {
            self.drop_payload(entry, out);
        }
        out.notify(Event::Documents(vec![document]));
    }

    fn drop_payload(&mut self, entry: EntryId, out: &mut Outcome) {
        self.erased.insert(entry);
        self.documents.give_up(&entry);
        self.welcomed.remove(&entry);
        out.write(Write::Erase { entry });
    }

    /// Erasures that became final: read once more for the mark, then dropped.
    pub(crate) fn follow_erasures(&mut self, out: &mut Outcome) {
        let finals: Vec<(EntryId, Vec<EntryId>)> = self
            .authority
            .erasures()
            .iter()
            .filter(|(_, erasure)| erasure.final_)
            .map(|(created, erasure)| (*created, erasure.changes.iter().copied().collect()))
            .collect();
        for (created, changes) in finals {
            if self.erased.contains(&created) {
                continue;
            }
            match self.documents.of_entry(&created) {
                Some(document) => self.documents.touch(document),
                None => {
                    self.drop_payload(created, out);
                    for change in changes {
                        self.drop_payload(change, out);
                    }
                }
            }
        }
    }

    /// Documents whose entries count otherwise than before are built anew.
    pub(crate) fn follow_counting(&mut self, before: &Authority) {
        let changes = self.authority.changed_since(before);
        let mut touched: Vec<DocumentId> =
            changes.documents.iter().filter_map(|id| self.documents.of_entry(id)).collect();
        for (device, grants) in &changes.logs {
            let Some(lowest) = grants.values().min() else { continue };
            let Some(log) = self.set.log(device) else { continue };
            let changed = log
                .between(*lowest, u64::MAX)
                .filter(|(id, slot)| {
                    let seq = self.set.place_of(id).map_or(0, |(_, seq)| seq);
                    !slot.kind.is_control() && changes.touches(device, &slot.grant, seq)
                })
                .filter_map(|(id, _)| self.documents.of_entry(&id));
            touched.extend(changed);
        }
        for document in touched {
            self.documents.touch(document);
        }
        self.chosen.clear();
        self.retry = true;
    }

    /// Asks the store for content that could not be read and perhaps can be now.
    pub(crate) fn retry_unread(&mut self, out: &mut Outcome) {
        if !self.retry || self.retrying.is_some() {
            return;
        }
        let readable = |id: &EntryId, epoch| {
            (self.keyring.epoch(epoch).is_some() || self.welcomed.contains_key(id))
                && self.authority.counting(&self.set, id).counts()
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

fn envelope_write(entry: EntryId, envelope: &Envelope, written: Option<Timestamp>) -> Write {
    Write::Envelope {
        entry,
        document: envelope.document,
        creates: envelope.creation.map(|creation| creation.kind.number()),
        written,
        envelope: Zeroizing::new(codec::encode(envelope)),
    }
}
