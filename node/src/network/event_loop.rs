//! The one loop of a persona's network. It is polled by whoever started it and starts nothing.
//!
//! Commands are always taken. What the network brings is taken only while the driver keeps up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::effect::Verdict;
use cairn_crdt::replica::input::{GossipToken, Protocol, SessionId};
use futures::StreamExt as _;
use libp2p::gossipsub::{self, MessageId};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, mdns, ping};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::behaviour::{Behaviour, BehaviourEvent};
use super::framing::Report;
use super::reconnect::Reconnect;
use super::sessions::Sessions;
use super::streams::StreamEvent;
use super::transport::{self, key_of, peer_of};
use super::{NetworkCommand, NetworkConfig, NetworkError, NetworkEvent, discovery, policy};

/// All that one persona's network holds.
pub(super) struct EventLoop {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<NetworkCommand>,
    events: mpsc::Sender<NetworkEvent>,
    /// Events that the driver has no room for yet.
    outbox: VecDeque<NetworkEvent>,
    sessions: Sessions,
    reconnect: Reconnect,
    listening: BTreeSet<Multiaddr>,
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
        Ok(Self {
            swarm: transport::swarm(&config)?,
            commands,
            events,
            outbox: VecDeque::new(),
            sessions: Sessions::new(),
            reconnect: Reconnect::new(config.jitter),
            listening: BTreeSet::new(),
            verdicts: BTreeMap::new(),
            next_token: 0,
        })
    }

    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        while self.step().await == Next::Continue {}
        self.farewell().await;
    }

    async fn step(&mut self) -> Next {
        let keeps_up = self.outbox.len() < policy::EVENTS_WAITING;
        let wake = self.reconnect.wake();
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
            () = until(wake) => {}
        }
        self.dial_who_is_due();
        Next::Continue
    }

    fn command(&mut self, command: NetworkCommand) -> Next {
        match command {
            NetworkCommand::Seek { peer, addresses } => self.seek(&peer, &addresses),
            NetworkCommand::Forget { peer } => {
                if let Some(peer) = peer_of(&peer) {
                    self.reconnect.forget(&peer);
                    self.update_known();
                }
            }
            NetworkCommand::Disconnect { peer } => {
                if let Some(peer) = peer_of(&peer) {
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
                let members = members.iter().filter_map(peer_of).collect();
                self.swarm.behaviour_mut().gossip.set_members(members);
                self.update_known();
            }
            NetworkCommand::Shutdown => return Next::Stop,
        }
        self.dial_who_is_due();
        Next::Continue
    }

    fn seek(&mut self, key: &TransportKey, addresses: &[Vec<u8>]) {
        let Some(peer) = peer_of(key) else { return };
        if peer == *self.swarm.local_peer_id() {
            return;
        }
        let addresses = addresses
            .iter()
            .take(policy::PEER_ADDRESSES)
            .filter_map(|bytes| discovery::read(bytes, &peer))
            .collect();
        let connected = self.swarm.behaviour().streams.is_connected(&peer);
        if self.reconnect.seek(peer, addresses, connected, Instant::now()) {
            self.update_known();
        } else {
            tracing::warn!("too many peers are sought: one more is not");
        }
    }

    fn update_known(&mut self) {
        let behaviour = self.swarm.behaviour_mut();
        let mut known = behaviour.gossip.members().clone();
        known.extend(self.reconnect.peers());
        behaviour.streams.set_known(known);
    }

    fn open(&mut self, key: TransportKey, protocol: Protocol) {
        let opening = peer_of(&key).and_then(|peer| {
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

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let dial = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .build();
        if let Err(error) = self.swarm.dial(dial) {
            self.not_reached(peer, &error);
        }
    }

    fn not_reached(&mut self, peer: PeerId, error: &DialError) {
        let ours = self.reconnect.failed(peer, Instant::now());
        if let DialError::DialPeerConditionFalse(_) = error {
            // Connected or being dialled at this moment for another reason.
            if self.swarm.behaviour().streams.is_connected(&peer) {
                self.reconnect.connected(peer, Instant::now());
            }
            return;
        }
        if let (true, Some(peer)) = (ours, key_of(&peer)) {
            let why = why_not_reached(error).to_owned();
            self.outbox.push_back(NetworkEvent::Unreachable { peer, why });
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

    fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, num_established, .. }
                if num_established.get() == 1 =>
            {
                self.reconnect.connected(peer_id, Instant::now());
                self.outbox.extend(key_of(&peer_id).map(NetworkEvent::Connected));
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.sessions.abandon(&peer_id);
                self.reconnect.lost(peer_id, Instant::now());
                self.outbox.extend(key_of(&peer_id).map(NetworkEvent::Disconnected));
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.not_reached(peer, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.listening.insert(address);
                self.tell_where();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.remove(&address);
                self.tell_where();
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                if let Err(error) = reason {
                    tracing::warn!(kind = %error.kind(), "no longer listening at one address");
                }
                for address in addresses {
                    self.listening.remove(&address);
                }
                self.tell_where();
            }
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                self.tell_where();
            }
            _ => {}
        }
    }

    fn tell_where(&mut self) {
        let mut addresses = self.listening.clone();
        addresses.extend(self.swarm.external_addresses().cloned());
        let addresses = addresses.iter().map(Multiaddr::to_vec).collect();
        self.outbox.push_back(NetworkEvent::Listening(addresses));
    }

    fn behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(event) => self.stream_event(event),
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => self.gossip(propagation_source, message_id, message.data),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let near = discovery::is_loopback(&info.observed_addr);
                let known = self.swarm.behaviour().gossip.members().contains(&peer_id);
                let addresses = info.listen_addrs.into_iter().filter(|_| known);
                for address in addresses.take(policy::PEER_ADDRESSES) {
                    let address = discovery::of_peer(address, &peer_id);
                    if let Some(address) = address.filter(|at| near || !discovery::is_loopback(at))
                    {
                        self.reconnect.learn(&peer_id, address, Instant::now());
                    }
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.found_nearby(peer, address);
                }
            }
            BehaviourEvent::Ping(ping::Event { connection, result: Err(failure), .. })
                if !matches!(failure, ping::Failure::Unsupported) =>
            {
                self.swarm.close_connection(connection);
            }
            _ => {}
        }
    }

    /// Someone on the local network: of interest only if known.
    fn found_nearby(&mut self, peer: PeerId, address: Multiaddr) {
        let streams = &self.swarm.behaviour().streams;
        if !streams.is_known(&peer) || streams.is_connected(&peer) {
            return;
        }
        let Some(address) = discovery::of_peer(address, &peer) else { return };
        if self.reconnect.is_sought(&peer) {
            self.reconnect.learn(&peer, address, Instant::now());
        } else {
            self.dial(peer, vec![address]);
        }
    }

    fn stream_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Came { peer, protocol, stream } => {
                let known = self.swarm.behaviour().streams.is_known(&peer);
                if let Some(session) = self.sessions.accept(peer, known, stream) {
                    self.opened(session, peer, protocol, false);
                }
            }
            StreamEvent::Opened { opening, stream } => {
                if let Some((peer, protocol)) = self.sessions.settle(opening) {
                    self.begin(peer, protocol, stream);
                }
            }
            StreamEvent::Failed { opening } => {
                if let Some((peer, protocol)) = self.sessions.settle(opening)
                    && let Some(peer) = key_of(&peer)
                {
                    self.outbox.push_back(NetworkEvent::NotOpened { peer, protocol });
                }
            }
        }
    }

    fn begin(&mut self, peer: PeerId, protocol: Protocol, stream: Stream) {
        let known = self.swarm.behaviour().streams.is_known(&peer);
        let session = self.sessions.add(peer, known, stream);
        self.opened(session, peer, protocol, true);
    }

    fn opened(&mut self, session: SessionId, peer: PeerId, protocol: Protocol, initiated: bool) {
        if let Some(peer) = key_of(&peer) {
            let event = NetworkEvent::SessionOpened { session, peer, protocol, initiated };
            self.outbox.push_back(event);
        }
    }

    fn gossip(&mut self, from: PeerId, message: MessageId, bytes: Vec<u8>) {
        let key = key_of(&from).filter(|_| self.verdicts.len() < policy::VERDICTS_WAITING);
        let Some(key) = key else {
            self.swarm.behaviour_mut().gossip.decide(&message, &from, Verdict::Ignore);
            return;
        };
        let token = GossipToken(self.next_token);
        self.next_token = self.next_token.saturating_add(1);
        self.verdicts.insert(token, (message, from));
        self.outbox.push_back(NetworkEvent::Gossip { token, from: key, bytes });
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

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// For a person, without an address.
const fn why_not_reached(error: &DialError) -> &'static str {
    match error {
        DialError::NoAddresses => "no address of this peer is known yet",
        DialError::WrongPeerId { .. } | DialError::LocalPeerId { .. } => {
            "somebody else answers at the address of this peer"
        }
        DialError::Denied { .. } => "this node has as many connections as it can take now",
        _ => "nobody answers at the addresses of this peer",
    }
}
