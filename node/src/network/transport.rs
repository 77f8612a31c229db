//! Peer ids and transport keys, and the Swarm of one persona: TCP and QUIC, Noise, Yamux.

use cairn_crdt::id::TransportKey;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use libp2p::{PeerId, Swarm, SwarmBuilder, noise, tcp, yamux};

use super::behaviour::Behaviour;
use super::{NetworkConfig, NetworkError, policy};

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

/// A Swarm that listens where it is told to.
pub(super) fn swarm(config: &NetworkConfig) -> Result<Swarm<Behaviour>, NetworkError> {
    let mut seed = config.key.to_seed();
    let key = Keypair::ed25519_from_bytes(&mut *seed).map_err(|_| NetworkError::Key)?;
    let behaviour = Behaviour::new(&key, config.topic, config.mdns)?;
    let muxer = || {
        let mut muxer = yamux::Config::default();
        muxer.set_max_num_streams(policy::CONNECTION_STREAMS as usize);
        muxer
    };
    let builder = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, muxer)
        .map_err(|error| NetworkError::Setup(error.to_string()))?
        .with_quic_config(|mut quic| {
            quic.max_concurrent_stream_limit = policy::CONNECTION_STREAMS;
            (quic.max_stream_data, quic.max_connection_data) = policy::QUIC_WINDOWS;
            quic
        })
        .with_behaviour(|_| behaviour)
        .map_err(|error| NetworkError::Setup(error.to_string()))?;
    let mut swarm = builder
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(policy::IDLE_CONNECTION)
                .with_max_negotiating_inbound_streams(policy::CONNECTION_STREAMS as usize)
        })
        .build();
    for (place, address) in config.listen.iter().enumerate() {
        swarm.listen_on(address.clone()).map_err(|error| NetworkError::Listen {
            position: place.saturating_add(1),
            why: why_not_listening(&error),
        })?;
    }
    Ok(swarm)
}

/// Words without the address.
pub(crate) fn why_not_listening(error: &libp2p::TransportError<std::io::Error>) -> String {
    match error {
        libp2p::TransportError::MultiaddrNotSupported(_) => {
            "it is neither TCP nor QUIC over an IP address".to_owned()
        }
        libp2p::TransportError::Other(error) => error.kind().to_string(),
    }
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
