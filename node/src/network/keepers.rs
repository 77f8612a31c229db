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
    /// Reserved, since then.
    Held(ListenerId, Instant),
    /// Refused, or lost: not asked again before then.
    Resting(Instant),
}

struct Keeper {
    lot: u32,
    /// Where this node's own connection to it leads.
    at: Option<Multiaddr>,
    /// Whether it relays, once it has said so.
    relays: Option<bool>,
    /// At which addresses it says that it relays, since a place was asked for.
    says: BTreeSet<Multiaddr>,
    failures: u32,
    place: Place,
}

impl Keeper {
    /// A place that was held for a while was a success: the pauses start anew. One that is granted
    /// and taken back at once is none.
    fn was_held(&mut self, now: Instant) {
        if let Place::Held(_, since) = self.place
            && now.duration_since(since) >= policy::STEADY
        {
            self.failures = 0;
        }
    }
}

/// What to do about a place at a relay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// Reserve one by listening there.
    Listen(PeerId, Multiaddr),
    /// Give one up, by ending the connection that it belongs to.
    Release(PeerId),
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
    /// Connected, but without a place for this node, or for anybody.
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
                relays: None,
                says: BTreeSet::new(),
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
    pub(super) fn lost(&mut self, peer: &PeerId, now: Instant) {
        if let Some(keeper) = self.known.get_mut(peer) {
            keeper.was_held(now);
            (keeper.at, keeper.relays) = (None, None);
            if !matches!(keeper.place, Place::Resting(_)) {
                keeper.place = Place::None;
            }
        }
    }

    /// A keeper has said whether it relays.
    pub(super) fn speaks(&mut self, peer: &PeerId, relays: bool) {
        if let Some(keeper) = self.known.get_mut(peer) {
            keeper.relays = Some(relays);
        }
    }

    /// What is to be done, if a place `is_needed` or not.
    pub(super) fn orders(&self, is_needed: bool, now: Instant) -> Vec<Order> {
        if !is_needed {
            // One that is only asked for is given up once it is there.
            let held = self.known.iter().filter(|(_, k)| matches!(k.place, Place::Held(..)));
            return held.map(|(peer, _)| Order::Release(*peer)).collect();
        }
        let busy = |keeper: &&Keeper| matches!(keeper.place, Place::Asked(_) | Place::Held(..));
        let wanted = policy::RESERVATIONS.saturating_sub(self.known.values().filter(busy).count());
        let mut ready: Vec<(&PeerId, &Keeper)> = self
            .known
            .iter()
            .filter(|(_, keeper)| match keeper.place {
                Place::None => true,
                Place::Resting(until) => until <= now,
                Place::Asked(_) | Place::Held(..) => false,
            })
            .filter(|(_, keeper)| keeper.relays == Some(true))
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
            keeper.says.clear();
        }
    }

    /// A keeper says of another address that it relays there. If it has said so of too many, its
    /// place is given up, and its name comes back: they are kept for as long as the place is.
    pub(super) fn says(
        &mut self,
        listener: ListenerId,
        address: Multiaddr,
        now: Instant,
    ) -> Option<PeerId> {
        let (_, keeper) = self.at(listener)?;
        keeper.says.insert(address);
        let too_much = keeper.says.len() > policy::PEER_ADDRESSES;
        too_much.then(|| self.closed(listener, true, now)).flatten()
    }

    fn at(&mut self, listener: ListenerId) -> Option<(PeerId, &mut Keeper)> {
        let own = |keeper: &Keeper| matches!(keeper.place, Place::Asked(at) | Place::Held(at, _) if at == listener);
        let found = self.known.iter_mut().find(|(_, keeper)| own(keeper));
        found.map(|(peer, keeper)| (*peer, keeper))
    }

    /// A keeper has granted a place.
    pub(super) fn granted(&mut self, peer: &PeerId, now: Instant) {
        if let Some(keeper) = self.known.get_mut(peer)
            && let Place::Asked(listener) = keeper.place
        {
            keeper.place = Place::Held(listener, now);
        }
    }

    /// A place is no longer, or was refused. Whose it was, if it was one of a keeper.
    pub(super) fn closed(
        &mut self,
        listener: ListenerId,
        is_failure: bool,
        now: Instant,
    ) -> Option<PeerId> {
        let random = self.chance.next_u32();
        let (peer, keeper) = self.at(listener)?;
        keeper.was_held(now);
        if is_failure {
            let pause = reconnect::pause(keeper.failures, random);
            keeper.failures = keeper.failures.saturating_add(1);
            keeper.place = Place::Resting(now.checked_add(pause).unwrap_or(now));
        } else {
            keeper.place = Place::None;
        }
        Some(peer)
    }

    /// When [`Self::orders`] may say something else, if nothing happens before.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let rests = self.known.values().filter(|keeper| keeper.relays == Some(true));
        rests
            .filter_map(|keeper| match keeper.place {
                Place::Resting(until) if until > now => Some(until),
                _ => None,
            })
            .min()
    }

    /// Where this node can be called through its keepers.
    pub(super) fn circuits(&self) -> BTreeSet<Multiaddr> {
        let held = self.known.iter().filter(|(_, k)| matches!(k.place, Place::Held(..)));
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
            let refuses = keeper.relays == Some(false) || matches!(keeper.place, Place::Resting(_));
            count.held = count.held.saturating_add(is(matches!(keeper.place, Place::Held(..))));
            count.refusing = count.refusing.saturating_add(is(refuses));
        }
        count
    }
}

#[cfg(test)]
mod tests;
