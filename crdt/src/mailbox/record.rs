//! What is inside a record (M1): a parcel, sealed for the members and padded.
//!
//! ```text
//! record = version (1) ‖ nonce (24) ‖ XChaCha20-Poly1305(record key, nonce, mailbox, padded parcel)
//! ```
//!
//! The nonce is a keyed hash of the parcel: whoever puts the same parcel makes the same record, which
//! the keeper holds once. Nothing else follows from that, since every key is used for one mailbox.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::{erase_token, record_key};
use super::{erase_hash, record_id};
use crate::codec::{self, Bytes, List};
use crate::crypto::aead::{Nonce, SymmetricKey};
use crate::crypto::domain;
use crate::crypto::padding;
use crate::epoch::secret::{EpochSecret, Mint};
use crate::id::{DeviceId, EpochId, MailboxId, RecordId};
use crate::limits::{KEEPERS, PARCEL_RUNS, RECORD_BYTES, SMALLEST_RECORD};
use crate::log::run::Run;
use crate::mailbox::message::NewRecord;
use crate::sync::message::Receipt;

/// The form of a record.
const RECORD_VERSION: u8 = 1;
/// Bytes before the sealed parcel.
const HEAD_BYTES: usize = 25;

/// What a record holds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Parcel {
    /// Runs of entries.
    Runs(List<Run, PARCEL_RUNS>),
    /// What a device holds, and where all of that lies (S6, M4).
    Receipt {
        /// Signed by the device.
        receipt: Receipt,
        /// Mailboxes that hold everything that the receipt names, as whoever put this says.
        left_at: List<MailboxId, KEEPERS>,
    },
    /// The keys of a later generation, for who was away (M2).
    Rekey {
        /// The device that minted.
        minter: DeviceId,
        /// Wrapped for each who stayed.
        mint: Mint,
    },
    /// Ends a bundle: this many records came before.
    End(u32),
}

/// Under what a record is sealed: the secret of an epoch, for one mailbox.
#[derive(Clone)]
pub struct Sealer {
    /// Of what mailbox.
    pub mailbox: MailboxId,
    /// Of which epoch.
    pub epoch: EpochId,
    /// Its secret.
    pub secret: EpochSecret,
}

/// The parcel is larger than a record can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("M1: the parcel is too large for a record")]
pub struct TooLarge;

impl Sealer {
    /// Seals a parcel.
    ///
    /// # Errors
    /// When it is too large.
    pub fn seal(&self, parcel: &Parcel) -> Result<Vec<u8>, TooLarge> {
        let key = record_key(&self.secret, self.mailbox);
        let plain = Zeroizing::new(padding::pad_to(codec::encode(parcel), SMALLEST_RECORD));
        let hash =
            domain::hash(domain::RECORD_NONCE, &[key.as_bytes(), self.mailbox.as_bytes(), &plain]);
        let mut bytes = vec![RECORD_VERSION];
        bytes.extend(hash.iter().take(HEAD_BYTES.saturating_sub(1)));
        let nonce = nonce_of(&bytes).ok_or(TooLarge)?;
        bytes.extend(key.seal(&nonce, self.mailbox.as_bytes(), &plain));
        if bytes.len() > RECORD_BYTES { Err(TooLarge) } else { Ok(bytes) }
    }

    /// Seals a parcel as it is put at a keeper. `priority` is for what a full mailbox is still to
    /// take: control.
    ///
    /// # Errors
    /// When it is too large.
    pub fn put(&self, parcel: &Parcel, priority: bool) -> Result<NewRecord, TooLarge> {
        let bytes = self.seal(parcel)?;
        let token = erase_token(&self.secret, self.mailbox, record_id(&bytes));
        let bytes = Bytes::new(bytes).map_err(|_| TooLarge)?;
        Ok(NewRecord { priority, erase: erase_hash(&token), bytes })
    }

    /// Opens a record; `None` if it was sealed under something else, was changed, or is no parcel.
    #[must_use]
    pub fn open(&self, bytes: &[u8]) -> Option<Parcel> {
        let key: SymmetricKey = record_key(&self.secret, self.mailbox);
        let nonce = nonce_of(bytes)?;
        let (_, sealed) = bytes.split_at_checked(HEAD_BYTES)?;
        let plain = key.open(&nonce, self.mailbox.as_bytes(), sealed).ok()?;
        codec::decode(padding::unpad(&plain)?, RECORD_BYTES).ok()
    }

    /// What deletes a record that this seals.
    #[must_use]
    pub fn token(&self, record: RecordId) -> Zeroizing<[u8; 32]> {
        erase_token(&self.secret, self.mailbox, record)
    }
}

/// The nonce of a record of this version.
fn nonce_of(bytes: &[u8]) -> Option<Nonce> {
    let (head, _) = bytes.split_at_checked(HEAD_BYTES)?;
    let (version, nonce) = head.split_first()?;
    (*version == RECORD_VERSION).then_some(())?;
    codec::decode(nonce, HEAD_BYTES).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GroupId;

    fn sealer(secret: u8, mailbox: u8) -> Sealer {
        let secret = EpochSecret::from_bytes([secret; 32]);
        let epoch = secret.epoch(GroupId::from_bytes([9; 32]));
        Sealer { mailbox: MailboxId::from_bytes([mailbox; 32]), epoch, secret }
    }

    #[test]
    fn m1_a_record_opens_with_its_own_secret_and_mailbox_only() {
        let parcel = Parcel::End(7);
        let record = sealer(1, 2).seal(&parcel).unwrap();
        assert_eq!(sealer(1, 2).open(&record), Some(parcel));
        assert_eq!(sealer(3, 2).open(&record), None);
        assert_eq!(sealer(1, 3).open(&record), None);
        for at in [0, 5, 30, record.len() - 1] {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert_eq!(sealer(1, 2).open(&changed), None, "{at}");
        }
        assert_eq!(sealer(1, 2).open(&record[..20]), None);
    }

    #[test]
    fn m1_records_of_small_things_look_alike() {
        let one = sealer(1, 2).seal(&Parcel::End(7)).unwrap();
        let mint = Parcel::Runs(List::default());
        let other = sealer(1, 2).seal(&mint).unwrap();
        assert_eq!(one.len(), other.len());
        assert!(one.len() >= SMALLEST_RECORD);
    }

    #[test]
    fn m1_the_same_parcel_is_the_same_record_at_one_keeper_and_another_at_the_next() {
        let parcel = Parcel::End(7);
        assert_eq!(sealer(1, 2).seal(&parcel), sealer(1, 2).seal(&parcel));
        assert_ne!(sealer(1, 2).seal(&parcel), sealer(1, 3).seal(&parcel));
        assert_ne!(sealer(1, 2).seal(&parcel), sealer(1, 2).seal(&Parcel::End(8)));
    }
}
