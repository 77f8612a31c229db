//! A keeper: an always-on node that holds records that it cannot read (M1–M5).
//!
//! ```text
//! stream ─► frames ─► visit ─► desk (a thread) ─► mailbox (rules) ─► storage
//!                       ▲            │
//!                       └── news ────┘
//! ```
//!
//! It is a node of its own, with a key of its own; it knows nothing of groups, members or documents.
//! On the same Swarm it offers a relay, says who can be reached, and takes part in a hash table.
//! [`client`] is the other end of its protocol.
//!
//! What must stay true:
//!
//! - It writes no address and no peer id to disk or to the log, and forgets them with the connection.
//! - Everything that a stranger can make grow has a bound in [`policy`] or `cairn_crdt::limits`.
//! - What is acknowledged is on disk (S4).

mod behaviour;
pub mod client;
mod desk;
mod frames;
pub mod home;
mod mailbox;
pub mod metrics;
pub mod policy;
mod rates;
mod service;
pub mod storage;
mod streams;
#[cfg(test)]
mod tests;
mod visit;

use std::sync::{Arc, Mutex};

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::TransportKey;
use libp2p::Multiaddr;
use rand_chacha::ChaCha20Rng;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::behaviour::TABLE;
pub use self::desk::{Clock, Desk};
use self::desk::{Shared, Watched};
use self::metrics::Metrics;
use self::policy::Limits;
use self::rates::Rates;
use self::service::{Announced, Service};
use self::storage::Store;
use self::visit::{House, Rooms};
use crate::network::NetworkError;

/// What a keeper needs to start.
pub struct KeeperConfig {
    /// Its libp2p identity.
    pub key: SigningKey,
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Where others reach it, if its operator knows better than the system.
    pub external: Vec<Multiaddr>,
    /// What its operator set.
    pub limits: Limits,
    /// What time it is.
    pub clock: Clock,
    /// Seeded by the operating system.
    pub rng: ChaCha20Rng,
}

/// A keeper that was started: its parts, to be run by whoever started it.
pub struct Keeper {
    /// To be run on threads of their own. They end when the network has ended.
    pub desks: Vec<Desk>,
    /// Where it listens, as it changes.
    pub listening: watch::Receiver<Vec<Multiaddr>>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    service: Service,
}

impl Keeper {
    /// Starts to listen. Nothing happens until [`Keeper::run`] and the desks are run. Each store gets
    /// a desk; several must lead to the same data. To be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When the key cannot be used or an address cannot be listened on.
    pub fn start(config: KeeperConfig, stores: Vec<Box<dyn Store>>) -> Result<Self, NetworkError> {
        let KeeperConfig { key, listen, external, limits, clock, rng } = config;
        let swarm = service::swarm(&key, &listen, &external, &limits)?;
        let (sender, jobs) = mpsc::channel(policy::JOBS);
        let (watched, metrics) = (Watched::default(), Arc::new(Metrics::default()));
        let others = stores.iter().any(|store| store.shared());
        let shared = Shared {
            limits,
            clock: Arc::clone(&clock),
            watched: watched.clone(),
            metrics: Arc::clone(&metrics),
            rates: Arc::new(Mutex::new(Rates::new(limits.mailbox_rate))),
            jobs: Arc::new(Mutex::new(jobs)),
        };
        let desks = stores.into_iter().map(|store| Desk::new(store, shared.clone())).collect();
        let house = House {
            keeper: TransportKey::from_bytes(key.verifying_key()),
            limits,
            clock,
            jobs: sender,
            watched,
            rooms: Rooms::default(),
            metrics: Arc::clone(&metrics),
        };
        let (tell, listening) = watch::channel(Vec::new());
        let announced = Announced::of(&listen, &external);
        let service = Service::new(swarm, house, rng, tell, announced, others);
        Ok(Self { desks, listening, metrics, service })
    }

    /// Deletes what is over when it is told to, besides what the keeper does by itself.
    #[must_use]
    pub fn sweeper(&self) -> Sweeper {
        Sweeper(self.service.jobs())
    }

    /// Runs the network until `stop` is there.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { desks, service, .. } = self;
        drop(desks);
        service.run(stop).await;
    }
}

/// Tells a keeper's store to delete what is over.
#[derive(Clone)]
pub struct Sweeper(mpsc::WeakSender<desk::Job>);

impl Sweeper {
    /// Resolves when it is done, or the keeper has ended.
    pub async fn sweep(&self) {
        let (done, is_done) = oneshot::channel();
        if let Some(jobs) = self.0.upgrade() {
            drop(jobs.send(desk::Job::Sweep(Some(done))).await);
        }
        drop(is_done.await);
    }
}
