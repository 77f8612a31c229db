//! Who was found on the local network. Kept for a while, because a peer may be found before this
//! node knows that it is a member, and is not announced twice.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::{Multiaddr, PeerId};

use super::policy;

/// Peers on the local network and their addresses, as many as there is room for.
#[derive(Default)]
pub(super) struct Nearby {
    found: BTreeMap<PeerId, BTreeSet<Multiaddr>>,
}

impl Nearby {
    /// Somebody was found. Beyond [`policy::NEARBY`] peers nobody new is kept: known ones have been
    /// acted upon, and strangers are of no interest.
    pub(super) fn note(&mut self, peer: PeerId, address: Multiaddr) {
        if self.found.len() >= policy::NEARBY && !self.found.contains_key(&peer) {
            return;
        }
        let addresses = self.found.entry(peer).or_default();
        if addresses.len() < policy::PEER_ADDRESSES {
            addresses.insert(address);
        }
    }

    /// An address has not been announced for a while.
    pub(super) fn gone(&mut self, peer: &PeerId, address: &Multiaddr) {
        if let Some(addresses) = self.found.get_mut(peer) {
            addresses.remove(address);
            if addresses.is_empty() {
                self.found.remove(peer);
            }
        }
    }

    /// Where a peer was found.
    pub(super) fn of(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.found.get(peer).into_iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_found_is_kept_until_it_is_gone_and_all_of_it_is_bounded() {
        let mut nearby = Nearby::default();
        let peer = PeerId::random();
        let at = |port: usize| format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap();
        for port in 1..100 {
            nearby.note(peer, at(port));
        }
        assert_eq!(nearby.of(&peer).len(), policy::PEER_ADDRESSES);
        for _ in 0..policy::NEARBY * 2 {
            nearby.note(PeerId::random(), at(1));
        }
        assert_eq!(nearby.found.len(), policy::NEARBY);
        for address in nearby.of(&peer) {
            nearby.gone(&peer, &address);
        }
        assert!(nearby.of(&peer).is_empty() && nearby.found.len() < policy::NEARBY);
    }
}
