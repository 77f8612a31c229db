//! A persona's side of finding: what is put into the table at keepers, and looked for there (M5).

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::incoming::NetworkId;
use crate::network::{FindingCommand, KeeperContact};

/// Commands that wait for room; beyond it the oldest is forgotten: it will be asked again.
const WAITING: usize = 64;

/// Finding, as the driver sees it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) id: NetworkId,
    commands: Option<mpsc::Sender<FindingCommand>>,
    outbox: VecDeque<FindingCommand>,
    /// The keepers that were told last.
    keepers: Vec<KeeperContact>,
}

impl Found {
    /// The side of a finding that was just started.
    pub(super) fn started(&mut self, id: NetworkId, commands: mpsc::Sender<FindingCommand>) {
        (self.id, self.commands) = (id, Some(commands));
        let keepers = self.keepers.clone();
        self.outbox.push_front(FindingCommand::Keepers(keepers));
        self.send_waiting();
    }

    /// These keepers hold the table from now on.
    pub(super) fn use_keepers(&mut self, keepers: Vec<KeeperContact>) {
        self.keepers.clone_from(&keepers);
        if self.commands.is_some() {
            self.send(FindingCommand::Keepers(keepers));
        }
    }

    /// Whether there is something to do and nobody to do it.
    pub(super) fn is_wanted(&self) -> bool {
        self.commands.is_none() && !self.outbox.is_empty()
    }

    /// Hands on a command, now or as soon as there is room.
    pub(super) fn send(&mut self, command: FindingCommand) {
        while self.outbox.len() >= WAITING {
            self.outbox.pop_front();
        }
        self.outbox.push_back(command);
        self.send_waiting();
    }

    /// Sends what waits for room.
    pub(super) fn send_waiting(&mut self) {
        while let (Some(commands), Some(command)) = (&self.commands, self.outbox.pop_front()) {
            match commands.try_send(command) {
                Ok(()) => {}
                Err(TrySendError::Full(command)) => {
                    self.outbox.push_front(command);
                    return;
                }
                Err(TrySendError::Closed(_)) => self.commands = None,
            }
        }
    }
}
