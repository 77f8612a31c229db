//! Writing own entries: control in the clear, content sealed (K5).

use rand_core::CryptoRng;

use crate::authority::decision::{Denied, grant_for};
use crate::capability::rank::{Abilities, Rank};
use crate::crypto::aead::SymmetricKey;
use crate::document::change::Actor;
use crate::document::kinds::{Content, DocumentKind};
use crate::document::sealing::{self, Creation, DocumentKey, Envelope, Owner};
use crate::epoch::secret::Audience;
use crate::id::{DocumentId, EntryId, GrantId, PayloadHash};
use crate::limits;
use crate::log::entry::{Control, Header, Kind, SUITE, Sealing, VERSION, payload_hash};
use crate::log::run::{Entry, Verified};
use crate::replica::Replica;
use crate::replica::effect::Refused;
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::time::Timestamp;

impl Replica {
    /// The grant to act under: the lowest that has the abilities and stands above `above`.
    pub(crate) fn grant_with(
        &self,
        needed: Abilities,
        above: Option<Rank>,
        words: &str,
    ) -> Result<GrantId, Refused> {
        if self.authority.version() > crate::capability::grant::GROUP_VERSION {
            return Err(Refused::UpdateNeeded);
        }
        if self.authority.rank_of(&self.member()).is_none() {
            let removed = matches!(self.persona.state, ReplicaState::Removed | ReplicaState::Left);
            return Err(Refused::NotAMember { removed });
        }
        grant_for(&self.authority, &self.member(), needed, above)
            .map_err(|_: Denied| Refused::NotAllowed { needs: words.to_owned() })
    }

    /// The next header of the own log.
    fn next_header(&self, kind: Kind, grant: GrantId) -> Header {
        let device = self.device();
        let tip = self.set.log(&device).and_then(|log| log.heads().last().copied());
        let (seq, prev) = tip.map_or((0, EntryId::NONE), |(seq, id)| (seq.saturating_add(1), id));
        Header {
            version: VERSION,
            suite: SUITE,
            group: self.persona.group,
            device,
            seq,
            prev,
            grant,
            kind,
            payload: PayloadHash::from_bytes([0; 32]),
            size: 0,
            sealing: Sealing::Clear,
            seen: self.set.seen(),
        }
    }

    /// The next entry of the own log, signed and not yet anywhere.
    pub(crate) fn author_control(
        &self,
        grant: GrantId,
        control: &Control,
    ) -> Result<Verified<Entry>, Refused> {
        let (Some(kind), payload) = (control.kind(), control.encode()) else {
            return Err(Refused::UpdateNeeded);
        };
        if payload.len() > limits::PAYLOAD_BYTES {
            let what = "what this act has to name";
            return Err(Refused::TooLong { what, limit: limits::PAYLOAD_BYTES });
        }
        let header = Header {
            payload: payload_hash(&payload),
            size: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            ..self.next_header(kind, grant)
        };
        Ok(Entry::author(&self.persona.device, header, payload))
    }

    /// Writes a control entry. The caller refreshes the authority when it has written all.
    pub(crate) fn write_control(
        &mut self,
        now: Timestamp,
        grant: GrantId,
        control: &Control,
        out: &mut Outcome,
    ) -> Result<EntryId, Refused> {
        let entry = self.author_control(grant, control)?;
        let inserted = self.set.insert(&entry);
        debug_assert!(inserted.is_ok());
        match control {
            Control::Grant(grant) => {
                self.granted.insert(grant.subject);
            }
            Control::Replace(replace) => {
                self.granted.insert(replace.with.subject);
            }
            _ => {}
        }
        let id = entry.get().id;
        if matches!(control, Control::Erase(_)) {
            self.erasures_heard.insert(id, now);
        }
        out.entry(entry.get(), entry.get().payload.clone(), now);
        out.authored(&entry);
        Ok(id)
    }

    /// Creates a document.
    pub(crate) fn create<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        grant: GrantId,
        audience: Audience,
        content: &Content,
        out: &mut Outcome,
    ) -> Result<DocumentId, Refused> {
        let kind = content.kind();
        let owner = if kind.is_shared() { Owner::Shared } else { Owner::Member(self.member()) };
        let creation = Creation::new(rng, owner, kind);
        let document = creation.document(self.persona.group);
        let written = self.next_time(now, out);
        let change = content
            .create(Actor::of(self.device(), document), written)
            .map_err(|why| Refused::Conflict(why.to_string()))?;
        let key = SymmetricKey::generate(rng);
        let envelope =
            Envelope { document, creation: Some(creation), key: DocumentKey::Fresh(key.clone()) };
        self.write_content(now, rng, grant, audience, &envelope, &key, &change, out)?;
        Ok(document)
    }

    /// Seals a change, writes it, and reads it as everyone else will.
    #[expect(clippy::too_many_arguments, reason = "each is one part of a sealed entry")]
    pub(crate) fn write_content<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        grant: GrantId,
        audience: Audience,
        envelope: &Envelope,
        key: &SymmetricKey,
        change: &[u8],
        out: &mut Outcome,
    ) -> Result<EntryId, Refused> {
        let epoch = self.epoch_for(now, rng, audience, out)?;
        let header = self.next_header(Kind::CONTENT, grant);
        let secret = self.keyring.epoch(epoch).ok_or(Refused::Unknown { what: "key" })?;
        let (header, payload) = sealing::seal(rng, header, secret, envelope, key, change)
            .map_err(|why| Refused::Conflict(why.to_string()))?;
        let entry = Entry::author(&self.persona.device, header, payload);
        let inserted = self.set.insert(&entry);
        debug_assert!(inserted.is_ok());
        let id = entry.get().id;
        out.entry(entry.get(), entry.get().payload.clone(), now);
        out.authored(&entry);
        self.open_content(now, vec![entry], out);
        Ok(id)
    }

    /// The time to put on something new (C6).
    pub(crate) fn next_time(&mut self, now: Timestamp, out: &mut Outcome) -> Timestamp {
        let mut clock = crate::document::clock::HybridClock::after(self.persona.clock);
        self.persona.clock = clock.next(now);
        out.persona_changed = true;
        self.persona.clock
    }

    /// What writing a kind of document needs.
    pub(crate) const fn ability_for(kind: DocumentKind) -> (Abilities, &'static str) {
        match kind {
            DocumentKind::Profile => (Abilities::READ, "to be a member"),
            DocumentKind::Thread | DocumentKind::Post => {
                (Abilities::POST, "the ability to post, which readers do not have")
            }
            DocumentKind::Response => {
                (Abilities::RESPOND, "the ability to respond, which readers do not have")
            }
            DocumentKind::Agreement => {
                (Abilities::EDIT_AGREEMENT, "the rank of steward or founder")
            }
            DocumentKind::Act => (Abilities::REMOVE, "the rank of moderator"),
        }
    }
}
