//! All that can happen to a replica.

use crate::capability::grant::RootAct;
use crate::capability::rank::Rank;
use crate::crypto::signing::Signature;
pub use crate::document::kinds::post::Wants;
pub use crate::document::kinds::response::Word as ResponseWord;
use crate::id::{DeviceId, DocumentId, EntryId, GrantId, MemberId, RequestId, TransportKey};
use crate::log::entry::Header;
use crate::mailbox::KeeperCode;
use crate::replica::council::Cosigned;
pub use crate::replica::keepers::KeeperEvent;
use crate::time::Timestamp;

/// One thing that happened. Given to the replica with the time and a source of randomness.
#[derive(Clone, Debug)]
pub enum Input {
    /// A person asks for something.
    Command {
        /// Comes back with the reply.
        id: CommandId,
        /// What is asked.
        command: Command,
    },
    /// A peer's connection is up: the transport proved its key.
    Connected {
        /// Who.
        peer: TransportKey,
    },
    /// The last connection of a peer is gone.
    Disconnected {
        /// Who.
        peer: TransportKey,
    },
    /// A stream that was asked for could not be opened.
    NotOpened {
        /// To whom.
        peer: TransportKey,
        /// What for.
        protocol: Protocol,
    },
    /// Something happened on a stream.
    Session {
        /// Which stream.
        session: SessionId,
        /// What.
        event: SessionEvent,
    },
    /// A gossiped entry. Exactly one [`super::effect::Effect::Verdict`] answers it.
    Gossip {
        /// Comes back with the verdict.
        token: GossipToken,
        /// From whom directly.
        from: TransportKey,
        /// A run of one entry with its payload.
        bytes: Vec<u8>,
    },
    /// What a [`super::effect::Effect::Load`] asked for.
    Loaded {
        /// What was asked for.
        load: Load,
        /// The entries that are there, in any order.
        entries: Vec<Stored>,
    },
    /// A keeper answers, or its connection comes or goes.
    Keeper {
        /// Which.
        keeper: TransportKey,
        /// What.
        event: KeeperEvent,
    },
    /// Records of a bundle, as they stand in a file (S5).
    Bundle {
        /// In order.
        records: Vec<Vec<u8>>,
    },
    /// What stands under a key that was looked for: from strangers, so anything.
    Found {
        /// The key.
        key: [u8; 32],
        /// What stands there.
        value: Vec<u8>,
    },
    /// A timer that the replica set has run out.
    Timer(Timer),
    /// The node's own addresses changed: binary multiaddrs at which others may reach it.
    Listening {
        /// All of them.
        addresses: Vec<Vec<u8>>,
    },
}

/// Names a command until its reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct CommandId(pub u64);

/// Names a stream between two nodes. Chosen by the shell, never used again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct SessionId(pub u64);

/// Names a gossiped message until its verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct GossipToken(pub u64);

/// What a stream is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Protocol {
    /// Synchronising with a member (S1, S2).
    Sync,
    /// Asking to join (J2).
    Join,
}

/// What happens on a stream.
#[derive(Clone, Debug)]
pub enum SessionEvent {
    /// It was opened.
    Opened {
        /// The other end, proved by the transport.
        peer: TransportKey,
        /// What for.
        protocol: Protocol,
        /// Whether this node opened it.
        initiated: bool,
    },
    /// A whole message came, within [`crate::limits::MESSAGE_BYTES`].
    Message(Vec<u8>),
    /// It is over, for whatever reason.
    Closed,
}

/// What the store is asked for.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Load {
    /// Every entry that changes a document and has its payload.
    Document(DocumentId),
    /// These entries, those of them that have their payload.
    Entries(Vec<EntryId>),
}

/// An entry from the store. It was verified before it was stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its id.
    pub id: EntryId,
    /// Its header.
    pub header: Header,
    /// Its payload as stored.
    pub payload: Vec<u8>,
    /// Its signature, where that is kept.
    pub signature: Option<Signature>,
    /// Its envelope, if it was opened before: [`super::effect::Write::Envelope`].
    pub envelope: Option<Vec<u8>>,
    /// When it came to this device.
    pub arrived: Timestamp,
}

/// Timers of a replica.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Timer {
    /// Look at what is due: sessions that are silent, peers to synchronise with, expiries.
    Tick,
}

/// What a person can ask of their replica.
#[derive(Clone, Debug)]
pub enum Command {
    /// Write or change the own profile.
    SetProfile {
        /// At most [`crate::limits::PSEUDONYM_CHARS`] characters.
        pseudonym: String,
    },
    /// Write or change the group's name and agreement.
    SetAgreement {
        /// The group's name.
        name: String,
        /// The agreement's text.
        text: String,
    },
    /// Open a thread.
    StartThread {
        /// Its title.
        title: String,
        /// The opening post.
        body: Body,
    },
    /// Post into a thread.
    Post {
        /// The thread.
        thread: DocumentId,
        /// The post answered, if not the opening.
        reply_to: Option<DocumentId>,
        /// What is said.
        body: Body,
    },
    /// Post many, marked as imported, into a new thread for each title.
    Import {
        /// In the order in which they are to stand; `reply_to` points back into this list.
        posts: Vec<ImportedPost>,
    },
    /// Respond in words to a post.
    Respond {
        /// The post.
        post: DocumentId,
        /// The words.
        word: ResponseWord,
    },
    /// Change an own post.
    Edit {
        /// The post or thread.
        document: DocumentId,
        /// What it is to say.
        text: String,
    },
    /// Erase a post or thread: the own, or with the ability another's.
    Erase {
        /// Which.
        document: DocumentId,
    },
    /// Fold a post or thread away for all.
    Hide {
        /// Which.
        document: DocumentId,
        /// The rule of the agreement that it breaks.
        rule: String,
        /// In words.
        reason: String,
    },
    /// Lift every hide of a post or thread.
    Restore {
        /// Which.
        document: DocumentId,
    },
    /// Make an invite.
    Invite {
        /// What is offered.
        rank: Rank,
        /// How many may be admitted with it.
        uses: u16,
        /// When admitters stop honouring it.
        expires: Option<Timestamp>,
        /// Admit without asking.
        at_once: bool,
    },
    /// Admit who asked.
    Admit {
        /// The request.
        request: RequestId,
    },
    /// Decline who asked.
    Decline {
        /// The request.
        request: RequestId,
    },
    /// Confer a rank; a `replace` if the member has one.
    Grant {
        /// Who.
        member: MemberId,
        /// What.
        rank: Rank,
    },
    /// End a grant.
    Revoke {
        /// Whose.
        member: MemberId,
        /// Which; the highest if not said.
        grant: Option<GrantId>,
        /// Up to where its entries count.
        cut: CutChoice,
    },
    /// End all grants of a member and change the keys.
    Remove {
        /// Who.
        member: MemberId,
        /// Up to where their entries count.
        cut: CutChoice,
        /// The rule of the agreement.
        rule: String,
        /// In words.
        reason: String,
    },
    /// Make another's erasure final now (C5): a steward's decision.
    ConfirmErase {
        /// The erased post or thread.
        document: DocumentId,
    },
    /// Say a removal or revocation again that stopped counting with its author's log (A9).
    Reissue {
        /// It.
        entry: EntryId,
    },
    /// Let more of an ended member's logs count than this device said before (A5).
    Extend {
        /// Whose.
        member: MemberId,
        /// Up to where they count now.
        cut: CutChoice,
    },
    /// Select a branch of a forked log (A6).
    Pin {
        /// An entry of that branch alone.
        entry: EntryId,
    },
    /// End another device of one's own (A8).
    Unlink {
        /// Which.
        device: DeviceId,
        /// Its last entry that counts; all that is held if not said.
        last: Option<EntryId>,
    },
    /// Hand on an act of the council that this person has just signed, once that is remembered; or
    /// carry it, if enough have signed (A10).
    Cosign {
        /// From [`super::Replica::draft`] or [`super::Replica::cosign`].
        act: Box<Cosigned>,
    },
    /// Carry an act of the council that enough have signed (A10).
    Carry {
        /// It.
        act: Box<RootAct>,
    },
    /// Make a mailbox for the group at a keeper (M1).
    AddKeeper {
        /// From its operator.
        code: Box<KeeperCode>,
    },
    /// Use a keeper no more.
    DismissKeeper {
        /// The entry that says that the group uses it.
        entry: EntryId,
    },
    /// Put together all that is held, for a file (S5).
    Bundle,
    /// Leave the group.
    Leave,
    /// Synchronise with every connected peer now.
    Sync,
}

/// What a post says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Body {
    /// The text.
    pub text: String,
    /// Folds the post behind these words, if any.
    pub note: Option<String>,
    /// What the author would like back, if said.
    pub wants: Option<Wants>,
}

/// A post brought from elsewhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImportedPost {
    /// Title of the thread: posts with the same title share one.
    pub thread: String,
    /// Position in the list of the post that this answers.
    pub reply_to: Option<usize>,
    /// The original author's label.
    pub author: String,
    /// When it was written there.
    pub at: Timestamp,
    /// The text.
    pub text: String,
}

/// Up to where the entries of a subject count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CutChoice {
    /// From the tip that this replica holds: all that is known stands.
    FromTip,
    /// From the start: nothing stands.
    FromStart,
    /// Up to this entry of one device; nothing of the others.
    At(EntryId),
}
