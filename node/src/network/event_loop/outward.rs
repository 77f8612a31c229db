//! How this node is reached and reaches: its keepers, places at their relays, its own addresses,
//! and where a peer is dialled.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt as _;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::DialError;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::super::discovery::{is_loopback, is_relayed, of_keeper, relay_of};
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
        for peer in self.keepers.set(addresses.keys().copied().collect()) {
            self.guard.revoke(&peer);
            self.reconnect.forget(&peer);
            self.update_known(peer);
            // An error means that there is no connection.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let behaviour = self.swarm.behaviour_mut();
        let peers = self.keepers.peers();
        behaviour.identify.set_keepers(peers.clone());
        if let Some(probing) = behaviour.probing.as_mut() {
            probing.set_keepers(peers);
        }
        for (peer, addresses) in addresses {
            // Looked up, its names are other addresses: nothing else is called before.
            self.guard.permit(peer, &addresses);
            let connected = self.swarm.behaviour().streams.is_connected(&peer);
            self.reconnect.seek(peer, addresses, connected, Instant::now());
            self.update_known(peer);
        }
        self.tell_reachability();
    }

    /// Reserves places and gives them up.
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
                Order::Release(listener) => {
                    self.swarm.remove_listener(listener);
                }
            }
        }
    }

    /// A listener is gone: whether it was a place at a relay.
    pub(super) fn place_closed(&mut self, listener: ListenerId, is_failure: bool) -> bool {
        self.keepers.closed(listener, is_failure, Instant::now())
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
                _ => Some(address).filter(|at| !self.way.circuits_only() && !is_name(at)),
            };
            allowed.extend(address.filter(|address| !allowed.contains(address)));
        }
        self.dial_at(peer, allowed);
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
    /// nothing now.
    pub(super) fn moved(&mut self) {
        (self.was_called, self.refuted) = (false, false);
        let found: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        let mapped = &self.mapped;
        for address in found.iter().filter(|at| !is_relayed(at) && !mapped.contains(*at)) {
            self.swarm.remove_external_address(address);
        }
        if let Some(probing) = self.swarm.behaviour_mut().probing.as_mut() {
            probing.begin_anew();
        }
    }

    /// Tells where others may reach this node: of circuits only those of its own keepers, by the
    /// addresses at which it found them.
    pub(super) fn tell_where(&mut self) {
        let own = self.listening.iter().chain(self.swarm.external_addresses());
        let mut addresses: BTreeSet<Multiaddr> =
            own.filter(|address| !is_relayed(address)).cloned().collect();
        addresses.extend(self.keepers.circuits());
        if self.told_where.as_ref() != Some(&addresses) {
            let told = addresses.iter().map(Multiaddr::to_vec).collect();
            self.told_where = Some(addresses);
            self.outbox.push_back(NetworkEvent::Listening(told));
        }
        self.tell_reachability();
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

    /// Tells whether a peer is reached through relays only, if that is not what was told.
    pub(super) fn tell_relayed(&mut self, peer: PeerId) {
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
