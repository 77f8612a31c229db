//! A welcome (K3): what a device needs in order to read what it may but holds no key for.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec::{self, Bytes, List};
use crate::crypto::agreement::{self, SecretKey};
use crate::crypto::domain;
use crate::document::sealing::Envelope;
use crate::epoch::secret::EpochSecret;
use crate::id::{DeviceId, EntryId, GroupId, PublicKey};
use crate::limits::{SEALED_BOX_BYTES, WELCOME_KEYS};

/// Keys for one device. Payload of the kind `welcome`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// For whom.
    pub recipient: DeviceId,
    /// HPKE box to the recipient's prekey, bound to (group, recipient): the keys.
    pub sealed: Bytes<SEALED_BOX_BYTES>,
}

/// What a welcome holds, sealed to its recipient. Has no `Debug`.
///
/// The ids of epochs are not sent: they are computed from the secrets. An envelope is a claim of
/// the welcomer's that its holder can check: its key opens the body of the entry or does not, the
/// document's id is the hash of the parts, and the change inside names document and device in its
/// actor (C3).
#[derive(Clone, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Keys {
    /// Whole epochs: history `all`, or a new device of a member.
    pub epochs: List<EpochSecret, WELCOME_KEYS>,
    /// Single entries: what their envelopes say.
    pub envelopes: List<(EntryId, Envelope), WELCOME_KEYS>,
}

/// The welcome could not be made or opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotWelcome {
    /// The recipient's prekey is of small order: no box can be sealed to it.
    #[error("K1: the device's prekey cannot be sealed to")]
    BadPrekey,
    /// More keys than one welcome holds: split them with [`Keys::pack`].
    #[error("K3: more keys than one welcome can hold")]
    TooMany,
    /// It is for another device, or none of the prekeys opens it.
    #[error("K3: the welcome does not open with this device's keys")]
    DoesNotOpen,
    /// It opens, but what it holds is no list of keys.
    #[error("K3: the welcome holds no keys")]
    Malformed,
}

/// Bytes of keys that fit in the box, its overhead and the lengths of two lists taken off.
const PACKED_BYTES: usize = SEALED_BOX_BYTES - agreement::BOX_OVERHEAD - 8;

impl Keys {
    /// Distributes keys over as many welcomes as they need; none for no keys.
    #[must_use]
    pub fn pack(epochs: &[EpochSecret], envelopes: &[(EntryId, Envelope)]) -> Vec<Self> {
        let mut packed = Vec::new();
        let (mut some_epochs, mut some_envelopes, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
        let mut epochs = epochs.iter().peekable();
        let mut envelopes = envelopes.iter().peekable();
        while epochs.peek().is_some() || envelopes.peek().is_some() {
            let size = match (epochs.peek(), envelopes.peek()) {
                (Some(_), _) => 32,
                (None, Some(envelope)) => Zeroizing::new(codec::encode(envelope)).len(),
                (None, None) => break,
            };
            let full = bytes.saturating_add(size) > PACKED_BYTES
                || some_epochs.len() >= WELCOME_KEYS
                || some_envelopes.len() >= WELCOME_KEYS;
            if full {
                packed.extend(Self::of(&mut some_epochs, &mut some_envelopes));
                bytes = 0;
            }
            bytes = bytes.saturating_add(size);
            if let Some(secret) = epochs.next() {
                some_epochs.push(secret.clone());
            } else if let Some(envelope) = envelopes.next() {
                some_envelopes.push(envelope.clone());
            }
        }
        packed.extend(Self::of(&mut some_epochs, &mut some_envelopes));
        packed
    }

    fn of(epochs: &mut Vec<EpochSecret>, envelopes: &mut Vec<(EntryId, Envelope)>) -> Option<Self> {
        let epochs = List::new(core::mem::take(epochs)).ok()?;
        let envelopes = List::new(core::mem::take(envelopes)).ok()?;
        let empty = epochs.is_empty() && envelopes.is_empty();
        (!empty).then_some(Self { epochs, envelopes })
    }
}

impl Welcome {
    /// Seals keys to the prekey of a device.
    ///
    /// # Errors
    /// When the prekey is of small order or the keys are too many for one welcome.
    pub fn seal<R: CryptoRng>(
        rng: &mut R,
        group: GroupId,
        recipient: DeviceId,
        prekey: &PublicKey,
        keys: &Keys,
    ) -> Result<Self, NotWelcome> {
        let plain = Zeroizing::new(codec::encode(keys));
        let associated = codec::encode(&(group, recipient));
        let sealed = agreement::seal(rng, prekey, domain::WELCOME, &associated, &plain)
            .map_err(|_| NotWelcome::BadPrekey)?;
        let sealed = Bytes::new(sealed).map_err(|_| NotWelcome::TooMany)?;
        Ok(Self { recipient, sealed })
    }

    /// Opens a welcome with one of the recipient's prekeys.
    ///
    /// # Errors
    /// When it was sealed to another key, group or device, was changed, or holds something else.
    pub fn open(&self, group: GroupId, prekeys: &[SecretKey]) -> Result<Keys, NotWelcome> {
        let associated = codec::encode(&(group, self.recipient));
        let opened = prekeys
            .iter()
            .find_map(|prekey| {
                prekey.open(domain::WELCOME, &associated, self.sealed.as_slice()).ok()
            })
            .ok_or(NotWelcome::DoesNotOpen)?;
        codec::decode(&opened, SEALED_BOX_BYTES).map_err(|_| NotWelcome::Malformed)
    }
}
