//! Identifiers. Every one is 32 bytes and a type of its own, so that none can stand for another.
//!
//! Shown to people and accepted from them as lower-case base32 without padding (52 characters);
//! opaque everywhere else.

use core::fmt;
use core::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

/// Characters of an identifier when written out.
pub const WRITTEN_LENGTH: usize = 52;

/// Writes bytes as lower-case RFC 4648 base32 without padding.
#[must_use]
pub fn write_base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Reads lower-case base32; `None` if it is not.
#[must_use]
pub fn read_base32(text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()
}

/// The text is not an identifier of this kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an identifier: it should be {WRITTEN_LENGTH} letters and digits")]
pub struct NotAnId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&write_base32(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let written = write_base32(&self.0);
                let short: String = written.chars().take(8).collect();
                write!(f, concat!(stringify!($name), "({})"), short)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let bytes = read_base32(text).ok_or(NotAnId)?;
                bytes.try_into().map(Self).map_err(|_| NotAnId)
            }
        }
    };
}

id! {
    /// A group: the hash of its genesis header.
    GroupId
}
id! {
    /// A member of a group: the Ed25519 verifying key of the persona's member key.
    MemberId
}
id! {
    /// A device of a member: the Ed25519 verifying key that signs one log.
    DeviceId
}
id! {
    /// An entry of a log: the hash of its header.
    EntryId
}
id! {
    /// A document: hash of (group, owner, random), rule C1.
    DocumentId
}
id! {
    /// An epoch: hash of (label, group, secret), rule K1.
    EpochId
}
id! {
    /// The Ed25519 verifying key of a libp2p identity; a `PeerId` is made from it.
    TransportKey
}
id! {
    /// An invite: the Ed25519 verifying key whose signing half is in the code.
    InviteId
}
id! {
    /// The hash of a payload as it is stored and sent, that is: over the ciphertext.
    PayloadHash
}
id! {
    /// A request to join: the hash of its bytes.
    RequestId
}
id! {
    /// An X25519 public key for key agreement.
    PublicKey
}
id! {
    /// A mailbox at a keeper: the Ed25519 verifying key of its owner, fresh for each (M2).
    MailboxId
}
id! {
    /// A record of a mailbox: the hash of its bytes (M1).
    RecordId
}
id! {
    /// A drop-box of a mailbox: the verifying key of the invite that it is for (M2).
    DropBoxId
}
id! {
    /// The Ed25519 verifying key of those who may use a mailbox, of one generation (M2).
    AccessKey
}
id! {
    /// The Ed25519 verifying key of those who may begin the next generation of a mailbox (M2).
    ControlKey
}

impl GroupId {
    /// What a genesis header carries in place of its own hash (L1).
    pub const GENESIS: Self = Self([0; 32]);
}

impl EntryId {
    /// The `prev` of a log's first entry.
    pub const NONE: Self = Self([0; 32]);
}

/// A grant is named by the entry that confers it.
#[derive(Clone, Copy, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub struct GrantId(EntryId);

impl DeviceId {
    /// This device's turn, in milliseconds: where it stands in a span over which devices spread what
    /// any of them could do. Zero for no span.
    #[must_use]
    pub fn turn(&self, span: u64) -> u64 {
        let [a, b, c, d, ..] = self.0;
        u64::from(u32::from_be_bytes([a, b, c, d])).checked_rem(span).unwrap_or(0)
    }
}

impl GrantId {
    /// Acts that need no grant carry this (L3).
    pub const NONE: Self = Self(EntryId::NONE);

    /// The grant that this entry confers.
    #[must_use]
    pub const fn of(entry: EntryId) -> Self {
        Self(entry)
    }

    /// The entry that confers the grant.
    #[must_use]
    pub const fn entry(self) -> EntryId {
        self.0
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grant{:?}", self.0)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let id = EntryId::from_bytes([7; 32]);
        assert_eq!(id.to_string().len(), WRITTEN_LENGTH);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("".parse::<EntryId>(), Err(NotAnId));
        assert_eq!(id.to_string().to_uppercase().parse::<EntryId>(), Err(NotAnId));
    }
}
