//! What an evaluation says beside ranks: who reads, who removed whom, and which of several entries
//! is named as the reason (A4-A7, A10, I2).

use cairn_crdt::authority::{Rule, sign_root};
use cairn_crdt::capability::grant::{Council, RootAct, RootAction};
use cairn_crdt::capability::rank::Abilities;
use cairn_crdt::capability::rank::Rank::{Founder, Member, Moderator, Steward};
use cairn_crdt::capability::revocation::{Cut, Erase, Remove};
use cairn_crdt::codec::List;
use cairn_crdt::epoch::secret::Audience;
use cairn_crdt::id::{EntryId, GrantId, PublicKey};
use cairn_crdt::identity::device::Rotate;
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::limits::MEMBER_DEVICES;
use cairn_crdt::log::entry::Control;

use crate::people::{FAY, Group, device, granting, key, member};

/// Often enough that an order of ids that happens to suit shows in one of them.
const TIMES: usize = 8;

#[test]
fn k1_whoever_may_not_read_is_no_reader() {
    let mut group = Group::new();
    let mut mute = granting("bo", Member, &[]);
    mute.abilities = Abilities::POST;
    group.say(FAY, group.genesis, &Control::Grant(mute));
    group.grant(FAY, group.genesis, "dan", Member);
    for name in ["bo", "dan"] {
        group.card(name);
    }
    let readers = group.answer().authority.readers(Audience::Readers);
    assert!(!readers.contains_key(&device("bo")) && readers.contains_key(&device("dan")));
}

#[test]
fn i2_a_device_that_was_unlinked_is_none_of_its_members() {
    let mut group = Group::new();
    let bo = group.grant(FAY, group.genesis, "bo", Member);
    let last = group.post("bo", bo);
    group.card("bo/2");
    group.unlink("bo/2", "bo", last);
    let answer = group.answer();
    let standing = &answer.authority.members()[&member("bo")];
    assert_eq!(standing.devices, [device("bo/2")].into());
}

/// Max holds a grant from Ann and a higher one from Fay. Ann falls, and Fay ends the higher one.
#[test]
fn a4_what_ended_the_highest_grant_is_named() {
    for n in 0..TIMES {
        let mut group = Group::new();
        let (ann, max) = (format!("ann{n}"), format!("max{n}"));
        let by = group.grant(FAY, group.genesis, &ann, Moderator);
        group.grant(&ann, by, &max, Member);
        let higher = group.grant(FAY, group.genesis, &max, Moderator);
        group.remove(FAY, group.genesis, &ann, &[]);
        let ended = group.revoke(FAY, group.genesis, higher, &[]);
        let answer = group.answer();
        assert_eq!(answer.rank(&max), None);
        assert_eq!(answer.authority.removed(&member(&max)), Some(ended));
    }
}

#[test]
fn a4_nobody_was_removed_who_is_here_or_never_was() {
    let mut group = Group::new();
    let bo = group.grant(FAY, group.genesis, "bo", Member);
    let out = group.remove(FAY, group.genesis, "bo", &[]);
    assert_eq!(group.answer().authority.removed(&member("bo")), Some(out));
    group.grant_citing(FAY, group.genesis, "bo", Member, &[out]);
    // A member cannot grant anything: nobody came by that.
    let dan = group.grant(FAY, group.genesis, "dan", Member);
    let ghost = group.grant("dan", dan, "ghost", Member);
    let vain = group.remove("bo", bo, FAY, &[]);
    group.remove(FAY, group.genesis, "ghost", &[]);
    group.remove(FAY, group.genesis, "dan", &[]);
    let answer = group.answer();
    assert_eq!(answer.rank("bo"), Some(Member));
    for name in ["bo", "ghost", FAY] {
        assert_eq!(answer.authority.removed(&member(name)), None, "{name}");
    }
    assert!(!answer.live(ghost));
    assert!(answer.authority.removals_of(&answer.set, &member(FAY)).is_empty(), "{vain:?}");
}

#[test]
fn a8_who_left_has_left_until_they_come_back() {
    let mut group = Group::new();
    let bo = group.grant(FAY, group.genesis, "bo", Member);
    let left = |group: &Group, name: &str| group.answer().authority.has_left(&member(name));
    assert!(!left(&group, "bo") && !left(&group, "stranger"));
    let last = group.post("bo", bo);
    group.leave("bo", &[bo], &[("bo", last)]);
    assert!(left(&group, "bo"));
    group.grant(FAY, group.genesis, "bo", Member);
    assert!(!left(&group, "bo"));
}

/// Two removals of one rank, one of them with an earlier cut: that is why the later posts are void.
#[test]
fn a5_of_several_cuts_the_one_that_leaves_an_entry_out_is_named() {
    for n in 0..TIMES {
        let mut group = Group::new();
        let name = format!("bo{n}");
        let bo = group.grant(FAY, group.genesis, &name, Member);
        let under = ["cleo", "dora"].map(|by| group.grant(FAY, group.genesis, by, Steward));
        let posts: Vec<EntryId> = (0..3).map(|_| group.post(&name, bo)).collect();
        let early = group.remove("cleo", under[0], &name, &[(&name, posts[0])]);
        let late = group.remove("dora", under[1], &name, &[(&name, posts[2])]);
        let answer = group.answer();
        assert_eq!(answer.void(posts[1]), Some((Rule::A4, early)));
        assert!(answer.counts(posts[0]));
        assert_eq!(answer.authority.removed(&member(&name)), Some(early.min(late)));
    }
}

/// Two pins of one rank to one place: of the branch that they leave out, the one of smallest id.
#[test]
fn a6_of_several_pins_the_one_of_smallest_id_is_named() {
    for n in 0..TIMES {
        let mut group = Group::new();
        let name = format!("bo{n}");
        let bo = group.grant(FAY, group.genesis, &name, Member);
        let under = ["cleo", "dora"].map(|by| group.grant(FAY, group.genesis, by, Steward));
        let base = group.post(&name, bo);
        let one = group.post(&name, bo);
        group.rewind(&name, base);
        let other = group.post(&name, bo);
        let pins = [("dora", under[1]), ("cleo", under[0])]
            .map(|(by, under)| group.pin(by, under, &name, one));
        let answer = group.answer();
        assert!(answer.counts(one));
        assert_eq!(answer.void(other), Some((Rule::A6, pins[0].min(pins[1]))));
    }
}

/// A device that says two things at once about how far somebody's entries count: both are heard.
#[test]
fn a5_a_statement_supersedes_those_before_it_on_its_own_branch_only() {
    for n in 0..TIMES {
        let mut group = Group::new();
        let name = format!("bo{n}");
        let bo = group.grant(FAY, group.genesis, &name, Member);
        let cleo = group.grant(FAY, group.genesis, "cleo", Steward);
        let posts: Vec<EntryId> = (0..3).map(|_| group.post(&name, bo)).collect();
        let base = group.post("cleo", cleo);
        let cuts = if n % 2 == 0 { [posts[0], posts[2]] } else { [posts[2], posts[0]] };
        for cut in cuts {
            group.rewind("cleo", base);
            group.remove("cleo", cleo, &name, &[(&name, cut)]);
        }
        let answer = group.answer();
        assert_eq!(answer.rank(&name), None, "a denial stands though it is suspended");
        assert!(answer.counts(posts[0]) && !answer.counts(posts[1]) && !answer.counts(posts[2]));
    }
}

/// A branch was chosen, and forks again; so does the branch that was not.
#[test]
fn a7_what_is_undecided_names_the_fork_on_its_own_branch() {
    for n in 0..TIMES {
        let mut group = Group::new();
        let name = format!("bo{n}");
        let bo = group.grant(FAY, group.genesis, &name, Member);
        let base = group.post(&name, bo);
        let branch = |group: &mut Group| {
            group.rewind(&name, base);
            let head = group.post(&name, bo);
            let one = group.post(&name, bo);
            group.rewind(&name, head);
            (head, one, group.post(&name, bo))
        };
        let (chosen, one, other) = branch(&mut group);
        branch(&mut group);
        group.pin(FAY, group.genesis, &name, chosen);
        let answer = group.answer();
        assert!(answer.counts(chosen) && answer.suspended(one) && answer.suspended(other));
        assert_eq!(answer.suspended_by(one), Some((Rule::A7, one.min(other))));
    }
}

#[test]
fn i2_a_card_opens_a_log_once_and_needs_no_grant() {
    let mut group = Group::new();
    let bo = group.grant(FAY, group.genesis, "bo", Member);
    let opening = group.card("bo");
    let again = group.card("bo");
    let prekey = Control::Rotate(Rotate::Prekey(PublicKey::from_bytes([7; 32])));
    let rotated = group.say("bo", GrantId::NONE, &prekey);
    let granted = group.say("bo", bo, &prekey);
    let answer = group.answer();
    assert!(answer.counts(opening) && answer.counts(rotated));
    assert_eq!(answer.void(again), Some((Rule::I2, opening)));
    assert_eq!(answer.void(granted), Some((Rule::L3, granted)));
}

fn act(
    group: &mut Group,
    (by, under): (&str, GrantId),
    previous: EntryId,
    action: RootAction,
) -> EntryId {
    let signatures = [(0, "a"), (1, "b")].map(|(index, name): (u8, &str)| {
        (index, sign_root(&key("council", name), group.id, previous, &action))
    });
    let signatures = List::new(signatures.to_vec()).unwrap();
    group.say(by, under, &Control::Root(RootAct { previous, action, signatures }))
}

fn removal(name: &str) -> RootAction {
    RootAction::Remove(Remove { subject: member(name), cut: Cut::default(), epoch: None })
}

fn council() -> Group {
    let keys = ["a", "b", "c"].map(|name| key("council", name).verifying_key());
    let keys = List::new(keys.to_vec()).unwrap();
    Group::with_council(Council { keys, threshold: 2 })
}

#[test]
fn a10_an_act_waits_for_the_one_before_it_and_is_of_no_grant() {
    let mut group = council();
    let (genesis, founder) = (group.genesis.entry(), group.genesis);
    let bo = group.grant(FAY, founder, "bo", Moderator);
    let unknown = EntryId::from_bytes([9; 32]);
    let waits = act(&mut group, (FAY, GrantId::NONE), unknown, removal("bo"));
    let granted = act(&mut group, (FAY, founder), genesis, removal("bo"));
    let answer = group.answer();
    assert!(answer.live(bo));
    assert_eq!(answer.parked_by(waits), Some((Rule::A10, unknown)));
    assert_eq!(answer.void(granted), Some((Rule::L3, granted)));
    assert_eq!(answer.authority.last_root_act(), Some(genesis));
}

#[test]
fn a10_the_act_to_build_on_is_the_last_and_none_while_two_contend() {
    for n in 0..TIMES {
        let mut group = council();
        let genesis = group.genesis.entry();
        let names = ["bo", "dan", "eve", "gus"].map(|name| format!("{name}{n}"));
        for name in &names {
            group.grant(FAY, group.genesis, name, Moderator);
        }
        let none = GrantId::NONE;
        let first = act(&mut group, (FAY, none), genesis, removal(&names[0]));
        let copy = act(&mut group, ("ann", none), genesis, removal(&names[0]));
        let one = act(&mut group, (FAY, none), copy, removal(&names[1]));
        let same = act(&mut group, ("ann", none), first, removal(&names[1]));
        let second = one.min(same);
        let answer = group.answer();
        assert_eq!(answer.authority.last_root_act(), Some(second));
        let third = act(&mut group, (FAY, none), second, removal(&names[2]));
        let other = act(&mut group, (FAY, none), second, removal(&names[3]));
        let answer = group.answer();
        assert_eq!(answer.authority.last_root_act(), None);
        assert!([first, copy, one, same].iter().all(|act| answer.counts(*act)));
        for act in [third, other] {
            assert_eq!(answer.suspended_by(act), Some((Rule::A10, third.min(other))));
        }
        for (name, by) in [(&names[0], first.min(copy)), (&names[1], second)] {
            assert_eq!(answer.authority.removed(&member(name)), Some(by));
        }
        // What contends denies, as any denial that is suspended.
        assert_eq!((answer.rank(&names[2]), answer.rank(&names[3])), (None, None));
        let back =
            act(&mut group, (FAY, none), third, RootAction::Grant(granting("max", Founder, &[])));
        let answer = group.answer();
        assert!(answer.suspended(back) && answer.rank("max").is_none());
        assert_eq!(answer.authority.last_root_act(), None);
    }
}

#[test]
fn i4_a_key_of_another_ends_no_device() {
    let mut group = Group::new();
    let bo = group.grant(FAY, group.genesis, "bo", Member);
    let last = group.post("bo", bo);
    let stranger = MemberKey::new(key("member", "dan"));
    let head = group.head(last);
    let signature = stranger.sign_unlink(group.id, device("bo"), head.seq, head.entry);
    let unlink = cairn_crdt::identity::device::Unlink {
        member: stranger.id(),
        device: device("bo"),
        seq: head.seq,
        entry: head.entry,
        signature,
    };
    group.say("dan", GrantId::NONE, &Control::Unlink(unlink));
    let later = group.post("bo", bo);
    let answer = group.answer();
    assert!(answer.counts(later));
    assert!(answer.authority.members()[&member("bo")].devices.contains(&device("bo")));
}

fn removal_from(group: &Group, name: &str, last: EntryId) -> RootAction {
    let cut = group.cut(&[(name, last)]);
    RootAction::Remove(Remove { subject: member(name), cut, epoch: None })
}

/// How far somebody counts whom the council removed: by its later act, and by both that contend.
#[test]
fn a10_a_later_act_says_how_far_and_two_that_contend_both_do() {
    for n in 0..TIMES {
        let mut group = council();
        let (genesis, none) = (group.genesis.entry(), GrantId::NONE);
        let name = format!("bo{n}");
        let bo = group.grant(FAY, group.genesis, &name, Member);
        let posts: Vec<EntryId> = (0..4).map(|_| group.post(&name, bo)).collect();
        let reaches = |group: &Group| {
            let answer = group.answer();
            posts.iter().filter(|post| answer.counts(**post)).count()
        };
        let action = removal_from(&group, &name, posts[0]);
        let first = act(&mut group, (FAY, none), genesis, action);
        assert_eq!(reaches(&group), 1);
        let action = removal_from(&group, &name, posts[3]);
        let second = act(&mut group, (FAY, none), first, action);
        assert_eq!(reaches(&group), 4, "the later act alone");
        let mut contending = [posts[1], posts[2]];
        if n % 2 == 0 {
            contending.reverse();
        }
        for last in contending {
            let action = removal_from(&group, &name, last);
            act(&mut group, (FAY, none), second, action);
        }
        assert_eq!(reaches(&group), 2, "what both leave");
    }
}

#[test]
fn a10_who_was_removed_twice_comes_back_by_citing_both() {
    let mut group = council();
    let (genesis, none) = (group.genesis.entry(), GrantId::NONE);
    let bo = group.grant(FAY, group.genesis, "bo", Moderator);
    let last = group.post("bo", bo);
    let action = removal_from(&group, "bo", last);
    let first = act(&mut group, (FAY, none), genesis, removal("bo"));
    let other = act(&mut group, (FAY, none), first, removal("dan"));
    let again = act(&mut group, ("ann", none), other, action);
    let grant = |cites: &[EntryId]| RootAction::Grant(granting("bo", Moderator, cites));
    let vain = act(&mut group, (FAY, none), again, grant(&[first]));
    assert_eq!(group.answer().rank("bo"), None);
    act(&mut group, (FAY, none), vain, grant(&[first, again]));
    assert_eq!(group.answer().rank("bo"), Some(Moderator));
}

#[test]
fn a6_a_pin_to_an_entry_of_another_log_does_nothing() {
    let mut group = Group::new();
    let bo = group.grant(FAY, group.genesis, "bo", Member);
    let dan = group.grant(FAY, group.genesis, "dan", Member);
    let under = ["cleo", "dora"].map(|by| group.grant(FAY, group.genesis, by, Steward));
    let base = group.post("bo", bo);
    let one = group.post("bo", bo);
    group.rewind("bo", base);
    group.post("bo", bo);
    let others = group.post("dan", dan);
    group.pin("cleo", under[0], "bo", one);
    group.pin("dora", under[1], "bo", others);
    assert!(group.answer().counts(one), "the other pin stands alone");
}

/// More cards than a member may have devices; of those that were unlinked none takes a place.
#[test]
fn k1_a_member_has_so_many_devices_and_no_more() {
    let mut group = Group::new();
    let bo = group.grant(FAY, group.genesis, "bo", Member);
    let names: Vec<String> = (0..MEMBER_DEVICES + 2).map(|n| format!("bo/{n}")).collect();
    let last: Vec<EntryId> = names.iter().map(|name| group.card(name)).collect();
    let live = |group: &Group| {
        let answer = group.answer();
        let devices = &answer.authority.members()[&member("bo")].devices;
        let live = names.iter().filter(|name| devices.contains(&device(name)));
        live.cloned().collect::<Vec<_>>()
    };
    let first = live(&group);
    assert_eq!(first.len(), MEMBER_DEVICES, "{bo:?}");
    let gone = names.iter().position(|name| *name == first[0]).unwrap();
    group.unlink(&first[1], &first[0], last[gone]);
    let then = live(&group);
    assert_eq!(then.len(), MEMBER_DEVICES);
    assert!(!then.contains(&first[0]));
}

/// An erasure names a change that is still to come: when that is here, it is erased with the rest.
#[test]
fn c5_an_answer_is_out_of_date_when_a_named_change_arrives() {
    let mut group = Group::new();
    let bo = group.grant(FAY, group.genesis, "bo", Member);
    let created = group.post("bo", bo);
    let change = group.post("bo/2", bo);
    let changes = List::new(vec![change]).unwrap();
    let erase = Control::Erase(Erase { created, changes });
    group.say("bo", GrantId::NONE, &erase);
    let before = group.answer_of(&group.without(&[change]));
    assert!(before.authority.erased(&created).unwrap().changes.is_empty());
    let after = group.answer();
    assert!(before.authority.is_stale_after(&after.set, &change));
    assert_eq!(after.authority.erased(&created).unwrap().changes, [change].into());
}
