//! Ed25519 signatures with one rule everywhere: strict, single, never batched (L5).

use core::fmt;

use ed25519_dalek::Signer as _;
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 64-byte Ed25519 signature, not yet checked.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature")
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (r, s) = self.0.split_at(32);
        let r: [u8; 32] = r.try_into().unwrap_or_default();
        let s: [u8; 32] = s.try_into().unwrap_or_default();
        (r, s).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (r, s) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        let (first, second) = bytes.split_at_mut(32);
        first.copy_from_slice(&r);
        second.copy_from_slice(&s);
        Ok(Self(bytes))
    }
}

/// The signature does not hold under the strict rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct BadSignature;

/// The secret half of a signing key. Wiped from memory when dropped; has no `Debug`.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new random key.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// The key of this 32-byte RFC 8032 secret.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The 32-byte RFC 8032 secret, for the encrypted store only.
    #[must_use]
    pub fn to_seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// The verifying half.
    #[must_use]
    pub fn verifying_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs `message` under a label of [`super::domain`].
    #[must_use]
    pub fn sign(&self, label: &'static str, message: &[u8]) -> Signature {
        Signature(self.0.sign(&tagged(label, message)).to_bytes())
    }
}

/// Checks a signature over `message` under a label.
///
/// # Errors
/// When the key is no point, is of small order, or the signature is not the strict one.
pub fn verify(
    key: &[u8; 32],
    label: &'static str,
    message: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    key.verify_strict(&tagged(label, message), &signature).map_err(|_| BadSignature)
}

/// What is signed: length of the label, the label, the message.
fn tagged(label: &'static str, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(label.len().saturating_add(message.len()).saturating_add(1));
    bytes.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(label.as_bytes());
    bytes.extend_from_slice(message);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::domain;

    #[test]
    fn l5_a_signature_holds_for_its_label_message_and_key_only() {
        let key = SigningKey::from_seed(&[1; 32]);
        let other = SigningKey::from_seed(&[2; 32]);
        let signature = key.sign(domain::SIGN_ENTRY, b"m");
        let check = |key: &SigningKey, label, message: &[u8]| {
            verify(&key.verifying_key(), label, message, &signature)
        };
        assert_eq!(check(&key, domain::SIGN_ENTRY, b"m"), Ok(()));
        assert_eq!(check(&key, domain::SIGN_CARD, b"m"), Err(BadSignature));
        assert_eq!(check(&key, domain::SIGN_ENTRY, b"n"), Err(BadSignature));
        assert_eq!(check(&other, domain::SIGN_ENTRY, b"m"), Err(BadSignature));
    }

    #[test]
    fn l5_a_key_of_small_order_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut zero_s = [0; 64];
        zero_s[0] = 1;
        let signature = Signature::from_bytes(zero_s);
        assert_eq!(verify(&identity, domain::SIGN_ENTRY, b"m", &signature), Err(BadSignature));
    }
}
