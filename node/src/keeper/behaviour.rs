//! What a keeper's Swarm does, put together: its own protocol, relay, reachability, hash table (M5).

use std::num::NonZeroUsize;

use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    StreamProtocol, autonat, connection_limits, identify, kad, memory_connection_limits, ping,
    relay,
};

use super::policy::{self, Limits, RelayLimits};
use super::streams::{End, Streams};

/// The name of the hash table, apart from all others.
pub const TABLE: StreamProtocol = StreamProtocol::new("/cairn/kad/1");
/// The same as every node says, so that it tells nobody apart.
const AGENT: &str = "cairn";

/// All that runs on a keeper's connections.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    memory: memory_connection_limits::Behaviour,
    limits: connection_limits::Behaviour,
    pub(super) streams: Streams,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: Toggle<relay::Behaviour>,
    reachability: autonat::v2::server::Behaviour,
    pub(super) table: kad::Behaviour<MemoryStore>,
}

impl Behaviour {
    pub(super) fn new(key: &Keypair, limits: &Limits) -> Self {
        let peer = key.public().to_peer_id();
        let connections = connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(policy::PENDING_CONNECTIONS))
            .with_max_pending_outgoing(Some(policy::PENDING_CONNECTIONS))
            .with_max_established(Some(limits.connections))
            .with_max_established_per_peer(Some(policy::PEER_CONNECTIONS));
        let identify = identify::Config::new(String::new(), key.public())
            .with_agent_version(AGENT.to_owned())
            .with_interval(policy::IDENTIFY_EVERY)
            .with_cache_size(0);
        let relay = (limits.relay.reservations > 0)
            .then(|| relay::Behaviour::new(peer, relay_config(&limits.relay)));
        Self {
            memory: memory_connection_limits::Behaviour::with_max_percentage(policy::MEMORY_PART),
            limits: connection_limits::Behaviour::new(connections),
            streams: Streams::new(End::Keeper),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(policy::PING_EVERY)),
            relay: relay.into(),
            reachability: autonat::v2::server::Behaviour::default(),
            table: table(peer),
        }
    }
}

/// Without the library's rates: they would remember addresses and peer ids for an hour. What there is
/// of everything is bounded all the same.
fn relay_config(limits: &RelayLimits) -> relay::Config {
    relay::Config {
        max_reservations: limits.reservations,
        max_circuits: limits.circuits,
        max_circuits_per_peer: limits.circuits_per_peer,
        max_circuit_duration: limits.duration,
        max_circuit_bytes: limits.bytes,
        reservation_rate_limiters: Vec::new(),
        circuit_src_rate_limiters: Vec::new(),
        ..relay::Config::default()
    }
}

/// Values are put into the store by the service, which looks at them first. A keeper asks nobody and
/// keeps the addresses of nobody who is not connected.
fn table(peer: libp2p::PeerId) -> kad::Behaviour<MemoryStore> {
    let store = MemoryStoreConfig {
        max_records: policy::TABLE_RECORDS,
        max_value_bytes: policy::TABLE_VALUE_BYTES,
        max_providers_per_key: 0,
        max_provided_keys: 0,
    };
    let mut config = kad::Config::new(TABLE);
    config
        .set_record_ttl(Some(policy::TABLE_TIME))
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_periodic_bootstrap_interval(None)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_kbucket_size(NonZeroUsize::MIN.saturating_add(19))
        .set_max_packet_size(16 * 1024);
    let mut table =
        kad::Behaviour::with_config(peer, MemoryStore::with_config(peer, store), config);
    table.set_mode(Some(kad::Mode::Server));
    table
}
