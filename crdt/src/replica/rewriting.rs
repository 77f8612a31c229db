//! Writing one's own words again (A2): a demotion that did not know of them voids what a member
//! wrote under the old capability. Nobody meant that: the member's node says it again under the new
//! one, in the same documents, so that what others answered stays an answer. The same if the new
//! capability falls because the demotion itself comes to nothing (A3). Whoever demotes somebody
//! again and again makes that node write so much a day and no more.

use std::collections::BTreeSet;

use crate::authority::{Counting, Rule};
use crate::id::{DocumentId, EntryId};
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// Documents that a device writes again in a day because replacements had voided them.
const REWRITTEN_DAILY: u32 = 256;

impl Replica {
    /// Whether a document may be written again today, for the sake of these entries. After a
    /// rollback (I4), which nobody else can bring about, it always may.
    pub(crate) fn may_write_again(
        &mut self,
        now: Timestamp,
        own: &BTreeSet<EntryId>,
        out: &mut Outcome,
    ) -> bool {
        if !own.iter().any(|id| self.only_replaced(id)) {
            return true;
        }
        out.persona_changed = true;
        self.persona.rewritten.take(now, REWRITTEN_DAILY)
    }

    /// What had to wait for another day has its turn.
    pub(crate) fn resume_rewriting(&mut self, now: Timestamp, out: &mut Outcome) {
        if self.persona.rewritten.renew(now, REWRITTEN_DAILY) {
            out.persona_changed = true;
            self.resume_again();
        }
    }

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
        let Counting::Void { rule, by } = self.authority.counting(&self.set, id) else {
            return false;
        };
        let own = self.member();
        let replaces = |entry: &EntryId| match self.set.control().get(entry) {
            Some(Control::Replace(replace)) => replace.with.subject == own,
            _ => false,
        };
        let under = || self.set.slot(id).is_some_and(|slot| replaces(&slot.grant.entry()));
        replaces(&by) || (rule == Rule::A3 && under())
    }

    /// Whether this device changed the document again, and that counts; or created it before, and
    /// that counts once more.
    fn said_later(&self, document: &DocumentId, voided: &EntryId) -> bool {
        let Some(known) = self.documents.get(document) else { return false };
        let Some(void) = self.set.place_of(voided) else { return false };
        let creates = known.creations.contains_key(voided);
        known.entries.iter().any(|id| {
            let said = self.set.place_of(id).is_some_and(|place| {
                let again = creates && known.creations.contains_key(id);
                place.0 == void.0 && (place.1 > void.1 || again)
            });
            said && self.authority.counting(&self.set, id).counts()
        })
    }
}
