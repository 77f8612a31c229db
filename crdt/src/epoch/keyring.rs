//! What a device holds to read with: its prekeys, epoch secrets and document keys (K2, K5, K7).
//!
//! Plain data: the store writes it down encrypted from the accessors, and reads it back with
//! [`Keyring::from_parts`]. Forgetting is explicit, because a key that is gone is what closes a
//! hoarded ciphertext for ever (K7).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;

use crate::crypto::aead::SymmetricKey;
use crate::crypto::agreement::SecretKey;
use crate::document::sealing::{DocumentKey, Envelope};
use crate::epoch::secret::{Audience, CannotOpen, EpochSecret, Mint};
use crate::epoch::welcome::Keys;
use crate::id::{DeviceId, DocumentId, EntryId, EpochId, GroupId};

/// Prekeys that a device keeps: the current one and those before it, which entries that are still
/// on their way may be wrapped to (K8).
pub const KEPT_PREKEYS: usize = 8;

/// The keys of one device in one group. Wiped when dropped; has no `Debug`.
#[derive(Clone)]
pub struct Keyring {
    /// Oldest first; never empty.
    prekeys: Vec<SecretKey>,
    epochs: BTreeMap<EpochId, EpochSecret>,
    documents: BTreeMap<EntryId, HeldKey>,
}

/// A document key and the document that it belongs to.
#[derive(Clone, Eq, PartialEq)]
pub struct HeldKey {
    /// The document.
    pub document: DocumentId,
    /// Its key, from the entry under which it is held on.
    pub key: SymmetricKey,
}

impl Keyring {
    /// The keyring of a device with this prekey.
    #[must_use]
    pub fn new(prekey: SecretKey) -> Self {
        Self { prekeys: vec![prekey], epochs: BTreeMap::new(), documents: BTreeMap::new() }
    }

    /// The keyring of a device with these prekeys, oldest first.
    pub(crate) fn of(prekeys: Vec<SecretKey>) -> Self {
        Self { prekeys, epochs: BTreeMap::new(), documents: BTreeMap::new() }
    }

    /// Takes over another row of prekeys, oldest first; one at least.
    pub(crate) fn renew(&mut self, prekeys: Vec<SecretKey>) {
        if !prekeys.is_empty() {
            self.prekeys = prekeys;
        }
    }

    /// Puts a stored keyring together again. `None` without a prekey. `prekeys` are oldest first.
    #[must_use]
    pub fn from_parts(
        prekeys: Vec<SecretKey>,
        epochs: BTreeMap<EpochId, EpochSecret>,
        documents: BTreeMap<EntryId, HeldKey>,
    ) -> Option<Self> {
        (!prekeys.is_empty()).then_some(Self { prekeys, epochs, documents })
    }

    /// The prekeys, oldest first.
    #[must_use]
    pub fn prekeys(&self) -> &[SecretKey] {
        &self.prekeys
    }

    /// The epochs whose secret is held.
    #[must_use]
    pub const fn epochs(&self) -> &BTreeMap<EpochId, EpochSecret> {
        &self.epochs
    }

    /// The document keys held, by the entry whose envelope carried them.
    #[must_use]
    pub const fn documents(&self) -> &BTreeMap<EntryId, HeldKey> {
        &self.documents
    }

    /// The secret of an epoch.
    #[must_use]
    pub fn epoch(&self, epoch: EpochId) -> Option<&EpochSecret> {
        self.epochs.get(&epoch)
    }

    /// The document key that an entry carried.
    #[must_use]
    pub fn document_key(&self, entry: EntryId) -> Option<&SymmetricKey> {
        self.documents.get(&entry).map(|held| &held.key)
    }

    /// A new prekey takes over; the last [`KEPT_PREKEYS`] stay (K8).
    pub fn rotate(&mut self, prekey: SecretKey) {
        self.prekeys.push(prekey);
        let extra = self.prekeys.len().saturating_sub(KEPT_PREKEYS);
        self.prekeys.drain(..extra);
    }

    /// Holds on to an epoch's secret. Returns its id.
    pub fn learn_epoch(&mut self, group: GroupId, secret: EpochSecret) -> EpochId {
        let epoch = secret.epoch(group);
        self.epochs.insert(epoch, secret);
        epoch
    }

    /// Opens a mint for this device, from an entry whose signature was checked, and what it carries of the epochs before it (K6). A history
    /// that does not open is the minter's fault and costs its recipients the history only.
    /// Returns the epochs that were not held before.
    ///
    /// # Errors
    /// When the mint does not open and its secret is not held from a welcome either.
    pub fn learn_mint(
        &mut self,
        group: GroupId,
        minter: DeviceId,
        device: DeviceId,
        mint: &Mint,
    ) -> Result<Vec<EpochId>, CannotOpen> {
        let secret = match self.epochs.get(&mint.epoch) {
            Some(held) => held.clone(),
            None => mint.open(group, minter, device, &self.prekeys)?,
        };
        let mut learnt = mint.previous(group, minter, &secret).unwrap_or_default();
        learnt.push((mint.epoch, secret));
        learnt.retain(|(epoch, _)| !self.epochs.contains_key(epoch));
        let new = learnt.iter().map(|(epoch, _)| *epoch).collect();
        self.epochs.extend(learnt);
        Ok(new)
    }

    /// Takes over the epochs of a welcome. Its envelopes go to [`crate::document::sealing::open`]
    /// with the entries that they are of, and come here by [`Self::learn_envelope`] once one has
    /// opened its entry.
    pub fn learn_epochs(&mut self, group: GroupId, keys: &Keys) -> Vec<EpochId> {
        let learnt = keys.epochs.iter().map(|secret| self.learn_epoch(group, secret.clone()));
        learnt.collect()
    }

    /// Holds on to the fresh document key of an envelope that opened its entry (K5).
    pub fn learn_envelope(&mut self, entry: EntryId, envelope: &Envelope) {
        if let DocumentKey::Fresh(key) = &envelope.key {
            let held = HeldKey { document: envelope.document, key: key.clone() };
            self.documents.insert(entry, held);
        }
    }

    /// The key for the next change of a document that is written under `epoch` (K5): the one that
    /// the document's last fresh key is, if that was sealed under the same epoch and is held;
    /// otherwise, and for a new document, a fresh one. `last`: the entry that carried the last
    /// fresh key, and its epoch.
    pub fn key_to_write<R: CryptoRng>(
        &self,
        rng: &mut R,
        epoch: EpochId,
        last: Option<(EntryId, EpochId)>,
    ) -> (DocumentKey, SymmetricKey) {
        let usable = last.filter(|(_, sealed)| *sealed == epoch);
        match usable.and_then(|(entry, _)| Some((entry, self.document_key(entry)?))) {
            Some((entry, key)) => (DocumentKey::Of(entry), key.clone()),
            None => {
                let key = SymmetricKey::generate(rng);
                (DocumentKey::Fresh(key.clone()), key)
            }
        }
    }

    /// Destroys an epoch's secret (K7).
    pub fn forget_epoch(&mut self, epoch: EpochId) {
        self.epochs.remove(&epoch);
    }

    /// Destroys every key of a document: it was erased or has expired (K7, C5).
    pub fn forget_document(&mut self, document: DocumentId) {
        self.documents.retain(|_, held| held.document != document);
    }

    /// The epoch to write under (K2): of those that entries that count have minted for this
    /// audience, that are held, and whose recipients are exactly `readers`, the one whose entry
    /// had seen most; of several, the one with the smallest id. `None`: mint one.
    ///
    /// `candidates`: each mint with the `seen` count of its entry, from entries that count.
    pub fn choose<'a>(
        &self,
        candidates: impl IntoIterator<Item = (&'a Mint, u32)>,
        audience: Audience,
        readers: &BTreeSet<DeviceId>,
    ) -> Option<EpochId> {
        let mut held: Vec<(&Mint, u32)> = candidates
            .into_iter()
            .filter(|(mint, _)| mint.audience == audience && self.epochs.contains_key(&mint.epoch))
            .collect();
        held.sort_by_key(|(mint, seen)| (Reverse(*seen), mint.epoch));
        held.into_iter().find(|(mint, _)| mint.suits(readers)).map(|(mint, _)| mint.epoch)
    }
}
