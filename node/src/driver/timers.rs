//! When the driver has to wake.
//!
//! One pending time for each purpose of a group, the earliest that was asked for: whoever is woken
//! looks at all that is due and asks again, so timers never multiply.

use std::collections::BTreeMap;

use cairn_crdt::id::GroupId;
use cairn_crdt::replica::input::Timer;
use cairn_crdt::time::{Latest, Timestamp};

/// What a group is woken for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) enum Wake {
    /// A timer of its replica.
    Replica(Timer),
    /// To read the group from the store again.
    Reopen,
    /// Someone waits and may have waited long enough.
    Waiting,
}

/// Every time that is waited for.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pending: BTreeMap<(GroupId, Wake), Timestamp>,
    latest: Latest,
}

impl Timers {
    /// Wakes a group at a time, unless it is woken earlier for the same purpose.
    pub(super) fn set(&mut self, group: GroupId, wake: Wake, at: Timestamp) {
        let pending = self.pending.entry((group, wake)).or_insert(at);
        *pending = at.min(*pending);
    }

    /// Forgets all of a group.
    pub(super) fn forget(&mut self, group: GroupId) {
        self.pending.retain(|(of, _), _| *of != group);
    }

    /// The earliest time.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.pending.values().min().copied()
    }

    /// Takes what is due. After the clock was set back everything is.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<(GroupId, Wake)> {
        let set_back = self.latest.is_set_back(now);
        let due: Vec<(GroupId, Wake)> = self
            .pending
            .iter()
            .filter(|(_, at)| set_back || **at <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in &due {
            self.pending.remove(key);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId::from_bytes([1; 32]);
    const TICK: Wake = Wake::Replica(Timer::Tick);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_earliest_time_asked_for_stands_and_fires_once() {
        let mut timers = Timers::default();
        for millis in [500, 300, 400] {
            timers.set(GROUP, TICK, at(millis));
        }
        assert_eq!(timers.next(), Some(at(300)));
        assert!(timers.due(at(299)).is_empty());
        assert_eq!(timers.due(at(300)), [(GROUP, TICK)]);
        assert!(timers.due(at(1000)).is_empty());
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nothing() {
        let mut timers = Timers::default();
        assert!(timers.due(at(10_000_000)).is_empty());
        timers.set(GROUP, TICK, at(10_005_000));
        assert!(timers.due(at(9_999_000)).is_empty());
        assert_eq!(timers.due(at(1_000_000)), [(GROUP, TICK)]);
        timers.set(GROUP, TICK, at(1_005_000));
        assert!(timers.due(at(1_004_000)).is_empty());
    }
}
