//! The Swarm of one persona: its transport, its behaviour, and where it listens.

use libp2p::identity::Keypair;
use libp2p::{Swarm, swarm};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::behaviour::Behaviour;
use super::guard::Guard;
use super::listening::listen;
use super::socks::{Credentials, ProxyHealth};
use super::transport::Paths;
use super::{NetworkConfig, NetworkError, policy};

/// What the jitter of one network is drawn for: a stream of its own for each.
#[derive(Clone, Copy)]
pub(super) enum Chance {
    /// Pauses between attempts to connect.
    Pauses = 0,
    /// The user at the proxy.
    Proxy = 1,
    /// What a keeper repeats when it calls back.
    Probes = 2,
    /// The order of keepers.
    Keepers = 3,
    /// Pauses before relayed peers are dialled anew.
    Upgrades = 4,
}

/// Randomness for one purpose.
pub(super) fn chance(jitter: [u8; 32], purpose: Chance) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::from_seed(jitter);
    rng.set_stream(purpose as u64);
    rng
}

/// A Swarm that listens where it is told to.
pub(super) fn swarm(
    config: &NetworkConfig,
    health: ProxyHealth,
    guard: Guard,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let mut seed = config.key.to_seed();
    let key = Keypair::ed25519_from_bytes(&mut *seed).map_err(|_| NetworkError::Key)?;
    let mut user = [0; 32];
    chance(config.jitter, Chance::Proxy).fill_bytes(&mut user);
    let paths = Paths { way: config.way, credentials: Credentials::new(&user), health, guard };
    let (transport, circuits) = paths.with_circuits(&key)?;
    let probes = chance(config.jitter, Chance::Probes);
    let behaviour = Behaviour::new(&key, config, circuits, probes)?;
    let settings = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(policy::IDLE_CONNECTION)
        .with_max_negotiating_inbound_streams(policy::CONNECTION_STREAMS as usize);
    let mut swarm = Swarm::new(transport, behaviour, key.public().to_peer_id(), settings);
    if config.way.listens() {
        listen(&mut swarm, &config.listen)?;
    }
    Ok(swarm)
}
