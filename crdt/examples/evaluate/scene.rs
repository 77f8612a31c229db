//! Real signed entries from what is written, put into a set and evaluated.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use cairn_crdt::authority::Authority;
use cairn_crdt::capability::grant::{Council, GROUP_VERSION, Genesis, Grant, History};
use cairn_crdt::capability::rank::Abilities;
use cairn_crdt::capability::revocation::{Cut, CutHead, Pin, PinRight, Remove};
use cairn_crdt::codec::{List, Map};
use cairn_crdt::crypto::aead::Nonce;
use cairn_crdt::crypto::domain;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{DeviceId, EntryId, EpochId, GrantId, GroupId, MemberId, PublicKey};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Verified};
use cairn_crdt::log::set::{Inserted, LogSet, Slot};

use super::written::{Act, GENESIS, Written, entries};

/// The founder's name.
const FOUNDER: &str = "F";

/// What is printed for a set.
#[derive(Serialize)]
struct Answer<'line> {
    members: BTreeMap<&'line str, BTreeSet<&'static str>>,
    counts: BTreeSet<&'line str>,
    suspended_denials: BTreeSet<&'line str>,
    orphaned: BTreeSet<&'line str>,
}

/// The answer to one line.
pub(crate) fn answer(cast: &mut Cast, line: &str) -> Result<String, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let mut scene = Scene::new(cast);
    for entry in entries(&value)? {
        scene.add(&entry).map_err(|message| format!("entry {:?}: {message}", entry.id))?;
    }
    let Scene { set, built, names, .. } = scene;
    let authority = Authority::evaluate(&set);

    let mut members: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
    for (name, member) in &names {
        let grants = authority.members().get(member).map(|standing| &standing.grants);
        for capability in grants.into_iter().flat_map(BTreeMap::values) {
            members.entry(name).or_default().insert(capability.rank.word());
        }
    }
    let among = |wanted: &dyn Fn(&EntryId) -> bool| {
        built.iter().filter(|(_, at)| wanted(&at.entry)).map(|(id, _)| *id).collect()
    };
    let answer = Answer {
        members,
        counts: among(&|entry| authority.counting(&set, entry).counts()),
        suspended_denials: among(&|entry| authority.suspended_denials().contains(entry)),
        orphaned: among(&|entry| authority.orphaned().contains(entry)),
    };
    serde_json::to_string(&answer).map_err(|error| error.to_string())
}

/// One member with its one device. The same in every set, so made once.
struct Actor {
    member: MemberId,
    key: SigningKey,
    device: DeviceId,
    card: Verified<Entry>,
    control: Control,
}

/// The group's genesis and all members met so far.
pub(crate) struct Cast {
    group: GroupId,
    genesis: Verified<Entry>,
    founding: Control,
    actors: BTreeMap<String, Actor>,
}

fn key(role: &str, name: &str) -> SigningKey {
    let hash = domain::hash("cairn 2026 v1 example key", &[role.as_bytes(), &[0], name.as_bytes()]);
    SigningKey::from_seed(&hash)
}

impl Cast {
    pub(crate) fn new() -> Self {
        let device = key("device", FOUNDER);
        let founding = Control::Genesis(Genesis {
            salt: [0; 32],
            founder: MemberId::from_bytes(key("member", FOUNDER).verifying_key()),
            version: GROUP_VERSION,
            history: History::SinceJoining,
            council: Council { keys: List::default(), threshold: 0 },
        });
        let genesis = author(
            &device,
            Position { group: GroupId::GENESIS, seq: 0, prev: EntryId::NONE, grant: GrantId::NONE },
            Kind::GENESIS,
            founding.encode(),
            GENESIS,
        );
        let group = GroupId::from_bytes(*genesis.get().id.as_bytes());
        Self { group, genesis, founding, actors: BTreeMap::new() }
    }

    fn actor(&mut self, name: &str) -> &Actor {
        let (group, first) = (self.group, self.genesis.get().id);
        self.actors.entry(name.to_owned()).or_insert_with(|| {
            let member = MemberKey::new(key("member", name));
            let key_of_device = key("device", name);
            let device = DeviceId::from_bytes(key_of_device.verifying_key());
            let prekey = PublicKey::from_bytes(*device.as_bytes());
            let card = member.sign_card(group, device, 0, prekey, &key("transport", name));
            let (seq, prev) = if name == FOUNDER { (1, first) } else { (0, EntryId::NONE) };
            let position = Position { group, seq, prev, grant: GrantId::NONE };
            let control = Control::Card(card);
            Actor {
                member: member.id(),
                card: author(&key_of_device, position, Kind::CARD, control.encode(), name),
                key: key_of_device,
                device,
                control,
            }
        })
    }
}

/// Where an entry goes.
struct Position {
    group: GroupId,
    seq: u64,
    prev: EntryId,
    grant: GrantId,
}

/// Builds and signs an entry. `id` makes entries that are otherwise alike different.
fn author(
    key: &SigningKey,
    position: Position,
    kind: Kind,
    payload: Vec<u8>,
    id: &str,
) -> Verified<Entry> {
    let hash = domain::hash("cairn 2026 v1 example id", &[id.as_bytes()]);
    let mut digest = [0; 16];
    for (byte, from) in digest.iter_mut().zip(hash) {
        *byte = from;
    }
    let sealing = if kind.is_control() {
        Sealing::Clear
    } else {
        Sealing::Sealed { epoch: EpochId::from_bytes([0; 32]), nonce: Nonce::zero() }
    };
    let header = Header {
        version: VERSION,
        suite: SUITE,
        group: position.group,
        device: DeviceId::from_bytes(key.verifying_key()),
        seq: position.seq,
        prev: position.prev,
        grant: position.grant,
        kind,
        payload: payload_hash(&payload),
        size: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        sealing,
        seen: Seen { count: 0, digest },
    };
    Entry::author(key, header, payload)
}

/// An entry that was built.
#[derive(Clone, Copy)]
struct Built {
    entry: EntryId,
    device: DeviceId,
    seq: u64,
}

/// One set under construction.
struct Scene<'cast, 'line> {
    cast: &'cast mut Cast,
    set: LogSet,
    built: BTreeMap<&'line str, Built>,
    names: BTreeMap<&'line str, MemberId>,
}

impl<'cast, 'line> Scene<'cast, 'line> {
    fn new(cast: &'cast mut Cast) -> Self {
        let mut scene = Self {
            set: LogSet::new(cast.group),
            built: BTreeMap::new(),
            names: BTreeMap::new(),
            cast,
        };
        restore(&mut scene.set, &scene.cast.genesis, &scene.cast.founding);
        let founder = scene.cast.actor(FOUNDER);
        restore(&mut scene.set, &founder.card, &founder.control);
        scene.names.insert(FOUNDER, founder.member);
        scene
    }

    fn add(&mut self, written: &Written<'line>) -> Result<(), String> {
        let &Written { id, device, .. } = written;
        if id == GENESIS || self.built.contains_key(id) {
            return Err("its id is taken".to_owned());
        }
        let grant = match written.grant {
            GENESIS => self.cast.genesis.get().id,
            grant => self.known(grant)?.entry,
        };
        let prev = written.prev.map(|prev| self.known(prev)).transpose()?;
        let (kind, payload) = self.payload(written)?;
        let group = self.cast.group;
        let actor = self.cast.actor(device);
        self.names.insert(device, actor.member);
        if self.set.log(&actor.device).is_none() {
            restore(&mut self.set, &actor.card, &actor.control);
        }
        let (prev, before) = match prev {
            None => (actor.card.get().id, actor.card.get().header.seq),
            Some(prev) if prev.device == actor.device => (prev.entry, prev.seq),
            Some(_) => return Err("its \"prev\" is another device's entry".to_owned()),
        };
        let seq = before.saturating_add(1);
        let position = Position { group, seq, prev, grant: GrantId::of(grant) };
        let signed = author(&actor.key, position, kind, payload, id);
        let built = Built { entry: signed.get().id, device: actor.device, seq };
        match self.set.insert(&signed) {
            Ok(Inserted::New { evicted }) if evicted.is_empty() => {}
            Ok(_) => return Err("too many branches of one log".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        self.built.insert(id, built);
        Ok(())
    }

    fn known(&self, id: &str) -> Result<Built, String> {
        self.built.get(id).copied().ok_or_else(|| format!("the id {id:?} is not defined"))
    }

    fn payload(&mut self, written: &Written<'line>) -> Result<(Kind, Vec<u8>), String> {
        let control = match &written.act {
            Act::Post => return Ok((Kind::CONTENT, written.id.as_bytes().to_vec())),
            Act::Grant { subject, rank, cites } => Control::Grant(Grant {
                subject: self.member(subject),
                rank: *rank,
                abilities: Abilities::ALL,
                cites: self.cites(cites)?,
                invite: None,
            }),
            Act::Remove { subject, cuts } => Control::Remove(Remove {
                subject: self.member(subject),
                cut: self.cut(subject, cuts)?,
                epoch: None,
            }),
            Act::Pin { target } => {
                let target = self.known(target)?;
                let head = CutHead { seq: target.seq, entry: target.entry };
                Control::Pin(Pin { device: target.device, head, by: PinRight::Rank })
            }
        };
        let kind = control.kind().ok_or("there is no such kind")?;
        Ok((kind, control.encode()))
    }

    fn member(&mut self, name: &'line str) -> MemberId {
        let member = self.cast.actor(name).member;
        self.names.insert(name, member);
        member
    }

    /// Each entry once, however often it is cited.
    fn cites<const MAX: usize>(&self, ids: &[&str]) -> Result<List<EntryId, MAX>, String> {
        let cited: Result<BTreeSet<EntryId>, String> =
            ids.iter().map(|id| self.known(id).map(|built| built.entry)).collect();
        List::new(cited?.into_iter().collect()).map_err(|error| error.to_string())
    }

    /// A member has one device: what a cut says of others, nothing is exercised by. An id that is
    /// not the device's says as much as none (A4).
    fn cut(
        &mut self,
        subject: &str,
        cuts: &BTreeMap<&'line str, Option<&'line str>>,
    ) -> Result<Cut, String> {
        let mut heads = BTreeMap::new();
        for (name, head) in cuts {
            let Some(head) = head else { continue };
            let Built { entry, seq, .. } = self.known(head)?;
            if *name == subject {
                heads.insert(self.cast.actor(name).device, CutHead { seq, entry });
            }
        }
        Map::new(heads).map(Cut).map_err(|error| error.to_string())
    }
}

/// Puts an entry into a set whose signatures were made here and need no check.
fn restore(set: &mut LogSet, entry: &Verified<Entry>, control: &Control) {
    let Entry { id, header, .. } = entry.get();
    let slot = Slot { prev: header.prev, grant: header.grant, kind: header.kind, seen: 0 };
    set.restore(*id, header.device, header.seq, slot, Some(control.clone()));
}
