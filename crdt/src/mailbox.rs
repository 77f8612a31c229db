//! Mailboxes: what a keeper holds for people whom it cannot tell apart (M1–M3).
//!
//! A keeper is an always-on node. It holds *records*, opaque bytes named by their hash, in
//! *mailboxes*, and parses nothing of them. Here is what it and its clients have to agree on:
//! names, proofs of access ([`access`]) and messages ([`message`]). What a record holds is for those
//! who put it there.

pub mod access;
pub mod deposit;
pub mod keys;
pub mod letter;
pub mod message;
pub mod record;
pub mod shelf;

use serde::{Deserialize, Serialize};

use crate::capability::invite::Contact;
use crate::codec::armour::{self, Unreadable};
use crate::crypto::domain;
use crate::id::RecordId;

/// What the code of a keeper begins with.
pub const KEEPER_PREFIX: &str = "cairn-keeper:";
/// Bytes that such a code may have: a contact with all its addresses fits.
const KEEPER_CODE_BYTES: usize = 8192;

/// The keys that open a mailbox change when someone was removed; this counts how often (M2).
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize,
)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A place in a mailbox or a drop-box. The first record has 1; it rises for ever and no place is
/// used twice, so that whoever knows the last place it saw asks for what came after.
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize,
)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the first record.
    pub const START: Self = Self(0);
}

/// The id of a record with these bytes.
#[must_use]
pub fn record_id(bytes: &[u8]) -> RecordId {
    RecordId::from_bytes(domain::hash(domain::RECORD, &[bytes]))
}

/// Who shows `token` deletes the record that was put with this.
#[must_use]
pub fn erase_hash(token: &[u8; 32]) -> [u8; 32] {
    domain::hash(domain::ERASE, &[token])
}

/// What a keeper keeps of the secret of an operator's invitation.
#[must_use]
pub fn invitation_hash(secret: &[u8; 32]) -> [u8; 32] {
    domain::hash(domain::INVITATION, &[secret])
}

/// What the operator of a keeper hands to a founder: where the keeper is, and the right to make one
/// mailbox there.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub struct KeeperCode {
    /// The keeper.
    pub keeper: Contact,
    /// Good for one mailbox.
    pub secret: [u8; 32],
}

/// The text is no code of a keeper.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAKeeperCode {
    /// It does not begin as one does, or holds other characters.
    #[error("this is not the code of a keeper: such a code starts with \"cairn-keeper:\"")]
    OtherText,
    /// A character is wrong or some are missing.
    #[error("the code of the keeper is damaged: a character is wrong or a part is missing")]
    Damaged,
}

impl KeeperCode {
    /// Writes the code: prefix, then base32 of the encoding and a checksum.
    #[must_use]
    pub fn to_text(&self) -> String {
        armour::write(KEEPER_PREFIX, self)
    }

    /// Reads a code; white space around and inside it does not matter, nor does case.
    ///
    /// # Errors
    /// When it is something else or damaged.
    pub fn from_text(text: &str) -> Result<Self, NotAKeeperCode> {
        armour::read(KEEPER_PREFIX, KEEPER_CODE_BYTES, text).map_err(|why| match why {
            Unreadable::OtherText => NotAKeeperCode::OtherText,
            Unreadable::Damaged => NotAKeeperCode::Damaged,
        })
    }
}

/// Says nothing of the secret.
impl core::fmt::Debug for KeeperCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("KeeperCode")
    }
}

impl Drop for KeeperCode {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::List;
    use crate::id::TransportKey;

    #[test]
    fn m1_a_keepers_code_survives_a_letter_program_and_nothing_worse() {
        let keeper =
            Contact { transport: TransportKey::from_bytes([1; 32]), addresses: List::default() };
        let code = KeeperCode { keeper, secret: [3; 32] };
        let text = code.to_text();
        let folded = text.to_uppercase().replace('A', "A\n ");
        assert!(KeeperCode::from_text(&folded).is_ok_and(|read| read == code));
        let cut: String = text.chars().take(text.len() - 8).collect();
        assert!(matches!(KeeperCode::from_text(&cut), Err(NotAKeeperCode::Damaged)));
        let other = text.replace("cairn-keeper:", "cairn:");
        assert!(matches!(KeeperCode::from_text(&other), Err(NotAKeeperCode::OtherText)));
    }

    #[test]
    fn m1_a_token_and_the_bytes_of_a_record_are_hashed_apart() {
        assert_ne!(record_id(&[7; 32]).as_bytes(), &erase_hash(&[7; 32]));
        assert_ne!(record_id(b"a"), record_id(b"b"));
    }
}
