//! Epochs: group secrets, whom they were wrapped to, and what is sealed under them.

pub mod secret;
pub mod welcome;
