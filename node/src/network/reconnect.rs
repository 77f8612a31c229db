//! When to try again to reach the peers that are sought: pauses that double, with jitter, for each
//! peer by itself. The one address book of the persona.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use tokio::time::{Instant, sleep_until};

use super::policy;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// To be tried then.
    Due(Instant),
    /// Being tried.
    Dialling,
    /// There is a connection, since then.
    Connected(Instant),
}

struct Sought {
    /// From the driver.
    given: Vec<Multiaddr>,
    /// From identify and the local network; the newest last.
    learnt: Vec<Multiaddr>,
    failures: u32,
    state: State,
}

/// The peers that are sought.
pub(super) struct Reconnect {
    peers: BTreeMap<PeerId, Sought>,
    due: BTreeSet<(Instant, PeerId)>,
    dialling: usize,
    jitter: ChaCha20Rng,
}

impl Reconnect {
    /// Nobody is sought yet.
    pub(super) const fn new(jitter: ChaCha20Rng) -> Self {
        Self { peers: BTreeMap::new(), due: BTreeSet::new(), dialling: 0, jitter }
    }

    /// Whether a peer is sought.
    pub(super) fn is_sought(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// Seeks a peer, or adds to where it may be. A new address is tried at once; asking again with
    /// old ones changes nothing. `false` if too many are sought.
    pub(super) fn seek(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        connected: bool,
        now: Instant,
    ) -> bool {
        if !self.peers.contains_key(&peer) {
            if self.peers.len() >= policy::SOUGHT_PEERS {
                return false;
            }
            let state = if connected { State::Connected(now) } else { State::Due(now) };
            let sought = Sought { given: Vec::new(), learnt: Vec::new(), failures: 0, state };
            self.peers.insert(peer, sought);
            self.set(peer, state);
        }
        let Some(sought) = self.peers.get_mut(&peer) else { return false };
        let mut fresh = false;
        for address in addresses {
            fresh |= add(&mut sought.given, address);
        }
        if let (true, State::Due(_)) = (fresh, sought.state) {
            self.set(peer, State::Due(now));
        }
        true
    }

    /// Keeps an address of a sought peer that the network told of, and tries it at once.
    pub(super) fn learn(&mut self, peer: &PeerId, address: Multiaddr, now: Instant) {
        let Some(sought) = self.peers.get_mut(peer) else { return };
        if sought.given.contains(&address) || !add(&mut sought.learnt, address) {
            return;
        }
        if let State::Due(_) = sought.state {
            self.set(*peer, State::Due(now));
        }
    }

    /// A new way is open: whoever waits for another attempt is tried at once.
    pub(super) fn hasten(&mut self, now: Instant) {
        let waiting: Vec<PeerId> = self.due.iter().map(|(_, peer)| *peer).collect();
        for peer in waiting {
            self.set(peer, State::Due(now));
        }
    }

    /// No longer seeks a peer.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        // Takes it out of the schedule and of the count of attempts.
        self.set(*peer, State::Connected(Instant::now()));
        self.peers.remove(peer);
    }

    /// A first connection is up.
    pub(super) fn connected(&mut self, peer: PeerId, now: Instant) {
        self.set(peer, State::Connected(now));
    }

    /// The last connection is gone: tried again after a pause. A connection that held for a while
    /// makes the earlier failures count for nothing.
    pub(super) fn lost(&mut self, peer: PeerId, now: Instant) {
        let Some(sought) = self.peers.get_mut(&peer) else { return };
        let State::Connected(since) = sought.state else { return };
        if now.duration_since(since) >= policy::STEADY {
            sought.failures = 0;
        }
        self.retry(peer, now);
    }

    /// An attempt failed. Whether it was one of this table's.
    pub(super) fn failed(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.peers.get(&peer).is_none_or(|sought| sought.state != State::Dialling) {
            return false;
        }
        self.retry(peer, now);
        true
    }

    /// The next peer to try and where, if one is due and not too many are being tried.
    pub(super) fn next(&mut self, now: Instant) -> Option<(PeerId, Vec<Multiaddr>)> {
        let (at, peer) = self.due.first().copied()?;
        if at > now || self.dialling >= policy::DIALS {
            return None;
        }
        self.set(peer, State::Dialling);
        Some((peer, self.addresses(&peer)))
    }

    /// Where a sought peer may be.
    pub(super) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let sought = self.peers.get(peer);
        sought.into_iter().flat_map(|s| s.given.iter().chain(&s.learnt)).cloned().collect()
    }

    /// When to ask [`Self::next`] again, if nothing else happens before.
    pub(super) fn wake(&self) -> Option<Instant> {
        let (at, _) = self.due.first()?;
        (self.dialling < policy::DIALS).then_some(*at)
    }

    fn retry(&mut self, peer: PeerId, now: Instant) {
        let Some(sought) = self.peers.get_mut(&peer) else { return };
        let pause = pause(sought.failures, self.jitter.next_u32());
        sought.failures = sought.failures.saturating_add(1);
        self.set(peer, State::Due(now.checked_add(pause).unwrap_or(now)));
    }

    fn set(&mut self, peer: PeerId, state: State) {
        let Some(sought) = self.peers.get_mut(&peer) else { return };
        match sought.state {
            State::Due(at) => {
                self.due.remove(&(at, peer));
            }
            State::Dialling => self.dialling = self.dialling.saturating_sub(1),
            State::Connected(_) => {}
        }
        sought.state = state;
        match state {
            State::Due(at) => {
                self.due.insert((at, peer));
            }
            State::Dialling => self.dialling = self.dialling.saturating_add(1),
            State::Connected(_) => {}
        }
    }
}

/// Adds an address, at the cost of the oldest. Whether it is new.
fn add(addresses: &mut Vec<Multiaddr>, address: Multiaddr) -> bool {
    if addresses.contains(&address) {
        return false;
    }
    if addresses.len() >= policy::PEER_ADDRESSES {
        addresses.remove(0);
    }
    addresses.push(address);
    true
}

/// Between a half and the whole of the doubled pause, so that nodes that lost each other at one
/// moment do not all come back at one moment.
pub(super) fn pause(failures: u32, random: u32) -> Duration {
    let whole = policy::FIRST_PAUSE
        .saturating_mul(1_u32.checked_shl(failures).filter(|n| *n != 0).unwrap_or(u32::MAX))
        .min(policy::LONGEST_PAUSE);
    let half = whole.checked_div(2).unwrap_or(whole);
    half.saturating_add(half.mul_f64(f64::from(random) / f64::from(u32::MAX)))
}

/// Waits until a time; for ever, if there is none.
pub(super) async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;

    use super::*;

    fn table() -> Reconnect {
        Reconnect::new(ChaCha20Rng::from_seed([1; 32]))
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn pauses_double_within_their_jitter_up_to_five_minutes() {
        for failures in 0..80 {
            let whole = (1_u64 << failures.min(20)).min(300);
            for random in [0, 1 << 31, u32::MAX] {
                let pause = pause(failures, random).as_secs_f64();
                assert!(pause >= whole as f64 / 2.0 && pause <= whole as f64, "{failures}");
            }
        }
        assert!(pause(4, 0) < pause(4, u32::MAX));
    }

    #[test]
    fn a_peer_is_tried_at_once_then_after_pauses_and_not_while_connected() {
        let mut reconnect = table();
        let (peer, start) = (PeerId::random(), Instant::now());
        assert!(reconnect.seek(peer, vec![address(1)], false, start));
        assert_eq!(reconnect.next(start), Some((peer, vec![address(1)])));
        assert_eq!(reconnect.next(start), None);
        assert!(reconnect.failed(peer, start));
        assert!(!reconnect.failed(peer, start));
        let wake = reconnect.wake().unwrap();
        assert!(wake > start && wake <= start + policy::FIRST_PAUSE);
        assert_eq!(reconnect.next(start), None);
        assert!(reconnect.next(wake).is_some());
        reconnect.connected(peer, wake);
        assert_eq!(reconnect.wake(), None);
        reconnect.lost(peer, wake);
        assert!(reconnect.wake().unwrap() > wake);
        reconnect.forget(&peer);
        assert_eq!(reconnect.wake(), None);
    }

    #[test]
    fn a_connection_that_breaks_at_once_does_not_start_the_pauses_anew() {
        let mut reconnect = table();
        let (peer, mut now) = (PeerId::random(), Instant::now());
        reconnect.seek(peer, vec![address(1)], false, now);
        for _ in 0..12 {
            now = reconnect.wake().unwrap();
            assert!(reconnect.next(now).is_some());
            reconnect.connected(peer, now);
            reconnect.lost(peer, now);
        }
        assert!(reconnect.wake().unwrap() >= now + policy::LONGEST_PAUSE / 2);
        now = reconnect.wake().unwrap();
        reconnect.next(now);
        reconnect.connected(peer, now);
        now += policy::STEADY;
        reconnect.lost(peer, now);
        assert!(reconnect.wake().unwrap() <= now + policy::FIRST_PAUSE);
    }

    #[test]
    fn a_new_address_is_tried_at_once_and_an_old_one_is_not() {
        let mut reconnect = table();
        let (peer, now) = (PeerId::random(), Instant::now());
        reconnect.seek(peer, vec![address(1)], false, now);
        reconnect.next(now);
        reconnect.failed(peer, now);
        reconnect.seek(peer, vec![address(1)], false, now);
        reconnect.learn(&peer, address(1), now);
        assert_eq!(reconnect.next(now), None);
        reconnect.learn(&peer, address(2), now);
        assert_eq!(reconnect.next(now), Some((peer, vec![address(1), address(2)])));
        reconnect.learn(&PeerId::random(), address(3), now);
        assert_eq!(reconnect.peers.len(), 1);
    }

    #[test]
    fn when_a_new_way_is_open_everyone_who_waits_is_tried_at_once() {
        let mut reconnect = table();
        let now = Instant::now();
        let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
        for peer in peers {
            reconnect.seek(peer, vec![address(1)], false, now);
            reconnect.next(now);
        }
        reconnect.failed(peers[0], now);
        reconnect.failed(peers[1], now);
        reconnect.connected(peers[2], now);
        assert_eq!(reconnect.next(now), None);
        reconnect.hasten(now);
        assert!(reconnect.next(now).is_some() && reconnect.next(now).is_some());
        assert_eq!(reconnect.next(now), None);
    }

    #[test]
    fn the_table_the_addresses_and_the_attempts_are_bounded() {
        let mut reconnect = table();
        let now = Instant::now();
        for _ in 0..policy::SOUGHT_PEERS {
            assert!(reconnect.seek(PeerId::random(), Vec::new(), false, now));
        }
        assert!(!reconnect.seek(PeerId::random(), Vec::new(), false, now));
        let peer = *reconnect.peers.keys().next().unwrap();
        for port in 0..1000 {
            reconnect.learn(&peer, address(port), now);
        }
        let mut tried = 0;
        while let Some((_, addresses)) = reconnect.next(now) {
            assert!(addresses.len() <= policy::PEER_ADDRESSES);
            tried += 1;
        }
        assert_eq!((tried, reconnect.wake()), (policy::DIALS, None));
    }
}
