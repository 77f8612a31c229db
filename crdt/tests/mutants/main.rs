//! Inputs that nobody honest sends: changes crafted by the million (C3), and every input that a
//! fuzz target starts from or ever failed on (L4, C3, A9).
//!
//! The bodies are those of the fuzz targets, `fuzz/src`; this test needs none of their tools.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code"
)]

mod bomb;
mod corpus;
mod crafted;

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "another crate's library")]
mod targets;
