//! Where peers may be reached: what the driver, identify and the local network say of it, and which
//! of that can be dialled.

use cairn_crdt::limits;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// A binary address that names at most this peer, without its name. `None` for what is too long,
/// no address, or the address of another.
pub(super) fn read(bytes: &[u8], peer: &PeerId) -> Option<Multiaddr> {
    if bytes.len() > limits::ADDRESS_BYTES {
        return None;
    }
    of_peer(Multiaddr::try_from(bytes.to_vec()).ok()?, peer)
}

/// The address without the peer's name at its end; `None` if it names another peer, none can be
/// reached there, or a name would have to be looked up. Only a relay may stand at a name: it is
/// entered if it is a keeper of this node's own, which has been looked up or reached already.
pub(super) fn of_peer(address: Multiaddr, peer: &PeerId) -> Option<Multiaddr> {
    let address = unnamed(address, peer)?;
    let long = address.as_ref().len() > limits::ADDRESS_BYTES;
    let fit = leads_somewhere(&address) || (is_relayed(&address) && leads_by_name(&address));
    (!long && fit).then_some(address)
}

/// An address without this peer's name at its end; `None` if it names another.
fn unnamed(mut address: Multiaddr, peer: &PeerId) -> Option<Multiaddr> {
    match address.iter().last() {
        Some(Protocol::P2p(named)) if named != *peer => return None,
        Some(Protocol::P2p(_)) => {
            address.pop();
        }
        _ => {}
    }
    Some(address)
}

/// Whether these are the address and port of a machine, and perhaps a relay there.
fn leads_somewhere(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified(),
        _ => false,
    };
    host && is_port(parts)
}

/// The same at a machine's name.
fn leads_by_name(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let host =
        matches!(parts.next(), Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)));
    host && is_port(parts)
}

/// Whether what stands behind a host is a port, and perhaps a relay there.
fn is_port<'a>(mut parts: impl Iterator<Item = Protocol<'a>>) -> bool {
    let port = match parts.next() {
        Some(Protocol::Tcp(_)) => true,
        Some(Protocol::Udp(_)) => parts.next() == Some(Protocol::QuicV1),
        _ => false,
    };
    let relay = match (parts.next(), parts.next()) {
        (None, None) => true,
        (Some(Protocol::P2p(_)), Some(Protocol::P2pCircuit)) => parts.next().is_none(),
        _ => false,
    };
    port && relay
}

/// The address of a keeper, as an operator wrote it: it may begin with a name. Without the keeper's
/// own name at its end; `None` if it leads nowhere, or is a circuit.
pub(super) fn of_keeper(address: Multiaddr, keeper: &PeerId) -> Option<Multiaddr> {
    let address = unnamed(address, keeper)?;
    let leads = leads_somewhere(&address) || leads_by_name(&address);
    (leads && !is_relayed(&address)).then_some(address)
}

/// Whether an address is a circuit of a relay.
pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The relay of a circuit.
pub(super) fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    let mut before = None;
    for part in address {
        match part {
            Protocol::P2p(peer) => before = Some(peer),
            Protocol::P2pCircuit => return before,
            _ => {}
        }
    }
    None
}

/// Whether an address is of this machine only.
pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// Whether an address is one that can be called from another network.
pub(super) fn is_outside(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => {
            let shared = matches!(ip.octets(), [100, 64..=127, ..]);
            !(ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || shared)
        }
        Some(Protocol::Ip6(ip)) => {
            !(ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_unspecified())
        }
        _ => false,
    }
}

/// Whether two addresses are of one machine, or of one router.
pub(super) fn is_same_host(one: &Multiaddr, other: &Multiaddr) -> bool {
    one.iter().next() == other.iter().next()
}

/// Whether somebody who calls from an address comes from another network than this node, which
/// listens at these: not whoever calls from the same link, where every IPv6 address looks as if it
/// could be called from anywhere.
pub(super) fn comes_from_outside<'a>(
    caller: &Multiaddr,
    listening: impl IntoIterator<Item = &'a Multiaddr>,
) -> bool {
    is_outside(caller) && !listening.into_iter().any(|own| are_neighbours(own, caller))
}

/// Whether two addresses are of one link. How much of an address names the link is not known here:
/// of IPv6 it is 64 bits nearly everywhere. Of IPv4 those that can be called from anywhere have no
/// neighbours but this machine itself.
fn are_neighbours(one: &Multiaddr, other: &Multiaddr) -> bool {
    match (one.iter().next(), other.iter().next()) {
        (Some(Protocol::Ip4(one)), Some(Protocol::Ip4(other))) => one == other,
        (Some(Protocol::Ip6(one)), Some(Protocol::Ip6(other))) => {
            one.segments().first_chunk::<4>() == other.segments().first_chunk::<4>()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_calls_from_the_same_link_does_not_come_from_outside() {
        let own: Vec<Multiaddr> = [
            "/ip4/192.168.1.7/tcp/4001",
            "/ip4/203.0.113.7/tcp/4001",
            "/ip6/2001:db8:1:2::7/udp/4001/quic-v1",
        ]
        .map(|text| text.parse().unwrap())
        .into();
        let outside = |text: &str| comes_from_outside(&text.parse().unwrap(), &own);
        assert!(outside("/ip6/2001:db8:1:3::8/tcp/1") && outside("/ip4/203.0.113.8/tcp/1"));
        for near in [
            "/ip6/2001:db8:1:2:ffff::8/tcp/1",
            "/ip6/fe80::8/tcp/1",
            "/ip4/203.0.113.7/tcp/1",
            "/ip4/192.168.2.8/tcp/1",
        ] {
            assert!(!outside(near), "{near}");
        }
        assert!(comes_from_outside(&"/ip6/2001:db8:1:2::8/tcp/1".parse().unwrap(), &[]));
    }

    #[test]
    fn an_address_of_another_peer_or_of_nowhere_is_not_kept() {
        let (peer, other) = (PeerId::random(), PeerId::random());
        let plain: Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().unwrap();
        let named = plain.clone().with(Protocol::P2p(peer));
        assert_eq!(read(&plain.to_vec(), &peer), Some(plain.clone()));
        assert_eq!(read(&named.to_vec(), &peer), Some(plain));
        assert_eq!(read(&named.to_vec(), &other), None);
        let nowhere: Multiaddr = "/ip4/0.0.0.0/tcp/4001".parse().unwrap();
        assert_eq!(read(&nowhere.to_vec(), &peer), None);
        assert_eq!(read(&[0xff; 9], &peer), None);
        assert_eq!(read(&vec![4; limits::ADDRESS_BYTES + 1], &peer), None);
    }

    #[test]
    fn a_peer_is_at_an_address_or_at_a_circuit_and_never_itself_at_a_name() {
        let (peer, relay) = (PeerId::random(), PeerId::random());
        let kept = |text: &str| of_peer(text.parse().unwrap(), &peer).is_some();
        assert!(kept("/ip6/2001:db8::1/udp/1/quic-v1"));
        assert!(kept(&format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit")));
        assert!(kept(&format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit/p2p/{peer}")));
        assert!(kept(&format!("/dns4/keeper.example/tcp/1/p2p/{relay}/p2p-circuit")));
        for text in [
            "/dns4/tracker.example/tcp/1".to_owned(),
            format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit/p2p/{relay}/p2p-circuit"),
            "/ip4/192.0.2.1/tcp/1/ws".to_owned(),
            "/ip4/192.0.2.1/udp/1".to_owned(),
            "/ip4/192.0.2.1".to_owned(),
            "/p2p-circuit".to_owned(),
        ] {
            assert!(!kept(&text), "{text}");
        }
    }

    #[test]
    fn a_keeper_may_have_a_name_but_no_relay_before_it() {
        let (keeper, other) = (PeerId::random(), PeerId::random());
        let kept = |text: &str| of_keeper(text.parse().unwrap(), &keeper).map(|a| a.to_string());
        let name = "/dns4/keeper.example/tcp/4001";
        assert_eq!(kept(name).as_deref(), Some(name));
        assert_eq!(kept(&format!("{name}/p2p/{keeper}")).as_deref(), Some(name));
        assert_eq!(kept(&format!("{name}/p2p/{other}")), None);
        assert_eq!(kept(&format!("{name}/p2p/{other}/p2p-circuit")), None);
        assert_eq!(kept(&format!("/ip4/192.0.2.1/tcp/1/p2p/{other}/p2p-circuit")), None);
        assert_eq!(kept("/dns4/keeper.example"), None);
    }

    #[test]
    fn outside_is_what_another_network_can_call() {
        let outside = |text: &str| is_outside(&text.parse().unwrap());
        assert!(outside("/ip4/203.0.113.7/tcp/1") && outside("/ip6/2001:db8::1/tcp/1"));
        for near in ["/ip4/10.0.0.1/tcp/1", "/ip4/100.64.1.1/tcp/1", "/ip4/127.0.0.1/tcp/1"] {
            assert!(!outside(near), "{near}");
        }
        assert!(!outside("/ip6/fe80::1/tcp/1") && !outside("/ip6/fd00::1/tcp/1"));
    }

    #[test]
    fn the_relay_of_a_circuit_is_the_peer_before_it() {
        let (relay, peer) = (PeerId::random(), PeerId::random());
        let circuit = format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit/p2p/{peer}");
        assert_eq!(relay_of(&circuit.parse().unwrap()), Some(relay));
        assert_eq!(relay_of(&format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}").parse().unwrap()), None);
    }
}
