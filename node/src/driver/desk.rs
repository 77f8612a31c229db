//! What all personas share: the store, randomness, timers, and the questions that wait.

use std::collections::BTreeMap;

use cairn_crdt::id::GroupId;
use cairn_crdt::replica::input::{Command, CommandId, Input};
use rand_chacha::ChaCha20Rng;

use super::answer::Then;
use super::incoming::Answering;
use super::timers::Timers;
use super::waits::Waits;
use crate::api::command::{Answer, ApiError};
use crate::storage::Store;

/// What all personas share.
pub(super) struct Desk {
    pub(super) store: Box<dyn Store>,
    pub(super) rng: ChaCha20Rng,
    pub(super) timers: Timers,
    pub(super) asked: BTreeMap<CommandId, Asked>,
    pub(super) waits: Waits,
    commands: u64,
}

/// A command whose reply is still to come.
pub(super) struct Asked {
    group: GroupId,
    /// What is made of the reply.
    then: Then,
    answer: Answering,
}

impl Asked {
    /// Answers whoever asked, if they still wait.
    pub(super) fn tell(self, answer: impl FnOnce(Then) -> Result<Answer, ApiError>) {
        drop(self.answer.send(answer(self.then)));
    }
}

impl Desk {
    pub(super) fn new(store: Box<dyn Store>, rng: ChaCha20Rng) -> Self {
        Self {
            store,
            rng,
            timers: Timers::default(),
            asked: BTreeMap::new(),
            waits: Waits::default(),
            commands: 0,
        }
    }

    /// Notes down who asked for a command, and gives it a name.
    pub(super) fn command(
        &mut self,
        group: GroupId,
        command: Command,
        then: Then,
        answer: Answering,
    ) -> Input {
        self.commands = self.commands.wrapping_add(1);
        let id = CommandId(self.commands);
        self.asked.insert(id, Asked { group, then, answer });
        Input::Command { id, command }
    }

    /// Tells everyone who waits for something of a group that it failed.
    pub(super) fn fail_all(&mut self, group: GroupId, error: &ApiError) {
        let failed: Vec<CommandId> = self
            .asked
            .iter()
            .filter(|(_, asked)| asked.group == group)
            .map(|(id, _)| *id)
            .collect();
        for id in failed {
            if let Some(asked) = self.asked.remove(&id) {
                asked.tell(|_| Err(error.clone()));
            }
        }
        self.waits.fail_all(group, error);
    }
}
