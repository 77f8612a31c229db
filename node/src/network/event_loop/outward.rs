//! How this node is reached and reaches: its keepers, places at their relays, its own addresses,
//! and where a peer is dialled.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt as _;
use libp2p::swarm::DialError;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::super::discovery::{
    is_loopback, is_outside, is_relayed, is_same_host, of_keeper, relay_of,
};
use super::super::keepers::Order;
use super::super::names::{is_name, look_up};
use super::super::reachability::Facts;
use super::super::transport::{key_of, peer_of};
use super::super::{KeeperContact, NetworkEvent, policy};
use super::EventLoop;

impl EventLoop {
    /// Takes over who the keepers are. A member is none: it would be kept from sessions.
    pub(super) fn keepers(&mut self, contacts: &[KeeperContact]) {
        let members = self.swarm.behaviour().gossip.members().clone();
        let own = *self.swarm.local_peer_id();
        let addresses: BTreeMap<PeerId, Vec<Multiaddr>> = contacts
            .iter()
            .filter_map(|contact| Some((peer_of(&contact.transport)?, contact)))
            .filter(|(peer, _)| *peer != own && !members.contains(peer))
            .take(policy::KEEPERS)
            .map(|(peer, contact)| {
                let known = contact.addresses.iter().take(policy::PEER_ADDRESSES);
                (peer, known.filter_map(|a| of_keeper(a.clone(), &peer)).collect())
            })
            .collect();
        self.only_these_keep(addresses.keys().copied().collect());
        for (peer, addresses) in addresses {
            // Looked up, its names are other addresses: nothing else is called before.
            self.guard.permit(peer, &addresses);
            let connected = self.swarm.behaviour().streams.is_connected(&peer);
            self.reconnect.seek(peer, addresses, connected, Instant::now());
            self.update_known(peer);
        }
        self.tell_reachability();
    }

    /// Who has become a member keeps nothing any more, whoever named it as a keeper.
    pub(super) fn members_keep_nothing(&mut self) {
        let keepers = self.keepers.peers();
        let members = self.swarm.behaviour().gossip.members();
        if !keepers.is_disjoint(members) {
            let rest = keepers.difference(members).copied().collect();
            self.only_these_keep(rest);
            self.tell_reachability();
        }
    }

    /// Whoever becomes a keeper, or is one no longer, is connected anew: what is kept from keepers,
    /// and what is not told of them, is so for whole connections.
    fn only_these_keep(&mut self, peers: BTreeSet<PeerId>) {
        for peer in &peers {
            if !self.keepers.is_one(peer) && self.swarm.behaviour().streams.is_connected(peer) {
                self.outbox.extend(key_of(peer).map(NetworkEvent::Disconnected));
                // An error means that there is no connection.
                let _ = self.swarm.disconnect_peer_id(*peer);
            }
        }
        for peer in self.keepers.set(peers) {
            self.guard.revoke(&peer);
            self.reconnect.forget(&peer);
            self.update_known(peer);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let behaviour = self.swarm.behaviour_mut();
        let peers = self.keepers.peers();
        behaviour.identify.set_keepers(peers.clone());
        if let Some(probing) = behaviour.probing.as_mut() {
            probing.set_keepers(peers);
        }
    }

    /// Reserves places, and gives them up when nobody is reached through relays any more. The
    /// connection goes with a place: libp2p's client of relays panics when a relay answers to the
    /// renewal of a place whose listener has been removed, and when it answers is for the relay to say.
    pub(super) fn place_orders(&mut self) {
        if self.keepers.count().all == 0 {
            return;
        }
        let (now, needed) = (Instant::now(), !self.facts().direct());
        for order in self.keepers.orders(needed, now) {
            match order {
                Order::Listen(peer, circuit) => match self.swarm.listen_on(circuit) {
                    Ok(listener) => self.keepers.asked(&peer, listener),
                    Err(_) => {
                        // No circuit could be made of it: this keeper is passed over.
                        tracing::warn!("a keeper's relay cannot be used");
                        self.keepers.speaks(&peer, false);
                    }
                },
                Order::Release(keeper) if self.relayed.is_empty() => {
                    // An error means that there is no connection.
                    let _ = self.swarm.disconnect_peer_id(keeper);
                }
                Order::Release(_) => {}
            }
        }
    }

    /// Dials a peer where it may be dialled. Circuits of own keepers are entered through the
    /// connection to the keeper, so not before there is one: where the keeper is said to be does not
    /// matter. With relays only there is no other way.
    pub(super) fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.keepers.is_one(&peer) {
            self.dial_keeper(peer, addresses);
            return;
        }
        let mut allowed: Vec<Multiaddr> = Vec::new();
        for address in addresses {
            let address = match relay_of(&address) {
                Some(relay) if self.keepers.is_one(&relay) => self.keepers.circuit(&relay),
                _ => Some(address).filter(|at| self.may_call(at)),
            };
            allowed.extend(address.filter(|address| !allowed.contains(address)));
        }
        self.dial_at(peer, allowed);
    }

    /// Whether a peer may be called where it says that it is. Of this machine's own doors that is so
    /// only for a node which nobody else could call; of a proxy's, and of its network, never.
    pub(super) fn may_call(&self, address: &Multiaddr) -> bool {
        let here_only = self.here_only
            || (!self.listening.is_empty() && self.listening.iter().all(is_loopback));
        let fit = match self.way.proxy {
            Some(_) => is_outside(address),
            None => here_only || !is_loopback(address),
        };
        fit && !self.way.circuits_only() && !is_name(address)
    }

    fn dial_keeper(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.way.proxy.is_none() && addresses.iter().any(is_name) {
            self.lookups.push(look_up(addresses).map(move |found| (peer, found)).boxed());
        } else {
            self.dial_at(peer, addresses);
        }
    }

    /// Dials known peers anew that are reached through relays only: directly, and at circuits, where
    /// a hole is punched when the connection comes up. With relays only there is nothing to gain.
    pub(super) fn upgrade_who_is_due(&mut self) {
        while let Some(peer) = self.upgrades.next(Instant::now()) {
            let addresses = self.reconnect.addresses(&peer);
            let known = self.swarm.behaviour().streams.is_known(&peer);
            if known && self.way.listens() && !addresses.is_empty() {
                self.dial(peer, addresses);
            }
        }
    }

    /// The names of a keeper's addresses have been looked up.
    pub(super) fn looked_up(&mut self, (peer, addresses): (PeerId, Vec<Multiaddr>)) {
        if self.keepers.is_one(&peer) {
            self.guard.permit(peer, &addresses);
            self.dial_at(peer, addresses);
        }
    }

    fn dial_at(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if addresses.is_empty() {
            self.not_reached(peer, &DialError::NoAddresses);
            return;
        }
        // To be connected is no reason not to dial while that is through relays only.
        let condition = match self.relayed.contains(&peer) {
            true => PeerCondition::NotDialing,
            false => PeerCondition::DisconnectedAndNotDialing,
        };
        let dial = DialOpts::peer_id(peer).condition(condition).addresses(addresses).build();
        if let Err(error) = self.swarm.dial(dial) {
            self.not_reached(peer, &error);
        }
    }

    /// The machine has left a network: what was found out there about being reached is worth
    /// nothing now. Keepers are let go, to be called anew and asked: a connection that goes by
    /// another of the machine's addresses, or moved along with it, would last and tell nothing.
    pub(super) fn moved(&mut self) {
        (self.was_called, self.refuted) = (false, false);
        let found: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        let mapped = &self.mapped;
        for address in found.iter().filter(|at| !is_relayed(at) && !mapped.contains(*at)) {
            self.swarm.remove_external_address(address);
        }
        let behaviour = self.swarm.behaviour_mut();
        behaviour.identify.begin_anew();
        if let Some(probing) = behaviour.probing.as_mut() {
            probing.begin_anew();
        }
        for keeper in self.keepers.peers() {
            // An error means that there is no connection.
            let _ = self.swarm.disconnect_peer_id(keeper);
        }
    }

    /// Whether a router may have let somebody in only because this node calls there: a member whom it
    /// seeks, a keeper, or who comes through a hole that was punched from a relay. To take that for a
    /// sign that anybody can call would be to give up the places at relays.
    pub(super) fn was_let_in(&self, peer: &PeerId, from: &Multiaddr) -> bool {
        let called = || self.reconnect.addresses(peer).iter().any(|at| is_same_host(at, from));
        self.keepers.is_one(peer) || self.relayed.contains(peer) || called()
    }

    /// Tells, as soon as it may, where others may reach this node, if that is not what was told.
    pub(super) fn tell_where(&mut self) {
        let is_news = self.told_where.as_ref() != Some(&self.own_addresses());
        self.telling.set(is_news, Instant::now());
        self.tell_reachability();
    }

    /// Tells what has waited until it may be told.
    pub(super) fn tell_what_is_due(&mut self) {
        if self.telling.is_due(Instant::now()) {
            let addresses = self.own_addresses();
            // Its own ports are remembered: one that a router or a keeper gave it is not its own.
            let (own, others): (Vec<_>, Vec<_>) =
                addresses.iter().partition(|address| self.listening.contains(*address));
            let told = own.into_iter().chain(others).map(Multiaddr::to_vec).collect();
            self.told_where = Some(addresses);
            self.outbox.push_back(NetworkEvent::Listening(told));
        }
    }

    /// Where others may reach this node: of circuits only those of its own keepers, by the addresses
    /// at which it found them.
    fn own_addresses(&self) -> BTreeSet<Multiaddr> {
        let own = self.listening.iter().chain(self.swarm.external_addresses());
        let mut addresses: BTreeSet<Multiaddr> =
            own.filter(|address| !is_relayed(address)).cloned().collect();
        addresses.extend(self.keepers.circuits());
        addresses
    }

    fn facts(&self) -> Facts {
        let direct = |address: &&Multiaddr| !is_relayed(address);
        let outward = self.listening.iter().filter(direct).any(|address| !is_loopback(address));
        let confirmed = self.swarm.external_addresses().filter(direct);
        Facts {
            may_listen: self.way.listens(),
            listens: (self.listening.iter().any(|address| !is_relayed(address)), outward),
            called_back: confirmed.into_iter().any(|address| !self.mapped.contains(address)),
            router_opened: !self.mapped.is_empty(),
            was_called: self.was_called,
            refuted: self.refuted,
            proxy_down: self.way.proxy.is_some() && self.proxy.is_down(),
            keepers: self.keepers.count(),
        }
    }

    /// Tells how others reach this node, if that is another way than before.
    pub(super) fn tell_reachability(&mut self) {
        let judged = self.facts().judge();
        if self.told_reachability != Some(judged) {
            self.told_reachability = Some(judged);
            self.outbox.push_back(NetworkEvent::Reachability(judged));
        }
    }

    /// Tells whether a peer is reached through relays only, if that is not what was told. Of keepers
    /// nothing is told.
    pub(super) fn tell_relayed(&mut self, peer: PeerId) {
        if self.keepers.is_one(&peer) {
            return;
        }
        let relayed = self.swarm.behaviour().streams.is_relayed(&peer);
        let before = self.relayed.contains(&peer);
        let now = relayed == Some(true);
        if before == now {
            return;
        }
        if now {
            self.relayed.insert(peer);
            self.upgrades.begin(peer, Instant::now());
        } else {
            self.relayed.remove(&peer);
            self.upgrades.end(&peer);
        }
        if let (Some(key), Some(relayed)) = (key_of(&peer), relayed) {
            self.outbox.push_back(NetworkEvent::Relayed { peer: key, relayed });
        }
    }
}
