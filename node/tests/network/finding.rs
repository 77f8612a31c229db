//! Putting and finding records at a table that keepers hold.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use cairn_crdt::id::TransportKey;
use cairn_crdt::limits::WHEREABOUTS_BYTES;
use cairn_node::config::{Reach, Way};
use cairn_node::network::{Finding, FindingCommand, FindingConfig, FindingEvent, KeeperContact};
use futures::StreamExt as _;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, Mode};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{SAFETY, swarm};

/// A keeper as far as it holds the table.
struct Table {
    contact: KeeperContact,
    peer: PeerId,
    callers: Arc<Mutex<BTreeSet<PeerId>>>,
    running: JoinHandle<()>,
}

impl Table {
    /// One that knows these others.
    async fn start(others: &[&Table]) -> Self {
        let mut swarm: Swarm<kad::Behaviour<MemoryStore>> = swarm(|key| {
            let own = key.public().to_peer_id();
            let config = kad::Config::new(StreamProtocol::new("/cairn/kad/1"));
            let mut table = kad::Behaviour::with_config(own, MemoryStore::new(own), config);
            table.set_mode(Some(Mode::Server));
            for other in others {
                table.add_address(&other.peer, other.contact.addresses[0].clone());
            }
            table
        });
        let peer = *swarm.local_peer_id();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address: Multiaddr = timeout(SAFETY, async {
            loop {
                if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                    break address;
                }
            }
        })
        .await
        .unwrap();
        let callers: Arc<Mutex<BTreeSet<PeerId>>> = Arc::default();
        let keep = Arc::clone(&callers);
        let running = tokio::spawn(async move {
            loop {
                if let SwarmEvent::ConnectionEstablished { peer_id, .. } =
                    swarm.select_next_some().await
                {
                    keep.lock().unwrap().insert(peer_id);
                }
            }
        });
        let key = libp2p::identity::PublicKey::try_decode_protobuf(peer.as_ref().digest()).unwrap();
        let transport = TransportKey::from_bytes(key.try_into_ed25519().unwrap().to_bytes());
        let contact = KeeperContact { transport, addresses: vec![address] };
        Self { contact, peer, callers, running }
    }

    fn callers(&self) -> usize {
        self.callers.lock().unwrap().len()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.running.abort();
    }
}

struct Finder {
    commands: mpsc::Sender<FindingCommand>,
    events: mpsc::Receiver<FindingEvent>,
}

impl Finder {
    async fn start(seed: u8, way: Way, tables: &[&Table]) -> Self {
        let (sender, events) = mpsc::channel(1);
        let (commands, run) = Finding::start(FindingConfig { way, random: [seed; 32] }, sender);
        tokio::spawn(run);
        let finder = Self { commands, events };
        let keepers = tables.iter().map(|table| table.contact.clone()).collect();
        finder.command(FindingCommand::Keepers(keepers)).await;
        finder
    }

    async fn command(&self, command: FindingCommand) {
        self.commands.send(command).await.unwrap();
    }

    async fn next(&mut self) -> FindingEvent {
        timeout(SAFETY, self.events.recv()).await.unwrap().unwrap()
    }

    async fn put(&mut self, key: [u8; 32], value: Vec<u8>) {
        self.command(FindingCommand::Publish { key, value }).await;
        assert_eq!(self.next().await, FindingEvent::Published { key });
    }

    /// All that stands under a key.
    async fn look(&mut self, key: [u8; 32]) -> Vec<Vec<u8>> {
        self.command(FindingCommand::Look { key }).await;
        let mut found = Vec::new();
        loop {
            match self.next().await {
                FindingEvent::Found { key: of, value } if of == key => found.push(value),
                FindingEvent::Looked { key: of } if of == key => return found,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn value(number: u8) -> Vec<u8> {
    vec![number; WHEREABOUTS_BYTES]
}

#[tokio::test]
async fn m5_what_one_puts_another_finds_and_neither_is_who_it_was_before() {
    let table = Table::start(&[]).await;
    let mut ana = Finder::start(1, Way::default(), &[&table]).await;
    let mut ben = Finder::start(2, Way::default(), &[&table]).await;
    assert_eq!(ben.look([1; 32]).await, Vec::<Vec<u8>>::new());
    ana.put([1; 32], value(7)).await;
    ana.put([2; 32], value(8)).await;
    assert_eq!(ben.look([1; 32]).await, [value(7)]);
    assert_eq!(ben.look([2; 32]).await, [value(8)]);
    let before = table.callers();
    // Another burst, another identity.
    ben.command(FindingCommand::Keepers(Vec::new())).await;
    ben.command(FindingCommand::Keepers(vec![table.contact.clone()])).await;
    assert_eq!(ben.look([1; 32]).await, [value(7)]);
    assert_eq!(table.callers(), before + 1);
    // A record of another size is none.
    ana.command(FindingCommand::Publish { key: [3; 32], value: vec![1; 100] }).await;
    ana.put([1; 32], value(9)).await;
    assert_eq!(ben.look([3; 32]).await, Vec::<Vec<u8>>::new());
    assert_eq!(ben.look([1; 32]).await, [value(9)]);
}

#[tokio::test]
async fn m5_a_record_stands_at_every_keeper_and_waits_for_the_first() {
    let (one, two) = (Table::start(&[]).await, Table::start(&[]).await);
    let mut ana = Finder::start(1, Way::default(), &[]).await;
    ana.command(FindingCommand::Publish { key: [1; 32], value: value(7) }).await;
    let both = vec![one.contact.clone(), two.contact.clone()];
    ana.command(FindingCommand::Keepers(both)).await;
    assert_eq!(ana.next().await, FindingEvent::Published { key: [1; 32] });
    for table in [&one, &two] {
        let mut ben = Finder::start(2, Way::default(), &[table]).await;
        assert_eq!(ben.look([1; 32]).await, [value(7)]);
    }
}

#[tokio::test]
async fn m5_with_relays_only_no_server_but_the_own_keepers_is_asked() {
    let foreign = Table::start(&[]).await;
    let own = Table::start(&[&foreign]).await;
    let hidden = Way { reach: Reach::RelayOnly, proxy: None };
    let mut ana = Finder::start(1, hidden, &[&own]).await;
    ana.put([1; 32], value(7)).await;
    assert_eq!(ana.look([1; 32]).await, [value(7)]);
    assert_eq!(foreign.callers(), 0);
    let mut ben = Finder::start(2, Way::default(), &[&own]).await;
    assert_eq!(ben.look([1; 32]).await, [value(7)]);
    assert_eq!(foreign.callers(), 1, "others ask it");
}
