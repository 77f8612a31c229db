//! What is destroyed when nobody has use for it, and what stays readable without it (K7).

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec;
use cairn_crdt::crypto::aead::SymmetricKey;
use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::document::sealing::{self, DocumentKey, ENVELOPE_BYTES, Envelope};
use cairn_crdt::epoch::secret::{EpochSecret, Mint};
use cairn_crdt::id::{DocumentId, EntryId, EpochId};
use cairn_crdt::log::entry::{Control, Sealing};
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::input::Command;

use crate::community::Community;
use crate::prekeys::next_day;
use crate::store::{Kept, Store};

const DAY: u64 = 86_400_000;

fn days(c: &mut Community, days: u64) {
    c.now = c.now.after(days * DAY);
    c.settle();
    c.settle();
}

fn held(c: &Community, who: usize) -> BTreeSet<EpochId> {
    let snapshot = c.people[who].store.snapshot(c.people[who].replica.group());
    snapshot.epochs.into_iter().map(|(epoch, _)| epoch).collect()
}

fn sealed_under(c: &Community, who: usize, document: DocumentId) -> EpochId {
    let created = c.people[who].replica.created(&document).unwrap();
    match c.people[who].store.entries[&created].header.sealing {
        Sealing::Sealed { epoch, .. } => epoch,
        Sealing::Clear => panic!("content"),
    }
}

/// Another member comes, so that what was sealed for those before is out of use.
fn newcomer(c: &mut Community) -> usize {
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Member);
    late
}

/// All documents are built anew from what is in the store.
fn rebuild(c: &mut Community, who: usize) {
    let group = c.people[who].replica.group();
    let snapshot = c.people[who].store.snapshot(group);
    let documents = snapshot.entries.iter().filter_map(|entry| entry.content?.document);
    let documents: BTreeSet<DocumentId> = documents.collect();
    c.people[who].store.rows.clear();
    c.people[who].store.stale.extend(documents);
    c.restart(who);
}

/// What a device has to open something with, taken with all that its store and persona hold.
pub struct Thief {
    epochs: BTreeMap<EpochId, EpochSecret>,
    envelopes: BTreeMap<EntryId, Envelope>,
}

fn mint_of(control: &Control) -> Option<&Mint> {
    match control {
        Control::Epoch(mint) => Some(mint),
        Control::Remove(remove) => remove.epoch.as_ref(),
        Control::Revoke(revoke) => revoke.epoch.as_ref(),
        _ => None,
    }
}

/// The prekeys in a stored persona: after four keys a count, then each with a time.
fn prekeys(persona: &[u8]) -> Vec<SecretKey> {
    let (count, mut rest) = persona[142..].split_first().unwrap();
    let mut keys = Vec::new();
    for _ in 0..*count {
        let (key, after) = rest.split_at(32);
        keys.push(SecretKey::from_bytes(key.try_into().unwrap()));
        let end = after.iter().position(|byte| byte & 0x80 == 0).unwrap();
        rest = &after[end + 1..];
    }
    keys
}

impl Thief {
    pub fn of(c: &Community, who: usize, store: &Store) -> Self {
        let replica = &c.people[who].replica;
        let (group, device) = (replica.group(), replica.device());
        let snapshot = store.snapshot(group);
        let prekeys = prekeys(&store.persona);
        let mut epochs: BTreeMap<EpochId, EpochSecret> = snapshot
            .epochs
            .iter()
            .map(|(epoch, secret)| (*epoch, EpochSecret::from_bytes(**secret)))
            .collect();
        let mut envelopes = BTreeMap::new();
        for (id, kept) in &store.entries {
            if let Some(bytes) = &kept.envelope {
                envelopes.insert(*id, codec::decode(bytes, ENVELOPE_BYTES).unwrap());
            }
        }
        let set = replica.set();
        for (id, control) in set.control() {
            let (minter, _) = set.place_of(id).unwrap();
            if let Some(mint) = mint_of(control)
                && let Ok(secret) = mint.open(group, minter, device, &prekeys)
            {
                epochs.insert(mint.epoch, secret);
            }
            if let Control::Welcome(welcome) = control
                && welcome.recipient == device
                && let Ok(keys) = welcome.open(group, &prekeys)
            {
                let secrets = keys.epochs.iter().map(|s| (s.epoch(group), s.clone()));
                epochs.extend(secrets);
                envelopes.extend(keys.envelopes.iter().cloned());
            }
        }
        for (id, control) in set.control() {
            let Some(mint) = mint_of(control) else { continue };
            let (minter, _) = set.place_of(id).unwrap();
            if let Some(secret) = epochs.get(&mint.epoch) {
                epochs.extend(mint.previous(group, minter, secret).unwrap_or_default());
            }
        }
        Self { epochs, envelopes }
    }

    pub fn opens(&self, entry: &EntryId, kept: &Kept) -> bool {
        let Sealing::Sealed { epoch, .. } = kept.header.sealing else { return false };
        let key_of = |id: &EntryId| match &self.envelopes.get(id)?.key {
            DocumentKey::Fresh(key) => Some::<SymmetricKey>(key.clone()),
            DocumentKey::Of(_) => None,
        };
        let known = self.envelopes.get(entry).cloned();
        let payload = kept.payload.as_deref().unwrap();
        sealing::open(&kept.header, payload, self.epochs.get(&epoch), known, key_of).is_ok()
    }
}

#[test]
fn k7_old_secrets_go_after_the_window_and_what_is_live_stays_readable() {
    let mut c = Community::with_members(140, 3);
    let thread = c.thread(0, "Evening", "hello");
    let mine = c.post(1, thread, "first draft");
    c.settle();
    let old = sealed_under(&c, 1, mine);
    let late = newcomer(&mut c);
    next_day(&mut c);
    days(&mut c, 27);
    assert!((0..3).all(|who| held(&c, who).contains(&old)), "within the window");
    days(&mut c, 4);
    for who in 0..3 {
        assert!(!held(&c, who).contains(&old), "{who}");
        rebuild(&mut c, who);
    }
    c.connect(0, 1);
    c.connect(0, 2);
    c.connect(0, late);
    assert!((0..3).all(|who| c.reads(who, "hello") && c.reads(who, "first draft")));
    let reply = c.ask(1, Command::Edit { document: mine, text: "second draft".to_owned() });
    assert!(reply.is_ok());
    c.post(2, thread, "and on");
    c.settle();
    for who in 0..3 {
        rebuild(&mut c, who);
        assert!(c.reads(who, "second draft") && c.reads(who, "and on") && c.reads(who, "hello"));
        assert!(!c.reads(who, "first draft"));
    }
    assert!(c.reads(late, "and on"));
    let quiet = held(&c, 0);
    days(&mut c, 100);
    assert_eq!(held(&c, 0), quiet, "what is in use stays, however old");
}

#[test]
fn k7_what_was_erased_stays_closed_to_whoever_takes_the_device_later() {
    let mut c = Community::with_members(141, 3);
    let thread = c.thread(0, "Evening", "hello");
    let post = c.post(1, thread, "too much");
    c.settle();
    let created = c.people[2].replica.created(&post).unwrap();
    let hoarded = c.people[2].store.entries[&created].clone();
    c.ask(1, Command::Erase { document: post }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    newcomer(&mut c);
    next_day(&mut c);
    let early = Thief::of(&c, 2, &c.people[2].store);
    assert!(early.opens(&created, &hoarded), "the danger is real");
    days(&mut c, 31);
    days(&mut c, 1);
    for who in 0..3 {
        let late = Thief::of(&c, who, &c.people[who].store);
        assert!(!late.opens(&created, &hoarded), "{who}");
        let (id, live) = c.people[who]
            .store
            .entries
            .iter()
            .find(|(_, kept)| kept.document.is_some() && kept.payload.is_some())
            .unwrap();
        assert!(late.opens(id, live), "what is live is open to a thief, as to its owner");
    }
}

#[test]
fn k7_what_is_still_to_come_keeps_its_secret_for_a_while_and_not_for_ever() {
    let mut c = Community::with_members(142, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let post = c.post(1, thread, "the words that are lacking");
    c.settle();
    let epoch = sealed_under(&c, 1, post);
    let entry = c.people[1].replica.created(&post).unwrap();
    c.unplug(1);
    for who in [0, 2] {
        let kept = c.people[who].store.entries.get_mut(&entry).unwrap();
        (kept.payload, kept.document, kept.envelope) = (None, None, None);
        c.restart(who);
    }
    c.connect(0, 2);
    let late = newcomer(&mut c);
    next_day(&mut c);
    days(&mut c, 31);
    assert!(held(&c, 2).contains(&epoch), "its words are still to come");
    assert_eq!(held(&c, late).len(), 1);
    days(&mut c, 30);
    assert!(!held(&c, 2).contains(&epoch), "nobody keeps it alive by withholding them");
}

#[test]
fn k7_what_arrives_after_the_window_is_read_by_asking_its_author() {
    let mut c = Community::with_members(143, 4);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(3);
    newcomer(&mut c);
    next_day(&mut c);
    days(&mut c, 40);
    let late = c.post(3, thread, "back after a long time");
    let epoch = sealed_under(&c, 3, late);
    assert!(!held(&c, 0).contains(&epoch));
    c.connect(0, 3);
    for _ in 0..4 {
        c.settle();
    }
    assert!((0..3).all(|who| c.reads(who, "back after a long time")));
    assert!(held(&c, 0).contains(&epoch));
    next_day(&mut c);
    days(&mut c, 30);
    assert!(!held(&c, 0).contains(&epoch), "and it goes again");
    rebuild(&mut c, 0);
    assert!(c.reads(0, "back after a long time"));
}

#[test]
fn k7_with_history_all_a_newcomer_gets_what_is_live_and_nothing_that_was_erased() {
    let mut c = Community::found(144, History::All);
    let one = newcomer(&mut c);
    let thread = c.thread(0, "Evening", "said long ago");
    let gone = c.post(one, thread, "too much");
    c.settle();
    let epoch = sealed_under(&c, 0, gone);
    c.ask(one, Command::Erase { document: gone }).unwrap_or_else(|why| panic!("{why}"));
    let two = newcomer(&mut c);
    next_day(&mut c);
    days(&mut c, 31);
    days(&mut c, 1);
    assert!(!held(&c, 0).contains(&epoch) && !held(&c, one).contains(&epoch));
    // Whoever still has it carries it on: nobody here does.
    let three = newcomer(&mut c);
    c.settle();
    assert!(c.reads(three, "said long ago"), "from envelopes");
    assert!(!held(&c, three).contains(&epoch) && !held(&c, 0).contains(&epoch));
    assert!(!c.reads(three, "too much") && c.reads(two, "said long ago"));
}

#[test]
fn k7_an_invite_outlives_the_epoch_that_it_was_sealed_under() {
    let mut c = Community::with_members(145, 2);
    let code = c.invite(0, Rank::Member, 1, true);
    c.settle();
    let own = c.people[0].replica.set().control().values().filter_map(|control| match control {
        Control::Invite(invite) => Some(invite.request_secret.epoch),
        _ => None,
    });
    let epochs: BTreeSet<EpochId> = own.collect();
    let member = c.member(1);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator }).unwrap_or_else(|w| panic!("{w}"));
    c.invite(1, Rank::Member, 1, true);
    c.settle();
    next_day(&mut c);
    days(&mut c, 31);
    assert!(epochs.is_disjoint(&held(&c, 0)));
    c.restart(0);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Member);
}

#[test]
fn k7_what_was_destroyed_is_not_taken_back_from_a_later_epoch() {
    let mut c = Community::found(146, History::All);
    let one = newcomer(&mut c);
    let member = c.member(one);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator }).unwrap_or_else(|w| panic!("{w}"));
    let thread = c.thread(0, "Evening", "said long ago");
    c.settle();
    let epoch = sealed_under(&c, 0, thread);
    let code = c.invite(one, Rank::Member, 1, true);
    c.unplug(one);
    newcomer(&mut c);
    next_day(&mut c);
    days(&mut c, 31);
    assert!(!held(&c, 0).contains(&epoch));
    // Someone who was away, and for whom it is in use, admits and carries it on.
    let late = c.join(code);
    c.connect(one, late);
    c.settle();
    assert!(held(&c, late).contains(&epoch));
    c.connect(0, one);
    c.settle();
    c.settle();
    c.assert_same(&[0, one, late]);
    assert!(!held(&c, 0).contains(&epoch));
    assert!(c.reads(0, "said long ago") && c.reads(late, "said long ago"));
}
