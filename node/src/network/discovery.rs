//! Where peers may be reached: what the driver, identify and the local network say of it.

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

/// The address without the peer's name at its end; `None` if it names another peer or none can be
/// reached there.
pub(super) fn of_peer(mut address: Multiaddr, peer: &PeerId) -> Option<Multiaddr> {
    if let Some(Protocol::P2p(named)) = address.iter().last() {
        if named != *peer {
            return None;
        }
        address.pop();
    }
    let long = address.as_ref().len() > limits::ADDRESS_BYTES;
    let vague = match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
        _ => true,
    };
    (!long && !vague).then_some(address)
}

/// Whether an address is of this machine only. What a peer says of itself must not make this node
/// knock at its own doors, unless the peer is on this machine too.
pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
