//! Ending capabilities, choosing branches, and acts on documents.

use serde::{Deserialize, Serialize};

use crate::capability::grant::Grant;
use crate::codec::{List, Map};
use crate::crypto::signing::Signature;
use crate::epoch::secret::Mint;
use crate::id::{DeviceId, EntryId, GrantId, MemberId};
use crate::limits::{CITATIONS, ERASED_PAYLOADS, LEAVE_GRANTS, MEMBER_DEVICES};

/// Up to where the logs of a member count (A4): device → the last entry that does. For a device
/// that is not listed nothing counts.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Cut(pub Map<DeviceId, CutHead, MEMBER_DEVICES>);

/// The last entry of a log that counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub struct CutHead {
    /// Its sequence number.
    pub seq: u64,
    /// Its id.
    pub entry: EntryId,
}

/// Ends one grant. Payload of the kind `revoke`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Revoke {
    /// The grant.
    pub grant: GrantId,
    /// Up to where entries under it count.
    pub cut: Cut,
    /// A fresh epoch without the subject, if the author held the secrets (K4).
    pub epoch: Option<Mint>,
}

/// Ends every grant of a member below the author's rank, present and future (A2). Payload of the
/// kind `remove`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Remove {
    /// Who is removed.
    pub subject: MemberId,
    /// Up to where its entries count.
    pub cut: Cut,
    /// A fresh epoch without the subject, if the author held the secrets (K4).
    pub epoch: Option<Mint>,
}

/// Ends one grant and confers another in one act (A2): a demotion is never half done. Payload of
/// the kind `replace`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Replace {
    /// The grant that ends.
    pub grant: GrantId,
    /// Up to where entries under it count.
    pub cut: Cut,
    /// The grant that takes its place.
    pub with: Grant,
}

/// Selects a branch of a forked log (A6). Payload of the kind `pin`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The forked log.
    pub device: DeviceId,
    /// An entry on the branch that is selected.
    pub head: CutHead,
    /// By what right.
    pub by: PinRight,
}

/// By what right a pin selects.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum PinRight {
    /// The rank of the grant that the entry is exercised under.
    Rank,
    /// The member key of the device itself, over (group, device, seq, entry).
    Member(MemberId, Signature),
}

/// A member ends its own grants. Payload of the kind `leave`; needs no grant.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Leave {
    /// The grants that end.
    pub grants: List<GrantId, LEAVE_GRANTS>,
    /// The member's own tips.
    pub cut: Cut,
}

/// Folds a document away for all (C5). Payload of the kind `hide`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hide {
    /// The entry that created the document: its grant is what the author must outrank.
    pub created: EntryId,
}

/// Lifts hides (C5). Payload of the kind `restore`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Restore {
    /// The hides that it lifts.
    pub hides: List<EntryId, CITATIONS>,
}

/// Erases a document (C5). Payload of the kind `erase`; its owner needs no grant.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Erase {
    /// The entry that created the document.
    pub created: EntryId,
    /// The later changes of the document that the author knew: whoever cannot open them drops
    /// them too.
    pub changes: List<EntryId, ERASED_PAYLOADS>,
}

/// Makes another's erasure final (C5). Payload of the kind `confirm-erase`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ConfirmErase {
    /// The erasure.
    pub erase: EntryId,
}
