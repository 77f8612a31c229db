//! Sealing of content (K5): two seals, so that a document key can be handed on without the epoch.
//!
//! The payload of a content entry, to the byte (`varint` and lengths as in [`crate::codec`]):
//!
//! ```text
//! payload  = length(envelope) envelope length(body) body
//! envelope = XChaCha20-Poly1305(key = HKDF-SHA256(epoch secret, label "…envelope"),
//!                               nonce of the header, header without payload hash and size,
//!                               Envelope)
//! body     = XChaCha20-Poly1305(key = document key, same nonce, same associated data,
//!                               Padmé(codec ‖ compressed change))
//! Envelope = document (32) ‖ 0 or 1 ‖ [Creation] ‖ (0 ‖ key (32)  or  1 ‖ entry (32))
//! Creation = (0 ‖ member (32)  or  1) ‖ random (16) ‖ kind (varint)
//! codec    = 0: the change as it is; 1: raw deflate (RFC 1951)
//! ```
//!
//! Envelope and body are sealed under different keys, so that both can use the one random nonce.
//! What must stay true: the inflated size is bounded before anything is inflated; compression
//! never spans two documents; a document key is accepted only with the envelope that names it.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec::{self, Bytes};
use crate::crypto::aead::{Nonce, SymmetricKey, TAG_BYTES};
use crate::crypto::{domain, padding};
use crate::document::kinds::DocumentKind;
use crate::epoch::secret::EpochSecret;
use crate::id::{DocumentId, EntryId, GroupId, MemberId, PayloadHash};
use crate::limits::{CHANGE_BYTES, PAYLOAD_BYTES};
use crate::log::entry::{Header, Kind, Sealing, payload_hash};

/// Bytes that an encoded envelope may have; the largest is 116.
pub const ENVELOPE_BYTES: usize = 128;
/// Compression level: measured on posts, more gains nothing.
const LEVEL: u8 = 6;
const PLAIN: u8 = 0;
const DEFLATE: u8 = 1;

/// Whose a document is (C1).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub enum Owner {
    /// Only this member's devices write in it.
    Member(MemberId),
    /// Whoever holds the ability for its kind.
    Shared,
}

/// What a document's id is the hash of. Carried by the change that creates it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Creation {
    /// Whose it is.
    pub owner: Owner,
    /// Random.
    pub random: [u8; 16],
    /// What it is.
    pub kind: DocumentKind,
}

impl Creation {
    /// The parts of a new document.
    pub fn new<R: CryptoRng>(rng: &mut R, owner: Owner, kind: DocumentKind) -> Self {
        let mut random = [0; 16];
        rng.fill_bytes(&mut random);
        Self { owner, random, kind }
    }

    /// Whether a document of this kind is owned as these parts say: shared kinds are shared, all
    /// others have an owner (C1).
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.kind.is_shared() == (self.owner == Owner::Shared)
    }

    /// The id of the document that is created with these parts in a group: hash of (label, group,
    /// encoded parts). The kind is one of the parts, so that one id is never of two kinds.
    #[must_use]
    pub fn document(&self, group: GroupId) -> DocumentId {
        let parts = codec::encode(self);
        DocumentId::from_bytes(domain::hash(domain::DOCUMENT, &[group.as_bytes(), &parts]))
    }
}

/// Under which key the body of an entry is sealed (K5).
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub enum DocumentKey {
    /// A fresh key, for this entry and what follows.
    Fresh(SymmetricKey),
    /// The key that this earlier entry of the document carried.
    Of(EntryId),
}

/// What a reader must know to open the body, sealed under the epoch. Has no `Debug`.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The document that the change is of.
    pub document: DocumentId,
    /// The parts of its id, in the change that creates it.
    pub creation: Option<Creation>,
    /// The key of the body.
    pub key: DocumentKey,
}

impl Envelope {
    /// Whether the parts of a creation are sound and make the document's id (C1).
    fn is_sound(&self, group: GroupId) -> bool {
        self.creation
            .is_none_or(|creation| creation.is_sound() && creation.document(group) == self.document)
    }
}

/// The payload of a content entry.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SealedContent {
    /// The envelope under the epoch.
    pub envelope: Bytes<{ ENVELOPE_BYTES + TAG_BYTES }>,
    /// The change under the document's key.
    pub body: Bytes<PAYLOAD_BYTES>,
}

/// A content entry, opened. Who may write in the document is checked by the caller: the owner
/// against the member of the entry's device, or the ability for a shared document's kind.
#[derive(Clone, Eq, PartialEq)]
pub struct Opened {
    /// Document, creation, key.
    pub envelope: Envelope,
    /// The change's bytes: not yet checked (C3).
    pub change: Vec<u8>,
}

/// The content cannot be sealed: a fault of this program.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotSeal {
    /// The change is larger than an entry can carry.
    #[error("the text is too long for one post")]
    TooLarge,
    /// The envelope carries another key than the body would be sealed under.
    #[error("K5: the envelope carries another key than the one used")]
    OtherKey,
    /// The envelope names a document that its parts do not make, or they are unsound.
    #[error("C1: the document's id is not made of sound parts")]
    OtherDocument,
}

/// Why content does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotOpen {
    /// No key yet, and no fault of anyone: an epoch or a welcome may still come (K3, K8).
    #[error("K3: this device holds no key for the entry")]
    NoKey,
    /// The key that an earlier entry of the document carried is not known yet.
    #[error("K5: the entry that carries the document's key has not been opened yet")]
    NoDocumentKey(EntryId),
    /// The entry is not sealed content, or of a kind that only newer builds know.
    #[error("L7: the entry is not sealed content")]
    NotContent,
    /// A seal does not open with the key that it names: the author's fault.
    #[error("K5: the seal does not open")]
    Damaged,
    /// It opens but holds nothing that this build can read: the author's fault, or a kind of
    /// document that only newer builds know.
    #[error("K5: what is sealed is malformed")]
    Malformed,
    /// The document's id is not the hash of the parts, or they are unsound: the author's fault.
    #[error("C1: the document's id is not made of sound parts")]
    OtherDocument,
}

/// Seals a change. `header` is complete but for its sealing, payload hash and size, which are
/// filled in; `key` is the document key that the envelope carries or refers to.
///
/// # Errors
/// When the change is too large, or envelope and key contradict each other.
pub fn seal<R: CryptoRng>(
    rng: &mut R,
    header: Header,
    secret: &EpochSecret,
    envelope: &Envelope,
    key: &SymmetricKey,
    change: &[u8],
) -> Result<(Header, Vec<u8>), CannotSeal> {
    let group = header.group();
    match &envelope.key {
        DocumentKey::Fresh(fresh) if fresh != key => return Err(CannotSeal::OtherKey),
        _ => {}
    }
    if !envelope.is_sound(group) {
        return Err(CannotSeal::OtherDocument);
    }
    if change.len() > CHANGE_BYTES {
        return Err(CannotSeal::TooLarge);
    }
    let nonce = Nonce::generate(rng);
    let mut header = Header {
        kind: Kind::CONTENT,
        sealing: Sealing::Sealed { epoch: secret.epoch(group), nonce },
        payload: PayloadHash::from_bytes([0; 32]),
        size: 0,
        ..header
    };
    let associated = header.associated();
    let plain = Zeroizing::new(codec::encode(envelope));
    let content = SealedContent {
        envelope: Bytes::new(secret.envelope_key().seal(&nonce, &associated, &plain))
            .map_err(|_| CannotSeal::TooLarge)?,
        body: Bytes::new(key.seal(&nonce, &associated, &packed(change)))
            .map_err(|_| CannotSeal::TooLarge)?,
    };
    let payload = codec::encode(&content);
    if payload.len() > PAYLOAD_BYTES {
        return Err(CannotSeal::TooLarge);
    }
    header.payload = payload_hash(&payload);
    header.size = u32::try_from(payload.len()).map_err(|_| CannotSeal::TooLarge)?;
    Ok((header, payload))
}

/// Opens content whose payload matches its header (checked when the run was).
///
/// `secret` is the secret of the epoch that the header names, if held; `known` the envelope from a
/// welcome, if there is one, which is used when the epoch is not held; `key_of` finds the document
/// key that an earlier entry carried.
///
/// # Errors
/// When a key is missing, or the author sealed something wrongly; see [`CannotOpen`].
pub fn open(
    header: &Header,
    payload: &[u8],
    secret: Option<&EpochSecret>,
    known: Option<Envelope>,
    key_of: impl Fn(&EntryId) -> Option<SymmetricKey>,
) -> Result<Opened, CannotOpen> {
    let (Kind::CONTENT, Sealing::Sealed { nonce, .. }) = (header.kind, header.sealing) else {
        return Err(CannotOpen::NotContent);
    };
    let content: SealedContent =
        codec::decode(payload, PAYLOAD_BYTES).map_err(|_| CannotOpen::Malformed)?;
    let envelope = envelope_of(header, &content, secret, known)?;
    let associated = header.associated();
    let key = match &envelope.key {
        DocumentKey::Fresh(key) => key.clone(),
        DocumentKey::Of(entry) => key_of(entry).ok_or(CannotOpen::NoDocumentKey(*entry))?,
    };
    let packed =
        key.open(&nonce, &associated, content.body.as_slice()).map_err(|_| CannotOpen::Damaged)?;
    let change = unpacked(&packed).ok_or(CannotOpen::Malformed)?;
    Ok(Opened { envelope, change })
}

/// Opens the envelope alone: which document an entry is of, and where its key is.
///
/// # Errors
/// As [`open`], but for the body.
pub fn open_envelope(
    header: &Header,
    payload: &[u8],
    secret: Option<&EpochSecret>,
    known: Option<Envelope>,
) -> Result<Envelope, CannotOpen> {
    let content: SealedContent =
        codec::decode(payload, PAYLOAD_BYTES).map_err(|_| CannotOpen::Malformed)?;
    envelope_of(header, &content, secret, known)
}

fn envelope_of(
    header: &Header,
    content: &SealedContent,
    secret: Option<&EpochSecret>,
    known: Option<Envelope>,
) -> Result<Envelope, CannotOpen> {
    // Content of a kind that this build does not know is kept and read as nothing (L4).
    let (Kind::CONTENT, Sealing::Sealed { epoch, nonce }) = (header.kind, header.sealing) else {
        return Err(CannotOpen::NotContent);
    };
    let group = header.group();
    let associated = header.associated();
    let envelope = match (secret, known) {
        (Some(secret), _) => {
            if secret.epoch(group) != epoch {
                return Err(CannotOpen::NoKey);
            }
            let plain = secret
                .envelope_key()
                .open(&nonce, &associated, content.envelope.as_slice())
                .map_err(|_| CannotOpen::Damaged)?;
            codec::decode(&plain, ENVELOPE_BYTES).map_err(|_| CannotOpen::Malformed)?
        }
        (None, Some(known)) => known,
        (None, None) => return Err(CannotOpen::NoKey),
    };
    if !envelope.is_sound(group) {
        return Err(CannotOpen::OtherDocument);
    }
    Ok(envelope)
}

/// Codec, then the change, compressed if that is shorter; padded.
fn packed(change: &[u8]) -> Zeroizing<Vec<u8>> {
    let deflated = compress_to_vec(change, LEVEL);
    let (codec, content) = if deflated.len() < change.len() {
        (DEFLATE, deflated.as_slice())
    } else {
        (PLAIN, change)
    };
    let mut bytes = Vec::with_capacity(padding::padme(content.len().saturating_add(2)));
    bytes.push(codec);
    bytes.extend_from_slice(content);
    Zeroizing::new(padding::pad(bytes))
}

/// The change; `None` if padding, codec or compressed data are wrong, or it is larger than
/// [`CHANGE_BYTES`].
fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let (codec, content) = padding::unpad(packed)?.split_first()?;
    match *codec {
        PLAIN if content.len() <= CHANGE_BYTES => Some(content.to_vec()),
        DEFLATE => decompress_to_vec_with_limit(content, CHANGE_BYTES).ok(),
        _ => None,
    }
}
