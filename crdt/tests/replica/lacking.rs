//! What a device asks for and what it does not, and what it is given when it asks (K7, K8).

use std::collections::BTreeMap;

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::epoch::secret::{Audience, Mint};
use cairn_crdt::id::{DeviceId, EntryId, EpochId, PublicKey};
use cairn_crdt::log::entry::Sealing;
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::{Effect, Verdict};
use cairn_crdt::replica::input::{Command, CutChoice};
use cairn_crdt::sync::message::{Admittance, Message};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::asking::{claim, hello, mailbox_epoch, talk};
use crate::community::Community;
use crate::prekeys::{all_linked, forged, minted, next_day, secrets, welcomes};
use crate::relay::{gossip, stored};

const DAY: u64 = 86_400_000;

/// What `who` asks of somebody who meets it as a member, a day after it asked anybody.
fn asked_for(c: &mut Community, who: usize, of: usize) -> Vec<EpochId> {
    c.now = c.now.after(DAY);
    let said = [hello(c, who), Message::Welcome(Admittance::Member)];
    let session = c.now.as_millis();
    let done = talk(c, (of, who), session, &said).into_iter().flatten();
    let asked = done.filter_map(|effect| match effect {
        Effect::Send { message, .. } => match Message::from_bytes(&message) {
            Ok(Message::Lacking(epochs)) => Some(epochs.into_vec()),
            _ => None,
        },
        _ => None,
    });
    asked.flatten().collect()
}

fn admit(c: &mut Community, by: usize) -> usize {
    let code = c.invite(by, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(by, late);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Member);
    late
}

fn rank(c: &mut Community, whom: usize, rank: Rank) {
    let member = c.member(whom);
    c.ask(0, Command::Grant { member, rank }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
}

fn sealed_under(c: &Community, who: usize, entry: &EntryId) -> EpochId {
    match c.people[who].store.entries[entry].header.sealing {
        Sealing::Sealed { epoch, .. } => epoch,
        Sealing::Clear => panic!("content"),
    }
}

/// A mint by a person's device for those who read but for one, with junk for each but `well`.
fn junk_mint(c: &mut Community, by: usize, without: Option<usize>, well: &[usize]) -> Mint {
    let well: Vec<DeviceId> = well.iter().map(|who| c.people[*who].replica.device()).collect();
    let without = without.map(|who| c.people[who].replica.device());
    let replica = &c.people[by].replica;
    let mut readers: BTreeMap<DeviceId, PublicKey> = replica.authority().readers(Audience::Readers);
    readers.retain(|device, _| Some(*device) != without);
    let other = SecretKey::generate(&mut ChaCha20Rng::seed_from_u64(404)).public_key();
    for (device, prekey) in &mut readers {
        if !well.contains(device) {
            *prekey = other;
        }
    }
    let (group, device) = (replica.group(), replica.device());
    Mint::fresh(&mut c.rng, group, device, Audience::Readers, &readers, &[]).unwrap().1
}

/// An epoch of which everybody got junk, and of which person 2 alone has heard. Nobody is connected.
fn junk_heard(c: &mut Community) -> EpochId {
    let mint = junk_mint(c, 1, None, &[]);
    let epoch = mint.epoch;
    let bytes = forged(c, 1, mint);
    (0..c.people.len()).for_each(|who| c.unplug(who));
    assert_eq!(gossip(c, 2, 1, bytes).0, Verdict::Accept);
    epoch
}

#[test]
fn k8_what_was_said_before_one_came_is_not_asked_for() {
    let mut c = Community::with_members(220, 2);
    c.thread(0, "Evening", "said before");
    c.settle();
    let late = admit(&mut c, 0);
    assert_eq!(asked_for(&mut c, late, 0), []);
}

#[test]
fn k8_with_history_all_what_readers_may_read_is_asked_for_and_nothing_of_moderators() {
    let mut c = Community::found(221, History::All);
    let one = admit(&mut c, 0);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    assert!(!minted(&c, one, Audience::Moderators).is_empty());
    assert_eq!(asked_for(&mut c, one, 0), []);
    // Sealed by one who had not heard of the newcomer, and brought by nobody in particular.
    c.unplug(one);
    let post = c.post(one, thread, "written without knowing");
    let entry = c.people[one].replica.created(&post).unwrap();
    let late = admit(&mut c, 0);
    c.hand_over(one, late);
    let epoch = sealed_under(&c, one, &entry);
    let lacks = !secrets(&c.people[late]).contains(&epoch);
    assert_eq!(asked_for(&mut c, late, one), if lacks { vec![epoch] } else { vec![] });
}

#[test]
fn k8_a_mint_that_nobody_would_use_any_more_is_not_asked_for() {
    let mut c = all_linked(222, 3);
    let epoch = junk_heard(&mut c);
    assert_eq!(asked_for(&mut c, 2, 0), [epoch]);
    let late = admit(&mut c, 0);
    c.hand_over(0, 2);
    assert_eq!(c.people[2].replica.authority().members().len(), 4);
    assert_eq!(asked_for(&mut c, 2, late), []);
}

#[test]
fn k8_what_counts_for_nothing_is_not_asked_for() {
    // A mint for those who remain, by one who is removed with all that they wrote.
    let mut c = all_linked(223, 4);
    let mint = junk_mint(&mut c, 1, Some(1), &[]);
    let bytes = forged(&c, 1, mint);
    (0..4).for_each(|who| c.unplug(who));
    c.remove(0, 1, CutChoice::FromStart);
    c.hand_over(0, 2);
    assert_eq!(gossip(&mut c, 2, 0, bytes).0, Verdict::Accept);
    assert_eq!(asked_for(&mut c, 2, 3), []);

    // Words of one who is removed with all that they wrote, under an epoch that did not come.
    let mut c = all_linked(224, 4);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let mint = junk_mint(&mut c, 1, None, &[3]);
    let epoch = mint.epoch;
    let bytes = forged(&c, 1, mint);
    (0..4).for_each(|who| c.unplug(who));
    for to in [2, 3] {
        assert_eq!(gossip(&mut c, to, 1, bytes.clone()).0, Verdict::Accept);
    }
    let post = c.post(3, thread, "words");
    let entry = c.people[3].replica.created(&post).unwrap();
    assert_eq!(sealed_under(&c, 3, &entry), epoch);
    let bytes = stored(&c, 3, entry);
    assert_eq!(gossip(&mut c, 2, 3, bytes).0, Verdict::Accept);
    assert_eq!(asked_for(&mut c, 2, 0), [epoch]);
    c.remove(0, 3, CutChoice::FromStart);
    c.hand_over(0, 2);
    assert_eq!(asked_for(&mut c, 2, 0), []);
}

#[test]
fn k7_what_was_destroyed_is_not_asked_for() {
    let mut c = Community::with_members(225, 2);
    c.invite(0, Rank::Member, 1, true);
    let [.., old] = &minted(&c, 0, Audience::Moderators)[..] else { panic!("a mint") };
    let epoch = old.epoch;
    rank(&mut c, 1, Rank::Moderator);
    c.invite(0, Rank::Member, 1, true);
    next_day(&mut c);
    c.now = c.now.after(31 * DAY);
    c.settle();
    c.settle();
    assert!(!secrets(&c.people[0]).contains(&epoch));
    rank(&mut c, 1, Rank::Member);
    assert_eq!(asked_for(&mut c, 0, 1), []);
}

#[test]
fn k8_nobody_asks_who_is_no_member_nor_asks_one_who_is_none() {
    let mut c = all_linked(226, 4);
    let epoch = junk_heard(&mut c);
    let code = c.invite(0, Rank::Member, 1, false);
    let stranger = c.join(code);
    assert_eq!(asked_for(&mut c, 2, stranger), []);
    assert_eq!(asked_for(&mut c, 2, 0), [epoch]);
    c.ask(2, Command::Leave).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(asked_for(&mut c, 2, 0), []);
}

#[test]
fn k8_who_asks_is_given_what_is_open_to_all_readers() {
    let mut c = Community::found(227, History::All);
    let one = admit(&mut c, 0);
    c.thread(0, "Evening", "hello");
    c.settle();
    let early = minted(&c, 0, Audience::Readers).first().unwrap().epoch;
    let late = admit(&mut c, 0);
    let device = c.people[late].replica.device();
    let before = welcomes(&c, one, device);
    assert!(secrets(&c.people[one]).contains(&early));
    claim(&mut c, late, one, vec![early], 777_777);
    assert_eq!(welcomes(&c, one, device), before + 1);
}

#[test]
fn k8_who_asks_is_given_what_opens_mailboxes() {
    let mut c = Community::with_members(228, 2);
    let epoch = mailbox_epoch(&mut c);
    let late = admit(&mut c, 0);
    let device = c.people[late].replica.device();
    let before = welcomes(&c, 0, device);
    claim(&mut c, late, 0, vec![epoch], 777_777);
    assert_eq!(welcomes(&c, 0, device), before + 1);
}

/// A group whose epochs of today everybody has destroyed; one with words, the other without.
fn long_ago(seed: u64) -> (Community, EpochId, EntryId, EpochId) {
    let mut c = Community::with_members(seed, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let post = c.post(1, thread, "words of old");
    c.settle();
    let entry = c.people[1].replica.created(&post).unwrap();
    let epoch = sealed_under(&c, 1, &entry);
    // Of the next epoch is only the history that it carries.
    let member = c.member(2);
    c.remove(0, 2, CutChoice::FromTip);
    c.ask(0, Command::Grant { member, rank: Rank::Member }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    let empty = minted(&c, 0, Audience::Readers).pop().unwrap().epoch;
    assert_ne!(empty, epoch);
    admit(&mut c, 0);
    c.thread(0, "Morning", "on we go");
    c.settle();
    next_day(&mut c);
    c.now = c.now.after(31 * DAY);
    c.settle();
    c.settle();
    for gone in [epoch, empty] {
        assert!(!secrets(&c.people[0]).contains(&gone));
    }
    (c, epoch, entry, empty)
}

#[test]
fn k8_where_the_secret_is_gone_a_device_is_given_envelopes_once_a_day() {
    let (mut c, epoch, _, empty) = long_ago(229);
    let device = c.people[1].replica.device();
    let before = welcomes(&c, 0, device);
    claim(&mut c, 1, 0, vec![empty], 1);
    assert_eq!(welcomes(&c, 0, device), before, "there is nothing to read under it");
    claim(&mut c, 1, 0, vec![epoch], 2);
    c.settle();
    assert_eq!(welcomes(&c, 0, device), before + 1);
    claim(&mut c, 1, 0, vec![epoch], 3);
    c.settle();
    assert_eq!(welcomes(&c, 0, device), before + 1, "it was given them");
    c.restart(0);
    claim(&mut c, 1, 0, vec![epoch], 4);
    c.settle();
    assert_eq!(welcomes(&c, 0, device), before + 1, "also after a restart");
    c.now = c.now.after(DAY);
    claim(&mut c, 1, 0, vec![epoch], 5);
    c.settle();
    assert_eq!(welcomes(&c, 0, device), before + 2);
}
