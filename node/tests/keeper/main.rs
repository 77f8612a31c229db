//! A keeper and its clients over real sockets: every request, what is refused to whom, and what a
//! keeper still holds after it was killed (M1–M4, S4).

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

mod access;
mod disk;
mod house;
mod network;
mod records;
