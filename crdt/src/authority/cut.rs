//! Cuts and pins: how far a log counts, and which statements say so (A4-A6, A8).

use std::collections::BTreeMap;

use crate::authority::fork::{Line, Paths, Point};
use crate::capability::grant::RootAction;
use crate::capability::rank::Rank;
use crate::capability::revocation::{Cut, CutHead};
use crate::id::{DeviceId, EntryId};
use crate::log::entry::Control;
use crate::log::set::LogSet;

/// An entry that says how far something counts, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    pub(super) entry: EntryId,
    pub(super) line: Line,
    pub(super) at: Point,
}

/// Drops every statement that a later one on the same branch of the same line supersedes (A5),
/// and orders the rest by id.
pub(super) fn without_superseded(mut statements: Vec<Statement>, paths: &Paths) -> Vec<Statement> {
    statements.sort_by_key(|statement| (statement.line, core::cmp::Reverse(statement.at.seq)));
    let mut left: Vec<Statement> = Vec::new();
    for statement in statements {
        // Later ones of the same line come first; there are as many of them as branches.
        let mut later = left.iter().rev().take_while(|other| other.line == statement.line);
        if !later.any(|other| paths.leads_to(statement.line, statement.at, other.at)) {
            left.push(statement);
        }
    }
    left.sort_by_key(|statement| statement.entry);
    left
}

/// On which side of a cut or a pin an entry lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// On the path to the head.
    On,
    /// Beyond the head, on from it.
    After,
    /// On another branch, or above a head that is not held.
    Off,
    /// Below a head that is not held: not yet known.
    Parked,
}

/// How far a log counts by all of some statements together: the longest common prefix of their
/// paths (A5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reach {
    held: Held,
    /// Lowest sequence number of a head that is not held.
    waits: Option<u64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Held {
    /// No held head says anything.
    Everything,
    UpTo(Point),
    Nothing,
}

impl Reach {
    /// Nothing counts: a device that a cut does not list (A4).
    pub(super) const NOTHING: Self = Self { held: Held::Nothing, waits: None };

    /// Up to a head. A head that is held, but as another log's entry or at another place, can
    /// never be reached: nothing counts.
    pub(super) fn of(set: &LogSet, paths: &Paths, device: DeviceId, head: CutHead) -> Self {
        match set.place_of(&head.entry) {
            None => Self { held: Held::Everything, waits: Some(head.seq) },
            Some(place) if place == (device, head.seq) => {
                let point = paths.point(set, Line::Device(device), head.seq, &head.entry);
                Self { held: Held::UpTo(point), waits: None }
            }
            Some(_) => Self::NOTHING,
        }
    }

    /// What both allow.
    pub(super) fn and(self, other: Self, paths: &Paths, line: Line) -> Self {
        let held = match (self.held, other.held) {
            (Held::Nothing, _) | (_, Held::Nothing) => Held::Nothing,
            (Held::Everything, held) | (held, Held::Everything) => held,
            (Held::UpTo(a), Held::UpTo(b)) => {
                paths.meet(line, a, b).map_or(Held::Nothing, Held::UpTo)
            }
        };
        let waits = match (self.waits, other.waits) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { held, waits }
    }

    /// On which side an entry lies.
    pub(super) fn side(self, paths: &Paths, line: Line, at: Point) -> Side {
        if self.waits.is_some_and(|seq| at.seq >= seq) {
            return Side::Off;
        }
        let side = match self.held {
            Held::Everything => Side::On,
            Held::UpTo(head) if paths.leads_to(line, at, head) => Side::On,
            Held::UpTo(head) if paths.leads_to(line, head, at) => Side::After,
            Held::UpTo(_) => Side::Off,
            Held::Nothing => Side::After,
        };
        if side != Side::Off && self.waits.is_some() { Side::Parked } else { side }
    }

    /// As [`Self::side`], for a cut: beyond its head nothing counts, whatever is yet to come.
    pub(super) fn cut_side(self, paths: &Paths, line: Line, at: Point) -> Side {
        let held = Self { waits: None, ..self };
        match held.side(paths, line, at) {
            Side::After | Side::Off => Side::Off,
            Side::On | Side::Parked => self.side(paths, line, at),
        }
    }

    /// The head, if there is one and it is held.
    pub(super) const fn head(self) -> Option<Point> {
        match self.held {
            Held::UpTo(point) => Some(point),
            Held::Everything | Held::Nothing => None,
        }
    }

    /// The lowest sequence number at which this and `other` may differ about a log; `None` if
    /// they do not.
    pub(super) fn differs_from(self, other: Self) -> Option<u64> {
        (self != other).then(|| self.first_doubt().min(other.first_doubt()))
    }

    /// The lowest sequence number at which this may decline an entry of the trunk.
    pub(super) fn first_doubt(self) -> u64 {
        match (self.waits, self.held) {
            (None, Held::UpTo(point)) => point.seq.saturating_add(1),
            _ => 0,
        }
    }
}

/// The cuts that decide about a grant that was ended: all of one rank, none superseded.
#[derive(Clone, Debug)]
pub(super) struct Cutting {
    /// By rising id.
    pub(super) statements: Vec<EntryId>,
    /// `None`: the member's own `leave`, which any revocation outranks.
    pub(super) rank: Option<Rank>,
    reach: BTreeMap<DeviceId, Reach>,
}

impl Cutting {
    /// Combines statements (A5).
    pub(super) fn new(
        set: &LogSet,
        paths: &Paths,
        rank: Option<Rank>,
        statements: Vec<Statement>,
    ) -> Self {
        let statements: Vec<EntryId> = without_superseded(statements, paths)
            .into_iter()
            .map(|statement| statement.entry)
            .collect();
        let mut cuts = statements.iter().map(|entry| cut_of(set, entry));
        let mut reach: BTreeMap<DeviceId, Reach> = BTreeMap::new();
        if let Some(Some(first)) = cuts.next() {
            for (device, head) in first.0.iter() {
                reach.insert(*device, Reach::of(set, paths, *device, *head));
            }
        }
        for cut in cuts {
            reach.retain(|device, reach| {
                let Some(head) = cut.and_then(|cut| cut.0.get(device)) else { return false };
                let other = Reach::of(set, paths, *device, *head);
                *reach = reach.and(other, paths, Line::Device(*device));
                true
            });
        }
        Self { statements, rank, reach }
    }

    /// How far a device's log counts.
    pub(super) fn reach(&self, device: &DeviceId) -> Reach {
        self.reach.get(device).copied().unwrap_or(Reach::NOTHING)
    }

    /// The statement of smallest id that alone puts an entry on `side`.
    pub(super) fn by(
        &self,
        set: &LogSet,
        paths: &Paths,
        device: DeviceId,
        at: Point,
        side: Side,
    ) -> EntryId {
        let line = Line::Device(device);
        let says = |entry: &&EntryId| {
            let head = cut_of(set, entry).and_then(|cut| cut.0.get(&device));
            let reach = head.map_or(Reach::NOTHING, |head| Reach::of(set, paths, device, *head));
            reach.cut_side(paths, line, at) == side
        };
        let found = self.statements.iter().find(says).or(self.statements.first());
        found.copied().unwrap_or(EntryId::NONE)
    }
}

/// The pins that decide about a log for some rank, or the unlinkings of a device.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// By rising id.
    heads: Vec<(EntryId, CutHead)>,
    pub(super) reach: Reach,
}

impl Selection {
    /// Combines statements about one log, each with the head that it names. `None` if there are
    /// none.
    pub(super) fn new(
        set: &LogSet,
        paths: &Paths,
        device: DeviceId,
        mut heads: Vec<(EntryId, CutHead)>,
    ) -> Option<Self> {
        heads.sort_unstable();
        let reach = heads
            .iter()
            .map(|(_, head)| Reach::of(set, paths, device, *head))
            .reduce(|reach, other| reach.and(other, paths, Line::Device(device)))?;
        Some(Self { heads, reach })
    }

    /// The statement of smallest id that alone puts an entry on `side`.
    pub(super) fn by(
        &self,
        set: &LogSet,
        paths: &Paths,
        device: DeviceId,
        at: Point,
        side: Side,
    ) -> EntryId {
        let line = Line::Device(device);
        let says = |(_, head): &&(EntryId, CutHead)| {
            let reach = Reach::of(set, paths, device, *head);
            reach.side(paths, line, at) == side || reach.cut_side(paths, line, at) == side
        };
        let found = self.heads.iter().find(says).or(self.heads.first());
        found.map_or(EntryId::NONE, |(entry, _)| *entry)
    }
}

/// The cut that an entry states, if it states one.
pub(super) fn cut_of<'set>(set: &'set LogSet, entry: &EntryId) -> Option<&'set Cut> {
    match set.control().get(entry)? {
        Control::Revoke(revoke) => Some(&revoke.cut),
        Control::Remove(remove) => Some(&remove.cut),
        Control::Replace(replace) => Some(&replace.cut),
        Control::Leave(leave) => Some(&leave.cut),
        Control::Root(act) => match &act.action {
            RootAction::Remove(remove) => Some(&remove.cut),
            _ => None,
        },
        _ => None,
    }
}
