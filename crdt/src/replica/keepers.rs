//! How a replica uses keepers (M1–M4): what it remembers of each mailbox, and what it asks and is
//! told.
//!
//! ```text
//! Up → (create) → open ─► get … ─► compare ─► drop-boxes ─► put what is lacking ─► receipt ─► watch
//!                  └─ ended: rekey record, next generation       └─ replace what was erased
//! ```
//!
//! A keeper is believed nothing: what it holds is verified like anything else, and what it once had
//! is remembered, so that losing, withholding or taking back is noticed and named. What must stay
//! true: nothing readable goes there; what this device knows of a mailbox never decides what counts.

mod adding;
mod answers;
mod boxes;
mod following;
mod generation;
mod reading;
mod talk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec;
use crate::crypto::signing::SigningKey;
use crate::id::{
    DeviceId, EntryId, EpochId, InviteId, MailboxId, RecordId, RequestId, TransportKey,
};
use crate::log::frontier::FrontierDigest;
use crate::log::set::LogSet;
use crate::mailbox::deposit::Deposit;
use crate::mailbox::message::{KeeperReply, KeeperRequest, MailboxState, Putting};
use crate::mailbox::shelf::{Kept, Shelf};
use crate::mailbox::{Cursor, Generation};
use crate::replica::Replica;
use crate::replica::allowance::Allowance;
use crate::replica::effect::Write;
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::sync::message::Receipt;
use crate::time::Timestamp;

use adding::Adding;
pub(crate) use boxes::Letters;

/// Bytes that the memory of a keeper may have in the store.
const MEMORY_BYTES: usize = 1024 * 1024;
/// Records that wait to be deleted at one keeper.
const ERASING: usize = 4096;
/// Milliseconds between two comparisons of all records.
const COMPARE_MILLIS: u64 = 3_600_000;

/// What is asked of the shell about a keeper. Every one of the latter five is answered by one
/// [`KeeperEvent`], in order, unless the connection ends.
pub enum KeeperAsk {
    /// Keep up a connection under a name that is made for it, at these binary multiaddrs.
    Reach {
        /// Where.
        addresses: Vec<Vec<u8>>,
    },
    /// No longer.
    Leave,
    /// Open the mailbox: the shell proves the key over its connection.
    Open {
        /// Which.
        mailbox: MailboxId,
        /// The access key.
        key: Box<SigningKey>,
    },
    /// Use a drop-box only: the shell proves the invite's key over its connection.
    Drop {
        /// The invite's key.
        key: Box<SigningKey>,
    },
    /// Put entries from the store: runs of these, sealed.
    Deposit(Box<Deposit>),
    /// Find out in which records the two sides differ.
    Compare {
        /// What this side knows of.
        held: Vec<RecordId>,
    },
    /// Ask this as it is.
    Request(Box<KeeperRequest>),
}

/// A record that was offered to a keeper.
#[derive(Clone, Debug)]
pub struct Deposited {
    /// Its id.
    pub record: RecordId,
    /// What it holds.
    pub kept: Kept,
    /// What the keeper said.
    pub putting: Putting,
}

/// What a keeper says, or what becomes of the connection.
#[derive(Clone, Debug)]
pub enum KeeperEvent {
    /// The connection is up.
    Up,
    /// It is not: words for a person, without addresses. Nothing asked before is answered any more.
    Down {
        /// Why.
        why: String,
    },
    /// The answer to the earliest question.
    Answer(KeeperReply),
    /// What became of a deposit.
    Deposited(Vec<Deposited>),
    /// What the two sides do not have in common.
    Compared {
        /// Records of the keeper that this side did not name.
        there: Vec<RecordId>,
        /// Records that this side named and the keeper does not have.
        here: Vec<RecordId>,
    },
    /// The keeper said what cannot be true; the connection was ended.
    Lied {
        /// How, for a person.
        how: String,
    },
}

/// What a keeper has been found to do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Misconduct {
    /// It lost or took back what it held: it was set back, or is another.
    SetBack,
    /// It does not give so many things that lie there, as this device or another member knows.
    Withholds(u32),
    /// It said what cannot be true.
    Lies,
}

/// What is remembered of one mailbox besides its records.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    mailbox: Option<MailboxId>,
    store: Option<[u8; 32]>,
    cursor: Cursor,
    generation: Generation,
    epoch: Option<EpochId>,
    retention: u64,
    /// When all that lies there had been compared, and what was old renewed: what was there then stays
    /// for half the retention at least.
    tended: Timestamp,
    /// How far each drop-box was read, and until when it stands though its invite is over: the
    /// answer has to be found.
    boxes: BTreeMap<InviteId, (Cursor, Timestamp)>,
    /// The newcomer's letter lies there.
    asked: bool,
    /// The own receipt that lies there, under which epoch, and what it shows.
    receipt: Option<(RecordId, EpochId, FrontierDigest)>,
    /// Records that are to be deleted, with the epochs that they are sealed under.
    erasing: Vec<(RecordId, EpochId)>,
    misconduct: Option<(Misconduct, Timestamp)>,
}

/// How it stands with a keeper, for a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeeperView {
    /// The keeper.
    pub keeper: TransportKey,
    /// The entry that says that the group uses it; `None` while joining.
    pub entry: Option<EntryId>,
    /// Whether its mailbox is open now.
    pub open: bool,
    /// Why not, in words.
    pub why: Option<String>,
    /// Whether all that it has was read, since the connection is up.
    pub read: bool,
    /// Entries held here that it does not have yet.
    pub lacking: u64,
    /// Those of this device among them, which are put at once; others' may still come from others.
    pub own: u64,
    /// Whether a request to join lies there, and no answer has come yet.
    pub letter: bool,
    /// Bytes used and allowed, when it was opened last.
    pub used: Option<(u64, u64)>,
    /// Whether it has said that it is full.
    pub full: bool,
    /// What it was found to do, and when.
    pub misconduct: Option<(Misconduct, Timestamp)>,
}

/// What was asked and is not answered.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Asked {
    Create,
    Open(EpochId),
    Drop,
    Get,
    Fetch(Vec<RecordId>),
    Compare,
    Deposit { content: bool },
    Receipt(RecordId, EpochId, FrontierDigest),
    Erase(Vec<RecordId>),
    Renew(Vec<RecordId>),
    Rotate(EpochId),
    OpenDrop(InviteId),
    CloseDrop(InviteId),
    DropGet(InviteId),
    Letter,
    Answer(RequestId),
    Watch,
}

/// The dealings with one keeper.
pub(crate) struct Visit {
    entry: Option<EntryId>,
    addresses: Vec<Vec<u8>>,
    memory: Memory,
    changed: bool,
    shelf: Shelf,
    up: bool,
    why: Option<String>,
    asked: VecDeque<Asked>,
    /// The mailbox as it was opened.
    state: Option<MailboxState>,
    /// Epochs whose access key was refused on this connection.
    refused: Vec<EpochId>,
    /// Those of them whose generation has ended: what follows from there was looked at.
    ended: BTreeSet<EpochId>,
    /// Nothing is asked before.
    rest: Timestamp,
    read: bool,
    /// The newest place that the keeper speaks of.
    newest: Cursor,
    compared: Option<Timestamp>,
    renewed: Option<Timestamp>,
    fetch: Vec<RecordId>,
    /// Records that it named and did not give when they were fetched, and how often, since the
    /// connection is up.
    ungiven: BTreeMap<RecordId, u8>,
    /// Drop-boxes that stand there, since the connection is up.
    standing: Vec<InviteId>,
    /// When those that could not be made, or are gone, are made anew.
    boxes_due: Option<Timestamp>,
    unread_boxes: Vec<InviteId>,
    drops: u64,
    /// No answer is put before.
    answers_due: Timestamp,
    /// The epoch of the generation whose entry is still to come, and until when it is waited for.
    awaited: Option<(EpochId, Timestamp)>,
    /// Until when nothing is put because somebody claims to have handed on its keys, or left.
    claimed: Option<Timestamp>,
    /// Generations begun today.
    rotations: Allowance,
    /// The next look into the drop-box, for a newcomer.
    box_due: Timestamp,
    full: bool,
    /// When content is offered again to a keeper that was full.
    room_due: Timestamp,
    /// When entries of others are put, if nobody else has by then.
    others_due: Option<Timestamp>,
    receipt_due: Timestamp,
    /// What members say lies there.
    claims: BTreeMap<DeviceId, Receipt>,
    suspected: bool,
    /// The last comparison lacked something, and is made once more.
    doubted: bool,
    /// What was erased while records that may hold it were on their way there.
    erased_meanwhile: BTreeSet<EntryId>,
}

impl Visit {
    fn new(entry: Option<EntryId>, addresses: Vec<Vec<u8>>, memory: Memory, shelf: Shelf) -> Self {
        Self {
            entry,
            addresses,
            memory,
            changed: false,
            shelf,
            up: false,
            why: None,
            asked: VecDeque::new(),
            state: None,
            refused: Vec::new(),
            ended: BTreeSet::new(),
            rest: Timestamp::default(),
            read: false,
            newest: Cursor::START,
            compared: None,
            renewed: None,
            fetch: Vec::new(),
            ungiven: BTreeMap::new(),
            standing: Vec::new(),
            boxes_due: None,
            unread_boxes: Vec::new(),
            drops: 0,
            answers_due: Timestamp::default(),
            awaited: None,
            claimed: None,
            rotations: Allowance::default(),
            box_due: Timestamp::default(),
            full: false,
            room_due: Timestamp::default(),
            others_due: None,
            receipt_due: Timestamp::default(),
            claims: BTreeMap::new(),
            suspected: false,
            doubted: false,
            erased_meanwhile: BTreeSet::new(),
        }
    }

    /// The connection is gone, or nothing that was said on it holds any more.
    fn hang_up(&mut self, why: Option<String>) {
        self.up = false;
        self.why = why;
        self.asked.clear();
        self.state = None;
        self.forget_refusals();
        self.read = false;
        self.doubted = false;
        self.fetch.clear();
        self.ungiven.clear();
        self.standing.clear();
        self.boxes_due = None;
        self.unread_boxes.clear();
        self.erased_meanwhile.clear();
        self.drops = 0;
    }

    /// The clock was set back: whatever was put off is due.
    fn forget_times(&mut self) {
        let never = Timestamp::default();
        (self.rest, self.room_due, self.receipt_due) = (never, never, never);
        (self.answers_due, self.box_due) = (never, never);
        (self.others_due, self.compared, self.renewed) = (None, None, None);
        self.boxes_due = self.boxes_due.map(|_| never);
        (self.awaited, self.claimed) = (None, None);
        self.memory.tended = never;
    }

    /// Every key is tried again.
    fn forget_refusals(&mut self) {
        self.refused.clear();
        self.ended.clear();
    }

    /// Whether all records here and there were compared lately.
    fn was_compared(&self, now: Timestamp) -> bool {
        self.compared.is_some_and(|at| now.since(at) < COMPARE_MILLIS)
    }

    fn remember(&mut self, change: impl FnOnce(&mut Memory)) {
        change(&mut self.memory);
        self.changed = true;
    }

    /// What is to be replaced is written down: it is deleted though this device stops first. What
    /// else it holds is put anew before.
    fn replace_stale(&mut self, set: &LogSet) {
        let room = ERASING.saturating_sub(self.memory.erasing.len());
        let stale: Vec<RecordId> = self.shelf.stale().iter().copied().take(room).collect();
        for record in stale {
            if let Some(Kept { epoch: Some(epoch), .. }) = self.shelf.lose(set, &record) {
                self.remember(|memory| memory.erasing.push((record, epoch)));
            }
        }
    }
}

/// All keepers of a group, and one that is being added.
#[derive(Default)]
pub(crate) struct Keepers {
    visits: BTreeMap<TransportKey, Visit>,
    adding: Option<Adding>,
}

impl Keepers {
    /// Whether the group uses none.
    pub(crate) fn is_empty(&self) -> bool {
        self.visits.is_empty()
    }

    /// The clock was set back.
    pub(crate) fn forget_times(&mut self, now: Timestamp) {
        self.visits.values_mut().for_each(Visit::forget_times);
        if let Some(adding) = &mut self.adding {
            adding.begin(now);
        }
    }

    /// An entry came into the set.
    pub(crate) fn grow(&mut self, set: &LogSet, (device, seq, entry): (DeviceId, u64, EntryId)) {
        for visit in self.visits.values_mut() {
            visit.shelf.grow(set, device, seq, entry);
        }
    }

    /// An entry's payload was erased.
    pub(crate) fn erased(&mut self, entry: &EntryId) {
        for visit in self.visits.values_mut() {
            visit.shelf.erase(entry);
            if visit.asked.iter().any(|asked| matches!(asked, Asked::Deposit { .. })) {
                visit.erased_meanwhile.insert(*entry);
            }
        }
    }

    /// Whether an entry lies with a keeper.
    pub(crate) fn hold(&self, entry: &EntryId) -> bool {
        self.visits.values().any(|visit| visit.shelf.holds(entry))
    }
}

/// What the store has of a keeper when a group is opened.
#[derive(Clone)]
pub struct KeeperSnapshot {
    /// The keeper.
    pub keeper: TransportKey,
    /// The last [`Write::Keeper`].
    pub memory: Zeroizing<Vec<u8>>,
    /// Every [`Write::Record`] that was not forgotten.
    pub records: Vec<(RecordId, Vec<u8>)>,
}

impl Replica {
    /// What a keeper said, or what became of the connection.
    pub(crate) fn keeper_event<R: rand_core::CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        keeper: TransportKey,
        event: KeeperEvent,
        out: &mut Outcome,
    ) {
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        match event {
            KeeperEvent::Up => {
                visit.hang_up(None);
                visit.up = true;
            }
            KeeperEvent::Down { why } => {
                visit.hang_up(Some(why.clone()));
                self.not_added(keeper, &why, out);
            }
            KeeperEvent::Lied { how } => {
                visit.hang_up(Some(how));
                self.blame(now, keeper, Misconduct::Lies);
            }
            KeeperEvent::Answer(reply) => self.keeper_answered(now, rng, keeper, reply, out),
            KeeperEvent::Deposited(records) => self.deposited(now, keeper, records, out),
            KeeperEvent::Compared { there, here } => {
                self.compared(now, keeper, there, here, out);
            }
        }
    }

    /// Names what a keeper was found to do.
    fn blame(&mut self, now: Timestamp, keeper: TransportKey, found: Misconduct) {
        if let Some(visit) = self.keepers.visits.get_mut(&keeper) {
            visit.remember(|memory| memory.misconduct = Some((found, now)));
        }
    }

    /// Writes down what is remembered of keepers, where it changed.
    pub(crate) fn keep_memories(&mut self, out: &mut Outcome) {
        for (keeper, visit) in &mut self.keepers.visits {
            visit.replace_stale(&self.set);
            if std::mem::take(&mut visit.changed) {
                let memory = Zeroizing::new(codec::encode(&visit.memory));
                out.write(Write::Keeper { keeper: *keeper, memory });
            }
        }
    }

    /// How it stands with each keeper.
    #[must_use]
    pub fn keepers(&self) -> Vec<KeeperView> {
        let own = self.device();
        let waiting = self.persona.state == ReplicaState::Waiting;
        let view = |(keeper, visit): (&TransportKey, &Visit)| KeeperView {
            keeper: *keeper,
            entry: visit.entry,
            open: visit.state.is_some(),
            why: visit.why.clone(),
            read: visit.read,
            lacking: u64::try_from(visit.shelf.lacking().len()).unwrap_or(u64::MAX),
            own: u64::try_from(visit.shelf.lacking_of(own).count()).unwrap_or(u64::MAX),
            letter: waiting && visit.memory.asked,
            used: visit.state.as_ref().map(|state| (state.used, state.quota)),
            full: visit.full,
            misconduct: visit.memory.misconduct.clone(),
        };
        self.keepers.visits.iter().map(view).collect()
    }

    /// Whether an entry is known to lie with a keeper (S6).
    #[must_use]
    pub fn with_keeper(&self, entry: &EntryId) -> bool {
        self.keepers.hold(entry)
    }
}
