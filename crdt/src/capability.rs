//! What a member may do, who said so, and how it ends.

pub mod draft;
pub mod grant;
pub mod invite;
pub mod keeper;
pub mod rank;
pub mod revocation;
