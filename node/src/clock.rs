//! The only reader of the clock, and of the operating system's randomness for replicas.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cairn_crdt::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use zeroize::Zeroizing;

/// No honest clock shows less: the first day of the year in which this program was first built.
pub const EARLIEST: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// The time that the machine shows. A clock before 1970 shows 1970.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How long until `at`, from `now`; nothing if it has passed.
#[must_use]
pub fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::from_millis(at.since(now))
}

/// A generator seeded by the operating system; `None` if that gives no randomness.
#[must_use]
pub fn randomness() -> Option<ChaCha20Rng> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).ok()?;
    Some(ChaCha20Rng::from_seed(*seed))
}
