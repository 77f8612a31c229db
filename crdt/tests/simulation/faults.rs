//! What goes wrong, and what members and strangers do who mean no good.

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::Replica;
use cairn_crdt::replica::input::{Input, Protocol, SessionEvent};

use crate::acts::of;
use crate::network::Origin;
use crate::person::{Person, Withheld};
use crate::plan::Act;
use crate::world::World;

/// Copies of one disk that are kept.
const COPIES: usize = 4;

impl World {
    /// An act that no person asks a replica for.
    pub fn fault(&mut self, act: &Act) {
        self.count(&act.word());
        match *act {
            Act::Connect { a, b } => self.connect(self.anyone(a), self.anyone(b)),
            Act::Cut { a, b } => self.disconnect(self.anyone(a), self.anyone(b)),
            Act::Partition { sides } => self.partition(sides),
            Act::Heal => {
                self.network.sides = None;
                self.network.scattered = false;
                for a in 0..self.people.len() {
                    for b in 0..a {
                        if self.roll(10) < 7 {
                            self.connect(a, b);
                        }
                    }
                }
            }
            Act::Weather { delay, loss } => {
                self.network.delay = [5, 60, 500, 4_000][usize::try_from(delay % 4).unwrap()];
                self.network.loss = [0, 0, 5, 30][usize::try_from(loss % 4).unwrap()];
            }
            Act::Crash { who } => self.crash(self.anyone(who), true),
            Act::Restart { who } => {
                let all: Vec<usize> = (0..self.people.len()).collect();
                if let Some(who) = of(&all, who) {
                    self.restart(who);
                    for other in 0..self.people.len() {
                        if self.roll(10) < 5 {
                            self.connect(who, other);
                        }
                    }
                }
            }
            Act::DiskFails { who } => {
                let who = self.anyone(who);
                self.crash(who, false);
                self.restart(who);
                self.replay_links(who);
            }
            Act::Copy { who } => {
                let who = self.anyone(who);
                let person = &mut self.people[who];
                if person.copies.len() < COPIES {
                    person.copies.push(person.store.clone());
                }
            }
            Act::Rollback { who, to } => self.roll_back(self.anyone(who), to),
            Act::Skew { who, millis } => self.set_clock(self.anyone(who), i64::from(millis)),
            Act::Withhold { who, whose, from } => {
                let (who, whose) = (self.anyone(who), self.anyone(whose));
                if who == whose {
                    return;
                }
                let of = self.people[whose].device;
                self.people[who].withheld = Some(Withheld { of, from });
                self.people[who].honest = false;
            }
            Act::Equivocate { who } => self.equivocate(self.anyone(who)),
            Act::Hostile { at, as_whom, what } => self.hostile(self.anyone(at), as_whom, what),
            Act::Quiet => self.quiet(),
            _ => {}
        }
    }

    /// An older copy of a disk is put back.
    fn roll_back(&mut self, who: usize, to: u32) {
        let copies: Vec<usize> = (0..self.people[who].copies.len()).collect();
        let Some(index) = of(&copies, to) else { return };
        self.crash(who, true);
        let person = &mut self.people[who];
        person.store = person.copies[index].clone();
        person.copies.clear();
        person.honest = false;
        self.record.acknowledged.retain(|_, by| *by != who);
        self.record.ended.remove(&who);
        self.count("a disk put back");
        self.restart(who);
    }

    /// A second machine with the same keys, from the same disk: both write on.
    fn equivocate(&mut self, who: usize) {
        let twins = self.people.iter().filter(|person| person.face_of.is_some()).count();
        if twins > 0 || self.people[who].store.persona.is_empty() {
            return;
        }
        let snapshot = self.people[who].store.snapshot(self.group);
        let clock = self.people[who].clock(self.now);
        let Ok((replica, effects)) = Replica::restore(clock, snapshot) else { return };
        let mut twin = Person::new(replica);
        twin.store = self.people[who].store.clone();
        twin.face_of = Some(who);
        twin.honest = false;
        self.people[who].honest = false;
        self.count("a second face");
        let twin = self.add(twin, effects);
        // Some talk to the one from now on, the others to the other.
        for other in 0..twin {
            if self.roll(2) == 0 {
                self.disconnect(who, other);
                self.connect(twin, other);
            }
        }
    }

    /// Sends what no honest peer would: garbage, broken messages, old ones, in any order.
    fn hostile(&mut self, at: usize, as_whom: u32, what: u32) {
        if !self.people[at].is_up() {
            return;
        }
        let mut seed = [0; 32];
        rand_core::Rng::fill_bytes(&mut self.rng, &mut seed);
        let stranger_key = TransportKey::from_bytes(SigningKey::from_seed(&seed).verifying_key());
        let all: Vec<usize> = (0..self.people.len()).filter(|who| *who != at).collect();
        let stranger = as_whom.is_multiple_of(3);
        let stolen = of(&all, as_whom / 3).map(|who| self.people[who].key);
        let peer = if stranger { stranger_key } else { stolen.unwrap_or(stranger_key) };
        if peer == self.people[at].key {
            return;
        }
        let messages = self.nonsense(what / 4);
        if what % 4 == 3 {
            self.count("hostile gossip");
            for (delay, (_, bytes)) in (0_u64..).zip(messages) {
                self.deliver_gossip(at, Origin::Hostile, peer, delay, &bytes);
            }
            return;
        }
        let protocol = if what.is_multiple_of(4) { Protocol::Join } else { Protocol::Sync };
        self.give(at, 0, Input::Connected { peer }, Origin::Hostile);
        let session = self.open_hostile(at, peer, stranger, protocol);
        for (delay, (_, bytes)) in (1_u64..).zip(messages) {
            let event = SessionEvent::Message(bytes);
            self.give(at, delay, Input::Session { session, event }, Origin::Hostile);
        }
        if what % 8 != 1 {
            self.hang_up(at, session, peer);
        }
    }

    /// The hostile peer goes.
    fn hang_up(
        &mut self,
        at: usize,
        session: cairn_crdt::replica::input::SessionId,
        peer: TransportKey,
    ) {
        let closed = Input::Session { session, event: SessionEvent::Closed };
        self.give(at, 100, closed, Origin::Hostile);
        let mut others = 0..self.people.len();
        let linked = others.any(|o| self.people[o].key == peer && self.network.is_linked(at, o));
        if !linked {
            self.give(at, 100, Input::Disconnected { peer }, Origin::Hostile);
        }
    }

    /// Messages as a hostile peer makes them from what it has seen.
    fn nonsense(&mut self, what: u32) -> Vec<(Option<Protocol>, Vec<u8>)> {
        let captured: Vec<(Option<Protocol>, Vec<u8>)> =
            self.network.captured.iter().cloned().collect();
        let mut made = Vec::new();
        for _ in 0..1 + self.roll(6) {
            let index = usize::try_from(self.roll(captured.len() as u64)).unwrap();
            let Some((protocol, mut bytes)) = captured.get(index).cloned() else { break };
            match what % 4 {
                0 => {}
                1 => {
                    for _ in 0..1 + self.roll(3) {
                        let at = usize::try_from(self.roll(bytes.len() as u64)).unwrap();
                        let change = u8::try_from(1 + self.roll(255)).unwrap();
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte ^= change;
                        }
                    }
                }
                2 => bytes.truncate(usize::try_from(self.roll(bytes.len() as u64)).unwrap()),
                _ => {
                    bytes = vec![0; usize::try_from(self.roll(300)).unwrap()];
                    rand_core::Rng::fill_bytes(&mut self.rng, &mut bytes);
                }
            }
            made.push((protocol, bytes));
        }
        made
    }
}
