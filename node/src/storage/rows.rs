//! What the store hands to pages and commands. The rows of posts are the replica's own:
//! [`PostRow`].

use cairn_crdt::id::{DeviceId, DocumentId, EntryId, MemberId, RequestId};
use cairn_crdt::log::entry::Kind;
use cairn_crdt::replica::effect::PostRow;
use cairn_crdt::time::Timestamp;

/// One line of a list of threads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ThreadSummary {
    /// The thread's own row, with its title.
    pub row: PostRow,
    /// Posts in it that are not erased.
    pub posts: u64,
    /// Shown posts of others that came since it was marked as read.
    pub unread: u64,
    /// When the newest of its posts claims to be written; the thread itself, if it has none.
    pub newest: Timestamp,
}

/// A post or thread that a search found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SearchHit {
    /// What was found.
    pub row: PostRow,
    /// The title of the thread that it stands in, if that is held and shown.
    pub title: Option<String>,
}

/// How a member wants to be called, and where to reach them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProfileRow {
    /// The name.
    pub pseudonym: String,
    /// Binary multiaddrs.
    pub addresses: Vec<Vec<u8>>,
}

/// The words of an act of moderation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ActRow {
    /// The document that holds them.
    pub document: DocumentId,
    /// The control entry that they explain.
    pub about: EntryId,
    /// Whom it concerns.
    pub subject: MemberId,
    /// Who acted.
    pub author: MemberId,
    /// The rule of the agreement.
    pub rule: String,
    /// In words.
    pub reason: String,
    /// When it was written.
    pub written: Timestamp,
}

/// A request to join that waits for an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestRow {
    /// Its id.
    pub request: RequestId,
    /// The name that was asked for.
    pub pseudonym: String,
    /// The words of introduction.
    pub introduction: String,
    /// When it came.
    pub arrived: Timestamp,
}

/// Where an entry stands, and what is known of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// Whose log.
    pub device: DeviceId,
    /// Position in the log.
    pub seq: u64,
    /// What it is.
    pub kind: Kind,
    /// When it came to this device.
    pub arrived: Timestamp,
    /// When its author says it was written, if its body could be read.
    pub written: Option<Timestamp>,
    /// The document that it changes, if its envelope could be opened.
    pub document: Option<DocumentId>,
    /// Whether its payload was erased.
    pub erased: bool,
}
