//! What a person asks for, routed; and the acts of moderation among it.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;

use crate::authority::needed_to_grant;
use crate::capability::grant::Grant;
use crate::capability::rank::{Abilities, Rank};
use crate::capability::revocation::{
    Cut, CutHead, Erase, Hide, Leave, Remove, Replace, Restore, Revoke,
};
use crate::codec::{List, Map};
use crate::document::kinds::{Content, DocumentKind, act};
use crate::epoch::secret::{Audience, Mint};
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
            Command::Admit { request } => self.admit(now, rng, request, out),
            Command::Decline { request } => self.decline(request, out),
            Command::Grant { member, rank } => self.grant(now, member, rank, out),
            Command::Revoke { member, grant, cut } => {
                self.revoke(now, rng, member, (grant, cut), out)
            }
            Command::Remove { member, cut, rule, reason } => {
                self.remove(now, rng, member, cut, (&rule, &reason), out)
            }
            Command::Leave => self.leave(now, out),
            Command::Sync => {
                self.peers.stir_all(now);
                Ok(Reply::Done)
            }
        };
        out.reply(id, result);
    }

    /// The entry that created a document, and the rank of the grant that it was created under.
    fn target(&self, document: &DocumentId) -> Result<(EntryId, MemberId, Rank), Refused> {
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
        let hides: Vec<EntryId> = self
            .set
            .control()
            .iter()
            .filter(
                |(_, control)| matches!(control, Control::Hide(hide) if hide.created == created),
            )
            .map(|(id, _)| *id)
            .take(crate::limits::CITATIONS)
            .collect();
        if self.authority.hidden(&created).is_none() {
            return Err(Refused::Conflict("the post is not hidden".to_owned()));
        }
        // Whoever lifts a hide stands at least as high as whoever hid: under the highest grant.
        let own = self.member();
        let needs = "at least the rank of whoever hid it, and the ability to hide";
        self.grant_with(Abilities::HIDE, Some(rank), needs)?;
        let grant = self.highest_grant(&own).ok_or(Refused::NotAMember { removed: false })?;
        let restore = Restore { hides: List::new(hides).unwrap_or_default() };
        let id = self.write_control(now, grant, &Control::Restore(restore), out)?;
        self.refresh(out);
        if self.authority.hidden(&created).is_some() {
            return Err(Refused::NotAllowed { needs: needs.to_owned() });
        }
        Ok(Reply::Entry(id))
    }

    /// The words of an act: for the moderators and the person concerned (L7, K9).
    fn say_why<R: CryptoRng>(
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

    fn grant(
        &mut self,
        now: Timestamp,
        subject: MemberId,
        rank: Rank,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let needs = "a rank above both the member's and the one conferred";
        let before = self.authority.rank_of(&subject);
        let above = before.map_or(rank, |before| before.max(rank));
        let needed = needed_to_grant(rank);
        let issuer = self.grant_with(needed, Some(above), needs)?;
        let own = self.authority.grant(&issuer).map(|(_, capability)| capability.abilities);
        let abilities = Abilities::usual(rank).common(own.unwrap_or(Abilities::NONE));
        let removals = self.authority.removals_of(&self.set, &subject);
        let cites = List::new(removals.into_iter().take(crate::limits::CITATIONS).collect());
        let with =
            Grant { subject, rank, abilities, cites: cites.unwrap_or_default(), invite: None };
        let control = match self.highest_grant(&subject) {
            Some(grant) => {
                let cut = self.cut_of(&subject, CutChoice::FromTip);
                Control::Replace(Replace { grant, cut, with })
            }
            None if self.authority.was_member(&subject) => Control::Grant(with),
            None => return Err(Refused::Unknown { what: "member" }),
        };
        let id = self.write_control(now, issuer, &control, out)?;
        self.refresh(out);
        Ok(Reply::Entry(id))
    }

    fn revoke<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        subject: MemberId,
        (grant, cut): (Option<GrantId>, CutChoice),
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let grant = grant.or_else(|| self.highest_grant(&subject));
        let grant = grant.ok_or(Refused::Unknown { what: "member" })?;
        let (_, capability) =
            self.authority.grant(&grant).ok_or(Refused::Unknown { what: "grant" })?;
        let needs = "a rank above the member's, and the ability to remove";
        let under = self.grant_with(Abilities::REMOVE, Some(capability.rank), needs)?;
        let last = self.authority.members().get(&subject).is_some_and(|s| s.grants.len() == 1);
        let epoch = if last { self.mint_without(rng, &subject, out)? } else { None };
        let cut = self.cut_of(&subject, cut);
        let id =
            self.write_control(now, under, &Control::Revoke(Revoke { grant, cut, epoch }), out)?;
        self.mints.insert(id);
        self.refresh(out);
        Ok(Reply::Entry(id))
    }

    fn remove<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        subject: MemberId,
        cut: CutChoice,
        words: (&str, &str),
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        if subject == self.member() {
            let why = "you cannot remove yourself: leave the group instead".to_owned();
            return Err(Refused::Conflict(why));
        }
        if !self.authority.was_member(&subject) {
            return Err(Refused::Unknown { what: "member" });
        }
        let above = self.authority.rank_of(&subject).unwrap_or(Rank::Reader);
        let needs = "a rank above the member's, and the ability to remove";
        let under = self.grant_with(Abilities::REMOVE, Some(above), needs)?;
        let epoch = self.mint_without(rng, &subject, out)?;
        let cut = self.cut_of(&subject, cut);
        let remove = Control::Remove(Remove { subject, cut, epoch });
        let id = self.write_control(now, under, &remove, out)?;
        self.mints.insert(id);
        self.refresh(out);
        self.say_why(now, rng, id, subject, words, out)?;
        Ok(Reply::Entry(id))
    }

    /// A fresh epoch for all readers but one member (K4).
    fn mint_without<R: CryptoRng>(
        &mut self,
        rng: &mut R,
        subject: &MemberId,
        out: &mut Outcome,
    ) -> Result<Option<Mint>, Refused> {
        let mut recipients = self.authority.readers(Audience::Readers);
        recipients.retain(|device, _| self.authority.member_of(device) != Some(*subject));
        self.mint(rng, Audience::Readers, &recipients, out).map(Some)
    }

    /// Up to where a member's logs are to count.
    fn cut_of(&self, subject: &MemberId, choice: CutChoice) -> Cut {
        let mut heads: BTreeMap<_, CutHead> = BTreeMap::new();
        let devices = self.authority.devices().iter().filter(|(_, d)| d.member == *subject);
        for (id, _) in devices.take(crate::limits::MEMBER_DEVICES) {
            let Some(log) = self.set.log(id) else { continue };
            let head = match choice {
                CutChoice::FromStart => None,
                CutChoice::FromTip => log.heads().last().copied(),
                CutChoice::At(entry) => self
                    .set
                    .place_of(&entry)
                    .filter(|(device, _)| device == id)
                    .map(|(_, seq)| (seq, entry)),
            };
            if let Some((seq, entry)) = head {
                heads.insert(*id, CutHead { seq, entry });
            }
        }
        Cut(Map::new(heads).unwrap_or_default())
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
