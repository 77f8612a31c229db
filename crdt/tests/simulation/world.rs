//! People with replicas, a virtual clock, and everything that is still to happen, in order.
//!
//! One seed decides everything: the plan, every key, every delay and every loss. What happens at
//! the same time happens in the order in which it was decided.

use std::collections::{BTreeMap, VecDeque};

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::invite::Code;
use cairn_crdt::id::{EntryId, GroupId};
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::log::entry::Sealing;
use cairn_crdt::replica::effect::{Effect, Event, Write};
use cairn_crdt::replica::input::{CommandId, Input, SessionEvent, SessionId, Timer};
use cairn_crdt::replica::{Founding, Replica};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::keeper::{Keepers, Visiting};
use crate::network::{Network, Origin};
use crate::person::{Person, key_of};
use crate::record::{Asked, Record};

/// When every run begins: milliseconds since 1970.
pub const START: u64 = 1_790_000_000_000;
/// Effects of one input, and effects that wait for one disk: more than these is no bounded growth.
const EFFECTS: usize = 20_000;

/// The first thing that went wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Which invariant, by its number in section 10, or the rule.
    pub invariant: &'static str,
    pub what: String,
}

/// Something that is still to happen.
pub enum Coming {
    /// To a machine, if it was not started anew since.
    Input { who: usize, life: u32, input: Input, origin: Origin },
    /// A disk has written its transaction.
    Committed { who: usize, life: u32 },
    /// A machine is woken, if it has not asked for another time since.
    Wake { who: usize, number: u64 },
    /// A stream takes the next message.
    Pump { session: SessionId },
    /// Between a machine and a keeper, if their line is still the one with this number.
    Visit { who: usize, keeper: usize, number: u64, what: Visiting },
}

pub struct World {
    pub seed: u64,
    pub now: u64,
    pub rng: ChaCha20Rng,
    pub people: Vec<Person>,
    pub network: Network,
    pub keepers: Keepers,
    pub record: Record,
    pub codes: Vec<(Code, usize)>,
    pub asked: BTreeMap<CommandId, Asked>,
    pub counts: BTreeMap<String, u64>,
    pub failure: Option<Failure>,
    /// Everything that was handled so far.
    pub events: u64,
    /// Whether everything is printed.
    pub tracing: bool,
    pub history: History,
    pub group: GroupId,
    coming: BTreeMap<(u64, u64), Coming>,
    next: u64,
}

impl World {
    /// A group with its founder, person 0.
    pub fn found(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(1);
        let recovery = Seed::from_bytes([0; 32]);
        let history = if seed % 4 == 3 { History::All } else { History::SinceJoining };
        let founding = Founding {
            seed: &recovery,
            name: crate::record::text("the group's name"),
            pseudonym: "canary Fay".to_owned(),
            history,
        };
        let now = cairn_crdt::time::Timestamp::from_millis(START);
        let (replica, effects) = Replica::found(now, &mut rng, founding).unwrap();
        let mut world = Self {
            seed,
            now: START,
            rng,
            people: Vec::new(),
            network: Network::default(),
            keepers: Keepers::default(),
            record: Record::default(),
            codes: Vec::new(),
            asked: BTreeMap::new(),
            counts: BTreeMap::new(),
            failure: None,
            events: 0,
            tracing: false,
            history,
            group: replica.group(),
            coming: BTreeMap::new(),
            next: 0,
        };
        // A group whose founder loses its first write was never founded.
        world.add(Person::new(replica), effects);
        world.pass(5_000);
        world
    }

    pub fn add(&mut self, person: Person, effects: Vec<Effect>) -> usize {
        self.people.push(person);
        let who = self.people.len() - 1;
        self.after(who, effects, Origin::Own);
        who
    }

    /// From here on, luck is that of one step.
    pub fn turn(&mut self, step: u32) {
        self.rng = ChaCha20Rng::seed_from_u64(self.seed);
        self.rng.set_stream(u64::from(step) + 1);
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.rng.next_u64() % below.max(1)
    }

    pub fn fail(&mut self, invariant: &'static str, what: impl Into<String>) {
        if self.failure.is_none() {
            self.failure = Some(Failure { invariant, what: what.into() });
        }
    }

    pub fn count(&mut self, what: &str) {
        match self.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(what.to_owned(), 1);
            }
        }
    }

    pub fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn at(&mut self, time: u64, coming: Coming) {
        let number = self.fresh();
        self.coming.insert((time, number), coming);
    }

    /// Gives something to a machine after a delay, unless it is started anew before.
    pub fn give(&mut self, who: usize, delay: u64, input: Input, origin: Origin) {
        let life = self.people[who].life;
        self.at(self.now + delay, Coming::Input { who, life, input, origin });
    }

    /// Lets time pass.
    pub fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.failure.is_none() {
            let Some(entry) = self.coming.first_entry() else { break };
            let (time, _) = *entry.key();
            if time > end {
                break;
            }
            let coming = entry.remove();
            self.now = self.now.max(time);
            self.events += 1;
            self.happen(coming);
        }
        self.now = end;
    }

    fn happen(&mut self, coming: Coming) {
        match coming {
            Coming::Input { who, life, input, origin } => {
                let gone = |world: &Self| match &input {
                    Input::Session { session, event: SessionEvent::Message(_) } => {
                        !world.network.has(*session)
                    }
                    _ => false,
                };
                if self.people[who].life == life && !gone(self) {
                    self.handle(who, input, origin);
                }
            }
            Coming::Committed { who, life } => {
                if self.people[who].life == life {
                    self.people[who].commit();
                    self.work(who);
                }
            }
            Coming::Wake { who, number } => {
                if self.people[who].wake.is_some_and(|(current, _)| current == number) {
                    self.people[who].wake = None;
                    self.handle(who, Input::Timer(Timer::Tick), Origin::Own);
                }
            }
            Coming::Pump { session } => self.pump(session),
            Coming::Visit { who, keeper, number, what } => {
                self.visit(who, keeper, number, what);
            }
        }
    }

    pub fn handle(&mut self, who: usize, input: Input, origin: Origin) {
        self.trace_input(who, &input);
        let clock = self.people[who].clock(self.now);
        let Some(replica) = &mut self.people[who].replica else { return };
        let effects = replica.handle(clock, &mut self.rng, input);
        self.after(who, effects, origin);
    }

    /// Takes over what a replica asks for.
    pub fn after(&mut self, who: usize, effects: Vec<Effect>, origin: Origin) {
        if effects.len() > EFFECTS || self.people[who].outbox.len() > EFFECTS {
            self.fail("7", format!("person {who} has {} effects of one input", effects.len()));
            return;
        }
        self.trace_effects(who, &effects);
        let mut written = Vec::new();
        for effect in &effects {
            match effect {
                Effect::Persist(writes) => written.extend(self.note_writes(who, writes)),
                Effect::Reply { id, .. } => {
                    if let Some(asked) = self.asked.get_mut(id) {
                        asked.written.extend(&written);
                    }
                }
                Effect::Notify(Event::Authority) => self.note_members(who),
                Effect::Notify(Event::Misbehaved { rule }) => {
                    self.count("misbehaved");
                    if let Origin::Person(from) = origin {
                        let what = format!("person {who} accuses person {from}: {rule}");
                        self.fail("honest peers are not accused", what);
                    }
                    // What lies at a keeper that means well was put by members that do.
                    if let Origin::Keeper(keeper) = origin
                        && self.keepers.all[keeper].honest
                    {
                        let what = format!("person {who} accuses those at keeper {keeper}: {rule}");
                        self.fail("honest peers are not accused", what);
                    }
                }
                _ => {}
            }
        }
        self.people[who].outbox.extend(effects);
        self.work(who);
    }

    /// What a replica decided to write: own content, and for whom it was sealed.
    fn note_writes(&mut self, who: usize, writes: &[Write]) -> Vec<EntryId> {
        let now = self.now;
        let person = &mut self.people[who];
        let Some(replica) = &person.replica else { return Vec::new() };
        person.device = replica.device();
        let key = key_of(replica);
        if key != person.key {
            person.went_by = std::mem::replace(&mut person.key, key);
        }
        let mut own = Vec::new();
        for write in writes {
            let Write::Entry { id, header, .. } = write else { continue };
            if header.device != person.device {
                continue;
            }
            own.push(*id);
            // The same act in the same place is the same entry: it may be decided anew.
            self.record.lost.remove(id);
            person.undurable.insert(*id);
            if let Sealing::Sealed { epoch, .. } = header.sealing {
                self.record.sealed(who, now, *id, epoch, replica);
            }
        }
        for write in writes {
            if let Write::Envelope { entry, document, creates, .. } = write {
                self.record.of_document(who, *entry, *document, creates.is_some());
            }
        }
        own
    }

    /// Lets a machine do what does not wait for its disk.
    pub fn work(&mut self, who: usize) {
        while self.people[who].writing.is_none() {
            let Some(effect) = self.people[who].outbox.pop_front() else { break };
            match effect {
                Effect::Persist(writes) => {
                    self.people[who].writing = Some(writes);
                    let slow = self.roll(16) == 0;
                    let delay = if slow { self.roll(3_000) } else { self.roll(8) };
                    let life = self.people[who].life;
                    self.at(self.now + delay, Coming::Committed { who, life });
                }
                Effect::Load(load) => {
                    let entries = self.people[who].store.load(&load);
                    let delay = self.roll(4);
                    self.give(who, delay, Input::Loaded { load, entries }, Origin::Own);
                }
                Effect::Timer { at, .. } => self.set_wake(who, at.as_millis()),
                Effect::Reply { id, reply } => self.replied(id, reply),
                Effect::Notify(_) => {}
                other => self.send_out(who, other),
            }
        }
    }

    /// Wakes a machine at a time of its own clock, unless it is woken earlier.
    fn set_wake(&mut self, who: usize, at: u64) {
        let at = at.saturating_add_signed(-self.people[who].skew).max(self.now);
        if self.people[who].wake.is_some_and(|(_, before)| before <= at) {
            return;
        }
        let number = self.fresh();
        self.people[who].wake = Some((number, at));
        self.at(at, Coming::Wake { who, number });
    }

    /// A clock is set: nobody knows how long it has really been, so what waits for a time is due.
    pub fn set_clock(&mut self, who: usize, skew: i64) {
        self.people[who].skew = skew;
        if self.people[who].is_up() {
            let number = self.fresh();
            self.people[who].wake = Some((number, self.now));
            self.at(self.now, Coming::Wake { who, number });
        }
    }

    /// The machine stops. What was not on the disk is lost; the transaction that was being
    /// written is there whole or not at all.
    pub fn crash(&mut self, who: usize, unplugged: bool) {
        if !self.people[who].is_up() {
            return;
        }
        if unplugged {
            self.unplug(who);
        }
        if self.people[who].writing.is_some() {
            if self.roll(2) == 0 {
                self.people[who].commit();
                self.count("a crash after the write");
            } else {
                self.count("a crash that lost a write");
            }
        }
        let person = &mut self.people[who];
        person.replica = None;
        person.writing = None;
        person.outbox = VecDeque::new();
        person.life += 1;
        person.wake = None;
        person.members.clear();
        person.heard.clear();
        let lost = std::mem::take(&mut person.undurable);
        self.record.lose(lost);
        // What it saw and had not written is forgotten with the rest.
        self.record.ended.remove(&who);
        self.asked.retain(|_, asked| asked.who != who);
        self.drop_sessions_of(who);
        self.drop_calls_of(who, unplugged);
    }

    /// The machine starts from its disk.
    pub fn restart(&mut self, who: usize) {
        if self.people[who].is_up() {
            return;
        }
        let clock = self.people[who].clock(self.now);
        // A machine that stopped before its first write has nothing to start from.
        if self.people[who].store.persona.is_empty() {
            return;
        }
        let snapshot = self.people[who].store.snapshot(self.group);
        match Replica::restore(clock, snapshot) {
            Ok((replica, effects)) => {
                self.people[who].replica = Some(replica);
                self.acknowledged_is_held(who);
                self.after(who, effects, Origin::Own);
                self.replay_calls(who);
            }
            Err(why) => self.fail("6", format!("person {who} cannot start: {why}")),
        }
    }
}
