//! When others are told that this node is somewhere else.
//!
//! What is told becomes an entry that every member keeps for ever. So addresses that come one after
//! the other are told together; and since others have a hand in where this node is, a keeper that
//! grants a place and takes it back, a router that opens a port and shuts it, there is an allowance.

use tokio::time::Instant;

use super::policy;

/// The allowance, and what waits for it.
pub(super) struct Telling {
    left: usize,
    /// Since when the next one is being regained.
    since: Instant,
    due: Option<Instant>,
}

impl Telling {
    /// The whole allowance.
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: policy::TELLINGS, since: now, due: None }
    }

    /// There is something to tell, or no longer.
    pub(super) fn set(&mut self, is_news: bool, now: Instant) {
        self.regain(now);
        let settled = now.checked_add(policy::SETTLE);
        let allowed = if self.left > 0 { settled } else { self.regained().max(settled) };
        self.due = self.due.or(allowed).filter(|_| is_news);
    }

    /// Whether it is to be told now, which is said once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.regain(now);
            self.left = self.left.saturating_sub(1);
            self.due = None;
        }
        due
    }

    /// When to ask [`Self::is_due`].
    pub(super) const fn wake(&self) -> Option<Instant> {
        self.due
    }

    fn regain(&mut self, now: Instant) {
        while self.left < policy::TELLINGS
            && let Some(at) = self.regained().filter(|at| *at <= now)
        {
            self.left = self.left.saturating_add(1);
            self.since = at;
        }
        if self.left >= policy::TELLINGS {
            self.since = now;
        }
    }

    fn regained(&self) -> Option<Instant> {
        self.since.checked_add(policy::TELL_AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_comes_at_once_is_told_once_and_what_is_as_before_is_not() {
        let now = Instant::now();
        let mut telling = Telling::new(now);
        telling.set(true, now);
        telling.set(true, now + policy::SETTLE / 2);
        assert!(!telling.is_due(now));
        assert_eq!(telling.wake(), Some(now + policy::SETTLE));
        assert!(telling.is_due(now + policy::SETTLE));
        assert!(!telling.is_due(now + policy::SETTLE) && telling.wake().is_none());
        telling.set(true, now);
        telling.set(false, now);
        assert_eq!(telling.wake(), None);
    }

    #[test]
    fn whoever_moves_this_node_to_and_fro_makes_it_tell_so_often_in_a_day_and_the_last_is_told() {
        let start = Instant::now();
        let (mut now, mut told) = (start, 0);
        let mut telling = Telling::new(now);
        let day = Duration::from_secs(24 * 3600);
        while now < start + day {
            telling.set(true, now);
            now += Duration::from_secs(1);
            told += usize::from(telling.is_due(now));
        }
        assert!(told > policy::TELLINGS && told <= policy::TELLINGS + 24 * 6 + 1, "{told}");
        telling.set(true, now);
        assert!(telling.is_due(telling.wake().unwrap()));
        now += day;
        telling.set(true, now);
        assert_eq!(telling.wake(), Some(now + policy::SETTLE), "after a quiet day");
    }
}
