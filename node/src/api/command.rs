//! The local API: what a command line, a terminal or a page can ask of a node, and the answers.
//!
//! Ids are opaque strings; times are ISO 8601 in UTC. Fields may be added, never renamed.

use serde::{Deserialize, Serialize};

/// One question to the node. `group` is a group's id, an unambiguous beginning of it, or its name.
/// The same holds for members (their pseudonym), threads (their title), posts and requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are those of the command line, documented there")]
pub enum Request {
    GroupCreate {
        name: String,
        pseudonym: String,
        history: HistoryChoice,
    },
    GroupList,
    GroupShow {
        group: String,
    },
    GroupLeave {
        group: String,
    },
    Invite {
        group: String,
        rank: String,
        uses: u16,
        expires_in_seconds: Option<u64>,
        at_once: bool,
    },
    Join {
        code: String,
        pseudonym: String,
        words: String,
    },
    Requests {
        group: String,
    },
    Admit {
        group: String,
        request: String,
    },
    Decline {
        group: String,
        request: String,
    },
    ThreadStart {
        group: String,
        title: String,
        body: String,
        note: Option<String>,
        wants: Option<String>,
    },
    Post {
        group: String,
        thread: String,
        reply_to: Option<String>,
        body: String,
        note: Option<String>,
        wants: Option<String>,
    },
    Threads {
        group: String,
    },
    Read {
        group: String,
        thread: String,
        mark: bool,
    },
    Search {
        group: String,
        words: String,
    },
    Respond {
        group: String,
        post: String,
        word: String,
    },
    Edit {
        group: String,
        post: String,
        body: String,
    },
    Erase {
        group: String,
        post: String,
    },
    ConfirmErase {
        group: String,
        post: String,
    },
    Hide {
        group: String,
        post: String,
        rule: String,
        reason: String,
    },
    Restore {
        group: String,
        post: String,
    },
    Agreement {
        group: String,
    },
    SetAgreement {
        group: String,
        text: String,
    },
    SetPseudonym {
        group: String,
        pseudonym: String,
    },
    Members {
        group: String,
    },
    Grant {
        group: String,
        member: String,
        rank: String,
        /// Only say what it would change.
        #[serde(default)]
        preview: bool,
    },
    Revoke {
        group: String,
        member: String,
        grant: Option<String>,
        cut: CutSpec,
        /// Only say what it would change.
        #[serde(default)]
        preview: bool,
    },
    Remove {
        group: String,
        member: String,
        cut: CutSpec,
        rule: String,
        reason: String,
        /// Only say what it would change.
        #[serde(default)]
        preview: bool,
    },
    Extend {
        group: String,
        member: String,
        cut: CutSpec,
    },
    Reissue {
        group: String,
        entry: String,
    },
    Pin {
        group: String,
        entry: String,
    },
    Unlink {
        group: String,
        device: String,
        last: Option<String>,
    },
    Council {
        group: String,
    },
    CouncilDraft {
        group: String,
        act: CouncilSpec,
    },
    CouncilSign {
        group: String,
        act: String,
        /// Only say what it does.
        #[serde(default)]
        preview: bool,
    },
    Acts {
        group: String,
    },
    Explain {
        group: String,
        id: String,
    },
    Import {
        group: String,
        posts: Vec<ImportLine>,
    },
    Export {
        group: String,
    },
    /// Packs a bundle into a file of the node's folder; whoever asks takes it away.
    BundleWrite {
        group: String,
    },
    /// Reads a bundle from a file that the node can open.
    BundleRead {
        group: String,
        file: String,
    },
    KeeperAdd {
        group: String,
        code: String,
    },
    Keepers {
        group: String,
    },
    KeeperRemove {
        group: String,
        keeper: String,
    },
    Sync {
        group: String,
        wait: bool,
    },
    Peers {
        group: String,
    },
    Status,
    Doctor,
    Shutdown,
}

/// What newcomers of a new group can read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryChoice {
    /// What is written from their admission on.
    #[default]
    SinceJoining,
    /// All that is still there.
    All,
}

/// Up to where the entries of a subject count.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutSpec {
    /// All that this node holds stands.
    #[default]
    FromTip,
    /// Nothing stands.
    FromStart,
    /// Up to this entry.
    At(String),
}

/// What the council is asked to do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CouncilSpec {
    /// Hand over to another council.
    Rotate {
        /// Its keys, in base32.
        keys: Vec<String>,
        /// How many must sign.
        threshold: u8,
    },
    /// Confer a rank.
    Appoint {
        /// On whom.
        member: String,
        /// Founder at most.
        rank: String,
    },
    /// End what a member holds.
    Remove {
        /// Whose.
        member: String,
        /// Up to where their entries count.
        cut: CutSpec,
    },
}

/// One line of a conversation to import.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ImportLine {
    /// Lines with the same conversation make one thread.
    pub conversation: String,
    /// Named by `reply_to` of later lines.
    pub id: String,
    /// The line answered.
    pub reply_to: Option<String>,
    /// The original author's label.
    pub author: String,
    /// ISO 8601.
    pub at: String,
    /// The text.
    pub body: String,
}

/// An answer: the JSON value that `--json` prints.
pub type Answer = serde_json::Value;

/// Why there is no answer: a sentence, and what to do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Stable, for programs: `not-found`, `refused`, `usage`, `unavailable`, `storage`, `ambiguous`…
    pub kind: String,
    /// What happened, as one sentence.
    pub message: String,
    /// What the person can do, if anything.
    pub hint: Option<String>,
}
