//! Times in content (C6): the author's claim, from a hybrid logical clock, so that an answer is
//! never dated before what it answers.
//!
//! A claim is data. It is compared with a replica's own clock for showing and for advancing that
//! clock, never to decide what counts (A11).

use crate::time::Timestamp;

/// Milliseconds by which a claim may be ahead of this device's clock and still advance its hybrid
/// clock: clocks of honest devices differ by minutes, not by more.
pub const AHEAD_MILLIS: u64 = 10 * 60 * 1000;

/// The largest time that a change may claim: 9999-12-31T23:59:59.999Z.
pub const LATEST: Timestamp = Timestamp::from_millis(253_402_300_799_999);

/// A device's hybrid logical clock. Kept by the store, so that a restart does not go back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HybridClock {
    last: Timestamp,
}

impl HybridClock {
    /// The clock of a device whose last time was `last`.
    #[must_use]
    pub const fn after(last: Timestamp) -> Self {
        Self { last }
    }

    /// The largest time that was given out or observed.
    #[must_use]
    pub const fn last(self) -> Timestamp {
        self.last
    }

    /// The time of a new change: `now`, or just after the last time if that is later.
    #[must_use]
    pub fn next(&mut self, now: Timestamp) -> Timestamp {
        self.last = now.max(self.last.after(1)).min(LATEST);
        self.last
    }

    /// Takes account of another's claim, clamped.
    pub fn observe(&mut self, claim: Timestamp, now: Timestamp) {
        self.last = self.last.max(clamped(claim, now));
    }
}

/// A claim as it is shown and ordered in lists: at most [`AHEAD_MILLIS`] after `arrived`, this
/// replica's time when the entry came.
#[must_use]
pub fn clamped(claim: Timestamp, arrived: Timestamp) -> Timestamp {
    claim.min(arrived.after(AHEAD_MILLIS))
}
