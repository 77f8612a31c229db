//! Gossip among members only (S3).
//!
//! libp2p's gossip knows everyone who is connected and leaves it to scores and a blacklist whom to
//! avoid; a stranger that subscribes is told of messages all the same. Here gossip is told only of
//! the connections of members: it cannot send to, or hear from, a peer that it has never heard of.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cairn_crdt::id::write_base32;
use cairn_crdt::replica::effect::Verdict;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint, Multiaddr};
use libp2p::gossipsub::{
    self, IdentTopic, IdentityTransform, MessageAcceptance, MessageAuthenticity, MessageId,
    PublishError, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, ToSwarm,
};
use tokio::time::{Instant, Sleep, sleep_until};

use super::gate::{Gate, GateOrder, Inner};
use super::{NetworkError, policy};

/// libp2p's gossip, for one topic.
pub(super) type Router = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

fn named(topic: [u8; 32]) -> IdentTopic {
    IdentTopic::new(write_base32(&topic))
}

/// Messages carry no author, no number and no signature of the transport: entries prove themselves,
/// and nothing ties an entry to the peer that first gossiped it. A message's id is the hash of its
/// bytes. Nothing is passed on before its verdict.
pub(super) fn router(topic: [u8; 32]) -> Result<Router, NetworkError> {
    let topic = named(topic);
    let setup = |why: &dyn ToString| NetworkError::Setup(why.to_string());
    let config = gossipsub::ConfigBuilder::default()
        .validate_messages()
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| {
            let digest = cairn_crdt::crypto::domain::hash(
                cairn_crdt::crypto::domain::GOSSIP,
                &[message.data.as_slice()],
            );
            MessageId::new(&digest)
        })
        .max_transmit_size(policy::GOSSIP_BYTES)
        .connection_handler_queue_len(policy::GOSSIP_QUEUE)
        .heartbeat_initial_delay(Duration::from_secs(1))
        .build()
        .map_err(|error| setup(&error))?;
    let only = WhitelistSubscriptionFilter(HashSet::from([topic.hash()]));
    let mut router =
        Router::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, only)
            .map_err(|error| setup(&error))?;
    router.subscribe(&topic).map_err(|error| setup(&error))?;
    Ok(router)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Door {
    Closed,
    Open,
    /// Gossip sends elsewhere; what is under way still comes in.
    Receding,
    ShutForGood,
}

struct Link {
    endpoint: ConnectedPoint,
    door: Door,
}

/// Gossip that knows of members and of nobody else.
pub(super) struct Gated {
    router: Router,
    topic: IdentTopic,
    members: BTreeSet<PeerId>,
    links: BTreeMap<PeerId, BTreeMap<ConnectionId, Link>>,
    /// Doors that are shut at these times; the earliest first.
    receding: VecDeque<(Instant, PeerId, ConnectionId)>,
    alarm: Option<Pin<Box<Sleep>>>,
    waiting: VecDeque<ToSwarm<gossipsub::Event, GateOrder>>,
}

impl Gated {
    /// Nobody is a member yet.
    pub(super) fn new(router: Router, topic: [u8; 32]) -> Self {
        Self {
            router,
            topic: named(topic),
            members: BTreeSet::new(),
            links: BTreeMap::new(),
            receding: VecDeque::new(),
            alarm: None,
            waiting: VecDeque::new(),
        }
    }

    /// Who may take part.
    pub(super) const fn members(&self) -> &BTreeSet<PeerId> {
        &self.members
    }

    /// From now on exactly these take part. Every connection of a peer that is no longer among them
    /// is closed.
    pub(super) fn set_members(&mut self, members: BTreeSet<PeerId>) {
        let before = std::mem::replace(&mut self.members, members);
        let gone: Vec<PeerId> = before.difference(&self.members).copied().collect();
        let come: Vec<PeerId> = self.members.difference(&before).copied().collect();
        for peer in gone {
            for connection in self.connections(&peer) {
                self.shut(peer, connection);
                self.waiting.push_back(ToSwarm::CloseConnection {
                    peer_id: peer,
                    connection: CloseConnection::One(connection),
                });
            }
        }
        for peer in come {
            self.open_best(peer);
        }
    }

    /// Sends an entry to every member that is connected.
    pub(super) fn publish(&mut self, bytes: Vec<u8>) -> Result<(), PublishError> {
        self.router.publish(self.topic.hash(), bytes).map(drop)
    }

    /// Passes a message on, or not.
    pub(super) fn decide(&mut self, message: &MessageId, from: &PeerId, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        self.router.report_message_validation_result(message, from, verdict);
    }

    fn connections(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.links.get(peer).map(|links| links.keys().copied().collect()).unwrap_or_default()
    }

    fn open_doors(&self, peer: &PeerId) -> usize {
        let links = self.links.get(peer).into_iter().flat_map(BTreeMap::values);
        links.filter(|link| link.door == Door::Open).count()
    }

    fn link(&mut self, peer: &PeerId, connection: ConnectionId) -> Option<&mut Link> {
        self.links.get_mut(peer)?.get_mut(&connection)
    }

    /// Opens the doors of a member's connections: of the relayed ones only while none is direct.
    fn open_best(&mut self, peer: PeerId) {
        let links = self.links.get(&peer).into_iter().flatten();
        let (relayed, direct): (Vec<_>, Vec<_>) = links
            .map(|(connection, link)| (*connection, link.endpoint.is_relayed()))
            .partition(|(_, relayed)| *relayed);
        let best = if direct.is_empty() { &relayed } else { &direct };
        for (connection, _) in best {
            self.open(peer, *connection);
        }
        if !direct.is_empty() {
            for (connection, _) in &relayed {
                self.recede(peer, *connection);
            }
        }
    }

    /// From now on gossip sends on another connection of the peer. The door stays open to what the
    /// peer still sends here, until it has moved too.
    fn recede(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(link) = self.link(&peer, connection) else { return };
        if link.door != Door::Open {
            return;
        }
        link.door = Door::Receding;
        self.part(peer, connection);
        if let Some(at) = Instant::now().checked_add(policy::CHANGING_OVER) {
            self.receding.push_back((at, peer, connection));
        }
    }

    /// Shuts the doors whose time has come.
    fn shut_receding(&mut self, context: &mut Context<'_>) {
        while let Some((at, peer, connection)) = self.receding.front().copied() {
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if alarm.as_mut().poll(context).is_pending() {
                return;
            }
            self.alarm = None;
            self.receding.pop_front();
            if self.link(&peer, connection).is_some_and(|link| link.door == Door::Receding) {
                self.shut(peer, connection);
            }
        }
    }

    /// A member whose last open door has closed, while a connection with a shut one is left, is
    /// let go, to be connected anew.
    fn close_the_speechless(&mut self, peer: PeerId) {
        if !self.members.contains(&peer) || self.open_doors(&peer) > 0 {
            return;
        }
        for connection in self.connections(&peer) {
            self.waiting.push_back(ToSwarm::CloseConnection {
                peer_id: peer,
                connection: CloseConnection::One(connection),
            });
        }
    }

    fn open(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(link) = self.link(&peer, connection) else { return };
        if link.door != Door::Closed {
            return;
        }
        let endpoint = link.endpoint.clone();
        let handler = match &endpoint {
            ConnectedPoint::Dialer { address, role_override, port_use } => {
                self.router.handle_established_outbound_connection(
                    connection,
                    peer,
                    address,
                    *role_override,
                    *port_use,
                )
            }
            ConnectedPoint::Listener { local_addr, send_back_addr } => {
                self.router.handle_established_inbound_connection(
                    connection,
                    peer,
                    local_addr,
                    send_back_addr,
                )
            }
        };
        let Ok(handler) = handler else { return };
        let other_established = self.open_doors(&peer);
        if let Some(link) = self.link(&peer, connection) {
            link.door = Door::Open;
        }
        self.router.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: connection,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established,
        }));
        self.tell(peer, connection, GateOrder::Open(Box::new(handler)));
    }

    /// Gossip forgets the connection at once, not when it is gone.
    fn shut(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(link) = self.link(&peer, connection) else { return };
        if std::mem::replace(&mut link.door, Door::ShutForGood) == Door::Open {
            self.part(peer, connection);
        }
        self.tell(peer, connection, GateOrder::Shut);
    }

    /// Tells gossip that a connection is gone.
    fn part(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(link) = self.link(&peer, connection) else { return };
        let endpoint = link.endpoint.clone();
        let remaining_established = self.open_doors(&peer);
        self.router.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id: connection,
            endpoint: &endpoint,
            cause: None,
            remaining_established,
        }));
    }

    fn tell(&mut self, peer_id: PeerId, connection: ConnectionId, event: GateOrder) {
        let handler = NotifyHandler::One(connection);
        self.waiting.push_back(ToSwarm::NotifyHandler { peer_id, handler, event });
    }
}

impl NetworkBehaviour for Gated {
    type ConnectionHandler = Gate;
    type ToSwarm = gossipsub::Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Gate, ConnectionDenied> {
        Ok(Gate::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Gate, ConnectionDenied> {
        Ok(Gate::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                let link = Link { endpoint: event.endpoint.clone(), door: Door::Closed };
                self.links.entry(event.peer_id).or_default().insert(event.connection_id, link);
                if self.members.contains(&event.peer_id) {
                    self.open_best(event.peer_id);
                }
            }
            FromSwarm::ConnectionClosed(event) => {
                self.shut(event.peer_id, event.connection_id);
                if let Some(links) = self.links.get_mut(&event.peer_id) {
                    links.remove(&event.connection_id);
                    if links.is_empty() {
                        self.links.remove(&event.peer_id);
                    }
                }
                self.close_the_speechless(event.peer_id);
            }
            // Gossip needs nothing else: it neither dials nor listens nor scores by address.
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: <Inner as ConnectionHandler>::ToBehaviour,
    ) {
        let passes = |link: &mut Link| matches!(link.door, Door::Open | Door::Receding);
        if self.link(&peer, connection).is_some_and(passes) {
            self.router.on_connection_handler_event(peer, connection, event);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<gossipsub::Event, GateOrder>> {
        self.shut_receding(context);
        if let Some(event) = self.waiting.pop_front() {
            return Poll::Ready(event);
        }
        loop {
            match self.router.poll(context) {
                // Whom to connect to is for `reconnect` alone to say.
                Poll::Ready(ToSwarm::Dial { .. }) => {}
                Poll::Ready(event) => return Poll::Ready(event.map_in(GateOrder::Pass)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
