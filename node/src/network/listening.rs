//! Where a Swarm listens.

use std::net::{SocketAddr, TcpListener};

use libp2p::multiaddr::Protocol;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, Swarm, TransportError};

use super::NetworkError;

/// Lets a Swarm listen at these addresses, each of which must be its own.
///
/// # Errors
/// With the position of the first at which it cannot listen, from 1, and why.
pub(crate) fn listen<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    addresses: &[Multiaddr],
) -> Result<(), NetworkError> {
    let fail = |place: usize, why| NetworkError::Listen { position: place.saturating_add(1), why };
    for (place, address) in addresses.iter().enumerate() {
        is_free(address).map_err(|error| fail(place, error.kind().to_string()))?;
    }
    for (place, address) in addresses.iter().enumerate() {
        swarm.listen_on(address.clone()).map_err(|error| fail(place, why_not(&error)))?;
    }
    Ok(())
}

/// An error if another program listens there: libp2p shares a TCP port among all programs of one
/// person that ask for it, and each would get some of the others' calls.
fn is_free(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let socket: SocketAddr = match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) if port > 0 => (ip, port).into(),
        (Some(Protocol::Ip6(ip)), Some(Protocol::Tcp(port))) if port > 0 => (ip, port).into(),
        _ => return Ok(()),
    };
    TcpListener::bind(socket).map(drop)
}

/// Words without the address.
fn why_not(error: &TransportError<std::io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => {
            "it is neither TCP nor QUIC over an IP address".to_owned()
        }
        TransportError::Other(error) => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use libp2p::swarm::{SwarmEvent, dummy};
    use libp2p::{SwarmBuilder, noise, tcp, yamux};

    use super::*;

    fn swarm() -> Swarm<dummy::Behaviour> {
        SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| dummy::Behaviour)
            .unwrap()
            .build()
    }

    #[tokio::test]
    async fn i3_no_two_programs_listen_at_the_same_port() {
        let (mut one, mut other) = (swarm(), swarm());
        listen(&mut one, &["/ip4/127.0.0.1/tcp/0".parse().unwrap()]).unwrap();
        let taken = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = one.select_next_some().await {
                break address;
            }
        };
        let free: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        let refused = listen(&mut other, &[free.clone(), taken.clone()]).unwrap_err();
        assert!(matches!(refused, NetworkError::Listen { position: 2, .. }));
        assert_eq!(other.listeners().count(), 0);
        drop(one);
        listen(&mut other, &[free, taken]).unwrap();
    }
}
