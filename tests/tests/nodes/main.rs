//! Real nodes in processes of their own: what must hold between them, by the rules it rests on.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: a broken expectation ends the test"
)]

mod canaries;
mod clock;
mod crash;
mod damage;
mod demo;
mod demotion;
mod import;
mod input;
mod invites;
mod joining;
mod offline;
mod removal;
