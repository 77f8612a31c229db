//! The one loop of a persona's network. It is polled by whoever started it and starts nothing.
//!
//! Commands are always taken. What the network brings is taken only while the driver keeps up.

mod arrivals;
mod outward;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::input::{GossipToken, Protocol, SessionId};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::gossipsub::MessageId;
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::behaviour::Behaviour;
use super::framing::Report;
use super::guard::Guard;
use super::keepers::Keepers;
use super::nearby::Nearby;
use super::reachability::Reachability;
use super::reconnect::{Reconnect, until};
use super::sessions::Sessions;
use super::socks::ProxyHealth;
use super::swarm::{self, Chance, chance};
use super::telling::Telling;
use super::transport::peer_of;
use super::upgrade::Upgrades;
use super::{NetworkCommand, NetworkConfig, NetworkError, NetworkEvent, discovery, policy};
use crate::config::Way;

/// All that one persona's network holds.
pub(super) struct EventLoop {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<NetworkCommand>,
    events: mpsc::Sender<NetworkEvent>,
    /// Events that the driver has no room for yet.
    outbox: VecDeque<NetworkEvent>,
    sessions: Sessions,
    reconnect: Reconnect,
    way: Way,
    /// Whether this node is to listen on this machine only.
    here_only: bool,
    proxy: ProxyHealth,
    guard: Guard,
    keepers: Keepers,
    /// Names of keepers that are being looked up.
    lookups: FuturesUnordered<BoxFuture<'static, (PeerId, Vec<Multiaddr>)>>,
    nearby: Nearby,
    listening: BTreeSet<Multiaddr>,
    /// Addresses at which the router lets others in.
    mapped: BTreeSet<Multiaddr>,
    /// Whether anyone has ever called from another network.
    was_called: bool,
    /// Whether a keeper called back in vain.
    refuted: bool,
    /// Peers that are reached through relays only.
    relayed: BTreeSet<PeerId>,
    upgrades: Upgrades,
    told_where: Option<BTreeSet<Multiaddr>>,
    telling: Telling,
    told_reachability: Option<Reachability>,
    verdicts: BTreeMap<GossipToken, (MessageId, PeerId)>,
    next_token: u64,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Continue,
    Stop,
}

impl EventLoop {
    /// Listens; does nothing else yet.
    pub(super) fn new(
        config: NetworkConfig,
        commands: mpsc::Receiver<NetworkCommand>,
        events: mpsc::Sender<NetworkEvent>,
    ) -> Result<Self, NetworkError> {
        let (proxy, guard) = (ProxyHealth::default(), Guard::new(config.way.circuits_only()));
        Ok(Self {
            swarm: swarm::swarm(&config, proxy.clone(), guard.clone())?,
            commands,
            events,
            outbox: VecDeque::new(),
            sessions: Sessions::new(),
            reconnect: Reconnect::new(chance(config.jitter, Chance::Pauses)),
            way: config.way,
            here_only: config.listen.iter().all(discovery::is_loopback),
            proxy,
            guard,
            keepers: Keepers::new(chance(config.jitter, Chance::Keepers)),
            lookups: FuturesUnordered::new(),
            nearby: Nearby::default(),
            listening: BTreeSet::new(),
            mapped: BTreeSet::new(),
            was_called: false,
            refuted: false,
            relayed: BTreeSet::new(),
            upgrades: Upgrades::new(chance(config.jitter, Chance::Upgrades)),
            told_where: None,
            telling: Telling::new(Instant::now()),
            told_reachability: None,
            verdicts: BTreeMap::new(),
            next_token: 0,
        })
    }

    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        self.tell_reachability();
        while self.step().await == Next::Continue {}
        self.farewell().await;
    }

    async fn step(&mut self) -> Next {
        let keeps_up = self.outbox.len() < policy::EVENTS_WAITING;
        let wakes = [
            self.reconnect.wake(),
            self.keepers.wake(Instant::now()),
            self.upgrades.wake(),
            self.telling.wake(),
        ];
        let wake = wakes.into_iter().flatten().min();
        let events = self.events.clone();
        tokio::select! {
            command = self.commands.recv() => match command {
                Some(command) => return self.command(command),
                None => return Next::Stop,
            },
            room = events.reserve(), if !self.outbox.is_empty() => match room {
                Ok(room) => {
                    if let Some(event) = self.outbox.pop_front() {
                        room.send(event);
                    }
                }
                Err(_) => return Next::Stop,
            },
            () = events.closed() => return Next::Stop,
            report = self.sessions.report(), if keeps_up => self.report(report),
            event = self.swarm.select_next_some(), if keeps_up => self.swarm_event(event),
            Some(found) = self.lookups.next(), if !self.lookups.is_empty() => self.looked_up(found),
            () = until(wake) => {}
        }
        self.place_orders();
        self.dial_who_is_due();
        self.upgrade_who_is_due();
        self.tell_what_is_due();
        Next::Continue
    }

    fn command(&mut self, command: NetworkCommand) -> Next {
        match command {
            NetworkCommand::Seek { peer, addresses } => self.seek(&peer, &addresses),
            NetworkCommand::Forget { peer } => {
                if let Some(peer) = peer_of(&peer).filter(|peer| !self.keepers.is_one(peer)) {
                    self.reconnect.forget(&peer);
                    self.update_known(peer);
                }
            }
            NetworkCommand::Disconnect { peer } => {
                if let Some(peer) = peer_of(&peer).filter(|peer| !self.keepers.is_one(peer)) {
                    // An error means that there is no connection.
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
            }
            NetworkCommand::Open { peer, protocol } => self.open(peer, protocol),
            NetworkCommand::Send { session, message } => self.sessions.send(session, message),
            NetworkCommand::Taken { session } => self.sessions.taken(session),
            NetworkCommand::Close { session } => self.sessions.close(session),
            NetworkCommand::Publish(bytes) => {
                if let Err(error) = self.swarm.behaviour_mut().gossip.publish(bytes) {
                    // Nobody to hear it, or heard already: they come to it by S2.
                    tracing::trace!(%error, "not gossiped");
                }
            }
            NetworkCommand::Verdict { token, verdict } => {
                if let Some((message, from)) = self.verdicts.remove(&token) {
                    self.swarm.behaviour_mut().gossip.decide(&message, &from, verdict);
                }
            }
            NetworkCommand::Members(members) => {
                let members: BTreeSet<PeerId> = members.iter().filter_map(peer_of).collect();
                let before = self.swarm.behaviour().gossip.members().clone();
                self.swarm.behaviour_mut().gossip.set_members(members.clone());
                self.members_keep_nothing();
                for peer in before.symmetric_difference(&members) {
                    self.update_known(*peer);
                }
            }
            NetworkCommand::Keepers(contacts) => self.keepers(&contacts),
            NetworkCommand::Shutdown => return Next::Stop,
        }
        self.dial_who_is_due();
        Next::Continue
    }

    fn seek(&mut self, key: &TransportKey, addresses: &[Vec<u8>]) {
        let Some(peer) = peer_of(key) else { return };
        if peer == *self.swarm.local_peer_id() || self.keepers.is_one(&peer) {
            return;
        }
        let addresses = addresses
            .iter()
            .take(policy::PEER_ADDRESSES)
            .filter_map(|bytes| discovery::read(bytes, &peer))
            .collect();
        let connected = self.swarm.behaviour().streams.is_connected(&peer);
        if self.reconnect.seek(peer, addresses, connected, Instant::now()) {
            self.update_known(peer);
        } else {
            tracing::warn!("too many peers are sought: one more is not");
        }
    }

    fn update_known(&mut self, peer: PeerId) {
        let sought = self.reconnect.is_sought(&peer);
        let behaviour = self.swarm.behaviour_mut();
        let known = sought || behaviour.gossip.members().contains(&peer);
        behaviour.streams.set_known(peer, known);
        // Keepers are dialled directly as it is.
        let punched = known && !self.keepers.is_one(&peer);
        if let Some(punching) = behaviour.punching.as_mut() {
            punching.set_known(peer, punched);
        }
        if known && self.relayed.contains(&peer) {
            self.upgrades.begin(peer, Instant::now());
        }
        if known {
            for address in self.nearby.of(&peer) {
                self.found_nearby(peer, address);
            }
        }
    }

    fn open(&mut self, key: TransportKey, protocol: Protocol) {
        let peer = peer_of(&key).filter(|peer| !self.keepers.is_one(peer));
        let opening = peer.and_then(|peer| {
            let known = self.swarm.behaviour().streams.is_known(&peer);
            let opening = self.sessions.begin(peer, protocol, known)?;
            let asked = self.swarm.behaviour_mut().streams.open(opening, peer, protocol);
            if !asked {
                self.sessions.settle(opening);
            }
            asked.then_some(opening)
        });
        if opening.is_none() {
            self.outbox.push_back(NetworkEvent::NotOpened { peer: key, protocol });
        }
    }

    fn dial_who_is_due(&mut self) {
        while let Some((peer, addresses)) = self.reconnect.next(Instant::now()) {
            self.dial(peer, addresses);
        }
    }

    fn report(&mut self, (session, report): (SessionId, Report)) {
        self.outbox.push_back(match report {
            Report::Message(message) => NetworkEvent::Message { session, message },
            Report::Drained => NetworkEvent::Drained(session),
            Report::Over(ending) => {
                tracing::debug!(?ending, "a session is over");
                self.sessions.over(session);
                NetworkEvent::SessionClosed(session)
            }
        });
    }

    /// Flushes what was given, says goodbye to everyone, and waits a little for both.
    async fn farewell(mut self) {
        self.sessions.close_all();
        let end = Instant::now().checked_add(policy::FAREWELL);
        let mut parted = false;
        loop {
            if !parted && self.sessions.is_empty() {
                parted = true;
                let peers: Vec<PeerId> =
                    self.swarm.behaviour().streams.connected().copied().collect();
                for peer in peers {
                    // An error means that the connection is gone already.
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
            }
            if parted && self.swarm.behaviour().streams.connected().next().is_none() {
                return;
            }
            tokio::select! {
                (session, report) = self.sessions.report() => {
                    if let Report::Over(_) = report {
                        self.sessions.over(session);
                    }
                }
                _ = self.swarm.select_next_some() => {}
                () = until(end) => return,
            }
        }
    }
}
