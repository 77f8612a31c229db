//! What one input comes to: first one transaction, then everything else (S4).

use crate::id::{DeviceId, EntryId};
use crate::log::run::{Entry, Run, Verified};
use crate::replica::effect::{Effect, Event, Refused, Reply, Write};
use crate::replica::input::{CommandId, SessionId};
use crate::replica::persona::Persona;
use crate::sync::message::{JoinMessage, Message};

/// Own entries in one act up to which each is gossiped; more are left to synchronisation.
const GOSSIPED_AT_ONCE: usize = 16;

/// Collects what is to be written and what is to be done after that.
#[derive(Default)]
pub(crate) struct Outcome {
    writes: Vec<Write>,
    effects: Vec<Effect>,
    authored: Vec<Vec<u8>>,
    /// The persona changed and has to be written.
    pub(crate) persona_changed: bool,
    /// Entries came into the set.
    pub(crate) grown: bool,
    /// Which.
    pub(crate) entered: Vec<(DeviceId, u64, EntryId)>,
}

impl Outcome {
    pub(crate) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn notify(&mut self, event: Event) {
        self.effects.push(Effect::Notify(event));
    }

    pub(crate) fn send(&mut self, session: SessionId, message: &Message) {
        self.effects.push(Effect::Send { session, message: message.to_bytes() });
    }

    pub(crate) fn send_join(&mut self, session: SessionId, message: &JoinMessage) {
        self.effects.push(Effect::Send { session, message: message.to_bytes() });
    }

    pub(crate) fn reply(&mut self, id: CommandId, reply: Result<Reply, Refused>) {
        self.effects.push(Effect::Reply { id, reply });
    }

    /// An entry of this device: to be told to the others.
    pub(crate) fn authored(&mut self, entry: &Verified<Entry>) {
        if let Some(run) = Run::new(std::slice::from_ref(entry.get()), true) {
            self.authored.push(run.to_bytes());
        }
    }

    /// Whether more was written than is gossiped: peers have to be synchronised with.
    pub(crate) fn outgrew_gossip(&self) -> bool {
        self.authored.len() > GOSSIPED_AT_ONCE
    }

    /// Whether this device wrote anything.
    pub(crate) fn has_authored(&self) -> bool {
        !self.authored.is_empty()
    }

    /// The entries that are written, for tests of what is acknowledged.
    pub(crate) fn entry(
        &mut self,
        entry: &Entry,
        payload: Option<Vec<u8>>,
        arrived: crate::time::Timestamp,
    ) -> EntryId {
        self.writes.push(Write::Entry {
            id: entry.id,
            header: entry.header.clone(),
            payload,
            signature: entry.signature,
            arrived,
        });
        self.grown = true;
        self.entered.push((entry.header.device, entry.header.seq, entry.id));
        entry.id
    }

    pub(crate) fn finish(mut self, persona: &Persona) -> Vec<Effect> {
        if self.persona_changed {
            self.writes.push(Write::Persona(persona.to_record()));
        }
        let mut effects = Vec::with_capacity(self.effects.len().saturating_add(2));
        if !self.writes.is_empty() {
            effects.push(Effect::Persist(self.writes));
        }
        if self.authored.len() <= GOSSIPED_AT_ONCE {
            effects.extend(self.authored.into_iter().map(Effect::Publish));
        }
        effects.extend(self.effects);
        effects
    }
}
