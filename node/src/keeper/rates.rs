//! How much may be asked in a short time (M3). Time is an argument.

use std::collections::BTreeMap;

use cairn_crdt::time::Timestamp;

use super::policy::{RATES_REMEMBERED, Rate};
use super::storage::MailboxRow;

/// What one mailbox or connection may still ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// Below nothing: what was given before its cost was known is paid with time.
    left: i64,
    filled: Timestamp,
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: Rate, now: Timestamp) -> Self {
        Self { left: signed(rate.burst), filled: now }
    }

    fn fill(&mut self, rate: Rate, now: Timestamp) {
        let (burst, each_second) = (signed(rate.burst), rate.each_second.max(1));
        let gained = each_second.saturating_mul(now.since(self.filled)) / 1000;
        self.left = self.left.saturating_add(signed(gained));
        if self.left >= burst || now < self.filled {
            self.left = self.left.min(burst);
            self.filled = now;
        } else {
            // Time that has not gained a whole byte yet is not lost.
            let paid = gained.saturating_mul(1000).checked_div(each_second).unwrap_or(0);
            self.filled = self.filled.after(paid);
        }
    }

    /// Takes what something costs. What costs more than there ever is may be had when it is full.
    ///
    /// # Errors
    /// Milliseconds to wait, if there is less than that now.
    pub(super) fn take(&mut self, rate: Rate, now: Timestamp, cost: u64) -> Result<(), u32> {
        self.fill(rate, now);
        let left = self.left.saturating_sub(signed(cost.min(rate.burst)));
        if left >= 0 {
            self.left = left;
            return Ok(());
        }
        let millis = left.unsigned_abs().saturating_mul(1000).div_ceil(rate.each_second.max(1));
        Err(u32::try_from(millis).unwrap_or(u32::MAX))
    }

    /// Takes what an answer cost, which is known only afterwards.
    pub(super) fn spend(&mut self, cost: u64) {
        self.left = self.left.saturating_sub(signed(cost));
    }
}

/// Whose rate pays. Those who are in the drop-boxes of a mailbox have one together, so that whoever
/// has an invite cannot slow the members.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) enum Payer {
    Members(MailboxRow),
    DropBoxes(MailboxRow),
}

/// The buckets of all that were used lately.
#[derive(Debug)]
pub(super) struct Rates {
    rate: Rate,
    buckets: BTreeMap<Payer, Bucket>,
}

impl Rates {
    pub(super) const fn new(rate: Rate) -> Self {
        Self { rate, buckets: BTreeMap::new() }
    }

    /// As [`Bucket::take`], of one of them.
    pub(super) fn take(&mut self, payer: Payer, now: Timestamp, cost: u64) -> Result<(), u32> {
        if self.buckets.len() >= RATES_REMEMBERED && !self.buckets.contains_key(&payer) {
            let rate = self.rate;
            self.buckets.retain(|_, bucket| {
                bucket.fill(rate, now);
                bucket.left < signed(rate.burst)
            });
            // All of them are in use: who comes now begins with the others' mercy.
            if self.buckets.len() >= RATES_REMEMBERED {
                self.buckets.pop_first();
            }
        }
        let bucket = self.buckets.entry(payer).or_insert_with(|| Bucket::new(self.rate, now));
        bucket.take(self.rate, now, cost)
    }

    /// As [`Bucket::spend`], of one of them.
    pub(super) fn spend(&mut self, payer: Payer, cost: u64) {
        if let Some(bucket) = self.buckets.get_mut(&payer) {
            bucket.spend(cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 1000, each_second: 100 };
    const START: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn m3_a_burst_is_followed_by_a_wait_of_the_length_that_was_said() {
        let mut bucket = Bucket::new(RATE, START);
        assert_eq!(bucket.take(RATE, START, 700), Ok(()));
        assert_eq!(bucket.take(RATE, START, 700), Err(4000));
        assert_eq!(bucket.take(RATE, START.after(3999), 700), Err(10));
        assert_eq!(bucket.take(RATE, START.after(4000), 700), Ok(()));
        // However long it rests, there is never more than a burst.
        assert_eq!(bucket.take(RATE, START.after(1_000_000), 1000), Ok(()));
        assert_eq!(bucket.take(RATE, START.after(1_000_000), 1), Err(10));
    }

    #[test]
    fn m3_what_an_answer_cost_is_paid_before_anything_else() {
        let mut bucket = Bucket::new(RATE, START);
        assert_eq!(bucket.take(RATE, START, 1), Ok(()));
        bucket.spend(4999);
        assert_eq!(bucket.take(RATE, START, 1), Err(40_010));
        assert_eq!(bucket.take(RATE, START.after(40_000), 1), Err(10));
        assert_eq!(bucket.take(RATE, START.after(40_010), 1), Ok(()));
    }

    #[test]
    fn m3_what_is_asked_in_small_steps_fills_as_fast() {
        let mut bucket = Bucket::new(RATE, START);
        bucket.spend(1000);
        for step in 0..1000 {
            let _ = bucket.take(RATE, START.after(step), 1000);
        }
        assert_eq!(bucket.take(RATE, START.after(1000), 100), Ok(()));
    }

    #[test]
    fn m3_one_mailbox_does_not_slow_another_and_all_of_them_are_bounded() {
        let mut rates = Rates::new(RATE);
        let (one, two) = (Payer::Members(MailboxRow(-1)), Payer::Members(MailboxRow(-2)));
        assert_eq!(rates.take(one, START, 1000), Ok(()));
        assert_eq!(rates.take(one, START, 1000), Err(10_000));
        assert_eq!(rates.take(two, START, 1000), Ok(()));
        for row in 0..10_000 {
            let _ = rates.take(Payer::Members(MailboxRow(row)), START, 1000);
        }
        assert!(rates.buckets.len() <= RATES_REMEMBERED);
    }

    #[test]
    fn m3_whoever_is_remembered_pushes_out_nobody() {
        let mut rates = Rates::new(RATE);
        let payer = |row| Payer::Members(MailboxRow(row));
        for row in 0..i64::try_from(RATES_REMEMBERED).unwrap() {
            assert_eq!(rates.take(payer(row), START, 1000), Ok(()));
        }
        for _ in 0..3 {
            assert_eq!(rates.take(payer(0), START, 1000), Err(10_000));
        }
        assert_eq!(rates.buckets.len(), RATES_REMEMBERED);
    }
}
