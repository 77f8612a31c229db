//! A root act on its way round the council (A10): text that one member of it hands to the next,
//! until enough have signed.

use serde::{Deserialize, Serialize};

use crate::authority::{root_signature_holds, sign_root};
use crate::capability::grant::{Council, RootAct, RootAction};
use crate::codec::List;
use crate::codec::armour::{self, Unreadable};
use crate::crypto::signing::SigningKey;
use crate::id::{EntryId, GroupId};
use crate::limits::PAYLOAD_BYTES;

/// What the text of a draft begins with.
pub const DRAFT_PREFIX: &str = "cairn-act:";

/// A root act, signed by some of the council.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// In which group.
    pub group: GroupId,
    /// The act with the signatures so far.
    pub act: RootAct,
}

/// Why a draft cannot be read or signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotSigned {
    /// The text is no draft.
    #[error("this is not an act of a council: such a text starts with \"cairn-act:\"")]
    OtherText,
    /// The text is damaged.
    #[error("the text of the act is damaged: a character is wrong or a part is missing")]
    Damaged,
    /// It is of another group.
    #[error("this act is of another group")]
    OtherGroup,
    /// The council has acted since, or its root is frozen.
    #[error("A10: the council has acted since this was drafted: draft it again")]
    Overtaken,
    /// The key is not one of the council's.
    #[error("A10: you are not of the council of this group")]
    NotOfTheCouncil,
    /// A signature on it does not hold.
    #[error("A10: a signature on this act does not hold")]
    BadSignature,
}

impl Draft {
    /// An act that nobody has signed.
    #[must_use]
    pub fn new(group: GroupId, previous: EntryId, action: RootAction) -> Self {
        Self { group, act: RootAct { previous, action, signatures: List::default() } }
    }

    /// Signs it, if the key is of the council, all signatures on it hold, and it follows `last`.
    /// Signing twice changes nothing.
    ///
    /// # Errors
    /// Each has its name.
    pub fn sign(
        self,
        key: &SigningKey,
        group: GroupId,
        council: &Council,
        last: Option<EntryId>,
    ) -> Result<Self, NotSigned> {
        let Self { act: RootAct { previous, action, signatures }, .. } = self;
        if self.group != group {
            return Err(NotSigned::OtherGroup);
        }
        if last != Some(previous) {
            return Err(NotSigned::Overtaken);
        }
        let own = key.verifying_key();
        let keys = council.keys.as_slice();
        let index = keys.iter().position(|listed| *listed == own);
        let index = index.and_then(|index| u8::try_from(index).ok());
        let index = index.ok_or(NotSigned::NotOfTheCouncil)?;
        let mut signatures = signatures.into_vec();
        for (index, signature) in &signatures {
            let key = keys.get(usize::from(*index)).ok_or(NotSigned::BadSignature)?;
            if !root_signature_holds(key, group, previous, &action, signature) {
                return Err(NotSigned::BadSignature);
            }
        }
        signatures.retain(|(other, _)| *other != index);
        signatures.push((index, sign_root(key, group, previous, &action)));
        signatures.sort_unstable_by_key(|(index, _)| *index);
        signatures.dedup_by_key(|(index, _)| *index);
        let signatures = List::new(signatures).map_err(|_| NotSigned::BadSignature)?;
        Ok(Self { group, act: RootAct { previous, action, signatures } })
    }

    /// Whether enough have signed.
    #[must_use]
    pub fn is_complete(&self, council: &Council) -> bool {
        self.act.signatures.len() >= usize::from(council.threshold)
    }

    /// Writes it as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        armour::write(DRAFT_PREFIX, self)
    }

    /// Reads the text of a draft.
    ///
    /// # Errors
    /// When it is something else or damaged.
    pub fn from_text(text: &str) -> Result<Self, NotSigned> {
        armour::read(DRAFT_PREFIX, PAYLOAD_BYTES, text).map_err(|why| match why {
            Unreadable::OtherText => NotSigned::OtherText,
            Unreadable::Damaged => NotSigned::Damaged,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> SigningKey {
        SigningKey::from_seed(&[number; 32])
    }

    fn council() -> Council {
        let keys = (1..=3).map(|number| key(number).verifying_key()).collect();
        Council { keys: List::new(keys).unwrap(), threshold: 2 }
    }

    const GROUP: GroupId = GroupId::from_bytes([9; 32]);
    const LAST: EntryId = EntryId::from_bytes([8; 32]);

    fn draft() -> Draft {
        Draft::new(GROUP, LAST, RootAction::Raise { version: 2 })
    }

    #[test]
    fn a10_a_draft_goes_round_as_text_until_enough_have_signed() {
        let council = council();
        let one = draft().sign(&key(3), GROUP, &council, Some(LAST)).unwrap();
        let one = one.clone().sign(&key(3), GROUP, &council, Some(LAST)).unwrap();
        assert!(!one.is_complete(&council), "signing twice is signing once");
        let two = Draft::from_text(&one.to_text().to_uppercase()).unwrap();
        let two = two.sign(&key(1), GROUP, &council, Some(LAST)).unwrap();
        assert!(two.is_complete(&council));
        let indexes: Vec<u8> = two.act.signatures.iter().map(|(index, _)| *index).collect();
        assert_eq!(indexes, [0, 2]);
    }

    #[test]
    fn a10_nobody_signs_what_cannot_count() {
        let council = council();
        let sign = |draft: Draft, by: u8, last| draft.sign(&key(by), GROUP, &council, last);
        assert_eq!(sign(draft(), 4, Some(LAST)), Err(NotSigned::NotOfTheCouncil));
        assert_eq!(sign(draft(), 1, None), Err(NotSigned::Overtaken));
        assert_eq!(sign(draft(), 1, Some(EntryId::NONE)), Err(NotSigned::Overtaken));
        let other = Draft { group: GroupId::from_bytes([1; 32]), ..draft() };
        assert_eq!(sign(other, 1, Some(LAST)), Err(NotSigned::OtherGroup));
        let mut changed = sign(draft(), 1, Some(LAST)).unwrap();
        changed.act.action = RootAction::Raise { version: 3 };
        assert_eq!(sign(changed, 2, Some(LAST)), Err(NotSigned::BadSignature));
        assert_eq!(Draft::from_text("cairn:abc"), Err(NotSigned::OtherText));
        assert_eq!(Draft::from_text("cairn-act:abc"), Err(NotSigned::Damaged));
    }
}
