//! Peer ids and transport keys, and how bytes get from one machine to another: TCP and QUIC, or a
//! SOCKS proxy; Noise and Yamux; circuits of relays upon them.
//!
//! No transport here resolves a name: what peers say can never make this node ask a name server.
//! Names of keepers are looked up by [`super::names`], or by the proxy.

use std::time::Duration;

use cairn_crdt::id::TransportKey;
use futures::future::Either;
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, OrTransport};
use libp2p::core::upgrade::Version;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use libp2p::{PeerId, noise, quic, relay, tcp, yamux};

use super::guard::{Guard, Guarded};
use super::socks::{Credentials, ProxyHealth, Socks};
use super::{NetworkError, policy};
use crate::config::Way;

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
        let setup = |error: noise::Error| NetworkError::Setup(error.to_string());
        let noise = noise::Config::new(key).map_err(setup)?;
        if let Some(proxy) = self.way.proxy {
            let socks = Socks::new(proxy, self.credentials.clone(), self.health.clone());
            let secured =
                socks.upgrade(Version::V1Lazy).authenticate(noise).multiplex(muxer()).boxed();
            return Ok(self.guarded(secured, policy::PROXIED_TIME));
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
        let either = OrTransport::new(quic, tcp).map(|output, _| match output {
            Either::Left(connection) | Either::Right(connection) => connection,
        });
        Ok(self.guarded(either.boxed(), policy::CONNECTING_TIME))
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
        let either = OrTransport::new(circuits, self.plain(key)?).map(|output, _| match output {
            Either::Left(connection) | Either::Right(connection) => connection,
        });
        Ok((TransportTimeout::new(either, policy::PROXIED_TIME).boxed(), behaviour))
    }

    fn guarded(&self, inner: Secured, time: Duration) -> Secured {
        TransportTimeout::new(Guarded { inner, guard: self.guard.clone() }, time).boxed()
    }
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
