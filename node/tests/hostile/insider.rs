//! A member: honest as long as it is driven, and then in the hands of a test.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cairn_crdt::codec::{List, Map};
use cairn_crdt::crypto::aead::SymmetricKey;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::document::kinds::DocumentKind;
use cairn_crdt::document::sealing::{self, Creation, DocumentKey, Envelope, Opened, Owner};
use cairn_crdt::epoch::secret::EpochSecret;
use cairn_crdt::id::{EntryId, GrantId, PayloadHash};
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::log::entry::{Header, Kind, SUITE, Sealing, VERSION};
use cairn_crdt::log::frontier::{Frontier, Tip};
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::replica::effect::{Effect, Write};
use cairn_crdt::replica::input::{Body, Command, CommandId, Input, SessionEvent, SessionId, Timer};
use cairn_crdt::replica::{Joining, Replica};
use cairn_crdt::sync::message::Message;
use cairn_crdt::time::Timestamp;
use cairn_node::clock;
use cairn_node::network::{NetworkCommand, NetworkEvent};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::node::Node;
use crate::store::Store;
use crate::wire::{Ending, Wire};

pub(crate) struct Insider {
    pub(crate) replica: Replica,
    pub(crate) store: Store,
    pub(crate) rng: ChaCha20Rng,
    wake: Option<Timestamp>,
    posts: u32,
}

/// Messages, and at the end of them `None`: the stream is to be closed.
type Waiting = VecDeque<Option<Vec<u8>>>;

/// The streams of a member that is driven.
struct Streams<'a> {
    wire: &'a mut Wire,
    /// What waits to be sent on each, and whether it may be.
    open: BTreeMap<SessionId, (Waiting, bool)>,
}

impl Streams<'_> {
    async fn pump(&mut self) {
        let mut gone = Vec::new();
        for (session, (waiting, credit)) in &mut self.open {
            if !*credit {
                continue;
            }
            match waiting.pop_front() {
                None => {}
                Some(Some(message)) => {
                    *credit = false;
                    self.wire.command(NetworkCommand::Send { session: *session, message }).await;
                }
                Some(None) => gone.push(*session),
            }
        }
        for session in gone {
            self.open.remove(&session);
            self.wire.command(NetworkCommand::Close { session }).await;
        }
    }

    fn queue(&mut self, session: SessionId, message: Option<Vec<u8>>) {
        if let Some((waiting, _)) = self.open.get_mut(&session) {
            waiting.push_back(message);
        }
    }
}

impl Insider {
    /// Someone with the node's code, who has not asked yet.
    pub(crate) fn outside(node: &Node, seed: u8) -> Self {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let joining = Joining {
            seed: &Seed::from_bytes([seed; 32]),
            code: node.code.clone(),
            pseudonym: format!("insider {seed}"),
            words: "A friend told me of you.".to_owned(),
        };
        let (replica, effects) = Replica::join(clock::now(), &mut rng, joining).unwrap();
        let mut insider = Self { replica, store: Store::default(), rng, wake: None, posts: 0 };
        insider.keep(effects);
        insider
    }

    /// A member of the node's group, who holds what the node holds.
    pub(crate) async fn join(node: &Node, seed: u8) -> Self {
        let mut insider = Self::outside(node, seed);
        insider.synchronise(node).await;
        insider
    }

    /// The same member once more, from what it has written down so far.
    pub(crate) fn again(&self) -> Self {
        self.with(self.store.clone())
    }

    /// The same, who knows that it wrote this entry: otherwise it would take its disk for one that
    /// was set back, and go on as another device (I4).
    pub(crate) fn knowing(&self, entry: &Entry) -> Self {
        let mut store = self.store.clone();
        store.write(vec![Write::Entry {
            id: entry.id,
            header: entry.header.clone(),
            payload: entry.payload.clone(),
            signature: entry.signature,
            arrived: clock::now(),
        }]);
        self.with(store)
    }

    fn with(&self, store: Store) -> Self {
        let (replica, effects) =
            Replica::restore(clock::now(), store.snapshot(self.replica.group())).unwrap();
        let rng = ChaCha20Rng::from_seed([200; 32]);
        let mut again = Self { replica, store, rng, wake: None, posts: 0 };
        again.keep(effects);
        again
    }

    pub(crate) fn key(&self) -> SigningKey {
        self.replica.transport_key().clone()
    }

    pub(crate) async fn wire(&self, node: &Node) -> Wire {
        Wire::to(&node.code, &self.key()).await
    }

    /// Writes down what is to be, and goes without the network.
    fn keep(&mut self, effects: Vec<Effect>) {
        let mut todo = VecDeque::from(effects);
        while let Some(effect) = todo.pop_front() {
            match effect {
                Effect::Persist(writes) => self.store.write(writes),
                Effect::Load(load) => {
                    let entries = self.store.load(&load);
                    let input = Input::Loaded { load, entries };
                    todo.extend(self.replica.handle(clock::now(), &mut self.rng, input));
                }
                Effect::Timer { at, .. } => self.wake = Some(at),
                _ => {}
            }
        }
    }

    async fn input(&mut self, streams: &mut Streams<'_>, input: Input) {
        let mut todo = VecDeque::from(self.replica.handle(clock::now(), &mut self.rng, input));
        while let Some(effect) = todo.pop_front() {
            match effect {
                Effect::Send { session, message } => streams.queue(session, Some(message)),
                Effect::Serve { session, serve } => {
                    for message in self.store.serve(serve) {
                        streams.queue(session, Some(message.to_bytes()));
                    }
                }
                Effect::Close { session } => streams.queue(session, None),
                Effect::Open { peer, protocol } => {
                    streams.wire.command(NetworkCommand::Open { peer, protocol }).await;
                }
                Effect::Load(load) => {
                    let entries = self.store.load(&load);
                    let input = Input::Loaded { load, entries };
                    todo.extend(self.replica.handle(clock::now(), &mut self.rng, input));
                }
                other => self.keep(vec![other]),
            }
        }
    }

    async fn event(&mut self, streams: &mut Streams<'_>, event: NetworkEvent) {
        let (session, event) = match event {
            NetworkEvent::Connected(peer) => {
                return self.input(streams, Input::Connected { peer }).await;
            }
            NetworkEvent::Disconnected(peer) => {
                return self.input(streams, Input::Disconnected { peer }).await;
            }
            NetworkEvent::NotOpened { peer, protocol } => {
                return self.input(streams, Input::NotOpened { peer, protocol }).await;
            }
            NetworkEvent::SessionOpened { session, peer, protocol, initiated } => {
                streams.open.insert(session, (VecDeque::new(), true));
                (session, SessionEvent::Opened { peer, protocol, initiated })
            }
            NetworkEvent::Message { session, message } => {
                streams.wire.command(NetworkCommand::Taken { session }).await;
                (session, SessionEvent::Message(message))
            }
            NetworkEvent::SessionClosed(session) => {
                streams.open.remove(&session);
                (session, SessionEvent::Closed)
            }
            NetworkEvent::Drained(session) => {
                if let Some((_, credit)) = streams.open.get_mut(&session) {
                    *credit = true;
                }
                return;
            }
            _ => return,
        };
        self.input(streams, Input::Session { session, event }).await;
    }

    /// Is honest until it and the node hold the same, it is a member, and lacks nothing.
    pub(crate) async fn synchronise(&mut self, node: &Node) {
        let mut wire = self.wire(node).await;
        let peer = wire.peer;
        let mut streams = Streams { wire: &mut wire, open: BTreeMap::new() };
        self.input(&mut streams, Input::Connected { peer }).await;
        loop {
            streams.pump().await;
            let look = tokio::time::sleep(Duration::from_millis(40));
            tokio::select! {
                event = streams.wire.next() => self.event(&mut streams, event).await,
                () = look => {
                    if self.wake.is_some_and(|at| at <= clock::now()) {
                        self.wake = None;
                        self.input(&mut streams, Input::Timer(Timer::Tick)).await;
                    }
                    if self.agrees(node).await {
                        break;
                    }
                }
            }
        }
        for session in streams.open.into_keys() {
            let event = SessionEvent::Closed;
            let effects =
                self.replica.handle(clock::now(), &mut self.rng, Input::Session { session, event });
            self.keep(effects);
        }
        let input = Input::Disconnected { peer };
        let effects = self.replica.handle(clock::now(), &mut self.rng, input);
        self.keep(effects);
        wire.end().await;
    }

    async fn agrees(&self, node: &Node) -> bool {
        self.replica.authority().rank_of(&self.replica.member()).is_some()
            && self.replica.missing() == 0
            && self.own().is_some()
            && node.holds().await.1 == self.replica.held()
    }

    /// Writes a post that the node has not heard of.
    pub(crate) fn post(&mut self, node: &Node, body: &str) -> Entry {
        let body = Body { text: body.to_owned(), ..Body::default() };
        let command = Command::Post { thread: node.thread, reply_to: None, body };
        let input = Input::Command { id: CommandId(0), command };
        let effects = self.replica.handle(clock::now(), &mut self.rng, input);
        self.keep(effects);
        self.entry(self.tip().entry)
    }

    /// The node still does its work for an honest member: it takes what that wrote and shows it.
    pub(crate) async fn the_node_goes_on(&mut self, node: &Node) {
        self.synchronise(node).await;
        self.posts += 1;
        let body = format!("still here {}", self.posts);
        self.post(node, &body);
        self.synchronise(node).await;
        while !node.shows_post(&body).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn entry(&self, id: EntryId) -> Entry {
        let kept = &self.store.entries[&id];
        Entry {
            id,
            header: kept.header.clone(),
            payload: kept.payload.clone(),
            signature: kept.signature,
        }
    }

    /// The end of the own log.
    pub(crate) fn tip(&self) -> Tip {
        let log = self.replica.set().log(&self.replica.device()).unwrap();
        let (seq, entry) = *log.heads().last().unwrap();
        Tip { seq, entry }
    }

    /// An own content entry, from which to learn grant and epoch.
    fn own(&self) -> Option<&Header> {
        let own = self.replica.device();
        let mut headers = self.store.entries.values().map(|kept| &kept.header);
        headers.find(|header| header.device == own && !header.kind.is_control())
    }

    pub(crate) fn grant(&self) -> GrantId {
        self.own().unwrap().grant
    }

    /// The grant that someone else writes under.
    pub(crate) fn grant_of_another(&self) -> GrantId {
        let own = self.replica.device();
        let mut headers = self.store.entries.values().map(|kept| &kept.header);
        let other = headers.find(|header| header.device != own && !header.kind.is_control());
        other.unwrap().grant
    }

    /// The key of the own device: the third part of what the store keeps of a persona.
    pub(crate) fn device_key(&self) -> SigningKey {
        let seed: [u8; 32] = self.store.persona[78..110].try_into().unwrap();
        let key = SigningKey::from_seed(&seed);
        assert_eq!(&key.verifying_key(), self.replica.device().as_bytes());
        key
    }

    /// The next header of the own log, without its payload.
    pub(crate) fn header(&self, kind: Kind, grant: GrantId) -> Header {
        let tip = self.tip();
        Header {
            version: VERSION,
            suite: SUITE,
            group: self.replica.group(),
            device: self.replica.device(),
            seq: tip.seq + 1,
            prev: tip.entry,
            grant,
            kind,
            payload: PayloadHash::from_bytes([0; 32]),
            size: 0,
            sealing: Sealing::Clear,
            seen: self.replica.set().seen(),
        }
    }

    /// The secret that members read with.
    pub(crate) fn secret(&self) -> EpochSecret {
        let Sealing::Sealed { epoch, .. } = self.own().unwrap().sealing else { unreachable!() };
        let epochs = self.store.snapshot(self.replica.group()).epochs;
        let (_, secret) = epochs.into_iter().find(|(id, _)| *id == epoch).unwrap();
        EpochSecret::from_bytes(*secret)
    }

    /// What opens a new post of this member.
    pub(crate) fn creation(&mut self) -> Envelope {
        let owner = Owner::Member(self.replica.member());
        let creation = Creation::new(&mut self.rng, owner, DocumentKind::Post);
        let document = creation.document(self.replica.group());
        let key = DocumentKey::Fresh(SymmetricKey::generate(&mut self.rng));
        Envelope { document, creation: Some(creation), key }
    }

    /// Signs a change of this member, sealed as it must be, whatever the change is.
    pub(crate) fn seal(&mut self, header: Header, envelope: &Envelope, change: &[u8]) -> Entry {
        let DocumentKey::Fresh(key) = &envelope.key else { panic!("the key of a new document") };
        let secret = self.secret();
        let (header, payload) =
            sealing::seal(&mut self.rng, header, &secret, envelope, key, change).unwrap();
        Entry::author(&self.device_key(), header, payload).into_inner()
    }

    /// What is sealed in a new document of this member.
    pub(crate) fn open(&self, entry: &Entry) -> Opened {
        let payload = entry.payload.as_deref().unwrap();
        sealing::open(&entry.header, payload, Some(&self.secret()), None, |_| None)
            .unwrap_or_else(|why| panic!("{why}"))
    }

    /// Shows a frontier with one new tip, and hands these bytes over when the node asks for it.
    pub(crate) async fn hand_over(&self, node: &Node, of: &Entry, messages: &[Vec<u8>]) -> Ending {
        let mut wire = self.wire(node).await;
        let session = wire.let_in().await;
        let tips = List::new(vec![Tip { seq: of.header.seq, entry: of.id }]).unwrap();
        let frontier = Frontier(Map::new(BTreeMap::from([(of.header.device, tips)])).unwrap());
        let member = cairn_crdt::sync::message::Admittance::Member;
        wire.say(session, &Message::Welcome(member)).await;
        wire.say(session, &Message::Frontier(frontier)).await;
        assert!(matches!(wire.hear(session).await, Some(Message::Want { .. })));
        for message in messages {
            wire.say_bytes(session, message.clone()).await;
        }
        wire.say(session, &Message::RunsDone).await;
        let ending = wire.ending(session).await;
        if ending != Ending::Content {
            wire.disconnected().await;
        }
        wire.end().await;
        ending
    }

    /// Hands over entries as a run.
    pub(crate) async fn hand_run(&self, node: &Node, entry: &Entry) -> Ending {
        self.hand_over(node, entry, &[run_message(entry)]).await
    }
}

/// A run of one entry, whether its signature holds or not.
pub(crate) fn run_message(entry: &Entry) -> Vec<u8> {
    Message::Run(Run::new(std::slice::from_ref(entry), true).unwrap()).to_bytes()
}
