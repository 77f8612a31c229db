//! The harness of the end-to-end tests: people with homes and passphrases of their own, their nodes
//! as real processes on loopback, and what a test needs to watch them from outside.
//!
//! Nothing here reaches into a node: all is done with the program `cairn`, as a person would do it.
//! Nothing waits for luck: a condition is looked at until it holds ([`patience`]), a crash comes
//! when the store has grown by so many bytes, and what is random has a seed.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "test code: a broken expectation ends the test"
)]

pub mod circle;
pub mod cookbook;
pub mod net;
pub mod patience;
pub mod person;
pub mod place;
pub mod program;
pub mod relay;
pub mod traces;

/// Says, in the words that `.ci/run` looks for, that a test did nothing because of what is missing.
pub fn skipped(name: &str, missing: &str) {
    println!("SKIPPED: {name}: {missing}");
}
