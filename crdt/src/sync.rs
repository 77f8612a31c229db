//! Synchronising with members (S1, S2) and joining (J2), as state machines without I/O.

pub mod message;
pub mod reconcile;
pub mod session;
