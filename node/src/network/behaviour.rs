//! What one Swarm does, put together. The gate stands last: a connection that another part refuses
//! never reaches gossip.

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{connection_limits, identify, mdns, memory_connection_limits, ping};

use super::gossip::{self, Gated};
use super::streams::Streams;
use super::{NetworkError, policy};

/// The same for every persona of every node, so that it tells nobody apart (I3).
const AGENT: &str = "cairn";
/// Names nothing.
const PROTOCOL_VERSION: &str = "";

/// All that runs on the connections of one persona.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    memory: memory_connection_limits::Behaviour,
    pending: connection_limits::Behaviour,
    pub(super) streams: Streams,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) gossip: Gated,
}

impl Behaviour {
    /// All parts, with the bounds of [`policy`].
    pub(super) fn new(key: &Keypair, topic: [u8; 32], mdns: bool) -> Result<Self, NetworkError> {
        let peer = key.public().to_peer_id();
        let pending = connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(policy::PENDING_CONNECTIONS))
            .with_max_pending_outgoing(Some(policy::PENDING_CONNECTIONS));
        // Addresses are kept in one place only, by `reconnect`: no cache.
        let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), key.public())
            .with_agent_version(AGENT.to_owned())
            .with_interval(policy::IDENTIFY_EVERY)
            .with_push_listen_addr_updates(false)
            .with_cache_size(0);
        let mdns = mdns.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), peer));
        let mdns = match mdns {
            Some(Ok(mdns)) => Some(mdns),
            Some(Err(error)) => {
                tracing::warn!(kind = %error.kind(), "peers on the local network are not looked for");
                None
            }
            None => None,
        };
        Ok(Self {
            memory: memory_connection_limits::Behaviour::with_max_percentage(policy::MEMORY_PART),
            pending: connection_limits::Behaviour::new(pending),
            streams: Streams::default(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(policy::PING_EVERY)),
            mdns: mdns.into(),
            gossip: Gated::new(gossip::router(topic)?, topic),
        })
    }
}
