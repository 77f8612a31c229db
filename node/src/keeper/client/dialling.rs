//! One connection: a throw-away identity, a Swarm of its own, one stream.

use std::sync::Arc;
use std::time::Duration;

use cairn_crdt::id::TransportKey;
use futures::StreamExt as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{DialError, NetworkBehaviour, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, Transport as _, dns, noise, ping, quic, tcp, yamux};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::keeper::policy;
use crate::keeper::streams::{End, StreamEvent, Streams};
use crate::network::transport::{key_of, peer_of};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);
/// Addresses of a keeper that are tried.
const ADDRESSES: usize = cairn_crdt::limits::ADDRESSES;

/// Carries connections whose other end has proved its key.
pub type Transport = Boxed<(PeerId, StreamMuxerBox)>;

/// Makes the transport of one connection, for a throw-away key. What it cannot do it says in words.
pub type MakeTransport = Arc<dyn Fn(&Keypair) -> Result<Transport, String> + Send + Sync>;

/// TCP and QUIC, with names looked up by the system.
#[must_use]
pub fn direct() -> MakeTransport {
    Arc::new(|key| {
        let tcp = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(key).map_err(|error| error.to_string())?)
            .multiplex(yamux::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        let mut config = quic::Config::new(key);
        (config.max_stream_data, config.max_connection_data) = policy::QUIC_WINDOWS;
        let quic = quic::tokio::Transport::new(config)
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        let both = quic.or_transport(tcp).map(|either, _| either.into_inner());
        let named = dns::tokio::Transport::system(both).map_err(|error| error.to_string())?;
        Ok(named.boxed())
    })
}

/// All that runs on a client's connection.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    streams: Streams,
    ping: ping::Behaviour,
}

/// Connects; the Swarm, the stream, and who this end is on it. Otherwise why not, for a person.
pub(super) async fn connect(
    keeper: TransportKey,
    addresses: Vec<Vec<u8>>,
    transport: MakeTransport,
    mut seed: Zeroizing<[u8; 32]>,
) -> Result<(Swarm<Behaviour>, Stream, TransportKey), String> {
    let key = Keypair::ed25519_from_bytes(&mut *seed).map_err(|error| error.to_string())?;
    let own = key.public().to_peer_id();
    let client = key_of(&own).ok_or_else(|| "the system gave an unusable key".to_owned())?;
    let keeper =
        peer_of(&keeper).ok_or_else(|| "the keeper's key is none: its code is wrong".to_owned())?;
    let addresses: Vec<Multiaddr> = addresses
        .into_iter()
        .take(ADDRESSES)
        .filter_map(|bytes| Multiaddr::try_from(bytes).ok())
        .collect();
    if addresses.is_empty() {
        return Err("no address of the keeper is known".to_owned());
    }
    let transport = transport(&key)?;
    let behaviour = Behaviour {
        streams: Streams::new(End::Client),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(policy::PING_EVERY)),
    };
    let swarm_config = libp2p::swarm::Config::with_tokio_executor();
    let mut swarm = Swarm::new(transport, behaviour, own, swarm_config);
    let dial = DialOpts::peer_id(keeper).addresses(addresses).build();
    swarm.dial(dial).map_err(|error| why(&error))?;
    match timeout(CONNECT, opened(&mut swarm)).await {
        Ok(Ok(stream)) => Ok((swarm, stream, client)),
        Ok(Err(why)) => Err(why),
        Err(_) => Err("nobody answers where the keeper should be".to_owned()),
    }
}

async fn opened(swarm: &mut Swarm<Behaviour>) -> Result<Stream, String> {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Streams(StreamEvent::Open(_, stream))) => {
                return Ok(*stream);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Streams(StreamEvent::Failed)) => {
                return Err("what answers there is no keeper, or has no room".to_owned());
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(why(&error)),
            SwarmEvent::ConnectionClosed { .. } => {
                return Err("the keeper closed the connection: it may have no room".to_owned());
            }
            _ => {}
        }
    }
}

/// Works on the connection until it is gone.
pub(super) async fn drive(swarm: &mut Swarm<Behaviour>) {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionClosed { .. } => return,
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                result: Err(failure),
                ..
            })) if !matches!(failure, ping::Failure::Unsupported) => return,
            _ => {}
        }
    }
}

/// Words without addresses.
fn why(error: &DialError) -> String {
    match error {
        DialError::WrongPeerId { .. } => {
            "somebody else answers where the keeper should be".to_owned()
        }
        DialError::Transport(_) | DialError::NoAddresses => {
            "nobody answers where the keeper should be".to_owned()
        }
        _ => "the keeper could not be reached".to_owned(),
    }
}
