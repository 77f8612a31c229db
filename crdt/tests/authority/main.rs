//! The evaluation of authority: scenarios, laws over random sets, and an oracle.
#![expect(clippy::arithmetic_side_effects, reason = "test code")]

mod laws;
mod oracle;
mod people;
mod random;
