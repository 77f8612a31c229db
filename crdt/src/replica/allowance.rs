//! What a device does in a day at another's instance: so much, and the rest on another day.

use serde::{Deserialize, Serialize};

use crate::time::{DAY_MILLIS, Timestamp};

/// How much of a day's allowance is used up. Where a restart must grant no more it is kept with the
/// persona.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Allowance {
    since: Timestamp,
    used: u32,
}

impl Allowance {
    /// Uses up one of `limit` a day. Whether there was one left.
    pub(crate) fn take(&mut self, now: Timestamp, limit: u32) -> bool {
        if self.is_over(now) {
            *self = Self { since: now, used: 0 };
        }
        let left = self.used < limit;
        if left {
            self.used = self.used.saturating_add(1);
        }
        left
    }

    /// Whether it was used up and is given anew: once for each time that it was.
    pub(crate) fn renew(&mut self, now: Timestamp, limit: u32) -> bool {
        let due = self.used >= limit && self.is_over(now);
        if due {
            *self = Self { since: now, used: 0 };
        }
        due
    }

    /// Whether its day is over: also if the clock was set back.
    const fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.since) >= DAY_MILLIS || now.as_millis() < self.since.as_millis()
    }
}
