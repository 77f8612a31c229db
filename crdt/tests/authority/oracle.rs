//! A second evaluation that shares nothing with the first: it follows the text of the rules by
//! recursion, walks whole paths, and asks for every pair of entries. Slow, and easy to check
//! against the rules.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::capability::grant::Grant;
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::capability::revocation::{Cut, CutHead, PinRight};
use cairn_crdt::id::{DeviceId, EntryId, GrantId, MemberId};
use cairn_crdt::log::entry::{Control, Kind};
use cairn_crdt::log::set::{LogSet, Slot};

#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) enum State {
    Void,
    Parked,
    Suspended,
    Live,
}

pub(crate) struct Oracle<'set> {
    set: &'set LogSet,
    slots: BTreeMap<EntryId, (DeviceId, u64, Slot)>,
    states: RefCell<BTreeMap<EntryId, State>>,
}

type Path = Vec<EntryId>;

impl<'set> Oracle<'set> {
    pub(crate) fn new(set: &'set LogSet) -> Self {
        let mut slots = BTreeMap::new();
        for (device, log) in set.logs() {
            for (seq, id, slot) in log.iter() {
                slots.insert(id, (*device, seq, *slot));
            }
        }
        Self { set, slots, states: RefCell::default() }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &EntryId> {
        self.slots.keys()
    }

    fn control(&self, id: &EntryId) -> Option<&'set Control> {
        self.set.control().get(id)
    }

    /// From the first entry of the log to this one.
    fn path(&self, id: &EntryId) -> Path {
        let mut path = vec![*id];
        while let Some((_, _, slot)) = self.slots.get(path.last().unwrap()) {
            if slot.prev == EntryId::NONE {
                break;
            }
            path.push(slot.prev);
        }
        path.reverse();
        path
    }

    fn member(&self, id: &EntryId) -> Option<MemberId> {
        let path = self.path(id);
        let mut opening = path.iter();
        let first = opening.next()?;
        let card = match self.control(first)? {
            Control::Genesis(_) => self.control(opening.next()?)?,
            other => other,
        };
        match card {
            Control::Card(card) => Some(card.member),
            _ => None,
        }
    }

    fn grant(&self, id: GrantId) -> Option<Grant> {
        match self.control(&id.entry())? {
            Control::Grant(grant) => Some(grant.clone()),
            Control::Replace(replace) => Some(replace.with.clone()),
            _ => None,
        }
    }

    fn rank(&self, id: GrantId) -> Option<Rank> {
        if id.entry().as_bytes() == self.set.group().as_bytes() {
            return Some(Rank::Founder);
        }
        self.grant(id).map(|grant| grant.rank)
    }

    fn abilities(&self, id: GrantId) -> Abilities {
        self.grant(id).map_or(Abilities::ALL, |grant| grant.abilities)
    }

    fn subject(&self, id: GrantId) -> Option<MemberId> {
        match self.control(&id.entry())? {
            Control::Genesis(genesis) => Some(genesis.founder),
            _ => self.grant(id).map(|grant| grant.subject),
        }
    }

    fn under(&self, id: &EntryId) -> GrantId {
        self.slots[id].2.grant
    }

    /// L3 and A1 for an entry: its grant is its member's, and falls strictly along its chain.
    fn well_formed(&self, id: &EntryId) -> bool {
        let under = self.under(id);
        if self.subject(under).is_none() || self.subject(under) != self.member(id) {
            return false;
        }
        self.keeps_a1(under)
            && (self.grant(GrantId::of(*id)).is_none() || self.keeps_a1(GrantId::of(*id)))
    }

    fn keeps_a1(&self, id: GrantId) -> bool {
        if id.entry().as_bytes() == self.set.group().as_bytes() {
            return true;
        }
        let (Some(grant), true) = (self.grant(id), self.slots.contains_key(&id.entry())) else {
            return false;
        };
        let under = self.under(&id.entry());
        let needed = if grant.rank <= Rank::Member { Abilities::ADMIT } else { Abilities::APPOINT };
        self.rank(under).is_some_and(|rank| rank > grant.rank)
            && self.abilities(under).contains(grant.abilities)
            && self.abilities(under).contains(needed)
            && self.subject(under) == self.member(&id.entry())
            && self.keeps_a1(under)
    }

    /// Every entry whose author's rank is above `rank` and whose denials count.
    fn denials_above(&self, rank: Rank) -> Vec<EntryId> {
        let above = self.set.control().keys().filter(|id| {
            self.rank(self.under(id)).is_some_and(|by| by > rank) && self.well_formed(id)
        });
        above.filter(|id| self.state(id) >= State::Suspended).copied().collect()
    }

    /// The revocations that touch a grant and that it does not escape, with their ranks.
    fn touching(&self, id: GrantId) -> Vec<(Option<Rank>, EntryId)> {
        let rank = self.rank(id).unwrap();
        let subject = self.subject(id);
        let cites: Vec<EntryId> =
            self.grant(id).map(|grant| grant.cites.into_vec()).unwrap_or_default();
        let issuer = self.slots.get(&id.entry()).and_then(|(.., slot)| self.rank(slot.grant));
        let mut touching = Vec::new();
        for denial in self.denials_above(rank) {
            if !self.abilities(self.under(&denial)).contains(Abilities::REMOVE) {
                continue;
            }
            let by = self.rank(self.under(&denial));
            let touches = match self.control(&denial) {
                Some(Control::Revoke(revoke)) => revoke.grant == id,
                Some(Control::Replace(replace)) => replace.grant == id,
                Some(Control::Remove(remove)) => {
                    Some(remove.subject) == subject && !(cites.contains(&denial) && issuer >= by)
                }
                _ => false,
            };
            if touches {
                touching.push((by, denial));
            }
        }
        for (leave, control) in self.set.control() {
            if let Control::Leave(named) = control
                && named.grants.as_slice().contains(&id)
                && self.member(leave) == subject
                && self.unlinked(leave) == State::Live
            {
                touching.push((None, *leave));
            }
        }
        touching
    }

    fn cut(&self, id: &EntryId) -> Cut {
        match self.control(id) {
            Some(Control::Revoke(revoke)) => revoke.cut.clone(),
            Some(Control::Replace(replace)) => replace.cut.clone(),
            Some(Control::Remove(remove)) => remove.cut.clone(),
            Some(Control::Leave(leave)) => leave.cut.clone(),
            _ => Cut::default(),
        }
    }

    /// Highest rank, then without those that another follows on its own path (A5).
    fn deciding(&self, statements: Vec<(Option<Rank>, EntryId)>) -> Vec<EntryId> {
        let highest = statements.iter().map(|(rank, _)| *rank).max();
        let left: Vec<EntryId> = statements
            .into_iter()
            .filter(|(rank, _)| Some(*rank) == highest)
            .map(|(_, id)| id)
            .collect();
        let superseded =
            |id: &EntryId| left.iter().any(|other| other != id && self.path(other).contains(id));
        left.iter().filter(|id| !superseded(id)).copied().collect()
    }

    /// One head: on its path, or what its not being held leaves open.
    fn reached(&self, id: &EntryId, head: Option<&CutHead>) -> State {
        let (device, seq, _) = self.slots[id];
        let Some(head) = head else { return State::Void };
        match self.slots.get(&head.entry) {
            Some((of, at, _)) if (*of, *at) == (device, head.seq) => {
                if self.path(&head.entry).contains(id) { State::Live } else { State::Void }
            }
            Some(_) => State::Void,
            None if seq < head.seq => State::Parked,
            None => State::Void,
        }
    }

    fn by_cut(&self, id: &EntryId, deciding: &[EntryId]) -> State {
        let device = self.slots[id].0;
        let each = deciding.iter().map(|by| self.reached(id, self.cut(by).0.get(&device)));
        each.min().unwrap_or(State::Live)
    }

    /// A8: the member's own unlinkings of the device.
    fn unlinked(&self, id: &EntryId) -> State {
        let (device, member) = (self.slots[id].0, self.member(id));
        let unlinks = self.set.control().values().filter_map(|control| match control {
            Control::Unlink(unlink) if unlink.device == device && Some(unlink.member) == member => {
                Some(CutHead { seq: unlink.seq, entry: unlink.entry })
            }
            _ => None,
        });
        unlinks.map(|head| self.reached(id, Some(&head))).min().unwrap_or(State::Live)
    }

    fn is_unlinked(&self, id: &EntryId) -> bool {
        let (device, member) = (self.slots[id].0, self.member(id));
        self.set.control().values().any(|control| {
            matches!(control, Control::Unlink(unlink)
                if unlink.device == device && Some(unlink.member) == member)
        })
    }

    /// The pins that decide about a log for entries under grants of `rank`.
    fn pins(&self, device: DeviceId, member: Option<MemberId>, rank: Rank) -> Vec<CutHead> {
        let can_hold = |head: &CutHead| {
            self.slots.get(&head.entry).is_none_or(|(of, at, _)| (*of, *at) == (device, head.seq))
        };
        let mut statements = Vec::new();
        let mut heads = BTreeMap::new();
        for (id, control) in self.set.control() {
            let Control::Pin(pin) = control else { continue };
            if pin.device != device || !can_hold(&pin.head) {
                continue;
            }
            let by = match pin.by {
                PinRight::Rank => {
                    let by = self.rank(self.under(id)).filter(|by| *by > rank);
                    if by.is_none() || !self.well_formed(id) || self.state(id) != State::Live {
                        continue;
                    }
                    by
                }
                PinRight::Member(owner, _) => {
                    let own = self.member(id) == Some(owner) && member == Some(owner);
                    if !own || self.unlinked(id) != State::Live {
                        continue;
                    }
                    None
                }
            };
            statements.push((by, *id));
            heads.insert(*id, pin.head);
        }
        self.deciding(statements).iter().map(|id| heads[id]).collect()
    }

    fn siblings(&self, id: &EntryId) -> usize {
        let (device, seq, slot) = self.slots[id];
        let log = self.set.log(&device).unwrap();
        log.iter().filter(|(at, _, other)| *at == seq && other.prev == slot.prev).count()
    }

    /// A6, A7.
    fn by_branch(&self, id: &EntryId, rank: Rank, cut: bool) -> State {
        let pins = self.pins(self.slots[id].0, self.member(id), rank);
        let path = self.path(id);
        let (held, open): (Vec<&CutHead>, Vec<&CutHead>) =
            pins.iter().partition(|head| self.slots.contains_key(&head.entry));
        if open.iter().any(|head| self.slots[id].1 >= head.seq) {
            return State::Void;
        }
        // The longest common prefix of the paths to all heads.
        let paths: Vec<Path> = held.iter().map(|head| self.path(&head.entry)).collect();
        let prefix: Option<Path> = paths.iter().cloned().reduce(|a, b| {
            a.into_iter().zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
        });
        let after = match &prefix {
            Some(prefix) if prefix.contains(id) => &[],
            Some(prefix) if path.starts_with(prefix) => &path[prefix.len()..],
            Some(_) => return State::Void,
            None => &path[..],
        };
        if !open.is_empty() {
            return State::Parked;
        }
        if cut || self.is_unlinked(id) || !after.iter().any(|id| self.siblings(id) > 1) {
            State::Live
        } else {
            State::Suspended
        }
    }

    pub(crate) fn state(&self, id: &EntryId) -> State {
        if let Some(state) = self.states.borrow().get(id) {
            return *state;
        }
        let state = self.fresh_state(id);
        self.states.borrow_mut().insert(*id, state);
        state
    }

    fn fresh_state(&self, id: &EntryId) -> State {
        match self.slots[id].2.kind {
            Kind::GENESIS | Kind::UNLINK => return State::Live,
            Kind::LEAVE => return self.unlinked(id),
            Kind::CARD => panic!("the oracle says nothing of cards"),
            _ => {}
        }
        if !self.well_formed(id) {
            return State::Void;
        }
        let under = self.under(id);
        let deciding = self.deciding(self.touching(under));
        let own = self.by_cut(id, &deciding).min(self.unlinked(id)).min(self.by_branch(
            id,
            self.rank(under).unwrap(),
            !deciding.is_empty(),
        ));
        own.min(self.state(&under.entry()))
    }

    /// Whether a removal is void because of its own author's cut, and its grant has not fallen.
    pub(crate) fn orphaned(&self, id: &EntryId) -> bool {
        let denies = matches!(self.slots[id].2.kind, Kind::REMOVE | Kind::REVOKE | Kind::REPLACE);
        if !denies || !self.well_formed(id) {
            return false;
        }
        let under = self.under(id);
        let deciding = self.deciding(self.touching(under));
        let cut = self.by_cut(id, &deciding).min(self.unlinked(id));
        self.state(&under.entry()) != State::Void && cut == State::Void
    }

    /// All live grants by whose they are.
    pub(crate) fn members(&self) -> BTreeMap<MemberId, BTreeSet<GrantId>> {
        let mut members: BTreeMap<MemberId, BTreeSet<GrantId>> = BTreeMap::new();
        for id in self.set.control().keys() {
            let grant = GrantId::of(*id);
            let live = self.subject(grant).is_some()
                && self.keeps_a1(grant)
                && self.state(id) == State::Live
                && self.touching(grant).is_empty();
            if live {
                members.entry(self.subject(grant).unwrap()).or_default().insert(grant);
            }
        }
        members
    }
}
