//! What waits to be sent on one stream, first in, first out.
//!
//! A job becomes at most one message each time the stream has taken the one before: the other end
//! sets the pace, and nothing but ids waits in memory. Entries are read from the store only when
//! their turn comes.

use std::collections::VecDeque;

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{EntryId, GroupId};
use cairn_crdt::limits;
use cairn_crdt::log::run::Run;
use cairn_crdt::replica::effect::Serve;
use cairn_crdt::sync::message::{Message, PayloadOf};

use crate::storage::{StorageError, Store};

/// Weight of what waits from which on nothing more is taken: roughly bytes of memory.
const FULL: usize = 16 * 1024 * 1024;
/// Weight of a job besides its content.
const JOB_WEIGHT: usize = 64;
/// Payloads that are read from the store at a time.
const PAYLOADS_AT_ONCE: usize = 8;

/// More waits on a stream than its other end takes. Its fault: it is closed.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct TooMuch;

/// What comes next on a stream.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// A message.
    Message(Vec<u8>),
    /// Close it.
    Close,
    /// Nothing waits.
    Nothing,
}

enum Job {
    Message(Vec<u8>),
    Runs { entries: VecDeque<EntryId>, content: bool },
    Payloads { entries: VecDeque<EntryId>, sorted: bool },
    Close,
}

impl Job {
    fn weight(&self) -> usize {
        let content = match self {
            Self::Message(message) => message.len(),
            Self::Runs { entries, .. } | Self::Payloads { entries, .. } => {
                entries.len().saturating_mul(32)
            }
            Self::Close => 0,
        };
        content.saturating_add(JOB_WEIGHT)
    }
}

/// What waits on one stream.
#[derive(Default)]
pub(super) struct Outgoing {
    jobs: VecDeque<Job>,
    turn: u64,
    before_turn: usize,
}

impl Outgoing {
    /// Queues a message.
    pub(super) fn message(&mut self, turn: u64, message: Vec<u8>) -> Result<(), TooMuch> {
        self.push(turn, Job::Message(message))
    }

    /// Queues entries of the store.
    pub(super) fn serve(&mut self, turn: u64, serve: Serve) -> Result<(), TooMuch> {
        self.push(
            turn,
            match serve {
                Serve::Runs { entries, content } => Job::Runs { entries: entries.into(), content },
                Serve::Payloads { entries } => {
                    Job::Payloads { entries: entries.into(), sorted: false }
                }
            },
        )
    }

    /// Closes the stream after all that waits.
    pub(super) fn close(&mut self) {
        self.jobs.push_back(Job::Close);
    }

    /// One answer may be as large as it is. But while that much waits, no further one begins: who
    /// asks again and again without reading does not fill this node's memory.
    fn push(&mut self, turn: u64, job: Job) -> Result<(), TooMuch> {
        if self.turn != turn {
            self.turn = turn;
            self.before_turn = self.weight();
        }
        if self.before_turn > FULL {
            return Err(TooMuch);
        }
        self.jobs.push_back(job);
        Ok(())
    }

    fn weight(&self) -> usize {
        self.jobs.iter().fold(0, |sum, job| sum.saturating_add(job.weight()))
    }

    /// Takes one message's worth.
    pub(super) fn next(&mut self, store: &dyn Store, group: GroupId) -> Result<Next, StorageError> {
        while let Some(job) = self.jobs.front_mut() {
            let next = match job {
                Job::Message(message) => Some(std::mem::take(message)),
                Job::Runs { entries, content } => next_run(store, group, entries, *content)?,
                Job::Payloads { entries, sorted } => {
                    if !*sorted {
                        *entries = store.newest_first(group, entries.make_contiguous())?.into();
                        *sorted = true;
                    }
                    next_payloads(store, group, entries)?
                }
                Job::Close => return Ok(Next::Close),
            };
            let over = match job {
                Job::Runs { entries, .. } | Job::Payloads { entries, .. } => entries.is_empty(),
                Job::Message(_) | Job::Close => true,
            };
            if over || next.is_none() {
                self.jobs.pop_front();
            }
            if let Some(message) = next {
                return Ok(Next::Message(message));
            }
        }
        Ok(Next::Nothing)
    }
}

/// The longest run that fits. `None` when no run is left.
fn next_run(
    store: &dyn Store,
    group: GroupId,
    waiting: &mut VecDeque<EntryId>,
    content: bool,
) -> Result<Option<Vec<u8>>, StorageError> {
    let ids: Vec<EntryId> = waiting.iter().take(limits::RUN_ENTRIES).copied().collect();
    let entries = store.entries(group, &ids, content)?;
    let Some((run, taken)) = Run::first_of(&entries, content) else { return Ok(None) };
    waiting.drain(..taken.min(waiting.len()));
    let message = Message::Run(run).to_bytes();
    Ok(Some(message).filter(|message| message.len() <= limits::MESSAGE_BYTES))
}

/// As many payloads as fit into a message; `None` when none is left.
fn next_payloads(
    store: &dyn Store,
    group: GroupId,
    waiting: &mut VecDeque<EntryId>,
) -> Result<Option<Vec<u8>>, StorageError> {
    let mut room = limits::RUN_PAYLOAD_BYTES;
    let mut payloads: Vec<PayloadOf> = Vec::new();
    'message: while !waiting.is_empty() {
        let ids: Vec<EntryId> = waiting.iter().take(PAYLOADS_AT_ONCE).copied().collect();
        let held = store.payloads(group, &ids)?;
        for (id, payload) in held {
            let fits =
                room.checked_sub(payload.len()).filter(|_| payloads.len() < limits::RUN_ENTRIES);
            let Some(left) = fits else {
                while waiting.front().is_some_and(|first| *first != id) {
                    waiting.pop_front();
                }
                break 'message;
            };
            room = left;
            if let Ok(payload) = Bytes::new(payload) {
                payloads.push(PayloadOf { entry: id, payload });
            }
        }
        waiting.drain(..ids.len().min(waiting.len()));
    }
    if payloads.is_empty() {
        return Ok(None);
    }
    Ok(List::new(payloads).ok().map(|payloads| Message::Payloads(payloads).to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStore;

    #[test]
    fn what_waits_is_bounded_but_one_answer_is_not() {
        let mut outgoing = Outgoing::default();
        let ids = vec![EntryId::NONE; FULL / 32];
        let serve = || Serve::Payloads { entries: ids.clone() };
        assert_eq!(outgoing.serve(1, serve()), Ok(()));
        assert_eq!(outgoing.serve(1, serve()), Ok(()));
        assert_eq!(outgoing.message(2, vec![1]), Err(TooMuch));
    }

    #[test]
    fn messages_go_first_in_first_out_and_then_the_stream_is_closed() {
        let mut outgoing = Outgoing::default();
        let (store, group) = (MemoryStore::new(), GroupId::from_bytes([1; 32]));
        outgoing.message(1, vec![1]).unwrap();
        outgoing.message(1, vec![2]).unwrap();
        outgoing.close();
        outgoing.message(1, vec![3]).unwrap();
        for expected in [Next::Message(vec![1]), Next::Message(vec![2]), Next::Close, Next::Close] {
            assert_eq!(outgoing.next(&store, group).unwrap(), expected);
        }
    }
}
