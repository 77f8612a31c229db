//! What a person asks for, routed; and the acts of moderation among it.

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use crate::capability::rank::{Abilities, Rank};
use crate::capability::revocation::{Erase, Hide, Leave, Restore};
use crate::codec::List;
use crate::document::kinds::{Content, DocumentKind, act};
use crate::epoch::secret::Audience;
use crate::id::{DocumentId, EntryId, GrantId, MemberId};
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::effect::{Refused, Reply};
use crate::replica::input::{Command, CommandId, CutChoice};
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::replica::posts::text;
use crate::time::Timestamp;

impl Replica {
    pub(crate) fn command<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        id: CommandId,
        command: Command,
        out: &mut Outcome,
    ) {
        let ends = matches!(
            command,
            Command::Revoke { .. }
                | Command::Remove { .. }
                | Command::Reissue { .. }
                | Command::Extend { .. }
                | Command::Pin { .. }
                | Command::Unlink { .. }
                | Command::Carry { .. }
        );
        let before = ends.then(|| self.authority.members().keys().copied().collect());
        let result = match command {
            Command::SetProfile { pseudonym } => {
                self.publish_profile(now, rng, Some(pseudonym), Some(id), out);
                return;
            }
            Command::SetAgreement { name, text } => {
                match self.set_agreement(now, rng, id, (name, text), out) {
                    Ok(None) => return,
                    Ok(Some(reply)) => Ok(reply),
                    Err(why) => Err(why),
                }
            }
            Command::Edit { document, text } => match self.edit_text(id, document, text) {
                Ok(()) => return,
                Err(why) => Err(why),
            },
            Command::StartThread { title, body } => self.start_thread(now, rng, &title, &body, out),
            Command::Post { thread, reply_to, body } => {
                self.post(now, rng, (thread, reply_to), &body, out)
            }
            Command::Import { posts } => self.import(now, rng, &posts, out),
            Command::Respond { post, word } => self.respond(now, rng, post, word, out),
            Command::Erase { document } => self.erase_document(now, document, out),
            Command::Hide { document, rule, reason } => {
                self.hide(now, rng, document, (&rule, &reason), out)
            }
            Command::Restore { document } => self.restore_document(now, document, out),
            Command::Invite { rank, uses, expires, at_once } => {
                self.invite(now, rng, rank, (uses, expires, at_once), out)
            }
            Command::AddKeeper { code } => match self.add_keeper(now, rng, id, &code, out) {
                Ok(()) => return,
                Err(why) => Err(why),
            },
            Command::Bundle => self.bundle(now, rng, out),
            Command::DismissKeeper { entry } => self.dismiss_keeper(now, entry, out),
            Command::Admit { request } => self.admit(now, rng, request, out),
            Command::Decline { request } => self.decline(request, out),
            Command::Grant { member, rank } => self.grant(now, rng, member, rank, out),
            Command::Revoke { member, grant, cut } => {
                self.revoke(now, rng, member, (grant, cut), out)
            }
            Command::Remove { member, cut, rule, reason } => {
                self.remove(now, rng, member, cut, (&rule, &reason), out)
            }
            Command::ConfirmErase { document } => self.confirm_erase(now, &document, out),
            Command::Reissue { entry } => self.reissue(now, rng, &entry, out),
            Command::Extend { member, cut } => self.extend(now, &member, cut, out),
            Command::Pin { entry } => self.pin(now, &entry, out),
            Command::Unlink { device, last } => self.unlink(now, device, last, out),
            Command::Cosign { act } => self.hand_on(now, *act, out),
            Command::Carry { act } => self.carry(now, *act, out),
            Command::Leave => self.leave(now, out),
            Command::Sync => {
                self.peers.stir_all(now);
                Ok(Reply::Done)
            }
        };
        if let Some(before) = before {
            self.welcome_back(now, rng, &before, out);
        }
        out.reply(id, result);
    }

    /// The entry that created a document, and the rank of the grant that it was created under.
    pub(crate) fn target(
        &self,
        document: &DocumentId,
    ) -> Result<(EntryId, MemberId, Rank), Refused> {
        let unknown = Refused::Unknown { what: "post" };
        let known = self.documents.get(document).and_then(|known| known.created);
        let Some((created, DocumentKind::Post | DocumentKind::Thread | DocumentKind::Response)) =
            known
        else {
            return Err(unknown);
        };
        let grant = self.set.slot(&created).map(|slot| slot.grant);
        let capability = grant.and_then(|grant| self.authority.grant(&grant));
        match (self.owner_of(document), capability) {
            (Some(owner), Some((_, capability))) => Ok((created, owner, capability.rank)),
            _ => Err(unknown),
        }
    }

    fn erase_document(
        &mut self,
        now: Timestamp,
        document: DocumentId,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (created, owner, rank) = self.target(&document)?;
        let grant = if owner == self.member() {
            GrantId::NONE
        } else {
            let words = "a rank above the author's, and the ability to erase";
            self.grant_with(Abilities::ERASE, Some(rank), words)?
        };
        let mut last = self.write_erasure(now, document, created, grant, out)?;
        // A thread is its title and its opening (C5); the replies stay.
        if let Some((opening, entry)) = self.opening_of(&created) {
            last = self.write_erasure(now, opening, entry, grant, out)?;
        }
        self.refresh(out);
        Ok(Reply::Entry(last))
    }

    fn write_erasure(
        &mut self,
        now: Timestamp,
        document: DocumentId,
        created: EntryId,
        grant: GrantId,
        out: &mut Outcome,
    ) -> Result<EntryId, Refused> {
        let known = self.documents.get(&document).map(|known| known.entries.clone());
        let changes: Vec<EntryId> = known
            .into_iter()
            .flatten()
            .filter(|entry| *entry != created)
            .take(crate::limits::ERASED_PAYLOADS)
            .collect();
        let erase = Erase { created, changes: List::new(changes).unwrap_or_default() };
        self.write_control(now, grant, &Control::Erase(erase), out)
    }

    /// The opening of a thread: the post that its author wrote right after the title.
    fn opening_of(&self, created: &EntryId) -> Option<(DocumentId, EntryId)> {
        let thread = self.documents.of_entry(created)?;
        let (_, DocumentKind::Thread) = self.documents.get(&thread)?.created? else { return None };
        let (device, seq) = self.set.place_of(created)?;
        let log = self.set.log(&device)?;
        let (entry, _) = log.at(seq.checked_add(1)?).find(|(_, slot)| slot.prev == *created)?;
        let document = self.documents.of_entry(&entry)?;
        let is_post = matches!(self.documents.get(&document)?.created?, (_, DocumentKind::Post));
        is_post.then_some((document, entry))
    }

    fn hide<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        document: DocumentId,
        words: (&str, &str),
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (created, owner, rank) = self.target(&document)?;
        let needs = "a rank above the author's, and the ability to hide";
        let grant = self.grant_with(Abilities::HIDE, Some(rank), needs)?;
        let hide = self.write_control(now, grant, &Control::Hide(Hide { created }), out)?;
        self.refresh(out);
        self.say_why(now, rng, hide, owner, words, out)?;
        Ok(Reply::Entry(hide))
    }

    fn restore_document(
        &mut self,
        now: Timestamp,
        document: DocumentId,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (created, _, rank) = self.target(&document)?;
        let opening = self.opening_of(&created).map(|(_, entry)| entry);
        let hides: Vec<EntryId> = self
            .set
            .control()
            .iter()
            .filter(|(id, control)| match control {
                Control::Hide(hide) => hide.created == created,
                // Another's erasure only hides until it is confirmed.
                Control::Erase(erase) => {
                    (erase.created == created || Some(erase.created) == opening)
                        && self.set.slot(id).is_some_and(|slot| slot.grant != GrantId::NONE)
                }
                _ => false,
            })
            .map(|(id, _)| *id)
            .take(crate::limits::CITATIONS)
            .collect();
        match self.authority.erased(&created) {
            Some(erasure) if erasure.final_ => {
                return Err(Refused::Conflict("the post is erased for good".to_owned()));
            }
            None if self.authority.hidden(&created).is_none() => {
                return Err(Refused::Conflict("the post is not hidden".to_owned()));
            }
            _ => {}
        }
        // Whoever lifts a hide stands at least as high as whoever hid: under the highest grant.
        let own = self.member();
        let needs = "at least the rank of whoever hid it, and the ability to hide";
        self.grant_with(Abilities::HIDE, Some(rank), needs)?;
        let grant = self.highest_grant(&own).ok_or(Refused::NotAMember { removed: false })?;
        let restore = Restore { hides: List::new(hides).unwrap_or_default() };
        let id = self.write_control(now, grant, &Control::Restore(restore), out)?;
        self.refresh(out);
        let still = self.authority.erased(&created).is_some();
        if still || self.authority.hidden(&created).is_some() {
            return Err(Refused::NotAllowed { needs: needs.to_owned() });
        }
        Ok(Reply::Entry(id))
    }

    /// The words of an act: for the moderators and the person concerned (L7, K9).
    pub(crate) fn say_why<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        about: EntryId,
        subject: MemberId,
        (rule, reason): (&str, &str),
        out: &mut Outcome,
    ) -> Result<(), Refused> {
        if rule.is_empty() && reason.is_empty() {
            return Ok(());
        }
        let content = Content::Act(act::Act {
            about,
            subject,
            rule: text("the rule", rule)?,
            reason: text("the reason", reason)?,
            until: None,
            appeal: text("the appeal", "")?,
        });
        let (needed, needs) = Self::ability_for(DocumentKind::Act);
        let grant = self.grant_with(needed, None, needs)?;
        let audience = Audience::ModeratorsAnd(subject);
        self.create(now, rng, grant, audience, &content, out).map(|_| ())
    }

    pub(crate) fn highest_grant(&self, member: &MemberId) -> Option<GrantId> {
        let standing = self.authority.members().get(member)?;
        standing.grants.iter().max_by_key(|(_, capability)| capability.rank).map(|(id, _)| *id)
    }

    fn leave(&mut self, now: Timestamp, out: &mut Outcome) -> Result<Reply, Refused> {
        let own = self.member();
        let standing = self.authority.members().get(&own);
        let grants: BTreeSet<GrantId> =
            standing.map(|standing| standing.grants.keys().copied().collect()).unwrap_or_default();
        self.persona.state = ReplicaState::Left;
        out.persona_changed = true;
        if grants.is_empty() {
            return Ok(Reply::Done);
        }
        let grants = grants.into_iter().take(crate::limits::LEAVE_GRANTS).collect();
        let grants = List::new(grants).unwrap_or_default();
        let cut = self.cut_of(&own, CutChoice::FromTip);
        let control = Control::Leave(Leave { grants, cut });
        let id = self.write_control(now, GrantId::NONE, &control, out)?;
        self.refresh(out);
        self.peers.stir_all(now);
        Ok(Reply::Entry(id))
    }
}
