//! How many connections that are being set up come from one place.
//!
//! Who it is that comes is known only when a connection is set up: until then a member has to share
//! with everyone. Whoever calls and says nothing is waited for, so that without this one machine
//! could take up all there is and keep every member out.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};

use super::discovery::is_loopback;
use super::policy;

/// Too many come from one place.
#[derive(Debug, thiserror::Error)]
#[error("no more connections from there now")]
struct Crowded;

/// Where somebody comes from: of IPv6 the link, since one machine has all addresses of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Four(Ipv4Addr),
    Six([u16; 4]),
}

impl Place {
    /// `None` for this machine itself, and for whoever comes through a relay.
    fn of(address: &Multiaddr) -> Option<Self> {
        match address.iter().next()? {
            _ if is_loopback(address) => None,
            Protocol::Ip4(ip) => Some(Self::Four(ip)),
            Protocol::Ip6(ip) => ip.segments().first_chunk().copied().map(Self::Six),
            _ => None,
        }
    }
}

/// Connections that come and are not set up yet; as many as there may be of them in all.
#[derive(Default)]
pub(super) struct Doorway {
    coming: BTreeMap<ConnectionId, Place>,
}

impl NetworkBehaviour for Doorway {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(place) = Place::of(remote) else { return Ok(()) };
        let from_there = self.coming.values().filter(|from| **from == place).count();
        if from_there >= policy::PLACE_PENDING {
            return Err(ConnectionDenied::new(Crowded));
        }
        self.coming.insert(connection, place);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                self.coming.remove(&event.connection_id);
            }
            FromSwarm::ListenFailure(event) => {
                self.coming.remove(&event.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use libp2p::swarm::ListenError;
    use libp2p::swarm::behaviour::ListenFailure;

    use super::*;

    #[test]
    fn one_place_takes_up_its_share_and_has_it_again_when_it_is_over() {
        let mut doorway = Doorway::default();
        let own: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let comes = |doorway: &mut Doorway, id: usize, from: &str| {
            let (id, from) = (ConnectionId::new_unchecked(id), from.parse().unwrap());
            doorway.handle_pending_inbound_connection(id, &own, &from).is_ok()
        };
        let from = |n: usize| format!("/ip4/203.0.113.7/tcp/{n}");
        let came = (1..100).filter(|n| comes(&mut doorway, *n, &from(*n))).count();
        assert_eq!(came, policy::PLACE_PENDING);
        assert!(comes(&mut doorway, 100, "/ip4/203.0.113.8/tcp/1"));
        let six = |n: usize| format!("/ip6/2001:db8:1:2::{n}/udp/1/quic-v1");
        let came = (200..300).filter(|n| comes(&mut doorway, *n, &six(*n))).count();
        assert_eq!(came, policy::PLACE_PENDING);
        assert!(comes(&mut doorway, 300, "/ip6/2001:db8:1:3::1/udp/1/quic-v1"));
        let relayed = format!("/p2p/{}", PeerId::random());
        assert!((400..500).all(|n| comes(&mut doorway, n, &relayed)));
        assert!((600..700).all(|n| comes(&mut doorway, n, "/ip4/127.0.0.1/tcp/1")));
        doorway.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
            local_addr: &own,
            send_back_addr: &from(1).parse().unwrap(),
            error: &ListenError::Aborted,
            connection_id: ConnectionId::new_unchecked(1),
            peer_id: None,
        }));
        assert!(comes(&mut doorway, 500, &from(500)) && !comes(&mut doorway, 501, &from(501)));
    }
}
