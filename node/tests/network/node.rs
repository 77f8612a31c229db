//! One persona's network on loopback, driven by a test.

use std::collections::{BTreeSet, VecDeque};

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::effect::Verdict;
use cairn_crdt::replica::input::{Protocol, SessionId};
use cairn_node::config::Way;
use cairn_node::network::{Network, NetworkCommand, NetworkConfig, NetworkEvent};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{SAFETY, TOPIC};

/// One persona's network, driven by a test.
pub(crate) struct Node {
    pub(crate) key: TransportKey,
    pub(crate) commands: mpsc::Sender<NetworkCommand>,
    pub(crate) events: mpsc::Receiver<NetworkEvent>,
    pub(crate) backlog: VecDeque<NetworkEvent>,
    pub(crate) running: JoinHandle<()>,
    pub(crate) address: Vec<u8>,
}

impl Node {
    pub(crate) async fn start(seed: u8, listen: &str) -> Self {
        Self::start_by(seed, Some(listen), Way::default()).await
    }

    /// A node that goes by some way; its address stays empty if it listens nowhere.
    pub(crate) async fn start_by(seed: u8, listen: Option<&str>, way: Way) -> Self {
        let key = SigningKey::from_seed(&[seed; 32]);
        let public = TransportKey::from_bytes(key.verifying_key());
        let (sender, events) = mpsc::channel(1);
        let listen: Vec<_> = listen.iter().map(|address| address.parse().unwrap()).collect();
        let listens = !listen.is_empty();
        let config = NetworkConfig {
            key,
            topic: TOPIC,
            listen,
            mdns: false,
            upnp: false,
            way,
            jitter: [seed; 32],
        };
        let (commands, run) = Network::start(config, sender).unwrap();
        let running = tokio::spawn(run);
        let backlog = VecDeque::new();
        let mut node =
            Self { key: public, commands, events, backlog, running, address: Vec::new() };
        if !listens {
            return node;
        }
        node.address = node
            .wait(|event| match event {
                NetworkEvent::Listening(addresses) => addresses.first().cloned(),
                _ => None,
            })
            .await;
        node
    }

    pub(crate) async fn command(&self, command: NetworkCommand) {
        self.commands.send(command).await.unwrap();
    }

    /// The first event, of those that came and those to come, that `pick` makes something of. The
    /// others stay for later.
    pub(crate) async fn wait<T>(&mut self, mut pick: impl FnMut(&NetworkEvent) -> Option<T>) -> T {
        let found =
            self.backlog.iter().enumerate().find_map(|(at, event)| Some((at, pick(event)?)));
        if let Some((at, picked)) = found {
            self.backlog.remove(at);
            return picked;
        }
        let coming = async {
            loop {
                let event = self.events.recv().await.expect("the network goes on");
                match pick(&event) {
                    Some(picked) => break picked,
                    None => self.backlog.push_back(event),
                }
            }
        };
        timeout(SAFETY, coming).await.expect("the event comes")
    }

    pub(crate) async fn seek(&mut self, other: &Node) {
        let addresses = vec![other.address.clone()];
        self.command(NetworkCommand::Seek { peer: other.key, addresses }).await;
    }

    pub(crate) async fn connected(&mut self, to: TransportKey) {
        self.wait(|event| {
            matches!(event, NetworkEvent::Connected(key) if *key == to).then_some(())
        })
        .await;
    }

    pub(crate) async fn disconnected(&mut self, from: TransportKey) {
        self.wait(|event| {
            matches!(event, NetworkEvent::Disconnected(key) if *key == from).then_some(())
        })
        .await;
    }

    pub(crate) async fn members(&self, members: &[TransportKey]) {
        self.command(NetworkCommand::Members(BTreeSet::from_iter(members.iter().copied()))).await;
    }

    pub(crate) async fn opened(&mut self) -> (SessionId, TransportKey, Protocol, bool) {
        self.wait(|event| match event {
            NetworkEvent::SessionOpened { session, peer, protocol, initiated } => {
                Some((*session, *peer, *protocol, *initiated))
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn send(&self, session: SessionId, message: Vec<u8>) {
        self.command(NetworkCommand::Send { session, message }).await;
    }

    pub(crate) async fn message(&mut self, of: SessionId) -> Vec<u8> {
        self.wait(|event| match event {
            NetworkEvent::Message { session, message } if *session == of => Some(message.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn closed(&mut self, of: SessionId) {
        self.wait(|event| {
            matches!(event, NetworkEvent::SessionClosed(session) if *session == of).then_some(())
        })
        .await;
    }

    /// The next gossiped entry, decided at once.
    pub(crate) async fn gossip(&mut self, verdict: Verdict) -> (Vec<u8>, TransportKey) {
        let (token, bytes, from) = self
            .wait(|event| match event {
                NetworkEvent::Gossip { token, bytes, from } => Some((*token, bytes.clone(), *from)),
                _ => None,
            })
            .await;
        self.command(NetworkCommand::Verdict { token, verdict }).await;
        (bytes, from)
    }

    pub(crate) async fn stop(self) {
        self.command(NetworkCommand::Shutdown).await;
        timeout(SAFETY, self.running).await.unwrap().unwrap();
    }
}
