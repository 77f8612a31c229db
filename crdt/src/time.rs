//! Time as a value. Nothing in this crate reads a clock: whoever calls says what time it is.

use serde::{Deserialize, Serialize};

/// Milliseconds of a day.
pub const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// By how much a clock may fall back without having been set back, in milliseconds.
const JITTER_MILLIS: u64 = 2000;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time and `millis` more, at most the largest time there is.
    #[must_use]
    pub const fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` until this time; zero if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The latest time that a clock has shown: tells when it is set back. Nobody knows then how long it
/// has really been, and whatever waits for a time must not wait for that one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latest(Timestamp);

impl Latest {
    /// Takes note of what the clock shows. Whether it was set back before that.
    pub fn is_set_back(&mut self, now: Timestamp) -> bool {
        let set_back = now.after(JITTER_MILLIS) < self.0;
        self.0 = if set_back { now } else { self.0.max(now) };
        set_back
    }
}
