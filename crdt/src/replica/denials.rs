//! Conferring, ending and saying again: the acts that change who stands where (A1-A5).

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;

use crate::authority::needed_to_grant;
use crate::capability::grant::Grant;
use crate::capability::rank::{Abilities, Rank};
use crate::capability::revocation::{Cut, CutHead, Remove, Replace, Revoke};
use crate::codec::{List, Map};
use crate::epoch::secret::Audience;
use crate::id::{DeviceId, EntryId, GrantId, MemberId, PublicKey};
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::effect::{Refused, Reply};
use crate::replica::input::CutChoice;
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// Devices that read, with their prekeys.
type Readers = BTreeMap<DeviceId, PublicKey>;

/// What one needs to end a capability, in words.
const ABOVE: &str = "a rank above the member's, and the ability to remove";

impl Replica {
    pub(crate) fn grant<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        subject: MemberId,
        rank: Rank,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (issuer, control) = self.conferral(subject, rank)?;
        let back = self.authority.rank_of(&subject).is_none();
        let id = self.write_control(now, issuer, &control, out)?;
        self.refresh(out);
        let standing = self.authority.members().get(&subject);
        let devices = standing.map(|standing| standing.devices.clone()).unwrap_or_default();
        for device in devices {
            if back {
                // Whoever comes back lacks what was shared while they were gone (K3, K6).
                self.owe_welcome(device, out);
                self.open_mailboxes_to(now, rng, device, out);
            } else {
                // Others may have ended the grant that this one replaces and written since.
                self.owe(device, BTreeSet::new(), out);
            }
        }
        self.pay_welcomes(out);
        Ok(Reply::Entry(id))
    }

    /// A grant, or the replacement of the one that the member has; and what it is issued under.
    pub(crate) fn conferral(
        &self,
        subject: MemberId,
        rank: Rank,
    ) -> Result<(GrantId, Control), Refused> {
        let needs = "a rank above both the member's and the one conferred";
        let before = self.authority.rank_of(&subject);
        let above = before.map_or(rank, |before| before.max(rank));
        let issuer = self.grant_with(needed_to_grant(rank), Some(above), needs)?;
        let own = self.authority.grant(&issuer).map(|(_, capability)| capability.abilities);
        let abilities = Abilities::usual(rank).common(own.unwrap_or(Abilities::NONE));
        let removals = self.authority.removals_of(&self.set, &subject);
        let cites = List::new(removals.into_iter().take(crate::limits::CITATIONS).collect());
        let with =
            Grant { subject, rank, abilities, cites: cites.unwrap_or_default(), invite: None };
        match self.highest_grant(&subject) {
            Some(grant) => {
                let cut = self.cut_of(&subject, CutChoice::FromTip);
                Ok((issuer, Control::Replace(Replace { grant, cut, with })))
            }
            None if self.authority.was_member(&subject) => Ok((issuer, Control::Grant(with))),
            None => Err(Refused::Unknown { what: "member" }),
        }
    }

    pub(crate) fn revoke<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        subject: MemberId,
        (grant, cut): (Option<GrantId>, CutChoice),
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (under, mut revoke) = self.revocation(&subject, grant, cut)?;
        let after = self.readers_after(under, &Control::Revoke(revoke.clone()))?;
        let fewer = after.len() < self.authority.readers(Audience::Readers).len();
        revoke.epoch =
            if fewer { Some(self.mint(rng, Audience::Readers, &after, out)?) } else { None };
        let id = self.write_control(now, under, &Control::Revoke(revoke), out)?;
        self.mints.insert(id);
        self.refresh(out);
        Ok(Reply::Entry(id))
    }

    /// The revocation of a member's grant, the highest if none is named; and what it is issued
    /// under. Without an epoch yet.
    pub(crate) fn revocation(
        &self,
        subject: &MemberId,
        grant: Option<GrantId>,
        cut: CutChoice,
    ) -> Result<(GrantId, Revoke), Refused> {
        let grant = grant.or_else(|| self.highest_grant(subject));
        let grant = grant.ok_or(Refused::Unknown { what: "member" })?;
        let (_, capability) =
            self.authority.grant(&grant).ok_or(Refused::Unknown { what: "grant" })?;
        let under = self.grant_with(Abilities::REMOVE, Some(capability.rank), ABOVE)?;
        Ok((under, Revoke { grant, cut: self.cut_of(subject, cut), epoch: None }))
    }

    pub(crate) fn remove<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        subject: MemberId,
        cut: CutChoice,
        words: (&str, &str),
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (under, remove) = self.removal(subject, cut)?;
        let id = self.write_removal(now, rng, under, remove, out)?;
        self.say_why(now, rng, id, subject, words, out)?;
        Ok(Reply::Entry(id))
    }

    /// The removal of a member, and what it is issued under. Without an epoch yet.
    pub(crate) fn removal(
        &self,
        subject: MemberId,
        cut: CutChoice,
    ) -> Result<(GrantId, Remove), Refused> {
        if subject == self.member() {
            let why = "you cannot remove yourself: leave the group instead".to_owned();
            return Err(Refused::Conflict(why));
        }
        if !self.authority.was_member(&subject) {
            return Err(Refused::Unknown { what: "member" });
        }
        let above = self.authority.rank_of(&subject).unwrap_or(Rank::Reader);
        let under = self.grant_with(Abilities::REMOVE, Some(above), ABOVE)?;
        Ok((under, Remove { subject, cut: self.cut_of(&subject, cut), epoch: None }))
    }

    fn write_removal<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        under: GrantId,
        mut remove: Remove,
        out: &mut Outcome,
    ) -> Result<EntryId, Refused> {
        remove.epoch = None;
        let after = self.readers_after(under, &Control::Remove(remove.clone()))?;
        remove.epoch = Some(self.mint(rng, Audience::Readers, &after, out)?);
        let id = self.write_control(now, under, &Control::Remove(remove), out)?;
        self.mints.insert(id);
        self.refresh(out);
        Ok(id)
    }

    /// Says a removal or revocation again that is void only because its author's log was cut
    /// before it (A9): the same cut, under a grant of one's own.
    pub(crate) fn reissue<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        entry: &EntryId,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        if !self.authority.orphaned().contains(entry) {
            let why = "only a removal or revocation that stopped counting with its author's log \
                       can be said again"
                .to_owned();
            return Err(Refused::Conflict(why));
        }
        let rank_of = |grant: &GrantId| self.authority.grant(grant).map(|(_, held)| held.rank);
        let said = self.set.control().get(entry).cloned();
        let id = match said {
            Some(Control::Remove(remove)) => {
                let above = self.authority.rank_of(&remove.subject).unwrap_or(Rank::Reader);
                let under = self.grant_with(Abilities::REMOVE, Some(above), ABOVE)?;
                self.write_removal(now, rng, under, remove, out)?
            }
            Some(Control::Revoke(revoke)) => {
                let above = rank_of(&revoke.grant).ok_or(Refused::Unknown { what: "grant" })?;
                let under = self.grant_with(Abilities::REMOVE, Some(above), ABOVE)?;
                let control = Control::Revoke(Revoke { epoch: None, ..revoke });
                self.write_control(now, under, &control, out)?
            }
            Some(Control::Replace(replace)) => {
                let rank = rank_of(&replace.grant).ok_or(Refused::Unknown { what: "grant" })?;
                let above = rank.max(replace.with.rank);
                let needed = needed_to_grant(replace.with.rank);
                let under = self.grant_with(needed, Some(above), ABOVE)?;
                self.write_control(now, under, &Control::Replace(replace), out)?
            }
            _ => return Err(Refused::Unknown { what: "act" }),
        };
        self.refresh(out);
        Ok(Reply::Entry(id))
    }

    /// Lets more of an ended member's logs count than this member's own removals and revocations
    /// said: says each of them again with a cut further on, which supersedes it (A5).
    pub(crate) fn extend(
        &mut self,
        now: Timestamp,
        subject: &MemberId,
        cut: CutChoice,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let own = self.device();
        let cut = self.cut_of(subject, cut);
        let mut again: BTreeMap<Option<GrantId>, (GrantId, Control)> = BTreeMap::new();
        let Some(log) = self.set.log(&own) else {
            return Err(Refused::NotAMember { removed: false });
        };
        let held = self.authority.members().get(&self.member());
        for (_, id, slot) in log.iter() {
            // Only a statement under the same capability supersedes.
            let still = held.is_some_and(|standing| standing.grants.contains_key(&slot.grant));
            if !still || !self.authority.counting(&self.set, &id).counts() {
                continue;
            }
            let whose = |grant: &GrantId| self.authority.grant(grant).map(|(member, _)| member);
            let (grant, control) = match self.set.control().get(&id) {
                Some(Control::Remove(said)) if said.subject == *subject => {
                    let said = Remove { cut: cut.clone(), epoch: None, ..said.clone() };
                    (None, Control::Remove(said))
                }
                Some(
                    Control::Revoke(Revoke { grant, .. }) | Control::Replace(Replace { grant, .. }),
                ) if whose(grant) == Some(*subject) => {
                    let said = Revoke { grant: *grant, cut: cut.clone(), epoch: None };
                    (Some(*grant), Control::Revoke(said))
                }
                _ => continue,
            };
            again.insert(grant, (slot.grant, control));
        }
        let mut last = None;
        for (under, control) in again.into_values() {
            last = Some(self.write_control(now, under, &control, out)?);
        }
        self.refresh(out);
        let nothing = "this device has ended no capability of this member".to_owned();
        last.map(Reply::Entry).ok_or(Refused::Conflict(nothing))
    }

    /// Who reads once an act is in force: whoever falls with it does not, though the act names
    /// somebody else.
    fn readers_after(&self, under: GrantId, act: &Control) -> Result<Readers, Refused> {
        let (_, after) = self.evaluated_with(under, act)?;
        Ok(after.readers(Audience::Readers))
    }

    /// Up to where a member's logs are to count.
    pub(crate) fn cut_of(&self, subject: &MemberId, choice: CutChoice) -> Cut {
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
}
