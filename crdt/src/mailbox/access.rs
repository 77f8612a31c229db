//! Who may use a mailbox (M2).
//!
//! All who share a mailbox prove it with one key, so that the keeper cannot tell them apart. A proof
//! is made for one connection: it names both ends and the keeper's challenge, so that whoever sees
//! it can do nothing with it elsewhere.
//!
//! A mailbox has *generations*, each with its own access key, and a control key that begins the next
//! one. The owner's key, which is the mailbox's name, outranks control keys: what it signed replaces
//! what a control key signed under the same number.

use serde::{Deserialize, Serialize};

use super::Generation;
use crate::codec::{self, Bytes};
use crate::crypto::domain;
use crate::crypto::signing::{BadSignature, Signature, SigningKey, verify};
use crate::id::{AccessKey, ControlKey, DropBoxId, MailboxId, TransportKey};
use crate::limits::REKEY_BYTES;

/// One connection, as its two ends know it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Meeting {
    /// The keeper's libp2p identity.
    pub keeper: TransportKey,
    /// The client's, made for this connection and thrown away with it.
    pub client: TransportKey,
    /// What the keeper drew for this connection.
    pub challenge: [u8; 32],
}

impl Meeting {
    /// Proves access to a mailbox. The key is the access key of a generation.
    #[must_use]
    pub fn prove_access(&self, key: &SigningKey, mailbox: MailboxId) -> Signature {
        key.sign(domain::SIGN_ACCESS, &self.said(mailbox.as_bytes()))
    }

    /// Proves access to a drop-box. The key is that of its invite.
    #[must_use]
    pub fn prove_drop(&self, key: &SigningKey) -> Signature {
        key.sign(domain::SIGN_DROP, &self.said(&key.verifying_key()))
    }

    /// Checks a proof of access to a mailbox.
    ///
    /// # Errors
    /// When it was made with another key, for another mailbox or for another connection.
    pub fn check_access(
        &self,
        key: AccessKey,
        mailbox: MailboxId,
        proof: &Signature,
    ) -> Result<(), BadSignature> {
        verify(key.as_bytes(), domain::SIGN_ACCESS, &self.said(mailbox.as_bytes()), proof)
    }

    /// Checks a proof of access to a drop-box.
    ///
    /// # Errors
    /// When it was made with another key or for another connection.
    pub fn check_drop(&self, drop: DropBoxId, proof: &Signature) -> Result<(), BadSignature> {
        verify(drop.as_bytes(), domain::SIGN_DROP, &self.said(drop.as_bytes()), proof)
    }

    fn said(&self, name: &[u8; 32]) -> Vec<u8> {
        codec::encode(&(self.keeper, self.client, self.challenge, name))
    }
}

/// The keys that open a mailbox from now on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct NewGeneration {
    /// Of which mailbox.
    pub mailbox: MailboxId,
    /// One more than the generation that it ends; the same, if the owner replaces it.
    pub generation: Generation,
    /// Who may use the mailbox.
    pub access: AccessKey,
    /// Who may begin the generation after.
    pub control: ControlKey,
    /// The secret halves, wrapped for each who stays. The keeper cannot read it, and gives it to
    /// whoever proves the access key of the generation before.
    pub rekey: Bytes<REKEY_BYTES>,
}

/// A new generation, signed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SignedGeneration {
    /// What is signed.
    pub new: NewGeneration,
    /// By the control key of the generation before, or by the owner's key.
    pub signature: Signature,
}

/// Whose signature a new generation bears.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignedBy {
    /// The control key that it was checked against.
    Control,
    /// The owner's key.
    Owner,
}

impl NewGeneration {
    /// Signs it, with a control key or the owner's.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> SignedGeneration {
        let signature = key.sign(domain::SIGN_GENERATION, &codec::encode(&self));
        SignedGeneration { new: self, signature }
    }
}

impl SignedGeneration {
    /// Finds whose signature it is: the owner's, or that of `control`.
    ///
    /// # Errors
    /// When it is neither's.
    pub fn signer(&self, control: ControlKey) -> Result<SignedBy, BadSignature> {
        let bytes = codec::encode(&self.new);
        let holds =
            |key: &[u8; 32]| verify(key, domain::SIGN_GENERATION, &bytes, &self.signature).is_ok();
        if holds(self.new.mailbox.as_bytes()) {
            Ok(SignedBy::Owner)
        } else if holds(control.as_bytes()) {
            Ok(SignedBy::Control)
        } else {
            Err(BadSignature)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Meeting = Meeting {
        keeper: TransportKey::from_bytes([1; 32]),
        client: TransportKey::from_bytes([2; 32]),
        challenge: [3; 32],
    };
    const MAILBOX: MailboxId = MailboxId::from_bytes([4; 32]);

    fn key(number: u8) -> SigningKey {
        SigningKey::from_seed(&[number; 32])
    }

    #[test]
    fn m2_a_proof_holds_for_its_connection_mailbox_and_key_only() {
        let access = AccessKey::from_bytes(key(5).verifying_key());
        let proof = HERE.prove_access(&key(5), MAILBOX);
        assert_eq!(HERE.check_access(access, MAILBOX, &proof), Ok(()));
        let elsewhere = [
            Meeting { keeper: TransportKey::from_bytes([9; 32]), ..HERE },
            Meeting { client: TransportKey::from_bytes([9; 32]), ..HERE },
            Meeting { challenge: [9; 32], ..HERE },
        ];
        for meeting in elsewhere {
            assert_eq!(meeting.check_access(access, MAILBOX, &proof), Err(BadSignature));
        }
        let other = MailboxId::from_bytes([9; 32]);
        assert_eq!(HERE.check_access(access, other, &proof), Err(BadSignature));
        let other = AccessKey::from_bytes(key(6).verifying_key());
        assert_eq!(HERE.check_access(other, MAILBOX, &proof), Err(BadSignature));
    }

    #[test]
    fn m2_a_drop_boxs_proof_is_no_mailboxs() {
        let drop = DropBoxId::from_bytes(key(5).verifying_key());
        let proof = HERE.prove_drop(&key(5));
        assert_eq!(HERE.check_drop(drop, &proof), Ok(()));
        let access = AccessKey::from_bytes(*drop.as_bytes());
        let mailbox = MailboxId::from_bytes(*drop.as_bytes());
        assert_eq!(HERE.check_access(access, mailbox, &proof), Err(BadSignature));
    }

    #[test]
    fn m2_a_generation_says_whose_signature_it_bears() {
        let control = ControlKey::from_bytes(key(7).verifying_key());
        let new = NewGeneration {
            mailbox: MailboxId::from_bytes(key(8).verifying_key()),
            generation: Generation(2),
            access: AccessKey::from_bytes([1; 32]),
            control: ControlKey::from_bytes([2; 32]),
            rekey: Bytes::default(),
        };
        let by = |number| new.clone().sign(&key(number)).signer(control);
        assert_eq!(by(7), Ok(SignedBy::Control));
        assert_eq!(by(8), Ok(SignedBy::Owner));
        assert_eq!(by(9), Err(BadSignature));
        let mut changed = new.clone().sign(&key(8));
        changed.new.generation = Generation(3);
        assert_eq!(changed.signer(control), Err(BadSignature));
    }
}
