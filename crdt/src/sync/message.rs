//! What two nodes say to each other on a stream, to the byte (S1, S2, J2).
//!
//! Each message is the canonical encoding of one [`Message`] or [`JoinMessage`], at most
//! [`limits::MESSAGE_BYTES`]; the shell writes its length before it, 4 bytes, big endian.

use serde::{Deserialize, Serialize};

use crate::codec::{self, Bytes, List, Malformed};
use crate::crypto::signing::Signature;
use crate::id::{DeviceId, EntryId, EpochId, GroupId, InviteId};
use crate::limits;
use crate::log::entry::Seen;
use crate::log::frontier::{Frontier, FrontierDigest};
use crate::log::run::Run;

/// Runs of each sort in one passport.
pub const PASSPORT_RUNS: usize = 8;
/// Version of the streams' language.
pub const SYNC_VERSION: u8 = 1;

/// On a stream for synchronising.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// The first message of both ends.
    Hello {
        /// [`SYNC_VERSION`].
        version: u8,
        /// The group.
        group: GroupId,
        /// All rooted entries that the sender holds.
        frontier: FrontierDigest,
        /// All control entries that the sender holds.
        seen: Seen,
    },
    /// From someone whom the other end does not know: who let them in (S1).
    Passport(Passport),
    /// The sender will synchronise.
    Welcome(Admittance),
    /// The sender will not. The stream ends.
    Refused(Refusal),
    /// What the sender holds. Only after a welcome from the other end.
    Frontier(Frontier),
    /// Asks for what leads to these tips.
    Want {
        /// One for each tip that the sender lacks.
        wants: List<Want, { limits::DEVICES }>,
        /// Whether content payloads are to come along.
        content: bool,
    },
    /// Entries.
    Run(Run),
    /// All runs that were wanted have been sent.
    RunsDone,
    /// Asks for content payloads of entries that the sender holds the headers of.
    WantPayloads(List<Range, { limits::WANTED_RANGES }>),
    /// Content payloads.
    Payloads(List<PayloadOf, { limits::RUN_ENTRIES }>),
    /// All payloads that were wanted and are there have been sent.
    PayloadsDone,
    /// What a device holds (S6), its own or passed on.
    Receipt(Receipt),
    /// The sender has all it wanted and expects nothing more.
    Done {
        /// Whether this end now holds all that the other showed it, with every payload (S6).
        all: bool,
    },
    /// Epochs that the sender may open and holds no secret of: it asks for them again (K8). Before
    /// its [`Message::Done`], once. The connection proves who asks: the transport key is the one
    /// that a card binds to the device.
    Lacking(List<EpochId, { limits::LACKING_EPOCHS }>),
}

/// What the sender lets the other end have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Admittance {
    /// A member's device: everything.
    Member,
    /// A removed member's device: the control entries and the act that concerns it (S1).
    Removed,
}

/// Why a stream is refused. Says nothing that a stranger could use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Refusal {
    /// Not known here: the joining protocol is open.
    NotKnown,
    /// The other end speaks another version.
    Version,
    /// The other end broke a rule.
    Misbehaved,
    /// Too busy now.
    Busy,
}

/// Asks for what leads to a tip.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Want {
    /// Whose log.
    pub device: DeviceId,
    /// The tip.
    pub head: EntryId,
    /// Entries of that log that the sender holds: its tips, then ever further back.
    pub have: List<EntryId, { limits::LOCATOR_IDS }>,
}

/// Consecutive entries of one log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Whose log.
    pub device: DeviceId,
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// The payload of one content entry; its hash says of which.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PayloadOf {
    /// The entry.
    pub entry: EntryId,
    /// The payload as stored.
    pub payload: Bytes<{ limits::PAYLOAD_BYTES }>,
}

/// Who one is and who let one in: enough for a member that has not heard of it to open the door,
/// and no rule of validity.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Passport {
    /// Runs that open logs with their cards: of the issuers in the chain and, last, the sender's.
    pub cards: List<Run, PASSPORT_RUNS>,
    /// Runs of the issuers' logs that begin with the grants of the chain, the sender's own last.
    pub grants: List<Run, PASSPORT_RUNS>,
}

/// What a device holds: signed, but no entry (S6).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Whose.
    pub device: DeviceId,
    /// Rises with every receipt of the device.
    pub count: u64,
    /// What it held.
    pub frontier: Frontier,
    /// By the device over (group, count, frontier).
    pub signature: Signature,
}

/// On a stream for joining.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum JoinMessage {
    /// The newcomer asks.
    Request(Box<Request>),
    /// The request was taken in and waits for a person.
    Waiting,
    /// The newcomer is a member: synchronise.
    Admitted,
    /// The request was declined, or cannot be honoured here.
    Declined(Declined),
}

/// Why a request is declined.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Declined {
    /// A person said no.
    ByPerson,
    /// The invite is used up.
    UsedUp,
    /// The invite has expired.
    Expired,
    /// The invite is not known here, or names other admitters.
    NotHere,
    /// The request is malformed or its proofs do not hold.
    Malformed,
}

/// A request to join (J2).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The group.
    pub group: GroupId,
    /// The newcomer's device.
    pub device: DeviceId,
    /// The run that opens the newcomer's log with its card.
    pub opening: Run,
    /// The invite.
    pub invite: InviteId,
    /// By the invite key over (group, device).
    pub proof: Signature,
    /// HPKE box to the invite's request key, bound to (group, device): an [`Introduction`].
    pub introduction: Bytes<{ limits::SEALED_BOX_BYTES }>,
}

/// How a newcomer introduces itself, in words that only moderators read.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Introduction {
    /// The name it would like.
    pub pseudonym: codec::Text<{ limits::PSEUDONYM_CHARS * 4 }>,
    /// A few words.
    pub words: codec::Text<{ limits::NOTE_BYTES }>,
}

impl Message {
    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are not canonical or a bound is exceeded.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, limits::MESSAGE_BYTES)
    }
}

impl JoinMessage {
    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are not canonical or a bound is exceeded.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, limits::MESSAGE_BYTES)
    }
}
