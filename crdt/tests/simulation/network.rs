//! The network between the machines: links, streams, gossip, and what goes wrong with them.
//!
//! A stream is ordered and reliable until it is cut; gossip may be late, lost, doubled and out of
//! order. Everything that crosses is looked through for words that should have been sealed.

use std::collections::{BTreeMap, VecDeque};

use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::effect::{Effect, Serve, Verdict};
use cairn_crdt::replica::input::{GossipToken, Input, Protocol, SessionEvent, SessionId};
use cairn_crdt::sync::message::{JoinMessage, Message};

use crate::person::Person;
use crate::record::CANARY;
use crate::world::{Coming, World};

/// Messages that a hostile peer remembers.
const CAPTURED: usize = 64;

/// From whom something comes that a machine handles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// From the machine itself, its person, its disk, its clock.
    Own,
    /// From this person's machine, unchanged.
    Person(usize),
    /// From this keeper, which nobody believes.
    Keeper(usize),
    /// From someone who may send anything.
    Hostile,
}

/// One end of a stream.
pub struct End {
    who: usize,
    /// At the other end; `None`: a hostile peer, that reads and answers nothing.
    other: Option<usize>,
    theirs: SessionId,
    protocol: Protocol,
    /// Whether the other end is nobody that the group knows.
    stranger: bool,
    outgoing: VecDeque<Job>,
    /// When the last that is on its way to this end arrives.
    arrives: u64,
}

enum Job {
    Message(Vec<u8>),
    Serve(Serve),
    Close,
}

#[derive(Default)]
pub struct Network {
    links: BTreeMap<(usize, usize), ()>,
    ends: BTreeMap<SessionId, End>,
    gossiped: BTreeMap<GossipToken, (usize, Origin, Vec<u8>)>,
    /// When the last notice about another that is on its way to someone arrives.
    notices: BTreeMap<(usize, usize), u64>,
    /// If the network is split: on which side everyone is.
    pub sides: Option<u32>,
    /// Whether nobody meets anybody but at keepers.
    pub scattered: bool,
    /// Largest delay of a message, in milliseconds.
    pub delay: u64,
    /// Of a thousand messages, how many are lost: of gossip themselves, of a stream with the rest.
    pub loss: u64,
    /// What a hostile peer may have seen.
    pub captured: VecDeque<(Option<Protocol>, Vec<u8>)>,
    pub bytes: u64,
    pub messages: u64,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Network {
    pub fn is_linked(&self, a: usize, b: usize) -> bool {
        self.links.contains_key(&pair(a, b))
    }

    fn is_split(&self, a: usize, b: usize) -> bool {
        self.sides.is_some_and(|sides| (sides >> (a % 32)) & 1 != (sides >> (b % 32)) & 1)
    }

    /// Gossip that nobody has judged although its machine is still the one that it was given to.
    pub fn unjudged(&self) -> usize {
        self.gossiped.len()
    }

    pub fn has(&self, session: SessionId) -> bool {
        self.ends.contains_key(&session)
    }

    /// What a stream is for.
    pub fn protocol(&self, session: SessionId) -> Option<Protocol> {
        self.ends.get(&session).map(|end| end.protocol)
    }
}

impl World {
    fn latency(&mut self) -> u64 {
        self.roll(self.network.delay + 1)
    }

    /// Tells someone of another, after all that they were told of them before.
    fn notice(&mut self, who: usize, of: usize, input: Input) -> u64 {
        let before = self.network.notices.get(&(who, of)).copied().unwrap_or_default();
        let time = (self.now + self.latency()).max(before);
        self.network.notices.insert((who, of), time);
        let delay = time - self.now;
        self.give(who, delay, input, Origin::Own);
        time
    }

    pub fn connect(&mut self, a: usize, b: usize) {
        let able = a != b && self.people[a].is_up() && self.people[b].is_up();
        let (key_a, key_b) = (self.people[a].key, self.people[b].key);
        // Two copies of one machine go by one key: whoever is connected to one is so to that key.
        let taken = |world: &Self, who: usize, key: TransportKey| {
            let mut others = 0..world.people.len();
            others.any(|o| world.people[o].key == key && world.network.is_linked(who, o))
        };
        if !able
            || self.network.scattered
            || key_a == key_b
            || self.network.is_split(a, b)
            || taken(self, a, key_b)
            || taken(self, b, key_a)
        {
            return;
        }
        self.network.links.insert(pair(a, b), ());
        self.notice(a, b, Input::Connected { peer: key_b });
        self.notice(b, a, Input::Connected { peer: key_a });
    }

    pub fn disconnect(&mut self, a: usize, b: usize) {
        if self.network.links.remove(&pair(a, b)).is_none() {
            return;
        }
        let between = |end: &End| (end.who, end.other) == (a, Some(b));
        let ends = self.network.ends.iter().filter(|(_, end)| between(end));
        let sessions: Vec<SessionId> = ends.map(|(id, _)| *id).collect();
        for session in sessions {
            self.cut(session);
        }
        let (key_a, key_b) = (self.people[a].key, self.people[b].key);
        self.notice(a, b, Input::Disconnected { peer: key_b });
        self.notice(b, a, Input::Disconnected { peer: key_a });
    }

    pub fn unplug(&mut self, who: usize) {
        for other in 0..self.people.len() {
            self.disconnect(who, other);
        }
    }

    /// Splits the network in two.
    pub fn partition(&mut self, sides: u32) {
        self.network.sides = Some(sides);
        let links: Vec<(usize, usize)> = self.network.links.keys().copied().collect();
        for (a, b) in links {
            if self.network.is_split(a, b) {
                self.disconnect(a, b);
            }
        }
    }

    /// Ends a stream without warning: what is on its way is lost.
    fn cut(&mut self, session: SessionId) {
        let Some(end) = self.network.ends.remove(&session) else { return };
        let other = self.network.ends.remove(&end.theirs);
        self.close_for(session, &end);
        if let Some(other) = other {
            self.close_for(end.theirs, &other);
        }
    }

    fn close_for(&mut self, session: SessionId, end: &End) {
        let delay = end.arrives.saturating_sub(self.now).max(self.latency());
        let input = Input::Session { session, event: SessionEvent::Closed };
        self.give(end.who, delay, input, Origin::Own);
    }

    /// Someone's machine has stopped: the other ends of its streams find out.
    pub fn drop_sessions_of(&mut self, who: usize) {
        let ends = self.network.ends.iter().filter(|(_, end)| end.who == who);
        let sessions: Vec<SessionId> = ends.map(|(id, _)| *id).collect();
        for session in sessions {
            self.cut(session);
        }
        self.network.gossiped.retain(|_, (at, _, _)| *at != who);
    }

    /// A machine that was read from its disk again finds its connections as they were.
    pub fn replay_links(&mut self, who: usize) {
        for other in 0..self.people.len() {
            if self.network.is_linked(who, other) {
                let peer = self.people[other].key;
                self.notice(who, other, Input::Connected { peer });
            }
        }
    }

    /// What a replica asks of the network.
    pub fn send_out(&mut self, who: usize, effect: Effect) {
        match effect {
            Effect::Send { session, message } => self.queue(session, Job::Message(message)),
            Effect::Serve { session, serve } => self.queue(session, Job::Serve(serve)),
            Effect::Close { session } => self.queue(session, Job::Close),
            Effect::Open { peer, protocol } => self.open(who, peer, protocol),
            Effect::Disconnect { peer } => {
                for other in 0..self.people.len() {
                    if self.people[other].key == peer {
                        self.disconnect(who, other);
                    }
                }
            }
            Effect::Publish(bytes) => self.gossip(who, None, &bytes),
            Effect::Verdict { token, verdict } => match self.network.gossiped.remove(&token) {
                Some((_, from, bytes)) => {
                    let known = |from: usize| {
                        let replica = self.people[who].replica.as_ref();
                        let key = self.people[from].key;
                        replica.is_some_and(|r| r.authority().device_of_transport(&key).is_some())
                    };
                    if verdict == Verdict::Reject
                        && matches!(from, Origin::Person(from) if known(from))
                    {
                        self.fail("honest peers are not accused", format!("{who} rejects gossip"));
                    }
                    if verdict == Verdict::Accept {
                        self.gossip(who, Some(from), &bytes);
                    }
                }
                None => self.fail("7", format!("person {who} judges gossip twice")),
            },
            Effect::Members(members) => self.people[who].members = members,
            Effect::Identity => self.moves_on(who),
            // Where to look for others is the plan's choice.
            Effect::Seek { .. } | Effect::Forget { .. } => {}
            Effect::Keeper { keeper, ask } => self.ask_keeper(who, keeper, ask),
            Effect::Persist(_)
            | Effect::Tell { .. }
            | Effect::LookFor { .. }
            | Effect::Load(_)
            | Effect::Timer { .. }
            | Effect::Reply { .. }
            | Effect::Notify(_) => {}
        }
    }

    /// A persona goes on as a new device: its machine is read from its disk, and known by a new key.
    fn moves_on(&mut self, who: usize) {
        if self.people[who].honest {
            self.fail("I4", format!("person {who} moves on though its disk was never set back"));
        }
        let peer = self.people[who].went_by;
        let linked: Vec<usize> =
            (0..self.people.len()).filter(|other| self.network.is_linked(who, *other)).collect();
        for other in &linked {
            self.network.links.remove(&pair(who, *other));
            self.notice(*other, who, Input::Disconnected { peer });
        }
        self.crash(who, false);
        self.restart(who);
        for other in linked {
            self.connect(who, other);
        }
        self.count("moved on to a new device");
    }

    fn open(&mut self, who: usize, peer: TransportKey, protocol: Protocol) {
        let mut others = 0..self.people.len();
        let other = others
            .find(|other| self.people[*other].key == peer && self.network.is_linked(who, *other));
        let lost = self.roll(1000) < self.network.loss;
        let Some(other) = other.filter(|_| !lost) else {
            self.count("a stream that did not open");
            let delay = self.latency();
            self.give(who, delay, Input::NotOpened { peer, protocol }, Origin::Own);
            return;
        };
        let (mine, theirs) = (SessionId(self.fresh()), SessionId(self.fresh()));
        let own = self.people[who].key;
        let opened = |session, peer, initiated| {
            let event = SessionEvent::Opened { peer, protocol, initiated };
            Input::Session { session, event }
        };
        let there = self.notice(other, who, opened(theirs, own, false));
        let back = self.notice(who, other, opened(mine, peer, true));
        let end = |who, other, theirs, arrives| End {
            who,
            other: Some(other),
            theirs,
            protocol,
            stranger: false,
            outgoing: VecDeque::new(),
            arrives,
        };
        self.network.ends.insert(mine, end(who, other, theirs, back));
        self.network.ends.insert(theirs, end(other, who, mine, there));
    }

    /// A stream from someone who reads nothing of what comes back.
    pub fn open_hostile(
        &mut self,
        at: usize,
        peer: TransportKey,
        stranger: bool,
        protocol: Protocol,
    ) -> SessionId {
        let session = SessionId(self.fresh());
        let end = End {
            who: at,
            other: None,
            theirs: SessionId(0),
            protocol,
            stranger,
            outgoing: VecDeque::new(),
            arrives: self.now,
        };
        self.network.ends.insert(session, end);
        let event = SessionEvent::Opened { peer, protocol, initiated: false };
        self.give(at, 0, Input::Session { session, event }, Origin::Hostile);
        session
    }

    fn queue(&mut self, session: SessionId, job: Job) {
        let Some(end) = self.network.ends.get_mut(&session) else { return };
        end.outgoing.push_back(job);
        if end.outgoing.len() == 1 {
            self.at(self.now, Coming::Pump { session });
        }
    }

    /// A stream takes what comes next. Entries are read from the disk only now.
    pub fn pump(&mut self, session: SessionId) {
        let Some(end) = self.network.ends.get_mut(&session) else { return };
        let Some(job) = end.outgoing.pop_front() else { return };
        let more = !end.outgoing.is_empty();
        let who = end.who;
        match job {
            Job::Message(message) => self.carry(session, message),
            Job::Serve(serve) => {
                let to = self.network.ends.get(&session).and_then(|end| end.other);
                for message in self.people[who].served(serve, to) {
                    self.carry(session, message);
                }
            }
            Job::Close => {
                let Some(end) = self.network.ends.remove(&session) else { return };
                if let Some(other) = self.network.ends.get(&end.theirs) {
                    let delay = other.arrives.saturating_sub(self.now).max(1);
                    let session = end.theirs;
                    let input = Input::Session { session, event: SessionEvent::Closed };
                    let who = other.who;
                    self.give(who, delay, input, Origin::Own);
                    self.network.ends.remove(&session);
                }
                return;
            }
        }
        if more {
            let delay = self.roll(1 + self.network.delay / 8);
            self.at(self.now + delay, Coming::Pump { session });
        }
    }

    /// A message crosses, or the stream breaks.
    fn carry(&mut self, session: SessionId, message: Vec<u8>) {
        let Some(end) = self.network.ends.get(&session) else { return };
        let (theirs, protocol, from, stranger) = (end.theirs, end.protocol, end.who, end.stranger);
        self.look_through(from, Some(protocol), &message);
        if stranger {
            self.for_a_stranger(protocol, &message);
        }
        let broken = self.roll(1000) < self.network.loss;
        if broken && self.network.has(theirs) {
            self.count("a stream that broke");
            self.cut(session);
            return;
        }
        let latency = self.latency();
        let now = self.now;
        let Some(other) = self.network.ends.get_mut(&theirs) else { return };
        other.arrives = other.arrives.max(now + latency);
        let (to, delay) = (other.who, other.arrives - now);
        let event = SessionEvent::Message(message);
        self.give(to, delay, Input::Session { session: theirs, event }, Origin::Person(from));
    }

    /// Gossip to everyone who is connected and whom both ends take for a member.
    pub fn gossip(&mut self, who: usize, from: Option<Origin>, bytes: &[u8]) {
        self.look_through(who, None, bytes);
        for other in 0..self.people.len() {
            let (person, peer) = (&self.people[who], &self.people[other]);
            let mutual = person.members.contains(&peer.key) && peer.members.contains(&person.key);
            let back = from == Some(Origin::Person(other));
            if !self.network.is_linked(who, other) || !mutual || back {
                continue;
            }
            if person.withheld.is_some_and(|withheld| withheld.hides_gossip(bytes, other)) {
                continue;
            }
            if self.roll(1000) < self.network.loss * 8 {
                self.count("gossip that was lost");
                continue;
            }
            let again = self.roll(1000) < self.network.loss * 4;
            if !self.people[other].heard.insert(bytes.to_vec()) && !again {
                continue;
            }
            let delay = self.roll(2 * self.network.delay + 1);
            self.deliver_gossip(other, Origin::Person(who), self.people[who].key, delay, bytes);
            if again {
                self.count("gossip that came twice");
                let delay = self.roll(20_000);
                self.deliver_gossip(other, Origin::Person(who), self.people[who].key, delay, bytes);
            }
        }
    }

    pub fn deliver_gossip(
        &mut self,
        to: usize,
        origin: Origin,
        from: TransportKey,
        delay: u64,
        bytes: &[u8],
    ) {
        let token = GossipToken(self.fresh());
        self.network.gossiped.insert(token, (to, origin, bytes.to_vec()));
        let input = Input::Gossip { token, from, bytes: bytes.to_vec() };
        self.give(to, delay, input, origin);
    }

    /// S1: a stranger is told nothing but hello and no.
    fn for_a_stranger(&mut self, protocol: Protocol, message: &[u8]) {
        let harmless = match protocol {
            Protocol::Join => JoinMessage::from_bytes(message).is_ok(),
            Protocol::Sync => matches!(
                Message::from_bytes(message),
                Ok(Message::Hello { .. } | Message::Refused(_))
            ),
        };
        if !harmless {
            self.fail("4 (S1)", "a stranger is served something");
        }
    }

    /// Invariant 5: no words in the clear.
    fn look_through(&mut self, from: usize, protocol: Option<Protocol>, bytes: &[u8]) {
        self.network.bytes += bytes.len() as u64;
        self.network.messages += 1;
        if holds(bytes, CANARY.as_bytes()) {
            self.fail("5", format!("words in the clear in what person {from} sends"));
        }
        if self.network.captured.len() >= CAPTURED {
            self.network.captured.pop_front();
        }
        self.network.captured.push_back((protocol, bytes.to_vec()));
    }
}

/// Whether bytes hold a word.
pub fn holds(bytes: &[u8], word: &[u8]) -> bool {
    let Some(first) = word.first() else { return false };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(word) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

impl Person {
    /// What the disk has of what is to be served, as messages; less what is withheld.
    fn served(&self, serve: Serve, to: Option<usize>) -> Vec<Vec<u8>> {
        let kept = |entry: &cairn_crdt::id::EntryId| {
            let Some(kept) = self.store.entries.get(entry) else { return false };
            let hidden = self.withheld.zip(to).is_some_and(|(withheld, to)| {
                withheld.of == kept.header.device && withheld.is_from(to)
            });
            !hidden
        };
        let serve = match serve {
            Serve::Runs { entries, content } => {
                Serve::Runs { entries: entries.into_iter().filter(kept).collect(), content }
            }
            Serve::Payloads { entries } => {
                Serve::Payloads { entries: entries.into_iter().filter(kept).collect() }
            }
        };
        self.store.serve(serve).iter().map(Message::to_bytes).collect()
    }
}
