//! The evaluation of authority: scenarios, laws over random sets, and an oracle.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

mod documents;
mod laws;
mod oracle;
mod people;
mod random;
mod scenarios;
mod scenarios_acts;
mod scenarios_council;
mod scenarios_cuts;
mod scenarios_forks;
