//! Invites (J1): a key pair, an entry that says what it offers, and a code to hand over.

use serde::{Deserialize, Serialize};

use crate::capability::rank::Rank;
use crate::codec::armour::{self, Unreadable};
use crate::codec::{Bytes, List, Map};
use crate::crypto::aead::Nonce;
use crate::id::{EpochId, GroupId, InviteId, MemberId, PublicKey, TransportKey};
use crate::limits::{ADDRESS_BYTES, ADDRESSES, ADMITTERS, KEEPERS};
use crate::log::entry::Seen;
use crate::time::Timestamp;

/// What a code begins with.
pub const CODE_PREFIX: &str = "cairn:";
/// Bytes that a code may have: eight keepers with sixteen addresses each fit.
const CODE_BYTES: usize = 48 * 1024;

/// An invitation. Payload of the kind `invite`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Invite {
    /// The verifying half; the signing half is in the code.
    pub invite: InviteId,
    /// What is offered.
    pub rank: Rank,
    /// Who may admit, and how many times each. Each counts in its own log (J2).
    pub admitters: Map<MemberId, u16, ADMITTERS>,
    /// After which admitters decline. A hint to them and no rule of validity (A11).
    pub expires: Option<Timestamp>,
    /// To which introductions are sealed.
    pub request_key: PublicKey,
    /// The secret half of `request_key`, sealed for the moderators' audience.
    pub request_secret: SealedRequestKey,
}

/// The secret half of a request key under an epoch of the moderators' audience.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SealedRequestKey {
    /// The epoch.
    pub epoch: EpochId,
    /// Random.
    pub nonce: Nonce,
    /// 32 bytes and a tag, bound to the invite.
    pub sealed: Bytes<48>,
}

/// What an inviter hands to a newcomer. Nothing in it names the group's topic.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub struct Code {
    /// The group.
    pub group: GroupId,
    /// The group's salt: the newcomer derives its member key from it before it holds the genesis.
    pub salt: [u8; 32],
    /// The signing half of the invite's key.
    pub invite_secret: [u8; 32],
    /// To which the introduction is sealed.
    pub request_key: PublicKey,
    /// What the inviter held: tells whether a first answer is stale (M4).
    pub seen: Seen,
    /// Whom to ask: transport key and addresses, in libp2p's binary form.
    pub contacts: List<Contact, ADMITTERS>,
    /// Keepers with a drop-box for the invite (M2).
    pub keepers: List<Contact, KEEPERS>,
}

/// A node that can be asked.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// Its libp2p identity.
    pub transport: TransportKey,
    /// Where it listens, as binary multiaddrs.
    pub addresses: List<Bytes<ADDRESS_BYTES>, ADDRESSES>,
}

/// The text is no invitation code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotACode {
    /// It does not begin as a code does, or holds other characters.
    #[error("this is not an invitation code: a code starts with \"cairn:\"")]
    OtherText,
    /// A character is wrong or some are missing.
    #[error("the invitation code is damaged: a character is wrong or a part is missing")]
    Damaged,
}

impl Code {
    /// Writes the code: prefix, then base32 of the encoding and a checksum.
    #[must_use]
    pub fn to_text(&self) -> String {
        armour::write(CODE_PREFIX, self)
    }

    /// Reads a code; white space around and inside it does not matter, nor does case.
    ///
    /// # Errors
    /// When it is something else or damaged.
    pub fn from_text(text: &str) -> Result<Self, NotACode> {
        armour::read(CODE_PREFIX, CODE_BYTES, text).map_err(|why| match why {
            Unreadable::OtherText => NotACode::OtherText,
            Unreadable::Damaged => NotACode::Damaged,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> Code {
        Code {
            group: GroupId::from_bytes([1; 32]),
            salt: [2; 32],
            invite_secret: [3; 32],
            request_key: PublicKey::from_bytes([4; 32]),
            seen: Seen::default(),
            contacts: List::default(),
            keepers: List::default(),
        }
    }

    #[test]
    fn j1_a_code_with_all_the_keepers_and_addresses_there_can_be_is_read() {
        let address = |number: u8| Bytes::new(vec![number; ADDRESS_BYTES]).unwrap_or_default();
        let addresses = |of: u8| List::new(vec![address(of); ADDRESSES]).unwrap_or_default();
        let contact = |of: u8| Contact {
            transport: TransportKey::from_bytes([of; 32]),
            addresses: addresses(of),
        };
        let keepers = List::new((0..8).map(contact).collect()).unwrap_or_default();
        assert_eq!(keepers.len(), KEEPERS);
        let full =
            Code { keepers, contacts: List::new(vec![contact(9)]).unwrap_or_default(), ..code() };
        assert!(Code::from_text(&full.to_text()).is_ok_and(|read| read == full));
    }

    #[test]
    fn j1_a_code_survives_a_letter_program_and_nothing_worse() {
        let text = code().to_text();
        let folded = text.to_uppercase().replace("CAIRN:", " Cairn:").replace('A', "A\n");
        assert!(Code::from_text(&folded).is_ok_and(|read| read == code()));
        assert!(matches!(Code::from_text("hello"), Err(NotACode::OtherText)));
        let cut: String = text.chars().take(text.len() - 8).collect();
        assert!(matches!(Code::from_text(&cut), Err(NotACode::Damaged)));
        let wrong =
            format!("{CODE_PREFIX}{}", text.trim_start_matches(CODE_PREFIX).replace('a', "b"));
        assert!(matches!(Code::from_text(&wrong), Err(NotACode::Damaged)));
    }
}
