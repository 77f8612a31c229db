//! Waiting for what is to come true, however slow the machine.

use std::time::{Duration, Instant};

/// How long anything may take before it counts as never. Far above what it takes.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(25);

/// Looks again and again until there is a result; `what` names it.
///
/// # Panics
/// When there is none after [`PATIENCE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(result) = look() {
            return result;
        }
        assert!(begun.elapsed() < PATIENCE, "never came true: {what}");
        std::thread::sleep(GLANCE);
    }
}
