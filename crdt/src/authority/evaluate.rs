//! The evaluation, rank by rank from the root (A9).
//!
//! What a grant and the entries under it are worth depends only on entries under grants of a
//! strictly higher rank, on what the member key signed, and on the shape of the logs. So one pass
//! from the highest rank down finds everything, and no order of arrival can matter.

use std::collections::{BTreeMap, BTreeSet};

use crate::authority::council::Acts;
use crate::authority::counting::{Counting, Grounds, Opening, Place};
use crate::authority::cut::{Cutting, Selection, Statement, cut_of, without_superseded};
use crate::authority::erasure::DocumentActs;
use crate::authority::fork::{Line, Paths};
use crate::authority::granted::{Granted, conferred};
use crate::capability::grant::RootAction;
use crate::capability::rank::{Abilities, Rank};
use crate::capability::revocation::{CutHead, PinRight};
use crate::id::{DeviceId, EntryId, GrantId, MemberId};
use crate::log::entry::{Control, Kind};
use crate::log::set::LogSet;

/// Highest first.
const STRATA: [Rank; 5] =
    [Rank::Founder, Rank::Steward, Rank::Moderator, Rank::Member, Rank::Reader];

/// A pin and the branch that it selects.
#[derive(Clone, Copy)]
struct Pinned {
    statement: Statement,
    head: CutHead,
}

/// What has been found so far.
pub(super) struct Evaluation<'set> {
    set: &'set LogSet,
    pub(super) grounds: Grounds,
    pub(super) acts: Acts,
    pub(super) documents: DocumentActs<'set>,
    /// Entries by the grant that they are exercised under.
    under: BTreeMap<GrantId, Vec<Place>>,
    removes: BTreeMap<(MemberId, Rank), BTreeMap<EntryId, Statement>>,
    revokes: BTreeMap<(GrantId, Rank), Vec<Statement>>,
    leaves: BTreeMap<GrantId, Vec<Statement>>,
    pins: BTreeMap<DeviceId, BTreeMap<Rank, Vec<Pinned>>>,
    /// The cuts that decide about all grants of a member that no citation and no `revoke` sets
    /// apart, by the rank of the removals.
    shared: BTreeMap<(MemberId, Rank), usize>,
}

impl<'set> Evaluation<'set> {
    /// Evaluates a set.
    pub(super) fn of(set: &'set LogSet) -> Self {
        let mut grounds = Grounds { paths: Paths::of(set), ..Grounds::default() };
        let acts = grounds.convene(set);
        grounds.find_openings(set);
        grounds.tabulate(set);
        let mut evaluation = Self {
            set,
            grounds,
            acts,
            documents: DocumentActs::default(),
            under: BTreeMap::new(),
            removes: BTreeMap::new(),
            revokes: BTreeMap::new(),
            leaves: BTreeMap::new(),
            pins: BTreeMap::new(),
            shared: BTreeMap::new(),
        };
        evaluation.collect();
        evaluation.descend();
        evaluation
    }

    /// Sorts the entries by grant, and finds what holds whatever the log that carries it.
    fn collect(&mut self) {
        let mut unlinks: BTreeMap<(DeviceId, MemberId), Vec<(EntryId, CutHead)>> = BTreeMap::new();
        let mut own_pins: BTreeMap<(DeviceId, MemberId), Vec<Pinned>> = BTreeMap::new();
        let mut leaves: Vec<Place> = Vec::new();
        for (id, control) in self.set.control() {
            let Some(place) = self.grounds.place(self.set, id) else { continue };
            match control {
                Control::Unlink(unlink) => {
                    let head = CutHead { seq: unlink.seq, entry: unlink.entry };
                    unlinks.entry((unlink.device, unlink.member)).or_default().push((*id, head));
                }
                Control::Leave(_) => leaves.push(place),
                Control::Root(act) => {
                    if let (RootAction::Remove(remove), Some(at)) =
                        (&act.action, self.acts.valid.get(id))
                    {
                        let statement = Statement { entry: *id, line: Line::Council, at: *at };
                        let removes = self.removes.entry((remove.subject, Rank::Root));
                        removes.or_default().insert(*id, statement);
                    }
                }
                _ if place.grant == GrantId::NONE => {}
                _ => {
                    if let Control::Pin(pin) = control
                        && let PinRight::Member(member, _) = pin.by
                        && self.grounds.member(place.device, place.at) == Some(member)
                        && self.can_hold(pin.device, pin.head)
                    {
                        let pinned = Pinned { statement: statement(&place), head: pin.head };
                        own_pins.entry((pin.device, member)).or_default().push(pinned);
                    }
                    self.under.entry(place.grant).or_default().push(place);
                }
            }
        }
        for ((device, member), heads) in unlinks {
            if let Some(selection) = self.select(device, heads) {
                self.grounds.unlinked.insert((device, member), selection);
            }
        }
        // What the member key signed holds wherever it stands, but not in a log that the same
        // key has ended before that.
        for place in leaves {
            if self.grounds.unless_unlinked(self.set, &place).counts() {
                self.leave(&place);
            }
        }
        for ((device, member), mut pins) in own_pins {
            pins.retain(|pin| {
                let place = self.grounds.place(self.set, &pin.statement.entry);
                place.is_some_and(|place| self.grounds.unless_unlinked(self.set, &place).counts())
            });
            if let Some(selection) = self.deciding(device, pins) {
                self.grounds.own_pinned.insert((device, member), selection);
            }
        }
    }

    /// A8: ends the grants that a `leave` names, as far as they are its author's.
    fn leave(&mut self, place: &Place) {
        let Some(Control::Leave(leave)) = self.set.control().get(&place.id) else { return };
        let Some(member) = self.grounds.member(place.device, place.at) else { return };
        for grant in &leave.grants {
            let grant = self.grounds.resolve(*grant);
            if self.grounds.grants.get(&grant).is_some_and(|granted| granted.subject == member) {
                self.leaves.entry(grant).or_default().push(statement(place));
            }
        }
    }

    /// Whether a head is a place of the device's log, or may yet turn out to be.
    fn can_hold(&self, device: DeviceId, head: CutHead) -> bool {
        self.set.place_of(&head.entry).is_none_or(|place| place == (device, head.seq))
    }

    fn select(&self, device: DeviceId, heads: Vec<(EntryId, CutHead)>) -> Option<Selection> {
        Selection::new(self.set, &self.grounds.paths, device, heads)
    }

    /// Of pins of one rank those that no later one supersedes, combined (A5).
    fn deciding(&self, device: DeviceId, pins: Vec<Pinned>) -> Option<Selection> {
        let heads: BTreeMap<EntryId, CutHead> =
            pins.iter().map(|pin| (pin.statement.entry, pin.head)).collect();
        let statements = pins.into_iter().map(|pin| pin.statement).collect();
        let left = without_superseded(statements, &self.grounds.paths);
        let left = left
            .into_iter()
            .filter_map(|statement| {
                heads.get(&statement.entry).map(|head| (statement.entry, *head))
            })
            .collect();
        self.select(device, left)
    }

    /// The strata.
    fn descend(&mut self) {
        let mut by_rank: BTreeMap<Rank, Vec<GrantId>> = BTreeMap::new();
        for (id, granted) in &self.grounds.grants {
            if !granted.broken {
                by_rank.entry(granted.rank).or_default().push(*id);
            }
        }
        for rank in STRATA {
            self.pins_above(rank);
            let grants = by_rank.remove(&rank).unwrap_or_default();
            for id in &grants {
                let base = self.base(id);
                let ended = self.cutting(id);
                if let Some(granted) = self.grounds.grants.get_mut(id) {
                    granted.base = base;
                    granted.ended = ended;
                    if base.counts() {
                        let top = self.grounds.tops.entry(granted.subject).or_insert(rank);
                        *top = rank.max(*top);
                    }
                }
            }
            for id in &grants {
                let places = self.under.remove(id).unwrap_or_default();
                let Some(granted) = self.grounds.grants.get(id) else { continue };
                let abilities = granted.abilities;
                for place in places {
                    self.take_effect(&place, rank, abilities);
                }
            }
        }
    }

    /// What the entry that confers a grant counts for.
    fn base(&self, grant: &GrantId) -> Counting {
        match self.grounds.place(self.set, &grant.entry()) {
            Some(place) => self.grounds.decide(self.set, &place),
            None => Counting::Unknown,
        }
    }

    /// The pins that decide for entries under grants of `rank`: of those from above it the ones
    /// of highest rank (A5, A6).
    fn pins_above(&mut self, rank: Rank) {
        for (device, pins) in &self.pins {
            let highest = pins.iter().next_back().filter(|(by, _)| **by > rank);
            let selection = highest.and_then(|(_, pins)| self.deciding(*device, pins.clone()));
            if let Some(selection) = selection {
                self.grounds.pinned.insert((*device, rank), selection);
            }
        }
    }

    /// The cuts that decide about a grant, if something has ended it (A2, A3, A5).
    fn cutting(&mut self, id: &GrantId) -> Option<usize> {
        let granted = self.grounds.grants.get(id)?.clone();
        for by in [Rank::Root, Rank::Founder, Rank::Steward, Rank::Moderator, Rank::Member] {
            if by <= granted.rank {
                break;
            }
            let escaped = self.escaped(id, &granted, by);
            let of_member = (granted.subject, by);
            let removes = self.removes.get(&of_member);
            let revokes = self.revokes.get(&(*id, by));
            let alike = escaped.is_empty() && revokes.is_none();
            if alike && let Some(shared) = self.shared.get(&of_member) {
                return Some(*shared);
            }
            let mut statements: Vec<Statement> = revokes.into_iter().flatten().copied().collect();
            let removes = removes.into_iter().flat_map(BTreeMap::values);
            statements.extend(removes.filter(|remove| !escaped.contains(&remove.entry)));
            if let Some(ended) = self.end(Some(by), statements) {
                if alike {
                    self.shared.insert(of_member, ended);
                }
                return Some(ended);
            }
        }
        let leaves = self.leaves.get(id).cloned().unwrap_or_default();
        self.end(None, leaves)
    }

    fn end(&mut self, rank: Option<Rank>, statements: Vec<Statement>) -> Option<usize> {
        if statements.is_empty() {
            return None;
        }
        let cutting = Cutting::new(self.set, &self.grounds.paths, rank, statements);
        self.grounds.cuttings.push(cutting);
        self.grounds.cuttings.len().checked_sub(1)
    }

    /// A3: the removals of rank `by` that a grant escapes, because it cites them and its issuer
    /// ranks at least as high.
    fn escaped(&self, id: &GrantId, granted: &Granted, by: Rank) -> BTreeSet<EntryId> {
        let mut escaped = BTreeSet::new();
        let Some(removes) = self.removes.get(&(granted.subject, by)) else { return escaped };
        let grant = self.set.control().get(&id.entry()).and_then(conferred);
        let Some(grant) = grant.filter(|_| granted.issuer_rank >= by) else { return escaped };
        for cited in &grant.cites {
            // All entries that carry a cited root act are that act.
            let this = self.grounds.alias.get(cited).unwrap_or(cited);
            let carriers = removes
                .keys()
                .filter(|entry| self.grounds.alias.get(*entry).unwrap_or(*entry) == this);
            match by {
                Rank::Root => escaped.extend(carriers),
                _ if removes.contains_key(cited) => {
                    escaped.insert(*cited);
                }
                _ => {}
            }
        }
        escaped
    }

    /// What an entry under a grant of `rank` does to grants, logs and documents below.
    fn take_effect(&mut self, place: &Place, rank: Rank, abilities: Abilities) {
        let acts = matches!(
            place.kind,
            Kind::REVOKE
                | Kind::REMOVE
                | Kind::REPLACE
                | Kind::PIN
                | Kind::HIDE
                | Kind::RESTORE
                | Kind::ERASE
                | Kind::CONFIRM_ERASE
        );
        let Some(control) = self.set.control().get(&place.id).filter(|_| acts) else { return };
        let counting = self.grounds.decide(self.set, place);
        let removes = counting.denies() && abilities.contains(Abilities::REMOVE);
        match control {
            Control::Remove(remove) if removes => {
                let removals = self.removes.entry((remove.subject, rank)).or_default();
                removals.insert(place.id, statement(place));
            }
            Control::Revoke(revoke) if removes => self.revoke(revoke.grant, rank, place),
            Control::Replace(replace) if removes => self.revoke(replace.grant, rank, place),
            Control::Pin(pin)
                if counting.counts()
                    && pin.by == PinRight::Rank
                    && self.can_hold(pin.device, pin.head) =>
            {
                let pinned = Pinned { statement: statement(place), head: pin.head };
                let pins = self.pins.entry(pin.device).or_default();
                pins.entry(rank).or_default().push(pinned);
            }
            _ => {
                let author = self.grounds.member(place.device, place.at);
                self.documents.take(place.id, control, counting, author, rank, abilities);
            }
        }
    }

    /// A2: only what ranks strictly above a grant can end it.
    fn revoke(&mut self, grant: GrantId, rank: Rank, place: &Place) {
        let grant = self.grounds.resolve(grant);
        if self.grounds.grants.get(&grant).is_some_and(|granted| granted.rank < rank) {
            self.revokes.entry((grant, rank)).or_default().push(statement(place));
        }
    }
}

fn statement(place: &Place) -> Statement {
    Statement { entry: place.id, line: Line::Device(place.device), at: place.at }
}

impl Grounds {
    /// The cards that open the logs: at 0, or in the founder's first log right after the genesis.
    fn find_openings(&mut self, set: &LogSet) {
        for (device, log) in set.logs() {
            let mut found = Vec::new();
            let second = log.at(1).map(|(id, slot)| (1, id, slot));
            for (seq, id, slot) in log.at(0).map(|(id, slot)| (0, id, slot)).chain(second) {
                let opens = seq == 0 || slot.prev.as_bytes() == set.group().as_bytes();
                if let (true, Some(Control::Card(card))) = (opens, set.control().get(&id)) {
                    let at = self.paths.point(set, Line::Device(*device), seq, &id);
                    found.push(Opening { card: id, at, member: card.member });
                }
            }
            if !found.is_empty() {
                self.openings.insert(*device, found);
            }
        }
    }
}

/// The entries that statements name and the set does not hold: when one arrives, what was parked
/// may count.
pub(super) fn awaited(set: &LogSet) -> BTreeSet<EntryId> {
    let mut named = BTreeSet::new();
    let mut name = |entry: &EntryId| {
        if !set.contains(entry) {
            named.insert(*entry);
        }
    };
    for (id, control) in set.control() {
        if let Some(cut) = cut_of(set, id) {
            cut.0.iter().for_each(|(_, head)| name(&head.entry));
        }
        match control {
            Control::Pin(pin) => name(&pin.head.entry),
            Control::Unlink(unlink) => name(&unlink.entry),
            Control::Hide(hide) => name(&hide.created),
            Control::Erase(erase) => {
                name(&erase.created);
                erase.changes.iter().for_each(&mut name);
            }
            _ => {}
        }
    }
    named
}

/// Where a log is forked, for the answer.
pub(super) fn forks(set: &LogSet) -> BTreeMap<DeviceId, BTreeSet<(u64, EntryId)>> {
    let forked = set.logs().iter().filter(|(_, log)| log.fork_seq().is_some());
    forked.map(|(device, log)| (*device, log.forked().clone())).collect()
}
