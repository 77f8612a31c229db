//! A real node on loopback, and someone who speaks its protocol and means ill.
//!
//! The attacker is a stranger, or a member who was let in and misbehaves; it says what the protocol
//! forbids, with its own network or byte by byte. Each test ends with the node still doing its work
//! for someone honest, and holding nothing that it should have refused.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

mod content;
mod floods;
mod gossip;
mod insider;
mod joining;
mod known;
mod node;
mod order;
mod raw;
mod runs;
#[path = "../../../crdt/tests/replica/store.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "made for the tests of the core, of which it serves more"
)]
mod store;
mod wire;

use std::time::Duration;

/// No test takes this long unless it fails.
const SAFETY: Duration = Duration::from_secs(240);

/// A whole test.
async fn bounded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(SAFETY, test).await.expect("the node neither stalls nor stays silent")
}
