//! X25519 key agreement and HPKE boxes (RFC 7748, RFC 9180).

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, OpModeR, OpModeS, Serializable as _};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::id::PublicKey;

/// Bytes that an HPKE box adds to what it holds: encapsulated key and tag.
pub const BOX_OVERHEAD: usize = 32 + 16;

/// A box or a shared secret could not be made or opened. Says no more on purpose.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the box does not open with this key")]
pub struct NotForThisKey;

/// The secret half of a key for agreement. Wiped when dropped; has no `Debug`.
#[derive(Clone)]
pub struct SecretKey(x25519_dalek::StaticSecret);

impl SecretKey {
    /// A new random key.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self::from_bytes(&bytes)
    }

    /// The key of these 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(x25519_dalek::StaticSecret::from(*bytes))
    }

    /// The bytes, for the encrypted store only.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_bytes(x25519_dalek::PublicKey::from(&self.0).to_bytes())
    }

    /// The shared secret with `other`.
    ///
    /// # Errors
    /// When it would be all zero: `other` is of small order (K1).
    pub fn agree(&self, other: &PublicKey) -> Result<Zeroizing<[u8; 32]>, NotForThisKey> {
        let shared = self.0.diffie_hellman(&x25519_dalek::PublicKey::from(*other.as_bytes()));
        if shared.was_contributory() {
            Ok(Zeroizing::new(*shared.as_bytes()))
        } else {
            Err(NotForThisKey)
        }
    }

    /// Opens a box of [`seal`] with the same label and associated data.
    ///
    /// # Errors
    /// When it was sealed for another key, label or data, or was changed.
    pub fn open(
        &self,
        label: &'static str,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotForThisKey> {
        let (encapped, ciphertext) = sealed.split_at_checked(32).ok_or(NotForThisKey)?;
        let secret = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(&*self.to_bytes())
            .map_err(|_| NotForThisKey)?;
        let encapped = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(encapped)
            .map_err(|_| NotForThisKey)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &encapped,
            label.as_bytes(),
            ciphertext,
            associated,
        )
        .map(Zeroizing::new)
        .map_err(|_| NotForThisKey)
    }
}

/// Seals `plaintext` so that only the holder of `recipient`'s secret half can open it:
/// encapsulated key (32 bytes), then the ciphertext.
///
/// # Errors
/// When `recipient` is of small order.
pub fn seal<R: CryptoRng>(
    rng: &mut R,
    recipient: &PublicKey,
    label: &'static str,
    associated: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, NotForThisKey> {
    let recipient = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(recipient.as_bytes())
        .map_err(|_| NotForThisKey)?;
    let (encapped, ciphertext) =
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &recipient,
            label.as_bytes(),
            plaintext,
            associated,
            rng,
        )
        .map_err(|_| NotForThisKey)?;
    let mut sealed = encapped.to_bytes().to_vec();
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}
