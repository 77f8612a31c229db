//! What a keeper and its client say to each other (M1–M3).
//!
//! The keeper greets; then the client asks and the keeper answers, one thing at a time. Only a
//! client that waits for news ([`KeeperRequest::Watch`]) may ask something else meanwhile: the keeper
//! then answers the first at once. Why something is refused is never said.

use serde::{Deserialize, Serialize};

use super::access::SignedGeneration;
use super::{Cursor, Generation};
use crate::codec::{self, Bytes, List, Malformed};
use crate::crypto::signing::Signature;
use crate::id::{AccessKey, ControlKey, DropBoxId, MailboxId, RecordId};
use crate::limits::{
    DROP_RECORD_BYTES, GET_RECORDS, KEEPER_MESSAGE_BYTES, NAMED_RECORDS, PUT_RECORDS,
    RECONCILE_BYTES, RECORD_BYTES, REKEY_BYTES,
};
use crate::time::Timestamp;

/// The language of a keeper's streams.
pub const KEEPER_VERSION: u8 = 1;

/// The keeper's first words on a stream.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct KeeperGreeting {
    /// [`KEEPER_VERSION`].
    pub version: u8,
    /// Random, new for each stream: proofs are made over it.
    pub challenge: [u8; 32],
    /// Bytes that a new mailbox may hold.
    pub quota: u64,
    /// Milliseconds for which a record is held after it was put or renewed.
    pub retention: u64,
}

/// What a client asks.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum KeeperRequest {
    /// Make a mailbox; uses up an operator's invitation.
    Create {
        /// Of the invitation.
        secret: [u8; 32],
        /// The owner's key, and so the mailbox's name.
        owner: MailboxId,
        /// Of generation 1.
        access: AccessKey,
        /// Of generation 1.
        control: ControlKey,
    },
    /// Use a mailbox from here on.
    Open {
        /// Which.
        mailbox: MailboxId,
        /// The access key that proves it, of this generation or an ended one.
        access: AccessKey,
        /// Over this connection.
        proof: Signature,
    },
    /// Hold these.
    Put(List<NewRecord, PUT_RECORDS>),
    /// What came after a place.
    Get {
        /// The place.
        after: Cursor,
        /// Bytes of records that are wanted at most; one record is given in any case.
        bytes: u32,
    },
    /// Say when there is more than this.
    Watch {
        /// The newest place that is known.
        after: Cursor,
        /// The last count of what was put into the drop-boxes.
        drops: u64,
    },
    /// Hold these as long as if they were put now.
    Renew(List<RecordId, NAMED_RECORDS>),
    /// Give these.
    Fetch(List<RecordId, NAMED_RECORDS>),
    /// Compare which records there are, of those whose id begins with given bits.
    Reconcile {
        /// How many bits, 0 to 16.
        bits: u8,
        /// The bits, in the lowest places.
        prefix: u16,
        /// Of the negentropy protocol, version 1; every timestamp is 0.
        message: Bytes<RECONCILE_BYTES>,
    },
    /// Delete records, each with its token.
    Erase(List<(RecordId, [u8; 32]), NAMED_RECORDS>),
    /// Begin a new generation.
    Rotate(Box<SignedGeneration>),
    /// Make a drop-box, or change how long there is one.
    OpenDrop {
        /// Its name.
        drop: DropBoxId,
        /// When it goes.
        expires: Timestamp,
    },
    /// Delete a drop-box and what is in it.
    CloseDrop(DropBoxId),
    /// What came into a drop-box after a place.
    DropGet {
        /// Which.
        drop: DropBoxId,
        /// The place.
        after: Cursor,
    },
    /// Put something into a drop-box.
    DropPut {
        /// Which.
        drop: DropBoxId,
        /// The record.
        record: Bytes<DROP_RECORD_BYTES>,
    },
    /// Use a drop-box, and nothing else, from here on.
    Drop {
        /// Which.
        drop: DropBoxId,
        /// Over this connection.
        proof: Signature,
    },
}

/// A record to hold.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct NewRecord {
    /// May use the part of the quota that is kept for such records.
    pub priority: bool,
    /// Hash of the token that deletes it.
    pub erase: [u8; 32],
    /// At least `SMALLEST_RECORD`.
    pub bytes: Bytes<RECORD_BYTES>,
}

/// A record that is held.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HeldRecord {
    /// Its place.
    pub cursor: Cursor,
    /// Its bytes.
    pub bytes: Bytes<RECORD_BYTES>,
}

/// What became of a record that was put.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Putting {
    /// It is on disk, in this place.
    Stored(Cursor),
    /// It was held already, and is held on.
    Known,
    /// There is no room for it.
    Full,
}

/// How a mailbox is when it is opened.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MailboxState {
    /// Of the access key that opened it.
    pub generation: Generation,
    /// Who may begin the generation after it.
    pub control: ControlKey,
    /// Of its newest record.
    pub newest: Cursor,
    /// How many records were ever put into its drop-boxes.
    pub drops: u64,
    /// Drawn when the mailbox was made: another one says that the keeper lost what it held.
    pub store: [u8; 32],
    /// Milliseconds for which a record is held.
    pub retention: u64,
    /// Bytes that it may hold.
    pub quota: u64,
    /// Bytes that it holds.
    pub used: u64,
    /// Records that it holds.
    pub records: u64,
}

/// What a keeper answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum KeeperReply {
    /// The mailbox is made, or was made by the same request before.
    Created,
    /// The mailbox is open.
    Opened(MailboxState),
    /// The proof is of a generation that has ended; nothing is open.
    Ended {
        /// The one after it.
        generation: Generation,
        /// Its keys, wrapped.
        rekey: Bytes<REKEY_BYTES>,
    },
    /// No. The same whatever the reason is.
    Refused,
    /// Somebody else has begun this generation.
    Conflict(Generation),
    /// What became of each record, in order.
    Put(List<Putting, PUT_RECORDS>),
    /// Records by rising place, or in the order in which they were named.
    Records {
        /// The records.
        records: List<HeldRecord, GET_RECORDS>,
        /// Whether there are more than fitted.
        more: bool,
    },
    /// The newest place, and the count of what was put into the drop-boxes.
    Newest {
        /// The place.
        cursor: Cursor,
        /// The count.
        drops: u64,
    },
    /// Of the records named, those that are not held.
    Unknown(List<RecordId, NAMED_RECORDS>),
    /// Of the records named, those whose token is another.
    NotErased(List<RecordId, NAMED_RECORDS>),
    /// The next message of the set reconciliation.
    Reconcile(Bytes<RECONCILE_BYTES>),
    /// So many records cannot be compared at once: compare them in parts.
    TooMany(u64),
    /// The new generation has begun; nothing is open.
    Rotated,
    /// It is done.
    Done,
    /// There is no room for another drop-box.
    Full,
    /// Too much was asked in a short time: ask again after this.
    Later {
        /// Milliseconds.
        millis: u32,
    },
    /// The keeper cannot do anything now.
    Unavailable,
}

macro_rules! message {
    ($name:ident) => {
        impl $name {
            /// Writes the message.
            #[must_use]
            pub fn to_bytes(&self) -> Vec<u8> {
                codec::encode(self)
            }

            /// Reads a message from all of `bytes`.
            ///
            /// # Errors
            /// When they are no such message or more than `KEEPER_MESSAGE_BYTES`.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
                codec::decode(bytes, KEEPER_MESSAGE_BYTES)
            }
        }
    };
}

message!(KeeperGreeting);
message!(KeeperRequest);
message!(KeeperReply);
