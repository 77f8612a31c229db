//! The pure core of Cairn: what every device must compute identically.
//!
//! A group is a set of signed entries. Everything that a member may see or do is a pure function
//! of that set. This crate knows no clock, randomness source, file, socket, thread or async:
//! time and randomness are arguments, and what is to be done comes back as a value.
//!
//! ```text
//! bytes → Signed → Verified → (parked) → Authorized → Document → view
//! ```
//!
//! Rule numbers (L4, A5, K1…) refer to `docs/protocol.md` and `docs/authority.md`.

pub mod authority;
pub mod capability;
pub mod codec;
pub mod crypto;
pub mod discovery;
pub mod document;
pub mod epoch;
pub mod id;
pub mod identity;
pub mod limits;
pub mod log;
pub mod mailbox;
pub mod replica;
pub mod sync;
pub mod time;
