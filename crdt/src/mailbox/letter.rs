//! What goes through a drop-box (M2): a request to join, and its answer. A keeper and the holders of
//! the same invite see padded bytes.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec::{self, List};
use crate::crypto::aead::{Nonce, SymmetricKey, derive};
use crate::crypto::agreement::{self, NotForThisKey, SecretKey};
use crate::crypto::domain;
use crate::crypto::padding;
use crate::crypto::signing::SigningKey;
use crate::epoch::secret::EpochSecret;
use crate::id::{InviteId, MailboxId, PublicKey};
use crate::limits::{DROP_RECORD_BYTES, MAILBOX_SECRETS, SMALLEST_RECORD};
use crate::sync::message::{Declined, Request};

/// Bytes before the sealed answer: the nonce.
const NONCE_BYTES: usize = 24;

/// A request on its way through a drop-box, sealed to the invite's request key.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// The request.
    pub request: Request,
    /// Under which the answer is sealed: only who could open the request can have written it.
    pub reply: SymmetricKey,
}

/// What a newcomer is told through a drop-box.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub enum LetterAnswer {
    /// It is a member: what opens the mailbox, newest last.
    Admitted {
        /// The mailbox at this keeper.
        mailbox: MailboxId,
        /// Secrets of the epochs that gave it its keys.
        secrets: List<EpochSecret, MAILBOX_SECRETS>,
    },
    /// It was declined.
    Declined(Declined),
}

/// The reply key of a newcomer's device for an invite: derived, so that nothing has to be kept.
#[must_use]
pub fn reply_key(device: &SigningKey, invite: InviteId) -> SymmetricKey {
    derive(&[], &*device.to_seed(), domain::REPLY_KEY, invite.as_bytes())
}

impl Letter {
    /// Seals the letter for whoever can open the invite's requests.
    ///
    /// # Errors
    /// When the request key is of small order.
    pub fn seal<R: CryptoRng>(
        &self,
        rng: &mut R,
        request_key: &PublicKey,
        invite: InviteId,
    ) -> Result<Vec<u8>, NotForThisKey> {
        let plain = Zeroizing::new(padding::pad_to(codec::encode(self), SMALLEST_RECORD));
        agreement::seal(rng, request_key, domain::LETTER, invite.as_bytes(), &plain)
    }

    /// Opens a letter with the secret half of the request key; `None` for anything else.
    #[must_use]
    pub fn open(secret: &SecretKey, invite: InviteId, sealed: &[u8]) -> Option<Self> {
        let plain = secret.open(domain::LETTER, invite.as_bytes(), sealed).ok()?;
        codec::decode(padding::unpad(&plain)?, DROP_RECORD_BYTES).ok()
    }
}

impl LetterAnswer {
    /// Seals the answer under the letter's reply key.
    pub fn seal<R: CryptoRng>(
        &self,
        rng: &mut R,
        reply: &SymmetricKey,
        invite: InviteId,
    ) -> Vec<u8> {
        let nonce = Nonce::generate(rng);
        let plain = Zeroizing::new(padding::pad_to(codec::encode(self), SMALLEST_RECORD));
        let mut bytes = codec::encode(&nonce);
        bytes.extend(reply.seal(&nonce, invite.as_bytes(), &plain));
        bytes
    }

    /// Opens an answer; `None` for anything else.
    #[must_use]
    pub fn open(reply: &SymmetricKey, invite: InviteId, bytes: &[u8]) -> Option<Self> {
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce: Nonce = codec::decode(nonce, NONCE_BYTES).ok()?;
        let plain = reply.open(&nonce, invite.as_bytes(), sealed).ok()?;
        codec::decode(padding::unpad(&plain)?, DROP_RECORD_BYTES).ok()
    }
}
