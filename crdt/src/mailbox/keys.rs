//! The keys of a mailbox, derived from what its people share (M2).
//!
//! An epoch for the audience [`crate::epoch::secret::Audience::Mailbox`] gives a generation its keys:
//! every member that holds its secret has them, and nobody else. Each key is derived for one mailbox,
//! so that two keepers see nothing in common. The next generation is signed with a key that the
//! moderators derive from an epoch of their own.

use zeroize::Zeroizing;

use crate::codec;
use crate::crypto::aead::{SymmetricKey, derive};
use crate::crypto::domain;
use crate::crypto::signing::SigningKey;
use crate::epoch::secret::EpochSecret;
use crate::id::{GroupId, MailboxId, RecordId, TransportKey};
use crate::identity::member::MemberKey;

/// Proves access to a mailbox.
#[must_use]
pub fn access_key(secret: &EpochSecret, mailbox: MailboxId) -> SigningKey {
    signing(derive(&[], secret.as_bytes(), domain::DERIVE_ACCESS, mailbox.as_bytes()))
}

/// Begins the next generation. `secret` is of an epoch of the moderators.
#[must_use]
pub fn control_key(secret: &EpochSecret, mailbox: MailboxId) -> SigningKey {
    signing(derive(&[], secret.as_bytes(), domain::DERIVE_CONTROL, mailbox.as_bytes()))
}

/// The owner's key, whose verifying half names the mailbox: that of the member who added the keeper.
#[must_use]
pub fn owner_key(member: &MemberKey, group: GroupId, keeper: TransportKey) -> SigningKey {
    let seed = member.signing_key().to_seed();
    signing(derive(&[], &*seed, domain::DERIVE_OWNER, &codec::encode(&(group, keeper))))
}

/// Under which records are sealed.
#[must_use]
pub fn record_key(secret: &EpochSecret, mailbox: MailboxId) -> SymmetricKey {
    derive(&[], secret.as_bytes(), domain::RECORD_KEY, mailbox.as_bytes())
}

/// Who shows this to the keeper deletes the record.
#[must_use]
pub fn erase_token(
    secret: &EpochSecret,
    mailbox: MailboxId,
    record: RecordId,
) -> Zeroizing<[u8; 32]> {
    let bound = codec::encode(&(mailbox, record));
    Zeroizing::new(*derive(&[], secret.as_bytes(), domain::ERASE_TOKEN, &bound).as_bytes())
}

/// From which the members derive where they leave their addresses for each other.
#[must_use]
pub fn discovery_secret(secret: &EpochSecret, group: GroupId) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(
        *derive(&[], secret.as_bytes(), domain::DERIVE_DISCOVERY, group.as_bytes()).as_bytes(),
    )
}

fn signing(key: SymmetricKey) -> SigningKey {
    SigningKey::from_seed(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_two_mailboxes_of_the_same_people_have_nothing_in_common() {
        let secret = EpochSecret::from_bytes([1; 32]);
        let [one, other] = [MailboxId::from_bytes([2; 32]), MailboxId::from_bytes([3; 32])];
        let record = RecordId::from_bytes([4; 32]);
        assert_ne!(
            access_key(&secret, one).verifying_key(),
            access_key(&secret, other).verifying_key()
        );
        assert_ne!(
            control_key(&secret, one).verifying_key(),
            control_key(&secret, other).verifying_key()
        );
        assert!(record_key(&secret, one) != record_key(&secret, other));
        assert_ne!(erase_token(&secret, one, record), erase_token(&secret, other, record));
        let member = MemberKey::new(SigningKey::from_seed(&[5; 32]));
        let owner = |keeper| {
            let keeper = TransportKey::from_bytes([keeper; 32]);
            owner_key(&member, GroupId::from_bytes([6; 32]), keeper).verifying_key()
        };
        assert_ne!(owner(7), owner(8));
    }

    #[test]
    fn m2_what_opens_a_mailbox_does_not_begin_its_next_generation() {
        let secret = EpochSecret::from_bytes([1; 32]);
        let mailbox = MailboxId::from_bytes([2; 32]);
        let (access, control) = (access_key(&secret, mailbox), control_key(&secret, mailbox));
        assert_ne!(access.verifying_key(), control.verifying_key());
    }
}
