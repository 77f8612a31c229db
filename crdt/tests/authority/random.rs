//! Random groups: forks, removals with cuts, pins, acts of the council, heads that are not held,
//! devices that nobody knew of. `coverage` holds that all of it happens.

use std::collections::BTreeSet;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use cairn_crdt::authority::sign_root;
use cairn_crdt::capability::grant::{Council, Grant, RootAct, RootAction};
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::capability::revocation::{ConfirmErase, Erase, Hide, Remove, Restore};
use cairn_crdt::codec::List;
use cairn_crdt::id::{EntryId, GrantId, PublicKey};
use cairn_crdt::identity::device::Rotate;
use cairn_crdt::log::entry::Control;
use cairn_crdt::log::run::{Entry, Verified};
use cairn_crdt::log::set::LogSet;

use crate::parts::Parts;
use crate::people::{FAY, Group, gather, granting, key, member, owner};

const PEOPLE: [&str; 6] = [FAY, "ann", "bo", "cleo", "dan", "eve"];
const DEVICES: [&str; 9] = [FAY, "ann", "bo", "cleo", "dan", "eve", "ann/2", "bo/2", "cleo/2"];
const RANKS: [Rank; 4] = [Rank::Steward, Rank::Moderator, Rank::Member, Rank::Reader];
const COUNCIL: &str = "the one who keeps the council's key";

/// Dice.
pub(crate) struct Dice(ChaCha20Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// Below `bound`.
    pub(crate) fn roll(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.roll(from.len())) }
    }
}

thread_local! {
    /// The group before anything has been said in it. Its cards take longer to sign than all the
    /// rest.
    static OPENED: (Group, LogSet) = opened();
}

fn opened() -> (Group, LogSet) {
    let keys = List::new(vec![key("council", COUNCIL).verifying_key()]).unwrap();
    let mut group = Group::with_council(Council { keys, threshold: 1 });
    for device in DEVICES.iter().filter(|device| **device != FAY) {
        group.card(device);
    }
    let set = gather(group.id, &group.entries);
    (group, set)
}

/// A random group of about `size` entries besides the cards, in which the council acts now and
/// then.
pub(crate) fn group(seed: u64, size: usize) -> Group {
    story(seed, size, seed.is_multiple_of(3))
}

/// A random group without acts of the council.
pub(crate) fn group_without_council(seed: u64, size: usize) -> Group {
    story(seed, size, false)
}

/// Reads a random group.
pub(crate) fn read(group: &Group) -> Parts {
    Parts::of(group, OPENED.with(|(_, set)| set.clone()))
}

fn story(seed: u64, size: usize, convened: bool) -> Group {
    let group = OPENED.with(|(group, _)| group.clone());
    let mut dice = Dice::new(seed);
    let forks = dice.roll(25);
    let mut story = Story {
        grants: vec![(group.genesis, FAY, Rank::Founder)],
        removals: Vec::new(),
        written: Vec::new(),
        hides: Vec::new(),
        acts: vec![group.genesis.entry()],
        forked: BTreeSet::new(),
        pinned: BTreeSet::new(),
        forks,
        group,
        dice,
    };
    for _ in 0..size {
        story.turn(convened);
    }
    story.group
}

/// A group in the making, and what there is to refer to in it.
struct Story {
    group: Group,
    dice: Dice,
    /// Grant, whose, rank.
    grants: Vec<(GrantId, &'static str, Rank)>,
    removals: Vec<(EntryId, &'static str)>,
    /// Device, entry.
    written: Vec<(&'static str, EntryId)>,
    /// Hides and erasures.
    hides: Vec<EntryId>,
    acts: Vec<EntryId>,
    /// Devices that have written on from an earlier entry.
    forked: BTreeSet<&'static str>,
    /// Devices whose branches somebody has chosen among.
    pinned: BTreeSet<&'static str>,
    /// How often, in percent, a device forks its log.
    forks: usize,
}

impl Story {
    /// Somebody says something.
    fn turn(&mut self, convened: bool) {
        // Who may do more says more.
        let one = *self.dice.pick(&self.grants).unwrap();
        let other = *self.dice.pick(&self.grants).unwrap();
        let (under, mut whose, rank) = if other.2 > one.2 { other } else { one };
        if self.dice.chance(3) {
            whose = PEOPLE[self.dice.roll(PEOPLE.len())];
        }
        let own: Vec<&'static str> =
            DEVICES.iter().filter(|device| owner(device) == whose).copied().collect();
        let by = if self.dice.chance(60) { own[0] } else { *self.dice.pick(&own).unwrap() };
        self.rewind(by);
        let subject = match self.dice.pick(&self.written) {
            Some((device, _)) if self.dice.chance(50) => {
                PEOPLE.iter().find(|name| **name == owner(device)).unwrap()
            }
            _ => PEOPLE[self.dice.roll(PEOPLE.len())],
        };
        let span = if rank <= Rank::Member && self.dice.chance(70) { 60..110 } else { 0..110 };
        let entry = match span.start + self.dice.roll(span.len()) {
            0..40 => self.grant(by, under, subject, rank),
            40..53 => self.remove(by, under, subject),
            53..60 => {
                let &(grant, of, _) = self.dice.pick(&self.grants).unwrap();
                let cut = self.heads(of);
                self.group.revoke(by, under, grant, &cut)
            }
            60..67 if rank > Rank::Member => self.replace(by, under, rank),
            60..77 => self.pin(by, under, whose),
            77..80 => self.leave(by, whose),
            80..83 => self.unlink(by),
            83..90 => self.act_on_document(by, under),
            90..93 if convened => self.root(by),
            93 => self.rotate(by),
            94 => self.group.card_for(by, subject, by),
            95 if self.dice.chance(20) => self.group.say_unknown(by, under),
            96 if by != FAY && self.dice.chance(30) => {
                // The log opens a second time, perhaps for another member.
                let (_, tip) = self.group.tip(by);
                self.group.forget(by);
                let of = if self.dice.chance(50) { whose } else { subject };
                let card = self.group.card_for(by, of, by);
                if self.dice.chance(70) {
                    self.group.rewind(by, tip);
                }
                card
            }
            _ => self.group.post(by, under),
        };
        self.written.push((by, entry));
    }

    /// Perhaps the device goes on from an earlier entry. The founder's does so rarely, or all
    /// groups would be suspended.
    fn rewind(&mut self, by: &'static str) {
        let percent = if by == FAY { self.forks / 8 } else { self.forks };
        let logged: Vec<EntryId> =
            self.written.iter().filter(|(device, _)| *device == by).map(|(_, id)| *id).collect();
        if self.dice.chance(percent)
            && let Some(back) = self.dice.pick(&logged)
        {
            self.group.rewind(by, *back);
            self.forked.insert(by);
        }
    }

    /// A cut of most of a member's devices, now and then with a head of another log.
    fn heads(&mut self, subject: &str) -> Vec<(&'static str, EntryId)> {
        let mut heads: Vec<(&'static str, EntryId)> = Vec::new();
        for device in DEVICES.iter().filter(|device| owner(device) == subject) {
            let logged: Vec<&(&str, EntryId)> =
                self.written.iter().filter(|(of, _)| of == device).collect();
            if self.dice.chance(20) {
                continue;
            }
            // Mostly the newest or nearly so: that is what one removes somebody with.
            let span = if self.dice.chance(70) { 2 } else { 8 };
            let back = self.dice.roll(span);
            if let Some((_, id)) = logged.len().checked_sub(back + 1).and_then(|at| logged.get(at))
            {
                heads.push((device, *id));
            }
        }
        if self.dice.chance(4)
            && let Some((_, id)) = self.dice.pick(&self.written)
            && let Some(device) = DEVICES.iter().find(|device| **device == subject)
        {
            heads.push((device, *id));
        }
        heads
    }

    /// Mostly one below `rank`.
    fn rank_below(&mut self, rank: Rank) -> Rank {
        let below: Vec<Rank> = RANKS.iter().filter(|below| **below < rank).copied().collect();
        match self.dice.pick(&below) {
            Some(below) if self.dice.chance(95) => *below,
            _ => RANKS[self.dice.roll(4)],
        }
    }

    fn granting(&mut self, subject: &'static str, rank: Rank) -> Grant {
        let percent = if self.dice.chance(40) { 100 } else { 30 };
        let mut cites = Vec::new();
        for (removal, of) in &self.removals {
            let percent = if *of == subject { percent } else { 5 };
            if self.dice.chance(percent) && cites.len() < 8 {
                cites.push(*removal);
            }
        }
        let mut grant = granting(subject, rank, &cites);
        grant.abilities = match self.dice.roll(100) {
            0..3 => Abilities::usual(rank),
            // A high rank that may appoint and not remove.
            3..8 => Abilities::usual(Rank::Member).and(Abilities::ADMIT).and(Abilities::APPOINT),
            _ => Abilities::ALL,
        };
        grant
    }

    fn grant(&mut self, by: &str, under: GrantId, subject: &'static str, above: Rank) -> EntryId {
        let rank = self.rank_below(above);
        let grant = self.granting(subject, rank);
        let entry = self.group.say(by, under, &Control::Grant(grant));
        self.granted(entry, subject, rank, above);
        entry
    }

    fn remove(&mut self, by: &str, under: GrantId, subject: &'static str) -> EntryId {
        let cut = self.heads(subject);
        let entry = self.group.remove(by, under, subject, &cut);
        self.removals.push((entry, subject));
        entry
    }

    fn replace(&mut self, by: &str, under: GrantId, above: Rank) -> EntryId {
        let &(grant, subject, _) = self.dice.pick(&self.grants).unwrap();
        let rank = self.rank_below(above);
        let cut = self.heads(subject);
        let with = self.granting(subject, rank);
        let entry = self.group.replace(by, under, grant, &cut, with);
        self.granted(entry, subject, rank, above);
        entry
    }

    /// Of grants that break A1 few are ever used.
    fn granted(&mut self, entry: EntryId, subject: &'static str, rank: Rank, above: Rank) {
        if rank < above || self.dice.chance(20) {
            self.grants.push((GrantId::of(entry), subject, rank));
        }
    }

    fn pin(&mut self, by: &str, under: GrantId, whose: &str) -> EntryId {
        let mut of = self.written.clone();
        if self.dice.chance(80) {
            of.retain(|(of, _)| self.forked.contains(of));
        }
        // Where somebody has spoken already, others speak too.
        if self.dice.chance(40) && of.iter().any(|(of, _)| self.pinned.contains(of)) {
            of.retain(|(of, _)| self.pinned.contains(of));
        }
        let own: Vec<(&'static str, EntryId)> =
            of.iter().filter(|(of, _)| owner(of) == whose).copied().collect();
        if self.dice.chance(35)
            && let Some((of, head)) = self.dice.pick(&own)
        {
            return self.group.own_pin(by, under, of, *head);
        }
        match self.dice.pick(&of) {
            // What a member key has signed, brought up by whoever saw it.
            Some((of, head)) if self.dice.chance(8) => self.group.own_pin(by, under, of, *head),
            Some((of, head)) => {
                self.pinned.insert(of);
                self.group.pin(by, under, of, *head)
            }
            None => self.group.post(by, under),
        }
    }

    fn leave(&mut self, by: &str, whose: &str) -> EntryId {
        let own: Vec<GrantId> = self
            .grants
            .iter()
            .filter(|(_, of, _)| *of == whose || self.dice.chance(10))
            .map(|(grant, ..)| *grant)
            .collect();
        let some: Vec<GrantId> = own.into_iter().filter(|_| self.dice.chance(50)).take(8).collect();
        let cut = self.heads(whose);
        self.group.leave(by, &some, &cut)
    }

    fn unlink(&mut self, by: &str) -> EntryId {
        // Of the founder rarely: it has one device only.
        let of: Vec<(&'static str, EntryId)> = self
            .written
            .iter()
            .filter(|(of, _)| *of != FAY || self.dice.chance(5))
            .copied()
            .collect();
        match self.dice.pick(&of) {
            Some((of, head)) => self.group.unlink(by, of, *head),
            None => self.group.post(by, GrantId::NONE),
        }
    }

    fn act_on_document(&mut self, by: &str, under: GrantId) -> EntryId {
        let Some((_, created)) = self.dice.pick(&self.written).copied() else {
            return self.group.post(by, under);
        };
        let changes = List::default();
        let control = match self.dice.roll(5) {
            0 | 1 => Control::Hide(Hide { created }),
            2 => Control::Erase(Erase { created, changes }),
            3 => match self.dice.pick(&self.hides) {
                Some(hide) if self.dice.chance(70) => {
                    Control::Restore(Restore { hides: List::new(vec![*hide]).unwrap() })
                }
                Some(hide) => Control::ConfirmErase(ConfirmErase { erase: *hide }),
                None => Control::Hide(Hide { created }),
            },
            _ => {
                let erase = Control::Erase(Erase { created, changes });
                return self.group.say(by, GrantId::NONE, &erase);
            }
        };
        let entry = self.group.say(by, under, &control);
        self.hides.push(entry);
        entry
    }

    /// An act of the council: mostly after the last one, rarely badly signed, now and then a copy
    /// of an earlier one.
    fn root(&mut self, by: &str) -> EntryId {
        let previous = if self.dice.chance(12) {
            *self.dice.pick(&self.acts).unwrap()
        } else {
            *self.acts.last().unwrap()
        };
        let copied = self.dice.chance(10).then(|| self.group.last_root()).flatten();
        if let Some(copied) = copied {
            return self.group.say(by, GrantId::NONE, &copied);
        }
        let subject = PEOPLE[self.dice.roll(PEOPLE.len())];
        let mut conferred = None;
        let action = match self.dice.roll(10) {
            0..5 => {
                let rank = if self.dice.chance(50) { Rank::Founder } else { Rank::Steward };
                conferred = Some((subject, rank));
                RootAction::Grant(self.granting(subject, rank))
            }
            5..9 => {
                let heads = self.heads(subject);
                let cut = self.group.cut(&heads);
                RootAction::Remove(Remove { subject: member(subject), cut, epoch: None })
            }
            _ => RootAction::Raise { version: 1 },
        };
        let signer = if self.dice.chance(5) { "a forger" } else { COUNCIL };
        let signature = sign_root(&key("council", signer), self.group.id, previous, &action);
        let signatures = List::new(vec![(0, signature)]).unwrap();
        let removes = matches!(action, RootAction::Remove(_));
        let act = Control::Root(RootAct { previous, action, signatures });
        let entry = self.group.say(by, GrantId::NONE, &act);
        if signer == COUNCIL {
            self.acts.push(entry);
        }
        if let Some((subject, rank)) = conferred {
            self.grants.push((GrantId::of(entry), subject, rank));
        }
        if removes {
            self.removals.push((entry, subject));
        }
        entry
    }

    fn rotate(&mut self, by: &str) -> EntryId {
        let fresh = u8::try_from(self.dice.roll(200)).unwrap();
        let prekey = Rotate::Prekey(PublicKey::from_bytes([fresh; 32]));
        self.group.say(by, GrantId::NONE, &Control::Rotate(prekey))
    }
}

/// Some of a group's entries: every log broken off somewhere.
pub(crate) fn partial(group: &Group, seed: u64) -> Vec<Verified<Entry>> {
    let mut dice = Dice::new(seed);
    let mut dropped: Vec<EntryId> = Vec::new();
    group
        .entries
        .iter()
        .filter(|entry| {
            let entry = entry.get();
            let gone = dropped.contains(&entry.header.prev) || dice.chance(6);
            if gone {
                dropped.push(entry.id);
            }
            !gone
        })
        .cloned()
        .collect()
}
