//! Removal, demotion, leaving: what counts, and what can be read (A2–A5, A8, K4, S1).

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::{Effect, PostState, Reply, Row};
use cairn_crdt::replica::input::{Command, CommandId, CutChoice, Input};

use crate::community::Community;

#[test]
fn k4_a_removed_member_reads_nothing_that_follows() {
    let mut c = Community::with_members(10, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.remove(0, 2, CutChoice::FromTip);
    c.post(1, thread, "said after the removal");
    c.settle();
    c.assert_same(&[0, 1]);
    assert!(c.reads(0, "said after the removal") && !c.reads(2, "said after the removal"));
    assert!(!c.people[0].members.contains(&c.key(2)));
}

#[test]
fn s1_a_removed_member_learns_that_it_was_and_why() {
    let mut c = Community::with_members(11, 3);
    c.thread(0, "Evening", "hello");
    c.settle();
    c.remove(0, 2, CutChoice::FromTip);
    c.settle();
    c.connect(0, 2);
    c.settle();
    assert_eq!(c.people[2].replica.state(), ReplicaState::Removed);
    let reason = |row: &Row| matches!(row, Row::Act { reason, .. } if reason == "Was not");
    assert!(c.people[2].store.rows.values().any(reason), "the words of the act");
    assert!(c.people[0].store.rows.values().any(reason), "the moderator's own copy");
    assert!(!c.people[1].store.rows.values().any(reason), "nobody else's");
}

#[test]
fn a4_what_a_removed_member_writes_later_counts_nowhere() {
    let mut c = Community::with_members(12, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(2);
    c.remove(0, 2, CutChoice::FromTip);
    // It has not heard of it and writes on, then meets someone who has not heard of it either.
    c.post(2, thread, "back-dated");
    c.unplug(1);
    c.connect(1, 2);
    c.settle();
    c.unplug(2);
    c.connect(0, 1);
    c.settle();
    c.settle();
    c.assert_same(&[0, 1]);
    assert!(!c.reads(0, "back-dated") && !c.reads(1, "back-dated"));
    let shown = |row: &&Row| matches!(row, Row::Post(post) if post.body == "hello");
    assert_eq!(c.people[1].store.rows.values().filter(shown).count(), 1);
}

#[test]
fn a4_a_cut_from_the_start_voids_all_that_a_member_wrote() {
    let mut c = Community::with_members(13, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.post(2, thread, "spam");
    c.settle();
    assert!(c.reads(1, "spam"));
    c.remove(0, 2, CutChoice::FromStart);
    c.settle();
    c.assert_same(&[0, 1]);
    assert!(!c.reads(0, "spam") && !c.reads(1, "spam"));
}

#[test]
fn a2_a_demoted_moderators_earlier_grants_stand_and_later_ones_do_not() {
    let mut c = Community::with_members(14, 2);
    let moderator = c.member(1);
    c.ask(0, Command::Grant { member: moderator, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    let code = c.invite(1, Rank::Member, 2, true);
    let early = c.join(code.clone());
    c.connect(1, early);
    c.settle();
    c.unplug(1);
    c.ask(0, Command::Grant { member: moderator, rank: Rank::Member })
        .unwrap_or_else(|why| panic!("{why}"));
    let late = c.join(code);
    c.connect(1, late);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Member, "as far as they know");
    c.connect(0, 1);
    c.settle();
    c.settle();
    // Their connections ended with their membership; when they come back they are told.
    c.connect(1, late);
    c.settle();
    let authority = c.people[0].replica.authority();
    assert_eq!(authority.rank_of(&c.member(early)), Some(Rank::Member));
    assert_eq!(authority.rank_of(&c.member(late)), None);
    assert_eq!(c.people[late].replica.state(), ReplicaState::Removed);
    c.assert_same(&[0, 1]);
}

#[test]
fn a8_whoever_leaves_is_gone_for_everyone() {
    let mut c = Community::with_members(15, 3);
    c.ask(2, Command::Leave).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    assert_eq!(c.people[0].replica.authority().rank_of(&c.member(2)), None);
    assert_eq!(c.people[2].replica.state(), ReplicaState::Left);
    c.assert_same(&[0, 1]);
}

#[test]
fn c5_a_hidden_post_folds_everywhere_and_can_be_restored() {
    let mut c = Community::with_members(16, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let post = c.post(1, thread, "unkind");
    c.settle();
    let (rule, reason) = ("Be kind".to_owned(), "unkind".to_owned());
    c.ask(0, Command::Hide { document: post, rule, reason }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    let state = |c: &Community, who: usize| {
        c.people[who].store.posts().iter().find(|row| row.document == post).unwrap().state
    };
    assert!(matches!(state(&c, 1), PostState::Hidden(_)));
    assert!(c.ask(1, Command::Restore { document: post }).is_err(), "not by its author");
    c.ask(0, Command::Restore { document: post }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    assert_eq!(state(&c, 1), PostState::Shown);
}

#[test]
fn c5_an_erased_post_leaves_a_mark_and_no_words() {
    let mut c = Community::with_members(17, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(2);
    let post = c.post(1, thread, "too much");
    let reply = c.ask(1, Command::Edit { document: post, text: "far too much".to_owned() });
    assert!(matches!(reply, Ok(Reply::Document(_))));
    c.settle();
    assert!(c.reads(0, "far too much"));
    c.ask(1, Command::Erase { document: post }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.connect(0, 2);
    c.settle();
    c.assert_same(&[0, 1, 2]);
    for who in [0, 1, 2] {
        let entries = &c.people[who].store.entries;
        let created = c.people[1].replica.created(&post).unwrap();
        assert!(entries[&created].payload.is_none(), "{who} still holds the payload");
        assert!(!c.reads(who, "too much") && !c.reads(who, "far too much"));
    }
    let mark = c.people[0].store.posts().into_iter().find(|row| row.document == post).unwrap();
    assert_eq!(mark.state, PostState::Erased);
}

#[test]
fn a4_what_a_cut_leaves_is_shown_again_once_its_head_has_come() {
    let mut c = Community::with_members(18, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.post(1, thread, "one");
    c.settle();
    assert!(c.reads(2, "one"));
    c.unplug(2);
    c.post(1, thread, "two");
    c.settle();
    let member = c.member(1);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    // The promotion comes before the post that it names as the last under the old rank.
    c.connect(0, 2);
    c.settle();
    c.assert_same(&[0, 1, 2]);
    assert!(c.reads(0, "one") && c.reads(0, "two"));
    assert!(c.reads(2, "two") && c.reads(2, "one"));
}

#[test]
fn k3_who_is_promoted_by_one_and_removed_by_another_at_once_reads_what_was_written_between() {
    let mut c = Community::with_members(19, 3);
    let (member, moderator) = (c.member(2), c.member(1));
    c.ask(0, Command::Grant { member: moderator, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.unplug(1);
    let revoke = Command::Revoke { member, grant: None, cut: CutChoice::FromTip };
    c.ask(0, revoke).unwrap_or_else(|why| panic!("{why}"));
    let agreement = Command::SetAgreement { name: "Circle".to_owned(), text: "Be kind".to_owned() };
    c.ask(0, agreement).unwrap_or_else(|why| panic!("{why}"));
    // This moderator has heard of neither.
    c.ask(1, Command::Grant { member, rank: Rank::Reader }).unwrap_or_else(|why| panic!("{why}"));
    c.connect(0, 1);
    c.settle();
    c.connect(0, 2);
    c.settle();
    c.assert_same(&[0, 1, 2]);
    assert_eq!(c.people[0].replica.authority().rank_of(&member), Some(Rank::Reader));
    let new = |row: &Row| matches!(row, Row::Agreement { text, .. } if text == "Be kind");
    assert!(c.people[2].store.rows.values().any(new));
}

#[test]
fn k3_who_is_back_because_their_removal_is_void_reads_what_was_shared_meanwhile() {
    let mut c = Community::with_members(32, 4);
    let (moderator, member) = (c.member(1), c.member(2));
    c.ask(0, Command::Grant { member: moderator, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.unplug(2);
    c.remove(1, 2, CutChoice::FromTip);
    c.settle();
    let agreement = Command::SetAgreement { name: "Circle".to_owned(), text: "Be kind".to_owned() };
    c.ask(0, agreement).unwrap_or_else(|why| panic!("{why}"));
    c.remove(0, 1, CutChoice::FromStart);
    c.settle();
    assert_eq!(c.people[0].replica.authority().rank_of(&member), Some(Rank::Member));
    // Less time passes than before it asks for what it lacks (K8).
    c.connect(0, 2);
    c.pass(10_000);
    let new = |row: &Row| matches!(row, Row::Agreement { text, .. } if text == "Be kind");
    assert!(c.people[2].store.rows.values().any(new));
}

#[test]
fn k3_what_counts_only_when_a_rank_is_heard_of_is_owed_to_a_newcomer_then() {
    // Which log comes first is in the names of the devices.
    for seed in 33..41 {
        let mut c = Community::with_members(seed, 3);
        let (author, steward) = (c.member(1), c.member(2));
        c.ask(0, Command::Grant { member: steward, rank: Rank::Steward })
            .unwrap_or_else(|why| panic!("{why}"));
        c.settle();
        c.unplug(0);
        c.connect(1, 2);
        c.ask(2, Command::Grant { member: author, rank: Rank::Moderator })
            .unwrap_or_else(|why| panic!("{why}"));
        c.settle();
        c.ask(1, Command::SetProfile { pseudonym: "Finch".to_owned() })
            .unwrap_or_else(|why| panic!("{why}"));
        let invitation = c.invite(0, Rank::Member, 1, true);
        let newcomer = c.join(invitation);
        c.connect(0, newcomer);
        c.settle();
        c.connect(0, 1);
        c.settle();
        let new = |row: &Row| matches!(row, Row::Profile { pseudonym, .. } if pseudonym == "Finch");
        assert!(c.people[newcomer].store.rows.values().any(new), "seed {seed}");
    }
}

#[test]
fn c5_who_changes_a_post_that_is_being_erased_is_answered() {
    let mut c = Community::with_members(20, 2);
    let thread = c.thread(0, "Evening", "hello");
    let post = c.post(0, thread, "too much");
    let commands = [
        Command::Edit { document: post, text: "far too much".to_owned() },
        Command::Erase { document: post },
    ];
    let mut effects = Vec::new();
    for (id, command) in (0..).map(CommandId).zip(commands) {
        let input = Input::Command { id, command };
        effects.extend(c.people[0].replica.handle(c.now, &mut c.rng, input));
    }
    let mut answered = Vec::new();
    while let Some(effect) = (!effects.is_empty()).then(|| effects.remove(0)) {
        match effect {
            Effect::Persist(writes) => c.people[0].store.write(writes),
            Effect::Reply { id, reply } => answered.push((id.0, reply.is_ok())),
            Effect::Load(load) => {
                let entries = c.people[0].store.load(&load);
                let input = Input::Loaded { load, entries };
                effects.extend(c.people[0].replica.handle(c.now, &mut c.rng, input));
            }
            _ => {}
        }
    }
    assert_eq!(answered, [(1, true), (0, false)]);
}

#[test]
fn c5_of_two_hides_all_show_the_same() {
    for seed in 0..4 {
        let mut c = Community::with_members(21 + seed, 3);
        let member = c.member(1);
        c.ask(0, Command::Grant { member, rank: Rank::Moderator })
            .unwrap_or_else(|why| panic!("{why}"));
        let thread = c.thread(0, "Evening", "hello");
        c.settle();
        let document = c.post(2, thread, "too much");
        c.settle();
        for who in [0, 1] {
            let (rule, reason) = ("Be kind".to_owned(), format!("{who}"));
            c.ask(who, Command::Hide { document, rule, reason })
                .unwrap_or_else(|why| panic!("{why}"));
            c.settle();
        }
        let state = |who: usize| {
            let posts = c.people[who].store.posts();
            posts.iter().find(|post| post.document == document).map(|post| post.state)
        };
        let hidden = c.people[0]
            .replica
            .authority()
            .hidden(&c.people[0].replica.created(&document).unwrap());
        for who in [0, 1, 2] {
            assert_eq!(state(who), hidden.map(PostState::Hidden), "{who}");
        }
    }
}

#[test]
fn c4_what_is_void_when_it_comes_bears_what_was_built_on_it_all_the_same() {
    let mut c = Community::with_members(31, 3);
    let member = c.member(1);
    c.ask(0, Command::Grant { member, rank: Rank::Steward }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.unplug(2);
    let agreement = |text: &str| {
        let (name, text) = ("Circle".to_owned(), text.to_owned());
        Command::SetAgreement { name, text }
    };
    c.ask(1, agreement("Be kind")).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.ask(0, agreement("Be kind. Listen")).unwrap_or_else(|why| panic!("{why}"));
    c.remove(0, 1, CutChoice::FromStart);
    c.settle();
    // To this member the steward's change comes after the removal that voids it.
    c.connect(0, 2);
    c.settle();
    c.assert_same(&[0, 2]);
    let shown = |who: usize| {
        c.people[who].store.rows.values().find_map(|row| match row {
            Row::Agreement { text, .. } => Some(text.clone()),
            _ => None,
        })
    };
    assert_eq!(shown(0), Some("Be kind. Listen".to_owned()));
    assert_eq!(shown(2), shown(0));
}
