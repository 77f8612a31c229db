//! What is destroyed when nobody has use for it, and what stays readable without it (K7).

use std::collections::BTreeSet;

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::epoch::secret::{Audience, EpochSecret, Mint};
use cairn_crdt::id::{DocumentId, EntryId, EpochId};
use cairn_crdt::log::entry::{Control, Sealing};
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::{Reply, Verdict};
use cairn_crdt::replica::input::{Command, CutChoice};

use crate::community::Community;
use crate::prekeys::{forged, next_day, welcomes};
use crate::relay::{gossip, stored};
use crate::thief::Thief;

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
    let later = newcomer(&mut c);
    assert!(!c.reads(later, "and on") && !c.reads(later, "hello"), "said before it came");
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

/// Three people who have read a post of person 1: its epoch, and its entry.
fn with_a_post_to_lack(seed: u64) -> (Community, EpochId, EntryId) {
    let mut c = Community::with_members(seed, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let post = c.post(1, thread, "the words that are lacking");
    c.settle();
    let epoch = sealed_under(&c, 1, post);
    let entry = c.people[1].replica.created(&post).unwrap();
    (c, epoch, entry)
}

#[test]
fn k7_what_is_still_to_come_keeps_its_secret_for_a_while_and_not_for_ever() {
    let (mut c, epoch, entry) = with_a_post_to_lack(142);
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
    let device = c.people[three].replica.device();
    assert_eq!(welcomes(&c, 0, device), 1, "they came with the admission, unasked");
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

#[test]
fn k7_what_was_destroyed_is_not_taken_back_from_whoever_kept_it() {
    let mut c = Community::found(147, History::All);
    let one = newcomer(&mut c);
    let thread = c.thread(0, "Evening", "said long ago");
    c.settle();
    let epoch = sealed_under(&c, 0, thread);
    let snapshot = c.people[one].store.snapshot(c.people[one].replica.group());
    let secret = snapshot.epochs.iter().find(|(of, _)| *of == epoch).unwrap().1.clone();
    newcomer(&mut c);
    next_day(&mut c);
    days(&mut c, 31);
    assert!(!held(&c, 0).contains(&epoch));
    c.restart(0);
    let replica = &c.people[one].replica;
    let (group, device) = (replica.group(), replica.device());
    let readers = replica.authority().readers(Audience::Readers);
    let before = [(epoch, &EpochSecret::from_bytes(*secret))];
    let (_, mint) =
        Mint::fresh(&mut c.rng, group, device, Audience::Readers, &readers, &before).unwrap();
    let carrier = mint.epoch;
    let bytes = forged(&c, one, mint);
    assert_eq!(gossip(&mut c, 0, one, bytes).0, Verdict::Accept);
    assert!(held(&c, 0).contains(&carrier) && !held(&c, 0).contains(&epoch));
}

/// Without a restart: what is gone from the disk is gone from memory.
#[test]
fn k7_a_prekey_that_was_replaced_long_ago_opens_nothing() {
    for (days_later, opens) in [(20, true), (31, false)] {
        let mut c = Community::with_members(148, 3);
        c.thread(0, "Evening", "hello");
        c.settle();
        let device = c.people[2].replica.device();
        let old = c.people[1].replica.authority().readers(Audience::Readers)[&device];
        next_day(&mut c);
        days(&mut c, days_later);
        let replica = &c.people[1].replica;
        let (group, minter) = (replica.group(), replica.device());
        let mut readers = replica.authority().readers(Audience::Readers);
        assert_ne!(readers.insert(device, old), Some(old));
        let (_, mint) =
            Mint::fresh(&mut c.rng, group, minter, Audience::Readers, &readers, &[]).unwrap();
        let epoch = mint.epoch;
        let bytes = forged(&c, 1, mint);
        assert_eq!(gossip(&mut c, 2, 1, bytes).0, Verdict::Accept);
        assert_eq!(held(&c, 2).contains(&epoch), opens, "after {days_later} days");
    }
}

#[test]
fn k7_an_epoch_that_comes_into_use_again_is_kept() {
    let mut c = Community::with_members(149, 2);
    let invited = |c: &mut Community| {
        c.invite(0, Rank::Member, 1, true);
        let set = c.people[0].replica.set();
        let own = set.log(&c.people[0].replica.device()).unwrap().heads().last().unwrap().1;
        let Control::Invite(invite) = &set.control()[&own] else { panic!("the invite") };
        invite.request_secret.epoch
    };
    let rank = |c: &mut Community, rank| {
        let member = c.member(1);
        c.ask(0, Command::Grant { member, rank }).unwrap_or_else(|why| panic!("{why}"));
        c.settle();
    };
    let epoch = invited(&mut c);
    rank(&mut c, Rank::Moderator);
    assert_ne!(invited(&mut c), epoch, "for one more");
    next_day(&mut c);
    days(&mut c, 20);
    rank(&mut c, Rank::Member);
    assert_eq!(invited(&mut c), epoch, "for the same as before");
    days(&mut c, 20);
    assert!(held(&c, 0).contains(&epoch));
    assert_eq!(invited(&mut c), epoch);
}

/// Words that are lacking, of somebody who was removed with all that they wrote; and words that came
/// after their author was known to be removed.
#[test]
fn k7_what_counts_for_nothing_keeps_no_secret() {
    for comes_late in [false, true] {
        let mut c = Community::with_members(150, 3);
        let thread = c.thread(0, "Evening", "hello");
        c.settle();
        if comes_late {
            c.unplug(1);
        }
        let post = c.post(1, thread, "words");
        let epoch = sealed_under(&c, 1, post);
        let entry = c.people[1].replica.created(&post).unwrap();
        c.settle();
        c.unplug(1);
        if comes_late {
            c.remove(0, 1, CutChoice::FromTip);
            let bytes = stored(&c, 1, entry);
            gossip(&mut c, 0, 2, bytes);
            assert!(c.people[0].replica.set().contains(&entry));
        } else {
            for who in [0, 2] {
                let kept = c.people[who].store.entries.get_mut(&entry).unwrap();
                (kept.payload, kept.document, kept.envelope) = (None, None, None);
                c.restart(who);
            }
            c.connect(0, 2);
            c.remove(0, 1, CutChoice::FromStart);
        }
        c.settle();
        next_day(&mut c);
        assert!(held(&c, 0).contains(&epoch));
        days(&mut c, 31);
        assert!(!held(&c, 0).contains(&epoch), "comes late: {comes_late}");
    }
}

fn all_invites(c: &Community) -> BTreeSet<[u8; 32]> {
    let control = c.people[0].replica.set().control().values();
    let invites = control.filter_map(|control| match control {
        Control::Invite(invite) => Some(*invite.invite.as_bytes()),
        _ => None,
    });
    invites.collect()
}

#[test]
fn k7_the_request_key_of_an_invite_goes_when_that_expires() {
    let mut c = Community::with_members(151, 2);
    let expires = Some(c.now.after(40 * DAY));
    let invite = Command::Invite { rank: Rank::Member, uses: 1, expires, at_once: false };
    let Ok(Reply::Invite(_)) = c.ask(0, invite) else { panic!("no invite") };
    let control = c.people[0].replica.set().control();
    let invites = control.values().filter_map(|control| match control {
        Control::Invite(invite) if invite.expires == expires => Some(*invite.invite.as_bytes()),
        _ => None,
    });
    let [invite] = invites.collect::<Vec<_>>()[..] else { panic!("one invite") };
    let kept = |c: &Community, invite: [u8; 32]| {
        let persona = &c.people[0].store.persona;
        persona.windows(32).any(|bytes| bytes == invite)
    };
    let member = c.member(1);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator }).unwrap_or_else(|w| panic!("{w}"));
    let before = all_invites(&c);
    c.invite(1, Rank::Member, 1, true);
    c.settle();
    let others = *all_invites(&c).difference(&before).next().unwrap();
    next_day(&mut c);
    assert!(!kept(&c, invite), "as long as its epoch opens it");
    days(&mut c, 31);
    assert!(kept(&c, invite) && !kept(&c, others), "the other's epoch is in use");
    days(&mut c, 10);
    assert!(!kept(&c, invite));
}

/// Nobody has the secret any more, but somebody has read what was sealed under it.
#[test]
fn k8_where_the_secret_is_gone_envelopes_are_handed_over() {
    let (mut c, epoch, entry) = with_a_post_to_lack(152);
    c.unplug(2);
    let kept = c.people[2].store.entries.get_mut(&entry).unwrap();
    (kept.payload, kept.document, kept.envelope) = (None, None, None);
    c.restart(2);
    newcomer(&mut c);
    next_day(&mut c);
    days(&mut c, 31);
    // It hears of the newcomer from one who has as little.
    let words = c.people[0].store.entries[&entry].clone();
    let bare = c.people[0].store.entries.get_mut(&entry).unwrap();
    (bare.payload, bare.document, bare.envelope) = (None, None, None);
    c.restart(0);
    c.connect(0, 2);
    c.settle();
    c.unplug(2);
    c.people[0].store.entries.insert(entry, words);
    c.restart(0);
    next_day(&mut c);
    days(&mut c, 61);
    assert!((0..3).all(|who| !held(&c, who).contains(&epoch)));
    c.connect(0, 2);
    for _ in 0..3 {
        c.settle();
    }
    assert!(c.reads(2, "the words that are lacking"));
    assert!(!held(&c, 2).contains(&epoch));
}
