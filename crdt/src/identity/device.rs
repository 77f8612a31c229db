//! A device: one random Ed25519 key that signs one log (I2).

use serde::{Deserialize, Serialize};

use crate::crypto::signing::Signature;
use crate::id::{MemberId, PublicKey, TransportKey};

/// Opens a device's log: its member's key vouches for the device, its transport key for the pair.
/// Payload of the control kind `card`; group and device are those of the entry.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The member that the device acts for.
    pub member: MemberId,
    /// Position among the member's devices, chosen by the member.
    pub index: u32,
    /// Key to which epoch secrets and welcomes are wrapped.
    pub prekey: PublicKey,
    /// The libp2p identity of the device in this group.
    pub transport: TransportKey,
    /// By the member key over (group, member, device, index, prekey, transport).
    pub member_signature: Signature,
    /// By the transport key over (group, device).
    pub transport_signature: Signature,
}

/// A device replaces its prekey or its transport key (K8). Payload of the kind `rotate`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Rotate {
    /// A new prekey; the device keeps the last few secrets.
    Prekey(PublicKey),
    /// A new libp2p identity.
    Transport {
        /// The new key.
        key: TransportKey,
        /// By the new key over (group, device).
        signature: Signature,
    },
}

/// The member key voids one of its devices above an entry (A8). Payload of the kind `unlink`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Unlink {
    /// The member, whose key signed.
    pub member: MemberId,
    /// Its device.
    pub device: crate::id::DeviceId,
    /// Sequence number of the last entry that counts.
    pub seq: u64,
    /// That entry.
    pub entry: crate::id::EntryId,
    /// By the member key over (group, device, seq, entry).
    pub signature: Signature,
}
