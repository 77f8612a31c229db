//! Erasure (C5): the words go, for good; a mark stays where they stood.

use std::collections::BTreeSet;

use crate::capability::rank::Abilities;
use crate::document::kinds::DocumentKind;
use crate::document::rebuild;
use crate::id::{DocumentId, EntryId};
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::effect::{Event, PostRow, PostState, Row, Write};
use crate::replica::input::Stored;
use crate::replica::outcome::Outcome;

impl Replica {
    /// The words of an erased document go, for good (C5); a mark stays where it stood.
    pub(crate) fn erase(
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
        let counts = self.authority.counting(&self.set, &created).counts();
        if !counts {
            // Nobody sees that it was there.
            out.write(Write::Row(Row::Gone(document)));
        } else if let Some(Row::Post(post)) = row {
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
        for entry in known.into_iter().flatten() {
            self.drop_payload(entry, out);
        }
        for entry in named {
            self.drop_named((created, Some(document)), *entry, out);
        }
        out.notify(Event::Documents(vec![document]));
    }

    fn drop_payload(&mut self, entry: EntryId, out: &mut Outcome) {
        // A record that came since the first time holds it without its payload.
        if self.erased.insert(entry) {
            self.keepers.erased(&entry);
        }
        self.documents.give_up(&entry);
        self.welcomed.remove(&entry);
        out.write(Write::Erase { entry });
    }

    /// The entries whose payload has been dropped here, or that somebody who could said are to go. Whether
    /// that counts now does not matter: it may have counted where it was acted upon.
    pub(crate) fn erased_or_to_be(&self) -> BTreeSet<EntryId> {
        let erasures =
            self.erasures_heard.keys().filter_map(|by| match self.set.control().get(by) {
                Some(Control::Erase(erase)) => Some((by, erase)),
                _ => None,
            });
        let named = erasures.flat_map(|(by, erase)| {
            let named = erase.changes.iter().chain([&erase.created]);
            named.filter(|entry| self.could_erase(by, entry))
        });
        named.chain(&self.erased).copied().collect()
    }

    /// Whether the author of an erasure wrote an entry, or was given a rank above it with the ability.
    fn could_erase(&self, by: &EntryId, entry: &EntryId) -> bool {
        if self.same_author(by, entry) {
            return true;
        }
        let grant = self.set.slot(by).and_then(|slot| self.authority.grant(&slot.grant));
        grant.is_some_and(|(member, held)| {
            self.authority.author(&self.set, by) == Some(member)
                && held.abilities.contains(Abilities::ERASE)
                && self.rank_under(entry).is_some_and(|rank| rank < held.rank)
        })
    }

    /// An entry that a final erasure names goes if it changes the erased document. Of what was not
    /// read that cannot be told: it goes as well, unless it may be of a shared document that is still
    /// to come.
    fn drop_named(
        &mut self,
        (created, document): (EntryId, Option<DocumentId>),
        entry: EntryId,
        out: &mut Outcome,
    ) {
        if self.erased.contains(&entry) {
            return;
        }
        let goes = match (self.documents.of_entry(&entry), document) {
            (Some(of), Some(document)) => of == document,
            (Some(of), None) => {
                match self.documents.get(&of).and_then(|known| known.created) {
                    None => !self.may_be_shared(&entry) || self.shared_came(),
                    // Its author has created the document anew, since the first did not count.
                    Some((creation, kind)) => {
                        let again = creation == entry && !kind.is_shared();
                        again && self.same_author(&created, &entry)
                    }
                }
            }
            (None, _) => !self.may_be_shared(&entry) || self.stays_closed(&entry),
        };
        if goes {
            if document.is_none()
                && let Some(of) = self.documents.of_entry(&entry)
            {
                self.documents.touch(of);
            }
            self.drop_payload(entry, out);
        } else {
            self.documents.doubt(&entry);
        }
    }

    fn same_author(&self, one: &EntryId, other: &EntryId) -> bool {
        let author = |entry| self.authority.author(&self.set, entry);
        author(one).is_some() && author(one) == author(other)
    }

    /// Whether the payload of an entry is here and nothing is in sight that opens it, though the shared
    /// documents have come: what is sealed there is not theirs.
    fn stays_closed(&self, entry: &EntryId) -> bool {
        let unread = self.documents.unread().contains_key(entry);
        self.shared_came() && unread && !self.welcomed.contains_key(entry)
    }

    /// Whether the creation of the shared document has been read: what changes another is known.
    fn shared_came(&self) -> bool {
        self.documents.of_kind(DocumentKind::Agreement).next().is_some()
    }

    /// Whether an entry could change a shared document: its grant, in the clear, says so.
    fn may_be_shared(&self, entry: &EntryId) -> bool {
        let grant = self.set.slot(entry).and_then(|slot| self.authority.grant(&slot.grant));
        grant.is_some_and(|(_, held)| held.abilities.contains(Abilities::EDIT_AGREEMENT))
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
            let Some(document) = self.documents.of_entry(&created) else {
                for entry in [created].into_iter().chain(changes) {
                    self.drop_named((created, None), entry, out);
                }
                continue;
            };
            let shared = |(_, kind): (EntryId, DocumentKind)| kind.is_shared();
            let known = self.documents.get(&document);
            let shared = known.and_then(|known| known.created).is_some_and(shared);
            if shared {
                continue;
            }
            if !self.erased.contains(&created) {
                self.documents.touch(document);
                continue;
            }
            // What is named may have come since, or this device was started again.
            for entry in changes {
                self.drop_named((created, Some(document)), entry, out);
            }
        }
    }
}
