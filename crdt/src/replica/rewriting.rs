//! Writing one's own words again (A2): a demotion that did not know of them voids what a member
//! wrote under the old capability. Nobody meant that: the member's node says it again under the new
//! one, in the same documents, so that what others answered stays an answer.

use crate::authority::Counting;
use crate::id::{DocumentId, EntryId};
use crate::log::entry::Control;
use crate::replica::Replica;

impl Replica {
    /// Remembers own content from `seq` on that only a replacement voided and that was not said
    /// again since.
    pub(crate) fn note_voided(&mut self, seq: u64) {
        let own = self.device();
        let Some(log) = self.set.log(&own) else { return };
        let voided: Vec<EntryId> = log
            .between(seq, u64::MAX)
            .filter(|(id, slot)| !slot.kind.is_control() && self.only_replaced(id))
            .filter(|(id, _)| !self.erased.contains(id))
            .filter(|(id, _)| {
                let document = self.documents.of_entry(id);
                document.is_some_and(|document| !self.said_later(&document, id))
            })
            .map(|(id, _)| id)
            .collect();
        self.note_again(&voided);
    }

    fn only_replaced(&self, id: &EntryId) -> bool {
        let Counting::Void { by, .. } = self.authority.counting(&self.set, id) else {
            return false;
        };
        let own = self.member();
        match self.set.control().get(&by) {
            Some(Control::Replace(replace)) => replace.with.subject == own,
            _ => false,
        }
    }

    /// Whether this device changed the document again, and that counts.
    fn said_later(&self, document: &DocumentId, voided: &EntryId) -> bool {
        let place = self.set.place_of(voided);
        let entries = self.documents.get(document).map(|known| &known.entries);
        entries.into_iter().flatten().any(|id| {
            let later = self.set.place_of(id).zip(place);
            later.is_some_and(|(later, void)| later.0 == void.0 && later.1 > void.1)
                && self.authority.counting(&self.set, id).counts()
        })
    }
}
