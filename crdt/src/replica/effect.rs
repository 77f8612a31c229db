//! All that a replica asks of the shell. Effects are performed in order; what follows a
//! [`Effect::Persist`] only after it is on disk (S4).

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use crate::capability::draft::Draft;
use crate::capability::grant::RootAction;
use crate::capability::invite::Code;
use crate::crypto::signing::Signature;
use crate::id::{DocumentId, EntryId, EpochId, MemberId, RecordId, RequestId, TransportKey};
use crate::log::entry::Header;
use crate::replica::bundles::{Bundle, Unpacked};
use crate::replica::input::{
    CommandId, GossipToken, Load, Protocol, ResponseWord, SessionId, Timer, Wants,
};
pub use crate::replica::keepers::KeeperAsk;
use crate::time::Timestamp;

/// One thing to do.
pub enum Effect {
    /// Write all of these in one transaction, before any later effect.
    Persist(Vec<Write>),
    /// Send a message on a stream, after all that was queued on it before.
    Send {
        /// The stream.
        session: SessionId,
        /// The message.
        message: Vec<u8>,
    },
    /// Send entries from the store on a stream, after all that was queued on it before, no faster
    /// than the other end takes them.
    Serve {
        /// The stream.
        session: SessionId,
        /// Which entries.
        serve: Serve,
    },
    /// Close a stream once all that was queued on it is sent.
    Close {
        /// The stream.
        session: SessionId,
    },
    /// Open a stream to a connected peer.
    Open {
        /// Who.
        peer: TransportKey,
        /// What for.
        protocol: Protocol,
    },
    /// Try to reach a peer, and keep trying with pauses that grow, until told otherwise.
    Seek {
        /// Who.
        peer: TransportKey,
        /// Where, as binary multiaddrs.
        addresses: Vec<Vec<u8>>,
    },
    /// No longer try to reach a peer.
    Forget {
        /// Who.
        peer: TransportKey,
    },
    /// Close every connection to a peer.
    Disconnect {
        /// Who.
        peer: TransportKey,
    },
    /// Put this where members look for this device, in place of what was put before (M5).
    Tell {
        /// Under which key.
        key: [u8; 32],
        /// The record.
        value: Vec<u8>,
    },
    /// Look what stands under a key; comes back as [`super::input::Input::Found`].
    LookFor {
        /// The key.
        key: [u8; 32],
    },
    /// Ask something of a keeper, or of the shell about it.
    Keeper {
        /// Which.
        keeper: TransportKey,
        /// What.
        ask: KeeperAsk,
    },
    /// Gossip an entry to the members.
    Publish(Vec<u8>),
    /// What to do with a gossiped entry.
    Verdict {
        /// Which.
        token: GossipToken,
        /// Pass it on or not.
        verdict: Verdict,
    },
    /// From now on exactly these peers take part in gossip (S3).
    Members(BTreeSet<TransportKey>),
    /// This persona goes by another transport key from now on (I4): its network is to be ended and
    /// started again as [`crate::replica::Replica::transport_key`] says. Streams and connections of
    /// before are gone.
    Identity,
    /// Fetch from the store; comes back as [`super::input::Input::Loaded`].
    Load(Load),
    /// Wake the replica at a time.
    Timer {
        /// When.
        at: Timestamp,
        /// What for.
        timer: Timer,
    },
    /// The answer to a command.
    Reply {
        /// Which command.
        id: CommandId,
        /// What became of it.
        reply: Result<Reply, Refused>,
    },
    /// Something that a person may want to know now.
    Notify(Event),
}

/// Entries to send from the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Serve {
    /// Runs of these consecutive entries of one log, each run ending at an entry whose signature
    /// is kept; as [`crate::sync::message::Message::Run`]. If the last has none, runs end before.
    Runs {
        /// In order.
        entries: Vec<EntryId>,
        /// With content payloads, where the store has them.
        content: bool,
    },
    /// The payloads of these content entries, newest written first; as
    /// [`crate::sync::message::Message::Payloads`].
    Payloads {
        /// In any order.
        entries: Vec<EntryId>,
    },
}

/// Whether a gossiped entry is passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is good: pass it on.
    Accept,
    /// Not useful now, and nobody's fault.
    Ignore,
    /// It can never be good.
    Reject,
}

/// One change of the store.
#[derive(Clone, Debug)]
pub enum Write {
    /// A rooted entry. If it is there already, a payload or signature that was missing is added.
    Entry {
        /// Its id.
        id: EntryId,
        /// Its header.
        header: Header,
        /// Its payload as stored, if at hand.
        payload: Option<Vec<u8>>,
        /// Its signature, if it ended a run.
        signature: Option<Signature>,
        /// When it came to this device.
        arrived: Timestamp,
    },
    /// The payload of a content entry that was stored without.
    Payload {
        /// The entry.
        entry: EntryId,
        /// The payload as stored.
        payload: Vec<u8>,
        /// When it came to this device.
        arrived: Timestamp,
    },
    /// Overwrite and forget the payload and the envelope of an entry (C5).
    Erase {
        /// The entry.
        entry: EntryId,
    },
    /// Forget an entry altogether (L8).
    Evict {
        /// The entry.
        entry: EntryId,
    },
    /// What an opened content entry is about.
    Envelope {
        /// The entry.
        entry: EntryId,
        /// The document that it changes.
        document: DocumentId,
        /// If it is the entry that created the document: the document's kind, as a number.
        creates: Option<u8>,
        /// When its author says it was written, if its body could be read.
        written: Option<Timestamp>,
        /// The envelope with the document's key.
        envelope: Zeroizing<Vec<u8>>,
    },
    /// The replica's own state with its keys: replaces the one before.
    Persona(Zeroizing<Vec<u8>>),
    /// The secret of an epoch.
    Epoch {
        /// Its id.
        epoch: EpochId,
        /// The secret.
        secret: Zeroizing<[u8; 32]>,
    },
    /// Destroy the secret of an epoch (K7).
    ForgetEpoch {
        /// Its id.
        epoch: EpochId,
    },
    /// A request to join that waits for an answer.
    Request {
        /// Its id.
        request: RequestId,
        /// The request as it came.
        bytes: Vec<u8>,
        /// The name that was asked for, opened from the introduction.
        pseudonym: String,
        /// The words of introduction.
        introduction: String,
        /// When it came.
        arrived: Timestamp,
    },
    /// A request was answered.
    ForgetRequest {
        /// Its id.
        request: RequestId,
    },
    /// The frontier that a device showed last (S6): replaces the one before.
    Receipt {
        /// The receipt as it came, signed.
        bytes: Vec<u8>,
        /// Whose.
        device: crate::id::DeviceId,
    },
    /// What is remembered of a keeper besides its records: replaces the one before.
    Keeper {
        /// Which.
        keeper: TransportKey,
        /// The memory.
        memory: Zeroizing<Vec<u8>>,
    },
    /// A record that lies with a keeper, and what it holds.
    Record {
        /// Where.
        keeper: TransportKey,
        /// Its id.
        record: RecordId,
        /// See [`crate::mailbox::shelf::Kept`].
        kept: Vec<u8>,
    },
    /// A record does not lie with a keeper any more.
    ForgetRecord {
        /// Where.
        keeper: TransportKey,
        /// Its id.
        record: RecordId,
    },
    /// Forget a keeper and all its records.
    ForgetKeeper {
        /// Which.
        keeper: TransportKey,
    },
    /// These documents are to be built anew: what their rows show is out of date until each has a
    /// [`Write::Row`] again. Remembered, so that a crash in between leaves none behind (S4).
    Stale(Vec<DocumentId>),
    /// A row to read from.
    Row(Row),
}

/// What a document shows, materialised. One row a document; a newer one replaces it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Row {
    /// A post, or the opening of a thread.
    Post(PostRow),
    /// A response in words.
    Response {
        /// The response's own document.
        document: DocumentId,
        /// The post.
        post: DocumentId,
        /// Whose.
        member: MemberId,
        /// The words.
        word: ResponseWord,
    },
    /// How a member wants to be called.
    Profile {
        /// The document.
        document: DocumentId,
        /// Whose.
        member: MemberId,
        /// The name.
        pseudonym: String,
        /// Where the member's node listens, as binary multiaddrs.
        addresses: Vec<Vec<u8>>,
    },
    /// The group's name and agreement.
    Agreement {
        /// The document.
        document: DocumentId,
        /// The name.
        name: String,
        /// The text.
        text: String,
    },
    /// The words of an act of moderation.
    Act {
        /// The document.
        document: DocumentId,
        /// The control entry that it explains.
        about: EntryId,
        /// Whom it concerns.
        subject: MemberId,
        /// Who acted.
        author: MemberId,
        /// The rule.
        rule: String,
        /// In words.
        reason: String,
        /// When it was written.
        written: Timestamp,
    },
    /// The document shows nothing any more.
    Gone(DocumentId),
}

impl Row {
    /// The document.
    #[must_use]
    pub const fn document(&self) -> DocumentId {
        match self {
            Self::Post(post) => post.document,
            Self::Response { document, .. }
            | Self::Profile { document, .. }
            | Self::Agreement { document, .. }
            | Self::Act { document, .. }
            | Self::Gone(document) => *document,
        }
    }
}

/// A post, or the opening of a thread.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PostRow {
    /// The post. For an opening: the thread.
    pub document: DocumentId,
    /// The thread that it stands in; itself for an opening.
    pub thread: DocumentId,
    /// The title, for an opening.
    pub title: Option<String>,
    /// The post answered.
    pub reply_to: Option<DocumentId>,
    /// Who wrote it.
    pub author: MemberId,
    /// The entry that created it.
    pub created: EntryId,
    /// The text. Empty if erased.
    pub body: String,
    /// Content note.
    pub note: Option<String>,
    /// What the author would like back.
    pub wants: Option<Wants>,
    /// Original author and time, if imported.
    pub imported: Option<(String, Timestamp)>,
    /// When its author says it was written.
    pub written: Timestamp,
    /// When it came to this device.
    pub arrived: Timestamp,
    /// When it was last changed, as its author says.
    pub edited: Option<Timestamp>,
    /// Whether it is shown.
    pub state: PostState,
}

/// Whether a post is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PostState {
    /// It is.
    Shown,
    /// Folded away, by this entry.
    Hidden(EntryId),
    /// Its words are gone.
    Erased,
}

/// What became of a command.
#[derive(Clone)]
pub enum Reply {
    /// Done, and there is nothing to name.
    Done,
    /// A document was written.
    Document(DocumentId),
    /// These documents were written.
    Documents(Vec<DocumentId>),
    /// A control entry was written.
    Entry(EntryId),
    /// An invite was made. The shell adds the addresses.
    Invite(Box<Code>),
    /// What a bundle is made of. The shell packs and writes it.
    Bundle(Box<Bundle>),
    /// An act of the council was signed; others have to sign it too.
    Draft(Box<Draft>),
}

/// Why a command was refused, with a sentence for the person.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The member may not do this.
    #[error("you may not do this: it needs {needs}")]
    NotAllowed {
        /// The rank or ability that it needs, in words.
        needs: String,
    },
    /// There is no such thing here.
    #[error("there is no such {what} in this group")]
    Unknown {
        /// The word for it.
        what: &'static str,
    },
    /// Too long or empty.
    #[error("{what} is too long: at most {limit} bytes")]
    TooLong {
        /// The word for it.
        what: &'static str,
        /// Bytes.
        limit: usize,
    },
    /// Nothing was said.
    #[error("{what} is empty")]
    Empty {
        /// The word for it.
        what: &'static str,
    },
    /// The replica is not, or no longer, a member.
    #[error("you are not a member of this group{}", if *.removed { " any more" } else { " yet" })]
    NotAMember {
        /// Whether it once was.
        removed: bool,
    },
    /// The group uses newer rules than this program.
    #[error("this group uses newer rules: update this program before you write")]
    UpdateNeeded,
    /// This person has signed another act of the council in the place of this one: two would
    /// freeze the root (A10).
    #[error(
        "A10: you have signed another act of the council that would take the place of this one"
    )]
    SignedAnother(Box<RootAction>),
    /// What is asked contradicts itself or the state.
    #[error("{0}")]
    Conflict(String),
}

/// Something that a person may want to know now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The membership of this replica changed.
    Standing {
        /// Whether it is a member now.
        member: bool,
    },
    /// Documents changed.
    Documents(Vec<DocumentId>),
    /// Who is a member, or what they may do, changed.
    Authority,
    /// Someone asks to join.
    Request(RequestId),
    /// The request to join was declined.
    Declined,
    /// What became of records of a bundle.
    Unpacked(Unpacked),
    /// A stream has brought all that the other end had.
    Synced {
        /// The other end.
        peer: TransportKey,
    },
    /// How far a first synchronisation is.
    Progress {
        /// Entries held.
        held: u64,
        /// Content payloads still to come.
        missing: u64,
    },
    /// A peer sent something that can never be good; it was dropped.
    Misbehaved {
        /// The rule that it broke.
        rule: String,
    },
}
