//! A persona's side of its network: commands that go out, and the streams that are open.
//!
//! Nothing here waits for the network. A command that finds no room stays in the outbox; the driver
//! is woken when there is room again, and goes on taking events meanwhile, so that the two can never
//! wait for one another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cairn_crdt::id::{GroupId, TransportKey};
use cairn_crdt::replica::effect::Verdict;
use cairn_crdt::replica::input::{GossipToken, Protocol, SessionId};
use cairn_crdt::time::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::incoming::NetworkId;
use super::outgoing::{Next, Outgoing};
use crate::network::{NetworkCommand, Reachability};
use crate::storage::Store;

/// Commands that wait, from which on own entries are no longer gossiped: streams bring them (S2).
const GOSSIP_WAITING: usize = 1024;

/// One open stream.
pub(super) struct Stream {
    /// The other end.
    pub(super) peer: TransportKey,
    /// What it is for.
    pub(super) protocol: Protocol,
    outgoing: Outgoing,
    /// Whether the network has written all that it was given.
    credit: bool,
}

/// The network of one persona, as the driver sees it.
#[derive(Default)]
pub(super) struct Link {
    /// Which network this is.
    pub(super) id: NetworkId,
    commands: Option<mpsc::Sender<NetworkCommand>>,
    outbox: VecDeque<NetworkCommand>,
    /// Open streams.
    pub(super) streams: BTreeMap<SessionId, Stream>,
    /// Peers with a connection.
    pub(super) connected: BTreeSet<TransportKey>,
    /// Those of them that are reached through a relay only.
    pub(super) relayed: BTreeSet<TransportKey>,
    /// How others reach this node.
    pub(super) reachability: Reachability,
    /// Peers that could not be reached lately.
    pub(super) unreachable: BTreeSet<TransportKey>,
    /// Where others may reach this node, as binary multiaddrs.
    pub(super) listening: Vec<Vec<u8>>,
    /// Until when a network that was just started may still be finding out where it listens.
    pub(super) settles: Timestamp,
    /// Whether anyone ever said a word on a request to join.
    pub(super) answered: bool,
    /// Gossip that waits for a verdict.
    tokens: BTreeSet<GossipToken>,
    /// Messages dealt with, of which the network is to be told when all of them are on disk.
    taken: Vec<SessionId>,
    turn: u64,
}

impl Link {
    /// The side of a network that was just started.
    pub(super) fn new(
        id: NetworkId,
        commands: mpsc::Sender<NetworkCommand>,
        settles: Timestamp,
    ) -> Self {
        Self { id, commands: Some(commands), settles, ..Self::default() }
    }

    /// Whether there is a network.
    pub(super) const fn is_up(&self) -> bool {
        self.commands.is_some()
    }

    /// Hands a command to the network, now or as soon as there is room.
    pub(super) fn send(&mut self, command: NetworkCommand) {
        if !self.is_up() {
            return;
        }
        let gossip = matches!(command, NetworkCommand::Publish(_));
        if gossip && self.outbox.len() >= GOSSIP_WAITING {
            return;
        }
        self.outbox.push_back(command);
        self.send_waiting();
    }

    /// Sends as much of the outbox as there is room for.
    pub(super) fn send_waiting(&mut self) {
        while let (Some(commands), Some(command)) = (&self.commands, self.outbox.pop_front()) {
            match commands.try_send(command) {
                Ok(()) => {}
                Err(TrySendError::Full(command)) => {
                    self.outbox.push_front(command);
                    return;
                }
                Err(TrySendError::Closed(_)) => self.ended(),
            }
        }
    }

    /// The network, if commands wait for room in it.
    pub(super) fn crowded(&self) -> Option<&mpsc::Sender<NetworkCommand>> {
        self.commands.as_ref().filter(|_| !self.outbox.is_empty())
    }

    /// The network is gone.
    pub(super) fn ended(&mut self) {
        *self = Self { id: self.id, ..Self::default() };
    }

    /// Says that what follows answers another message than before.
    pub(super) fn next_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
    }

    /// A stream was opened: it may be written to.
    pub(super) fn opened(&mut self, session: SessionId, peer: TransportKey, protocol: Protocol) {
        let outgoing = Outgoing::default();
        let stream = Stream { peer, protocol, outgoing, credit: true };
        self.streams.insert(session, stream);
    }

    /// A message came on an open stream.
    pub(super) fn heard(&mut self, session: SessionId) -> bool {
        let Some(stream) = self.streams.get(&session) else { return false };
        self.answered |= stream.protocol == Protocol::Join;
        self.taken.push(session);
        true
    }

    /// Tells the network of every message that was dealt with.
    pub(super) fn tell_taken(&mut self) {
        for session in std::mem::take(&mut self.taken) {
            if self.streams.contains_key(&session) {
                self.send(NetworkCommand::Taken { session });
            }
        }
    }

    /// Gossip came, and waits for its verdict.
    pub(super) fn gossiped(&mut self, token: GossipToken) {
        self.tokens.insert(token);
    }

    /// Passes a verdict on; a second one for the same gossip is none.
    pub(super) fn verdict(&mut self, token: GossipToken, verdict: Verdict) {
        if self.tokens.remove(&token) {
            self.send(NetworkCommand::Verdict { token, verdict });
        }
    }

    /// Gives something to a stream to send. Whether the stream still stands: it is closed when
    /// more waits than its other end takes.
    pub(super) fn queue(
        &mut self,
        session: SessionId,
        give: impl FnOnce(&mut Outgoing, u64) -> Result<(), super::outgoing::TooMuch>,
    ) -> bool {
        let turn = self.turn;
        let Some(stream) = self.streams.get_mut(&session) else { return true };
        if give(&mut stream.outgoing, turn).is_ok() {
            return true;
        }
        tracing::warn!("a stream asked for more than it reads and was closed");
        self.close(session);
        false
    }

    /// Sends the next message of a stream, if it has taken the one before. Whether the stream still
    /// stands.
    pub(super) fn pump(&mut self, session: SessionId, store: &dyn Store, group: GroupId) -> bool {
        let Some(stream) = self.streams.get_mut(&session) else { return true };
        if !stream.credit {
            return true;
        }
        match stream.outgoing.next(store, group) {
            Ok(Next::Nothing) => return true,
            Ok(Next::Message(message)) => {
                stream.credit = false;
                self.send(NetworkCommand::Send { session, message });
                return true;
            }
            Ok(Next::Close) => {}
            Err(error) => tracing::error!(%error, "entries could not be read to be sent"),
        }
        self.close(session);
        false
    }

    /// The network has written all that it was given of a stream.
    pub(super) fn drained(&mut self, session: SessionId) {
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.credit = true;
        }
    }

    /// Closes a stream at once.
    pub(super) fn close(&mut self, session: SessionId) {
        if self.streams.remove(&session).is_some() {
            self.send(NetworkCommand::Close { session });
        }
    }

    /// Closes every stream and leaves no gossip without a verdict; connections stay.
    pub(super) fn quiet(&mut self) {
        for session in self.streams.keys().copied().collect::<Vec<_>>() {
            self.close(session);
        }
        for token in std::mem::take(&mut self.tokens) {
            self.send(NetworkCommand::Verdict { token, verdict: Verdict::Ignore });
        }
        self.taken.clear();
    }
}
