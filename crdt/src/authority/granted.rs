//! The table of all grants, and which of them keep A1.

use std::collections::BTreeMap;

use crate::authority::counting::{Counting, Grounds};
use crate::capability::grant::{Grant, RootAction};
use crate::capability::rank::{Abilities, Rank};
use crate::id::{EntryId, GrantId, MemberId};
use crate::log::entry::Control;
use crate::log::set::LogSet;

/// A grant and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) subject: MemberId,
    pub(super) rank: Rank,
    pub(super) abilities: Abilities,
    /// `None`: the genesis or the council.
    pub(super) issuer: Option<MemberId>,
    /// The grant that it was issued under; none for those of genesis and council.
    pub(super) under: GrantId,
    /// Rank of that grant.
    pub(super) issuer_rank: Rank,
    /// Breaks A1, or was issued under a grant that does, that is unknown or another member's.
    pub(super) broken: bool,
    /// What its own entry counts for.
    pub(super) base: Counting,
    /// Which [`super::cut::Cutting`] ended it.
    pub(super) ended: Option<usize>,
}

impl Granted {
    /// Whether it confers anything now.
    pub(super) const fn is_live(&self) -> bool {
        !self.broken && self.base.counts() && self.ended.is_none()
    }
}

/// The grant that an entry confers, if it confers one by a payload of that type.
pub(super) fn conferred(control: &Control) -> Option<&Grant> {
    match control {
        Control::Grant(grant) => Some(grant),
        Control::Replace(replace) => Some(&replace.with),
        Control::Root(act) => match &act.action {
            RootAction::Grant(grant) => Some(grant),
            _ => None,
        },
        _ => None,
    }
}

/// What issuing a grant of this rank takes.
#[must_use]
pub const fn needed_to_grant(rank: Rank) -> Abilities {
    match rank {
        Rank::Reader | Rank::Member => Abilities::ADMIT,
        Rank::Moderator | Rank::Steward | Rank::Founder | Rank::Root => Abilities::APPOINT,
    }
}

impl Grounds {
    /// Fills the table. Ranks fall strictly along a chain of grants, so that one pass from the
    /// highest rank down finds every grant after the one it was issued under.
    pub(super) fn tabulate(&mut self, set: &LogSet) {
        let mut by_rank: BTreeMap<Rank, Vec<(EntryId, &Grant)>> = BTreeMap::new();
        for (id, control) in set.control() {
            match control {
                Control::Genesis(genesis) if id.as_bytes() == set.group().as_bytes() => {
                    self.grants.insert(
                        GrantId::of(*id),
                        Granted::by_council(genesis.founder, Rank::Founder, Abilities::ALL),
                    );
                }
                Control::Root(_) if !self.stands_for_itself(id) => {}
                _ => {
                    if let Some(grant) = conferred(control) {
                        by_rank.entry(grant.rank).or_default().push((*id, grant));
                    }
                }
            }
        }
        for (id, grant) in by_rank.into_values().rev().flatten() {
            if let Some(granted) = self.granted(set, id, grant) {
                self.grants.insert(GrantId::of(id), granted);
            }
        }
    }

    /// Whether a root act is valid and the one of those that are equal by which it goes (A10).
    fn stands_for_itself(&self, act: &EntryId) -> bool {
        self.acts.get(act).is_some_and(|counting| counting.denies())
            && self.alias.get(act).is_none_or(|other| other == act)
    }

    fn granted(&self, set: &LogSet, id: EntryId, grant: &Grant) -> Option<Granted> {
        if self.acts.contains_key(&id) {
            let mut granted = Granted::by_council(grant.subject, grant.rank, grant.abilities);
            granted.broken = grant.rank >= Rank::Root;
            return Some(granted);
        }
        let place = self.place(set, &id)?;
        let issuer = self.member(place.device, place.at);
        let parent = self.grants.get(&place.grant);
        let keeps = parent.is_some_and(|parent| {
            !parent.broken
                && Some(parent.subject) == issuer
                && parent.rank > grant.rank
                && parent.abilities.contains(grant.abilities)
                && parent.abilities.contains(needed_to_grant(grant.rank))
        });
        Some(Granted {
            subject: grant.subject,
            rank: grant.rank,
            abilities: grant.abilities,
            issuer,
            under: place.grant,
            issuer_rank: parent.map_or(Rank::Reader, |parent| parent.rank),
            broken: !keeps,
            base: Counting::Unknown,
            ended: None,
        })
    }
}

impl Granted {
    const fn by_council(subject: MemberId, rank: Rank, abilities: Abilities) -> Self {
        Self {
            subject,
            rank,
            abilities,
            issuer: None,
            under: GrantId::NONE,
            issuer_rank: Rank::Root,
            broken: false,
            base: Counting::Counts,
            ended: None,
        }
    }
}
