//! What one Swarm does, put together. What may refuse a connection stands first, so that the
//! others never see it.

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{connection_limits, identify, mdns, memory_connection_limits, ping, relay, upnp};
use rand_chacha::ChaCha20Rng;

use super::discovery::is_loopback;
use super::doorway::Doorway;
use super::gossip::{self, Gated};
use super::observed::Observed;
use super::probing::Probing;
use super::punching::Punching;
use super::streams::Streams;
use super::{NetworkConfig, NetworkError, policy};

/// The same for every persona of every node, so that it tells nobody apart (I3).
const AGENT: &str = "cairn";
/// Names nothing.
const PROTOCOL_VERSION: &str = "";

/// All that runs on the connections of one persona.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    memory: memory_connection_limits::Behaviour,
    doorway: Doorway,
    pending: connection_limits::Behaviour,
    pub(super) streams: Streams,
    pub(super) identify: Observed,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
    upnp: Toggle<upnp::tokio::Behaviour>,
    circuits: relay::client::Behaviour,
    pub(super) probing: Toggle<Probing>,
    pub(super) punching: Toggle<Punching>,
    pub(super) gossip: Gated,
}

impl Behaviour {
    /// All parts, with the bounds of [`policy`]. A node that does not listen finds nobody nearby,
    /// asks no router and no keeper to let anyone in, and punches no holes.
    pub(super) fn new(
        key: &Keypair,
        config: &NetworkConfig,
        circuits: relay::client::Behaviour,
        chance: ChaCha20Rng,
    ) -> Result<Self, NetworkError> {
        let peer = key.public().to_peer_id();
        let listens = config.way.listens();
        let pending = connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(policy::PENDING_CONNECTIONS))
            .with_max_pending_outgoing(Some(policy::PENDING_CONNECTIONS));
        // Addresses are kept in one place only, by `reconnect`: no cache. A node that does not
        // listen tells its circuits, which are confirmed, and nothing else.
        let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), key.public())
            .with_agent_version(AGENT.to_owned())
            .with_interval(policy::IDENTIFY_EVERY)
            .with_push_listen_addr_updates(false)
            .with_hide_listen_addrs(!listens)
            .with_cache_size(0);
        let mdns = (config.mdns && listens)
            .then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), peer));
        let mdns = match mdns {
            Some(Ok(mdns)) => Some(mdns),
            Some(Err(error)) => {
                tracing::warn!(kind = %error.kind(), "peers on the local network are not looked for");
                None
            }
            None => None,
        };
        let outward = config.listen.iter().any(|address| !is_loopback(address));
        let upnp = (config.upnp && listens && outward).then(upnp::tokio::Behaviour::default);
        Ok(Self {
            memory: memory_connection_limits::Behaviour::with_max_percentage(policy::MEMORY_PART),
            doorway: Doorway::default(),
            pending: connection_limits::Behaviour::new(pending),
            streams: Streams::default(),
            identify: Observed::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(policy::PING_EVERY)),
            mdns: mdns.into(),
            upnp: upnp.into(),
            circuits,
            probing: listens.then(|| Probing::new(chance)).into(),
            punching: listens.then(|| Punching::new(peer)).into(),
            gossip: Gated::new(gossip::router(config.topic)?, config.topic),
        })
    }
}
