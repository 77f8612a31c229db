//! Questions that are answered later, when something has happened or too much time has passed.

use std::collections::BTreeSet;

use cairn_crdt::id::{GroupId, TransportKey};
use cairn_crdt::replica::input::Protocol;
use cairn_crdt::replica::keepers::KeeperView;
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
    /// Everything that the reachable members and keepers hold, and that the latter hold what was
    /// written here.
    Sync { synced: BTreeSet<TransportKey>, progress: Timestamp, held: u64, unkept: u64 },
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
        let until = For::Sync { synced: BTreeSet::new(), progress: now, held: 0, unkept: 0 };
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
            For::Sync { synced, progress, held, unkept } => {
                let kept = Kept::of(&replica.keepers());
                if *held != replica.held() || *unkept != kept.lacking {
                    *held = replica.held();
                    *unkept = kept.lacking;
                    *progress = now;
                }
                let members = members_connected(persona, replica);
                let open = |peer: &TransportKey| {
                    let mut streams = persona.link.streams.values();
                    streams.any(|s| s.peer == *peer && s.protocol == Protocol::Sync)
                };
                if members.is_empty() && !kept.any {
                    let at = self.since.max(*progress).after(NOBODY_MILLIS);
                    return if now < at { Stand::Until(at) } else { Stand::Over(Err(nobody())) };
                }
                let all = members.iter().all(|peer| synced.contains(peer) && !open(peer));
                if all && kept.settled && replica.missing() == 0 {
                    return Stand::Over(Ok(()));
                }
                let at = progress.after(STUCK_MILLIS);
                if now < at { Stand::Until(at) } else { Stand::Over(Err(stuck(replica, all))) }
            }
        }
    }
}

/// How far the exchange with the keepers whose mailboxes are open has come.
#[derive(Debug, Eq, PartialEq)]
struct Kept {
    /// There is one.
    any: bool,
    /// Each was read, and holds what was written here, unless it is full.
    settled: bool,
    /// Entries of this device that one of them lacks.
    lacking: u64,
}

impl Kept {
    fn of(keepers: &[KeeperView]) -> Self {
        let open = || keepers.iter().filter(|keeper| keeper.open);
        let settled = |keeper: &KeeperView| keeper.read && (keeper.own == 0 || keeper.full);
        Self {
            any: open().next().is_some(),
            settled: open().all(settled),
            lacking: open().fold(0, |sum, keeper| sum.saturating_add(keeper.own)),
        }
    }
}

/// The members' devices that a connection leads to now.
pub(super) fn members_connected(persona: &Persona, replica: &Replica) -> Vec<TransportKey> {
    let known = |peer: &&TransportKey| replica.authority().device_of_transport(peer).is_some();
    persona.link.connected.iter().filter(known).copied().collect()
}

fn nobody() -> ApiError {
    ApiError::unavailable("nobody of the group could be reached, and none of its keepers")
        .hinted("Your node goes on trying. What you write goes out when it meets one of theirs.")
}

fn stuck(replica: &Replica, members_done: bool) -> ApiError {
    let message = match (replica.missing(), members_done) {
        (0, true) => "a keeper does not give or take all that it should".to_owned(),
        (0, false) => "a node that is connected does not answer".to_owned(),
        (missing, _) => {
            format!("those that are reached do not have all: {missing} payloads are missing")
        }
    };
    ApiError::unavailable(message)
        .hinted("Your node goes on trying, with these nodes and the others of the group.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper(open: bool, read: bool, own: u64) -> KeeperView {
        KeeperView {
            keeper: TransportKey::from_bytes([1; 32]),
            entry: None,
            open,
            why: None,
            read,
            lacking: own.saturating_add(3),
            own,
            letter: false,
            used: None,
            full: false,
            misconduct: None,
        }
    }

    #[test]
    fn waiting_ends_when_every_open_keeper_was_read_and_has_what_was_written_here() {
        let of = |keepers: &[KeeperView]| {
            let kept = Kept::of(keepers);
            (kept.any, kept.settled, kept.lacking)
        };
        assert_eq!(of(&[]), (false, true, 0));
        assert_eq!(of(&[keeper(false, false, 5)]), (false, true, 0), "it is not reached");
        assert_eq!(of(&[keeper(true, false, 0)]), (true, false, 0), "there may be more to read");
        assert_eq!(of(&[keeper(true, true, 2)]), (true, false, 2), "it lacks two entries");
        assert_eq!(of(&[keeper(true, true, 0)]), (true, true, 0), "others' may come from others");
        assert_eq!(of(&[keeper(true, true, 0), keeper(true, true, 1)]), (true, false, 1));
        let full = KeeperView { full: true, ..keeper(true, true, 4) };
        assert_eq!(of(&[full]), (true, true, 4), "a full one takes no more");
    }
}
