//! Drop-boxes (M2, J2): how someone asks to join who meets none of the members.
//!
//! Whoever made an invite has a drop-box for it at every keeper, until the invite is used up, expired
//! or void. The newcomer leaves a letter there; the answer lies in the same box.

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use super::{Asked, KeeperAsk, Visit};
use crate::codec::{Bytes, List};
use crate::crypto::signing::SigningKey;
use crate::id::{DropBoxId, InviteId, RequestId, TransportKey};
use crate::limits::{DROP_BOXES, DROP_RECORDS};
use crate::log::entry::Control;
use crate::mailbox::Cursor;
use crate::mailbox::letter::{Letter, LetterAnswer, reply_key};
use crate::mailbox::message::{KeeperReply, KeeperRequest, Putting};
use crate::replica::Replica;
use crate::replica::effect::Event;
use crate::replica::joining::checked_request_card;
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;
use crate::sync::message::{Declined, JoinMessage};
use crate::time::Timestamp;

/// Milliseconds that a drop-box stands for an invite without an expiry, anew each time its owner
/// meets the keeper.
const BOX_MILLIS: u64 = 60 * 86_400_000;
/// Milliseconds that an answer lies in a drop-box.
const ANSWER_MILLIS: u64 = 30 * 86_400_000;
/// Milliseconds between a newcomer's looks into the drop-box.
const LOOK_MILLIS: u64 = 15_000;
/// Milliseconds until a drop-box that is gone is made anew, and until an answer for which one has no
/// room is put again.
const FULL_BOX_MILLIS: u64 = 300_000;
/// Letters whose answers are still to be put.
const LETTERS: usize = 256;

impl Replica {
    // The side of the members ---------------------------------------------------------------------

    /// The invites that this member honours, for which drop-boxes stand.
    fn boxed_invites(&self, now: Timestamp) -> BTreeSet<InviteId> {
        let invites = self.set.control().values().filter_map(|control| match control {
            Control::Invite(invite) => Some(invite.invite),
            _ => None,
        });
        let waiting: BTreeSet<InviteId> =
            self.persona.letters.values().map(|letter| letter.invite).collect();
        invites
            .filter(|invite| waiting.contains(invite) || self.invite_for(invite, now).is_ok())
            .take(DROP_BOXES)
            .collect()
    }

    /// Makes, reads and ends drop-boxes.
    pub(super) fn box_ask(
        &mut self,
        now: Timestamp,
        keeper: TransportKey,
    ) -> Option<(Asked, KeeperAsk)> {
        let wanted = self.boxed_invites(now);
        let visit = self.keepers.visits.get_mut(&keeper)?;
        let ask = |asked, request| Some((asked, KeeperAsk::Request(Box::new(request))));
        if visit.boxes_due.take_if(|due| *due <= now).is_some() {
            let made = &visit.memory.boxes;
            visit.standing.retain(|invite| made.contains_key(invite));
        }
        let missing = wanted.iter().find(|invite| !visit.standing.contains(invite));
        if let Some(invite) = missing.copied() {
            visit.standing.push(invite);
            visit.unread_boxes.push(invite);
            let drop = DropBoxId::from_bytes(*invite.as_bytes());
            let request = KeeperRequest::OpenDrop { drop, expires: now.after(BOX_MILLIS) };
            return ask(Asked::OpenDrop(invite), request);
        }
        let over = visit
            .memory
            .boxes
            .iter()
            .find(|(invite, (_, until))| *until <= now && !wanted.contains(*invite));
        if let Some(invite) = over.map(|(invite, _)| *invite) {
            visit.standing.retain(|standing| *standing != invite);
            visit.unread_boxes.retain(|unread| *unread != invite);
            let drop = DropBoxId::from_bytes(*invite.as_bytes());
            return ask(Asked::CloseDrop(invite), KeeperRequest::CloseDrop(drop));
        }
        let invite = visit.unread_boxes.pop()?;
        let drop = DropBoxId::from_bytes(*invite.as_bytes());
        let after = visit.memory.boxes.get(&invite).map(|(at, _)| *at).unwrap_or_default();
        ask(Asked::DropGet(invite), KeeperRequest::DropGet { drop, after })
    }

    /// The answers to questions about drop-boxes.
    pub(super) fn box_answered<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        keeper: TransportKey,
        (asked, reply): (Asked, KeeperReply),
        out: &mut Outcome,
    ) {
        let waiting = self.persona.state == ReplicaState::Waiting;
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        match (asked, reply) {
            (Asked::OpenDrop(invite), KeeperReply::Done) => {
                visit.remember(|memory| {
                    memory.boxes.entry(invite).or_default();
                });
            }
            (Asked::OpenDrop(invite), KeeperReply::Full) => visit.box_gone(now, invite),
            (Asked::CloseDrop(invite), _) => visit.remember(|memory| {
                memory.boxes.remove(&invite);
            }),
            (Asked::DropGet(_), KeeperReply::Records { records, .. }) if waiting => {
                let records = records.into_vec();
                self.look_for_answer(keeper, records.iter().map(|r| r.bytes.as_slice()), out);
            }
            (Asked::DropGet(invite), KeeperReply::Records { records, more }) => {
                for held in records.into_vec() {
                    self.read_letter(now, rng, invite, held.bytes.as_slice(), out);
                    if let Some(visit) = self.keepers.visits.get_mut(&keeper) {
                        visit.remember(|memory| {
                            let (at, _) = memory.boxes.entry(invite).or_default();
                            *at = (*at).max(held.cursor);
                        });
                    }
                }
                if more && let Some(visit) = self.keepers.visits.get_mut(&keeper) {
                    visit.unread_boxes.push(invite);
                }
            }
            (Asked::Drop, KeeperReply::Done) => visit.standing.extend(self.persona.invite()),
            (Asked::Drop, _) => {
                visit.why = Some("the keeper knows nothing of this invitation any more".to_owned());
                visit.rest = now.after(LOOK_MILLIS);
            }
            (Asked::Letter, KeeperReply::Put(put)) if !is_full(&put) => {
                visit.remember(|memory| memory.asked = true);
                visit.box_due = now.after(LOOK_MILLIS);
            }
            (Asked::Answer(request), reply) => {
                let full = matches!(&reply, KeeperReply::Put(put) if is_full(put));
                if full {
                    visit.answers_due = now.after(FULL_BOX_MILLIS);
                }
                // Who is not let in anyway is told if there is room.
                let letter = self.persona.letters.get(&request);
                let admitted =
                    letter.is_some_and(|letter| self.authority.rank_of(&letter.member).is_some());
                let done = !full || !admitted;
                if done && let Some(letter) = self.persona.letters.remove(&request) {
                    out.persona_changed = true;
                    visit.remember(|memory| {
                        let (_, until) = memory.boxes.entry(letter.invite).or_default();
                        *until = now.after(ANSWER_MILLIS);
                    });
                }
            }
            _ => {
                visit.rest = now.after(LOOK_MILLIS);
            }
        }
    }

    /// A letter in a drop-box: a request like any other.
    fn read_letter<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        invite: InviteId,
        bytes: &[u8],
        out: &mut Outcome,
    ) {
        let secret = self.set.control().values().find_map(|control| match control {
            Control::Invite(found) if found.invite == invite => self.request_secret(found),
            _ => None,
        });
        let Some(letter) = secret.and_then(|secret| Letter::open(&secret, invite, bytes)) else {
            // An answer, or somebody else's junk.
            return;
        };
        let Some(card) = checked_request_card(&letter.request) else { return };
        if letter.request.invite != invite || self.persona.letters.len() >= LETTERS {
            return;
        }
        let id = letter.request.id();
        let answer = self.on_request(now, rng, card.transport, letter.request.clone(), out);
        let declined = match answer {
            JoinMessage::Declined(why) => Some(why),
            _ => None,
        };
        let reply = letter.reply.clone();
        let member = card.member;
        self.persona.letters.insert(id, PendingLetter { invite, member, reply, declined });
        out.persona_changed = true;
    }

    /// The answer to a letter, once there is one.
    pub(super) fn answer_ask<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        keeper: TransportKey,
    ) -> Option<(Asked, KeeperAsk)> {
        let mailbox = self.mailbox_at(&keeper)?;
        let visit = self.keepers.visits.get(&keeper)?;
        if now < visit.answers_due || self.persona.letters.is_empty() {
            return None;
        }
        let secrets = List::new(self.mailbox_secrets()).unwrap_or_default();
        let decided = self.persona.letters.iter().find_map(|(id, letter)| {
            if !visit.memory.boxes.contains_key(&letter.invite) {
                return None;
            }
            let declined = letter.declined.or_else(|| {
                let by_person = self.persona.declined.contains(id);
                let waits = self.requests.values().any(|request| {
                    checked_request_card(request).is_some_and(|card| card.member == letter.member)
                });
                match (by_person, waits) {
                    (true, _) => Some(Declined::ByPerson),
                    (false, true) => None,
                    (false, false) => Some(Declined::NotHere),
                }
            });
            let answer = if self.authority.rank_of(&letter.member).is_some() {
                LetterAnswer::Admitted { mailbox, secrets: secrets.clone() }
            } else {
                LetterAnswer::Declined(declined?)
            };
            Some((*id, letter, answer))
        });
        let (id, letter, answer) = decided?;
        let record = answer.seal(rng, &letter.reply, letter.invite);
        let drop = DropBoxId::from_bytes(*letter.invite.as_bytes());
        let request = KeeperRequest::DropPut { drop, record: Bytes::new(record).ok()? };
        Some((Asked::Answer(id), KeeperAsk::Request(Box::new(request))))
    }

    // The side of the newcomer --------------------------------------------------------------------

    /// Leaves a letter, and looks for the answer.
    pub(super) fn letter_ask<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        keeper: TransportKey,
    ) -> Option<(Asked, KeeperAsk)> {
        let invite = self.persona.invite()?;
        let drop = DropBoxId::from_bytes(*invite.as_bytes());
        let visit = self.keepers.visits.get_mut(&keeper)?;
        if visit.standing.is_empty() {
            let joining = self.persona.joining.as_ref()?;
            let key = SigningKey::from_seed(&joining.code.invite_secret);
            return Some((Asked::Drop, KeeperAsk::Drop { key: Box::new(key) }));
        }
        if visit.memory.asked {
            if now < visit.box_due {
                return None;
            }
            visit.box_due = now.after(LOOK_MILLIS);
            let request = KeeperRequest::DropGet { drop, after: Cursor::START };
            return Some((Asked::DropGet(invite), KeeperAsk::Request(Box::new(request))));
        }
        let request = self.own_request(rng)?;
        let reply = reply_key(&self.persona.device, invite);
        let request_key = self.persona.joining.as_ref()?.code.request_key;
        let sealed = Letter { request, reply }.seal(rng, &request_key, invite).ok()?;
        let request = KeeperRequest::DropPut { drop, record: Bytes::new(sealed).ok()? };
        Some((Asked::Letter, KeeperAsk::Request(Box::new(request))))
    }

    fn look_for_answer<'a>(
        &mut self,
        keeper: TransportKey,
        records: impl Iterator<Item = &'a [u8]>,
        out: &mut Outcome,
    ) {
        let Some(invite) = self.persona.invite() else { return };
        let reply = reply_key(&self.persona.device, invite);
        let mut answers = records
            .take(DROP_RECORDS)
            .filter_map(|bytes| LetterAnswer::open(&reply, invite, bytes));
        match answers.next() {
            None => {}
            Some(LetterAnswer::Declined(_)) => {
                self.persona.state = ReplicaState::Declined;
                out.persona_changed = true;
                out.notify(Event::Declined);
                self.follow_keepers(out);
            }
            Some(LetterAnswer::Admitted { mailbox, secrets }) => {
                for secret in secrets.into_vec() {
                    self.learn_mailbox_secret(secret, out);
                }
                if let Some(visit) = self.keepers.visits.get_mut(&keeper) {
                    visit.remember(|memory| memory.mailbox = Some(mailbox));
                }
                self.reach_anew(keeper, out);
            }
        }
    }
}

impl Visit {
    /// A drop-box does not stand there. It is made anew in a while only: any member can close it again
    /// and again.
    pub(super) fn box_gone(&mut self, now: Timestamp, invite: InviteId) {
        self.remember(|memory| {
            memory.boxes.remove(&invite);
        });
        self.unread_boxes.retain(|unread| *unread != invite);
        self.boxes_due.get_or_insert(now.after(FULL_BOX_MILLIS));
    }
}

fn is_full(put: &List<Putting, { crate::limits::PUT_RECORDS }>) -> bool {
    put.iter().any(|putting| *putting == Putting::Full)
}

/// A letter that was read and is not answered yet.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct PendingLetter {
    pub(crate) invite: InviteId,
    pub(crate) member: crate::id::MemberId,
    pub(crate) reply: crate::crypto::aead::SymmetricKey,
    pub(crate) declined: Option<Declined>,
}

/// Letters by their requests.
pub(crate) type Letters = std::collections::BTreeMap<RequestId, PendingLetter>;
