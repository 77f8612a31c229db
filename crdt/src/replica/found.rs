//! Beginnings: founding a group, setting out to join one, coming back from the store.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;

use crate::authority::Authority;
use crate::capability::grant::{Council, GROUP_VERSION, Genesis, History};
use crate::capability::invite::Code;
use crate::codec::List;
use crate::crypto::signing::SigningKey;
use crate::document::kinds::DocumentKind;
use crate::document::kinds::profile::Pseudonym;
use crate::epoch::keyring::Keyring;
use crate::epoch::secret::{Audience, EpochSecret};
use crate::id::{DeviceId, EntryId, GrantId, GroupId};
use crate::identity::member::MemberKey;
use crate::identity::seed::Seed;
use crate::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use crate::log::parked::Parked;
use crate::log::run::{Entry, Verified};
use crate::log::set::LogSet;
use crate::replica::documents::Documents;
use crate::replica::effect::{Effect, Refused};
use crate::replica::holdings::Holdings;
use crate::replica::keepers::Keepers;
use crate::replica::outcome::Outcome;
use crate::replica::peers::Peers;
use crate::replica::persona::{Joining as PersonaJoining, Persona, ReplicaState};
use crate::replica::posts::agreement_of;
use crate::replica::prekeys::Asked;
use crate::replica::snapshot::Snapshot;
use crate::replica::whereabouts::Lookout;
use crate::replica::{Damaged, Replica};
use crate::sync::message::Request;
use crate::time::{Latest, Timestamp};

/// What a new group begins with.
pub struct Founding<'a> {
    /// The founder's recovery seed.
    pub seed: &'a Seed,
    /// The group's name.
    pub name: String,
    /// What the founder is called in it.
    pub pseudonym: String,
    /// What newcomers can read.
    pub history: History,
}

/// What a newcomer sets out with.
pub struct Joining<'a> {
    /// The newcomer's recovery seed.
    pub seed: &'a Seed,
    /// The code that was handed over.
    pub code: Code,
    /// What the newcomer would like to be called.
    pub pseudonym: String,
    /// A few words of introduction, for the moderators.
    pub words: String,
}

impl Replica {
    /// Founds a group: genesis, the founder's card, profile, and the agreement with the name.
    ///
    /// # Errors
    /// When the name or the pseudonym is empty or too long.
    pub fn found<R: CryptoRng>(
        now: Timestamp,
        rng: &mut R,
        founding: Founding<'_>,
    ) -> Result<(Self, Vec<Effect>), Refused> {
        let Founding { seed, name, pseudonym, history } = founding;
        check_pseudonym(&pseudonym)?;
        if name.trim().is_empty() {
            return Err(Refused::Empty { what: "the name of the group" });
        }
        let agreement = agreement_of(&name, "")?;
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let member = MemberKey::new(seed.member_key(&salt));
        let keys = List::new(vec![seed.council_key(&salt).verifying_key()]).unwrap_or_default();
        let genesis = Genesis {
            salt,
            founder: member.id(),
            version: GROUP_VERSION,
            history,
            council: Council { keys, threshold: 1 },
        };
        let mut persona = Persona::generate(now, rng, GroupId::GENESIS, member, pseudonym);
        let control = Control::Genesis(genesis);
        let entry = opening(&persona.device, GroupId::GENESIS, Kind::GENESIS, control.encode());
        let group = entry.get().header.group();
        persona.group = group;
        persona.state = ReplicaState::Member;
        let card = sign_card(&persona, 0);
        let mut replica = Self::empty(persona);
        let mut out = Outcome::default();
        out.persona_changed = true;
        replica
            .ingest(now, vec![entry], &mut out)
            .map_err(|why| Refused::Conflict(why.to_string()))?;
        replica.write_control(now, GrantId::NONE, &Control::Card(card), &mut out)?;
        replica.refresh(&mut out);
        replica.publish_profile(now, rng, None, None, &mut out);
        let (needed, words) = Self::ability_for(DocumentKind::Agreement);
        let grant = replica.grant_with(needed, None, words)?;
        replica.create(now, rng, grant, Audience::Readers, &agreement, &mut out)?;
        replica.settle(now, &mut out);
        let effects = out.finish(&replica.persona);
        Ok((replica, effects))
    }

    /// Sets out to join the group of a code. The replica waits until someone admits it.
    ///
    /// # Errors
    /// When the pseudonym is empty or too long.
    pub fn join<R: CryptoRng>(
        now: Timestamp,
        rng: &mut R,
        joining: Joining<'_>,
    ) -> Result<(Self, Vec<Effect>), Refused> {
        let Joining { seed, code, pseudonym, words } = joining;
        check_pseudonym(&pseudonym)?;
        if words.len() > crate::limits::NOTE_BYTES {
            let limit = crate::limits::NOTE_BYTES;
            return Err(Refused::TooLong { what: "the introduction", limit });
        }
        let member = MemberKey::new(seed.member_key(&code.salt));
        let mut persona = Persona::generate(now, rng, code.group, member, pseudonym);
        let card = Control::Card(sign_card(&persona, 0));
        let entry = opening(&persona.device, code.group, Kind::CARD, card.encode());
        persona.joining = Some(PersonaJoining { code, words });
        let mut replica = Self::empty(persona);
        let mut out = Outcome::default();
        out.persona_changed = true;
        replica
            .ingest(now, vec![entry], &mut out)
            .map_err(|why| Refused::Conflict(why.to_string()))?;
        replica.seek_contacts(&mut out);
        replica.follow_keepers(&mut out);
        replica.settle(now, &mut out);
        let effects = out.finish(&replica.persona);
        Ok((replica, effects))
    }

    /// Comes back from the store. Nothing is rebuilt: places and secrets are read, and authority
    /// is evaluated once.
    ///
    /// # Errors
    /// When the record of the persona or a control payload cannot be read.
    pub fn restore(now: Timestamp, snapshot: Snapshot) -> Result<(Self, Vec<Effect>), Damaged> {
        let persona = Persona::from_record(&snapshot.persona).ok_or(Damaged)?;
        if persona.group != snapshot.group {
            return Err(Damaged);
        }
        let mut replica = Self::empty(persona);
        let missing: BTreeSet<EntryId> = snapshot.missing.iter().map(|(id, _)| *id).collect();
        for entry in snapshot.entries {
            let control = match entry.control {
                Some(bytes) => Some(Control::decode(entry.slot.kind, &bytes).map_err(|_| Damaged)?),
                None => None,
            };
            replica.note_restored(entry.id, control.as_ref(), entry.arrived);
            replica.set.restore(entry.id, entry.device, entry.seq, entry.slot, control);
            let Some(content) = entry.content else { continue };
            replica.sealed_under.insert(entry.id, content.epoch);
            if !content.payload && !missing.contains(&entry.id) {
                replica.erased.insert(entry.id);
            }
            match content.document {
                Some(document) => {
                    let kind = content.creates.and_then(DocumentKind::of);
                    replica.documents.read(entry.id, document, kind);
                }
                None if content.payload => replica.documents.put_off(entry.id, content.epoch),
                None => {}
            }
        }
        for (entry, header) in snapshot.missing {
            replica.documents.miss(entry, header);
        }
        for document in snapshot.stale {
            replica.documents.touch(document);
        }
        for (epoch, secret) in snapshot.epochs {
            let secret = EpochSecret::from_bytes(*secret);
            if replica.keyring.learn_epoch(snapshot.group, secret) != epoch {
                return Err(Damaged);
            }
        }
        for bytes in snapshot.requests {
            let request: Request =
                crate::codec::decode(&bytes, crate::limits::MESSAGE_BYTES).map_err(|_| Damaged)?;
            replica.requests.insert(request.id(), request);
        }
        for bytes in snapshot.receipts {
            if let Ok(receipt) = crate::codec::decode(&bytes, crate::limits::MESSAGE_BYTES) {
                replica.holdings.take(&replica.set, receipt);
            }
        }
        replica.authority = Authority::evaluate(&replica.set);
        for document in replica.documents.all().collect::<Vec<_>>() {
            replica.settle_creation(document);
        }
        replica.restore_keepers(snapshot.keepers);
        let mut out = Outcome::default();
        replica.come_back(&mut out);
        replica.follow_keepers(&mut out);
        replica.settle(now, &mut out);
        let effects = out.finish(&replica.persona);
        Ok((replica, effects))
    }

    fn note_restored(&mut self, id: EntryId, control: Option<&Control>, arrived: Timestamp) {
        match control {
            Some(Control::Erase(_)) => {
                self.erasures_heard.insert(id, arrived);
            }
            Some(Control::Genesis(genesis)) => {
                self.granted.insert(genesis.founder);
            }
            Some(Control::Grant(grant)) => {
                self.granted.insert(grant.subject);
            }
            Some(Control::Replace(replace)) => {
                self.granted.insert(replace.with.subject);
            }
            _ => {}
        }
        if control.and_then(crate::replica::keys::mint_of).is_some() {
            self.mints.insert(id);
        }
    }

    /// What follows from the set as it was found: erasures that a crash interrupted, documents
    /// that are needed in memory, whom to look for.
    fn come_back(&mut self, out: &mut Outcome) {
        self.follow_erasures(out);
        self.reopen_welcomes();
        self.note_voided(0);
        self.resume_again();
        // A crash may have come between a key and what it opens.
        self.retry = true;
        let own = self.member();
        let introduced = self
            .documents
            .of_kind(DocumentKind::Profile)
            .any(|(document, _)| self.owner_of(&document) == Some(own));
        self.introduction_due = self.persona.state == ReplicaState::Member && !introduced;
        let small = [DocumentKind::Profile, DocumentKind::Act];
        let documents: Vec<_> = small
            .into_iter()
            .flat_map(|kind| self.documents.of_kind(kind))
            .map(|(id, _)| id)
            .collect();
        for document in documents {
            self.documents.touch(document);
        }
        out.effect(Effect::Members(self.gossip_members()));
        self.seek_contacts(out);
    }

    /// Whom the code names is looked for until this replica is a member.
    fn seek_contacts(&self, out: &mut Outcome) {
        let Some(joining) = &self.persona.joining else { return };
        for contact in joining.code.contacts.iter() {
            let addresses = contact.addresses.iter().map(|a| a.as_slice().to_vec()).collect();
            out.effect(Effect::Seek { peer: contact.transport, addresses });
        }
    }

    fn empty(persona: Persona) -> Self {
        let set = LogSet::new(persona.group);
        let keyring = Keyring::of(persona.secrets());
        Self {
            authority: Authority::evaluate(&set),
            set,
            parked: Parked::default(),
            granted: BTreeSet::new(),
            keyring,
            documents: Documents::default(),
            sealed_under: BTreeMap::new(),
            erased: BTreeSet::new(),
            erasures_heard: BTreeMap::new(),
            edits: BTreeMap::new(),
            requests: BTreeMap::new(),
            mints: BTreeSet::new(),
            chosen: BTreeMap::new(),
            welcomed: BTreeMap::new(),
            paying: BTreeMap::new(),
            passports: BTreeMap::new(),
            acts: BTreeMap::new(),
            retry: false,
            retrying: None,
            peers: Peers::default(),
            holdings: Holdings::default(),
            addresses: Vec::new(),
            introduction_due: false,
            asked: Asked::default(),
            synced: false,
            swept: Timestamp::default(),
            next_tick: Timestamp::default(),
            latest: Latest::default(),
            last_receipt: Timestamp::default(),
            last_shown: None,
            own_receipt: None,
            last_told: None,
            keepers: Keepers::default(),
            lookout: Lookout::default(),
            persona,
        }
    }
}

fn check_pseudonym(pseudonym: &str) -> Result<(), Refused> {
    Pseudonym::new(pseudonym).map(|_| ()).map_err(|why| Refused::Conflict(why.to_string()))
}

/// The card of the persona's device, at a place among those of its member (I2).
pub(crate) fn sign_card(persona: &Persona, index: u32) -> crate::identity::device::Card {
    let device = DeviceId::from_bytes(persona.device.verifying_key());
    persona.member.sign_card(persona.group, device, index, persona.prekey(), &persona.transport)
}

/// The first entry of a log.
fn opening(device: &SigningKey, group: GroupId, kind: Kind, payload: Vec<u8>) -> Verified<Entry> {
    let header = Header {
        version: VERSION,
        suite: SUITE,
        group,
        device: DeviceId::from_bytes(device.verifying_key()),
        seq: 0,
        prev: EntryId::NONE,
        grant: GrantId::NONE,
        kind,
        payload: payload_hash(&payload),
        size: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        sealing: Sealing::Clear,
        seen: Seen::default(),
    };
    Entry::author(device, header, payload)
}
