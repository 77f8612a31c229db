//! What comes from the Swarm: connections, addresses, streams, gossip.

use cairn_crdt::replica::effect::Verdict;
use cairn_crdt::replica::input::{GossipToken, Protocol, SessionId};
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageId};
use libp2p::relay::{self, HOP_PROTOCOL_NAME};
use libp2p::swarm::{DialError, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, mdns, ping, upnp};
use tokio::time::Instant;

use super::super::behaviour::BehaviourEvent;
use super::super::discovery::is_relayed;
use super::super::streams::StreamEvent;
use super::super::transport::key_of;
use super::super::{NetworkEvent, discovery, policy};
use super::EventLoop;

impl EventLoop {
    pub(super) fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, num_established, endpoint, .. } => {
                self.connected(peer_id, num_established.get() == 1, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.sessions.abandon(&peer_id);
                self.reconnect.lost(peer_id, Instant::now());
                self.relayed.remove(&peer_id);
                self.upgrades.end(&peer_id);
                if self.keepers.is_one(&peer_id) {
                    self.keepers.lost(&peer_id, Instant::now());
                    self.tell_where();
                } else {
                    self.outbox.extend(key_of(&peer_id).map(NetworkEvent::Disconnected));
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, .. } => self.tell_relayed(peer_id),
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.not_reached(peer, &error);
            }
            SwarmEvent::NewListenAddr { listener_id, address } if is_relayed(&address) => {
                // Where this node is reached through a keeper is told by where it found the keeper.
                if let Some(keeper) = self.keepers.says(listener_id, address, Instant::now()) {
                    // An error means that there is no connection.
                    let _ = self.swarm.disconnect_peer_id(keeper);
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.listening.insert(address);
                self.tell_where();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.remove(&address);
                if !is_relayed(&address) {
                    self.moved();
                }
                self.tell_where();
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                let keeper = self.keepers.closed(listener_id, reason.is_err(), Instant::now());
                if let (None, Err(error)) = (keeper, reason) {
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

    fn connected(&mut self, peer: PeerId, is_first: bool, endpoint: &ConnectedPoint) {
        if let ConnectedPoint::Listener { send_back_addr, .. } = endpoint
            && !endpoint.is_relayed()
            && discovery::comes_from_outside(send_back_addr, &self.listening)
            && !self.was_let_in(&peer, send_back_addr)
        {
            self.was_called = true;
        }
        if is_first {
            self.reconnect.connected(peer, Instant::now());
        }
        if self.keepers.is_one(&peer) {
            if let ConnectedPoint::Dialer { address, .. } = endpoint {
                self.keepers.connected(&peer, address.clone());
                // Others can now be called through it.
                self.reconnect.hasten(Instant::now());
            }
        } else {
            if is_first {
                self.outbox.extend(key_of(&peer).map(NetworkEvent::Connected));
            }
            self.tell_relayed(peer);
        }
        self.tell_reachability();
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
                if self.keepers.is_one(&peer_id) {
                    self.keepers.speaks(&peer_id, info.protocols.contains(&HOP_PROTOCOL_NAME));
                    self.tell_reachability();
                    return;
                }
                let known = self.swarm.behaviour().gossip.members().contains(&peer_id);
                let addresses = info.listen_addrs.into_iter().filter(|_| known);
                for address in addresses.take(policy::PEER_ADDRESSES) {
                    if let Some(address) = discovery::of_peer(address, &peer_id)
                        && (is_relayed(&address) || self.may_call(&address))
                    {
                        self.reconnect.learn(&peer_id, address, Instant::now());
                    }
                }
            }
            BehaviourEvent::Circuits(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                ..
            }) => {
                self.keepers.granted(&relay_peer_id, Instant::now());
                self.tell_where();
            }
            BehaviourEvent::Probing(probed) => {
                self.refuted = probed.result.is_err();
                self.tell_reachability();
            }
            BehaviourEvent::Upnp(upnp::Event::NewExternalAddr { external_addr, .. }) => {
                self.mapped.insert(external_addr);
                self.tell_reachability();
            }
            BehaviourEvent::Upnp(upnp::Event::ExpiredExternalAddr { external_addr, .. }) => {
                self.mapped.remove(&external_addr);
                self.tell_reachability();
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.nearby.note(peer, address.clone());
                    self.found_nearby(peer, address);
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Expired(gone)) => {
                for (peer, address) in gone {
                    self.nearby.gone(&peer, &address);
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
    pub(super) fn found_nearby(&mut self, peer: PeerId, address: Multiaddr) {
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
            // Keepers have no part in sessions.
            StreamEvent::Came { peer, .. } if self.keepers.is_one(&peer) => {}
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

    pub(super) fn not_reached(&mut self, peer: PeerId, error: &DialError) {
        let ours = self.reconnect.failed(peer, Instant::now());
        self.tell_reachability();
        if let DialError::DialPeerConditionFalse(_) = error {
            // Connected or being dialled at this moment for another reason.
            if self.swarm.behaviour().streams.is_connected(&peer) {
                self.reconnect.connected(peer, Instant::now());
            }
            return;
        }
        if self.keepers.is_one(&peer) {
            return;
        }
        if let (true, Some(peer)) = (ours, key_of(&peer)) {
            let down = self.way.proxy.is_some() && self.proxy.is_down();
            let why = if down { "the proxy does not answer" } else { why_not_reached(error) };
            let why = why.to_owned();
            self.outbox.push_back(NetworkEvent::Unreachable { peer, why });
        }
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
