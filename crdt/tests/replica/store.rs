//! A store in memory, as faithful as the contract asks.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::crypto::signing::Signature;
use cairn_crdt::id::{DocumentId, EntryId, EpochId, GroupId, RecordId, RequestId, TransportKey};
use cairn_crdt::log::entry::{Header, Sealing};
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::log::set::Slot;
use cairn_crdt::replica::effect::{PostRow, Row, Serve, Write};
use cairn_crdt::replica::input::{Load, Stored};
use cairn_crdt::replica::keepers::KeeperSnapshot;
use cairn_crdt::replica::snapshot::{Snapshot, SnapshotContent, SnapshotEntry};
use cairn_crdt::sync::message::{Message, PayloadOf};
use cairn_crdt::time::Timestamp;
use zeroize::Zeroizing;

#[derive(Clone)]
pub struct Kept {
    pub header: Header,
    pub payload: Option<Vec<u8>>,
    pub signature: Option<Signature>,
    pub arrived: Timestamp,
    pub erased: bool,
    pub document: Option<(DocumentId, Option<u8>)>,
    pub envelope: Option<Vec<u8>>,
}

type Records = BTreeMap<RecordId, Vec<u8>>;

#[derive(Clone, Default)]
pub struct Store {
    pub persona: Vec<u8>,
    pub entries: BTreeMap<EntryId, Kept>,
    pub rows: BTreeMap<DocumentId, Row>,
    pub requests: BTreeMap<RequestId, (Vec<u8>, String)>,
    pub stale: BTreeSet<DocumentId>,
    pub epochs: BTreeMap<EpochId, Zeroizing<[u8; 32]>>,
    receipts: BTreeMap<cairn_crdt::id::DeviceId, Vec<u8>>,
    pub keepers: BTreeMap<TransportKey, (Vec<u8>, Records)>,
}

impl Store {
    pub fn write(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Entry { id, header, payload, signature, arrived } => {
                    let kept = self.entries.entry(id).or_insert(Kept {
                        header,
                        payload: None,
                        signature: None,
                        arrived,
                        erased: false,
                        document: None,
                        envelope: None,
                    });
                    kept.payload = kept.payload.take().or(payload);
                    kept.signature = kept.signature.or(signature);
                }
                Write::Payload { entry, payload, .. } => {
                    self.entries.get_mut(&entry).unwrap().payload = Some(payload);
                }
                Write::Erase { entry } => {
                    if let Some(kept) = self.entries.get_mut(&entry) {
                        kept.payload = None;
                        kept.envelope = None;
                        kept.erased = true;
                    }
                }
                Write::Evict { entry } => {
                    self.entries.remove(&entry);
                }
                Write::Envelope { entry, document, creates, envelope, .. } => {
                    if let Some(kept) = self.entries.get_mut(&entry) {
                        kept.document = Some((document, creates));
                        kept.envelope = Some(envelope.to_vec());
                    }
                }
                Write::Persona(record) => self.persona = record.to_vec(),
                Write::Epoch { epoch, secret } => {
                    self.epochs.insert(epoch, secret);
                }
                Write::ForgetEpoch { epoch } => {
                    self.epochs.remove(&epoch);
                }
                Write::Request { request, bytes, pseudonym, .. } => {
                    self.requests.insert(request, (bytes, pseudonym));
                }
                Write::ForgetRequest { request } => {
                    self.requests.remove(&request);
                }
                Write::Receipt { bytes, device } => {
                    self.receipts.insert(device, bytes);
                }
                Write::Keeper { keeper, memory } => {
                    self.keepers.entry(keeper).or_default().0 = memory.to_vec();
                }
                Write::Record { keeper, record, kept } => {
                    self.keepers.entry(keeper).or_default().1.insert(record, kept);
                }
                Write::ForgetRecord { keeper, record } => {
                    self.keepers.entry(keeper).or_default().1.remove(&record);
                }
                Write::ForgetKeeper { keeper } => {
                    self.keepers.remove(&keeper);
                }
                Write::Stale(documents) => self.stale.extend(documents),
                Write::Row(Row::Gone(document)) => {
                    self.stale.remove(&document);
                    self.rows.remove(&document);
                }
                Write::Row(row) => {
                    self.stale.remove(&row.document());
                    self.rows.insert(row.document(), row);
                }
            }
        }
    }

    pub fn load(&self, load: &Load) -> Vec<Stored> {
        let ids: Vec<EntryId> = match load {
            Load::Entries(ids) => ids.clone(),
            Load::Document(document) => {
                let of = |kept: &&Kept| kept.document.is_some_and(|(id, _)| id == *document);
                self.entries.iter().filter(|(_, kept)| of(kept)).map(|(id, _)| *id).collect()
            }
        };
        ids.into_iter()
            .filter_map(|id| {
                let kept = self.entries.get(&id)?;
                Some(Stored {
                    id,
                    header: kept.header.clone(),
                    payload: kept.payload.clone()?,
                    signature: kept.signature,
                    envelope: kept.envelope.clone(),
                    arrived: kept.arrived,
                })
            })
            .collect()
    }

    pub fn serve(&self, serve: Serve) -> Vec<Message> {
        match serve {
            Serve::Runs { entries, content } => {
                let entries = self.read(&entries);
                let mut rest = entries.as_slice();
                let mut messages = Vec::new();
                while let Some((run, taken)) = Run::first_of(rest, content) {
                    messages.push(Message::Run(run));
                    rest = &rest[taken..];
                }
                messages
            }
            Serve::Payloads { entries } => entries
                .chunks(16)
                .map(|chunk| {
                    let payloads = chunk.iter().filter_map(|entry| {
                        let payload = self.entries[entry].payload.clone()?;
                        Some(PayloadOf { entry: *entry, payload: Bytes::new(payload).unwrap() })
                    });
                    Message::Payloads(List::new(payloads.collect()).unwrap())
                })
                .collect(),
        }
    }

    pub fn snapshot(&self, group: GroupId) -> Snapshot {
        let mut missing = Vec::new();
        let mut entries: Vec<SnapshotEntry> = Vec::new();
        for (id, kept) in &self.entries {
            let header = &kept.header;
            let content = match header.sealing {
                Sealing::Clear => None,
                Sealing::Sealed { epoch, .. } => {
                    if kept.payload.is_none() && !kept.erased {
                        missing.push((*id, header.clone()));
                    }
                    Some(SnapshotContent {
                        payload: kept.payload.is_some(),
                        epoch,
                        document: kept.document.map(|(document, _)| document),
                        creates: kept.document.and_then(|(_, creates)| creates),
                    })
                }
            };
            entries.push(SnapshotEntry {
                id: *id,
                device: header.device,
                arrived: kept.arrived,
                seq: header.seq,
                slot: Slot {
                    prev: header.prev,
                    grant: header.grant,
                    kind: header.kind,
                    seen: header.seen.count,
                },
                control: header.kind.is_control().then(|| kept.payload.clone().unwrap()),
                content,
            });
        }
        entries.sort_by_key(|entry| (entry.device, entry.seq));
        Snapshot {
            group,
            persona: Zeroizing::new(self.persona.clone()),
            entries,
            missing,
            stale: self.stale.iter().copied().collect(),
            epochs: self.epochs.iter().map(|(id, secret)| (*id, secret.clone())).collect(),
            requests: self.requests.values().map(|(bytes, _)| bytes.clone()).collect(),
            receipts: self.receipts.values().cloned().collect(),
            keepers: self.keeper_snapshots(),
        }
    }

    fn keeper_snapshots(&self) -> Vec<KeeperSnapshot> {
        let snapshot =
            |(keeper, (memory, records)): (&TransportKey, &(Vec<u8>, BTreeMap<_, _>))| {
                KeeperSnapshot {
                    keeper: *keeper,
                    memory: Zeroizing::new(memory.clone()),
                    records: records.clone().into_iter().collect(),
                }
            };
        self.keepers.iter().map(snapshot).collect()
    }

    /// Entries as a store gives them for runs.
    pub fn read(&self, ids: &[EntryId]) -> Vec<Entry> {
        let entry = |id: &EntryId| {
            let kept = self.entries.get(id)?;
            Some(Entry {
                id: *id,
                header: kept.header.clone(),
                payload: kept.payload.clone(),
                signature: kept.signature,
            })
        };
        ids.iter().filter_map(entry).collect()
    }

    pub fn posts(&self) -> Vec<&PostRow> {
        self.rows
            .values()
            .filter_map(|row| match row {
                Row::Post(post) => Some(post),
                _ => None,
            })
            .collect()
    }
}
