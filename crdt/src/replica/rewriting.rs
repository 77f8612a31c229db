//! Writing one's own words again (A2): a demotion that did not know of them voids what a member
//! wrote under the old capability. Nobody meant that: the member's node says it again under the new
//! one, and erases what nobody will see.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;

use crate::authority::Counting;
use crate::document::kinds::{Content, DocumentKind};
use crate::document::rebuild;
use crate::document::view::View;
use crate::epoch::secret::Audience;
use crate::id::{DocumentId, EntryId, GrantId};
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::effect::Refused;
use crate::replica::input::Stored;
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::replica::posts::{Edit, PendingEdit};
use crate::time::Timestamp;

/// Documents that are written again at a time.
const AT_ONCE: usize = 256;

/// What is to be written again.
#[derive(Default)]
pub(crate) struct Rewriting {
    /// Own content that only a replacement voided. By sequence number, so that a thread comes
    /// before its posts.
    voided: BTreeSet<(u64, EntryId)>,
    /// Documents that were asked of the store, in that order; `None` until they are here.
    asked: Vec<(DocumentId, Option<View>)>,
    /// What became of those written again.
    became: BTreeMap<DocumentId, DocumentId>,
}

impl Replica {
    /// Notes own content from `seq` on that only a replacement voided.
    pub(crate) fn note_voided(&mut self, seq: u64) {
        let own = self.device();
        let Some(log) = self.set.log(&own) else { return };
        let content = log.between(seq, u64::MAX).filter(|(_, slot)| !slot.kind.is_control());
        let voided: Vec<(u64, EntryId)> = content
            .filter(|(id, _)| self.only_replaced(id) && !self.erased.contains(id))
            .filter_map(|(id, _)| Some((self.set.place_of(&id)?.1, id)))
            .collect();
        self.rewriting.voided.extend(voided);
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

    /// Asks the store for what is to be written again, if that is possible now.
    pub(crate) fn ask_for_voided(&mut self) {
        let rewriting = &self.rewriting;
        if rewriting.voided.is_empty()
            || !rewriting.asked.is_empty()
            || self.persona.state != ReplicaState::Member
        {
            return;
        }
        let voided = std::mem::take(&mut self.rewriting.voided);
        let mut asked: Vec<DocumentId> = Vec::new();
        for (seq, id) in voided {
            let Some(document) = self.documents.of_entry(&id).filter(|_| self.only_replaced(&id))
            else {
                continue;
            };
            if asked.contains(&document) || self.said_later(&document, seq) {
                continue;
            }
            if asked.len() >= AT_ONCE {
                self.rewriting.voided.insert((seq, id));
                continue;
            }
            asked.push(document);
        }
        for document in &asked {
            self.documents.touch(*document);
        }
        self.rewriting.asked = asked.into_iter().map(|document| (document, None)).collect();
    }

    /// Whether this device changed the document again, and that counts.
    fn said_later(&self, document: &DocumentId, seq: u64) -> bool {
        let own = self.device();
        let entries = self.documents.get(document).map(|known| &known.entries);
        entries.into_iter().flatten().any(|id| {
            self.set.place_of(id).is_some_and(|(device, at)| device == own && at > seq)
                && self.authority.counting(&self.set, id).counts()
        })
    }

    /// A document is here. When all are, they are written again in one step.
    pub(crate) fn read_voided<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        document: &DocumentId,
        entries: &[Stored],
        out: &mut Outcome,
    ) {
        let Some(place) = self.rewriting.asked.iter().position(|(asked, _)| asked == document)
        else {
            return;
        };
        let kind = self.documents.get(document).and_then(|known| known.created);
        let view = kind.and_then(|(_, kind)| {
            let reads = self.read_all(kind, entries.to_vec());
            let all: Vec<_> = reads.into_iter().map(|read| (read.id, read.change)).collect();
            rebuild::rebuild(kind, &all).view
        });
        match (self.rewriting.asked.get_mut(place), view) {
            (Some(asked), Some(view)) => asked.1 = Some(view),
            _ => drop(self.rewriting.asked.remove(place)),
        }
        if self.rewriting.asked.iter().all(|(_, view)| view.is_some()) {
            for (document, view) in std::mem::take(&mut self.rewriting.asked) {
                if let Some(view) = view
                    && self.write_again(now, rng, document, view, out).is_err()
                {
                    // Not allowed under the new capability: it stays as it is.
                    continue;
                }
            }
            self.refresh(out);
        }
    }

    fn write_again<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        document: DocumentId,
        view: View,
        out: &mut Outcome,
    ) -> Result<(), Refused> {
        let known = self.documents.get(&document).and_then(|known| known.created);
        let (created, kind) = known.ok_or(Refused::Unknown { what: "post" })?;
        if self.authority.counting(&self.set, &created).counts() {
            if let Some(text) = view.body().filter(|_| matches!(kind, DocumentKind::Post)) {
                let edit = Edit::Text(text.to_owned());
                let pending = PendingEdit { command: None, edit };
                self.edits.entry(document).or_default().push(pending);
                self.documents.touch(document);
            }
            return Ok(());
        }
        let (needed, words) = Self::ability_for(kind);
        let grant = self.grant_with(needed, None, words)?;
        let became = |id: DocumentId| self.rewriting.became.get(&id).copied().unwrap_or(id);
        let content = match view.content {
            Content::Post(mut post) => {
                post.thread = became(post.thread);
                post.reply_to = post.reply_to.map(became);
                Content::Post(post)
            }
            Content::Response(mut response) => {
                response.post = became(response.post);
                Content::Response(response)
            }
            Content::Thread(thread) => Content::Thread(thread),
            Content::Profile(profile) => Content::Profile(profile),
            // Others' too, or said to somebody in an office that is gone.
            Content::Agreement(_) | Content::Act(_) => return Ok(()),
        };
        let dated = (&content, view.written);
        let new = self.create_at(now, rng, grant, Audience::Readers, dated, out)?;
        self.rewriting.became.insert(document, new);
        self.write_erasure(now, document, created, GrantId::NONE, out).map(|_| ())
    }
}
