//! A keeper on loopback with a clock in the test's hand, and clients that are asked like functions.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_crdt::codec::Bytes;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{AccessKey, ControlKey, MailboxId, TransportKey};
use cairn_crdt::mailbox::access::{NewGeneration, SignedGeneration};
use cairn_crdt::mailbox::message::{MailboxState, NewRecord};
use cairn_crdt::mailbox::{Generation, erase_hash};
use cairn_crdt::time::Timestamp;
use cairn_node::keeper::client::{
    Access, Ask, ClientConfig, ClientEvent, Failure, KeeperClient, Seen, Told, Wish, direct,
};
use cairn_node::keeper::metrics::Metrics;
use cairn_node::keeper::policy::Limits;
use cairn_node::keeper::storage::sqlite::SqliteStore;
use cairn_node::keeper::{Keeper, KeeperConfig, Sweeper, home};
use libp2p::Multiaddr;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const START: u64 = 1_790_000_000_000;

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

/// A running keeper.
pub(crate) struct House {
    pub(crate) address: Multiaddr,
    pub(crate) key: TransportKey,
    pub(crate) path: PathBuf,
    now: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
    sweeper: Sweeper,
    stop: Option<oneshot::Sender<()>>,
    ended: Vec<std::thread::JoinHandle<()>>,
    _folder: Option<tempfile::TempDir>,
}

impl House {
    pub(crate) async fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keeper.db");
        Self { _folder: Some(folder), ..Self::at(path, limits, START).await }
    }

    /// A keeper over a store that may be there already.
    pub(crate) async fn at(path: PathBuf, limits: Limits, now: u64) -> Self {
        let now = Arc::new(AtomicU64::new(now));
        let clock = Arc::clone(&now);
        let own = key(250);
        let public = TransportKey::from_bytes(own.verifying_key());
        let config = KeeperConfig {
            key: own,
            listen: vec!["/ip4/127.0.0.2/tcp/0".parse().unwrap()],
            external: Vec::new(),
            limits,
            clock: Arc::new(move || Timestamp::from_millis(clock.load(Ordering::SeqCst))),
            rng: ChaCha20Rng::from_seed([9; 32]),
        };
        let store = Box::new(SqliteStore::open(&path).unwrap());
        let mut keeper = Keeper::start(config, vec![store]).unwrap();
        let desks = std::mem::take(&mut keeper.desks);
        let ended = desks.into_iter().map(|desk| std::thread::spawn(|| desk.run())).collect();
        let (mut listening, sweeper) = (keeper.listening.clone(), keeper.sweeper());
        let metrics = Arc::clone(&keeper.metrics);
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(keeper.run(async {
            drop(stopped.await);
        }));
        let up = timeout(PATIENCE, listening.wait_for(|up| !up.is_empty())).await;
        let address = up.unwrap().unwrap()[0].clone();
        Self {
            address,
            key: public,
            path,
            now,
            metrics,
            sweeper,
            stop: Some(stop),
            ended,
            _folder: None,
        }
    }

    /// Waits until the keeper has counted so many of something.
    pub(crate) async fn counted(&self, name: &str, at_least: u64) {
        let count = || {
            let text = self.metrics.text();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse::<u64>().unwrap()
        };
        let waiting = async {
            while count() < at_least {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap();
    }

    pub(crate) fn pass(&self, millis: u64) {
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    /// Deletes what is over, as the keeper does by itself every minute.
    pub(crate) async fn sweep(&self) {
        let sender = self.sweeper.clone();
        timeout(PATIENCE, sender.sweep()).await.unwrap();
    }

    /// What the operator does: an invitation.
    pub(crate) fn invitation(&self, number: u8) -> Zeroizing<[u8; 32]> {
        let mut store = SqliteStore::open(&self.path).unwrap();
        home::add_invitation(&mut store, self.now(), &[number; 32]).unwrap();
        Zeroizing::new([number; 32])
    }

    /// Stops; the store's file can be looked at then.
    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        let ended = std::mem::take(&mut self.ended);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in ended {
                thread.join().unwrap();
            }
        });
        timeout(PATIENCE, joined).await.unwrap().unwrap();
    }

    pub(crate) fn guest(&self, access: Access) -> Guest {
        self.guest_that_saw(access, None)
    }

    pub(crate) fn guest_that_saw(&self, access: Access, seen: Option<Seen>) -> Guest {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let config = ClientConfig {
            keeper: self.key,
            addresses: vec![self.address.to_vec()],
            transport: direct(),
            access,
            seen,
            rng: ChaCha20Rng::seed_from_u64(number),
        };
        let (sender, events) = mpsc::channel(64);
        let (asks, client) = KeeperClient::start(config, sender);
        tokio::spawn(client);
        let identity = identity(number);
        Guest { asks, events, other: Vec::new(), next: 0, identity }
    }

    /// A mailbox of generation 1, made, and someone in it.
    pub(crate) async fn mailbox(&self, box_: &Mailbox) -> Guest {
        let mut guest = self.guest(Access::Nothing);
        guest.up().await;
        let secret = self.invitation(box_.0);
        assert_eq!(guest.ask(box_.create(secret)).await, Ok(Told::Created));
        guest.open(box_.access(1)).await.unwrap().unwrap();
        guest
    }
}

/// A mailbox's keys, all from one number.
#[derive(Clone, Copy)]
pub(crate) struct Mailbox(pub(crate) u8);

impl Mailbox {
    pub(crate) fn owner(self) -> SigningKey {
        key(self.0)
    }

    pub(crate) fn id(self) -> MailboxId {
        MailboxId::from_bytes(self.owner().verifying_key())
    }

    pub(crate) fn access_key(self, generation: u8) -> SigningKey {
        SigningKey::from_seed(&[self.0, generation, 101].repeat(11)[..32].try_into().unwrap())
    }

    pub(crate) fn control_key(self, generation: u8) -> SigningKey {
        SigningKey::from_seed(&[self.0, generation, 102].repeat(11)[..32].try_into().unwrap())
    }

    pub(crate) fn access(self, generation: u8) -> Access {
        Access::Mailbox { mailbox: self.id(), key: self.access_key(generation) }
    }

    pub(crate) fn create(self, secret: Zeroizing<[u8; 32]>) -> Wish {
        Wish::Create {
            secret,
            owner: self.id(),
            access: AccessKey::from_bytes(self.access_key(1).verifying_key()),
            control: ControlKey::from_bytes(self.control_key(1).verifying_key()),
        }
    }

    /// Generation `number`, signed with `by`.
    pub(crate) fn next(self, number: u8, by: &SigningKey) -> SignedGeneration {
        self.other(number, number, by)
    }

    /// Generation `number` with the keys of `keys`.
    pub(crate) fn other(self, number: u8, keys: u8, by: &SigningKey) -> SignedGeneration {
        NewGeneration {
            mailbox: self.id(),
            generation: Generation(u64::from(number)),
            access: AccessKey::from_bytes(self.access_key(keys).verifying_key()),
            control: ControlKey::from_bytes(self.control_key(keys).verifying_key()),
            rekey: Bytes::new(rekey(keys)).unwrap(),
        }
        .sign(by)
    }
}

/// The wrapped keys of a generation, as the keeper sees them.
pub(crate) fn rekey(keys: u8) -> Vec<u8> {
    vec![keys; 600]
}

/// A record that differs from others by its number, of this size.
pub(crate) fn record(number: u32, size: usize) -> NewRecord {
    let mut bytes = vec![7; size];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    NewRecord {
        priority: false,
        erase: erase_hash(&token(number)),
        bytes: Bytes::new(bytes).unwrap(),
    }
}

pub(crate) fn token(number: u32) -> [u8; 32] {
    let mut token = [1; 32];
    token[..4].copy_from_slice(&number.to_be_bytes());
    token
}

/// A client, asked like a function.
pub(crate) struct Guest {
    asks: mpsc::Sender<Ask>,
    events: mpsc::Receiver<ClientEvent>,
    other: Vec<ClientEvent>,
    next: u64,
    /// Of its first connection.
    pub(crate) identity: [u8; 32],
}

/// The public key of the first throw-away identity that comes from this number.
fn identity(number: u64) -> [u8; 32] {
    let mut seed = [0; 32];
    ChaCha20Rng::seed_from_u64(number).fill_bytes(&mut seed);
    SigningKey::from_seed(&seed).verifying_key()
}

impl Guest {
    pub(crate) async fn begin(&mut self, wish: Wish) -> u64 {
        self.next += 1;
        assert!(self.asks.send(Ask { tag: self.next, wish }).await.is_ok());
        self.next
    }

    /// The answer to an ask; other events are kept.
    pub(crate) async fn answer(&mut self, tag: u64) -> Result<Told, Failure> {
        let is_answer = |event: &ClientEvent| matches!(event, ClientEvent::Answer { tag: of, .. } if *of == tag);
        match self.event(is_answer).await {
            ClientEvent::Answer { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn ask(&mut self, wish: Wish) -> Result<Told, Failure> {
        let tag = self.begin(wish).await;
        self.answer(tag).await
    }

    /// The first event that is so, past or to come.
    pub(crate) async fn event(&mut self, is: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
        if let Some(at) = self.other.iter().position(&is) {
            return self.other.remove(at);
        }
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap();
            if is(&event) {
                return event;
            }
            self.other.push(event);
        }
    }

    pub(crate) async fn up(&mut self) -> Option<MailboxState> {
        match self.event(|event| matches!(event, ClientEvent::Up(_))).await {
            ClientEvent::Up(state) => state,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn down(&mut self) -> String {
        match self.event(|event| matches!(event, ClientEvent::Down { .. })).await {
            ClientEvent::Down { why } => why,
            other => panic!("{other:?}"),
        }
    }

    /// What followed the generation whose key was used.
    pub(crate) async fn ended(&mut self) -> (Generation, Vec<u8>) {
        match self.event(|event| matches!(event, ClientEvent::Ended { .. })).await {
            ClientEvent::Ended { generation, rekey } => (generation, rekey),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn open(&mut self, access: Access) -> Result<Option<MailboxState>, Failure> {
        match self.ask(Wish::Use(access, None)).await {
            Ok(Told::Opened(state)) => Ok(state),
            Ok(other) => panic!("{other:?}"),
            Err(failure) => Err(failure),
        }
    }
}
