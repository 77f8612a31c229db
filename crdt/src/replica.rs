//! One device's copy of a group, behind one door: [`Input`] in, [`Effect`]s out.
//!
//! ```text
//! run ─verify─► Verified<Entry> ─ingest─► LogSet ─evaluate─► Authority
//!                                            └─open─► change ─authorize─► Document ─► rows
//! ```
//!
//! The replica routes; its parts (set, authority, keyring, documents, sessions, holdings) do not
//! know each other. What must stay true: the answer to any question depends on the set of entries
//! alone; nothing leaves before it is written; nothing that a peer sends panics.

mod acts;
mod again;
mod allowance;
mod author;
pub mod bundles;
mod confirming;
pub mod council;
mod denials;
mod documents;
pub mod effect;
mod erasing;
mod exchange;
mod explain;
mod forks;
mod found;
mod gossip;
mod holdings;
mod ingest;
pub mod input;
mod joining;
pub mod keepers;
mod keys;
mod materialise;
mod outcome;
mod passport;
mod peers;
mod persona;
mod posts;
mod prekeys;
pub mod preview;
mod reading;
mod retention;
mod rewriting;
mod rollback;
mod sessions;
pub mod snapshot;
mod welcoming;
mod whereabouts;

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;

use crate::authority::Authority;
use crate::capability::invite::Code;
use crate::crypto::domain;
use crate::crypto::signing::SigningKey;
use crate::document::sealing::Envelope;
use crate::epoch::keyring::Keyring;
use crate::epoch::secret::Audience;
use crate::id::{DeviceId, DocumentId, EntryId, EpochId, GroupId, MemberId, RequestId};
use crate::log::frontier::{Frontier, FrontierDigest};
use crate::log::parked::Parked;
use crate::log::set::LogSet;
use crate::sync::message::{Receipt, Request};
use crate::time::{Latest, Timestamp};

pub use explain::{Act, Explanation};
pub use found::{Founding, Joining};
pub use persona::ReplicaState;

use documents::Documents;
use effect::{Effect, Write};
use holdings::Holdings;
use input::{Input, Load, SessionId, Timer};
use keepers::Keepers;
use outcome::Outcome;
use peers::Peers;
use persona::Persona;
use posts::PendingEdit;
use prekeys::Asked;
use whereabouts::Lookout;

/// Milliseconds between two looks at what is due.
const TICK_MILLIS: u64 = 5_000;
/// Documents asked of the store at a time.
const LOADS: usize = 64;

/// The store's record of a group cannot be read: the store is damaged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the record of this group cannot be read")]
pub struct Damaged;

/// To how many members an entry has come, as far as is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reach {
    /// Other members of whom a device is known to hold it.
    pub members: usize,
    /// Other members that may read.
    pub of: usize,
}

/// One device's copy of a group.
pub struct Replica {
    persona: Persona,
    set: LogSet,
    parked: Parked,
    /// Members that any held grant names: their devices' logs may be stored (L3).
    granted: BTreeSet<MemberId>,
    authority: Authority,
    keyring: Keyring,
    documents: Documents,
    /// The epoch of every content entry.
    sealed_under: BTreeMap<EntryId, EpochId>,
    /// Entries whose payload is to be dropped and never taken again (C5).
    erased: BTreeSet<EntryId>,
    /// When this device heard of each erasure: others' become final a week later (C5).
    erasures_heard: BTreeMap<EntryId, Timestamp>,
    edits: BTreeMap<DocumentId, Vec<PendingEdit>>,
    requests: BTreeMap<RequestId, Request>,
    /// Entries that mint an epoch.
    mints: BTreeSet<EntryId>,
    /// The epoch in use for an audience, until something changes.
    chosen: BTreeMap<Audience, EpochId>,
    /// Envelopes from welcomes whose entries they have not opened yet.
    welcomed: BTreeMap<EntryId, Envelope>,
    /// Welcomes whose keys were asked of the store.
    paying: BTreeMap<Load, DeviceId>,
    /// Passports whose runs were asked of the store, and for which streams.
    passports: BTreeMap<Load, BTreeSet<SessionId>>,
    /// Acts of moderation by the member that they concern.
    acts: BTreeMap<MemberId, BTreeSet<EntryId>>,
    /// Whether content that could not be read may be readable now, and what of it is being read.
    retry: bool,
    retrying: Option<Load>,
    peers: Peers,
    holdings: Holdings,
    addresses: Vec<Vec<u8>>,
    /// This replica became a member and has not introduced itself yet.
    introduction_due: bool,
    /// Whom this replica has asked for keys lately (K8).
    asked: Asked,
    /// A stream has just brought all that the other end had.
    synced: bool,
    /// When was last looked for what is out of use (K7).
    swept: Timestamp,
    next_tick: Timestamp,
    latest: Latest,
    last_receipt: Timestamp,
    /// What the last receipt said.
    last_shown: Option<FrontierDigest>,
    own_receipt: Option<Receipt>,
    /// What was told to peers last; a keeper may have been left something newer.
    last_told: Option<FrontierDigest>,
    keepers: Keepers,
    /// Where members are told and looked for (M5).
    lookout: Lookout,
}

impl Replica {
    /// The one door. Performs nothing: what is to be done comes back in order.
    pub fn handle<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        input: Input,
    ) -> Vec<Effect> {
        let mut out = Outcome::default();
        if self.latest.is_set_back(now) {
            self.forget_times(now);
        }
        let stirs = matches!(
            input,
            Input::Keeper { .. } | Input::Timer(_) | Input::Command { .. } | Input::Bundle { .. }
        );
        match input {
            Input::Command { id, command } => self.command(now, rng, id, command, &mut out),
            Input::Connected { peer } => self.connected(now, peer, &mut out),
            Input::Disconnected { peer } => self.peers.disconnected(peer),
            Input::NotOpened { peer, protocol } => self.peers.not_opened(peer, protocol),
            Input::Session { session, event } => {
                self.session_event(now, rng, session, event, &mut out);
            }
            Input::Gossip { token, from, bytes } => {
                self.gossip(now, token, from, &bytes, &mut out);
            }
            Input::Loaded { load, entries } => self.loaded(now, rng, &load, entries, &mut out),
            Input::Keeper { keeper, event } => {
                self.keeper_event(now, rng, keeper, event, &mut out);
            }
            Input::Bundle { records } => self.unpack(now, &records, &mut out),
            Input::Found { key, value } => self.whereabouts_found(key, &value, &mut out),
            Input::Timer(Timer::Tick) => {
                self.tick(now, &mut out);
                self.tend_whereabouts(now, rng, &mut out);
                self.tick_adding(now, &mut out);
                self.confirm_erasures(now, &mut out);
                self.resume_rewriting(now, &mut out);
                self.rotate_prekey(now, rng, &mut out);
                self.sweep(now, &mut out);
            }
            Input::Listening { addresses } => {
                self.addresses = addresses;
                self.publish_profile(now, rng, None, None, &mut out);
            }
        }
        let synced = std::mem::take(&mut self.synced);
        if synced {
            self.caught_up(&mut out);
            self.follow_erasures(&mut out);
        }
        if synced && std::mem::take(&mut self.introduction_due) {
            // A newcomer writes its first entry when it holds what the others do: under the epoch
            // that it was admitted with, and not under one of its own.
            self.publish_profile(now, rng, None, None, &mut out);
        }
        self.move_on(now, rng, &mut out);
        self.tend_keepers(now, rng, stirs, &mut out);
        self.settle(now, &mut out);
        out.finish(&self.persona)
    }

    /// The clock was set back: nothing that this device waits for or has lately done is later than
    /// now. What is kept in the store is bounded by days and left as it is.
    fn forget_times(&mut self, now: Timestamp) {
        self.peers.forget_times(now);
        self.keepers.forget_times(now);
        self.lookout.forget_times();
        self.asked = Asked::default();
        self.next_tick = Timestamp::default();
        self.last_receipt = Timestamp::default();
    }

    /// What every input ends with: what became due is asked for.
    fn settle(&mut self, now: Timestamp, out: &mut Outcome) {
        if out.has_authored() {
            self.peers.stir(now);
            if out.outgrew_gossip() {
                self.peers.stir_now(now);
            }
        }
        self.retry_unread(out);
        let stale = self.documents.newly_dirty();
        if !stale.is_empty() {
            out.write(Write::Stale(stale));
        }
        for document in self.documents.next_loads(LOADS) {
            out.effect(Effect::Load(Load::Document(document)));
        }
        let due = self.peers.next_due(now).min(now.after(TICK_MILLIS));
        if self.next_tick <= now || due < self.next_tick {
            self.next_tick = due;
            out.effect(Effect::Timer { at: due, timer: Timer::Tick });
        }
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.persona.group
    }

    /// The key of this persona's libp2p identity (I3).
    #[must_use]
    pub const fn transport_key(&self) -> &SigningKey {
        &self.persona.transport
    }

    /// The name of the group's gossip topic: a hash that names nothing (S3).
    #[must_use]
    pub fn topic(&self) -> [u8; 32] {
        domain::hash(domain::TOPIC, &[self.persona.group.as_bytes()])
    }

    /// This persona.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.persona.member_id()
    }

    /// This device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.persona.device_id()
    }

    /// Where this replica stands in its group, as far as it knows.
    #[must_use]
    pub const fn state(&self) -> ReplicaState {
        self.persona.state
    }

    /// Who is a member and what counts.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// All rooted entries.
    #[must_use]
    pub const fn set(&self) -> &LogSet {
        &self.set
    }

    /// Equal exactly when two replicas hold the same set.
    #[must_use]
    pub fn digest(&self) -> FrontierDigest {
        Frontier::of(&self.set).digest(self.persona.group)
    }

    /// How many entries are held.
    #[must_use]
    pub fn held(&self) -> u64 {
        u64::try_from(self.set.len()).unwrap_or(u64::MAX)
    }

    /// How many content payloads are still to come.
    #[must_use]
    pub fn missing(&self) -> u64 {
        u64::try_from(self.documents.missing().len()).unwrap_or(u64::MAX)
    }

    /// How many content entries are held that this device has no key for.
    #[must_use]
    pub fn unread(&self) -> u64 {
        u64::try_from(self.documents.unread().len()).unwrap_or(u64::MAX)
    }

    /// The entry that created a document.
    #[must_use]
    pub fn created(&self, document: &DocumentId) -> Option<EntryId> {
        self.documents.get(document)?.created.map(|(entry, _)| entry)
    }

    /// While waiting to be admitted: the code that was used.
    #[must_use]
    pub fn pending_code(&self) -> Option<&Code> {
        self.persona.joining.as_ref().map(|joining| &joining.code)
    }

    /// To how many other members an entry is known to have come (S6).
    #[must_use]
    pub fn reach(&self, entry: &EntryId) -> Reach {
        let own = self.member();
        let others = self.authority.members().iter().filter(|(member, _)| **member != own);
        let mut reach = Reach { members: 0, of: 0 };
        for (_, standing) in others {
            reach.of = reach.of.saturating_add(1);
            let holds = |device| self.holdings.holds(&self.set, device, entry);
            if standing.devices.iter().any(holds) {
                reach.members = reach.members.saturating_add(1);
            }
        }
        reach
    }
}
