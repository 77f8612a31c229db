//! Peer ids and transport keys, and how bytes get from one machine to another: TCP and QUIC, or a
//! SOCKS proxy; Noise and Yamux; circuits of relays upon them.
//!
//! No transport here resolves a name: what peers say can never make this node ask a name server.
//! Names of keepers are looked up by [`super::names`], or by the proxy.

use std::sync::Arc;

use cairn_crdt::id::TransportKey;
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use libp2p::{PeerId, noise, quic, relay, tcp, yamux};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::guard::{Guard, Guarded};
use super::socks::{Credentials, ProxyHealth, Socks};
use super::{NetworkError, policy};
use crate::config::Way;
use crate::keeper::client::{MakeTransport, direct};

/// Connections whose other end is proved.
pub(crate) type Secured = Boxed<(PeerId, StreamMuxerBox)>;

/// The peer id of a transport key; `None` if it is no Ed25519 key.
pub(crate) fn peer_of(key: &TransportKey) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The transport key that a peer id is made from; `None` if it is not an Ed25519 key written out.
pub(crate) fn key_of(peer: &PeerId) -> Option<TransportKey> {
    let key = PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    let key = key.try_into_ed25519().ok()?;
    let key = TransportKey::from_bytes(key.to_bytes());
    (peer_of(&key)? == *peer).then_some(key)
}

/// Where all connections of one Swarm come from.
pub(crate) struct Paths {
    /// How this node reaches others.
    pub(crate) way: Way,
    /// Who it is at a proxy.
    pub(crate) credentials: Credentials,
    /// Whether that proxy answers.
    pub(crate) health: ProxyHealth,
    /// Where sockets may be opened to.
    pub(crate) guard: Guard,
}

impl Paths {
    /// The transport of a Swarm that dials peers and keepers, without circuits.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub(crate) fn plain(&self, key: &Keypair) -> Result<Secured, NetworkError> {
        let inner = self.unguarded(key)?;
        Ok(Guarded { inner, guard: self.guard.clone() }.boxed())
    }

    fn unguarded(&self, key: &Keypair) -> Result<Secured, NetworkError> {
        let setup = |error: noise::Error| NetworkError::Setup(error.to_string());
        let noise = noise::Config::new(key).map_err(setup)?;
        if let Some(proxy) = self.way.proxy {
            let socks = Socks::new(proxy, self.credentials.clone(), self.health.clone());
            let secured =
                socks.upgrade(Version::V1Lazy).authenticate(noise).multiplex(muxer()).boxed();
            return Ok(TransportTimeout::new(secured, policy::PROXIED_TIME).boxed());
        }
        let tcp = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(Version::V1Lazy)
            .authenticate(noise)
            .multiplex(muxer())
            .boxed();
        let mut config = quic::Config::new(key);
        config.max_concurrent_stream_limit = policy::CONNECTION_STREAMS;
        (config.max_stream_data, config.max_connection_data) = policy::QUIC_WINDOWS;
        let quic = quic::tokio::Transport::new(config)
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        let either = quic.or_transport(tcp).map(|either, _| either.into_inner());
        Ok(TransportTimeout::new(either, policy::CONNECTING_TIME).boxed())
    }

    /// The transport of a Swarm that also dials and listens at circuits of relays, and the
    /// behaviour that belongs to it.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub(crate) fn with_circuits(
        &self,
        key: &Keypair,
    ) -> Result<(Secured, relay::client::Behaviour), NetworkError> {
        let setup = |error: noise::Error| NetworkError::Setup(error.to_string());
        let (circuits, behaviour) = relay::client::new(key.public().to_peer_id());
        let noise = noise::Config::new(key).map_err(setup)?;
        let circuits =
            circuits.upgrade(Version::V1Lazy).authenticate(noise).multiplex(muxer()).boxed();
        let either = circuits.or_transport(self.plain(key)?).map(|either, _| either.into_inner());
        Ok((TransportTimeout::new(either, policy::PROXIED_TIME).boxed(), behaviour))
    }
}

/// How the client of a keeper connects: as everything else of this node, so through the proxy if
/// there is one, where each connection is another user. Only keepers are called so, by operators'
/// own words, so names are handed to the proxy; without one the system looks them up.
#[must_use]
pub fn to_keepers(way: Way) -> MakeTransport {
    if way.proxy.is_none() {
        return direct();
    }
    Arc::new(move |key| {
        // The key was drawn for this one connection.
        let secret = key.clone().try_into_ed25519().map_err(|error| error.to_string())?;
        let mut user = [0; 32];
        ChaCha20Rng::from_seed(secret.public().to_bytes()).fill_bytes(&mut user);
        let paths = Paths {
            way,
            credentials: Credentials::new(&user),
            health: ProxyHealth::default(),
            guard: Guard::default(),
        };
        paths.unguarded(key).map_err(|error| error.to_string())
    })
}

fn muxer() -> yamux::Config {
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(policy::CONNECTION_STREAMS as usize);
    muxer
}

#[cfg(test)]
mod tests {
    use cairn_crdt::crypto::signing::SigningKey;

    use super::*;

    #[test]
    fn i3_a_peer_id_is_the_transport_key_and_nothing_else() {
        let key = SigningKey::from_seed(&[7; 32]);
        let pair = Keypair::ed25519_from_bytes(&mut *key.to_seed()).unwrap();
        let public = TransportKey::from_bytes(key.verifying_key());
        assert_eq!(peer_of(&public), Some(pair.public().to_peer_id()));
        assert_eq!(key_of(&pair.public().to_peer_id()), Some(public));
        assert_eq!(key_of(&PeerId::random()), None);
    }
}
