//! The driver: one loop for a home, between the replicas, the store, the networks and the API.
//!
//! ```text
//! Incoming ─► Driver::handle ─► Replica::handle ─► effects, collected
//!             Driver::finish ─► one transaction ─► messages, answers, timers
//! ```
//!
//! It blocks on the store and on nothing else, reads no clock and starts no task: whoever runs it
//! says what time it is, hands it what happened, and calls [`Driver::finish`] when nothing more
//! waits, so that what comes at once is written at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{GroupId, TransportKey};
use cairn_crdt::replica::input::{Input, SessionEvent};
use cairn_crdt::time::Timestamp;
use libp2p::Multiaddr;
use rand_chacha::ChaCha20Rng;
use tokio::sync::{mpsc, oneshot};

use crate::api::command::ApiError;
use crate::config::{Ports, Way};
use crate::keeper::client::Ask;
use crate::network::{FindingCommand, FindingEvent, NetworkCommand, NetworkError, NetworkEvent};
use crate::storage::Store;
use desk::Desk;
use incoming::{Incoming, NetworkId};
use inviting::Invitation;
use link::Link;
use persona::Persona;
use timers::Wake;

mod answer;
mod bundle;
mod desk;
mod finding;
mod founding;
pub mod incoming;
mod inviting;
mod keepers;
mod link;
mod outgoing;
mod persona;
mod timers;
mod waits;

#[cfg(test)]
mod tests;

/// The home setting that holds the recovery seed.
pub const SEED_SETTING: &str = "seed";
/// The home setting that names the group whose persona has the fixed ports.
const FIRST_SETTING: &str = "first-listener";
/// Milliseconds after which a node is ready though not every address is up.
const LISTENING_MILLIS: u64 = 3000;

/// Starts the network of a persona.
pub trait Networks: Send {
    /// Starts one with an identity of its own. Its events reach the driver as
    /// [`Incoming::Network`] with this id.
    ///
    /// # Errors
    /// When it cannot be set up or cannot listen.
    fn start(
        &mut self,
        id: NetworkId,
        group: GroupId,
        key: &SigningKey,
        topic: [u8; 32],
        listen: Vec<Multiaddr>,
    ) -> Result<mpsc::Sender<NetworkCommand>, NetworkError>;

    /// Starts a client of a keeper, under identities that are thrown away. Its events reach the
    /// driver as [`Incoming::Keeper`] with this id. It ends when the sender is dropped.
    fn keeper(
        &mut self,
        id: NetworkId,
        group: GroupId,
        keeper: TransportKey,
        addresses: Vec<Vec<u8>>,
    ) -> mpsc::Sender<Ask>;

    /// Starts finding for a persona, under identities that are thrown away. Its events reach the
    /// driver as [`Incoming::Finding`] with this id.
    fn finding(&mut self, id: NetworkId, group: GroupId) -> mpsc::Sender<FindingCommand>;
}

/// How a driver reaches other nodes.
pub struct Connections {
    /// Starts networks.
    pub networks: Box<dyn Networks>,
    /// Where each persona listens, before its own ports are put in.
    pub listen: Vec<Multiaddr>,
    /// Whether those are the usual ones, of which this machine may lack some.
    pub usual: bool,
    /// How the node reaches others and is reached.
    pub way: Way,
}

/// One home, running.
pub struct Driver {
    desk: Desk,
    personas: BTreeMap<GroupId, Persona>,
    connections: Option<Connections>,
    networks: u64,
    home: PathBuf,
    listening: Vec<(Timestamp, oneshot::Sender<Vec<String>>)>,
    invitations: Vec<Invitation>,
    stopped: bool,
}

impl Driver {
    /// Opens every group of a store. Without `connections` it answers from the store alone.
    ///
    /// A group that cannot be read does not keep the others from working.
    ///
    /// # Errors
    /// When the store cannot be read, or an address cannot be listened on.
    pub fn open(
        now: Timestamp,
        home: PathBuf,
        store: Box<dyn Store>,
        rng: ChaCha20Rng,
        connections: Option<Connections>,
    ) -> Result<Self, ApiError> {
        let groups = store.groups()?;
        let mut driver = Self {
            desk: Desk::new(store, rng),
            personas: BTreeMap::new(),
            connections,
            networks: 0,
            home,
            listening: Vec::new(),
            invitations: Vec::new(),
            stopped: false,
        };
        for group in groups {
            driver.personas.insert(group, Persona::closed(group));
            if let Err(error) = driver.reopen(now, group) {
                tracing::error!(kind = error.kind, "a group could not be opened");
            }
            driver.connect(now, group)?;
        }
        driver.finish(now);
        Ok(driver)
    }

    /// Whether it has come to its end.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// When it has to be woken.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let listening = self.listening.iter().map(|(at, _)| *at).min();
        let inviting = self.invitation_due();
        [self.desk.timers.next(), listening, inviting].into_iter().flatten().min()
    }

    /// The networks that have commands waiting for room: as soon as one has some, call
    /// [`Driver::finish`].
    pub fn crowded(&self) -> impl Iterator<Item = &mpsc::Sender<NetworkCommand>> {
        self.personas.values().filter_map(|persona| persona.link.crowded())
    }

    /// The same of the clients of keepers.
    pub fn crowded_keepers(&self) -> impl Iterator<Item = &mpsc::Sender<Ask>> {
        self.personas.values().flat_map(|persona| persona.keepers.crowded())
    }

    /// Takes in one thing. What follows from it may wait for [`Driver::finish`].
    pub fn handle(&mut self, now: Timestamp, incoming: Incoming) {
        match incoming {
            Incoming::Ask { request, answer } => self.ask(now, request, answer),
            Incoming::Network { group, network, event } => {
                if let Some(persona) = self.personas.get_mut(&group)
                    && persona.link.id == network
                {
                    happened(persona, &mut self.desk, event);
                    persona.run(&mut self.desk, now);
                }
            }
            Incoming::Keeper { group, keeper, client, event } => {
                if let Some(persona) = self.personas.get_mut(&group)
                    && let Some(event) = persona.keepers.heard(keeper, client, event)
                {
                    persona.give(Input::Keeper { keeper, event });
                    persona.run(&mut self.desk, now);
                }
            }
            Incoming::Finding { group, finding, event } => {
                if let Some(persona) = self.personas.get_mut(&group)
                    && persona.found.id == finding
                    && let FindingEvent::Found { key, value } = event
                {
                    persona.give(Input::Found { key, value });
                    persona.run(&mut self.desk, now);
                }
            }
            Incoming::NetworkEnded { group, network } => {
                if let Some(persona) = self.personas.get_mut(&group)
                    && persona.link.id == network
                    && persona.link.is_up()
                    && !self.stopped
                {
                    tracing::error!("the network of a group has stopped and is started again");
                    persona.link.ended();
                    let error = ApiError::unavailable("the network of this group has stopped")
                        .hinted("It is started again in a few seconds.");
                    persona.rest(&mut self.desk, now, &error);
                }
            }
            Incoming::WhenListening(tell) => {
                self.listening.push((now.after(LISTENING_MILLIS), tell));
            }
            Incoming::Stop => self.stop(),
        }
    }

    /// Brings to disk and out what was taken in, and does what is due.
    pub fn finish(&mut self, now: Timestamp) {
        self.invite_who_waited(now);
        for (group, wake) in self.desk.timers.due(now) {
            match wake {
                Wake::Replica(timer) => {
                    if let Some(persona) = self.personas.get_mut(&group) {
                        persona.give(Input::Timer(timer));
                    }
                }
                Wake::Reopen => {
                    if let Err(error) = self.revive(now, group) {
                        tracing::error!(kind = error.kind, "a group is still not open");
                    }
                }
                // Whoever waits is looked at below.
                Wake::Waiting => {}
            }
        }
        for persona in self.personas.values_mut() {
            persona.finish(&mut self.desk, now);
            persona.link.send_waiting();
            persona.keepers.send_waiting();
            persona.found.send_waiting();
            if let Some(contacts) = persona.keepers.moved() {
                persona.found.use_keepers(contacts.clone());
                persona.link.send(NetworkCommand::Keepers(contacts));
            }
            let wanted = persona.keepers.wanted();
            if let Some(connections) = &mut self.connections {
                for (keeper, addresses) in wanted {
                    self.networks = self.networks.wrapping_add(1);
                    let id = NetworkId(self.networks);
                    let group = persona.group;
                    let asks = connections.networks.keeper(id, group, keeper, addresses);
                    persona.keepers.started(keeper, id, asks);
                }
                if persona.found.is_wanted() {
                    self.networks = self.networks.wrapping_add(1);
                    let id = NetworkId(self.networks);
                    let commands = connections.networks.finding(id, persona.group);
                    persona.found.started(id, commands);
                }
            }
            if self.desk.waits.concern(persona.group)
                && let Some(at) = self.desk.waits.look(persona, now)
            {
                self.desk.timers.set(persona.group, Wake::Waiting, at);
            }
        }
        self.tell_listening(now);
    }

    /// Reads a group from the store, if it is not open, and connects it.
    fn revive(&mut self, now: Timestamp, group: GroupId) -> Result<(), ApiError> {
        self.reopen(now, group)?;
        if let Err(error) = self.connect(now, group) {
            tracing::error!(kind = error.kind, "a group could not be connected");
            self.desk.timers.set(group, Wake::Reopen, now.after(LISTENING_MILLIS));
        }
        Ok(())
    }

    fn reopen(&mut self, now: Timestamp, group: GroupId) -> Result<(), ApiError> {
        let Some(persona) = self.personas.get_mut(&group) else { return Ok(()) };
        persona.open(&mut self.desk, now)
    }

    /// Starts the network of a persona, if there are networks and its own is not up. What its
    /// replica has asked for so far must not be let out before.
    fn connect(&mut self, now: Timestamp, group: GroupId) -> Result<(), ApiError> {
        let first = self.is_first(group)?;
        let (Some(connections), Some(persona)) =
            (&mut self.connections, self.personas.get_mut(&group))
        else {
            return Ok(());
        };
        let Some(replica) = persona.replica().filter(|_| !persona.link.is_up()) else {
            return Ok(());
        };
        self.networks = self.networks.wrapping_add(1);
        let id = NetworkId(self.networks);
        let (key, topic) = (replica.transport_key(), replica.topic());
        let mut fresh = Ports::default().apply(&connections.listen, first);
        let mut listen = persona.ports(&self.desk).apply(&connections.listen, first);
        let commands = loop {
            let started = connections.networks.start(id, group, key, topic, listen.clone());
            match started {
                Err(NetworkError::Listen { position, why }) => {
                    let index = position.saturating_sub(1);
                    let spare = connections.usual && listen.len() > 1;
                    match (listen.get_mut(index), fresh.get(index)) {
                        // A port that was chosen once can belong to someone else today.
                        (Some(taken), Some(fresh)) if taken != fresh => taken.clone_from(fresh),
                        // A machine without IPv6 is still one to listen on.
                        (Some(_), Some(_)) if spare => {
                            listen.remove(index);
                            fresh.remove(index);
                        }
                        _ => return Err(unlistenable(&connections.listen, position, &why)),
                    }
                }
                Err(error) => return Err(ApiError::unavailable(error.to_string())),
                Ok(commands) => break commands,
            }
        };
        persona.link = Link::new(id, commands, now.after(LISTENING_MILLIS));
        if !connections.way.listens() {
            persona.hide(&mut self.desk);
        }
        persona.link.send(NetworkCommand::Keepers(persona.keepers.contacts()));
        Ok(())
    }

    /// Whether a persona has the fixed ports: the first that ever listened, for as long as its
    /// group is here.
    fn is_first(&mut self, group: GroupId) -> Result<bool, ApiError> {
        let first = self.desk.store.setting(FIRST_SETTING)?;
        let first =
            first.and_then(|bytes| Some(GroupId::from_bytes(bytes.as_slice().try_into().ok()?)));
        match first.filter(|first| {
            *first == group || self.desk.store.groups().is_ok_and(|all| all.contains(first))
        }) {
            Some(first) => Ok(first == group),
            None if self.connections.is_none() => Ok(false),
            None => {
                self.desk.store.set_setting(FIRST_SETTING, group.as_bytes())?;
                Ok(true)
            }
        }
    }

    /// Answers whoever waits for this node to listen.
    fn tell_listening(&mut self, now: Timestamp) {
        let asked = self.connections.as_ref().map(|connections| connections.listen.as_slice());
        let up = |persona: &&Persona| persona.link.is_up();
        let all = self
            .personas
            .values()
            .filter(up)
            .all(|persona| Ports::cover(asked.unwrap_or_default(), &persona.link.listening));
        for (_, tell) in self.listening.extract_if(.., |(at, _)| all || *at <= now) {
            let addresses = self.personas.values().flat_map(answer::network::own_addresses);
            drop(tell.send(addresses.collect()));
        }
    }

    fn stop(&mut self) {
        let stopping = ApiError::unavailable("the node is being stopped");
        self.fail_invitations(&stopping);
        for persona in self.personas.values_mut() {
            self.desk.fail_all(persona.group, &stopping);
            persona.link.send(NetworkCommand::Shutdown);
        }
        self.stopped = true;
    }
}

fn unlistenable(listen: &[Multiaddr], position: usize, why: &str) -> ApiError {
    let address = position.checked_sub(1).and_then(|index| listen.get(index));
    let address = address.map(ToString::to_string).unwrap_or_default();
    ApiError::unavailable(format!("your node cannot listen on {address}: {why}"))
        .hinted("Another program may have that port: choose another, or 0 for any, with --listen.")
}

/// Something happened in the network of a persona.
fn happened(persona: &mut Persona, desk: &mut Desk, event: NetworkEvent) {
    let link = &mut persona.link;
    match event {
        NetworkEvent::Listening(addresses) => persona.listens(desk, addresses),
        NetworkEvent::Reachability(reachability) => link.reachability = reachability,
        NetworkEvent::Relayed { peer, relayed: true } => {
            link.relayed.insert(peer);
        }
        NetworkEvent::Relayed { peer, relayed: false } => {
            link.relayed.remove(&peer);
        }
        NetworkEvent::Connected(peer) => {
            link.connected.insert(peer);
            link.unreachable.remove(&peer);
            persona.give(Input::Connected { peer });
        }
        NetworkEvent::Disconnected(peer) => {
            link.connected.remove(&peer);
            link.relayed.remove(&peer);
            persona.give(Input::Disconnected { peer });
        }
        NetworkEvent::SessionOpened { session, peer, protocol, initiated } => {
            link.opened(session, peer, protocol);
            if persona.replica().is_none() {
                persona.link.close(session);
                return;
            }
            let event = SessionEvent::Opened { peer, protocol, initiated };
            persona.give(Input::Session { session, event });
        }
        NetworkEvent::NotOpened { peer, protocol } => {
            persona.give(Input::NotOpened { peer, protocol });
        }
        NetworkEvent::Message { session, message } => {
            if link.heard(session) {
                persona.give(Input::Session { session, event: SessionEvent::Message(message) });
            }
        }
        NetworkEvent::Drained(session) => persona.drained(desk, session),
        NetworkEvent::SessionClosed(session) => {
            if link.streams.remove(&session).is_some() {
                persona.give(Input::Session { session, event: SessionEvent::Closed });
            }
        }
        NetworkEvent::Gossip { token, from, bytes } => {
            link.gossiped(token);
            if persona.replica().is_none() {
                persona.link.verdict(token, cairn_crdt::replica::effect::Verdict::Ignore);
                return;
            }
            persona.give(Input::Gossip { token, from, bytes });
        }
        NetworkEvent::Unreachable { peer, why: _ } => {
            link.unreachable.insert(peer);
        }
    }
}
