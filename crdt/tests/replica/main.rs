//! Whole replicas talking to each other in memory: joining, writing, removing, catching up.
#![expect(clippy::arithmetic_side_effects, reason = "test code")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
#![expect(clippy::indexing_slicing, reason = "test code")]
#![expect(unreachable_pub, reason = "test code")]

mod asking;
mod attacks;
mod bundles;
mod community;
mod council;
mod delivery;
mod forged;
mod joining;
mod keeper;
mod keepers;
mod keepers_apart;
mod keepers_hostile;
mod keepers_joining;
mod lacking;
mod moderation;
mod prekeys;
mod relay;
mod removal;
mod retention;
mod rollback;
mod scenarios_documents;
mod scenarios_exchange;
mod scenarios_joining;
mod scenarios_reading;
mod scenarios_signed;
mod store;
mod strangers;
mod sync;
mod thief;
