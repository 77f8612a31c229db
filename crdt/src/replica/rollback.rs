//! A log that went on without its device (I4): the disk was set back, or the home was copied and
//! runs twice.
//!
//! ```text
//! what all hold ──┬── what others hold and this disk has forgotten    ◄ selected by a pin
//!                 └── what was written here since                     ─► written again, new log
//! ```
//!
//! Nothing is asked before writing: a device that is alone has to be able to write. The fork that
//! comes of it is healed when it is seen, which is when an entry of this device comes from somebody
//! else. The persona then moves on to a new device, in one transaction: new keys, a card, a pin by
//! the member key for the branch that others hold, and its own acts since, said again. Its documents
//! follow one by one, when a stream has brought what others hold, under the same ids, so that what
//! others answered stays an answer; which are left is remembered. What must stay true: whatever anybody
//! has seen can be read afterwards, once.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::authority::{Counting, Rule};
use crate::capability::grant::GROUP_VERSION;
use crate::capability::rank::Abilities;
use crate::capability::revocation::{CutHead, Pin, PinRight};
use crate::crypto::aead::SymmetricKey;
use crate::document::change::{Actor, CheckedChange};
use crate::document::kinds::{Content, DocumentKind};
use crate::document::rebuild;
use crate::document::sealing::{Creation, DocumentKey, Envelope};
use crate::document::view::View;
use crate::epoch::secret::Audience;
use crate::id::{DeviceId, DocumentId, EntryId, GrantId, MemberId};
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::again::again;
use crate::replica::effect::{Effect, Refused};
use crate::replica::found::sign_card;
use crate::replica::input::Stored;
use crate::replica::materialise::Read;
use crate::replica::outcome::Outcome;
use crate::replica::peers::Peers;
use crate::replica::persona::ReplicaState;
use crate::replica::posts::{Edit, PendingEdit};
use crate::replica::prekeys::Asked;
use crate::time::Timestamp;

/// Devices that a persona has moved on from and whose wraps it still tries.
const FORMER_DEVICES: usize = 8;
/// Entries whose words are written again after one rollback.
const AGAIN_ENTRIES: usize = 4096;

/// What a persona remembers of devices that it has moved on from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rollback {
    /// Oldest first.
    pub(crate) former: Vec<DeviceId>,
    /// The last own entry when one of this device came from somebody else.
    overtaken: Option<(u64, EntryId)>,
    /// The log that others hold more of, and the first place in it that this disk has forgotten:
    /// nothing is written again before all is here that others hold.
    catching_up: Option<(DeviceId, u64)>,
    /// Documents to be written again, and the own entries that changed them.
    again: BTreeMap<DocumentId, BTreeSet<EntryId>>,
    /// What became of acts that were said again.
    became: BTreeMap<EntryId, EntryId>,
}

impl Rollback {
    /// The persona is another device from now on.
    pub(crate) fn moved(&mut self, from: DeviceId) {
        self.overtaken = None;
        self.former.push(from);
        let extra = self.former.len().saturating_sub(FORMER_DEVICES);
        self.former.drain(..extra);
    }
}

impl Replica {
    /// The devices of this persona: its own, and those that it has moved on from.
    pub(crate) fn own_devices(&self) -> Vec<DeviceId> {
        let former = self.persona.rollback.former.iter().rev().copied();
        [self.device()].into_iter().chain(former).collect()
    }

    /// The end of the own log.
    pub(crate) fn own_tip(&self) -> Option<(u64, EntryId)> {
        self.set.log(&self.device()).and_then(|log| log.heads().last().copied())
    }

    /// An entry of this device came from somebody else; `tip` was the end of its log before.
    pub(crate) fn note_overtaken(&mut self, tip: (u64, EntryId), out: &mut Outcome) {
        if self.persona.rollback.overtaken.is_none() {
            self.persona.rollback.overtaken = Some(tip);
            out.persona_changed = true;
        }
    }

    /// Moves on to a new device, if an entry of the present one came from somebody else.
    pub(crate) fn move_on<R: CryptoRng>(&mut self, now: Timestamp, rng: &mut R, out: &mut Outcome) {
        let may =
            self.persona.state == ReplicaState::Member && self.authority.version() <= GROUP_VERSION;
        let Some(tip) = self.persona.rollback.overtaken.filter(|_| may) else { return };
        let Ok(grant) = self.grant_with(Abilities::READ, None, "to be a member") else { return };
        let old = self.device();
        let own = self.member();
        let (head, written) = self.branches(&old, tip);
        let kept = u64::try_from(written.len()).unwrap_or(u64::MAX);
        let forgotten = tip.0.saturating_sub(kept).saturating_add(1);
        let rule_of = |id: &EntryId| match self.authority.counting(&self.set, id) {
            Counting::Suspended { rule, .. } | Counting::Void { rule, .. } => Some(rule),
            _ => None,
        };
        let undecided = written.iter().any(|id| rule_of(id) == Some(Rule::A7));
        let declined = written.iter().any(|id| rule_of(id) == Some(Rule::A6));
        let devices = self.authority.devices().values().filter(|device| device.member == own);
        let index =
            devices.map(|device| device.index).max().map_or(0, |last| last.saturating_add(1));

        self.persona.renew(now, rng);
        self.keyring.renew(self.persona.secrets());
        let card = Control::Card(sign_card(&self.persona, index));
        // The log is new and the card signed: what follows is written as ever.
        let mut wrote = self.write_control(now, GrantId::NONE, &card, out).is_ok();
        if let Some(head) = head.filter(|_| undecided) {
            let group = self.persona.group;
            let signature = self.persona.member.sign_pin(group, old, head.seq, head.entry);
            let pin = Pin { device: old, head, by: PinRight::Member(own, signature) };
            wrote &= self.write_control(now, grant, &Control::Pin(pin), out).is_ok();
        }
        debug_assert!(wrote);
        self.refresh(out);
        self.chosen.clear();
        self.persona.rollback.catching_up = Some((old, forgotten));
        if undecided || declined {
            self.say_again(now, &written, out);
            self.note_again(&written);
        }
        self.peers = Peers::default();
        self.passports.clear();
        self.asked = Asked::default();
        (self.last_shown, self.own_receipt, self.last_told) = (None, None, None);
        // Whoever is looked for is looked for from the new network.
        let profiles: Vec<_> =
            self.documents.of_kind(DocumentKind::Profile).map(|(id, _)| id).collect();
        for profile in profiles {
            self.documents.touch(profile);
        }
        out.persona_changed = true;
        out.effect(Effect::Identity);
    }

    /// The end of a branch of a log that does not lead to `tip`, and the entries that lead to `tip`
    /// alone, in order.
    fn branches(&self, device: &DeviceId, tip: (u64, EntryId)) -> (Option<CutHead>, Vec<EntryId>) {
        let Some(log) = self.set.log(device) else { return (None, Vec::new()) };
        let other =
            log.heads().iter().rev().find(|(seq, id)| !log.on_path(*seq, id, tip.0, &tip.1));
        let Some((seq, entry)) = other.copied() else { return (None, Vec::new()) };
        let mut written = Vec::new();
        let (mut at, mut id) = tip;
        while !log.on_path(seq, &entry, at, &id) {
            written.push(id);
            let Some(slot) = log.slot(at, &id) else { break };
            id = slot.prev;
            match at.checked_sub(1) {
                Some(before) => at = before,
                None => break,
            }
        }
        written.reverse();
        (Some(CutHead { seq, entry }), written)
    }

    /// Says the acts among these entries again. What they name among each other follows.
    fn say_again(&mut self, now: Timestamp, written: &[EntryId], out: &mut Outcome) {
        let mut became: BTreeMap<EntryId, EntryId> = BTreeMap::new();
        for id in written {
            let grant = self.set.slot(id).map(|slot| slot.grant);
            let (Some(grant), Some(control)) = (grant, self.set.control().get(id)) else {
                continue;
            };
            let standing = self.authority.members().get(&self.member());
            let held = standing.is_some_and(|standing| standing.grants.contains_key(&grant));
            if grant != GrantId::NONE && !held {
                continue;
            }
            let Some(control) = again(control.clone(), &became) else { continue };
            if let Ok(new) = self.write_control(now, grant, &control, out) {
                became.insert(*id, new);
            }
        }
        self.persona.rollback.became = became;
        self.refresh(out);
    }

    /// Remembers which documents these entries changed.
    pub(crate) fn note_again(&mut self, written: &[EntryId]) {
        for id in written.iter().take(AGAIN_ENTRIES) {
            let Some(document) = self.documents.of_entry(id) else { continue };
            self.persona.rollback.again.entry(document).or_default().insert(*id);
        }
        self.resume_again();
    }

    /// A stream has brought all that the other end had: who reads now is known again, and so are the
    /// newcomers whom this device admitted and has forgotten.
    pub(crate) fn caught_up(&mut self, out: &mut Outcome) {
        let Some((old, forgotten)) = self.persona.rollback.catching_up.take() else { return };
        out.persona_changed = true;
        let granted = |id: &EntryId| match self.set.control().get(id) {
            Some(Control::Grant(grant)) if grant.invite.is_some() => Some(grant.subject),
            _ => None,
        };
        let entries = self.set.log(&old).map(|log| log.between(forgotten, u64::MAX));
        let admitted: BTreeSet<MemberId> =
            entries.into_iter().flatten().filter_map(|(id, _)| granted(&id)).collect();
        let members = self.authority.members().iter().filter(|(id, _)| admitted.contains(*id));
        let devices: Vec<DeviceId> =
            members.flat_map(|(_, standing)| &standing.devices).copied().collect();
        for device in devices {
            self.owe_welcome(device, out);
        }
        self.resume_again();
    }

    /// Asks the store for what is still to be written again.
    pub(crate) fn resume_again(&mut self) {
        if self.persona.rollback.catching_up.is_some() {
            return;
        }
        let documents: Vec<_> = self.persona.rollback.again.keys().copied().collect();
        for document in documents {
            self.documents.touch(document);
        }
    }

    /// A document is here that is to be written again. Whether it has to be read once more before
    /// it can be built.
    pub(crate) fn write_anew<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        document: DocumentId,
        entries: &[Stored],
        out: &mut Outcome,
    ) -> bool {
        let waits = self.persona.rollback.catching_up.is_some();
        if waits || self.persona.state != ReplicaState::Member {
            return false;
        }
        let Some(own) = self.persona.rollback.again.get(&document).cloned() else { return false };
        if !self.may_write_again(now, &own, out) {
            return false;
        }
        self.persona.rollback.again.remove(&document);
        out.persona_changed = true;
        let known = self.documents.get(&document).and_then(|known| known.created);
        let Some((created, kind)) = known else { return false };
        let gone =
            self.authority.erased(&created).is_some() || self.authority.hidden(&created).is_some();
        if gone {
            return false;
        }
        let reads = self.read_all(kind, entries.to_vec());
        let creation = reads
            .iter()
            .filter(|read| own.contains(&read.id))
            .find_map(|read| read.envelope.creation);
        let Some(creation) = creation else {
            self.edit_anew(document, kind, &own, &reads);
            return false;
        };
        let of_own = reads.iter().filter(|read| own.contains(&read.id)).map(change_of);
        let view = rebuild::rebuild(kind, &of_own.collect::<Vec<_>>()).view;
        let written = view.map(|view| self.create_anew(now, rng, creation, view, out));
        matches!(written, Some(Ok(())))
    }

    /// Creates a document again with the id that it had.
    fn create_anew<R: CryptoRng>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
        creation: Creation,
        view: View,
        out: &mut Outcome,
    ) -> Result<(), Refused> {
        let document = creation.document(self.persona.group);
        let (needed, words) = Self::ability_for(creation.kind);
        let grant = self.grant_with(needed, None, words)?;
        let (content, audience) = match view.content {
            Content::Act(mut act) => {
                act.about = *self.persona.rollback.became.get(&act.about).unwrap_or(&act.about);
                let audience = Audience::ModeratorsAnd(act.subject);
                (Content::Act(act), audience)
            }
            content => (content, Audience::Readers),
        };
        let change = content
            .create(Actor::of(self.device(), document), view.written)
            .map_err(|why| Refused::Conflict(why.to_string()))?;
        let key = SymmetricKey::generate(rng);
        let fresh = DocumentKey::Fresh(key.clone());
        let envelope = Envelope { document, creation: Some(creation), key: fresh };
        self.write_content(now, rng, grant, audience, &envelope, &key, &change, out).map(|_| ())
    }

    /// Makes the own changes of a document again that others hold as it was before.
    fn edit_anew(
        &mut self,
        document: DocumentId,
        kind: DocumentKind,
        own: &BTreeSet<EntryId>,
        reads: &[Read],
    ) {
        let first = own.iter().filter_map(|id| self.set.place_of(id)).min_by_key(|place| place.1);
        let Some((device, from)) = first else { return };
        // The branch that others hold may have changed it too: what was said here is said later.
        let elsewhere = |read: &&Read| {
            let place = self.set.place_of(&read.id);
            !own.contains(&read.id) && place.is_some_and(|(of, at)| of == device && at >= from)
        };
        let changes: Vec<_> = reads
            .iter()
            .filter(|read| (read.counts && !elsewhere(read)) || own.contains(&read.id))
            .map(change_of)
            .collect();
        if kind.is_shared() && reads.iter().any(|read| read.counts && elsewhere(&read)) {
            // Others may have built on that: two versions of a text are not laid over each other.
            return;
        }
        let edit = match rebuild::rebuild(kind, &changes).view.map(|view| view.content) {
            Some(Content::Post(post)) => Edit::Text(post.body.as_str().to_owned()),
            Some(Content::Thread(thread)) => Edit::Text(thread.title.as_str().to_owned()),
            Some(Content::Profile(profile)) => Edit::Profile {
                pseudonym: Some(profile.pseudonym.as_str().to_owned()),
                addresses: profile.addresses.iter().map(|a| a.as_slice().to_vec()).collect(),
            },
            Some(Content::Agreement(agreement)) => Edit::Agreement {
                name: agreement.name.as_str().to_owned(),
                text: agreement.text.as_str().to_owned(),
            },
            _ => return,
        };
        // Applied by the building that follows at once.
        let pending = PendingEdit { command: None, edit };
        self.edits.entry(document).or_default().insert(0, pending);
    }
}

fn change_of(read: &Read) -> (EntryId, CheckedChange) {
    (read.id, read.change.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i4_the_last_eight_devices_are_remembered() {
        let device = |n: u8| DeviceId::from_bytes([n; 32]);
        let overtaken = Some((7, EntryId::from_bytes([7; 32])));
        let mut rollback = Rollback { overtaken, ..Rollback::default() };
        for n in 0..10 {
            rollback.moved(device(n));
        }
        assert_eq!(rollback.former, (2..10).map(device).collect::<Vec<_>>());
        assert_eq!(rollback.overtaken, None, "the new device was not overtaken");
    }
}
