//! Runs (L6): consecutive entries of one log, authentic when the last one's signature holds.
//!
//! What is equal to the entry before is not sent. A run has one encoding: a field that is sent
//! though it equals the one before is refused.

use serde::{Deserialize, Serialize};

use crate::codec::{self, Bytes, List};
use crate::crypto::aead::Nonce;
use crate::crypto::domain;
use crate::crypto::signing::{Signature, SigningKey, verify};
use crate::id::{DeviceId, EntryId, EpochId, GrantId, GroupId, PayloadHash};
use crate::limits::{MESSAGE_BYTES, PAYLOAD_BYTES, RUN_ENTRIES, RUN_PAYLOAD_BYTES};
use crate::log::entry::{Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};

/// A signed run as sent and received. Its entries cannot be reached before [`Run::verify`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Run {
    version: u8,
    suite: u8,
    group: GroupId,
    device: DeviceId,
    seq: u64,
    prev: EntryId,
    steps: List<Step, RUN_ENTRIES>,
    signature: Signature,
    payloads: List<Option<Bytes<PAYLOAD_BYTES>>, RUN_ENTRIES>,
}

/// What of a header differs from the one before it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
struct Step {
    payload: PayloadHash,
    nonce: Option<Nonce>,
    grant: Option<GrantId>,
    kind: Option<Kind>,
    size: Option<u32>,
    epoch: Option<EpochId>,
    seen: Option<Seen>,
}

/// An entry with its payload, if that is at hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Hash of the header.
    pub id: EntryId,
    /// The header.
    pub header: Header,
    /// The payload as stored. Always there for control; may be missing for content.
    pub payload: Option<Vec<u8>>,
    /// The device's own signature, where it is kept: at the end of a run.
    pub signature: Option<Signature>,
}

/// Something whose signature was checked. Only [`Run::verify`] makes one, and authors of their own
/// entries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Looks at it.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// Takes it.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Why a run is refused. Always the sender's fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RunRefused {
    /// The signature of the last entry does not hold (L5).
    #[error("L5: a signature does not hold")]
    BadSignature,
    /// Not canonical, or more than its bounds (L4).
    #[error("L4: the bytes are not in canonical form")]
    NotCanonical,
    /// No entry at all, or sequence numbers past the end of their range.
    #[error("L2: a run is empty or past the last sequence number")]
    OutOfRange,
    /// A payload does not match its header, or a control payload is missing (L7).
    #[error("L7: a payload does not match its header")]
    WrongPayload,
    /// Belongs to another group (L1).
    #[error("L1: an entry belongs to another group")]
    OtherGroup,
    /// A version or suite that this build does not know.
    #[error("L1: an entry has an unknown version or suite")]
    UnknownVersion,
    /// A control entry is sealed or a content entry is not.
    #[error("L7: an entry is sealed though it is control, or clear though it is content")]
    WrongSealing,
}

impl Run {
    /// Puts entries together that follow one another in one log. The last must carry its
    /// signature.
    ///
    /// Returns `None` if they do not follow one another, are none, are too many, or the last has
    /// no signature.
    #[must_use]
    pub fn new(entries: &[Entry], with_content: bool) -> Option<Self> {
        let first = &entries.first()?.header;
        let signature = entries.last()?.signature?;
        let mut steps = Vec::with_capacity(entries.len());
        let mut payloads = Vec::with_capacity(entries.len());
        let mut before: Option<&Entry> = None;
        for entry in entries {
            let header = &entry.header;
            if let Some(before) = before {
                let follows = header.prev == before.id
                    && Some(header.seq) == before.header.seq.checked_add(1)
                    && header.device == first.device
                    && header.group == first.group;
                if !follows {
                    return None;
                }
            }
            steps.push(Step::between(before.map(|entry| &entry.header), header));
            let payload = if header.kind.is_control() || with_content {
                entry.payload.clone().map(Bytes::new).transpose().ok()?
            } else {
                None
            };
            payloads.push(payload);
            before = Some(entry);
        }
        Some(Self {
            version: first.version,
            suite: first.suite,
            group: first.group,
            device: first.device,
            seq: first.seq,
            prev: first.prev,
            steps: List::new(steps).ok()?,
            signature,
            payloads: List::new(payloads).ok()?,
        })
    }

    /// The longest run that can be made from the beginning of `entries`, which follow one another
    /// in one log, and how many of them it takes. It ends at an entry whose signature is kept, and
    /// its payloads are at most [`RUN_PAYLOAD_BYTES`]; where even the shortest run would be more,
    /// it goes without some of its content. A genesis stands alone: it does not name its group.
    ///
    /// Returns `None` if no signature is kept within [`RUN_ENTRIES`].
    #[must_use]
    pub fn first_of(entries: &[Entry], with_content: bool) -> Option<(Self, usize)> {
        let mut end = None;
        let mut bytes = 0_usize;
        for (index, entry) in entries.iter().enumerate().take(RUN_ENTRIES) {
            let counted = with_content || entry.header.kind.is_control();
            let size = entry.payload.as_ref().filter(|_| counted).map_or(0, Vec::len);
            bytes = bytes.saturating_add(size);
            if bytes > RUN_PAYLOAD_BYTES && end.is_some() {
                break;
            }
            if entry.signature.is_some() {
                end = index.checked_add(1);
            }
            if entry.header.group == GroupId::GENESIS {
                break;
            }
        }
        let taken = entries.get(..end?)?;
        let mut left = RUN_PAYLOAD_BYTES;
        let lightened: Vec<Entry> = taken
            .iter()
            .map(|entry| {
                let size = entry.payload.as_ref().map_or(0, Vec::len);
                let kept = entry.header.kind.is_control() || (with_content && size <= left);
                if kept {
                    left = left.saturating_sub(size);
                }
                Entry { payload: entry.payload.clone().filter(|_| kept), ..entry.clone() }
            })
            .collect();
        Some((Self::new(&lightened, with_content)?, taken.len()))
    }

    /// The ids of its entries, in order, each with whether its payload is here. Nothing of it is
    /// checked.
    pub fn contents(&self) -> Vec<(EntryId, bool)> {
        let entries = self.clone().entries().unwrap_or_default();
        entries.into_iter().map(|entry| (entry.id, entry.payload.is_some())).collect()
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a run.
    ///
    /// # Errors
    /// When the bytes are not canonical or a bound is exceeded.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RunRefused> {
        codec::decode(bytes, MESSAGE_BYTES).map_err(|_| RunRefused::NotCanonical)
    }

    /// Checks everything that can be checked without the rest of the set: canonical form, chain,
    /// payload hashes, that the group is `group`, and the one signature. The cheap checks come
    /// first.
    ///
    /// # Errors
    /// Which check failed.
    pub fn verify(self, group: GroupId) -> Result<Vec<Verified<Entry>>, RunRefused> {
        if (self.version, self.suite) != (VERSION, SUITE) {
            return Err(RunRefused::UnknownVersion);
        }
        if self.payloads.len() != self.steps.len() {
            return Err(RunRefused::NotCanonical);
        }
        let signature = self.signature;
        let device = self.device;
        let mut entries = self.entries()?;
        let last = entries.last_mut().ok_or(RunRefused::OutOfRange)?;
        last.signature = Some(signature);
        let last = last.id;
        for entry in &entries {
            let header = &entry.header;
            if header.group() != group || (header.group == GroupId::GENESIS) != is_genesis(header) {
                return Err(RunRefused::OtherGroup);
            }
            if (header.sealing == Sealing::Clear) != header.kind.is_control() {
                return Err(RunRefused::WrongSealing);
            }
            let size = usize::try_from(header.size).unwrap_or(usize::MAX);
            let fits = match &entry.payload {
                Some(payload) => payload.len() == size && payload_hash(payload) == header.payload,
                None => !header.kind.is_control(),
            };
            if !fits || size > PAYLOAD_BYTES {
                return Err(RunRefused::WrongPayload);
            }
        }
        verify(device.as_bytes(), domain::SIGN_ENTRY, last.as_bytes(), &signature)
            .map_err(|_| RunRefused::BadSignature)?;
        Ok(entries.into_iter().map(Verified).collect())
    }

    fn entries(self) -> Result<Vec<Entry>, RunRefused> {
        let mut entries: Vec<Entry> = Vec::with_capacity(self.steps.len());
        let mut seq = self.seq;
        let mut prev = self.prev;
        for (step, payload) in self.steps.into_vec().into_iter().zip(self.payloads.into_vec()) {
            let before = entries.last().map(|entry| &entry.header);
            if before.is_some() {
                seq = seq.checked_add(1).ok_or(RunRefused::OutOfRange)?;
            }
            let header = step
                .header_after(before, (self.group, self.device, seq, prev))
                .ok_or(RunRefused::NotCanonical)?;
            if Step::between(before, &header) != step {
                return Err(RunRefused::NotCanonical);
            }
            prev = header.id();
            entries.push(Entry {
                id: prev,
                header,
                payload: payload.map(Bytes::into_vec),
                signature: None,
            });
        }
        Ok(entries)
    }
}

impl Step {
    fn between(before: Option<&Header>, header: &Header) -> Self {
        let changed = |same: fn(&Header, &Header) -> bool| !before.is_some_and(|b| same(b, header));
        let (epoch, nonce) = match header.sealing {
            Sealing::Clear => (None, None),
            Sealing::Sealed { epoch, nonce } => {
                let same = before.and_then(epoch_of) == Some(epoch);
                ((!same).then_some(epoch), Some(nonce))
            }
        };
        Self {
            payload: header.payload,
            nonce,
            grant: changed(|a, b| a.grant == b.grant).then_some(header.grant),
            kind: changed(|a, b| a.kind == b.kind).then_some(header.kind),
            size: changed(|a, b| a.size == b.size).then_some(header.size),
            epoch,
            seen: changed(|a, b| a.seen == b.seen).then_some(header.seen),
        }
    }

    fn header_after(
        &self,
        before: Option<&Header>,
        (group, device, seq, prev): (GroupId, DeviceId, u64, EntryId),
    ) -> Option<Header> {
        let sealing = match self.nonce {
            None => Sealing::Clear,
            Some(nonce) => {
                Sealing::Sealed { epoch: self.epoch.or_else(|| before.and_then(epoch_of))?, nonce }
            }
        };
        Some(Header {
            version: VERSION,
            suite: SUITE,
            group,
            device,
            seq,
            prev,
            grant: self.grant.or_else(|| before.map(|b| b.grant))?,
            kind: self.kind.or_else(|| before.map(|b| b.kind))?,
            payload: self.payload,
            size: self.size.or_else(|| before.map(|b| b.size))?,
            sealing,
            seen: self.seen.or_else(|| before.map(|b| b.seen))?,
        })
    }
}

fn epoch_of(header: &Header) -> Option<EpochId> {
    match header.sealing {
        Sealing::Clear => None,
        Sealing::Sealed { epoch, .. } => Some(epoch),
    }
}

fn is_genesis(header: &Header) -> bool {
    header.kind == Kind::GENESIS && header.seq == 0 && header.prev == EntryId::NONE
}

impl Entry {
    /// Signs a header as its device: the result is verified by construction.
    #[must_use]
    pub fn author(key: &SigningKey, header: Header, payload: Vec<u8>) -> Verified<Self> {
        let id = header.id();
        let signature = key.sign(domain::SIGN_ENTRY, id.as_bytes());
        Verified(Self { id, header, payload: Some(payload), signature: Some(signature) })
    }

    /// Takes back what was verified before it was stored.
    #[must_use]
    pub const fn from_store(self) -> Verified<Self> {
        Verified(self)
    }
}
