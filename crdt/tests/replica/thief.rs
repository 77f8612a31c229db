//! What somebody opens who has taken a device, or a copy of its disk (K7, K8).

use std::collections::BTreeMap;

use cairn_crdt::codec;
use cairn_crdt::crypto::aead::SymmetricKey;
use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::document::sealing::{self, DocumentKey, ENVELOPE_BYTES, Envelope};
use cairn_crdt::epoch::secret::{EpochSecret, Mint};
use cairn_crdt::id::{EntryId, EpochId};
use cairn_crdt::log::entry::{Control, Sealing};

use crate::community::Community;
use crate::store::{Kept, Store};

/// What a device has to open something with, taken with all that its store and persona hold.
pub struct Thief {
    epochs: BTreeMap<EpochId, EpochSecret>,
    envelopes: BTreeMap<EntryId, Envelope>,
}

fn mint_of(control: &Control) -> Option<&Mint> {
    match control {
        Control::Epoch(mint) => Some(mint),
        Control::Remove(remove) => remove.epoch.as_ref(),
        Control::Revoke(revoke) => revoke.epoch.as_ref(),
        _ => None,
    }
}

/// The prekeys in a stored persona: after four keys a count, then each with a time.
pub fn prekeys(persona: &[u8]) -> Vec<SecretKey> {
    let (count, mut rest) = persona[142..].split_first().unwrap();
    let mut keys = Vec::new();
    for _ in 0..*count {
        let (key, after) = rest.split_at(32);
        keys.push(SecretKey::from_bytes(key.try_into().unwrap()));
        let end = after.iter().position(|byte| byte & 0x80 == 0).unwrap();
        rest = &after[end + 1..];
    }
    keys
}

impl Thief {
    pub fn of(c: &Community, who: usize, store: &Store) -> Self {
        let replica = &c.people[who].replica;
        let (group, device) = (replica.group(), replica.device());
        let snapshot = store.snapshot(group);
        let prekeys = prekeys(&store.persona);
        let mut epochs: BTreeMap<EpochId, EpochSecret> = snapshot
            .epochs
            .iter()
            .map(|(epoch, secret)| (*epoch, EpochSecret::from_bytes(**secret)))
            .collect();
        let mut envelopes = BTreeMap::new();
        for (id, kept) in &store.entries {
            if let Some(bytes) = &kept.envelope {
                envelopes.insert(*id, codec::decode(bytes, ENVELOPE_BYTES).unwrap());
            }
        }
        let set = replica.set();
        for (id, control) in set.control() {
            let (minter, _) = set.place_of(id).unwrap();
            if let Some(mint) = mint_of(control)
                && let Ok(secret) = mint.open(group, minter, device, &prekeys)
            {
                epochs.insert(mint.epoch, secret);
            }
            if let Control::Welcome(welcome) = control
                && welcome.recipient == device
                && let Ok(keys) = welcome.open(group, &prekeys)
            {
                let secrets = keys.epochs.iter().map(|s| (s.epoch(group), s.clone()));
                epochs.extend(secrets);
                envelopes.extend(keys.envelopes.iter().cloned());
            }
        }
        for (id, control) in set.control() {
            let Some(mint) = mint_of(control) else { continue };
            let (minter, _) = set.place_of(id).unwrap();
            if let Some(secret) = epochs.get(&mint.epoch) {
                epochs.extend(mint.previous(group, minter, secret).unwrap_or_default());
            }
        }
        Self { epochs, envelopes }
    }

    pub fn opens(&self, entry: &EntryId, kept: &Kept) -> bool {
        let Sealing::Sealed { epoch, .. } = kept.header.sealing else { return false };
        let key_of = |id: &EntryId| match &self.envelopes.get(id)?.key {
            DocumentKey::Fresh(key) => Some::<SymmetricKey>(key.clone()),
            DocumentKey::Of(_) => None,
        };
        let known = self.envelopes.get(entry).cloned();
        let payload = kept.payload.as_deref().unwrap();
        sealing::open(&kept.header, payload, self.epochs.get(&epoch), known, key_of).is_ok()
    }
}
