//! What is held of one group, and the writes that change it.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::crypto::signing::Signature;
use cairn_crdt::id::{
    DeviceId, DocumentId, EntryId, EpochId, GroupId, RecordId, RequestId, TransportKey,
};
use cairn_crdt::log::entry::{Header, Sealing};
use cairn_crdt::log::set::Slot;
use cairn_crdt::replica::effect::{Row, Write};
use cairn_crdt::replica::input::{Load, Stored};
use cairn_crdt::replica::keepers::KeeperSnapshot;
use cairn_crdt::replica::snapshot::{Snapshot, SnapshotContent, SnapshotEntry};
use cairn_crdt::time::Timestamp;
use zeroize::Zeroizing;

use super::Settings;
use crate::storage::RequestRow;

#[derive(Default)]
pub(super) struct Held {
    pub(super) persona: Zeroizing<Vec<u8>>,
    pub(super) entries: BTreeMap<EntryId, HeldEntry>,
    pub(super) epochs: BTreeMap<EpochId, Zeroizing<[u8; 32]>>,
    pub(super) requests: BTreeMap<RequestId, (RequestRow, Vec<u8>)>,
    pub(super) receipts: BTreeMap<DeviceId, Vec<u8>>,
    pub(super) keepers: BTreeMap<TransportKey, Zeroizing<Vec<u8>>>,
    pub(super) records: BTreeMap<(TransportKey, RecordId), Vec<u8>>,
    pub(super) rows: BTreeMap<DocumentId, Row>,
    pub(super) seen: BTreeSet<DocumentId>,
    pub(super) stale: BTreeSet<DocumentId>,
    pub(super) settings: Settings,
}

pub(super) struct HeldEntry {
    pub(super) header: Header,
    pub(super) payload: Payload,
    pub(super) signature: Option<Signature>,
    pub(super) arrived: Timestamp,
    pub(super) document: Option<DocumentId>,
    pub(super) creates: Option<u8>,
    pub(super) written: Option<Timestamp>,
    pub(super) envelope: Option<Zeroizing<Vec<u8>>>,
}

pub(super) enum Payload {
    Missing,
    Here(Vec<u8>),
    Erased,
}

impl Payload {
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Here(bytes) => Some(bytes),
            Self::Missing | Self::Erased => None,
        }
    }
}

impl Held {
    pub(super) fn apply(&mut self, write: &Write) {
        match write.clone() {
            Write::Entry { id, header, payload, signature, arrived } => {
                let entry = self.entries.entry(id).or_insert_with(|| HeldEntry {
                    header,
                    payload: Payload::Missing,
                    signature: None,
                    arrived,
                    document: None,
                    creates: None,
                    written: None,
                    envelope: None,
                });
                entry.signature = entry.signature.or(signature);
                if let Some(payload) = payload {
                    entry.complete(payload, arrived);
                }
            }
            Write::Payload { entry, payload, arrived } => {
                if let Some(entry) = self.entries.get_mut(&entry) {
                    entry.complete(payload, arrived);
                }
            }
            Write::Erase { entry } => {
                if let Some(entry) = self.entries.get_mut(&entry)
                    && !entry.header.kind.is_control()
                {
                    entry.payload = Payload::Erased;
                    entry.envelope = None;
                }
            }
            Write::Evict { entry } => {
                self.entries.remove(&entry);
            }
            Write::Envelope { entry, document, creates, written, envelope } => {
                if let Some(entry) = self.entries.get_mut(&entry) {
                    entry.document = Some(document);
                    entry.creates = creates;
                    entry.written = written;
                    if !matches!(entry.payload, Payload::Erased) {
                        entry.envelope = Some(envelope);
                    }
                }
            }
            Write::Persona(bytes) => self.persona = bytes,
            Write::Epoch { epoch, secret } => {
                self.epochs.insert(epoch, secret);
            }
            Write::ForgetEpoch { epoch } => {
                self.epochs.remove(&epoch);
            }
            Write::Request { request, bytes, pseudonym, introduction, arrived } => {
                let row = RequestRow { request, pseudonym, introduction, arrived };
                self.requests.insert(request, (row, bytes));
            }
            Write::ForgetRequest { request } => {
                self.requests.remove(&request);
            }
            Write::Receipt { bytes, device } => {
                self.receipts.insert(device, bytes);
            }
            Write::Keeper { keeper, memory } => {
                self.keepers.insert(keeper, memory);
            }
            Write::Record { keeper, record, kept } => {
                self.records.insert((keeper, record), kept);
            }
            Write::ForgetRecord { keeper, record } => {
                self.records.remove(&(keeper, record));
            }
            Write::ForgetKeeper { keeper } => {
                self.keepers.remove(&keeper);
                self.records.retain(|(of, _), _| *of != keeper);
            }
            Write::Stale(documents) => self.stale.extend(documents),
            Write::Row(Row::Gone(document)) => {
                self.stale.remove(&document);
                self.rows.remove(&document);
                self.seen.remove(&document);
            }
            Write::Row(row) => {
                self.stale.remove(&row.document());
                self.rows.insert(row.document(), row);
            }
        }
    }

    pub(super) fn snapshot(&self, group: GroupId) -> Snapshot {
        let mut all: Vec<(&EntryId, &HeldEntry)> = self.entries.iter().collect();
        all.sort_by_key(|(id, entry)| (entry.header.device, entry.header.seq, **id));
        let mut requests: Vec<&(RequestRow, Vec<u8>)> = self.requests.values().collect();
        requests.sort_by_key(|(row, _)| (row.arrived, row.request));
        Snapshot {
            group,
            persona: self.persona.clone(),
            entries: all.iter().map(|(id, entry)| entry.in_snapshot(**id)).collect(),
            missing: all
                .iter()
                .filter(|(_, entry)| {
                    matches!(entry.payload, Payload::Missing) && !entry.header.kind.is_control()
                })
                .map(|(id, entry)| (**id, entry.header.clone()))
                .collect(),
            stale: self.stale.iter().copied().collect(),
            epochs: self.epochs.iter().map(|(id, secret)| (*id, secret.clone())).collect(),
            requests: requests.into_iter().map(|(_, bytes)| bytes.clone()).collect(),
            receipts: self.receipts.values().cloned().collect(),
            keepers: self
                .keepers
                .iter()
                .map(|(keeper, memory)| self.keeper(*keeper, memory))
                .collect(),
        }
    }

    fn keeper(&self, keeper: TransportKey, memory: &Zeroizing<Vec<u8>>) -> KeeperSnapshot {
        let records = self.records.iter().filter(|((of, _), _)| *of == keeper);
        let records = records.map(|((_, record), kept)| (*record, kept.clone())).collect();
        KeeperSnapshot { keeper, memory: memory.clone(), records }
    }

    pub(super) fn load(&self, load: &Load) -> Vec<Stored> {
        match load {
            Load::Document(document) => self
                .entries
                .iter()
                .filter(|(_, entry)| entry.document == Some(*document))
                .filter_map(|(id, entry)| entry.stored(*id))
                .collect(),
            Load::Entries(ids) => {
                ids.iter().filter_map(|id| self.entries.get(id)?.stored(*id)).collect()
            }
        }
    }
}

impl HeldEntry {
    fn complete(&mut self, payload: Vec<u8>, arrived: Timestamp) {
        if matches!(self.payload, Payload::Missing) {
            self.payload = Payload::Here(payload);
            self.arrived = arrived;
        }
    }

    fn stored(&self, id: EntryId) -> Option<Stored> {
        Some(Stored {
            id,
            header: self.header.clone(),
            payload: self.payload.bytes()?.to_vec(),
            signature: self.signature,
            envelope: self.envelope.as_ref().map(|envelope| envelope.to_vec()),
            arrived: self.arrived,
        })
    }

    fn in_snapshot(&self, id: EntryId) -> SnapshotEntry {
        let header = &self.header;
        SnapshotEntry {
            id,
            device: header.device,
            arrived: self.arrived,
            seq: header.seq,
            slot: Slot {
                prev: header.prev,
                grant: header.grant,
                kind: header.kind,
                seen: header.seen.count,
            },
            control: self.payload.bytes().filter(|_| header.kind.is_control()).map(<[u8]>::to_vec),
            content: match header.sealing {
                Sealing::Clear => None,
                Sealing::Sealed { epoch, .. } => Some(SnapshotContent {
                    payload: self.payload.bytes().is_some(),
                    epoch,
                    document: self.document,
                    creates: self.creates,
                }),
            },
        }
    }
}
