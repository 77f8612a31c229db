//! Erasure (C5): the words go, for good; a mark stays where they stood.

use crate::document::kinds::DocumentKind;
use crate::document::rebuild;
use crate::id::{DocumentId, EntryId};
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
        for entry in known.into_iter().flatten().chain(named.iter().copied()) {
            self.drop_payload(entry, out);
        }
        out.notify(Event::Documents(vec![document]));
    }

    fn drop_payload(&mut self, entry: EntryId, out: &mut Outcome) {
        self.erased.insert(entry);
        self.keepers.erased(&entry);
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
}
