//! What comes over the wire and into the set (L1–L8, S5): every way in which a run can be wrong has
//! a name, and what is kept depends on the set alone.
#![expect(clippy::arithmetic_side_effects, reason = "test code")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod author;
mod logs;
mod runs;
mod set;
