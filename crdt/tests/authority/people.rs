//! Named people who sign real entries.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use cairn_crdt::authority::{Authority, Counting, Rule};
use cairn_crdt::capability::grant::{Council, GROUP_VERSION, Genesis, Grant, History};
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::capability::revocation::{
    Cut, CutHead, Leave, Pin, PinRight, Remove, Replace, Revoke,
};
use cairn_crdt::codec::{List, Map};
use cairn_crdt::crypto::aead::Nonce;
use cairn_crdt::crypto::domain;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{DeviceId, EntryId, EpochId, GrantId, GroupId, MemberId, PublicKey};
use cairn_crdt::identity::device::Unlink;
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Verified};
use cairn_crdt::log::set::{Inserted, LogSet};

/// The founder's member and first device.
pub(crate) const FAY: &str = "fay";

thread_local! {
    /// Keys take long to derive and there are few.
    static KEYS: RefCell<BTreeMap<String, SigningKey>> = const { RefCell::new(BTreeMap::new()) };
}

pub(crate) fn key(role: &str, name: &str) -> SigningKey {
    let fresh = || {
        let parts = [role.as_bytes(), name.as_bytes()];
        SigningKey::from_seed(&domain::hash("cairn 2026 v1 test key", &parts))
    };
    KEYS.with_borrow_mut(|keys| keys.entry(format!("{role} {name}")).or_insert_with(fresh).clone())
}

/// `ann/2` is the second device of the member `ann`.
pub(crate) fn owner(device: &str) -> &str {
    device.split('/').next().unwrap_or(device)
}

pub(crate) fn member(name: &str) -> MemberId {
    MemberId::from_bytes(key("member", name).verifying_key())
}

pub(crate) fn device(name: &str) -> DeviceId {
    DeviceId::from_bytes(key("device", name).verifying_key())
}

/// A group under construction: all entries signed so far, and the end of each log.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) genesis: GrantId,
    pub(crate) entries: Vec<Verified<Entry>>,
    tips: BTreeMap<String, (u64, EntryId)>,
    serial: u32,
}

impl Group {
    pub(crate) fn new() -> Self {
        Self::with_council(Council { keys: List::default(), threshold: 0 })
    }

    pub(crate) fn with_council(council: Council) -> Self {
        let mut group = Self {
            id: GroupId::GENESIS,
            genesis: GrantId::NONE,
            entries: Vec::new(),
            tips: BTreeMap::new(),
            serial: 0,
        };
        let genesis = group.say(
            FAY,
            GrantId::NONE,
            &Control::Genesis(Genesis {
                salt: [0; 32],
                founder: member(FAY),
                version: GROUP_VERSION,
                history: History::SinceJoining,
                council,
            }),
        );
        group.id = GroupId::from_bytes(*genesis.as_bytes());
        group.genesis = GrantId::of(genesis);
        group.card(FAY);
        group
    }

    /// Opens a device's log.
    pub(crate) fn card(&mut self, name: &str) -> EntryId {
        self.card_for(name, owner(name), name)
    }

    /// Opens a device's log for a member, with the transport key of that name.
    pub(crate) fn card_for(&mut self, name: &str, of: &str, transport: &str) -> EntryId {
        let card = MemberKey::new(key("member", of)).sign_card(
            self.id,
            device(name),
            0,
            PublicKey::from_bytes(*device(name).as_bytes()),
            &key("transport", transport),
        );
        self.say(name, GrantId::NONE, &Control::Card(card))
    }

    pub(crate) fn tip(&self, name: &str) -> (u64, EntryId) {
        self.tips[name]
    }

    pub(crate) fn place(&self, entry: EntryId) -> (u64, EntryId) {
        let found = self.entries.iter().find(|e| e.get().id == entry).unwrap();
        (found.get().header.seq, entry)
    }

    /// Signs the next entry of a device; opens its log first if need be.
    pub(crate) fn say(&mut self, name: &str, grant: GrantId, control: &Control) -> EntryId {
        let kind = control.kind().unwrap();
        if !self.tips.contains_key(name) && !matches!(kind, Kind::GENESIS | Kind::CARD) {
            self.card(name);
        }
        self.sign(name, grant, kind, control.encode())
    }

    /// From here on the device writes after `entry` again: a fork, unless it is the last.
    pub(crate) fn rewind(&mut self, name: &str, entry: EntryId) {
        let place = self.place(entry);
        self.tips.insert(name.to_owned(), place);
    }

    /// From here on the device opens its log again.
    pub(crate) fn forget(&mut self, name: &str) {
        self.tips.remove(name);
    }

    pub(crate) fn post(&mut self, name: &str, grant: GrantId) -> EntryId {
        if !self.tips.contains_key(name) {
            self.card(name);
        }
        self.sign(name, grant, Kind::CONTENT, b"sealed".to_vec())
    }

    /// An entry of a kind that nobody knows yet (L4).
    pub(crate) fn say_unknown(&mut self, name: &str, grant: GrantId) -> EntryId {
        self.sign(name, grant, Kind(77), Vec::new())
    }

    /// The last act of the council that anybody carried.
    pub(crate) fn last_root(&self) -> Option<Control> {
        let mut acts = self.entries.iter().rev().map(Verified::get);
        let last = acts.find(|entry| entry.header.kind == Kind::ROOT)?;
        Some(Control::decode(Kind::ROOT, last.payload.as_ref().unwrap()).unwrap())
    }

    fn sign(&mut self, name: &str, grant: GrantId, kind: Kind, payload: Vec<u8>) -> EntryId {
        self.serial += 1;
        let (seq, prev) = match self.tips.get(name) {
            Some((seq, prev)) => (seq + 1, *prev),
            None => (0, EntryId::NONE),
        };
        let sealing = if kind.is_control() {
            Sealing::Clear
        } else {
            Sealing::Sealed { epoch: EpochId::from_bytes([0; 32]), nonce: Nonce::zero() }
        };
        let header = Header {
            version: VERSION,
            suite: SUITE,
            group: self.id,
            device: device(name),
            seq,
            prev,
            grant,
            kind,
            payload: payload_hash(&payload),
            size: u32::try_from(payload.len()).unwrap(),
            sealing,
            // Makes entries that are otherwise alike different.
            seen: Seen { count: self.serial, digest: [0; 16] },
        };
        let entry = Entry::author(&key("device", name), header, payload);
        let id = entry.get().id;
        self.entries.push(entry);
        self.tips.insert(name.to_owned(), (seq, id));
        id
    }

    pub(crate) fn grant(&mut self, by: &str, under: GrantId, to: &str, rank: Rank) -> GrantId {
        self.grant_citing(by, under, to, rank, &[])
    }

    pub(crate) fn grant_citing(
        &mut self,
        by: &str,
        under: GrantId,
        to: &str,
        rank: Rank,
        cites: &[EntryId],
    ) -> GrantId {
        GrantId::of(self.say(by, under, &Control::Grant(granting(to, rank, cites))))
    }

    pub(crate) fn remove(
        &mut self,
        by: &str,
        under: GrantId,
        subject: &str,
        cut: &[(&str, EntryId)],
    ) -> EntryId {
        let cut = self.cut(cut);
        self.say(by, under, &Control::Remove(Remove { subject: member(subject), cut, epoch: None }))
    }

    pub(crate) fn revoke(
        &mut self,
        by: &str,
        under: GrantId,
        grant: GrantId,
        cut: &[(&str, EntryId)],
    ) -> EntryId {
        let cut = self.cut(cut);
        self.say(by, under, &Control::Revoke(Revoke { grant, cut, epoch: None }))
    }

    pub(crate) fn replace(
        &mut self,
        by: &str,
        under: GrantId,
        grant: GrantId,
        cut: &[(&str, EntryId)],
        with: Grant,
    ) -> EntryId {
        let cut = self.cut(cut);
        self.say(by, under, &Control::Replace(Replace { grant, cut, with }))
    }

    pub(crate) fn pin(&mut self, by: &str, under: GrantId, of: &str, head: EntryId) -> EntryId {
        let head = self.head(head);
        let pin = Pin { device: device(of), head, by: PinRight::Rank };
        self.say(by, under, &Control::Pin(pin))
    }

    /// A pin signed by the member key of the device's owner.
    pub(crate) fn own_pin(&mut self, by: &str, under: GrantId, of: &str, at: EntryId) -> EntryId {
        let head = self.head(at);
        let key = MemberKey::new(key("member", owner(of)));
        let signature = key.sign_pin(self.id, device(of), head.seq, head.entry);
        let by_member = PinRight::Member(key.id(), signature);
        self.say(by, under, &Control::Pin(Pin { device: device(of), head, by: by_member }))
    }

    pub(crate) fn leave(
        &mut self,
        by: &str,
        grants: &[GrantId],
        cut: &[(&str, EntryId)],
    ) -> EntryId {
        let leave = Leave { grants: List::new(grants.to_vec()).unwrap(), cut: self.cut(cut) };
        self.say(by, GrantId::NONE, &Control::Leave(leave))
    }

    pub(crate) fn unlink(&mut self, by: &str, of: &str, at: EntryId) -> EntryId {
        let CutHead { seq, entry } = self.head(at);
        let key = MemberKey::new(key("member", owner(of)));
        let signature = key.sign_unlink(self.id, device(of), seq, entry);
        let unlink = Unlink { member: key.id(), device: device(of), seq, entry, signature };
        self.say(by, GrantId::NONE, &Control::Unlink(unlink))
    }

    pub(crate) fn head(&self, entry: EntryId) -> CutHead {
        CutHead { seq: self.place(entry).0, entry }
    }

    pub(crate) fn cut(&self, heads: &[(&str, EntryId)]) -> Cut {
        let heads = heads.iter().map(|(name, entry)| (device(name), self.head(*entry)));
        Cut(Map::new(heads.collect()).unwrap())
    }

    /// All entries but some, and what cannot be rooted without them.
    pub(crate) fn without(&self, left_out: &[EntryId]) -> Vec<Verified<Entry>> {
        let all = self.entries.iter();
        all.filter(|entry| !left_out.contains(&entry.get().id)).cloned().collect()
    }

    /// Evaluates under many orders of arrival, with entries arriving twice, and holds that the
    /// answer is always the same.
    pub(crate) fn answer(&self) -> Answer {
        self.answer_of(&self.entries)
    }

    /// The same of some of its entries.
    pub(crate) fn answer_of(&self, entries: &[Verified<Entry>]) -> Answer {
        let set = gather(self.id, entries);
        let authority = Authority::evaluate(&set);
        for seed in 0..12 {
            let other = gather(self.id, &shuffled(entries, seed));
            assert_eq!(Authority::evaluate(&other).digest(), authority.digest(), "order {seed}");
        }
        Answer { set, authority }
    }
}

pub(crate) fn granting(to: &str, rank: Rank, cites: &[EntryId]) -> Grant {
    Grant {
        subject: member(to),
        rank,
        abilities: Abilities::usual(rank),
        cites: List::new(cites.to_vec()).unwrap(),
        invite: None,
    }
}

/// Every entry once or twice, in an order that depends on the seed.
pub(crate) fn shuffled(entries: &[Verified<Entry>], seed: u64) -> Vec<Verified<Entry>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut keyed: Vec<(u64, &Verified<Entry>)> =
        entries.iter().chain(entries.iter().step_by(3)).map(|e| (rng.next_u64(), e)).collect();
    keyed.sort_by_key(|(order, _)| *order);
    keyed.into_iter().map(|(_, entry)| entry.clone()).collect()
}

/// Puts entries into a set in this order; those that cannot be rooted yet wait.
pub(crate) fn gather(group: GroupId, entries: &[Verified<Entry>]) -> LogSet {
    let mut set = LogSet::new(group);
    let mut waiting: Vec<&Verified<Entry>> = entries.iter().collect();
    loop {
        let before = waiting.len();
        waiting.retain(|entry| set.insert(entry).unwrap() == Inserted::Unrooted);
        if waiting.len() == before {
            return set;
        }
    }
}

pub(crate) struct Answer {
    pub(crate) set: LogSet,
    pub(crate) authority: Authority,
}

impl Answer {
    pub(crate) fn rank(&self, name: &str) -> Option<Rank> {
        self.authority.rank_of(&member(name))
    }

    pub(crate) fn counting(&self, entry: EntryId) -> Counting {
        self.authority.counting(&self.set, &entry)
    }

    pub(crate) fn counts(&self, entry: EntryId) -> bool {
        self.counting(entry).counts()
    }

    pub(crate) fn live(&self, grant: GrantId) -> bool {
        let mut all = self.authority.members().values();
        all.any(|standing| standing.grants.contains_key(&grant))
    }

    /// The rule by which an entry is void.
    pub(crate) fn void(&self, entry: EntryId) -> Option<(Rule, EntryId)> {
        match self.counting(entry) {
            Counting::Void { rule, by } => Some((rule, by)),
            _ => None,
        }
    }

    pub(crate) fn suspended(&self, entry: EntryId) -> bool {
        self.suspended_by(entry).is_some()
    }

    pub(crate) fn suspended_by(&self, entry: EntryId) -> Option<(Rule, EntryId)> {
        match self.counting(entry) {
            Counting::Suspended { rule, by } => Some((rule, by)),
            _ => None,
        }
    }

    pub(crate) fn parked_by(&self, entry: EntryId) -> Option<(Rule, EntryId)> {
        match self.counting(entry) {
            Counting::Parked { rule, by } => Some((rule, by)),
            _ => None,
        }
    }

    pub(crate) fn parked(&self, entry: EntryId) -> bool {
        matches!(self.counting(entry), Counting::Parked { .. })
    }
}
