//! Whole replicas talking to each other in memory: joining, writing, removing, catching up.
#![expect(clippy::arithmetic_side_effects, reason = "test code")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
#![expect(clippy::indexing_slicing, reason = "test code")]
#![expect(unreachable_pub, reason = "test code")]

mod community;
mod delivery;
mod forged;
mod joining;
mod moderation;
mod relay;
mod removal;
mod store;
mod strangers;
mod sync;
