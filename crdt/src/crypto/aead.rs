//! XChaCha20-Poly1305 with a random 24-byte nonce (draft-irtf-cfrg-xchacha-03).

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes that sealing adds.
pub const TAG_BYTES: usize = 16;

/// A nonce, random and used once.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Nonce([u8; 24]);

impl Nonce {
    /// A new random nonce.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut bytes = [0; 24];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// For a key that seals exactly one message.
    #[must_use]
    pub const fn zero() -> Self {
        Self([0; 24])
    }
}

/// A 32-byte symmetric key. Wiped when dropped; has no `Debug`.
#[derive(Clone, Eq, PartialEq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct SymmetricKey([u8; 32]);

/// What was sealed was sealed under another key, nonce or data, or was changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the seal does not open")]
pub struct DoesNotOpen;

impl SymmetricKey {
    /// A new random key.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut bytes = Self([0; 32]);
        rng.fill_bytes(&mut bytes.0);
        bytes
    }

    /// The key of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes: for wrapping, and for the encrypted store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HKDF-SHA256 (RFC 5869) of this key: `label` and `context` are the info.
    #[must_use]
    pub fn derive(&self, label: &'static str, context: &[u8]) -> Self {
        derive(&[], &self.0, label, context)
    }

    /// Seals `plaintext`; `associated` is authenticated with it.
    #[must_use]
    pub fn seal(&self, nonce: &Nonce, associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: plaintext, aad: associated };
        // Fails only past 256 GiB; nothing here is larger than its bound in `limits`.
        self.cipher().encrypt(&XNonce::from(nonce.0), payload).unwrap_or_default()
    }

    /// Opens what [`Self::seal`] made.
    ///
    /// # Errors
    /// When key, nonce, associated data or ciphertext differ.
    pub fn open(
        &self,
        nonce: &Nonce,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let payload = Payload { msg: sealed, aad: associated };
        self.cipher()
            .decrypt(&XNonce::from(nonce.0), payload)
            .map(Zeroizing::new)
            .map_err(|_| DoesNotOpen)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(self.0))
    }
}

/// HKDF-SHA256 (RFC 5869): 32 bytes from `secret` under `salt`, info = `label` ‖ 0 ‖ `context`.
#[must_use]
pub fn derive(salt: &[u8], secret: &[u8], label: &'static str, context: &[u8]) -> SymmetricKey {
    let mut key = SymmetricKey([0; 32]);
    // Expanding fails only past 255 hashes; this asks for one.
    let _ = Hkdf::<sha2::Sha256>::new(Some(salt), secret)
        .expand_multi_info(&[label.as_bytes(), &[0], context], &mut key.0);
    key
}
