//! One persona: its replica, its network, and what is collected between two writes.
//!
//! What must stay true: nothing that a replica decided leaves this process, or is answered to a
//! person, before it is on disk (S4); and a replica that is ahead of its store is thrown away and
//! read from it again.

mod places;

use std::collections::VecDeque;

use cairn_crdt::id::GroupId;
use cairn_crdt::replica::bundles::Unpacked;
use cairn_crdt::replica::effect::{Effect, Event, Write};
use cairn_crdt::replica::input::{Input, KeeperEvent, SessionEvent, SessionId};
use cairn_crdt::replica::{Replica, ReplicaState};
use cairn_crdt::time::Timestamp;

use super::desk::Desk;
use super::finding::Found;
use super::keepers::Keepers;
use super::link::Link;
use super::timers::Wake;
use crate::api::command::ApiError;
use crate::network::{FindingCommand, NetworkCommand};
use crate::storage::{MEMBER_SETTING, StorageError};

/// Writes that are collected before they are brought to disk in one transaction.
const WRITES_AT_ONCE: usize = 4096;
/// Milliseconds that a group rests after its store failed; a command wakes it at once.
const REST_MILLIS: u64 = 10_000;
/// Milliseconds between the end of a persona's network and the next one with a new identity: the
/// old one lets go of its ports meanwhile.
const RESTART_MILLIS: u64 = 1_000;

/// One persona.
pub(super) struct Persona {
    /// Its group.
    pub(super) group: GroupId,
    /// `None` while it has to be read from the store first.
    replica: Option<Replica>,
    /// As the store holds it, to read by while the store takes nothing.
    still: Option<Replica>,
    /// Its network.
    pub(super) link: Link,
    /// Its keepers.
    pub(super) keepers: Keepers,
    /// Where its members are told and looked for.
    pub(super) found: Found,
    /// What became of the records of a bundle that were given last.
    pub(super) unpacked: Option<Unpacked>,
    inputs: VecDeque<Input>,
    writes: Vec<Write>,
    effects: Vec<Effect>,
    /// The replica goes by a new identity, and its network by the old one.
    moved: bool,
}

impl Persona {
    /// A persona whose replica is still to be read.
    pub(super) fn closed(group: GroupId) -> Self {
        Self {
            group,
            replica: None,
            still: None,
            link: Link::default(),
            keepers: Keepers::default(),
            found: Found::default(),
            unpacked: None,
            inputs: VecDeque::new(),
            writes: Vec::new(),
            effects: Vec::new(),
            moved: false,
        }
    }

    /// A persona of a replica that is new, with what it asked for.
    pub(super) fn new(replica: Replica, effects: Vec<Effect>) -> Self {
        let mut persona = Self::closed(replica.group());
        persona.replica = Some(replica);
        persona.effects = effects;
        persona
    }

    /// The replica, if it is there.
    pub(super) const fn replica(&self) -> Option<&Replica> {
        self.replica.as_ref()
    }

    /// The replica, or what there is to read by.
    pub(super) fn legible(&self) -> Option<&Replica> {
        self.replica.as_ref().or(self.still.as_ref())
    }

    /// Whether it is a member now.
    pub(super) fn state(&self) -> Option<ReplicaState> {
        self.replica().map(Replica::state)
    }

    /// Reads the replica from the store, if it is not there.
    pub(super) fn open(&mut self, desk: &mut Desk, now: Timestamp) -> Result<(), ApiError> {
        if self.replica.is_some() {
            return Ok(());
        }
        let snapshot = desk.store.snapshot(self.group)?;
        let (replica, effects) = Replica::restore(now, snapshot).map_err(|damaged| {
            let error = StorageError::Damaged { what: "the record of a group" };
            tracing::error!(%damaged, "a group could not be opened");
            ApiError::from(error)
        })?;
        desk.store.set_group_setting(self.group, MEMBER_SETTING, replica.member().as_bytes())?;
        self.still = None;
        self.replica = Some(replica);
        for effect in effects {
            // What the replica wants to read first is read here: nobody would ask again.
            if let Err(error) = self.take(desk, now, effect) {
                let error = ApiError::from(error);
                self.rest(desk, now, &error);
                return Err(error);
            }
        }
        if !self.link.listening.is_empty() {
            self.inputs.push_back(Input::Listening { addresses: self.link.listening.clone() });
        }
        let connected = self.link.connected.iter().copied();
        self.inputs.extend(connected.map(|peer| Input::Connected { peer }));
        let keepers = self.keepers.up();
        self.inputs.extend(keepers.map(|keeper| Input::Keeper { keeper, event: KeeperEvent::Up }));
        Ok(())
    }

    /// Reads the replica from the store to look at only: nothing that it asks for is done. Whether
    /// there is one now.
    pub(super) fn open_to_read(&mut self, desk: &Desk, now: Timestamp) -> bool {
        if self.legible().is_none() {
            let snapshot = desk.store.snapshot(self.group).ok();
            let restored = snapshot.and_then(|snapshot| Replica::restore(now, snapshot).ok());
            self.still = restored.map(|(replica, _)| replica);
        }
        self.legible().is_some()
    }

    /// Gives something to the replica, after all that was given before.
    pub(super) fn give(&mut self, input: Input) {
        self.inputs.push_back(input);
    }

    /// Lets the replica handle all that was given to it. What it wants written is collected, and
    /// brought to disk when it has become much or something has to be read.
    pub(super) fn run(&mut self, desk: &mut Desk, now: Timestamp) {
        while let Some(input) = self.inputs.pop_front() {
            let Some(replica) = &mut self.replica else {
                self.inputs.clear();
                return;
            };
            if matches!(input, Input::Session { event: SessionEvent::Message(_), .. }) {
                self.link.next_turn();
            }
            for effect in replica.handle(now, &mut desk.rng, input) {
                if let Err(error) = self.take(desk, now, effect) {
                    self.failed(desk, now, error);
                    return;
                }
            }
        }
    }

    /// [`Persona::run`], and brings everything to disk and out, until nothing is left to do.
    pub(super) fn finish(&mut self, desk: &mut Desk, now: Timestamp) {
        loop {
            self.run(desk, now);
            if let Err(error) = self.settle(desk, now) {
                self.failed(desk, now, error);
            }
            if self.inputs.is_empty() && self.writes.is_empty() && self.effects.is_empty() {
                break;
            }
        }
        self.link.tell_taken();
        if std::mem::take(&mut self.moved) {
            self.change_over(desk, now);
        }
    }

    /// Ends the network of the old identity. The replica is read again and connected by the new one
    /// shortly after.
    fn change_over(&mut self, desk: &mut Desk, now: Timestamp) {
        tracing::warn!("a disk was set back, or a home runs twice: it goes on as a new device");
        self.link.send(NetworkCommand::Shutdown);
        self.link.ended();
        let error = ApiError::unavailable(
            "this node's disk was set back, or a copy of it runs elsewhere: it is going on as a new \
             device",
        )
        .hinted("Nothing is lost. Ask again in a few seconds; never run two copies of one home.");
        self.rest(desk, now, &error);
        desk.timers.set(self.group, Wake::Reopen, now.after(RESTART_MILLIS));
    }

    fn take(
        &mut self,
        desk: &mut Desk,
        now: Timestamp,
        effect: Effect,
    ) -> Result<(), StorageError> {
        if let Effect::Load(load) = effect {
            // What was written just now is part of what is asked for.
            self.settle(desk, now)?;
            let entries = desk.store.load(self.group, &load)?;
            self.inputs.push_back(Input::Loaded { load, entries });
            return Ok(());
        }
        self.collect(effect);
        if self.writes.len() >= WRITES_AT_ONCE { self.settle(desk, now) } else { Ok(()) }
    }

    /// Puts an effect where it belongs. Writes of several rounds come together into one
    /// transaction: they may come earlier than other effects, and never later.
    fn collect(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(writes) => self.writes.extend(writes),
            other => self.effects.push(other),
        }
    }

    /// Writes what was collected, then lets out what waited for it.
    fn settle(&mut self, desk: &mut Desk, now: Timestamp) -> Result<(), StorageError> {
        if !self.writes.is_empty() {
            desk.store.write(self.group, &self.writes)?;
            self.writes.clear();
        }
        for effect in std::mem::take(&mut self.effects) {
            self.perform(desk, now, effect);
        }
        Ok(())
    }

    fn failed(&mut self, desk: &mut Desk, now: Timestamp, error: StorageError) {
        tracing::error!(%error, "the store failed: a group is read from it again");
        self.rest(desk, now, &ApiError::from(error));
    }

    /// Something on which the replica rests has failed: nothing of what was not written has
    /// happened. Whoever waits is told, and the replica is read again when the group has rested, or
    /// is asked for.
    pub(super) fn rest(&mut self, desk: &mut Desk, now: Timestamp, error: &ApiError) {
        self.replica = None;
        self.inputs.clear();
        self.writes.clear();
        self.effects.clear();
        self.moved = false;
        self.link.quiet();
        self.keepers.quiet();
        desk.timers.forget(self.group);
        desk.timers.set(self.group, Wake::Reopen, now.after(REST_MILLIS));
        desk.fail_all(self.group, error);
    }

    fn perform(&mut self, desk: &mut Desk, now: Timestamp, effect: Effect) {
        match effect {
            // These two never wait among the others.
            Effect::Persist(_) | Effect::Load(_) => {}
            Effect::Send { session, message } => {
                let stands = self.link.queue(session, |out, turn| out.message(turn, message));
                self.sent(desk, session, stands);
            }
            Effect::Serve { session, serve } => {
                let stands = self.link.queue(session, |out, turn| out.serve(turn, serve));
                self.sent(desk, session, stands);
            }
            Effect::Close { session } => {
                let stands = self.link.queue(session, |out, _| {
                    out.close();
                    Ok(())
                });
                self.sent(desk, session, stands);
            }
            Effect::Open { peer, protocol } => {
                self.link.send(NetworkCommand::Open { peer, protocol });
            }
            Effect::Seek { peer, addresses } => {
                self.link.send(NetworkCommand::Seek { peer, addresses });
            }
            Effect::Forget { peer } => {
                self.link.unreachable.remove(&peer);
                self.link.send(NetworkCommand::Forget { peer });
            }
            Effect::Disconnect { peer } => self.link.send(NetworkCommand::Disconnect { peer }),
            Effect::Tell { key, value } => self.found.send(FindingCommand::Publish { key, value }),
            Effect::LookFor { key } => self.found.send(FindingCommand::Look { key }),
            Effect::Keeper { keeper, ask } => {
                let store = (desk.store.as_ref(), self.group);
                match self.keepers.ask(now, store, keeper, ask) {
                    Ok(Some(event)) => self.give(Input::Keeper { keeper, event }),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(%error, "entries could not be read for a keeper");
                        self.give(Input::Keeper {
                            keeper,
                            event: KeeperEvent::Deposited(Vec::new()),
                        });
                    }
                }
            }
            Effect::Publish(entry) => self.link.send(NetworkCommand::Publish(entry)),
            Effect::Verdict { token, verdict } => self.link.verdict(token, verdict),
            Effect::Identity => self.moved = true,
            Effect::Members(members) => self.link.send(NetworkCommand::Members(members)),
            Effect::Timer { at, timer } => desk.timers.set(self.group, Wake::Replica(timer), at),
            Effect::Reply { id, reply } => {
                if let Some(asked) = desk.asked.remove(&id) {
                    asked.tell(|then| then.answer(self, desk, reply?));
                }
            }
            Effect::Notify(event) => self.notice(desk, now, event),
        }
    }

    fn notice(&mut self, desk: &mut Desk, now: Timestamp, event: Event) {
        match event {
            Event::Synced { peer } => desk.waits.synced(self.group, peer),
            Event::Progress { .. } => desk.waits.progress(self.group, now),
            Event::Misbehaved { rule } => {
                tracing::warn!(rule, "a peer sent what can never be good; it was dropped");
            }
            Event::Unpacked(unpacked) => self.unpacked = Some(unpacked),
            Event::Standing { .. }
            | Event::Documents(_)
            | Event::Authority
            | Event::Request(_)
            | Event::Declined => {}
        }
    }

    /// Goes on sending on a stream, and tells the replica if the stream had to be closed.
    fn sent(&mut self, desk: &Desk, session: SessionId, stands: bool) {
        if !stands || !self.link.pump(session, desk.store.as_ref(), self.group) {
            self.give(Input::Session { session, event: SessionEvent::Closed });
        }
    }

    /// The network has written all that it was given of a stream.
    pub(super) fn drained(&mut self, desk: &Desk, session: SessionId) {
        self.link.drained(session);
        self.sent(desk, session, true);
    }
}
