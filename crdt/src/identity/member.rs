//! The member key (I1) signs the cards, unlinkings and pins of its own devices and nothing else.

use crate::codec;
use crate::crypto::domain;
use crate::crypto::signing::{BadSignature, Signature, SigningKey, verify};
use crate::id::{DeviceId, EntryId, GroupId, MemberId, PublicKey, TransportKey};
use crate::identity::device::Card;

/// The signing half of a persona's member key. Has no `Debug`.
#[derive(Clone)]
pub struct MemberKey(SigningKey);

impl MemberKey {
    /// Takes the key derived from the seed (or kept in the store).
    #[must_use]
    pub const fn new(key: SigningKey) -> Self {
        Self(key)
    }

    /// The member as the group sees it.
    #[must_use]
    pub fn id(&self) -> MemberId {
        MemberId::from_bytes(self.0.verifying_key())
    }

    /// The signing half, for the encrypted store only.
    #[must_use]
    pub const fn signing_key(&self) -> &SigningKey {
        &self.0
    }

    /// Signs the card of one of this member's devices.
    #[must_use]
    pub fn sign_card(
        &self,
        group: GroupId,
        device: DeviceId,
        index: u32,
        prekey: PublicKey,
        transport: &SigningKey,
    ) -> Card {
        let transport_key = TransportKey::from_bytes(transport.verifying_key());
        let member = self.id();
        let message = card_message(group, member, device, index, prekey, transport_key);
        Card {
            member,
            index,
            prekey,
            transport: transport_key,
            member_signature: self.0.sign(domain::SIGN_CARD, &message),
            transport_signature: transport
                .sign(domain::SIGN_TRANSPORT, &codec::encode(&(group, device))),
        }
    }

    /// Signs the unlinking of one of this member's devices above an entry (A8).
    #[must_use]
    pub fn sign_unlink(
        &self,
        group: GroupId,
        device: DeviceId,
        seq: u64,
        entry: EntryId,
    ) -> Signature {
        self.0.sign(domain::SIGN_UNLINK, &codec::encode(&(group, device, seq, entry)))
    }

    /// Signs the choice of a branch of one of this member's devices (A6).
    #[must_use]
    pub fn sign_pin(
        &self,
        group: GroupId,
        device: DeviceId,
        seq: u64,
        entry: EntryId,
    ) -> Signature {
        self.0.sign(domain::SIGN_PIN, &codec::encode(&(group, device, seq, entry)))
    }
}

/// Checks both signatures of a card.
///
/// # Errors
/// When either does not hold.
pub fn verify_card(group: GroupId, device: DeviceId, card: &Card) -> Result<(), BadSignature> {
    let message = card_message(group, card.member, device, card.index, card.prekey, card.transport);
    verify(card.member.as_bytes(), domain::SIGN_CARD, &message, &card.member_signature)?;
    verify_transport(group, device, card.transport, &card.transport_signature)
}

/// Checks the countersignature of a transport key over (group, device).
///
/// # Errors
/// When it does not hold.
pub fn verify_transport(
    group: GroupId,
    device: DeviceId,
    transport: TransportKey,
    signature: &Signature,
) -> Result<(), BadSignature> {
    let message = codec::encode(&(group, device));
    verify(transport.as_bytes(), domain::SIGN_TRANSPORT, &message, signature)
}

/// Checks a member key's signature over (device, seq, entry) under [`domain::SIGN_UNLINK`] or
/// [`domain::SIGN_PIN`].
///
/// # Errors
/// When it does not hold.
pub fn verify_cut_of_own(
    label: &'static str,
    group: GroupId,
    member: MemberId,
    (device, seq, entry): (DeviceId, u64, EntryId),
    signature: &Signature,
) -> Result<(), BadSignature> {
    let message = codec::encode(&(group, device, seq, entry));
    verify(member.as_bytes(), label, &message, signature)
}

fn card_message(
    group: GroupId,
    member: MemberId,
    device: DeviceId,
    index: u32,
    prekey: PublicKey,
    transport: TransportKey,
) -> Vec<u8> {
    codec::encode(&(group, member, device, index, prekey, transport))
}
