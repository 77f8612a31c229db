//! Entries: the one kind of thing that a group is made of (L1).

use serde::{Deserialize, Serialize};

use crate::capability::grant::{Genesis, Grant, RootAct};
use crate::capability::invite::Invite;
use crate::capability::keeper::{Dismiss, Keeper};
use crate::capability::revocation::{
    ConfirmErase, Erase, Hide, Leave, Pin, Remove, Replace, Restore, Revoke,
};
use crate::codec::{self, Malformed};
use crate::crypto::aead::Nonce;
use crate::crypto::domain;
use crate::epoch::secret::Mint;
use crate::epoch::welcome::Welcome;
use crate::id::{DeviceId, EntryId, EpochId, GrantId, GroupId, PayloadHash};
use crate::identity::device::{Card, Rotate, Unlink};
use crate::limits;

/// The wire version and cipher suite of this build: Ed25519, X25519, XChaCha20-Poly1305,
/// HKDF-SHA256, BLAKE3.
pub const VERSION: u8 = 1;
/// See [`VERSION`].
pub const SUITE: u8 = 1;

/// What an entry is. Below 128: control, never dropped. From 128: content (L7).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub struct Kind(pub u8);

impl Kind {
    /// [`Genesis`].
    pub const GENESIS: Self = Self(1);
    /// [`Card`].
    pub const CARD: Self = Self(2);
    /// [`Rotate`].
    pub const ROTATE: Self = Self(3);
    /// [`Grant`].
    pub const GRANT: Self = Self(4);
    /// [`Revoke`].
    pub const REVOKE: Self = Self(5);
    /// [`Remove`].
    pub const REMOVE: Self = Self(6);
    /// [`Replace`].
    pub const REPLACE: Self = Self(7);
    /// [`Pin`].
    pub const PIN: Self = Self(8);
    /// [`Leave`].
    pub const LEAVE: Self = Self(9);
    /// [`Unlink`].
    pub const UNLINK: Self = Self(10);
    /// [`RootAct`].
    pub const ROOT: Self = Self(11);
    /// [`Hide`].
    pub const HIDE: Self = Self(12);
    /// [`Restore`].
    pub const RESTORE: Self = Self(13);
    /// [`Erase`].
    pub const ERASE: Self = Self(14);
    /// [`ConfirmErase`].
    pub const CONFIRM_ERASE: Self = Self(15);
    /// [`Mint`].
    pub const EPOCH: Self = Self(16);
    /// [`Welcome`].
    pub const WELCOME: Self = Self(17);
    /// [`Invite`].
    pub const INVITE: Self = Self(18);
    /// [`Keeper`].
    pub const KEEPER: Self = Self(19);
    /// [`Dismiss`].
    pub const DISMISS: Self = Self(20);
    /// A change of a document, sealed.
    pub const CONTENT: Self = Self(128);

    /// Whether the payload is control: kept by all, for ever, and never sealed.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 < 128
    }
}

/// Whether a payload is sealed, and under what.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Sealing {
    /// Control.
    Clear,
    /// Content: the epoch under which its envelope is sealed, and the nonce of all its seals.
    Sealed {
        /// The epoch.
        epoch: EpochId,
        /// Random, used for this entry only.
        nonce: Nonce,
    },
}

/// How much control the author held: a hint for finding what was withheld, never a rule.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub struct Seen {
    /// Control entries.
    pub count: u32,
    /// Sum (exclusive or) of the tagged hashes of their ids: order does not matter, and one more
    /// costs one hash. Forgeable by who may choose many ids, which a hint can bear.
    pub digest: [u8; 16],
}

impl Seen {
    /// This and one more control entry.
    #[must_use]
    pub fn with(self, entry: EntryId) -> Self {
        let hash = domain::hash(domain::SEEN, &[entry.as_bytes()]);
        let mut digest = self.digest;
        for (byte, other) in digest.iter_mut().zip(hash) {
            *byte ^= other;
        }
        Self { count: self.count.saturating_add(1), digest }
    }
}

/// What is hashed, and so what is signed. Field by field in `docs/protocol.md`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u8,
    /// [`SUITE`].
    pub suite: u8,
    /// The group; [`GroupId::GENESIS`] in the genesis itself.
    pub group: GroupId,
    /// Whose log.
    pub device: DeviceId,
    /// Position in the log, from 0.
    pub seq: u64,
    /// The entry before this one in the log; [`EntryId::NONE`] at 0.
    pub prev: EntryId,
    /// The grant that it is exercised under (L3).
    pub grant: GrantId,
    /// What it is.
    pub kind: Kind,
    /// Hash of the payload as stored.
    pub payload: PayloadHash,
    /// Bytes of the payload as stored. Content is padded, so this is a size class.
    pub size: u32,
    /// Under what the payload is sealed.
    pub sealing: Sealing,
    /// What the author held.
    pub seen: Seen,
}

/// Bytes that an encoded header may have.
pub const HEADER_BYTES: usize = 384;

impl Header {
    /// The entry's id: the hash of the encoded header.
    #[must_use]
    pub fn id(&self) -> EntryId {
        EntryId::from_bytes(domain::hash(domain::ENTRY, &[&codec::encode(self)]))
    }

    /// The group that the entry belongs to: for a genesis its own hash.
    #[must_use]
    pub fn group(&self) -> GroupId {
        if self.group == GroupId::GENESIS {
            GroupId::from_bytes(*self.id().as_bytes())
        } else {
            self.group
        }
    }

    /// What the seals of the payload are bound to: this header with payload hash and size zeroed
    /// (K5).
    #[must_use]
    pub fn associated(&self) -> Vec<u8> {
        codec::encode(&Self { payload: PayloadHash::from_bytes([0; 32]), size: 0, ..self.clone() })
    }

    /// Reads a stored header.
    ///
    /// # Errors
    /// When the bytes are no canonical header.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, HEADER_BYTES)
    }
}

/// Hash of a payload as it is stored.
#[must_use]
pub fn payload_hash(payload: &[u8]) -> PayloadHash {
    PayloadHash::from_bytes(domain::hash(domain::PAYLOAD, &[payload]))
}

/// The payload of a control entry, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Control {
    /// Founds the group.
    Genesis(Genesis),
    /// Opens a device's log.
    Card(Card),
    /// Replaces a key of a device.
    Rotate(Rotate),
    /// Confers a capability.
    Grant(Grant),
    /// Ends a grant.
    Revoke(Revoke),
    /// Ends a member's grants.
    Remove(Remove),
    /// Ends a grant and confers another.
    Replace(Replace),
    /// Selects a branch.
    Pin(Pin),
    /// Ends one's own grants.
    Leave(Leave),
    /// Voids one's own device.
    Unlink(Unlink),
    /// An act of the council.
    Root(RootAct),
    /// Folds a document away.
    Hide(Hide),
    /// Lifts hides.
    Restore(Restore),
    /// Erases a document.
    Erase(Erase),
    /// Makes an erasure final.
    ConfirmErase(ConfirmErase),
    /// Mints an epoch.
    Epoch(Mint),
    /// Hands keys to one device.
    Welcome(Welcome),
    /// Invites.
    Invite(Invite),
    /// A keeper is used.
    Keeper(Keeper),
    /// Keepers are used no more.
    Dismiss(Dismiss),
    /// A kind that this build does not know: kept, chained, relayed, counts for nothing (L4).
    Unknown,
}

impl Control {
    /// Reads the payload of a control entry of this kind.
    ///
    /// # Errors
    /// When the bytes are not the canonical payload of a known kind.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<Self, Malformed> {
        const LIMIT: usize = limits::PAYLOAD_BYTES;
        Ok(match kind {
            Kind::GENESIS => Self::Genesis(codec::decode(payload, LIMIT)?),
            Kind::CARD => Self::Card(codec::decode(payload, LIMIT)?),
            Kind::ROTATE => Self::Rotate(codec::decode(payload, LIMIT)?),
            Kind::GRANT => Self::Grant(codec::decode(payload, LIMIT)?),
            Kind::REVOKE => Self::Revoke(codec::decode(payload, LIMIT)?),
            Kind::REMOVE => Self::Remove(codec::decode(payload, LIMIT)?),
            Kind::REPLACE => Self::Replace(codec::decode(payload, LIMIT)?),
            Kind::PIN => Self::Pin(codec::decode(payload, LIMIT)?),
            Kind::LEAVE => Self::Leave(codec::decode(payload, LIMIT)?),
            Kind::UNLINK => Self::Unlink(codec::decode(payload, LIMIT)?),
            Kind::ROOT => Self::Root(codec::decode(payload, LIMIT)?),
            Kind::HIDE => Self::Hide(codec::decode(payload, LIMIT)?),
            Kind::RESTORE => Self::Restore(codec::decode(payload, LIMIT)?),
            Kind::ERASE => Self::Erase(codec::decode(payload, LIMIT)?),
            Kind::CONFIRM_ERASE => Self::ConfirmErase(codec::decode(payload, LIMIT)?),
            Kind::EPOCH => Self::Epoch(codec::decode(payload, LIMIT)?),
            Kind::WELCOME => Self::Welcome(codec::decode(payload, LIMIT)?),
            Kind::INVITE => Self::Invite(codec::decode(payload, LIMIT)?),
            Kind::KEEPER => Self::Keeper(codec::decode(payload, LIMIT)?),
            Kind::DISMISS => Self::Dismiss(codec::decode(payload, LIMIT)?),
            _ => Self::Unknown,
        })
    }

    /// The kind that an entry with this payload has; `None` for [`Control::Unknown`].
    #[must_use]
    pub const fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Genesis(_) => Kind::GENESIS,
            Self::Card(_) => Kind::CARD,
            Self::Rotate(_) => Kind::ROTATE,
            Self::Grant(_) => Kind::GRANT,
            Self::Revoke(_) => Kind::REVOKE,
            Self::Remove(_) => Kind::REMOVE,
            Self::Replace(_) => Kind::REPLACE,
            Self::Pin(_) => Kind::PIN,
            Self::Leave(_) => Kind::LEAVE,
            Self::Unlink(_) => Kind::UNLINK,
            Self::Root(_) => Kind::ROOT,
            Self::Hide(_) => Kind::HIDE,
            Self::Restore(_) => Kind::RESTORE,
            Self::Erase(_) => Kind::ERASE,
            Self::ConfirmErase(_) => Kind::CONFIRM_ERASE,
            Self::Epoch(_) => Kind::EPOCH,
            Self::Welcome(_) => Kind::WELCOME,
            Self::Invite(_) => Kind::INVITE,
            Self::Keeper(_) => Kind::KEEPER,
            Self::Dismiss(_) => Kind::DISMISS,
            Self::Unknown => return None,
        })
    }

    /// The payload's bytes; empty for [`Control::Unknown`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Genesis(payload) => codec::encode(payload),
            Self::Card(payload) => codec::encode(payload),
            Self::Rotate(payload) => codec::encode(payload),
            Self::Grant(payload) => codec::encode(payload),
            Self::Revoke(payload) => codec::encode(payload),
            Self::Remove(payload) => codec::encode(payload),
            Self::Replace(payload) => codec::encode(payload),
            Self::Pin(payload) => codec::encode(payload),
            Self::Leave(payload) => codec::encode(payload),
            Self::Unlink(payload) => codec::encode(payload),
            Self::Root(payload) => codec::encode(payload),
            Self::Hide(payload) => codec::encode(payload),
            Self::Restore(payload) => codec::encode(payload),
            Self::Erase(payload) => codec::encode(payload),
            Self::ConfirmErase(payload) => codec::encode(payload),
            Self::Epoch(payload) => codec::encode(payload),
            Self::Welcome(payload) => codec::encode(payload),
            Self::Invite(payload) => codec::encode(payload),
            Self::Keeper(payload) => codec::encode(payload),
            Self::Dismiss(payload) => codec::encode(payload),
            Self::Unknown => Vec::new(),
        }
    }
}
