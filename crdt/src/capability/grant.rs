//! Conferring a capability: genesis, grant, and the root acts of the council.

use serde::{Deserialize, Serialize};

use crate::capability::rank::{Abilities, Rank};
use crate::codec::List;
use crate::crypto::signing::Signature;
use crate::id::{EntryId, InviteId, MemberId};
use crate::limits::{CITATIONS, COUNCIL};

/// The rules that this build knows. A group whose version is higher cannot be written to (L4).
pub const GROUP_VERSION: u16 = 1;

/// What newcomers can read (K6). Fixed at genesis.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum History {
    /// What is written from their admission on.
    SinceJoining,
    /// All that is still there.
    All,
}

/// The first entry of a group, in the founder's first log. Confers rank `founder` on its author's
/// member. Payload of the kind `genesis`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Genesis {
    /// From which, with a person's seed, member and council keys are derived (I1).
    pub salt: [u8; 32],
    /// The founding member. The card that follows binds the device to it.
    pub founder: MemberId,
    /// Version of the rules in force.
    pub version: u16,
    /// What newcomers can read.
    pub history: History,
    /// Who together may act as root.
    pub council: Council,
}

/// The keys that together act as root, and how many must (A10).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Council {
    /// Ed25519 verifying keys, derived from seeds under a label of their own.
    pub keys: List<[u8; 32], COUNCIL>,
    /// How many must sign: more than half, at most all.
    pub threshold: u8,
}

/// Confers a capability on a member. Payload of the kind `grant`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Who receives it.
    pub subject: MemberId,
    /// Strictly below the rank of the grant it is issued under (A1).
    pub rank: Rank,
    /// A subset of those of the grant it is issued under (A1).
    pub abilities: Abilities,
    /// Removals and revocations of the subject that it escapes (A3).
    pub cites: List<EntryId, CITATIONS>,
    /// The invite that it honours, if one.
    pub invite: Option<InviteId>,
}

/// An act of the council (A10). Payload of the kind `root`; exercised under no grant.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RootAct {
    /// The root act before this one; the genesis for the first.
    pub previous: EntryId,
    /// What is done.
    pub action: RootAction,
    /// (index of the key in the council in force, signature over (group, previous, action)), by
    /// rising index.
    pub signatures: List<(u8, Signature), COUNCIL>,
}

/// What a council can do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum RootAction {
    /// Another council takes over.
    Rotate(Council),
    /// Newer rules come into force.
    Raise {
        /// Version of the rules.
        version: u16,
    },
    /// Confers a capability of rank founder or below.
    Grant(Grant),
    /// Ends capabilities of rank founder or below.
    Remove(crate::capability::revocation::Remove),
}
