//! The one loop of a keeper's network. It is polled by whoever started it and starts nothing.
//!
//! No address and no peer id is kept beyond its connection, written to disk, or logged.

use std::pin::Pin;
use std::sync::Arc;

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::TransportKey;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::identity::Keypair;
use libp2p::kad;
use libp2p::kad::store::{MemoryStore, RecordStore as _};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, relay, tcp, yamux};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval};

use super::behaviour::{Behaviour, BehaviourEvent};
use super::desk::Job;
use super::metrics::Metrics;
use super::policy::{self, Limits};
use super::streams::StreamEvent;
use super::visit::{self, House};
use crate::network::{NetworkError, listening, transport};

/// A keeper's network, listening.
pub(super) struct Service {
    swarm: Swarm<Behaviour>,
    house: House,
    rng: ChaCha20Rng,
    work: FuturesUnordered<BoxFuture<'static, ()>>,
    listening: watch::Sender<Vec<Multiaddr>>,
    announced: Announced,
    /// Another process may write to the store.
    shared: bool,
}

/// Which addresses a keeper says that it can be reached at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Announced {
    /// Those that its operator named.
    Named,
    /// Those that it listens at, without this machine's own.
    Listening,
    /// Those that it listens at: it was told to listen on this machine only.
    Local,
}

impl Announced {
    pub(super) fn of(listen: &[Multiaddr], external: &[Multiaddr]) -> Self {
        if !external.is_empty() {
            Self::Named
        } else if listen.iter().any(is_loopback) {
            Self::Local
        } else {
            Self::Listening
        }
    }
}

/// A Swarm that listens where it is told to.
pub(super) fn swarm(
    key: &SigningKey,
    listen: &[Multiaddr],
    external: &[Multiaddr],
    limits: &Limits,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let mut seed = key.to_seed();
    let key = Keypair::ed25519_from_bytes(&mut *seed).map_err(|_| NetworkError::Key)?;
    let behaviour = Behaviour::new(&key, limits);
    let muxer = || {
        let mut muxer = yamux::Config::default();
        muxer.set_max_num_streams(policy::CONNECTION_STREAMS as usize);
        muxer
    };
    let mut swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, muxer)
        .map_err(|error| NetworkError::Setup(error.to_string()))?
        .with_quic_config(|mut quic| {
            quic.max_concurrent_stream_limit = policy::CONNECTION_STREAMS;
            (quic.max_stream_data, quic.max_connection_data) = policy::QUIC_WINDOWS;
            quic
        })
        .with_behaviour(|_| behaviour)
        .map_err(|error| NetworkError::Setup(error.to_string()))?
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(policy::IDLE_CONNECTION)
                .with_max_negotiating_inbound_streams(policy::CONNECTION_STREAMS as usize)
        })
        .build();
    listening::listen(&mut swarm, listen)?;
    for address in external {
        swarm.add_external_address(address.clone());
    }
    Ok(swarm)
}

impl Service {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        house: House,
        rng: ChaCha20Rng,
        listening: watch::Sender<Vec<Multiaddr>>,
        announced: Announced,
        shared: bool,
    ) -> Self {
        Self { swarm, house, rng, work: FuturesUnordered::new(), listening, announced, shared }
    }

    /// The way to the store.
    pub(super) fn jobs(&self) -> mpsc::WeakSender<Job> {
        self.house.jobs.downgrade()
    }

    /// Runs until `stop` is there; then nothing more is taken, and what was asked is answered no more.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop: Pin<&mut _> = std::pin::pin!(stop);
        let mut sweep = interval(policy::SWEEP_EVERY);
        let mut look = interval(policy::LOOK_EVERY);
        loop {
            tokio::select! {
                () = &mut stop => return,
                event = self.swarm.select_next_some() => self.event(event),
                Some(()) = self.work.next(), if !self.work.is_empty() => {}
                _ = sweep.tick() => self.sweep(),
                // Full means that the store has enough to do.
                _ = look.tick(), if self.shared => drop(self.house.jobs.try_send(Job::Look)),
            }
        }
    }

    fn sweep(&mut self) {
        drop(self.house.jobs.try_send(Job::Sweep(None)));
        let now = Instant::now().into_std();
        self.swarm.behaviour_mut().table.store_mut().retain(|_, value| !value.is_expired(now));
    }

    fn event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let metrics = Arc::clone(&self.house.metrics);
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Streams(StreamEvent::Open(peer, stream))) => {
                if let Some(client) = transport::key_of(&peer) {
                    self.serve(client, stream);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Table(event)) => self.table(event, &metrics),
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => count_relay(&event, &metrics),
            SwarmEvent::ConnectionEstablished { .. } => metrics.connections.add(1),
            SwarmEvent::ConnectionClosed { peer_id, num_established, .. } => {
                metrics.connections.take(1);
                if num_established == 0 {
                    self.swarm.behaviour_mut().table.remove_peer(&peer_id);
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                // A relay says in its reservations where it is.
                let announced = match self.announced {
                    Announced::Named => false,
                    Announced::Listening => !is_loopback(&address),
                    Announced::Local => true,
                };
                if announced {
                    self.swarm.add_external_address(address.clone());
                }
                self.listening.send_modify(|listening| listening.push(address));
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.swarm.remove_external_address(&address);
                self.listening.send_modify(|listening| listening.retain(|at| *at != address));
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => {
                tracing::warn!(kind = %error.kind(), "no longer listening at one address");
            }
            _ => {}
        }
    }

    fn serve(&mut self, client: TransportKey, stream: Box<libp2p::swarm::Stream>) {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let rng = ChaCha20Rng::from_seed(seed);
        let house = self.house.clone();
        let metrics = Arc::clone(&self.house.metrics);
        metrics.streams.add(1);
        self.work.push(Box::pin(async move {
            let ending = visit::serve(house, client, stream, rng).await;
            metrics.streams.take(1);
            tracing::debug!(?ending, "a stream is over");
        }));
    }

    /// Takes small values and nothing else, without a word of who published them.
    fn table(&mut self, event: kad::Event, metrics: &Metrics) {
        let kad::Event::InboundRequest {
            request: kad::InboundRequest::PutRecord { record: Some(mut record), .. },
        } = event
        else {
            return;
        };
        if record.key.as_ref().len() > policy::TABLE_KEY_BYTES {
            return;
        }
        let last = Instant::now().into_std().checked_add(policy::TABLE_TIME);
        record.expires = match (record.expires, last) {
            (Some(said), Some(last)) => Some(said.min(last)),
            (said, last) => said.or(last),
        };
        record.publisher = None;
        let store = self.swarm.behaviour_mut().table.store_mut();
        let mut put = store.put(record.clone());
        if matches!(put, Err(kad::store::Error::MaxRecords)) {
            make_room(store);
            put = store.put(record);
        }
        if put.is_ok() {
            metrics.table_records.add(1);
        }
    }
}

/// Lets go of those values whose time is over soonest: whoever fills the table with junk pushes out
/// older junk, and what is published again and again comes back.
fn make_room(store: &mut MemoryStore) {
    let mut ends: Vec<_> = store.records().filter_map(|record| record.expires).collect();
    ends.sort_unstable();
    let place = policy::TABLE_RECORDS.checked_div(16).unwrap_or_default();
    if let Some(end) = ends.get(place).copied() {
        store.retain(|_, record| record.expires.is_some_and(|expires| expires > end));
    }
}

fn is_loopback(address: &Multiaddr) -> bool {
    crate::config::is_loopback(&address.to_vec())
}

fn count_relay(event: &relay::Event, metrics: &Metrics) {
    match event {
        relay::Event::ReservationReqAccepted { renewed: false, .. } => metrics.reservations.add(1),
        relay::Event::ReservationClosed { .. } | relay::Event::ReservationTimedOut { .. } => {
            metrics.reservations.take(1);
        }
        relay::Event::CircuitReqAccepted { .. } => metrics.circuits.add(1),
        relay::Event::CircuitClosed { .. } => metrics.circuits.take(1),
        _ => {}
    }
}
