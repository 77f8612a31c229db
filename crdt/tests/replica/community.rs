//! People with replicas, connected in memory under a virtual clock. Everything is deterministic.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::invite::{Code, Contact};
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{DocumentId, EntryId, MemberId, RequestId, TransportKey};
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::log::frontier::Frontier;
use cairn_crdt::replica::effect::{Effect, Event, Refused, Reply, Serve, Verdict};
use cairn_crdt::replica::input::{
    Body, Command, CommandId, CutChoice, GossipToken, Input, Protocol, SessionEvent, SessionId,
    Timer,
};
use cairn_crdt::replica::{Founding, Joining, Replica, ReplicaState};
use cairn_crdt::sync::message::{Admittance, Message, SYNC_VERSION};
use cairn_crdt::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::store::Store;

pub struct Person {
    pub replica: Replica,
    pub store: Store,
    pub events: Vec<Event>,
    pub members: BTreeSet<TransportKey>,
    /// Whom the node looks for, and where.
    pub sought: BTreeMap<TransportKey, Vec<Vec<u8>>>,
    timer: Option<Timestamp>,
    heard: BTreeSet<Vec<u8>>,
}

pub struct Community {
    pub people: Vec<Person>,
    pub now: Timestamp,
    pub rng: ChaCha20Rng,
    pub bytes: u64,
    /// Whose store does not answer any more: their node is about to die.
    pub dying: BTreeSet<usize>,
    links: BTreeSet<(usize, usize)>,
    pub(crate) inputs: VecDeque<(usize, Input)>,
    pub keepers: BTreeMap<TransportKey, crate::keeper::Keeper>,
    /// What stands in the table that strangers keep.
    pub told: BTreeMap<[u8; 32], Vec<u8>>,
    streams: BTreeMap<SessionId, (usize, usize, SessionId)>,
    gossiped: BTreeMap<GossipToken, (usize, usize, Vec<u8>)>,
    next: u64,
    reply: Option<Result<Reply, Refused>>,
    /// Whose node goes by another transport key from now on (I4).
    moved: BTreeSet<usize>,
}

pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

impl Community {
    /// A group with its founder, person 0.
    pub fn found(seed: u64, history: History) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let recovery = Seed::from_bytes([0; 32]);
        let founding = Founding {
            seed: &recovery,
            name: "Thursday circle".to_owned(),
            pseudonym: "Person 0".to_owned(),
            history,
        };
        let (replica, effects) = Replica::found(START, &mut rng, founding).unwrap();
        let mut community = Self {
            people: Vec::new(),
            now: START,
            rng,
            bytes: 0,
            dying: BTreeSet::new(),
            links: BTreeSet::new(),
            inputs: VecDeque::new(),
            keepers: BTreeMap::new(),
            told: BTreeMap::new(),
            streams: BTreeMap::new(),
            gossiped: BTreeMap::new(),
            next: 0,
            reply: None,
            moved: BTreeSet::new(),
        };
        community.add(replica, effects);
        community
    }

    fn add(&mut self, replica: Replica, effects: Vec<Effect>) -> usize {
        let person = Person {
            replica,
            store: Store::default(),
            events: Vec::new(),
            members: BTreeSet::new(),
            sought: BTreeMap::new(),
            timer: None,
            heard: BTreeSet::new(),
        };
        self.people.push(person);
        let who = self.people.len() - 1;
        self.perform(who, effects);
        self.run();
        who
    }

    /// Invites as `by`; the contact is `by`'s node.
    pub fn invite(&mut self, by: usize, rank: Rank, uses: u16, at_once: bool) -> Code {
        let reply = self.ask(by, Command::Invite { rank, uses, expires: None, at_once });
        let Ok(Reply::Invite(mut code)) = reply else { panic!("no invite") };
        let address = Bytes::new(vec![1, 2, 3]).unwrap();
        let addresses = List::new(vec![address]).unwrap();
        code.contacts = List::new(vec![Contact { transport: self.key(by), addresses }]).unwrap();
        *code
    }

    /// A newcomer with a code, connected to nobody yet.
    pub fn join(&mut self, code: Code) -> usize {
        let who = self.people.len();
        let recovery = Seed::from_bytes([u8::try_from(who).unwrap(); 32]);
        let pseudonym = format!("Person {who}");
        let words = "I would like to join".to_owned();
        let joining = Joining { seed: &recovery, code, pseudonym, words };
        let (replica, effects) = Replica::join(self.now, &mut self.rng, joining).unwrap();
        self.add(replica, effects)
    }

    /// A group of `n` members, all connected to the founder, who admitted them.
    pub fn with_members(seed: u64, n: usize) -> Self {
        let mut community = Self::found(seed, History::SinceJoining);
        let uses = u16::try_from(n).unwrap();
        let code = community.invite(0, Rank::Member, uses, true);
        for _ in 1..n {
            let who = community.join(code.clone());
            community.connect(0, who);
        }
        community.settle();
        for who in 1..n {
            assert_eq!(community.people[who].replica.state(), ReplicaState::Member, "{who}");
        }
        community
    }

    pub fn key(&self, who: usize) -> TransportKey {
        TransportKey::from_bytes(self.people[who].replica.transport_key().verifying_key())
    }

    pub fn member(&self, who: usize) -> MemberId {
        self.people[who].replica.member()
    }

    pub fn connect(&mut self, a: usize, b: usize) {
        if self.links.insert((a.min(b), a.max(b))) {
            let (key_a, key_b) = (self.key(a), self.key(b));
            self.inputs.push_back((a, Input::Connected { peer: key_b }));
            self.inputs.push_back((b, Input::Connected { peer: key_a }));
        }
        self.run();
    }

    pub fn disconnect(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))) {
            let gone: Vec<SessionId> = self
                .streams
                .iter()
                .filter(|(_, (one, other, _))| (*one, *other) == (a, b) || (*one, *other) == (b, a))
                .map(|(id, _)| *id)
                .collect();
            for session in gone {
                let (one, ..) = self.streams.remove(&session).unwrap();
                self.event(one, session, SessionEvent::Closed);
            }
            let (key_a, key_b) = (self.key(a), self.key(b));
            self.inputs.push_back((a, Input::Disconnected { peer: key_b }));
            self.inputs.push_back((b, Input::Disconnected { peer: key_a }));
        }
        self.run();
    }

    /// Takes someone off everyone.
    pub fn unplug(&mut self, who: usize) {
        for other in 0..self.people.len() {
            self.disconnect(who, other);
        }
    }

    pub fn ask(&mut self, who: usize, command: Command) -> Result<Reply, Refused> {
        self.reply = None;
        self.inputs.push_back((who, Input::Command { id: CommandId(self.next), command }));
        self.run();
        self.reply.take().expect("every command is answered")
    }

    /// What the last command came to, if it was answered.
    pub fn answered(&mut self) -> Option<Result<Reply, Refused>> {
        self.reply.take()
    }

    pub fn thread(&mut self, who: usize, title: &str, text: &str) -> DocumentId {
        let command = Command::StartThread { title: title.to_owned(), body: body(text) };
        match self.ask(who, command) {
            Ok(Reply::Document(document)) => document,
            _ => panic!("no thread"),
        }
    }

    pub fn post(&mut self, who: usize, thread: DocumentId, text: &str) -> DocumentId {
        let command = Command::Post { thread, reply_to: None, body: body(text) };
        match self.ask(who, command) {
            Ok(Reply::Document(document)) => document,
            Ok(_) => panic!("no post"),
            Err(why) => panic!("{why}"),
        }
    }

    pub fn remove(&mut self, by: usize, whom: usize, cut: CutChoice) {
        let member = self.member(whom);
        let (rule, reason) = ("Be kind".to_owned(), "Was not".to_owned());
        let reply = self.ask(by, Command::Remove { member, cut, rule, reason });
        assert!(reply.is_ok(), "{:?}", reply.err());
    }

    pub fn request(&self, at: usize) -> Option<RequestId> {
        self.people[at].store.requests.keys().next().copied()
    }

    /// Crashes a person's node and opens it again from what was written.
    pub fn restart(&mut self, who: usize) {
        self.unplug(who);
        let group = self.people[who].replica.group();
        let snapshot = self.people[who].store.snapshot(group);
        let (replica, effects) = Replica::restore(self.now, snapshot).unwrap();
        self.people[who].replica = replica;
        self.people[who].timer = None;
        self.dying.remove(&who);
        self.perform(who, effects);
        self.run();
    }

    /// The same persona a second time, from a copy of what was written: what a thief of the disk
    /// has, or a backup that is put back. Connected to nobody.
    pub fn copy(&mut self, who: usize) -> usize {
        let store = self.people[who].store.clone();
        let snapshot = store.snapshot(self.people[who].replica.group());
        let (replica, effects) = Replica::restore(self.now, snapshot).unwrap();
        let copy = self.add(replica, effects);
        let written = std::mem::replace(&mut self.people[copy].store, store);
        assert!(written.entries.is_empty(), "being put back writes nothing");
        copy
    }

    /// Gives everything that one person holds to another, who takes it to come from a member,
    /// whether or not it would be served: what somebody has who listened or robbed a keeper.
    pub fn hand_over(&mut self, from: usize, to: usize) {
        let session = SessionId(u64::MAX - self.fresh());
        let peer = self.key(from);
        let set = self.people[from].replica.set();
        let hello = Message::Hello {
            version: SYNC_VERSION,
            group: set.group(),
            frontier: self.people[from].replica.digest(),
            seen: set.seen(),
        };
        let frontier = Message::Frontier(Frontier::of(set));
        let mut messages = vec![hello, Message::Welcome(Admittance::Member), frontier];
        for log in set.logs().values() {
            let mut chain: Vec<EntryId> = Vec::new();
            for (_, id, slot) in log.iter() {
                if chain.last().is_some_and(|last| *last != slot.prev) {
                    let entries = std::mem::take(&mut chain);
                    let serve = Serve::Runs { entries, content: true };
                    messages.extend(self.people[from].store.serve(serve));
                }
                chain.push(id);
            }
            let serve = Serve::Runs { entries: chain, content: true };
            messages.extend(self.people[from].store.serve(serve));
        }
        let opened = SessionEvent::Opened { peer, protocol: Protocol::Sync, initiated: false };
        self.event(to, session, opened);
        for message in messages {
            self.event(to, session, SessionEvent::Message(message.to_bytes()));
        }
        self.event(to, session, SessionEvent::Closed);
        self.run();
        let held = self.people[to].replica.set();
        let mut given = self.people[from].store.entries.keys();
        assert!(given.all(|entry| held.contains(entry)), "{to} did not take it all");
    }

    /// A person's node is read from its store, and connected again with whom it was.
    pub fn reconnect(&mut self, who: usize) {
        let linked = self.links.iter().filter(|(a, b)| *a == who || *b == who);
        let linked: Vec<usize> = linked.map(|(a, b)| if *a == who { *b } else { *a }).collect();
        self.restart(who);
        for other in linked {
            self.connect(who, other);
        }
    }

    /// Sets a person's disk back to what it was.
    pub fn set_back(&mut self, who: usize, store: Store) {
        self.unplug(who);
        self.people[who].store = store;
        self.restart(who);
    }

    pub fn event(&mut self, who: usize, session: SessionId, event: SessionEvent) {
        self.inputs.push_back((who, Input::Session { session, event }));
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn perform(&mut self, who: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(writes) => self.people[who].store.write(writes),
                Effect::Send { session, message } => self.send(session, message),
                Effect::Serve { session, serve } => {
                    for message in self.people[who].store.serve(serve) {
                        self.send(session, message.to_bytes());
                    }
                }
                Effect::Close { session } => {
                    if let Some((_, other, theirs)) = self.streams.remove(&session) {
                        self.streams.remove(&theirs);
                        self.event(other, theirs, SessionEvent::Closed);
                    }
                }
                Effect::Open { peer, protocol } => {
                    let linked = |p: &usize| self.links.contains(&(who.min(*p), who.max(*p)));
                    let mut people = 0..self.people.len();
                    let Some(other) = people.find(|p| self.key(*p) == peer && linked(p)) else {
                        continue;
                    };
                    let (mine, theirs) = (SessionId(self.fresh()), SessionId(self.fresh()));
                    self.streams.insert(mine, (who, other, theirs));
                    self.streams.insert(theirs, (other, who, mine));
                    let own = self.key(who);
                    let opened =
                        |peer, initiated| SessionEvent::Opened { peer, protocol, initiated };
                    self.event(who, mine, opened(peer, true));
                    self.event(other, theirs, opened(own, false));
                }
                Effect::Disconnect { peer } => {
                    if let Some(other) = (0..self.people.len()).find(|p| self.key(*p) == peer) {
                        self.disconnect(who, other);
                    }
                }
                Effect::Publish(bytes) => self.gossip(who, None, &bytes),
                Effect::Verdict { token, verdict } => {
                    let (at, from, bytes) = self.gossiped.remove(&token).unwrap();
                    if verdict == Verdict::Accept {
                        self.gossip(at, Some(from), &bytes);
                    }
                }
                Effect::Members(members) => self.people[who].members = members,
                Effect::Load(_) if self.dying.contains(&who) => {}
                Effect::Load(load) => {
                    let entries = self.people[who].store.load(&load);
                    self.inputs.push_front((who, Input::Loaded { load, entries }));
                }
                Effect::Timer { at, .. } => self.people[who].timer = Some(at),
                Effect::Reply { reply, .. } => self.reply = Some(reply),
                Effect::Notify(event) => self.people[who].events.push(event),
                Effect::Identity => {
                    self.moved.insert(who);
                }
                Effect::Keeper { keeper, ask } => self.ask_keeper(who, keeper, ask),
                Effect::Tell { key, value } => {
                    self.told.insert(key, value);
                }
                Effect::LookFor { key } => {
                    if let Some(value) = self.told.get(&key).cloned() {
                        self.inputs.push_back((who, Input::Found { key, value }));
                    }
                }
                Effect::Seek { peer, addresses } => {
                    self.people[who].sought.insert(peer, addresses);
                }
                Effect::Forget { .. } => {}
            }
        }
    }

    fn send(&mut self, session: SessionId, message: Vec<u8>) {
        if let Some((_, other, theirs)) = self.streams.get(&session).copied() {
            self.bytes += message.len() as u64;
            self.event(other, theirs, SessionEvent::Message(message));
        }
    }

    fn gossip(&mut self, who: usize, from: Option<usize>, bytes: &[u8]) {
        for other in 0..self.people.len() {
            let linked = self.links.contains(&(who.min(other), who.max(other)));
            let mutual = self.people[who].members.contains(&self.key(other))
                && self.people[other].members.contains(&self.key(who));
            if linked
                && mutual
                && Some(other) != from
                && self.people[other].heard.insert(bytes.to_vec())
            {
                let token = GossipToken(self.fresh());
                self.gossiped.insert(token, (other, who, bytes.to_vec()));
                let from = self.key(who);
                let bytes = bytes.to_vec();
                self.inputs.push_back((other, Input::Gossip { token, from, bytes }));
            }
        }
    }

    /// Handles inputs until there are none.
    pub fn run(&mut self) {
        let mut steps = 0;
        while let Some((who, input)) = self.inputs.pop_front() {
            steps += 1;
            assert!(steps < 2_000_000, "the replicas never come to rest");
            let effects = self.people[who].replica.handle(self.now, &mut self.rng, input);
            self.perform(who, effects);
            while let Some(who) = self.moved.pop_first() {
                self.reconnect(who);
            }
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, millis: u64) {
        let end = self.now.after(millis);
        loop {
            let next = (0..self.people.len())
                .filter_map(|who| Some((self.people[who].timer?, who)))
                .min()
                .filter(|(at, _)| *at <= end);
            let Some((at, who)) = next else { break };
            self.now = self.now.max(at);
            self.people[who].timer = None;
            self.inputs.push_back((who, Input::Timer(Timer::Tick)));
            self.run();
        }
        self.now = end;
    }

    /// Sets everybody's clock back. Nodes look at all that is due when they notice.
    pub fn set_clock_back(&mut self, millis: u64) {
        self.now = Timestamp::from_millis(self.now.as_millis() - millis);
        for who in 0..self.people.len() {
            self.people[who].timer = None;
            self.inputs.push_back((who, Input::Timer(Timer::Tick)));
        }
        self.run();
    }

    /// Lets enough time pass for everyone who is connected to synchronise.
    pub fn settle(&mut self) {
        self.pass(150_000);
    }

    pub fn assert_same(&self, who: &[usize]) {
        let first = &self.people[who[0]].replica;
        for other in &who[1..] {
            let replica = &self.people[*other].replica;
            assert_eq!(replica.digest(), first.digest(), "sets of {} and {other}", who[0]);
            assert_eq!(replica.authority().digest(), first.authority().digest());
            assert_eq!(replica.missing(), 0);
        }
    }

    pub fn reads(&self, who: usize, text: &str) -> bool {
        self.people[who].store.posts().iter().any(|post| post.body == text)
    }
}

pub fn body(text: &str) -> Body {
    Body { text: text.to_owned(), ..Body::default() }
}
