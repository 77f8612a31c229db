//! Evaluates sets of entries that are written down in a short form.
//!
//! `cargo run --release -p cairn-crdt --example evaluate` reads JSON lines on stdin, each one a
//! set, and prints one JSON line each. In: `{"entries":[…]}` in an order in which every id is
//! defined before it is used; the founder is the member `F`, each member has one device of the
//! same name. An entry: `{"id","device","prev":id|null,"grant":"genesis"|id,"kind":…}` with kind
//! `grant` `{"subject","rank":"steward|moderator|member|reader","cites":[ids of removals]}`,
//! `remove` `{"subject","cuts":{device: id|null}}`, `pin` `{"target": id}`, `post`. The fields of
//! a kind stand beside it (`"kind":"pin","target":"x"`) or inside (`"kind":{"pin":{"target":
//! "x"}}`). Two entries of one device with the same `prev` are a fork; `null` means that the entry
//! follows the device's card. It builds real signed entries from it and evaluates them. Out:
//! `{"members":{name:[ranks, sorted]},"counts":[ids, sorted],"suspended_denials":[ids, sorted],
//! "orphaned":[ids, sorted]}`. `counts` holds what counts in full, `orphaned` the removals that
//! are void because they lie beyond their author's cut. Every grant has all abilities, so ranks
//! alone decide.
//!
//! Bad input ends the program with code 1 and a message that names the line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value};

use cairn_crdt::authority::Authority;
use cairn_crdt::capability::grant::{Council, GROUP_VERSION, Genesis, Grant, History};
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::capability::revocation::{Cut, CutHead, Pin, PinRight, Remove};
use cairn_crdt::codec::{List, Map as BoundedMap};
use cairn_crdt::crypto::aead::Nonce;
use cairn_crdt::crypto::domain;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{DeviceId, EntryId, EpochId, GrantId, GroupId, MemberId, PublicKey};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Verified};
use cairn_crdt::log::set::{LogSet, Slot};

/// The founder's name.
const FOUNDER: &str = "F";
/// What an entry names that the founder exercises the genesis with.
const GENESIS: &str = "genesis";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut cast = Cast::new();
    let mut out = std::io::stdout().lock();
    for (index, line) in std::io::stdin().lock().lines().enumerate() {
        let number = index.saturating_add(1);
        let line = line.map_err(|error| format!("line {number}: {error}"))?;
        if !line.trim().is_empty() {
            let text =
                answer(&mut cast, &line).map_err(|message| format!("line {number}: {message}"))?;
            writeln!(out, "{text}").map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// What is printed for a set.
#[derive(Serialize)]
struct Answer<'line> {
    members: BTreeMap<&'line str, BTreeSet<&'static str>>,
    counts: BTreeSet<&'line str>,
    suspended_denials: BTreeSet<&'line str>,
    orphaned: BTreeSet<&'line str>,
}

fn answer(cast: &mut Cast, line: &str) -> Result<String, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let entries = value.get("entries").ok_or("a set needs \"entries\"")?;
    let entries = entries.as_array().ok_or("\"entries\" is not a list")?;
    let mut scene = Scene::new(cast);
    for entry in entries {
        scene.add(entry)?;
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
struct Cast {
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
    fn new() -> Self {
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

    /// Puts a device's card into the set, if it is not there.
    fn seat(&mut self, name: &str) {
        let actor = self.cast.actor(name);
        if self.set.log(&actor.device).is_none() {
            restore(&mut self.set, &actor.card, &actor.control);
        }
    }

    fn add(&mut self, value: &'line Value) -> Result<(), String> {
        let entry = value.as_object().ok_or("an entry is not an object")?;
        let id = text(entry, "id")?;
        let wrong = |message: String| format!("entry {id:?}: {message}");
        if id == GENESIS || self.built.contains_key(id) {
            return Err(wrong("its id is taken".to_owned()));
        }
        let (kind, fields) = kind_of(entry).map_err(wrong)?;
        let (kind, payload) = self.payload(kind, fields, id).map_err(wrong)?;
        let name = text(entry, "device").map_err(wrong)?;
        let grant = match text(entry, "grant").map_err(wrong)? {
            GENESIS => self.cast.genesis.get().id,
            grant => self.known(grant).map_err(wrong)?.entry,
        };
        let prev = match entry.get("prev") {
            Some(Value::Null) => None,
            Some(Value::String(prev)) => Some(self.known(prev).map_err(wrong)?),
            _ => return Err(wrong("it needs \"prev\": an id or null".to_owned())),
        };
        self.seat(name);
        let group = self.cast.group;
        let actor = self.cast.actor(name);
        self.names.insert(name, actor.member);
        let card = &actor.card.get().header;
        let (prev, before) = match prev {
            None => (actor.card.get().id, card.seq),
            Some(prev) if prev.device == actor.device => (prev.entry, prev.seq),
            Some(_) => return Err(wrong("its \"prev\" is another device's entry".to_owned())),
        };
        let seq = before.saturating_add(1);
        let position = Position { group, seq, prev, grant: GrantId::of(grant) };
        let signed = author(&actor.key, position, kind, payload, id);
        let built = Built { entry: signed.get().id, device: actor.device, seq };
        self.set.insert(&signed).map_err(|error| wrong(error.to_string()))?;
        self.built.insert(id, built);
        Ok(())
    }

    fn known(&self, id: &str) -> Result<Built, String> {
        self.built.get(id).copied().ok_or_else(|| format!("the id {id:?} is not defined"))
    }

    fn payload(
        &mut self,
        kind: &str,
        fields: &'line Map<String, Value>,
        id: &str,
    ) -> Result<(Kind, Vec<u8>), String> {
        let control = match kind {
            "post" => return Ok((Kind::CONTENT, id.as_bytes().to_vec())),
            "grant" => Control::Grant(Grant {
                subject: self.subject(fields)?,
                rank: rank(text(fields, "rank")?)?,
                abilities: Abilities::ALL,
                cites: self.cites(fields)?,
                invite: None,
            }),
            "remove" => Control::Remove(Remove {
                subject: self.subject(fields)?,
                cut: self.cut(fields)?,
                epoch: None,
            }),
            "pin" => {
                let target = self.known(text(fields, "target")?)?;
                let head = CutHead { seq: target.seq, entry: target.entry };
                Control::Pin(Pin { device: target.device, head, by: PinRight::Rank })
            }
            other => return Err(format!("there is no kind {other:?}")),
        };
        let kind = control.kind().ok_or("there is no such kind")?;
        Ok((kind, control.encode()))
    }

    fn subject(&mut self, fields: &'line Map<String, Value>) -> Result<MemberId, String> {
        let name = text(fields, "subject")?;
        let member = self.cast.actor(name).member;
        self.names.insert(name, member);
        Ok(member)
    }

    fn cites<const MAX: usize>(
        &self,
        fields: &Map<String, Value>,
    ) -> Result<List<EntryId, MAX>, String> {
        let mut cites = Vec::new();
        let cited = match fields.get("cites") {
            None => &Vec::new(),
            Some(cites) => cites.as_array().ok_or("\"cites\" is not a list")?,
        };
        for cited in cited {
            let id = cited.as_str().ok_or("\"cites\" holds something else than ids")?;
            cites.push(self.known(id)?.entry);
        }
        List::new(cites).map_err(|error| error.to_string())
    }

    fn cut(&mut self, fields: &Map<String, Value>) -> Result<Cut, String> {
        let mut heads = BTreeMap::new();
        let Some(cuts) = fields.get("cuts") else { return Ok(Cut::default()) };
        for (name, head) in cuts.as_object().ok_or("\"cuts\" is not an object")? {
            match head {
                Value::Null => {}
                Value::String(id) => {
                    let Built { entry, seq, .. } = self.known(id)?;
                    heads.insert(self.cast.actor(name).device, CutHead { seq, entry });
                }
                _ => return Err("\"cuts\" holds something else than ids and null".to_owned()),
            }
        }
        BoundedMap::new(heads).map(Cut).map_err(|error| error.to_string())
    }
}

/// Puts an entry into a set whose signatures were made here and need no check.
fn restore(set: &mut LogSet, entry: &Verified<Entry>, control: &Control) {
    let Entry { id, header, .. } = entry.get();
    let slot = Slot { prev: header.prev, grant: header.grant, kind: header.kind, seen: 0 };
    set.restore(*id, header.device, header.seq, slot, Some(control.clone()));
}

/// The kind, and the object that holds its fields.
fn kind_of(entry: &Map<String, Value>) -> Result<(&str, &Map<String, Value>), String> {
    match entry.get("kind") {
        Some(Value::String(kind)) => Ok((kind, entry)),
        Some(Value::Object(object)) => {
            let mut pairs = object.iter();
            match (pairs.next(), pairs.next()) {
                (Some((kind, Value::Object(fields))), None) => Ok((kind, fields)),
                (Some((kind, Value::Null)), None) => Ok((kind, entry)),
                _ => Err("its \"kind\" is not one kind with its fields".to_owned()),
            }
        }
        _ => Err("it needs a \"kind\"".to_owned()),
    }
}

fn text<'line>(fields: &'line Map<String, Value>, name: &str) -> Result<&'line str, String> {
    fields.get(name).and_then(Value::as_str).ok_or_else(|| format!("it needs a text {name:?}"))
}

fn rank(word: &str) -> Result<Rank, String> {
    let rank = word.parse::<Rank>().ok().filter(|rank| *rank < Rank::Founder);
    rank.ok_or_else(|| format!("there is no rank {word:?} to grant"))
}
