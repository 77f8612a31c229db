//! Joining through a keeper alone (J2, M2).

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::id::{DocumentId, RequestId};
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::input::{Command, CommandId, Input};

use crate::community::Community;
use crate::keeper::code;

fn with_keeper(seed: u64) -> Community {
    let mut c = Community::found(seed, History::SinceJoining);
    c.keeper(200, 1);
    let command = Command::AddKeeper { code: Box::new(code(200, 1)) };
    c.inputs.push_back((0, Input::Command { id: CommandId(7), command }));
    c.run();
    assert!(c.answered().unwrap().is_ok());
    c.settle();
    c
}

#[test]
fn j2_someone_joins_who_never_meets_anyone() {
    let mut c = with_keeper(1);
    let thread = c.thread(0, "Before", "said before");
    c.settle();
    let mut invitation = c.invite(0, Rank::Member, 2, false);
    invitation.contacts = cairn_crdt::codec::List::default();
    c.settle();
    let newcomer = c.join(invitation);
    c.settle();
    assert_eq!(c.people[newcomer].replica.state(), ReplicaState::Waiting);
    let request = c.request(0).expect("the letter came");
    assert_eq!(c.people[0].store.requests[&request].1, "Person 1");
    c.ask(0, Command::Admit { request }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.settle();
    assert_eq!(c.people[newcomer].replica.state(), ReplicaState::Member);
    c.post(0, thread, "welcome");
    c.post(newcomer, thread, "thank you");
    c.settle();
    c.settle();
    assert!(c.reads(newcomer, "welcome") && c.reads(0, "thank you"));
    assert!(!c.reads(newcomer, "said before"));
    c.assert_same(&[0, newcomer]);
}

#[test]
fn j2_who_is_declined_through_a_keeper_is_told() {
    let mut c = with_keeper(2);
    let mut invitation = c.invite(0, Rank::Member, 1, false);
    invitation.contacts = cairn_crdt::codec::List::default();
    c.settle();
    let newcomer = c.join(invitation);
    c.settle();
    let request = c.request(0).expect("the letter came");
    c.ask(0, Command::Decline { request }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    assert_eq!(c.people[newcomer].replica.state(), ReplicaState::Declined);
}

/// Somebody has left a letter, of which person 0 knows: the thread, who, and the request.
fn asked_at_a_keeper(seed: u64) -> (Community, DocumentId, usize, RequestId) {
    let mut c = with_keeper(seed);
    let thread = c.thread(0, "Before", "said before");
    let mut invitation = c.invite(0, Rank::Member, 2, false);
    invitation.contacts = cairn_crdt::codec::List::default();
    c.settle();
    let newcomer = c.join(invitation);
    c.settle();
    let request = c.request(0).expect("the letter came");
    (c, thread, newcomer, request)
}

#[test]
fn m2_a_drop_box_that_is_full_of_junk_holds_up_nothing_else() {
    let (mut c, thread, newcomer, request) = asked_at_a_keeper(5);
    // Somebody else who has the code fills the box.
    c.keepers.values_mut().next().unwrap().one_mut().box_room = Some(1);
    c.ask(0, Command::Admit { request }).unwrap_or_else(|why| panic!("{why}"));
    c.post(0, thread, "welcome");
    c.settle();
    let created = c.people[0].replica.created(&thread).unwrap();
    assert!(c.people[0].replica.with_keeper(&created));
    assert_eq!(c.people[0].replica.keepers()[0].lacking, 0);
    // There is room again.
    c.keepers.values_mut().next().unwrap().one_mut().box_room = None;
    c.pass(700_000);
    assert_eq!(c.people[newcomer].replica.state(), ReplicaState::Member);
    assert!(c.reads(newcomer, "welcome"));
}

#[test]
fn m2_a_drop_box_that_somebody_closed_holds_up_nothing_and_is_made_anew() {
    let (mut c, thread, newcomer, request) = asked_at_a_keeper(6);
    // Another member closes the box before the answer is put.
    let close = |c: &mut Community| {
        c.keepers.values_mut().next().unwrap().one_mut().boxes.clear();
    };
    close(&mut c);
    c.ask(0, Command::Admit { request }).unwrap_or_else(|why| panic!("{why}"));
    c.post(0, thread, "welcome");
    c.run();
    let created = c.people[0].replica.created(&thread).unwrap();
    assert!(c.people[0].replica.with_keeper(&created));
    assert_eq!(c.people[0].replica.keepers()[0].lacking, 0);
    // Made anew, and closed once more.
    c.pass(330_000);
    close(&mut c);
    c.pass(700_000);
    assert_eq!(c.people[newcomer].replica.state(), ReplicaState::Member);
    assert!(c.reads(newcomer, "welcome"));
}

#[test]
fn m2_a_drop_box_goes_with_its_invite() {
    let mut c = with_keeper(3);
    let mut invitation = c.invite(0, Rank::Member, 1, true);
    invitation.contacts = cairn_crdt::codec::List::default();
    c.settle();
    let boxes = |c: &Community| c.keepers.values().next().unwrap().one().boxes.len();
    assert_eq!(boxes(&c), 1);
    let newcomer = c.join(invitation);
    c.settle();
    c.settle();
    assert_eq!(c.people[newcomer].replica.state(), ReplicaState::Member);
    c.assert_same(&[0, newcomer]);
    assert_eq!(boxes(&c), 1, "the answer lies there for a while");
    c.now = c.now.after(31 * 86_400_000);
    c.settle();
    assert_eq!(boxes(&c), 0);
}

#[test]
fn k3_who_was_admitted_face_to_face_can_use_the_keepers_at_once() {
    let mut c = with_keeper(4);
    let invitation = c.invite(0, Rank::Member, 1, true);
    let newcomer = c.join(invitation);
    c.connect(0, newcomer);
    c.settle();
    c.unplug(newcomer);
    c.settle();
    assert!(c.people[newcomer].replica.keepers()[0].open);
    let thread = c.thread(newcomer, "From far", "through the keeper");
    c.settle();
    assert!(c.reads(0, "through the keeper"));
    c.post(0, thread, "read");
    c.settle();
    assert!(c.reads(newcomer, "read"));
}
