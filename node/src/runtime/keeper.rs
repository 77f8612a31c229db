//! Running a keeper.
//!
//! ```text
//! thread  desk (one a store connection) ◄── jobs (bounded) ◄── streams
//! task    the Swarm and all streams
//! task    counts, over a socket in the folder and, if asked for, as metrics on loopback
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use cairn_crdt::mailbox::KeeperCode;
use libp2p::Multiaddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::{FAREWELL, Stop, failed, randomness, remove};
use crate::api::command::ApiError;
use crate::api::server;
use crate::clock;
use crate::config::{self, Ports};
use crate::keeper::home::{self, KeeperError, KeeperHome};
use crate::keeper::metrics::{Metrics, Status};
use crate::keeper::policy::{self, Limits};
use crate::keeper::storage::{Store, StoreError};
use crate::keeper::{Desk, Keeper, KeeperConfig};
use crate::storage::Home;

/// Where a keeper listens if nothing is said: always there, so that codes stay good.
const USUAL: [&str; 4] = [
    "/ip4/0.0.0.0/tcp/4224",
    "/ip4/0.0.0.0/udp/4224/quic-v1",
    "/ip6/::/tcp/4224",
    "/ip6/::/udp/4224/quic-v1",
];
/// Bytes of a status.
const STATUS_BYTES: u64 = 64 * 1024;

/// How `cairn keeper run` runs.
#[derive(Clone, Debug, Default)]
pub struct KeeperOptions {
    /// Multiaddrs to listen on; none stands for port 4224, TCP and QUIC, on every address.
    pub listen: Vec<String>,
    /// Multiaddrs under which others reach it, if its operator knows better than the system.
    pub external: Vec<String>,
    /// The URL of a PostgreSQL database; none stands for a file in the home.
    pub store: Option<String>,
    /// What may be set.
    pub limits: Limits,
    /// Where metrics are told; a loopback address.
    pub metrics: Option<SocketAddr>,
}

/// A keeper that has come up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeeperReady {
    /// Where it listens, with its peer id.
    pub listen: Vec<String>,
    /// Where metrics are told.
    pub metrics: Option<SocketAddr>,
}

/// Runs a keeper until a service manager or a terminal asks it to stop. Tells `ready` when it listens.
///
/// # Errors
/// When the folder, the store or an address cannot be used.
pub async fn keep(
    home: &Path,
    options: KeeperOptions,
    ready: impl FnOnce(KeeperReady),
) -> Result<(), ApiError> {
    let usual: Vec<String> = USUAL.map(str::to_owned).to_vec();
    let listen = config::listen(if options.listen.is_empty() { &usual } else { &options.listen })?;
    let external = addresses(&options.external)?;
    let metrics = match options.metrics {
        Some(address) => Some(metrics_listener(address).await?),
        None => None,
    };
    let folder = KeeperHome::of(home);
    let held = Home::open(folder.path())?;
    let key = folder.key(&mut randomness()?)?;
    let stop = Stop::listen()?;
    let stores = open(folder.clone(), options.store).await?;
    let peer = config::peer_text(&cairn_crdt::id::TransportKey::from_bytes(key.verifying_key()));
    let keeper = KeeperConfig {
        key,
        listen: listen.clone(),
        external: external.clone(),
        limits: options.limits,
        clock: Arc::new(clock::now),
        rng: randomness()?,
    };
    let mut keeper =
        Keeper::start(keeper, stores).map_err(|error| ApiError::unavailable(error.to_string()))?;
    let mut desks = Box::pin(work(std::mem::take(&mut keeper.desks))?);
    let counts = Arc::clone(&keeper.metrics);
    let mut listening = keeper.listening.clone();
    let (end, ended) = oneshot::channel::<()>();
    let mut network = tokio::spawn(keeper.run(async {
        drop(ended.await);
    }));

    let listens = async { listening.wait_for(|up| covers(&listen, up)).await.is_ok() };
    if timeout(FAREWELL, listens).await != Ok(true) {
        tracing::warn!("the keeper does not listen at every address that it was told to");
    }
    let socket = folder.socket();
    let statuses = tokio::spawn(tell_status(server::bind(&socket)?, Arc::clone(&counts)));
    let told = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
    let metrics = metrics.map(|listener| tokio::spawn(tell_metrics(listener, counts)));
    let up = listening.borrow_and_update().clone();
    let reached = reached(&external, &up);
    folder.remember(&reached)?;
    let remembering = tokio::spawn(remember(folder, external, listening));
    let listen = up.iter().map(|address| format!("{address}/p2p/{peer}")).collect();
    ready(KeeperReady { listen, metrics: told });

    let failure = tokio::select! {
        _ = &mut network => true,
        () = &mut desks => true,
        () = stop.wait() => false,
    };
    tracing::info!("the keeper stops");
    drop(end);
    if !network.is_finished() {
        drop(timeout(FAREWELL, network).await);
    }
    for task in [Some(statuses), metrics, Some(remembering)].into_iter().flatten() {
        task.abort();
    }
    if !failure {
        drop(timeout(FAREWELL, desks).await);
    }
    remove(&socket);
    drop(held);
    if failure { Err(failed()) } else { Ok(()) }
}

/// Makes an invitation for one mailbox, also while the keeper runs.
///
/// # Errors
/// When no keeper has run in this home, or its store cannot be used.
pub async fn keeper_invite(
    home: &Path,
    store: Option<String>,
    written: &[String],
) -> Result<KeeperCode, ApiError> {
    let (folder, addresses) = (KeeperHome::of(home), addresses(written)?);
    let mut rng = randomness()?;
    blocking(move || {
        let mut opened = existing(&folder, store.as_deref())?;
        folder.invite(&mut *opened, clock::now(), &mut rng, &addresses)
    })
    .await
}

/// How the keeper of a home is.
///
/// # Errors
/// When no keeper has run in this home, or its store cannot be used.
pub async fn keeper_status(home: &Path, store: Option<String>) -> Result<Status, ApiError> {
    let folder = KeeperHome::of(home);
    let running = ask_status(&folder).await.unwrap_or_default();
    let held = blocking(move || {
        let mut opened = existing(&folder, store.as_deref())?;
        Ok(home::status(&mut *opened)?)
    })
    .await?;
    let Status { mailboxes, records, bytes, invitations, .. } = held;
    Ok(Status { mailboxes, records, bytes, invitations, ..running })
}

/// The store of a keeper that has run. Neither a folder nor a store is made by looking into it: an
/// invitation in another store than the keeper's would be good for nothing.
fn existing(folder: &KeeperHome, store: Option<&str>) -> Result<Box<dyn Store>, KeeperError> {
    if !folder.path().exists() || (store.is_none() && !folder.has_store()) {
        return Err(KeeperError::None);
    }
    folder.store(store)
}

fn addresses(written: &[String]) -> Result<Vec<Multiaddr>, ApiError> {
    written
        .iter()
        .map(|text| {
            text.parse().map_err(|_| {
                ApiError::usage(format!("\"{text}\" is no address"))
                    .hinted("For example /dns/keeper.example.org/tcp/4224.")
            })
        })
        .collect()
}

/// The connections to a store: one to a file, several to a database.
async fn open(folder: KeeperHome, store: Option<String>) -> Result<Vec<Box<dyn Store>>, ApiError> {
    blocking(move || {
        let first = folder.store(store.as_deref())?;
        let more = if first.shared() { policy::SHARED_WORKERS.saturating_sub(1) } else { 0 };
        let mut stores = vec![first];
        for _ in 0..more {
            stores.push(folder.store(store.as_deref())?);
        }
        Ok(stores)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeeperError> + Send + 'static,
) -> Result<T, ApiError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| failed())??)
}

/// Starts a thread for each desk; resolves when all have ended. They end when the network has, and
/// before that only if something is wrong.
fn work(desks: Vec<Desk>) -> Result<impl Future<Output = ()>, ApiError> {
    let mut ends = Vec::new();
    for desk in desks {
        let (ended, has_ended) = oneshot::channel::<()>();
        let run = move || {
            desk.run();
            drop(ended);
        };
        std::thread::Builder::new().name("desk".to_owned()).spawn(run).map_err(|_| failed())?;
        ends.push(has_ended);
    }
    Ok(async move {
        for end in ends {
            drop(end.await);
        }
    })
}

fn covers(asked: &[Multiaddr], up: &[Multiaddr]) -> bool {
    let up: Vec<Vec<u8>> = up.iter().map(Multiaddr::to_vec).collect();
    Ports::cover(asked, &up)
}

/// Where others reach the keeper: as its operator says, else where it listens, this machine's own
/// addresses only if there are no others.
fn reached(external: &[Multiaddr], listening: &[Multiaddr]) -> Vec<Multiaddr> {
    if !external.is_empty() {
        return external.to_vec();
    }
    let local = |address: &&Multiaddr| config::is_loopback(&address.to_vec());
    let open: Vec<Multiaddr> =
        listening.iter().filter(|address| !local(address)).cloned().collect();
    if open.is_empty() { listening.to_vec() } else { open }
}

async fn remember(
    folder: KeeperHome,
    external: Vec<Multiaddr>,
    mut listening: watch::Receiver<Vec<Multiaddr>>,
) {
    while listening.changed().await.is_ok() {
        let up = listening.borrow_and_update().clone();
        if let Err(error) = folder.remember(&reached(&external, &up)) {
            tracing::warn!(%error, "where the keeper is reached was not written down");
        }
    }
}

async fn tell_status(listener: UnixListener, counts: Arc<Metrics>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let status = serde_json::to_vec(&counts.complete(Status::default())).unwrap_or_default();
        // Whoever asked may be gone; nobody is waited for.
        drop(timeout(FAREWELL, stream.write_all(&status)).await);
    }
}

async fn ask_status(folder: &KeeperHome) -> Option<Status> {
    let stream = UnixStream::connect(folder.socket()).await.ok()?;
    let mut bytes = Vec::new();
    let read = stream.take(STATUS_BYTES);
    tokio::pin!(read);
    timeout(FAREWELL, read.read_to_end(&mut bytes)).await.ok()?.ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Metrics are for this machine alone: whoever sees them sees when a group is awake.
async fn metrics_listener(address: SocketAddr) -> Result<TcpListener, ApiError> {
    if !address.ip().is_loopback() {
        return Err(ApiError::usage(format!("metrics are not told at {address}"))
            .hinted("They are for this machine only: name an address like 127.0.0.1:9224."));
    }
    TcpListener::bind(address).await.map_err(|error| {
        ApiError::unavailable(format!("metrics cannot be told at {address}: {}", error.kind()))
    })
}

async fn tell_metrics(listener: TcpListener, counts: Arc<Metrics>) {
    let routes = Router::new()
        .route("/metrics", get(|State(counts): State<Arc<Metrics>>| async move { counts.text() }))
        .with_state(counts);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::warn!(kind = %error.kind(), "metrics are no longer told");
    }
}

impl From<KeeperError> for ApiError {
    fn from(error: KeeperError) -> Self {
        let message = error.to_string();
        match error {
            KeeperError::None => Self::new("not-found", message).hinted(
                "Start one with `cairn keeper run`, or name the --store that it runs with.",
            ),
            KeeperError::NoAddress => Self::unavailable(message)
                .hinted("Run the keeper once, or name its address with --address."),
            KeeperError::TooMany => {
                Self::unavailable(message).hinted("They end by themselves after 60 days.")
            }
            KeeperError::Key => {
                Self::unavailable(message).hinted("Restore the keeper's folder from a backup.")
            }
            KeeperError::Store(StoreError::Unreachable(_)) => {
                Self::unavailable(message).hinted("See whether the database runs, and the --store.")
            }
            KeeperError::Store(StoreError::TooNew) => {
                Self::unavailable(message).hinted("Run the version that wrote it, or a newer one.")
            }
            KeeperError::Store(_) | KeeperError::File(..) => Self::unavailable(message),
        }
    }
}
