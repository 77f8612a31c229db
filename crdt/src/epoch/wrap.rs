//! One epoch secret for one device (K1): X25519 with the epoch's ephemeral key, HKDF-SHA256, and
//! an XChaCha20-Poly1305 seal of 48 bytes.
//!
//! The key that seals a wrap is used for that wrap only: the ephemeral key is fresh for each epoch
//! and the recipient is part of the derivation, so the nonce can be zero.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec::Bytes;
use crate::crypto::aead::{Nonce, SymmetricKey, derive};
use crate::crypto::agreement::{NotForThisKey, SecretKey};
use crate::crypto::domain;
use crate::id::{DeviceId, EpochId, GroupId, PublicKey};
use crate::log::entry::SUITE;

/// Bytes of a wrapped secret: 32 and a tag.
pub const WRAP_BYTES: usize = 48;

/// Short name of a recipient in one epoch: the first 8 bytes of hash(label, epoch, device). The
/// epoch's id is random, so nobody can choose a device whose tag collides with another's.
pub type RecipientTag = [u8; 8];

/// An epoch's secret for one device.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Wrap {
    /// Short name of the recipient in this epoch.
    pub recipient: RecipientTag,
    /// The secret under the key that minter and recipient agree on: 48 bytes.
    pub sealed: Bytes<WRAP_BYTES>,
}

/// The short name of a device in an epoch.
#[must_use]
pub fn tag(epoch: EpochId, device: DeviceId) -> RecipientTag {
    let [a, b, c, d, e, f, g, h, ..] =
        domain::hash(domain::RECIPIENT, &[epoch.as_bytes(), device.as_bytes()]);
    [a, b, c, d, e, f, g, h]
}

/// Everything that a wrap is bound to. Written into the HKDF info in this order, each field of
/// fixed size: suite (1 byte), group, epoch, minter, recipient, prekey, ephemeral (32 bytes each).
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The group.
    pub group: GroupId,
    /// The epoch.
    pub epoch: EpochId,
    /// The device that mints.
    pub minter: DeviceId,
    /// The device that the wrap is for.
    pub recipient: DeviceId,
    /// The recipient's prekey.
    pub prekey: PublicKey,
    /// The epoch's ephemeral key.
    pub ephemeral: PublicKey,
}

impl Binding {
    fn info(&self) -> Vec<u8> {
        let mut info = Vec::with_capacity(193);
        info.push(SUITE);
        for part in [
            self.group.as_bytes(),
            self.epoch.as_bytes(),
            self.minter.as_bytes(),
            self.recipient.as_bytes(),
            self.prekey.as_bytes(),
            self.ephemeral.as_bytes(),
        ] {
            info.extend_from_slice(part);
        }
        info
    }

    /// The key of the wrap. `secret` and `public` are the ephemeral secret and the prekey on the
    /// minter's side, the prekey's secret and the ephemeral key on the recipient's.
    fn key(&self, secret: &SecretKey, public: &PublicKey) -> Result<SymmetricKey, NotForThisKey> {
        let shared = secret.agree(public)?;
        Ok(derive(&[], &*shared, domain::WRAP, &self.info()))
    }

    /// Wraps `secret` for the recipient; `ephemeral` is the secret half of the epoch's key.
    ///
    /// # Errors
    /// When the prekey is of small order (K1: an all-zero shared secret is refused).
    pub fn wrap(&self, ephemeral: &SecretKey, secret: &[u8; 32]) -> Result<Vec<u8>, NotForThisKey> {
        Ok(self.key(ephemeral, &self.prekey)?.seal(&Nonce::zero(), &[], secret))
    }

    /// Opens a wrap with the secret half of the recipient's prekey.
    ///
    /// # Errors
    /// When the ephemeral key is of small order, the wrap is for another binding or was changed.
    pub fn unwrap(
        &self,
        prekey: &SecretKey,
        sealed: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, NotForThisKey> {
        let opened = self
            .key(prekey, &self.ephemeral)?
            .open(&Nonce::zero(), &[], sealed)
            .map_err(|_| NotForThisKey)?;
        let mut secret = Zeroizing::new([0; 32]);
        if opened.len() != secret.len() {
            return Err(NotForThisKey);
        }
        secret.copy_from_slice(&opened);
        Ok(secret)
    }
}
