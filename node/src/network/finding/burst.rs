//! One burst: a Swarm with an identity of its own that asks the keepers' table, as a client only.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use cairn_crdt::limits::WHEREABOUTS_BYTES;
use futures::StreamExt as _;
use futures::future::join_all;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, GetRecordOk, Mode, ProgressStep, QueryId, QueryResult, Quorum, Record};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Swarm, connection_limits, swarm};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

use super::super::discovery::of_keeper;
use super::super::guard::Guard;
use super::super::names::look_up;
use super::super::socks::{Credentials, ProxyHealth};
use super::super::transport::{Paths, peer_of};
use super::super::{KeeperContact, NetworkError, policy};
use super::Job;
use crate::config::Way;
use crate::keeper::TABLE;

#[derive(NetworkBehaviour)]
struct Client {
    limits: connection_limits::Behaviour,
    table: kad::Behaviour<MemoryStore>,
}

/// What one step brought.
pub(super) enum Outcome {
    /// A value under a key, not told before in this burst.
    Found([u8; 32], Vec<u8>),
    /// Nothing more comes of a key.
    Looked([u8; 32]),
    /// A record stands at one keeper at least.
    Put([u8; 32]),
    /// It stands nowhere.
    NotPut([u8; 32]),
    /// Nothing to tell.
    Nothing,
}

/// A Swarm and what it does.
pub(super) struct Burst {
    swarm: Swarm<Client>,
    /// At most [`policy::FINDING_QUERIES`].
    running: Vec<(QueryId, Job)>,
    /// Values told, by a number that stands for the key and value.
    told: BTreeSet<([u8; 32], Vec<u8>)>,
    idle_since: Instant,
}

impl Burst {
    /// A Swarm with an identity made from `seed`, which knows these keepers.
    pub(super) async fn begin(
        way: Way,
        keepers: &[KeeperContact],
        seed: [u8; 32],
    ) -> Result<Self, NetworkError> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let (mut key, mut user) = ([0; 32], [0; 32]);
        rng.fill_bytes(&mut key);
        rng.fill_bytes(&mut user);
        let key = Keypair::ed25519_from_bytes(key).map_err(|_| NetworkError::Key)?;
        let own = key.public().to_peer_id();
        let credentials = Credentials::new(&user);
        let guard = Guard::new(way.circuits_only());
        let health = ProxyHealth::default();
        let paths = Paths { way, credentials, health, guard: guard.clone() };
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_pending_outgoing(Some(policy::FINDING_CONNECTIONS))
            .with_max_established(Some(policy::FINDING_CONNECTIONS));
        let known = keepers.iter().filter_map(|keeper| Some((peer_of(&keeper.transport)?, keeper)));
        let behaviour = Client {
            limits: connection_limits::Behaviour::new(limits),
            table: kad::Behaviour::with_config(own, MemoryStore::new(own), config()),
        };
        let settings = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(policy::IDLE_CONNECTION);
        let mut swarm = Swarm::new(paths.plain(&key)?, behaviour, own, settings);
        let places = known.map(|(peer, keeper)| async move {
            let written = keeper.addresses.iter().take(policy::PEER_ADDRESSES);
            let written: Vec<_> = written.filter_map(|a| of_keeper(a.clone(), &peer)).collect();
            match way.proxy {
                Some(_) => (peer, written),
                None => (peer, look_up(written).await),
            }
        });
        let places = join_all(places).await;
        let table = &mut swarm.behaviour_mut().table;
        table.set_mode(Some(Mode::Client));
        for (peer, addresses) in places {
            guard.permit(peer, &addresses);
            for address in addresses {
                table.add_address(&peer, address);
            }
        }
        Ok(Self { swarm, running: Vec::new(), told: BTreeSet::new(), idle_since: Instant::now() })
    }

    /// Whether it does this now.
    pub(super) fn does(&self, job: &Job) -> bool {
        self.running.iter().any(|(_, running)| running == job)
    }

    /// Whether one more thing can be done at the same time.
    pub(super) fn has_room(&self) -> bool {
        self.running.len() < policy::FINDING_QUERIES
    }

    /// Looks for a key.
    pub(super) fn look(&mut self, key: [u8; 32]) {
        let query = self.swarm.behaviour_mut().table.get_record(kad::RecordKey::new(&key));
        self.running.push((query, Job::Look(key)));
    }

    /// Puts a record.
    pub(super) fn put(&mut self, key: [u8; 32], value: Vec<u8>) {
        let record = Record::new(key.to_vec(), value);
        match self.swarm.behaviour_mut().table.put_record(record, Quorum::One) {
            Ok(query) => self.running.push((query, Job::Put(key))),
            Err(error) => tracing::warn!(%error, "a record of whereabouts does not fit"),
        }
    }

    /// Whether it has been idle for long enough.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ends_at().is_some_and(|end| end <= now)
    }

    /// When it will have been; `None` while it does something.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        let end = self.idle_since.checked_add(policy::BURST_IDLE);
        end.filter(|_| self.running.is_empty())
    }

    /// What it has not done.
    pub(super) fn into_unfinished(self) -> impl Iterator<Item = Job> {
        self.running.into_iter().map(|(_, job)| job)
    }

    /// The next thing that happens.
    pub(super) async fn next(&mut self) -> Outcome {
        let event = self.swarm.select_next_some().await;
        let SwarmEvent::Behaviour(ClientEvent::Table(kad::Event::OutboundQueryProgressed {
            id,
            result,
            step,
            ..
        })) = event
        else {
            return Outcome::Nothing;
        };
        self.progress(id, result, &step)
    }

    fn progress(&mut self, id: QueryId, result: QueryResult, step: &ProgressStep) -> Outcome {
        let place = self.running.iter().position(|(running, _)| *running == id);
        let Some((place, (_, job))) = place.and_then(|at| Some((at, self.running.get(at)?))) else {
            return Outcome::Nothing;
        };
        let job = job.clone();
        if step.last {
            self.running.swap_remove(place);
            self.idle_since = Instant::now();
        }
        match (job, result) {
            (Job::Look(key), QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found)))) => {
                let value = found.record.value;
                let many = self.told.iter().filter(|(of, _)| *of == key).count();
                let fits = value.len() == WHEREABOUTS_BYTES && many < policy::FOUND_VALUES;
                if fits && self.told.insert((key, value.clone())) {
                    return Outcome::Found(key, value);
                }
                if step.last { Outcome::Looked(key) } else { Outcome::Nothing }
            }
            (Job::Look(key), _) if step.last => Outcome::Looked(key),
            (Job::Put(key), QueryResult::PutRecord(Ok(_))) => Outcome::Put(key),
            (Job::Put(key), QueryResult::PutRecord(Err(_))) => Outcome::NotPut(key),
            _ => Outcome::Nothing,
        }
    }
}

/// A client that keeps nothing and does nothing by itself.
fn config() -> kad::Config {
    let mut config = kad::Config::new(TABLE);
    config
        .set_query_timeout(policy::FINDING_TIME)
        .set_replication_factor(NonZeroUsize::new(policy::KEEPERS).unwrap_or(NonZeroUsize::MIN))
        .set_record_ttl(Some(policy::PUBLISHED_FOR))
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_periodic_bootstrap_interval(None)
        .set_caching(kad::Caching::Disabled)
        .set_max_packet_size(policy::FINDING_PACKET);
    config
}
