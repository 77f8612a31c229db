//! One person's machine: a replica, what has been asked of the disk, and the disk.
//!
//! Effects are performed in order, and none after a write before that write is on the disk (S4).
//! A crash loses everything else: the replica, what waits, and the transaction that was being
//! written, or not the transaction, as luck has it.

use std::collections::{BTreeSet, VecDeque};

use cairn_crdt::id::{DeviceId, EntryId, MemberId, TransportKey};
use cairn_crdt::replica::effect::{Effect, Write};
use cairn_crdt::replica::{Replica, ReplicaState};
use cairn_crdt::time::Timestamp;

use crate::network::holds;
use crate::store::Store;

/// What a withholding member does not pass on.
#[derive(Clone, Copy, Debug)]
pub struct Withheld {
    /// Entries of this device.
    pub of: DeviceId,
    /// From the people whose bit is set.
    pub from: u32,
}

impl Withheld {
    pub fn is_from(&self, who: usize) -> bool {
        (self.from >> (who % 32)) & 1 == 1
    }

    pub fn hides_gossip(&self, bytes: &[u8], from: usize) -> bool {
        self.is_from(from) && holds(bytes, self.of.as_bytes())
    }
}

/// A machine and who uses it.
pub struct Person {
    /// `None` while the machine is off.
    pub replica: Option<Replica>,
    /// What is on the disk.
    pub store: Store,
    /// Older copies of the disk.
    pub copies: Vec<Store>,
    /// Effects that wait for the disk.
    pub outbox: VecDeque<Effect>,
    /// The transaction that is being written.
    pub writing: Option<Vec<Write>>,
    /// How often this machine was started: what was meant for an earlier start is dropped.
    pub life: u32,
    /// Milliseconds by which its clock is wrong.
    pub skew: i64,
    /// Who takes part in its gossip.
    pub members: BTreeSet<TransportKey>,
    /// When it is to be woken: the number of the wake that counts, and its true time.
    pub wake: Option<(u64, u64)>,
    pub key: TransportKey,
    /// The key that others know it by until its network has the new one (I4).
    pub went_by: TransportKey,
    pub member: MemberId,
    pub device: DeviceId,
    /// If this is a second copy of someone's machine: whose.
    pub face_of: Option<usize>,
    /// Whether it never withheld or equivocated and its disk was never put back.
    pub honest: bool,
    pub withheld: Option<Withheld>,
    /// Gossip that it has heard: gossip does not bring it again, as a rule.
    pub heard: BTreeSet<Vec<u8>>,
    /// Own entries that were decided and are not on the disk yet.
    pub undurable: BTreeSet<EntryId>,
    /// Rises whenever something other than bookkeeping is written.
    pub moved: u64,
}

impl Person {
    pub fn new(replica: Replica) -> Self {
        Self {
            store: Store::default(),
            copies: Vec::new(),
            outbox: VecDeque::new(),
            writing: None,
            life: 1,
            skew: 0,
            members: BTreeSet::new(),
            wake: None,
            key: key_of(&replica),
            went_by: key_of(&replica),
            member: replica.member(),
            device: replica.device(),
            face_of: None,
            honest: true,
            withheld: None,
            heard: BTreeSet::new(),
            undurable: BTreeSet::new(),
            moved: 0,
            replica: Some(replica),
        }
    }

    pub fn is_up(&self) -> bool {
        self.replica.is_some()
    }

    pub fn state(&self) -> Option<ReplicaState> {
        self.replica.as_ref().map(Replica::state)
    }

    /// What its clock shows.
    pub fn clock(&self, now: u64) -> Timestamp {
        Timestamp::from_millis(now.saturating_add_signed(self.skew))
    }

    /// The transaction that was being written is on the disk.
    pub fn commit(&mut self) {
        let Some(writes) = self.writing.take() else { return };
        for write in &writes {
            match write {
                Write::Entry { id, .. } => {
                    self.undurable.remove(id);
                    self.moved += 1;
                }
                Write::Persona(_)
                | Write::Receipt { .. }
                | Write::Keeper { .. }
                | Write::Record { .. }
                | Write::ForgetRecord { .. } => {}
                _ => self.moved += 1,
            }
        }
        self.store.write(writes);
    }
}

pub fn key_of(replica: &Replica) -> TransportKey {
    TransportKey::from_bytes(replica.transport_key().verifying_key())
}
