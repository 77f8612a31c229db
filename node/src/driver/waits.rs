//! Questions that are answered later, when something has happened or too much time has passed.

use std::collections::BTreeSet;

use cairn_crdt::id::{GroupId, TransportKey};
use cairn_crdt::replica::input::Protocol;
use cairn_crdt::replica::{Replica, ReplicaState};
use cairn_crdt::time::Timestamp;

use super::answer;
use super::incoming::Answering;
use super::persona::Persona;
use crate::api::command::ApiError;

/// Milliseconds until it is said that nobody of a group can be reached.
const NOBODY_MILLIS: u64 = 20_000;
/// Milliseconds without progress after which waiting for the others' entries ends.
const STUCK_MILLIS: u64 = 60_000;
/// Milliseconds that a newcomer's question waits for the first node to answer.
const JOIN_MILLIS: u64 = 6_000;
/// Milliseconds that it then waits for an admission without a person.
const ADMISSION_MILLIS: u64 = 1_500;

/// What is waited for.
enum For {
    /// Everything that the reachable members hold.
    Sync { synced: BTreeSet<TransportKey>, progress: Timestamp, held: u64 },
    /// A first word on a request to join.
    Join { reached: Option<Timestamp> },
}

struct Wait {
    group: GroupId,
    since: Timestamp,
    until: For,
    answer: Answering,
}

/// Everyone who waits.
#[derive(Default)]
pub(super) struct Waits {
    waits: Vec<Wait>,
}

/// How a wait stands.
enum Stand {
    Over(Result<(), ApiError>),
    Until(Timestamp),
}

impl Waits {
    /// Answers when this replica and its reachable peers hold the same.
    pub(super) fn for_sync(&mut self, group: GroupId, now: Timestamp, answer: Answering) {
        let until = For::Sync { synced: BTreeSet::new(), progress: now, held: 0 };
        self.waits.push(Wait { group, since: now, until, answer });
    }

    /// Answers when a request to join has had an answer, or has not for a while.
    pub(super) fn for_join(&mut self, group: GroupId, now: Timestamp, answer: Answering) {
        self.waits.push(Wait { group, since: now, until: For::Join { reached: None }, answer });
    }

    /// A stream has brought all that the other end had.
    pub(super) fn synced(&mut self, group: GroupId, peer: TransportKey) {
        for wait in self.waits.iter_mut().filter(|wait| wait.group == group) {
            if let For::Sync { synced, .. } = &mut wait.until {
                synced.insert(peer);
            }
        }
    }

    /// Something came.
    pub(super) fn progress(&mut self, group: GroupId, now: Timestamp) {
        for wait in self.waits.iter_mut().filter(|wait| wait.group == group) {
            if let For::Sync { progress, .. } = &mut wait.until {
                *progress = now;
            }
        }
    }

    /// Tells everyone who waits for a group that it failed.
    pub(super) fn fail_all(&mut self, group: GroupId, error: &ApiError) {
        for wait in self.waits.extract_if(.., |wait| wait.group == group) {
            drop(wait.answer.send(Err(error.clone())));
        }
    }

    /// Whether anyone waits for a group.
    pub(super) fn concern(&self, group: GroupId) -> bool {
        self.waits.iter().any(|wait| wait.group == group)
    }

    /// Answers all whose wait for this persona is over. When to look again, if any are left.
    pub(super) fn look(&mut self, persona: &Persona, now: Timestamp) -> Option<Timestamp> {
        let replica = persona.replica()?;
        let mut next: Option<Timestamp> = None;
        let over = self.waits.extract_if(.., |wait| {
            if wait.group != persona.group {
                return false;
            }
            if wait.answer.is_closed() {
                return true;
            }
            match wait.stand(persona, replica, now) {
                Stand::Over(_) => true,
                Stand::Until(at) => {
                    next = Some(next.map_or(at, |next| next.min(at)));
                    false
                }
            }
        });
        for mut wait in over.collect::<Vec<_>>() {
            let Stand::Over(result) = wait.stand(persona, replica, now) else { continue };
            let answer = match wait.until {
                For::Sync { .. } => answer::network::synced(persona, replica),
                For::Join { reached } => answer::groups::joined(replica, reached.is_some()),
            };
            drop(wait.answer.send(result.map(|()| answer)));
        }
        next
    }
}

impl Wait {
    fn stand(&mut self, persona: &Persona, replica: &Replica, now: Timestamp) -> Stand {
        match &mut self.until {
            For::Join { reached } => {
                let answered = persona.link.answered || replica.state() != ReplicaState::Waiting;
                if reached.is_none() && answered {
                    *reached = Some(now);
                }
                let at = match *reached {
                    Some(reached) => reached.after(ADMISSION_MILLIS),
                    None => self.since.after(JOIN_MILLIS),
                };
                match replica.state() {
                    ReplicaState::Declined => Stand::Over(Err(ApiError::refused(
                        "the request was declined: the code is used up or expired, or a person \
                         said no",
                    )
                    .hinted("Ask whoever invited you for a fresh code."))),
                    ReplicaState::Waiting if now < at => Stand::Until(at),
                    _ => Stand::Over(Ok(())),
                }
            }
            For::Sync { synced, progress, held } => {
                if *held != replica.held() {
                    *held = replica.held();
                    *progress = now;
                }
                let members = members_connected(persona, replica);
                let open = |peer: &TransportKey| {
                    let mut streams = persona.link.streams.values();
                    streams.any(|s| s.peer == *peer && s.protocol == Protocol::Sync)
                };
                if members.is_empty() {
                    let at = self.since.max(*progress).after(NOBODY_MILLIS);
                    return if now < at { Stand::Until(at) } else { Stand::Over(Err(nobody())) };
                }
                let all = members.iter().all(|peer| synced.contains(peer) && !open(peer));
                if all && replica.missing() == 0 {
                    return Stand::Over(Ok(()));
                }
                let at = progress.after(STUCK_MILLIS);
                if now < at { Stand::Until(at) } else { Stand::Over(Err(stuck(replica))) }
            }
        }
    }
}

/// The members' devices that a connection leads to now.
pub(super) fn members_connected(persona: &Persona, replica: &Replica) -> Vec<TransportKey> {
    let known = |peer: &&TransportKey| replica.authority().device_of_transport(peer).is_some();
    persona.link.connected.iter().filter(known).copied().collect()
}

fn nobody() -> ApiError {
    ApiError::unavailable("nobody of the group could be reached")
        .hinted("Your node goes on trying. What you write goes out when it meets one of theirs.")
}

fn stuck(replica: &Replica) -> ApiError {
    let message = match replica.missing() {
        0 => "a node that is connected does not answer".to_owned(),
        missing => {
            format!("the nodes that are connected do not have all: {missing} payloads are missing")
        }
    };
    ApiError::unavailable(message)
        .hinted("Your node goes on trying, with these nodes and the others of the group.")
}
