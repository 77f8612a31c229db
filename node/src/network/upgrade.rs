//! From a relayed connection to a direct one, tried again and again.
//!
//! Holes are punched when a relayed connection comes up, and only for known peers. A newcomer is
//! known only after it was admitted, and a network that let nothing through may let something
//! through tomorrow: so peers that are reached through relays only are dialled anew, after pauses
//! that grow.

use std::collections::BTreeMap;

use libp2p::PeerId;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use tokio::time::Instant;

use super::{policy, reconnect};

/// Peers that are reached through relays only.
pub(super) struct Upgrades {
    due: BTreeMap<PeerId, (Instant, u32)>,
    chance: ChaCha20Rng,
}

impl Upgrades {
    /// Nobody yet.
    pub(super) const fn new(chance: ChaCha20Rng) -> Self {
        Self { due: BTreeMap::new(), chance }
    }

    /// A peer is reached through relays only: tried after a pause, in which the first hole is
    /// punched. If it has become known meanwhile, the pauses begin anew.
    pub(super) fn begin(&mut self, peer: PeerId, now: Instant) {
        let at = self.after(policy::UPGRADE_FIRST, now);
        self.due.insert(peer, (at, policy::UPGRADE_FIRST));
    }

    /// A peer is reached directly, or not at all.
    pub(super) fn end(&mut self, peer: &PeerId) {
        self.due.remove(peer);
    }

    /// A peer that is to be tried now.
    pub(super) fn next(&mut self, now: Instant) -> Option<PeerId> {
        let (peer, (_, tries)) = self.due.iter().find(|(_, (at, _))| *at <= now)?;
        let (peer, tries) = (*peer, tries.saturating_add(1));
        let at = self.after(tries, now);
        self.due.insert(peer, (at, tries));
        Some(peer)
    }

    /// When to ask [`Self::next`] again.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.due.values().map(|(at, _)| *at).min()
    }

    fn after(&mut self, tries: u32, now: Instant) -> Instant {
        let pause = reconnect::pause(tries, self.chance.next_u32());
        now.checked_add(pause).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn a_relayed_peer_is_tried_after_pauses_that_grow_until_it_is_direct() {
        let mut upgrades = Upgrades::new(ChaCha20Rng::from_seed([1; 32]));
        let (peer, mut now) = (PeerId::random(), Instant::now());
        assert_eq!(upgrades.wake(), None);
        upgrades.begin(peer, now);
        assert_eq!(upgrades.next(now), None);
        for _ in 0..12 {
            now = upgrades.wake().unwrap();
            assert_eq!(upgrades.next(now), Some(peer));
            assert_eq!(upgrades.next(now), None);
        }
        assert!(upgrades.wake().unwrap() >= now + policy::LONGEST_PAUSE / 2);
        upgrades.begin(peer, now);
        assert!(upgrades.wake().unwrap() < now + policy::LONGEST_PAUSE / 2);
        upgrades.end(&peer);
        assert_eq!(upgrades.wake(), None);
    }
}
