//! A founder with a member, and what they and a newcomer have said to each other.

use std::collections::VecDeque;
use std::sync::LazyLock;

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::invite::{Code, Contact};
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::List;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{GroupId, TransportKey};
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::log::run::Run;
use cairn_crdt::replica::effect::{Effect, Reply};
use cairn_crdt::replica::input::{
    Body, Command, CommandId, Input, Protocol, SessionEvent, SessionId, Timer,
};
use cairn_crdt::replica::{Founding, Joining, Replica};
use cairn_crdt::sync::message::Message;
use cairn_crdt::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::store::Store;

pub(super) const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Who of the peers nobody knows.
pub(super) const STRANGER: usize = 2;

/// What the scripts are played on.
pub(super) struct Pair {
    pub(super) group: GroupId,
    /// The founder's.
    pub(super) store: Store,
    /// The member, one who has asked to join, a stranger.
    pub(super) peers: [TransportKey; 3],
    /// Messages: said to the founder before now, and some that were not said yet.
    pub(super) said: Vec<Vec<u8>>,
    /// Runs of one entry that the member has written since.
    pub(super) runs: Vec<Vec<u8>>,
}

pub(super) fn pair() -> &'static Pair {
    static PAIR: LazyLock<Pair> = LazyLock::new(Pair::new);
    &PAIR
}

/// Replicas in a room. Person 0 is the founder; streams have one name at both ends.
struct Room {
    people: Vec<(Replica, Store)>,
    inputs: VecDeque<(usize, Input)>,
    streams: Vec<(usize, usize)>,
    said: Vec<Vec<u8>>,
    published: Vec<(usize, Vec<u8>)>,
    code: Option<Code>,
    now: Timestamp,
    rng: ChaCha20Rng,
}

impl Room {
    fn key(&self, who: usize) -> TransportKey {
        TransportKey::from_bytes(self.people[who].0.transport_key().verifying_key())
    }

    fn enter(&mut self, replica: Replica, effects: Vec<Effect>) -> usize {
        self.people.push((replica, Store::default()));
        let who = self.people.len() - 1;
        self.perform(who, effects);
        who
    }

    fn join(&mut self, seed: u8, at_once: bool) -> usize {
        self.ask(0, Command::Invite { rank: Rank::Member, uses: 2, expires: None, at_once });
        let mut code = self.code.take().unwrap();
        let contact = Contact { transport: self.key(0), addresses: List::default() };
        code.contacts = List::new(vec![contact]).unwrap();
        let joining = Joining {
            seed: &Seed::from_bytes([seed; 32]),
            code,
            pseudonym: format!("Person {seed}"),
            words: "I would like to join.".to_owned(),
        };
        let (replica, effects) = Replica::join(self.now, &mut self.rng, joining).unwrap();
        let who = self.enter(replica, effects);
        let (own, founder) = (self.key(who), self.key(0));
        self.inputs.push_back((0, Input::Connected { peer: own }));
        self.inputs.push_back((who, Input::Connected { peer: founder }));
        self.settle();
        who
    }

    fn ask(&mut self, who: usize, command: Command) {
        self.inputs.push_back((who, Input::Command { id: CommandId(0), command }));
        self.settle();
    }

    /// Minutes pass, and everybody looks at what is due.
    fn settle(&mut self) {
        for _ in 0..12 {
            while let Some((who, input)) = self.inputs.pop_front() {
                let effects = self.people[who].0.handle(self.now, &mut self.rng, input);
                self.perform(who, effects);
            }
            self.now = self.now.after(20_000);
            let all = 0..self.people.len();
            self.inputs.extend(all.map(|who| (who, Input::Timer(Timer::Tick))));
        }
    }

    fn perform(&mut self, who: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(writes) => self.people[who].1.write(writes),
                Effect::Send { session, message } => self.send(who, session, message),
                Effect::Serve { session, serve } => {
                    for message in self.people[who].1.serve(serve) {
                        self.send(who, session, message.to_bytes());
                    }
                }
                Effect::Open { peer, protocol } => self.open(who, peer, protocol),
                Effect::Close { session } => {
                    let other = self.other_end(who, session);
                    self.event(other, session, SessionEvent::Closed);
                }
                Effect::Load(load) => {
                    let entries = self.people[who].1.load(&load);
                    self.inputs.push_front((who, Input::Loaded { load, entries }));
                }
                Effect::Publish(run) => self.published.push((who, run)),
                Effect::Reply { reply: Ok(Reply::Invite(code)), .. } => self.code = Some(*code),
                _ => {}
            }
        }
    }

    fn open(&mut self, who: usize, peer: TransportKey, protocol: Protocol) {
        let Some(other) = (0..self.people.len()).find(|other| self.key(*other) == peer) else {
            return;
        };
        let session = SessionId(self.streams.len() as u64);
        self.streams.push((who, other));
        let own = self.key(who);
        let opened = |peer, initiated| SessionEvent::Opened { peer, protocol, initiated };
        self.event(who, session, opened(peer, true));
        self.event(other, session, opened(own, false));
    }

    fn other_end(&self, who: usize, session: SessionId) -> usize {
        let (one, other) = self.streams[session.0 as usize];
        if one == who { other } else { one }
    }

    fn send(&mut self, who: usize, session: SessionId, message: Vec<u8>) {
        let other = self.other_end(who, session);
        if !self.said.contains(&message) {
            self.said.push(message.clone());
        }
        self.event(other, session, SessionEvent::Message(message));
    }

    fn event(&mut self, who: usize, session: SessionId, event: SessionEvent) {
        self.inputs.push_back((who, Input::Session { session, event }));
    }
}

fn words(text: &str) -> Body {
    Body { text: text.to_owned(), ..Body::default() }
}

impl Pair {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        let founding = Founding {
            seed: &Seed::from_bytes([1; 32]),
            name: "Tuesday circle".to_owned(),
            pseudonym: "quiet heron".to_owned(),
            history: History::SinceJoining,
        };
        let (founder, effects) = Replica::found(START, &mut rng, founding).unwrap();
        let group = founder.group();
        let mut room = Room {
            people: Vec::new(),
            inputs: VecDeque::new(),
            streams: Vec::new(),
            said: Vec::new(),
            published: Vec::new(),
            code: None,
            now: START,
            rng,
        };
        room.enter(founder, effects);
        let member = room.join(2, true);
        let title = "First night".to_owned();
        room.ask(0, Command::StartThread { title, body: words("It was loud.") });
        let newcomer = room.join(3, false);
        assert_eq!(room.people[0].0.authority().members().len(), 2);
        // From here on the founder hears nothing.
        let store = room.people[0].1.clone();
        room.published.clear();
        let title = "Second night".to_owned();
        room.ask(member, Command::StartThread { title, body: words("It was quiet.") });
        room.ask(member, Command::SetProfile { pseudonym: "still water".to_owned() });
        room.ask(member, Command::Leave);
        let runs: Vec<Vec<u8>> = room
            .published
            .iter()
            .filter(|(who, _)| *who == member)
            .map(|(_, run)| run.clone())
            .collect();
        assert!(runs.len() > 2 && room.said.len() > 20);
        let as_message = |run: &Vec<u8>| Message::Run(Run::from_bytes(run).unwrap()).to_bytes();
        let mut said = std::mem::take(&mut room.said);
        said.extend(runs.iter().map(as_message));
        let stranger = TransportKey::from_bytes(SigningKey::from_seed(&[9; 32]).verifying_key());
        let peers = [room.key(member), room.key(newcomer), stranger];
        Self { group, store, peers, said, runs }
    }
}
