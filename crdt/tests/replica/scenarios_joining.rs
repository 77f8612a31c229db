//! The conformance scenarios about joining (J1-J3).

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::Reply;
use cairn_crdt::replica::input::{Command, CutChoice};

use crate::community::Community;

pub fn appoint(c: &mut Community, who: usize, rank: Rank) {
    let member = c.member(who);
    c.ask(0, Command::Grant { member, rank }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
}

#[test]
fn scenario_29_an_invite_for_one_admits_one_and_only_at_who_is_named_in_it() {
    let mut c = Community::with_members(90, 2);
    appoint(&mut c, 1, Rank::Moderator);
    let code = c.invite(0, Rank::Member, 1, true);
    c.settle();
    let (first, second) = (c.join(code.clone()), c.join(code));
    // The other moderator holds the invite and may admit, but is not named.
    c.unplug(1);
    c.connect(1, second);
    c.settle();
    assert_eq!(c.people[second].replica.state(), ReplicaState::Waiting);
    c.connect(0, first);
    c.settle();
    c.unplug(second);
    c.connect(0, second);
    c.settle();
    assert_eq!(c.people[first].replica.state(), ReplicaState::Member);
    assert_eq!(c.people[second].replica.state(), ReplicaState::Declined);
    c.connect(0, 1);
    c.settle();
    c.assert_same(&[0, 1, first]);
    assert_eq!(c.people[1].replica.authority().members().len(), 3);
}

#[test]
fn scenario_30_an_admission_after_the_admitters_cut_is_void_and_the_newcomer_is_told() {
    let mut c = Community::with_members(91, 2);
    appoint(&mut c, 1, Rank::Moderator);
    let thread = c.thread(0, "Evening", "hello");
    let code = c.invite(1, Rank::Member, 2, true);
    let early = c.join(code.clone());
    c.connect(1, early);
    c.settle();
    c.unplug(1);
    let late = c.join(code);
    c.connect(1, late);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Member, "as far as they know");
    c.remove(0, 1, CutChoice::FromTip);
    c.post(0, thread, "after the removal");
    c.connect(0, 1);
    c.settle();
    c.connect(1, late);
    c.connect(0, early);
    c.settle();
    let authority = c.people[0].replica.authority();
    assert_eq!(authority.rank_of(&c.member(early)), Some(Rank::Member));
    assert_eq!(authority.rank_of(&c.member(late)), None);
    assert_eq!(c.people[1].replica.state(), ReplicaState::Removed);
    assert!(c.reads(early, "after the removal"));
    c.connect(0, late);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Removed);
    assert!(!c.reads(late, "after the removal"));
    let refused = c.ask(
        late,
        Command::Post { thread, reply_to: None, body: crate::community::body("still here") },
    );
    assert!(refused.is_err());
}

#[test]
fn scenario_31_an_expired_invite_admits_nobody_whatever_the_newcomers_clock_says() {
    let mut c = Community::with_members(92, 1);
    let contacts = c.invite(0, Rank::Member, 1, true).contacts;
    let expires = Some(c.now.after(1_000));
    let command = Command::Invite { rank: Rank::Member, uses: 1, expires, at_once: true };
    let Ok(Reply::Invite(code)) = c.ask(0, command) else { panic!("no invite") };
    let code = cairn_crdt::capability::invite::Code { contacts, ..*code };
    let early = c.now;
    c.pass(2_000);
    let now = std::mem::replace(&mut c.now, early);
    let late = c.join(code);
    c.now = now;
    c.connect(0, late);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Declined);
    assert_eq!(c.people[0].replica.authority().members().len(), 1);
}
