//! The evaluation of authority: scenarios, laws over random sets, and an oracle.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

mod answers;
mod conformance;
mod coverage;
mod documents;
mod laws;
mod laws_explained;
mod laws_oracle;
mod laws_order;
mod laws_partial;
mod laws_standing;
mod oracle;
mod parts;
mod people;
mod random;
mod scenarios;
mod scenarios_acts;
mod scenarios_council;
mod scenarios_cuts;
mod scenarios_forks;
mod shorthand;
