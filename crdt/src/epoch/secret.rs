//! The secret of an epoch and the entry that mints it (K1).

use serde::{Deserialize, Serialize};

use crate::codec::{Bytes, List};
use crate::id::{EpochId, MemberId, PublicKey};
use crate::limits::{DEVICES, SEALED_BOX_BYTES};

/// Bytes of a wrapped secret: 32 and a tag.
pub const WRAP_BYTES: usize = 48;

/// For whom an epoch is minted (K9).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub enum Audience {
    /// All who may read.
    Readers,
    /// Moderators and above.
    Moderators,
    /// Moderators and above, and one member.
    ModeratorsAnd(MemberId),
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
    /// In a group with history `all`: the secrets before this one, sealed under it. Else empty.
    pub history: Bytes<SEALED_BOX_BYTES>,
}

/// An epoch's secret for one device.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Wrap {
    /// Short name of the recipient in this epoch: first 8 bytes of hash(label, epoch, device).
    pub recipient: [u8; 8],
    /// The secret under the key that minter and recipient agree on: 48 bytes.
    pub sealed: Bytes<WRAP_BYTES>,
}
