//! Epochs: group secrets, whom they were wrapped to, and what is sealed under them.
//!
//! ```text
//! Mint (control entry) ──open with a prekey──► EpochSecret ──► Keyring
//! Welcome (control entry) ──open with a prekey──► Keys ──────► Keyring
//! ```
//!
//! Nothing here decides who may read: the caller takes the recipients from the computed authority.
//! What must stay true: nobody outside the recipients opens what is sealed under an epoch, and a
//! device that is removed before an epoch is minted learns nothing from it.

pub mod keyring;
pub mod secret;
pub mod welcome;
pub mod wrap;
