//! What the simulation itself remembers of what people did: what was sealed for whom, what was
//! acknowledged, what was lost. The invariants are checked against this, never against what a
//! replica says of itself.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::authority::{AuthorityDigest, Ended};
use cairn_crdt::epoch::secret::Mint;
use cairn_crdt::id::{DocumentId, EntryId, EpochId, GrantId, MemberId};
use cairn_crdt::log::entry::Control;
use cairn_crdt::replica::Replica;
use cairn_crdt::replica::effect::{Refused, Reply};
use cairn_crdt::replica::input::CommandId;

use crate::world::World;

/// Stands in every text that people write: found on the wire, it was not sealed.
pub const CANARY: &str = "canary";

/// Words that can be told from all others.
pub fn text(what: &str) -> String {
    format!("{CANARY} {what}")
}

/// A command whose answer is still to come.
pub struct Asked {
    pub who: usize,
    pub word: String,
    /// The own entries that were decided with the answer.
    pub written: Vec<EntryId>,
}

/// Content that someone wrote.
#[derive(Clone)]
pub struct Sealed {
    pub by: usize,
    pub at: u64,
    pub epoch: EpochId,
    pub document: Option<DocumentId>,
    pub creates: bool,
    /// The members that its author counted as its readers.
    pub readers: BTreeSet<MemberId>,
    /// Those whom its author knew to have been members: with `readers`, all that it knew.
    pub known: BTreeSet<MemberId>,
}

#[derive(Default)]
pub struct Record {
    pub sealed: BTreeMap<EntryId, Sealed>,
    /// Own entries that a crash took before they were on the disk.
    pub lost: BTreeSet<EntryId>,
    /// Entries of whose writing a person was told, and by whom.
    pub acknowledged: BTreeMap<EntryId, usize>,
    /// Every set that anyone was seen to hold, and what it amounts to.
    pub evaluated: BTreeMap<[u8; 32], AuthorityDigest>,
    /// When anyone honest last counted a member as one.
    pub last_member: BTreeMap<MemberId, u64>,
    /// Grants that each person saw ended, and the control entries that it held then.
    pub ended: BTreeMap<usize, (BTreeMap<GrantId, Ended>, BTreeSet<EntryId>)>,
}

impl Record {
    pub fn sealed(&mut self, by: usize, at: u64, entry: EntryId, epoch: EpochId, who: &Replica) {
        let mints = who.set().control().values().filter_map(mint_of);
        let audience = mints.into_iter().find(|mint| mint.epoch == epoch).map(|m| m.audience);
        let authority = who.authority();
        let devices = audience.map(|audience| authority.readers(audience)).unwrap_or_default();
        let readers = devices.keys().filter_map(|device| authority.member_of(device)).collect();
        let known = authority.devices().values().map(|device| device.member);
        let known = known.filter(|member| authority.was_member(member)).collect();
        let sealed = Sealed { by, at, epoch, document: None, creates: false, readers, known };
        // A second face is also told of what the first one wrote.
        self.sealed.entry(entry).or_insert(sealed);
    }

    pub fn of_document(&mut self, by: usize, entry: EntryId, document: DocumentId, creates: bool) {
        if let Some(sealed) = self.sealed.get_mut(&entry).filter(|sealed| sealed.by == by) {
            sealed.document = Some(document);
            sealed.creates = creates;
        }
    }

    /// Entries that a crash took.
    pub fn lose(&mut self, entries: BTreeSet<EntryId>) {
        for entry in &entries {
            self.sealed.remove(entry);
        }
        self.lost.extend(entries);
    }
}

fn mint_of(control: &Control) -> Option<&Mint> {
    match control {
        Control::Epoch(mint) => Some(mint),
        Control::Revoke(revoke) => revoke.epoch.as_ref(),
        Control::Remove(remove) => remove.epoch.as_ref(),
        _ => None,
    }
}

impl World {
    /// A person is answered: from now on what was asked for must not be lost.
    pub fn replied(&mut self, id: CommandId, reply: Result<Reply, Refused>) {
        let Some(Asked { who, word, written }) = self.asked.remove(&id) else { return };
        let reply = match reply {
            Ok(reply) => reply,
            Err(_) => {
                self.count(&format!("{word} refused"));
                return;
            }
        };
        self.count(&word);
        for entry in written {
            if !self.people[who].store.entries.contains_key(&entry) {
                self.fail("6", format!("{who} is told of {entry:?} before it is on the disk"));
            }
            self.record.acknowledged.insert(entry, who);
        }
        if let Reply::Invite(code) = reply {
            self.invited(who, *code);
        }
    }
}
