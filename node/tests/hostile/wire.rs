//! An attacker's connection to the node: it opens streams and says what it likes on them.

use std::collections::{BTreeSet, VecDeque};

use cairn_crdt::capability::invite::Code;
use cairn_crdt::crypto::domain;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{GroupId, TransportKey};
use cairn_crdt::log::entry::Seen;
use cairn_crdt::log::frontier::FrontierDigest;
use cairn_crdt::replica::input::{Protocol, SessionId};
use cairn_crdt::sync::message::{Admittance, JoinMessage, Message, Refusal, SYNC_VERSION};
use cairn_node::config::Way;
use cairn_node::network::{Network, NetworkCommand, NetworkConfig, NetworkEvent};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) struct Wire {
    /// The node.
    pub(crate) peer: TransportKey,
    group: GroupId,
    commands: mpsc::Sender<NetworkCommand>,
    events: mpsc::Receiver<NetworkEvent>,
    backlog: VecDeque<NetworkEvent>,
    running: JoinHandle<()>,
    over: BTreeSet<SessionId>,
}

/// How a stream ended for the attacker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// All went well: the node was content.
    Content,
    /// The node refused by name, and said why if that came through before the end.
    Refused(Option<Refusal>),
}

impl Wire {
    /// Connects to the node that a code names, as the peer with this key.
    pub(crate) async fn to(code: &Code, key: &SigningKey) -> Self {
        let (sender, events) = mpsc::channel(1);
        let config = NetworkConfig {
            key: key.clone(),
            topic: domain::hash(domain::TOPIC, &[code.group.as_bytes()]),
            listen: Vec::new(),
            mdns: false,
            upnp: false,
            way: Way::default(),
            jitter: [1; 32],
        };
        let (commands, run) = Network::start(config, sender).unwrap();
        let running = tokio::spawn(run);
        let contact = code.contacts.iter().next().unwrap();
        let (peer, group) = (contact.transport, code.group);
        let (backlog, over) = (VecDeque::new(), BTreeSet::new());
        let mut wire = Self { peer, group, commands, events, backlog, running, over };
        let addresses = contact.addresses.iter().map(|a| a.as_slice().to_vec()).collect();
        wire.command(NetworkCommand::Seek { peer, addresses }).await;
        wire.wait(|event| matches!(event, NetworkEvent::Connected(_)).then_some(())).await;
        wire
    }

    pub(crate) async fn command(&self, command: NetworkCommand) {
        self.commands.send(command).await.unwrap();
    }

    /// The next event, whatever it is.
    pub(crate) async fn next(&mut self) -> NetworkEvent {
        match self.backlog.pop_front() {
            Some(event) => event,
            None => self.events.recv().await.expect("the attacker's network goes on"),
        }
    }

    /// The first event that `pick` makes something of. The others stay for later.
    pub(crate) async fn wait<T>(&mut self, mut pick: impl FnMut(&NetworkEvent) -> Option<T>) -> T {
        let found = self.backlog.iter().enumerate().find_map(|(at, e)| Some((at, pick(e)?)));
        if let Some((at, picked)) = found {
            self.backlog.remove(at);
            return picked;
        }
        loop {
            let event = self.events.recv().await.expect("the attacker's network goes on");
            match pick(&event) {
                Some(picked) => return picked,
                None => self.backlog.push_back(event),
            }
        }
    }

    /// Waits for the node to hang up.
    pub(crate) async fn disconnected(&mut self) {
        self.wait(|event| matches!(event, NetworkEvent::Disconnected(_)).then_some(())).await;
    }

    /// A stream.
    pub(crate) async fn open(&mut self, protocol: Protocol) -> SessionId {
        self.command(NetworkCommand::Open { peer: self.peer, protocol }).await;
        self.wait(|event| match event {
            NetworkEvent::SessionOpened { session, protocol: of, initiated: true, .. }
                if *of == protocol =>
            {
                Some(*session)
            }
            NetworkEvent::NotOpened { .. } => panic!("the node takes a stream"),
            _ => None,
        })
        .await
    }

    /// Says something; whether the stream still stood.
    pub(crate) async fn say_bytes(&mut self, session: SessionId, message: Vec<u8>) -> bool {
        if self.over.contains(&session) {
            return false;
        }
        self.command(NetworkCommand::Send { session, message }).await;
        let drained = self
            .wait(|event| match event {
                NetworkEvent::Drained(of) if *of == session => Some(true),
                NetworkEvent::SessionClosed(of) if *of == session => Some(false),
                _ => None,
            })
            .await;
        if !drained {
            self.over.insert(session);
        }
        drained
    }

    pub(crate) async fn say(&mut self, session: SessionId, message: &Message) -> bool {
        self.say_bytes(session, message.to_bytes()).await
    }

    /// What the node says next; `None` if it says no more.
    pub(crate) async fn hear_bytes(&mut self, session: SessionId) -> Option<Vec<u8>> {
        let over = self.over.contains(&session);
        let message = |event: &NetworkEvent| match event {
            NetworkEvent::Message { session: of, message } if *of == session => {
                Some(Some(message.clone()))
            }
            NetworkEvent::SessionClosed(of) if *of == session => Some(None),
            _ => None,
        };
        if over && !self.backlog.iter().any(|event| message(event).is_some()) {
            return None;
        }
        let heard = self.wait(message).await;
        match &heard {
            Some(_) => self.command(NetworkCommand::Taken { session }).await,
            None => drop(self.over.insert(session)),
        }
        heard
    }

    pub(crate) async fn hear(&mut self, session: SessionId) -> Option<Message> {
        Some(Message::from_bytes(&self.hear_bytes(session).await?).unwrap())
    }

    pub(crate) async fn hear_join(&mut self, session: SessionId) -> Option<JoinMessage> {
        Some(JoinMessage::from_bytes(&self.hear_bytes(session).await?).unwrap())
    }

    pub(crate) fn hello(&self) -> Message {
        Message::Hello {
            version: SYNC_VERSION,
            group: self.group,
            frontier: FrontierDigest([0; 32]),
            seen: Seen::default(),
        }
    }

    /// A stream on which both ends have greeted; and what the node said to that.
    pub(crate) async fn greet(&mut self) -> (SessionId, Message) {
        let session = self.open(Protocol::Sync).await;
        let hello = self.hello();
        assert!(self.say(session, &hello).await);
        assert!(matches!(self.hear(session).await, Some(Message::Hello { .. })));
        let answer = self.hear(session).await.expect("an answer to a greeting");
        (session, answer)
    }

    /// A stream on which a member may synchronise: the node has shown its frontier.
    pub(crate) async fn let_in(&mut self) -> SessionId {
        let (session, answer) = self.greet().await;
        assert_eq!(answer, Message::Welcome(Admittance::Member));
        assert!(matches!(self.hear(session).await, Some(Message::Frontier(_))));
        session
    }

    /// Hears a stream to its end.
    pub(crate) async fn ending(&mut self, session: SessionId) -> Ending {
        let mut why = None;
        loop {
            match self.hear(session).await {
                Some(Message::Done { .. }) => {
                    self.say(session, &Message::Done { all: true }).await;
                    return Ending::Content;
                }
                Some(Message::WantPayloads(_)) => {
                    self.say(session, &Message::PayloadsDone).await;
                }
                Some(Message::Refused(refusal)) => why = Some(refusal),
                Some(_) => {}
                None => return Ending::Refused(why),
            }
        }
    }

    pub(crate) async fn end(self) {
        self.command(NetworkCommand::Shutdown).await;
        drop(self.events);
        self.running.await.unwrap();
    }
}
