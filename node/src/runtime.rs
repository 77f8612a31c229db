//! Running a home. The only file that starts threads and tasks.
//!
//! ```text
//! thread  driver ◄── inbox (bounded) ◄── API server, networks, signals
//!    └── NetworkCommand ──► one task a persona: its Swarm; one more that hands its events on
//! ```
//!
//! The driver's thread may block on the disk; nothing else does. Each channel is bounded: who
//! produces more than the driver takes waits.

mod keeper;

use std::path::Path;
use std::time::Duration;

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{GroupId, TransportKey};
use cairn_crdt::identity::seed::Seed;
use futures::future::{pending, select_all};
use libp2p::Multiaddr;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::api::command::{Answer, ApiError, Request};
use crate::api::server;
use crate::clock;
use crate::config::{self, Way};
use crate::driver::incoming::{Incoming, NetworkId};
use crate::driver::{Connections, Driver, Networks, SEED_SETTING};
use crate::keeper::client::{Access, Ask, ClientConfig, KeeperClient};
use crate::network::{
    Finding, FindingCommand, FindingConfig, Network, NetworkCommand, NetworkConfig, NetworkError,
    to_keepers,
};
use crate::storage::{Home, SALT_FILE, StorageError, Store as _};

pub use self::keeper::{KeeperOptions, KeeperReady, keep, keeper_invite, keeper_status};
pub use crate::config::UpOptions;

/// Things that wait for the driver before whoever brings more has to wait.
const INBOX: usize = 64;
/// Events of one network that wait on their way to the inbox.
const EVENTS: usize = 16;
/// Things that the driver takes in before it writes to disk.
const BATCH: usize = 256;
/// The longest sleep: a clock that is set while the driver sleeps is noticed after this.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How long what has begun may take to end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Makes the store of a home, and returns the 24 recovery words, which are shown once.
///
/// # Errors
/// When there is a store already, or it cannot be written.
pub fn init(home: &Path, passphrase: &str) -> Result<Vec<Zeroizing<String>>, ApiError> {
    if passphrase.is_empty() {
        return Err(ApiError::usage("the passphrase is empty"));
    }
    let home = Home::open(home)?;
    let mut rng = randomness()?;
    let mut store = home.init(passphrase)?;
    let seed = Seed::generate(&mut rng);
    store.set_setting(SEED_SETTING, seed.to_bytes().as_slice())?;
    Ok(seed.words())
}

/// A home opened by this process, without a network: what is written goes out with the next
/// [`up`].
pub struct Offline {
    driver: Driver,
}

impl Offline {
    /// Opens the store.
    ///
    /// # Errors
    /// When there is none, another process has it, or the passphrase is wrong.
    pub fn open(home: &Path, passphrase: &str) -> Result<Self, ApiError> {
        let store = existing(home)?.unlock(passphrase)?;
        let (now, rng) = (clock::now(), randomness()?);
        let driver = Driver::open(now, home.to_owned(), Box::new(store), rng, None)?;
        Ok(Self { driver })
    }

    /// One question, one answer.
    ///
    /// # Errors
    /// As the node itself would answer; `unavailable` for what needs a network.
    pub fn call(&mut self, request: Request) -> Result<Answer, ApiError> {
        let (answer, mut answered) = oneshot::channel();
        self.driver.handle(clock::now(), Incoming::Ask { request, answer });
        self.driver.finish(clock::now());
        answered.try_recv().unwrap_or_else(|_| {
            Err(ApiError::unavailable("this needs a running node")
                .hinted("Start it with `cairn up`."))
        })
    }
}

/// A node that has come up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ready {
    /// Where others reach it, with peer ids, for all groups.
    pub listen: Vec<String>,
    /// The socket of the local API.
    pub api: String,
    /// In how many groups its person is.
    pub groups: usize,
}

/// Runs the node of a home until it is asked to stop, by [`Request::Shutdown`] or by the signal of
/// a service manager or a terminal. Tells `ready` when it answers and listens.
///
/// # Errors
/// When the home cannot be opened, an address cannot be listened on, or the node fails.
pub async fn up(
    home: &Path,
    passphrase: &str,
    options: UpOptions,
    ready: impl FnOnce(Ready),
) -> Result<(), ApiError> {
    let home = existing(home)?;
    let passphrase = Zeroizing::new(passphrase.to_owned());
    let unlocked = tokio::task::spawn_blocking(move || {
        home.clear_bundles();
        let store = home.unlock(&passphrase);
        (home, store)
    });
    let (home, store) = unlocked.await.map_err(|_| failed())?;
    let mut store = Box::new(store?);
    let way = config::choose_way(store.as_mut(), &options)?;
    let listen = if way.listens() { config::listen(&options.listen)? } else { Vec::new() };
    let stop = Stop::listen()?;
    let groups = store.groups()?.len();

    let (inbox, incoming) = mpsc::channel(INBOX);
    let (alive, mut all_gone) = mpsc::channel(1);
    let swarms = Swarms {
        handle: Handle::current(),
        inbox: inbox.clone(),
        mdns: options.mdns,
        upnp: options.upnp,
        way,
        rng: randomness()?,
        alive,
    };
    let usual = options.listen.is_empty();
    let connections = Connections { networks: Box::new(swarms), listen, usual, way };
    let (rng, folder) = (randomness()?, home.path().to_owned());
    let open = move || Driver::open(clock::now(), folder, store, rng, Some(connections));
    let mut driving = drive(open, incoming).await?;

    let socket = home.socket();
    let listener = match server::bind(&socket) {
        Ok(listener) => listener,
        Err(error) => {
            drop(inbox.send(Incoming::Stop).await);
            drop((&mut driving).await);
            return Err(error);
        }
    };
    let (close, closed) = oneshot::channel::<()>();
    let serving = tokio::spawn(server::serve(listener, inbox.clone(), async {
        drop(closed.await);
    }));
    let listen = listening(&inbox).await;
    ready(Ready { listen, api: socket.display().to_string(), groups });

    let ended = tokio::select! {
        ended = &mut driving => ended,
        () = stop.wait() => {
            drop(inbox.send(Incoming::Stop).await);
            (&mut driving).await
        }
    };
    tracing::info!("the node stops");
    drop(inbox);
    drop(close);
    drop(timeout(FAREWELL, serving).await);
    // Every network holds a sender until it has said farewell.
    drop(timeout(FAREWELL, all_gone.recv()).await);
    remove(&socket);
    ended.map_err(|_| failed())
}

/// Opens the home, if there is a store in it. A folder is not made by looking into it.
fn existing(home: &Path) -> Result<Home, ApiError> {
    if !home.join(SALT_FILE).exists() {
        return Err(StorageError::NoStore.into());
    }
    Ok(Home::open(home)?)
}

fn randomness() -> Result<ChaCha20Rng, ApiError> {
    Ok(clock::randomness().ok_or(StorageError::NoRandomness)?)
}

fn failed() -> ApiError {
    ApiError::new("failed", "the node has failed and was ended")
        .hinted("Nothing that was saved is lost. Start it again with `cairn up`.")
}

fn remove(socket: &Path) {
    if let Err(error) = std::fs::remove_file(socket) {
        tracing::warn!(kind = %error.kind(), "the socket could not be removed");
    }
}

/// Asks the driver where it listens; nothing is known after a while, nothing is said.
async fn listening(inbox: &mpsc::Sender<Incoming>) -> Vec<String> {
    let (tell, told) = oneshot::channel();
    drop(inbox.send(Incoming::WhenListening(tell)).await);
    told.await.unwrap_or_default()
}

/// Opens a driver on a thread of its own and runs it there. Resolves when it is open; what it
/// returns resolves when the driver has ended and its store is closed.
async fn drive(
    open: impl FnOnce() -> Result<Driver, ApiError> + Send + 'static,
    inbox: mpsc::Receiver<Incoming>,
) -> Result<oneshot::Receiver<()>, ApiError> {
    let handle = Handle::current();
    let (opened, is_open) = oneshot::channel();
    let (ended, has_ended) = oneshot::channel();
    let run = move || {
        let _inside = handle.enter();
        match open() {
            Ok(driver) => {
                drop(opened.send(Ok(())));
                run(driver, inbox, &handle);
                let _ = ended.send(());
            }
            Err(error) => drop(opened.send(Err(error))),
        }
    };
    std::thread::Builder::new().name("driver".to_owned()).spawn(run).map_err(|_| failed())?;
    is_open.await.map_err(|_| failed())??;
    Ok(has_ended)
}

/// The loop: sleeps until something comes or is due, takes in all that waits, and lets the driver
/// write and send once for all of it.
fn run(mut driver: Driver, mut inbox: mpsc::Receiver<Incoming>, handle: &Handle) {
    while !driver.is_stopped() {
        let first = handle.block_on(next(&driver, &mut inbox));
        let more = std::iter::from_fn(|| inbox.try_recv().ok());
        for incoming in first.into_iter().chain(more).take(BATCH) {
            driver.handle(clock::now(), incoming);
        }
        driver.finish(clock::now());
    }
}

/// The next thing for the driver; `None` if it has something to do by itself.
async fn next(driver: &Driver, inbox: &mut mpsc::Receiver<Incoming>) -> Option<Incoming> {
    let rest = driver.next_wake().map(|at| clock::until(clock::now(), at).min(LONGEST_SLEEP));
    let rooms: Vec<_> = driver.crowded().map(|network| Box::pin(network.reserve())).collect();
    let room = async {
        match rooms.is_empty() {
            true => pending::<()>().await,
            false => drop(select_all(rooms).await),
        }
    };
    let rooms: Vec<_> = driver.crowded_keepers().map(|keeper| Box::pin(keeper.reserve())).collect();
    let keepers = async {
        match rooms.is_empty() {
            true => pending::<()>().await,
            false => drop(select_all(rooms).await),
        }
    };
    tokio::select! {
        biased;
        // Nobody is left who could bring anything.
        incoming = inbox.recv() => Some(incoming.unwrap_or(Incoming::Stop)),
        () = room => None,
        () = keepers => None,
        () = sleep(rest.unwrap_or(LONGEST_SLEEP)) => None,
    }
}

/// Starts the Swarms of personas.
struct Swarms {
    handle: Handle,
    inbox: mpsc::Sender<Incoming>,
    mdns: bool,
    upnp: bool,
    way: Way,
    rng: ChaCha20Rng,
    alive: mpsc::Sender<()>,
}

impl Networks for Swarms {
    fn start(
        &mut self,
        id: NetworkId,
        group: GroupId,
        key: &SigningKey,
        topic: [u8; 32],
        listen: Vec<Multiaddr>,
    ) -> Result<mpsc::Sender<NetworkCommand>, NetworkError> {
        let mut jitter = [0; 32];
        self.rng.fill_bytes(&mut jitter);
        let key = SigningKey::from_seed(&key.to_seed());
        let (sender, mut events) = mpsc::channel(EVENTS);
        let config = NetworkConfig {
            key,
            topic,
            listen,
            mdns: self.mdns,
            upnp: self.upnp,
            way: self.way,
            jitter,
        };
        let (commands, network) = Network::start(config, sender)?;
        let (inbox, alive) = (self.inbox.clone(), self.alive.clone());
        self.handle.spawn(async move {
            network.await;
            drop(alive);
        });
        self.handle.spawn(async move {
            while let Some(event) = events.recv().await {
                if inbox.send(Incoming::Network { group, network: id, event }).await.is_err() {
                    return;
                }
            }
            drop(inbox.send(Incoming::NetworkEnded { group, network: id }).await);
        });
        Ok(commands)
    }

    fn keeper(
        &mut self,
        client: NetworkId,
        group: GroupId,
        keeper: TransportKey,
        addresses: Vec<Vec<u8>>,
    ) -> mpsc::Sender<Ask> {
        let (sender, mut events) = mpsc::channel(EVENTS);
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let rng = ChaCha20Rng::from_seed(seed);
        let config = ClientConfig {
            keeper,
            addresses,
            transport: to_keepers(self.way),
            access: Access::Nothing,
            seen: None,
            rng,
        };
        let (asks, running) = KeeperClient::start(config, sender);
        let inbox = self.inbox.clone();
        self.handle.spawn(running);
        self.handle.spawn(async move {
            while let Some(event) = events.recv().await {
                if inbox.send(Incoming::Keeper { group, keeper, client, event }).await.is_err() {
                    return;
                }
            }
        });
        asks
    }

    fn finding(&mut self, finding: NetworkId, group: GroupId) -> mpsc::Sender<FindingCommand> {
        let (sender, mut events) = mpsc::channel(EVENTS);
        let mut random = [0; 32];
        self.rng.fill_bytes(&mut random);
        let config = FindingConfig { way: self.way, random };
        let (commands, running) = Finding::start(config, sender);
        let inbox = self.inbox.clone();
        self.handle.spawn(running);
        self.handle.spawn(async move {
            while let Some(event) = events.recv().await {
                if inbox.send(Incoming::Finding { group, finding, event }).await.is_err() {
                    return;
                }
            }
        });
        commands
    }
}

/// The signals that end a node cleanly.
struct Stop {
    terminal: tokio::signal::unix::Signal,
    manager: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> Result<Self, ApiError> {
        let both = signal(SignalKind::interrupt())
            .and_then(|terminal| Ok(Self { terminal, manager: signal(SignalKind::terminate())? }));
        both.map_err(|_| ApiError::unavailable("the system's stop signals cannot be waited for"))
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminal.recv() => {}
            _ = self.manager.recv() => {}
        }
    }
}
