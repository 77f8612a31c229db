//! Inviting, asking, admitting (J1–J3), and showing who let one in (S1).

use std::collections::BTreeMap;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::authority::needed_to_grant;
use crate::capability::grant::Grant;
use crate::capability::invite::{Code, Invite, SealedRequestKey};
use crate::capability::rank::{Abilities, Rank};
use crate::codec::{self, Bytes, List, Map};
use crate::crypto::aead::{Nonce, SymmetricKey};
use crate::crypto::agreement::{self, SecretKey};
use crate::crypto::domain;
use crate::crypto::signing::{SigningKey, verify};
use crate::epoch::secret::Audience;
use crate::id::{DeviceId, EntryId, GroupId, InviteId, MemberId, RequestId, TransportKey};
use crate::identity::device::Card;
use crate::identity::member::verify_card;
use crate::log::entry::Control;
use crate::log::run::{Entry, Run, Verified};
use crate::replica::Replica;
use crate::replica::effect::{Effect, Event, Refused, Reply, Write};
use crate::replica::ingest::Misbehaved;
use crate::replica::input::{Protocol, SessionId};
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::sync::message::{Declined, Introduction, JoinMessage, Request};
use crate::time::Timestamp;

impl Replica {
    /// Makes an invite that this member itself honours (J1).
    pub(crate) fn invite<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        rank: Rank,
        (uses, expires, at_once): (u16, Option<Timestamp>, bool),
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let needs = "the rank of moderator, and one above the rank that is offered";
        let needed = needed_to_grant(rank).and(Abilities::INVITE);
        let grant = self.grant_with(needed, Some(rank), needs)?;
        let epoch = self.epoch_for(now, rng, Audience::Moderators, out)?;
        let secret = self.keyring.epoch(epoch).ok_or(Refused::Unknown { what: "key" })?;
        let key = SymmetricKey::from_bytes(*secret.as_bytes()).derive(domain::REQUEST_KEY, &[]);
        let invite_key = SigningKey::generate(rng);
        let invite = InviteId::from_bytes(invite_key.verifying_key());
        let request = SecretKey::generate(rng);
        let request_key = request.public_key();
        let nonce = Nonce::generate(rng);
        let sealed = key.seal(&nonce, invite.as_bytes(), &*request.to_bytes());
        let sealed = Bytes::new(sealed).unwrap_or_default();
        let admitters = BTreeMap::from([(self.member(), uses)]);
        let control = Control::Invite(Invite {
            invite,
            rank,
            admitters: Map::new(admitters).unwrap_or_default(),
            expires,
            request_key,
            request_secret: SealedRequestKey { epoch, nonce, sealed },
        });
        self.write_control(now, grant, &control, out)?;
        self.refresh(out);
        if at_once {
            self.persona.at_once.insert(invite);
            out.persona_changed = true;
        }
        let genesis = EntryId::from_bytes(*self.persona.group.as_bytes());
        let Some(Control::Genesis(genesis)) = self.set.control().get(&genesis) else {
            return Err(Refused::NotAMember { removed: false });
        };
        Ok(Reply::Invite(Box::new(Code {
            group: self.persona.group,
            salt: genesis.salt,
            invite_secret: *invite_key.to_seed(),
            request_key,
            seen: self.set.seen(),
            contacts: List::default(),
            keepers: List::new(self.keeper_contacts()).unwrap_or_default(),
        })))
    }

    /// The newcomer asks (J2).
    pub(crate) fn send_request<R: CryptoRng>(
        &mut self,
        rng: &mut R,
        id: SessionId,
        out: &mut Outcome,
    ) {
        match self.own_request(rng) {
            Some(request) => out.send_join(id, &JoinMessage::Request(Box::new(request))),
            None => self.end(id, out),
        }
    }

    pub(crate) fn own_request<R: CryptoRng>(&self, rng: &mut R) -> Option<Request> {
        let joining = self.persona.joining.as_ref()?;
        let (group, device) = (self.persona.group, self.device());
        let card = self.opening_run()?;
        let key = SigningKey::from_seed(&joining.code.invite_secret);
        let bound = codec::encode(&(group, device));
        let introduction = Introduction {
            pseudonym: codec::Text::new(self.persona.pseudonym.clone()).ok()?,
            words: codec::Text::new(joining.words.clone()).ok()?,
        };
        let sealed = agreement::seal(
            rng,
            &joining.code.request_key,
            domain::INTRODUCTION,
            &bound,
            &codec::encode(&introduction),
        )
        .ok()?;
        Some(Request {
            group,
            device,
            opening: card,
            invite: InviteId::from_bytes(key.verifying_key()),
            proof: key.sign(domain::SIGN_INVITE, &bound),
            introduction: Bytes::new(sealed).ok()?,
        })
    }

    /// The run with the own card. The card is signed anew: same header, same id, same signature.
    fn opening_run(&self) -> Option<Run> {
        let (id, control) = self.set.control().iter().find(|(id, control)| {
            matches!(control, Control::Card(_)) && self.set.place_of(id) == Some((self.device(), 0))
        })?;
        let slot = self.set.slot(id)?;
        let payload = control.encode();
        let header = crate::log::entry::Header {
            version: crate::log::entry::VERSION,
            suite: crate::log::entry::SUITE,
            group: self.persona.group,
            device: self.device(),
            seq: 0,
            prev: slot.prev,
            grant: slot.grant,
            kind: slot.kind,
            payload: crate::log::entry::payload_hash(&payload),
            size: u32::try_from(payload.len()).ok()?,
            sealing: crate::log::entry::Sealing::Clear,
            seen: crate::log::entry::Seen::default(),
        };
        let entry = Entry::author(&self.persona.device, header, payload);
        Run::new(&[entry.into_inner()], false)
    }

    pub(crate) fn join_message<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        id: SessionId,
        message: JoinMessage,
        out: &mut Outcome,
    ) -> Result<(), Misbehaved> {
        let session = self.peers.session(id).ok_or(Misbehaved::OutOfOrder)?;
        let (peer, initiated) = (session.peer, session.initiated);
        match (message, initiated) {
            (JoinMessage::Request(request), false) => {
                let answer = self.on_request(now, rng, peer, *request, out);
                out.send_join(id, &answer);
                self.end(id, out);
                Ok(())
            }
            (JoinMessage::Waiting, true) => {
                self.end(id, out);
                Ok(())
            }
            (JoinMessage::Admitted, true) => {
                self.end(id, out);
                if self.persona.state == ReplicaState::Waiting
                    && self.peers.may_open(now, peer, Protocol::Sync)
                {
                    out.effect(Effect::Open { peer, protocol: Protocol::Sync });
                }
                Ok(())
            }
            (JoinMessage::Declined(why), true) => {
                self.end(id, out);
                let known = why != Declined::NotHere;
                if self.persona.state == ReplicaState::Waiting && known {
                    self.persona.state = ReplicaState::Declined;
                    out.persona_changed = true;
                    out.notify(Event::Declined);
                }
                Ok(())
            }
            _ => Err(Misbehaved::OutOfOrder),
        }
    }

    /// Someone asks to join (J2).
    pub(crate) fn on_request<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        peer: TransportKey,
        request: Request,
        out: &mut Outcome,
    ) -> JoinMessage {
        let bytes = codec::encode(&request);
        let id = request.id();
        let Some((card, _)) = checked_request(self.persona.group, peer, &request) else {
            return JoinMessage::Declined(Declined::Malformed);
        };
        if self.authority.rank_of(&card.member).is_some() {
            return JoinMessage::Admitted;
        }
        let invite = match self.invite_for(&request.invite, now) {
            Ok(invite) => invite.clone(),
            Err(why) => return JoinMessage::Declined(why),
        };
        if self.authority.was_member(&card.member) || self.persona.declined.contains(&id) {
            return JoinMessage::Declined(Declined::ByPerson);
        }
        if self.requests.contains_key(&id) {
            return JoinMessage::Waiting;
        }
        let again = |other: &&Request| {
            checked_request_card(other).is_some_and(|other| other.member == card.member)
        };
        if self.requests.values().any(|other| again(&other)) {
            // The same person asks again: the first request is the one that waits.
            return JoinMessage::Waiting;
        }
        if self.requests.len() >= crate::limits::WAITING_REQUESTS {
            return JoinMessage::Declined(Declined::NotHere);
        }
        let Some(introduction) = self.open_introduction(&invite, &request) else {
            return JoinMessage::Declined(Declined::Malformed);
        };
        out.write(Write::Request {
            request: id,
            bytes,
            pseudonym: introduction.pseudonym.as_str().to_owned(),
            introduction: introduction.words.as_str().to_owned(),
            arrived: now,
        });
        self.requests.insert(id, request);
        if self.persona.at_once.contains(&invite.invite) && self.admit(now, rng, id, out).is_ok() {
            return JoinMessage::Admitted;
        }
        out.notify(Event::Request(id));
        JoinMessage::Waiting
    }

    /// The invite, if this member is to honour it now: it counts, names this member, is not used
    /// up in this member's own logs, and has not expired.
    pub(crate) fn invite_for(
        &self,
        invite: &InviteId,
        now: Timestamp,
    ) -> Result<&Invite, Declined> {
        let own = self.member();
        let (id, found) = self
            .set
            .control()
            .iter()
            .find_map(|(id, control)| match control {
                Control::Invite(found) if found.invite == *invite => Some((id, found)),
                _ => None,
            })
            .ok_or(Declined::NotHere)?;
        let quota = found.admitters.get(&own).copied().ok_or(Declined::NotHere)?;
        if !self.authority.counting(&self.set, id).counts() {
            return Err(Declined::NotHere);
        }
        if found.expires.is_some_and(|expires| now > expires) {
            return Err(Declined::Expired);
        }
        let used = self
            .set
            .control()
            .iter()
            .filter(|(id, control)| {
                matches!(control, Control::Grant(grant) if grant.invite == Some(*invite))
                    && self.authority.author(&self.set, id) == Some(own)
            })
            .count();
        if used >= usize::from(quota) { Err(Declined::UsedUp) } else { Ok(found) }
    }

    /// The secret half of an invite's request key: from the epoch that it is sealed under, or kept
    /// when that was destroyed (K7).
    pub(crate) fn request_secret(&self, invite: &Invite) -> Option<SecretKey> {
        if let Some(kept) = self.persona.request_secrets.get(&invite.invite) {
            return Some(SecretKey::from_bytes(kept));
        }
        let sealed = &invite.request_secret;
        let secret = self.keyring.epoch(sealed.epoch)?;
        let key = SymmetricKey::from_bytes(*secret.as_bytes()).derive(domain::REQUEST_KEY, &[]);
        let bytes: Zeroizing<Vec<u8>> =
            key.open(&sealed.nonce, invite.invite.as_bytes(), sealed.sealed.as_slice()).ok()?;
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.as_slice().try_into().ok()?);
        Some(SecretKey::from_bytes(&bytes))
    }

    fn open_introduction(&self, invite: &Invite, request: &Request) -> Option<Introduction> {
        let secret = self.request_secret(invite)?;
        let bound = codec::encode(&(request.group, request.device));
        let opened =
            secret.open(domain::INTRODUCTION, &bound, request.introduction.as_slice()).ok()?;
        let introduction: Introduction =
            codec::decode(&opened, crate::limits::SEALED_BOX_BYTES).ok()?;
        crate::document::kinds::profile::Pseudonym::new(introduction.pseudonym.as_str()).ok()?;
        Some(introduction)
    }

    /// Admits who asked (J3): the grant, the newcomer's card, a fresh epoch, and the duty of a
    /// welcome.
    pub(crate) fn admit<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        id: RequestId,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let request = self.requests.get(&id).ok_or(Refused::Unknown { what: "request" })?.clone();
        let card = checked_request_card(&request).ok_or(Refused::Unknown { what: "request" })?;
        let invite = self.invite_for(&request.invite, now).map_err(|why| {
            Refused::Conflict(match why {
                Declined::UsedUp => "the invite is used up: make a new one".to_owned(),
                Declined::Expired => "the invite has expired: make a new one".to_owned(),
                _ => "the invite does not count any more: make a new one".to_owned(),
            })
        })?;
        let rank = invite.rank;
        let needs = "the rank of moderator, and one above the rank that is offered";
        let under = self.grant_with(needed_to_grant(rank), Some(rank), needs)?;
        let own = self.authority.grant(&under).map(|(_, capability)| capability.abilities);
        let grant = Control::Grant(Grant {
            subject: card.member,
            rank,
            abilities: Abilities::usual(rank).common(own.unwrap_or(Abilities::NONE)),
            cites: List::default(),
            invite: Some(request.invite),
        });
        self.write_control(now, under, &grant, out)?;
        let opening = request.opening.clone().verify(self.persona.group);
        let opening = opening.map_err(|_| Refused::Unknown { what: "request" })?;
        for entry in &opening {
            out.authored(entry);
        }
        self.ingest(now, opening, out).map_err(|why| Refused::Conflict(why.to_string()))?;
        self.refresh(out);
        self.chosen.clear();
        self.epoch_for(now, rng, Audience::Readers, out)?;
        self.owe_welcome(request.device, out);
        self.open_mailboxes_to(now, rng, request.device, out);
        self.pay_welcomes(out);
        self.requests.remove(&id);
        out.write(Write::ForgetRequest { request: id });
        if self.peers.is_connected(&card.transport)
            && self.peers.may_open(now, card.transport, Protocol::Sync)
        {
            out.effect(Effect::Open { peer: card.transport, protocol: Protocol::Sync });
        }
        Ok(Reply::Done)
    }

    pub(crate) fn decline(&mut self, id: RequestId, out: &mut Outcome) -> Result<Reply, Refused> {
        self.requests.remove(&id).ok_or(Refused::Unknown { what: "request" })?;
        out.write(Write::ForgetRequest { request: id });
        // Whoever was declined asks again until told so; nobody here is to be asked about it twice.
        while self.persona.declined.len() >= crate::limits::DECLINED_REQUESTS {
            self.persona.declined.pop_first();
        }
        self.persona.declined.insert(id);
        out.persona_changed = true;
        Ok(Reply::Done)
    }

    /// The member that asks in a request.
    #[must_use]
    pub fn requester(&self, request: &RequestId) -> Option<MemberId> {
        checked_request_card(self.requests.get(request)?).map(|card| card.member)
    }
}

impl Request {
    /// Its id: the hash of (device, invite). Asking again is the same request.
    #[must_use]
    pub fn id(&self) -> RequestId {
        let bytes = codec::encode(&(self.group, self.device, self.invite));
        RequestId::from_bytes(domain::hash(domain::REQUEST, &[&bytes]))
    }
}

pub(crate) fn card_of(entry: &Verified<Entry>) -> Option<Card> {
    let Entry { header, payload, .. } = entry.get();
    match Control::decode(header.kind, payload.as_deref()?) {
        Ok(Control::Card(card)) => Some(card),
        _ => None,
    }
}

pub(crate) fn checked_request_card(request: &Request) -> Option<Card> {
    let entries = request.opening.clone().verify(request.group).ok()?;
    match entries.as_slice() {
        [entry] if entry.get().header.device == request.device => card_of(entry),
        _ => None,
    }
}

/// A request whose every proof holds, from the peer that it names.
fn checked_request(
    group: GroupId,
    peer: TransportKey,
    request: &Request,
) -> Option<(Card, DeviceId)> {
    if request.group != group {
        return None;
    }
    let card = checked_request_card(request)?;
    verify_card(group, request.device, &card).ok()?;
    let bound = codec::encode(&(group, request.device));
    verify(request.invite.as_bytes(), domain::SIGN_INVITE, &bound, &request.proof).ok()?;
    (card.transport == peer).then_some((card, request.device))
}
