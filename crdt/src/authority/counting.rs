//! Whether an entry counts, and if not, which rule and which entry say so (A9).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::authority::cut::{Cutting, Selection, Side};
use crate::authority::fork::{Line, Paths, Point};
use crate::authority::granted::Granted;
use crate::capability::rank::Rank;
use crate::id::{DeviceId, EntryId, GrantId, MemberId};
use crate::log::entry::{Control, Kind};
use crate::log::set::LogSet;

/// A rule by which an entry does not count.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub enum Rule {
    /// A card that does not open its log.
    I2,
    /// Exercised under no grant, an unknown one, or another member's.
    L3,
    /// Of a kind that this build does not know.
    L4,
    /// Under a grant that is no weaker than the one it was issued under, or such a grant itself.
    A1,
    /// Past the cut of a revocation, or below a head that is not held.
    A4,
    /// Past the cut at which the member's own key ended the device.
    A8,
    /// Under a grant whose own entry does not count.
    A3,
    /// On a branch that a pin did not select.
    A6,
    /// From a fork on that no pin has settled.
    A7,
    /// A root act that the council did not sign, or one of two.
    A10,
    /// An erasure under no grant by someone else than the owner.
    C5,
}

/// Whether an entry counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub enum Counting {
    /// In full.
    Counts,
    /// Its denials (revoke, remove, hide) count, nothing else (A7).
    Suspended {
        /// The rule.
        rule: Rule,
        /// The entry that decides.
        by: EntryId,
    },
    /// Not yet known: something that a revocation or pin names is not held. Counts for nothing.
    Parked {
        /// The rule.
        rule: Rule,
        /// The entry that decides.
        by: EntryId,
    },
    /// Counts for nothing.
    Void {
        /// The first rule that it fails, in the order of [`Rule`].
        rule: Rule,
        /// The entry that decides: of several the one of highest rank, then of smallest id.
        by: EntryId,
    },
    /// The set does not hold it.
    Unknown,
}

impl Counting {
    /// Whether it counts in full.
    #[must_use]
    pub const fn counts(self) -> bool {
        matches!(self, Self::Counts)
    }

    /// Whether what it denies counts (A7).
    #[must_use]
    pub const fn denies(self) -> bool {
        matches!(self, Self::Counts | Self::Suspended { .. })
    }

    /// How much is left of it.
    const fn strength(self) -> u8 {
        match self {
            Self::Counts => 3,
            Self::Suspended { .. } => 2,
            Self::Parked { .. } => 1,
            Self::Void { .. } | Self::Unknown => 0,
        }
    }

    /// The weaker of two; of equals the one whose rule comes first.
    fn and(self, other: Self) -> Self {
        match self.strength().cmp(&other.strength()) {
            core::cmp::Ordering::Less => self,
            core::cmp::Ordering::Greater => other,
            core::cmp::Ordering::Equal => self.min(other),
        }
    }

    /// What this leaves of whatever is exercised under it (A3, A7).
    const fn handed_down(self) -> Self {
        match self {
            Self::Void { by, .. } => Self::Void { rule: Rule::A3, by },
            Self::Parked { by, .. } => Self::Parked { rule: Rule::A3, by },
            other => other,
        }
    }
}

/// An entry, and what of it decides whether it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) id: EntryId,
    pub(super) device: DeviceId,
    pub(super) at: Point,
    pub(super) grant: GrantId,
    pub(super) kind: Kind,
}

/// A card that opens a log, and where (I2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Opening {
    pub(super) card: EntryId,
    pub(super) at: Point,
    pub(super) member: MemberId,
}

/// Everything that decides about entries, content included, found once from the control entries
/// and the forks.
#[derive(Clone, Debug, Default)]
pub(super) struct Grounds {
    pub(super) paths: Paths,
    pub(super) openings: BTreeMap<DeviceId, Vec<Opening>>,
    /// Entries that carry one and the same root act → the one that stands for it (A10).
    pub(super) alias: BTreeMap<EntryId, EntryId>,
    /// Root acts.
    pub(super) acts: BTreeMap<EntryId, Counting>,
    pub(super) grants: BTreeMap<GrantId, Granted>,
    pub(super) cuttings: Vec<Cutting>,
    /// Pins that decide for entries under grants of a rank.
    pub(super) pinned: BTreeMap<(DeviceId, Rank), Selection>,
    /// Pins by the member key, where no other decides.
    pub(super) own_pinned: BTreeMap<(DeviceId, MemberId), Selection>,
    pub(super) unlinked: BTreeMap<(DeviceId, MemberId), Selection>,
    /// Highest rank that a member was ever granted: what is above it may pin entries that are
    /// exercised under no grant.
    pub(super) tops: BTreeMap<MemberId, Rank>,
}

impl Grounds {
    /// Finds an entry.
    pub(super) fn place(&self, set: &LogSet, id: &EntryId) -> Option<Place> {
        let (device, seq) = set.place_of(id)?;
        let slot = set.log(&device)?.slot(seq, id)?;
        let at = self.paths.point(set, Line::Device(device), seq, id);
        Some(Place { id: *id, device, at, grant: self.resolve(slot.grant), kind: slot.kind })
    }

    /// The grant that stands for the one named: another, if several entries carry it.
    pub(super) fn resolve(&self, grant: GrantId) -> GrantId {
        self.alias.get(&grant.entry()).map_or(grant, |entry| GrantId::of(*entry))
    }

    /// The card that opens the path to an entry.
    pub(super) fn opening(&self, device: DeviceId, at: Point) -> Option<&Opening> {
        let openings = self.openings.get(&device)?;
        let line = Line::Device(device);
        openings.iter().find(|opening| self.paths.leads_to(line, opening.at, at))
    }

    /// The member for whom a device acts at this place of its log.
    pub(super) fn member(&self, device: DeviceId, at: Point) -> Option<MemberId> {
        self.opening(device, at).map(|opening| opening.member)
    }

    /// Whether an entry counts.
    pub(super) fn decide(&self, set: &LogSet, place: &Place) -> Counting {
        let void = |rule, by| Counting::Void { rule, by };
        match place.kind {
            Kind::GENESIS if place.id.as_bytes() == set.group().as_bytes() => Counting::Counts,
            Kind::GENESIS => void(Rule::L3, place.id),
            Kind::ROOT => {
                self.acts.get(&place.id).copied().unwrap_or_else(|| void(Rule::A10, place.id))
            }
            Kind::CARD | Kind::ROTATE => self.under_none(set, place),
            // Honoured whatever became of the log that carries it (A8).
            Kind::UNLINK => Counting::Counts,
            Kind::LEAVE => self.unless_unlinked(set, place),
            Kind::ERASE if place.grant == GrantId::NONE => self.own_erase(set, place),
            Kind::GRANT
            | Kind::REVOKE
            | Kind::REMOVE
            | Kind::REPLACE
            | Kind::PIN
            | Kind::HIDE
            | Kind::RESTORE
            | Kind::ERASE
            | Kind::CONFIRM_ERASE
            | Kind::EPOCH
            | Kind::WELCOME
            | Kind::INVITE
            | Kind::KEEPER
            | Kind::DISMISS
            | Kind::CONTENT => self.under_grant(set, place),
            _ => void(Rule::L4, place.id),
        }
    }

    /// The grant that an entry is exercised under, if the entry's member holds it and it and the
    /// entry itself keep A1.
    pub(super) fn exercised(&self, place: &Place) -> Result<&Granted, Counting> {
        let Some(grant) = self.grants.get(&place.grant) else {
            let by = if place.grant == GrantId::NONE { place.id } else { place.grant.entry() };
            return Err(Counting::Void { rule: Rule::L3, by });
        };
        if self.member(place.device, place.at) != Some(grant.subject) {
            return Err(Counting::Void { rule: Rule::L3, by: place.grant.entry() });
        }
        if grant.broken {
            return Err(Counting::Void { rule: Rule::A1, by: place.grant.entry() });
        }
        if self.grants.get(&GrantId::of(place.id)).is_some_and(|granted| granted.broken) {
            return Err(Counting::Void { rule: Rule::A1, by: place.id });
        }
        Ok(grant)
    }

    fn under_grant(&self, set: &LogSet, place: &Place) -> Counting {
        match self.exercised(place) {
            Ok(grant) => self
                .by_cut(set, place, grant)
                .and(self.unless_unlinked(set, place))
                .and(grant.base.handed_down())
                .and(self.by_branch(set, place, grant.rank, grant.ended.is_some())),
            Err(counting) => counting,
        }
    }

    /// A4: under a grant that was ended an entry counts up to the cut.
    pub(super) fn by_cut(&self, set: &LogSet, place: &Place, grant: &Granted) -> Counting {
        let cutting = grant.ended.and_then(|ended| self.cuttings.get(ended));
        let Some(cutting) = cutting else { return Counting::Counts };
        let line = Line::Device(place.device);
        let side = cutting.reach(&place.device).cut_side(&self.paths, line, place.at);
        let by = || cutting.by(set, &self.paths, place.device, place.at, side);
        match side {
            Side::On => Counting::Counts,
            Side::Parked => Counting::Parked { rule: Rule::A4, by: by() },
            Side::After | Side::Off => Counting::Void { rule: Rule::A4, by: by() },
        }
    }

    /// A8: past the cut at which its own member key ended the device nothing counts.
    pub(super) fn unless_unlinked(&self, set: &LogSet, place: &Place) -> Counting {
        let Some(unlinked) = self.unlinking(place) else { return Counting::Counts };
        let line = Line::Device(place.device);
        let side = unlinked.reach.cut_side(&self.paths, line, place.at);
        let by = || unlinked.by(set, &self.paths, place.device, place.at, side);
        match side {
            Side::On => Counting::Counts,
            Side::Parked => Counting::Parked { rule: Rule::A8, by: by() },
            Side::After | Side::Off => Counting::Void { rule: Rule::A8, by: by() },
        }
    }

    fn unlinking(&self, place: &Place) -> Option<&Selection> {
        let member = self.member(place.device, place.at)?;
        self.unlinked.get(&(place.device, member))
    }

    /// The pins that decide about a log for entries under grants of `rank`: any superior's before
    /// the member's own (A5, A6).
    pub(super) fn selection(
        &self,
        device: DeviceId,
        member: Option<MemberId>,
        rank: Rank,
    ) -> Option<&Selection> {
        let own = || member.and_then(|member| self.own_pinned.get(&(device, member)));
        self.pinned.get(&(device, rank)).or_else(own)
    }

    /// A6 and A7: what pins and forks leave of an entry. Where a cut decides (`cut`) there is one
    /// path, and nothing to suspend.
    fn by_branch(&self, set: &LogSet, place: &Place, rank: Rank, cut: bool) -> Counting {
        let line = Line::Device(place.device);
        let member = self.member(place.device, place.at);
        let selection = self.selection(place.device, member, rank);
        let mut head = None;
        if let Some(selection) = selection {
            let side = selection.reach.side(&self.paths, line, place.at);
            let by = || selection.by(set, &self.paths, place.device, place.at, side);
            match side {
                Side::On => return Counting::Counts,
                Side::Off => return Counting::Void { rule: Rule::A6, by: by() },
                Side::Parked => return Counting::Parked { rule: Rule::A6, by: by() },
                Side::After => head = selection.reach.head(),
            }
        }
        if cut || self.unlinking(place).is_some() {
            return Counting::Counts;
        }
        match self.paths.fork_after(line, head) {
            Some(seq) if place.at.seq >= seq => {
                let by = self.first_of_fork(set, place.device, head, seq).unwrap_or(place.id);
                Counting::Suspended { rule: Rule::A7, by }
            }
            _ => Counting::Counts,
        }
    }

    /// Of the entries that make a fork at `seq` after `head` the one of smallest id.
    fn first_of_fork(
        &self,
        set: &LogSet,
        device: DeviceId,
        head: Option<Point>,
        seq: u64,
    ) -> Option<EntryId> {
        let line = Line::Device(device);
        let log = set.log(&device)?;
        let first = (seq, EntryId::NONE);
        let mut children = log.forked().range(first..).take_while(|(at, _)| *at == seq);
        children
            .find(|(seq, id)| {
                let at = self.paths.point(set, line, *seq, id);
                head.is_none_or(|head| self.paths.leads_to(line, head, at))
            })
            .map(|(_, id)| *id)
    }

    /// Cards and rotations: they need no grant and no cut touches them.
    fn under_none(&self, set: &LogSet, place: &Place) -> Counting {
        if place.grant != GrantId::NONE {
            return Counting::Void { rule: Rule::L3, by: place.id };
        }
        let Some(opening) = self.opening(place.device, place.at) else {
            return Counting::Void { rule: Rule::L3, by: place.id };
        };
        if place.kind == Kind::CARD && opening.card != place.id {
            return Counting::Void { rule: Rule::I2, by: opening.card };
        }
        let rank = self.tops.get(&opening.member).copied().unwrap_or(Rank::Reader);
        let unlinked = self.unless_unlinked(set, place);
        unlinked.and(self.by_branch(set, place, rank, false))
    }

    /// C5: the owner may always erase, even beyond a cut; not from a device that its own key
    /// ended.
    fn own_erase(&self, set: &LogSet, place: &Place) -> Counting {
        let Some(Control::Erase(erase)) = set.control().get(&place.id) else {
            return Counting::Void { rule: Rule::C5, by: place.id };
        };
        let Some(created) = self.place(set, &erase.created) else {
            return Counting::Parked { rule: Rule::C5, by: erase.created };
        };
        let owner = self.member(created.device, created.at);
        if owner.is_none() || owner != self.member(place.device, place.at) {
            return Counting::Void { rule: Rule::C5, by: erase.created };
        }
        self.unless_unlinked(set, place)
    }
}
