//! Cryptography: thin, typed doors to well-known libraries. No algorithm is implemented here.
//!
//! ```text
//! bytes ──► Signed<T> ──verify──► Verified<T> ──authority──► Authorized<T>
//! ```

pub mod aead;
pub mod agreement;
pub mod domain;
pub mod padding;
pub mod signing;
