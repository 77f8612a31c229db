//! The keepers of a group as relays: which are connected, and at which a circuit is reserved.
//!
//! Keepers are no members: they take no part in gossip and in no session. A connection is kept to
//! each; while nobody outside can call this node, a place is reserved at up to
//! [`policy::RESERVATIONS`] of them. One that refuses rests, for pauses that grow, and the next is
//! asked. In which order they are asked is drawn by lot, so that a group does not crowd at one.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use tokio::time::Instant;

use super::{policy, reconnect};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// None, and none was asked for.
    None,
    /// Asked for.
    Asked(ListenerId),
    /// Reserved.
    Held(ListenerId),
    /// Refused, or lost: not asked again before then.
    Resting(Instant),
}

struct Keeper {
    lot: u32,
    /// Where this node's own connection to it leads.
    at: Option<Multiaddr>,
    relays: bool,
    failures: u32,
    place: Place,
}

/// What to do about a place at a relay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// Reserve one by listening there.
    Listen(PeerId, Multiaddr),
    /// Give one up.
    Release(ListenerId),
}

/// How many keepers there are, and of what use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Count {
    /// In all.
    pub(super) all: usize,
    /// Connected.
    pub(super) connected: usize,
    /// With a place reserved.
    pub(super) held: usize,
    /// Connected, but without a place for this node.
    pub(super) refusing: usize,
}

/// All keepers of one persona.
pub(super) struct Keepers {
    known: BTreeMap<PeerId, Keeper>,
    chance: ChaCha20Rng,
}

impl Keepers {
    /// None yet.
    pub(super) const fn new(chance: ChaCha20Rng) -> Self {
        Self { known: BTreeMap::new(), chance }
    }

    /// Whether a peer is one.
    pub(super) fn is_one(&self, peer: &PeerId) -> bool {
        self.known.contains_key(peer)
    }

    /// Who they are.
    pub(super) fn peers(&self) -> BTreeSet<PeerId> {
        self.known.keys().copied().collect()
    }

    /// From now on these are the keepers, at most [`policy::KEEPERS`]. Those that are no longer
    /// among them; the places reserved there end with their connections.
    pub(super) fn set(&mut self, peers: BTreeSet<PeerId>) -> Vec<PeerId> {
        let gone: Vec<PeerId> =
            self.known.keys().filter(|peer| !peers.contains(peer)).copied().collect();
        self.known.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            if self.known.len() >= policy::KEEPERS {
                break;
            }
            let lot = self.chance.next_u32();
            self.known.entry(peer).or_insert(Keeper {
                lot,
                at: None,
                relays: false,
                failures: 0,
                place: Place::None,
            });
        }
        gone
    }

    /// This node's own connection to a keeper is up.
    pub(super) fn connected(&mut self, peer: &PeerId, mut at: Multiaddr) {
        if let Some(Protocol::P2p(_)) = at.iter().last() {
            at.pop();
        }
        if let Some(keeper) = self.known.get_mut(peer) {
            keeper.at.get_or_insert(at);
        }
    }

    /// The last connection to a keeper is gone, and its place with it.
    pub(super) fn lost(&mut self, peer: &PeerId) {
        if let Some(keeper) = self.known.get_mut(peer) {
            (keeper.at, keeper.relays) = (None, false);
            if !matches!(keeper.place, Place::Resting(_)) {
                keeper.place = Place::None;
            }
        }
    }

    /// A keeper has said whether it relays.
    pub(super) fn speaks(&mut self, peer: &PeerId, relays: bool) {
        if let Some(keeper) = self.known.get_mut(peer) {
            keeper.relays = relays;
        }
    }

    /// What is to be done, if a place `is_needed` or not.
    pub(super) fn orders(&self, is_needed: bool, now: Instant) -> Vec<Order> {
        if !is_needed {
            let held = self.known.values().filter_map(|keeper| match keeper.place {
                Place::Held(listener) => Some(Order::Release(listener)),
                // One that is only asked for is given up once it is there.
                _ => None,
            });
            return held.collect();
        }
        let busy = |keeper: &&Keeper| matches!(keeper.place, Place::Asked(_) | Place::Held(_));
        let wanted = policy::RESERVATIONS.saturating_sub(self.known.values().filter(busy).count());
        let mut ready: Vec<(&PeerId, &Keeper)> = self
            .known
            .iter()
            .filter(|(_, keeper)| match keeper.place {
                Place::None => true,
                Place::Resting(until) => until <= now,
                Place::Asked(_) | Place::Held(_) => false,
            })
            .filter(|(_, keeper)| keeper.relays)
            .collect();
        ready.sort_by_key(|(_, keeper)| (keeper.failures, keeper.lot));
        ready
            .into_iter()
            .take(wanted)
            .filter_map(|(peer, _)| Some(Order::Listen(*peer, self.circuit(peer)?)))
            .collect()
    }

    /// A place was asked for by listening.
    pub(super) fn asked(&mut self, peer: &PeerId, listener: ListenerId) {
        if let Some(keeper) = self.known.get_mut(peer) {
            keeper.place = Place::Asked(listener);
        }
    }

    /// A keeper has granted a place.
    pub(super) fn granted(&mut self, peer: &PeerId) {
        if let Some(keeper) = self.known.get_mut(peer)
            && let Place::Asked(listener) = keeper.place
        {
            (keeper.place, keeper.failures) = (Place::Held(listener), 0);
        }
    }

    /// A place is no longer, or was refused. Whether it was one of a keeper.
    pub(super) fn closed(&mut self, listener: ListenerId, is_failure: bool, now: Instant) -> bool {
        let own = |keeper: &&mut Keeper| matches!(keeper.place, Place::Asked(at) | Place::Held(at) if at == listener);
        let Some(keeper) = self.known.values_mut().find(own) else { return false };
        if is_failure {
            let pause = reconnect::pause(keeper.failures, self.chance.next_u32());
            keeper.failures = keeper.failures.saturating_add(1);
            keeper.place = Place::Resting(now.checked_add(pause).unwrap_or(now));
        } else {
            keeper.place = Place::None;
        }
        true
    }

    /// When [`Self::orders`] may say something else, if nothing happens before.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let rests = self.known.values().filter(|keeper| keeper.relays);
        rests
            .filter_map(|keeper| match keeper.place {
                Place::Resting(until) if until > now => Some(until),
                _ => None,
            })
            .min()
    }

    /// Where this node can be called through its keepers.
    pub(super) fn circuits(&self) -> BTreeSet<Multiaddr> {
        let held = self.known.iter().filter(|(_, k)| matches!(k.place, Place::Held(_)));
        held.filter_map(|(peer, _)| self.circuit(peer)).collect()
    }

    /// The circuit of a connected keeper, by the address at which this node found it: what others
    /// say of where it is, is not followed.
    pub(super) fn circuit(&self, peer: &PeerId) -> Option<Multiaddr> {
        let at = self.known.get(peer)?.at.clone()?;
        Some(at.with(Protocol::P2p(*peer)).with(Protocol::P2pCircuit))
    }

    /// How many there are.
    pub(super) fn count(&self) -> Count {
        let mut count = Count { all: self.known.len(), ..Count::default() };
        for keeper in self.known.values().filter(|keeper| keeper.at.is_some()) {
            count.connected = count.connected.saturating_add(1);
            let is = |yes: bool| usize::from(yes);
            count.held = count.held.saturating_add(is(matches!(keeper.place, Place::Held(_))));
            count.refusing =
                count.refusing.saturating_add(is(matches!(keeper.place, Place::Resting(_))));
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;

    use super::*;

    fn keepers(many: usize) -> (Keepers, Vec<PeerId>) {
        let mut keepers = Keepers::new(ChaCha20Rng::from_seed([1; 32]));
        let peers: BTreeSet<PeerId> = (0..many).map(|_| PeerId::random()).collect();
        keepers.set(peers.clone());
        for peer in &peers {
            keepers.connected(peer, format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}").parse().unwrap());
            keepers.speaks(peer, true);
        }
        (keepers, peers.into_iter().collect())
    }

    fn ask(keepers: &mut Keepers, now: Instant) -> Vec<(PeerId, ListenerId)> {
        let listens = keepers.orders(true, now).into_iter().map(|order| match order {
            Order::Listen(peer, _) => (peer, ListenerId::next()),
            Order::Release(_) => panic!("nothing is to be given up"),
        });
        let listens: Vec<_> = listens.collect();
        for (peer, listener) in &listens {
            keepers.asked(peer, *listener);
        }
        listens
    }

    #[test]
    fn two_places_are_reserved_and_given_up_when_none_is_needed() {
        let (mut keepers, _) = keepers(4);
        let now = Instant::now();
        let asked = ask(&mut keepers, now);
        assert_eq!(asked.len(), policy::RESERVATIONS);
        assert!(keepers.orders(true, now).is_empty() && keepers.circuits().is_empty());
        assert!(keepers.orders(false, now).is_empty(), "what is only asked for is waited for");
        for (peer, _) in &asked {
            keepers.granted(peer);
        }
        let circuits = keepers.circuits();
        assert_eq!(circuits.len(), 2);
        assert!(
            asked.iter().all(|(peer, _)| circuits.contains(
                &format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}/p2p-circuit").parse().unwrap()
            ))
        );
        assert_eq!(keepers.orders(false, now).len(), 2);
    }

    #[test]
    fn who_refuses_rests_longer_each_time_and_the_next_is_asked() {
        let (mut keepers, _) = keepers(3);
        let mut now = Instant::now();
        let asked = ask(&mut keepers, now);
        let (refusing, listener) = asked[0];
        assert!(keepers.closed(listener, true, now));
        assert!(!keepers.closed(listener, true, now), "once is enough");
        let next = ask(&mut keepers, now);
        assert!(next.len() == 1 && next[0].0 != refusing && next[0].0 != asked[1].0);
        let mut before = Instant::now() - Instant::now();
        for _ in 0..6 {
            keepers.closed(next[0].1, true, now);
            let until = keepers.wake(now).unwrap();
            now = until.max(now + before * 3);
            let again = ask(&mut keepers, now);
            for (_, listener) in again {
                keepers.closed(listener, true, now);
            }
            before = keepers.wake(now).unwrap() - now;
        }
        assert!(before > policy::FIRST_PAUSE);
    }

    #[test]
    fn a_keeper_that_vanished_has_no_place_and_one_that_does_not_relay_is_not_asked() {
        let (mut keepers, peers) = keepers(2);
        let now = Instant::now();
        let asked = ask(&mut keepers, now);
        keepers.granted(&asked[0].0);
        keepers.lost(&asked[0].0);
        assert!(keepers.circuits().is_empty());
        assert_eq!(keepers.count().connected, 1);
        assert!(keepers.orders(true, now).is_empty(), "it must be connected first");
        keepers.connected(&asked[0].0, "/ip4/192.0.2.1/tcp/1".parse().unwrap());
        assert!(keepers.orders(true, now).is_empty(), "and say that it relays");
        keepers.speaks(&asked[0].0, true);
        assert_eq!(keepers.orders(true, now).len(), 1);
        assert_eq!(keepers.set(BTreeSet::from([peers[0]])), [peers[1]]);
    }

    #[test]
    fn the_keepers_are_bounded() {
        let (keepers, _) = keepers(policy::KEEPERS * 3);
        assert_eq!(keepers.count().all, policy::KEEPERS);
    }
}
