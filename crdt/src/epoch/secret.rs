//! The secret of an epoch and the entry that mints it (K1, K6, K9).

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codec::{self, Bytes, List};
use crate::crypto::aead::{Nonce, SymmetricKey};
use crate::crypto::agreement::SecretKey;
use crate::crypto::domain;
use crate::id::{DeviceId, EpochId, GroupId, MemberId, PublicKey};
use crate::limits::{DEVICES, EPOCH_DEVICES, HISTORY_EPOCHS, SEALED_BOX_BYTES};

use super::wrap::{Binding, tag};
pub use super::wrap::{WRAP_BYTES, Wrap};

/// For whom an epoch is minted (K9).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub enum Audience {
    /// All who may read.
    Readers,
    /// Moderators and above.
    Moderators,
    /// Moderators and above, and one member.
    ModeratorsAnd(MemberId),
    /// All who may read, for what outsiders keep for them (M2): no content is sealed under such an
    /// epoch. It stays in use when someone joins, who is welcomed to it, and no longer when someone
    /// goes.
    Mailbox,
}

/// The secret of an epoch: 32 random bytes, known to its recipients and to those they welcome.
/// Wiped when dropped; has no `Debug`.
#[derive(Clone, Eq, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct EpochSecret([u8; 32]);

impl EpochSecret {
    /// A new random secret.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut secret = Self([0; 32]);
        rng.fill_bytes(&mut secret.0);
        secret
    }

    /// The secret of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes: for wrapping, and for the encrypted store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id of the epoch that has this secret in this group: hash of (label, group, secret). It
    /// commits to the secret, so whoever opens a wrap can tell junk from the real thing (K1).
    #[must_use]
    pub fn epoch(&self, group: GroupId) -> EpochId {
        EpochId::from_bytes(domain::hash(domain::EPOCH, &[group.as_bytes(), &self.0]))
    }

    /// The key under which the envelopes of content are sealed (K5).
    #[must_use]
    pub fn envelope_key(&self) -> SymmetricKey {
        SymmetricKey::from_bytes(self.0).derive(domain::ENVELOPE, &[])
    }

    /// The key under which this epoch carries the secrets before it (K6).
    fn history_key(&self) -> SymmetricKey {
        SymmetricKey::from_bytes(self.0).derive(domain::HISTORY, &[])
    }
}

impl Serialize for EpochSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EpochSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(Self)
    }
}

/// Mints an epoch. Payload of the kind `epoch`, and part of revocations (K4).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Mint {
    /// Hash of (label, group, secret).
    pub epoch: EpochId,
    /// For whom.
    pub audience: Audience,
    /// One ephemeral key for all wraps.
    pub ephemeral: PublicKey,
    /// One wrap for each recipient device, by rising recipient tag.
    pub wraps: List<Wrap, DEVICES>,
    /// In a group with history `all`: secrets before this one, 32 bytes each, one after the other,
    /// sealed under this one. Else empty.
    pub history: Bytes<SEALED_BOX_BYTES>,
}

/// The epoch cannot be opened with what this device has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotOpen {
    /// It was not minted for this device: whoever counts it may owe it a welcome (K3).
    #[error("K1: the epoch was minted without this device")]
    NotARecipient,
    /// There is a wrap for this device, but none of its prekeys opens it to the epoch's secret:
    /// the device asks for another (K8).
    #[error("K1: what is wrapped for this device is not the secret of the epoch")]
    Junk,
    /// The secrets that it should carry of the epochs before it do not open.
    #[error("K6: the secrets before this epoch do not open")]
    History,
}

/// The epoch cannot be minted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an epoch can be minted for at most {EPOCH_DEVICES} devices, not for {devices}")]
pub struct TooManyDevices {
    /// How many it would have been.
    pub devices: usize,
}

impl Mint {
    /// Mints an epoch for the devices in `recipients`, given with the prekey of each.
    ///
    /// A prekey of small order gets a wrap that nobody can open: its device harms itself only, and
    /// cannot keep others from minting. `history` is for groups with history `all` (K6): the
    /// secrets that the newcomers among the recipients should have too, newest first; the first
    /// [`HISTORY_EPOCHS`] are carried, the rest is reached through those.
    ///
    /// # Errors
    /// When there are more than [`EPOCH_DEVICES`] recipients.
    pub fn fresh<R: CryptoRng>(
        rng: &mut R,
        group: GroupId,
        minter: DeviceId,
        audience: Audience,
        recipients: &BTreeMap<DeviceId, PublicKey>,
        history: &[(EpochId, &EpochSecret)],
    ) -> Result<(EpochSecret, Self), TooManyDevices> {
        let too_many = TooManyDevices { devices: recipients.len() };
        if recipients.len() > EPOCH_DEVICES {
            return Err(too_many);
        }
        let secret = EpochSecret::generate(rng);
        let ephemeral_secret = SecretKey::generate(rng);
        let ephemeral = ephemeral_secret.public_key();
        let epoch = secret.epoch(group);
        let mut wraps = Vec::with_capacity(recipients.len());
        for (&recipient, &prekey) in recipients {
            let binding = Binding { group, epoch, minter, recipient, prekey, ephemeral };
            let sealed = binding.wrap(&ephemeral_secret, secret.as_bytes()).unwrap_or_else(|_| {
                let mut noise = vec![0; WRAP_BYTES];
                rng.fill_bytes(&mut noise);
                noise
            });
            let sealed = Bytes::new(sealed).map_err(|_| too_many)?;
            wraps.push(Wrap { recipient: tag(epoch, recipient), sealed });
        }
        wraps.sort_by_key(|wrap| wrap.recipient);
        let history = seal_history(&secret, &associated(group, epoch, minter), history);
        let mint = Self {
            epoch,
            audience,
            ephemeral,
            wraps: List::new(wraps).map_err(|_| too_many)?,
            history: Bytes::new(history).map_err(|_| too_many)?,
        };
        Ok((secret, mint))
    }

    /// Opens the wrap for `recipient` with one of its prekeys. `minter` is the device whose entry
    /// carries the mint.
    ///
    /// # Errors
    /// When there is no wrap for the device, or none that opens to the secret of this epoch.
    pub fn open(
        &self,
        group: GroupId,
        minter: DeviceId,
        recipient: DeviceId,
        prekeys: &[SecretKey],
    ) -> Result<EpochSecret, CannotOpen> {
        let mut wraps = self.wraps_of(recipient).peekable();
        if wraps.peek().is_none() {
            return Err(CannotOpen::NotARecipient);
        }
        let (epoch, ephemeral) = (self.epoch, self.ephemeral);
        for wrap in wraps.take(WRAPS_TRIED) {
            for secret in prekeys {
                let prekey = secret.public_key();
                let binding = Binding { group, epoch, minter, recipient, prekey, ephemeral };
                if let Ok(opened) = binding.unwrap(secret, wrap.sealed.as_slice()) {
                    let opened = EpochSecret::from_bytes(*opened);
                    if opened.epoch(group) == epoch {
                        return Ok(opened);
                    }
                }
            }
        }
        Err(CannotOpen::Junk)
    }

    /// Whether the epoch was minted for this device.
    #[must_use]
    pub fn names(&self, device: DeviceId) -> bool {
        self.wraps_of(device).next().is_some()
    }

    /// Whether the epoch was minted for exactly these devices and no other (K2).
    #[must_use]
    pub fn is_for_exactly(&self, devices: &BTreeSet<DeviceId>) -> bool {
        if self.wraps.len() != devices.len() {
            return false;
        }
        let mut tags: Vec<_> = devices.iter().map(|device| tag(self.epoch, *device)).collect();
        tags.sort_unstable();
        self.wraps.iter().map(|wrap| wrap.recipient).eq(tags)
    }

    /// Whether the epoch was minted for none but these devices (M2).
    #[must_use]
    pub fn is_within(&self, devices: &BTreeSet<DeviceId>) -> bool {
        let tags: BTreeSet<_> = devices.iter().map(|device| tag(self.epoch, *device)).collect();
        self.wraps.iter().all(|wrap| tags.contains(&wrap.recipient))
    }

    /// Whether a writer may use the epoch when these devices are its audience (K2): it was minted
    /// for just them. That of a mailbox may lack some, who are welcomed to it (M2).
    #[must_use]
    pub fn suits(&self, devices: &BTreeSet<DeviceId>) -> bool {
        match self.audience {
            Audience::Mailbox => self.is_within(devices),
            _ => self.is_for_exactly(devices),
        }
    }

    /// The devices of `devices` that the epoch was not minted for: who counts them and can open
    /// the epoch owes them a welcome (K3, history `all`).
    pub fn missing<'a>(
        &'a self,
        devices: &'a BTreeSet<DeviceId>,
    ) -> impl Iterator<Item = DeviceId> + 'a {
        let tags: BTreeSet<_> = self.wraps.iter().map(|wrap| wrap.recipient).collect();
        devices.iter().copied().filter(move |device| !tags.contains(&tag(self.epoch, *device)))
    }

    /// The secrets that this epoch carries of those before it (K6). Their ids are computed from
    /// the secrets, so a minter can add junk but cannot pass it off as an epoch of others.
    ///
    /// # Errors
    /// When `secret` is not of this epoch or the history was sealed wrongly.
    pub fn previous(
        &self,
        group: GroupId,
        minter: DeviceId,
        secret: &EpochSecret,
    ) -> Result<Vec<(EpochId, EpochSecret)>, CannotOpen> {
        if self.history.as_slice().is_empty() {
            return Ok(Vec::new());
        }
        let opened = secret
            .history_key()
            .open(&Nonce::zero(), &associated(group, self.epoch, minter), self.history.as_slice())
            .map_err(|_| CannotOpen::History)?;
        let (secrets, []) = opened.as_chunks::<32>() else { return Err(CannotOpen::History) };
        if secrets.is_empty() || secrets.len() > HISTORY_EPOCHS {
            return Err(CannotOpen::History);
        }
        let secrets = secrets.iter().map(|bytes| EpochSecret::from_bytes(*bytes));
        Ok(secrets.map(|secret| (secret.epoch(group), secret)).collect())
    }

    fn wraps_of(&self, device: DeviceId) -> impl Iterator<Item = &Wrap> {
        let tag = tag(self.epoch, device);
        self.wraps.iter().filter(move |wrap| wrap.recipient == tag)
    }
}

/// An honest epoch has one wrap for a device; this many with its tag are tried.
const WRAPS_TRIED: usize = 4;

/// What the history of an epoch is bound to.
fn associated(group: GroupId, epoch: EpochId, minter: DeviceId) -> Vec<u8> {
    codec::encode(&(group, epoch, minter))
}

/// Seals the first [`HISTORY_EPOCHS`] secrets; nothing if there are none. The key is derived from
/// a fresh secret and seals this once, so the nonce is zero.
fn seal_history(
    secret: &EpochSecret,
    associated: &[u8],
    history: &[(EpochId, &EpochSecret)],
) -> Vec<u8> {
    if history.is_empty() {
        return Vec::new();
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(HISTORY_EPOCHS.saturating_mul(32)));
    for (_, before) in history.iter().take(HISTORY_EPOCHS) {
        plain.extend_from_slice(before.as_bytes());
    }
    secret.history_key().seal(&Nonce::zero(), associated, &plain)
}
