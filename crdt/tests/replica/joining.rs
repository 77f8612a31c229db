//! Joining (J1–J3, K3, K6).

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::log::entry::Sealing;
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::{Effect, Event, Row};
use cairn_crdt::replica::input::{Command, CutChoice, Input, Protocol, SessionEvent, SessionId};
use cairn_crdt::sync::message::{Message, Refusal};

use crate::community::Community;

#[test]
fn j2_a_newcomer_waits_until_a_person_admits_it() {
    let mut c = Community::found(1, History::SinceJoining);
    let code = c.invite(0, Rank::Member, 1, false);
    let dahlia = c.join(code);
    c.connect(0, dahlia);
    c.settle();
    assert_eq!(c.people[dahlia].replica.state(), ReplicaState::Waiting);
    let request = c.request(0).unwrap();
    assert_eq!(c.people[0].store.requests[&request].1, "Person 1");
    c.ask(0, Command::Admit { request }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    assert_eq!(c.people[dahlia].replica.state(), ReplicaState::Member);
    c.assert_same(&[0, dahlia]);
    assert!(c.request(0).is_none());
}

#[test]
fn j2_who_was_declined_by_a_person_learns_it_and_is_not_asked_about_again() {
    let mut c = Community::found(8, History::SinceJoining);
    let code = c.invite(0, Rank::Member, 2, false);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    let request = c.request(0).unwrap();
    c.ask(0, Command::Decline { request }).unwrap_or_else(|why| panic!("{why}"));
    // Even if the decliner's node was off meanwhile.
    c.restart(0);
    c.connect(0, late);
    c.pass(60_000);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Declined);
    assert!(c.request(0).is_none());
}

#[test]
fn j2_a_used_up_invite_admits_nobody_more() {
    let mut c = Community::found(2, History::SinceJoining);
    let code = c.invite(0, Rank::Member, 1, true);
    let first = c.join(code.clone());
    c.connect(0, first);
    c.settle();
    let second = c.join(code);
    c.connect(0, second);
    c.settle();
    assert_eq!(c.people[first].replica.state(), ReplicaState::Member);
    assert_eq!(c.people[second].replica.state(), ReplicaState::Declined);
    assert!(c.people[second].events.contains(&Event::Declined));
}

#[test]
fn k6_a_newcomer_reads_what_comes_after_and_the_titles_of_what_is_open() {
    let mut c = Community::with_members(3, 2);
    let thread = c.thread(0, "Sleepless again", "what was said before");
    c.settle();
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    c.post(1, thread, "what was said after");
    c.settle();
    c.assert_same(&[0, 1, late]);
    assert!(c.reads(1, "what was said before") && c.reads(late, "what was said after"));
    assert!(!c.reads(late, "what was said before"));
    let title = |row: &Row| matches!(row, Row::Post(post) if post.title.is_some());
    assert!(c.people[late].store.rows.values().any(title));
    let names = |row: &&Row| matches!(row, Row::Profile { .. });
    assert_eq!(c.people[late].store.rows.values().filter(names).count(), 3);
    let agreement =
        |row: &Row| matches!(row, Row::Agreement { name, .. } if name == "Thursday circle");
    assert!(c.people[late].store.rows.values().any(agreement));
}

#[test]
fn k6_with_history_all_a_newcomer_reads_everything() {
    let mut c = Community::found(4, History::All);
    c.thread(0, "Sleepless again", "what was said before");
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    assert!(c.reads(late, "what was said before"));
}

#[test]
fn s1_a_newcomer_shows_its_passport_to_a_member_who_has_not_heard_of_it() {
    let mut c = Community::with_members(5, 2);
    c.unplug(1);
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    c.unplug(0);
    c.connect(1, late);
    c.settle();
    c.assert_same(&[0, 1, late]);
}

#[test]
fn s1_a_stranger_gets_nothing() {
    let mut c = Community::with_members(6, 2);
    let code = c.invite(0, Rank::Member, 0, true);
    let stranger = c.join(code);
    c.connect(0, stranger);
    c.connect(1, stranger);
    c.settle();
    assert_eq!(c.people[stranger].replica.held(), 1);
    c.assert_same(&[0, 1]);
    assert!(!c.people[0].members.contains(&c.key(stranger)));
}

#[test]
fn k3_what_was_written_without_knowing_of_a_newcomer_reaches_it_by_a_welcome() {
    let mut c = Community::with_members(7, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(1);
    c.post(1, thread, "written while away");
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    c.connect(0, 1);
    c.settle();
    c.settle();
    c.assert_same(&[0, 1, late]);
    assert!(c.reads(late, "written while away"));
}

#[test]
fn k3_two_newcomers_who_are_owed_the_same_are_each_welcomed_once() {
    let mut c = Community::with_members(8, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(1);
    c.post(1, thread, "written while away");
    let code = c.invite(0, Rank::Member, 2, true);
    let first = c.join(code.clone());
    let second = c.join(code);
    c.connect(0, first);
    c.connect(0, second);
    c.settle();
    c.connect(0, 1);
    c.settle();
    c.settle();
    c.assert_same(&[0, 1, first, second]);
    assert!(c.reads(first, "written while away") && c.reads(second, "written while away"));
    let held = c.people[0].replica.held();
    c.pass(600_000);
    assert_eq!(c.people[0].replica.held(), held, "nothing is written any more");
}

#[test]
fn s1_two_who_do_not_know_a_newcomer_are_each_shown_its_passport() {
    let mut c = Community::with_members(9, 2);
    let sessions = [SessionId(u64::MAX), SessionId(u64::MAX - 1)];
    let mut effects = Vec::new();
    for session in sessions {
        let peer = c.key(0);
        let opened = SessionEvent::Opened { peer, protocol: Protocol::Sync, initiated: true };
        let refused = Message::Refused(Refusal::NotKnown).to_bytes();
        for event in [opened, SessionEvent::Message(refused)] {
            let input = Input::Session { session, event };
            effects.extend(c.people[1].replica.handle(c.now, &mut c.rng, input));
        }
    }
    let mut shown = Vec::new();
    for effect in effects {
        let Effect::Load(load) = effect else { continue };
        let entries = c.people[1].store.load(&load);
        let input = Input::Loaded { load, entries };
        for effect in c.people[1].replica.handle(c.now, &mut c.rng, input) {
            if let Effect::Send { session, message } = effect
                && let Ok(Message::Passport(_)) = Message::from_bytes(&message)
            {
                shown.push(session);
            }
        }
    }
    shown.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(shown, sessions);
}

#[test]
fn k3_whoever_comes_back_is_welcomed_to_what_was_shared_meanwhile() {
    let mut c = Community::with_members(13, 3);
    c.remove(0, 2, CutChoice::FromTip);
    let agreement = Command::SetAgreement { name: "Circle".to_owned(), text: "Be kind".to_owned() };
    c.ask(0, agreement).unwrap_or_else(|why| panic!("{why}"));
    let pseudonym = "Heron".to_owned();
    c.ask(1, Command::SetProfile { pseudonym }).unwrap_or_else(|why| panic!("{why}"));
    c.thread(1, "Said meanwhile", "words");
    c.settle();
    let member = c.member(2);
    c.ask(0, Command::Grant { member, rank: Rank::Member }).unwrap_or_else(|why| panic!("{why}"));
    c.connect(0, 2);
    c.settle();
    c.assert_same(&[0, 1, 2]);
    let shows = |row: &Row| match row {
        Row::Agreement { text, .. } => text == "Be kind",
        Row::Profile { pseudonym, .. } => pseudonym == "Heron",
        Row::Post(post) => post.title.as_deref() == Some("Said meanwhile"),
        _ => false,
    };
    assert_eq!(c.people[2].store.rows.values().filter(|row| shows(row)).count(), 3);
    assert!(!c.reads(2, "words"), "what was said meanwhile was not for them");
}

#[test]
fn k2_with_history_all_an_epoch_that_was_carried_on_is_not_used_again() {
    let mut c = Community::found(14, History::All);
    c.thread(0, "Evening", "hello");
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    // Its own act: nobody minted an epoch for those who stay.
    c.ask(late, Command::Leave).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.thread(0, "Later", "after it left");
    let group = c.people[0].replica.group();
    let held = c.people[late].store.snapshot(group).epochs;
    let post = c.people[0].store.posts().into_iter().find(|post| post.body == "after it left");
    let entry = &c.people[0].store.entries[&post.unwrap().created];
    let Sealing::Sealed { epoch, .. } = entry.header.sealing else { panic!("not sealed") };
    assert!(!held.iter().any(|(id, _)| *id == epoch), "whoever left has the key");
    let minted = c.people[0].replica.held();
    c.thread(0, "Later", "and again");
    assert_eq!(c.people[0].replica.held(), minted + 2, "one epoch is enough");
}
