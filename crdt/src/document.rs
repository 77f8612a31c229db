//! Documents: what people write (C1–C7).
//!
//! ```text
//! Content ─create/edit─► change bytes ─seal─► payload ─open─► change bytes
//!                                                                  │ check (C3)
//!                                       View ◄─read/rebuild (C4)─ CheckedChange
//! ```
//!
//! A change that comes from another device is never given to Automerge before [`change::check`]
//! has read it operation by operation, and only on a scratch copy with unwinding caught. Every
//! kind is flat: scalars at the root, from the list of its kind; only a shared document has one
//! Text object besides (C2).

pub mod change;
pub mod clock;
pub mod kinds;
pub mod profile;
pub mod rebuild;
mod scan;
pub mod sealing;
pub mod view;
