//! A device's append-only hash chain, and the set of all of them.
//!
//! ```text
//! run bytes ──decode──► Run ──verify──► Verified<Entry> ──LogSet──► rooted entries
//! ```

pub mod entry;
pub mod frontier;
pub mod parked;
pub mod run;
pub mod set;
mod tree;
