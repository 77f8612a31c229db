//! A disk that was set back, and a home that runs twice (I4, A6).

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::id::{DocumentId, MemberId};
use cairn_crdt::log::entry::Control;
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::{Row, Write};
use cairn_crdt::replica::input::{Command, CutChoice};

use crate::community::Community;

/// How many posts a person sees that say this.
fn times(c: &Community, who: usize, text: &str) -> usize {
    c.people[who].store.posts().iter().filter(|post| post.body == text).count()
}

fn once_for_all(c: &Community, people: &[usize], texts: &[&str]) {
    for who in people {
        for text in texts {
            assert_eq!(times(c, *who, text), 1, "{who} sees {text:?}");
        }
    }
}

fn names(c: &Community, who: usize) -> Vec<(MemberId, String)> {
    let mut names: Vec<_> = c.people[who]
        .store
        .rows
        .values()
        .filter_map(|row| match row {
            Row::Profile { member, pseudonym, .. } => Some((*member, pseudonym.clone())),
            _ => None,
        })
        .collect();
    names.sort();
    names
}

fn edit(c: &mut Community, who: usize, document: DocumentId, text: &str) {
    let reply = c.ask(who, Command::Edit { document, text: text.to_owned() });
    assert!(reply.is_ok(), "{:?}", reply.err());
}

fn settle(c: &mut Community) {
    for _ in 0..3 {
        c.settle();
    }
}

#[test]
fn i4_what_was_written_before_and_after_a_disk_was_set_back_is_read_once() {
    let mut c = Community::with_members(100, 4);
    let thread = c.thread(0, "Evening", "hello");
    let mine = c.post(1, thread, "first draft");
    c.settle();
    let old = c.people[1].store.clone();
    let device = c.people[1].replica.device();
    let seen = c.post(1, thread, "seen by others, then forgotten");
    c.settle();
    c.post(0, thread, "in answer");
    c.settle();
    c.set_back(1, old);
    assert_eq!(times(&c, 1, "seen by others, then forgotten"), 0);
    // It is alone, and writes: nothing is blocked.
    let own = c.thread(1, "Since then", "opened without knowing");
    c.post(1, own, "written without knowing");
    edit(&mut c, 1, mine, "second draft");
    // One member hears of that before anybody knows better.
    c.unplug(2);
    c.connect(1, 2);
    c.settle();
    assert!(c.reads(2, "written without knowing") || times(&c, 2, "written without knowing") == 0);
    c.unplug(2);
    c.connect(0, 1);
    settle(&mut c);
    let now = c.people[1].replica.device();
    assert_ne!(now, device, "it has moved on");
    c.connect(0, 2);
    c.connect(2, 3);
    settle(&mut c);
    c.assert_same(&[0, 1, 2, 3]);
    let texts = [
        "hello",
        "seen by others, then forgotten",
        "in answer",
        "opened without knowing",
        "written without knowing",
        "second draft",
    ];
    once_for_all(&c, &[0, 1, 2, 3], &texts);
    assert!((0..4).all(|who| times(&c, who, "first draft") == 0));
    for who in 0..4 {
        let posts = c.people[who].store.posts();
        let post = posts.iter().find(|post| post.body == "written without knowing").unwrap();
        assert_eq!(post.thread, own, "threads keep their ids");
        assert_eq!(names(&c, who).len(), 4);
    }
    // And everyone goes on.
    c.post(1, thread, "from the new device");
    c.ask(1, Command::Erase { document: seen }).unwrap_or_else(|why| panic!("{why}"));
    c.post(3, own, "to what was opened");
    settle(&mut c);
    for who in 0..4 {
        c.reconnect(who);
    }
    settle(&mut c);
    c.assert_same(&[0, 1, 2, 3]);
    once_for_all(&c, &[0, 1, 2, 3], &["from the new device", "to what was opened", texts[4]]);
    assert!((0..4).all(|who| times(&c, who, texts[1]) == 0), "it can be erased from there");
    assert_eq!(c.people[1].replica.device(), now, "once is enough");
}

#[test]
fn i4_a_disk_that_was_set_back_and_wrote_nothing_moves_on_without_a_pin() {
    let mut c = Community::with_members(101, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let old = c.people[1].store.clone();
    let device = c.people[1].replica.device();
    c.post(1, thread, "forgotten");
    c.settle();
    c.set_back(1, old);
    c.connect(0, 1);
    settle(&mut c);
    assert_ne!(c.people[1].replica.device(), device);
    assert!(c.people[0].replica.authority().forks().is_empty());
    c.post(1, thread, "and on");
    settle(&mut c);
    c.assert_same(&[0, 1, 2]);
    once_for_all(&c, &[0, 1, 2], &["forgotten", "and on"]);
    let reader = &c.people[1].replica;
    assert_eq!(reader.authority().members()[&reader.member()].devices.len(), 2);
}

/// Somebody chose the other branch before this device heard that there are two.
#[test]
fn i4_what_was_declined_before_a_device_moves_on_is_written_again() {
    let mut c = Community::with_members(113, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let old = c.people[1].store.clone();
    let device = c.people[1].replica.device();
    let forgotten = c.post(1, thread, "forgotten");
    c.settle();
    let entry = c.people[0].replica.created(&forgotten).unwrap();
    c.set_back(1, old);
    c.post(1, thread, "written without knowing");
    c.hand_over(1, 0);
    assert!(!c.people[0].replica.authority().forks().is_empty());
    c.ask(0, Command::Pin { entry }).unwrap_or_else(|why| panic!("{why}"));
    c.hand_over(0, 1);
    c.connect(0, 1);
    settle(&mut c);
    assert_ne!(c.people[1].replica.device(), device);
    c.assert_same(&[0, 1, 2]);
    once_for_all(&c, &[0, 1, 2], &["forgotten", "written without knowing"]);
}

#[test]
fn i4_a_moderators_acts_stay_in_force_those_forgotten_and_those_since() {
    let mut c = Community::with_members(102, 6);
    let moderator = c.member(1);
    c.ask(0, Command::Grant { member: moderator, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    let thread = c.thread(0, "Evening", "hello");
    let unkind = c.post(4, thread, "unkind");
    c.settle();
    let old = c.people[1].store.clone();
    c.remove(1, 2, CutChoice::FromTip);
    c.settle();
    c.set_back(1, old);
    c.remove(1, 3, CutChoice::FromTip);
    let (rule, reason) = ("Be kind".to_owned(), "unkind".to_owned());
    c.ask(1, Command::Hide { document: unkind, rule, reason }).unwrap_or_else(|w| panic!("{w}"));
    let code = c.invite(1, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(1, late);
    c.settle();
    c.unplug(late);
    c.connect(0, 1);
    settle(&mut c);
    c.connect(late, 0);
    c.connect(4, 0);
    settle(&mut c);
    c.connect(late, 0);
    settle(&mut c);
    c.assert_same(&[0, 1, 4, 5, late]);
    let authority = c.people[0].replica.authority();
    assert_eq!(authority.rank_of(&c.member(2)), None, "removed before the disk was set back");
    assert_eq!(authority.rank_of(&c.member(3)), None, "and after that");
    assert_eq!(authority.rank_of(&c.member(late)), Some(Rank::Member), "admitted after that");
    assert!(authority.hidden(&c.people[0].replica.created(&unkind).unwrap()).is_some());
    let words = c.people[0].store.rows.values().filter_map(|row| match row {
        Row::Act { reason, about, .. } if reason == "unkind" => Some(*about),
        _ => None,
    });
    let [about] = words.collect::<Vec<_>>()[..] else { panic!("the words of the act as well") };
    let set = c.people[0].replica.set();
    assert!(matches!(set.control()[&about], Control::Hide(_)));
    assert!(authority.counting(set, &about).counts(), "they are about the act that is in force");
    let act = |row: &Row| matches!(row, Row::Act { reason, .. } if reason == "unkind");
    assert!(!c.people[5].store.rows.values().any(act), "and for whom they were");
    c.post(late, thread, "thank you");
    settle(&mut c);
    assert!(c.reads(5, "thank you") && !c.reads(2, "thank you") && !c.reads(3, "thank you"));
}

/// Nobody but the newcomer holds its admission: its own node hands it in, also if it has met its
/// admitter in between, which then left for its new device before the newcomer's card had come.
#[test]
fn i4_a_newcomer_of_whom_only_its_admitter_knew_stays_one() {
    for meets_admitter in [false, true] {
        let mut c = Community::with_members(106, 3);
        let member = c.member(1);
        c.ask(0, Command::Grant { member, rank: Rank::Moderator })
            .unwrap_or_else(|why| panic!("{why}"));
        let thread = c.thread(0, "Evening", "hello");
        let code = c.invite(1, Rank::Member, 2, true);
        c.settle();
        let old = c.people[1].store.clone();
        c.unplug(1);
        let late = c.join(code);
        c.connect(1, late);
        c.settle();
        assert_eq!(c.people[late].replica.state(), ReplicaState::Member);
        c.unplug(late);
        c.set_back(1, old);
        c.post(1, thread, "since");
        c.connect(0, 1);
        settle(&mut c);
        assert_eq!(c.people[0].replica.authority().rank_of(&c.member(late)), None);
        if meets_admitter {
            c.connect(1, late);
            settle(&mut c);
            assert_eq!(c.people[late].replica.state(), ReplicaState::Removed, "by a fork");
            c.unplug(late);
        }
        c.connect(0, late);
        settle(&mut c);
        for who in [0, 1, late] {
            c.reconnect(who);
        }
        settle(&mut c);
        c.assert_same(&[0, 1, 2, late]);
        assert_eq!(c.people[late].replica.state(), ReplicaState::Member);
        c.post(late, thread, "thank you");
        c.post(2, thread, "welcome");
        settle(&mut c);
        assert!(c.reads(2, "thank you") && c.reads(late, "welcome"));
        once_for_all(&c, &[0, 1, 2], &["since"]);
    }
}

#[test]
fn i4_two_copies_of_one_home_each_move_on_to_a_device_of_their_own() {
    let mut c = Community::with_members(103, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(1);
    let copy = c.copy(1);
    let device = c.people[1].replica.device();
    c.post(1, thread, "from the one");
    c.post(copy, thread, "from the other");
    c.connect(0, 1);
    c.connect(2, copy);
    settle(&mut c);
    settle(&mut c);
    let (one, other) = (c.people[1].replica.device(), c.people[copy].replica.device());
    assert!(one != device && other != device && one != other, "all three differ");
    c.assert_same(&[0, 1, 2, copy]);
    once_for_all(&c, &[0, 1, 2, copy], &["from the one", "from the other"]);
    c.post(1, thread, "one again");
    c.post(copy, thread, "the other again");
    settle(&mut c);
    c.assert_same(&[0, 1, 2, copy]);
    once_for_all(&c, &[0, 1, 2, copy], &["one again", "the other again"]);
    assert_eq!((c.people[1].replica.device(), c.people[copy].replica.device()), (one, other));
}

#[test]
fn i4_a_crash_while_moving_on_loses_nothing() {
    for dying in [false, true] {
        let mut c = Community::with_members(104, 3);
        let thread = c.thread(0, "Evening", "hello");
        c.settle();
        let old = c.people[1].store.clone();
        c.post(1, thread, "forgotten");
        c.settle();
        c.set_back(1, old);
        for n in 0..5 {
            c.post(1, thread, &format!("since then {n}"));
        }
        if dying {
            // The store never answers again: what was to be written anew stays to be written.
            c.dying.insert(1);
        }
        c.connect(0, 1);
        c.run();
        if dying {
            assert!(c.people[1].replica.state() == ReplicaState::Member);
            c.restart(1);
            c.connect(0, 1);
        }
        settle(&mut c);
        c.assert_same(&[0, 1, 2]);
        for n in 0..5 {
            once_for_all(&c, &[0, 1, 2], &["forgotten", &format!("since then {n}")]);
        }
    }
}

#[test]
fn i4_moving_on_is_one_transaction() {
    let mut c = Community::with_members(105, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let old = c.people[1].store.clone();
    c.post(1, thread, "forgotten");
    c.settle();
    let forgotten = crate::relay::stored(&c, 1, crate::relay::tip(&c, 1).1);
    c.set_back(1, old);
    c.post(1, thread, "since then");
    let device = c.people[1].replica.device();
    let from = c.key(0);
    let token = cairn_crdt::replica::input::GossipToken(u64::MAX);
    let input = cairn_crdt::replica::input::Input::Gossip { token, from, bytes: forgotten };
    let effects = c.people[1].replica.handle(c.now, &mut c.rng, input);
    let written: Vec<&Vec<Write>> = effects
        .iter()
        .filter_map(|effect| match effect {
            cairn_crdt::replica::effect::Effect::Persist(writes) => Some(writes),
            _ => None,
        })
        .collect();
    let [writes] = written.as_slice() else { panic!("one transaction") };
    let entries = writes.iter().filter_map(|write| match write {
        Write::Entry { header, .. } => Some(header.device),
        _ => None,
    });
    let devices: Vec<_> = entries.collect();
    let new = c.people[1].replica.device();
    assert_eq!(devices, [device, new, new], "what came; the card; the pin");
    assert!(writes.iter().any(|write| matches!(write, Write::Persona(_))));
}

#[test]
fn i4_a_newcomer_that_was_forgotten_reads_what_is_written_again() {
    let mut c = Community::with_members(106, 3);
    let thread = c.thread(0, "Evening", "hello");
    let code = c.invite(0, Rank::Member, 1, true);
    c.settle();
    let old = c.people[0].store.clone();
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    c.set_back(0, old);
    c.post(0, thread, "written without knowing of them");
    c.unplug(2);
    c.post(2, thread, "written by one who does not know of them");
    c.connect(0, 1);
    settle(&mut c);
    c.connect(0, 2);
    c.connect(0, late);
    settle(&mut c);
    c.assert_same(&[0, 1, 2, late]);
    let texts = ["written without knowing of them", "written by one who does not know of them"];
    once_for_all(&c, &[0, 1, 2, late], &texts);
}

/// Acts that name one another: a second replacement the first, a restoring the hiding, an admission
/// the removal before it.
#[test]
fn i4_acts_that_name_each_other_do_so_when_they_are_said_again() {
    let mut c = Community::with_members(107, 5);
    let thread = c.thread(0, "Evening", "hello");
    let post = c.post(3, thread, "hidden for a while");
    c.settle();
    let old = c.people[0].store.clone();
    c.post(0, thread, "forgotten");
    c.settle();
    c.set_back(0, old);
    let say = |c: &mut Community, command| {
        c.ask(0, command).unwrap_or_else(|why| panic!("{why}"));
    };
    for (who, ranks) in [(1, vec![Rank::Moderator, Rank::Member]), (4, vec![Rank::Moderator])] {
        let member = c.member(who);
        ranks.into_iter().for_each(|rank| say(&mut c, Command::Grant { member, rank }));
    }
    c.remove(0, 2, CutChoice::FromTip);
    let member = c.member(2);
    say(&mut c, Command::Grant { member, rank: Rank::Member });
    let (rule, reason) = ("Be kind".to_owned(), "unkind".to_owned());
    say(&mut c, Command::Hide { document: post, rule, reason });
    say(&mut c, Command::Restore { document: post });
    c.connect(0, 1);
    settle(&mut c);
    // Who took itself to be removed for a while let go of the other end.
    for other in 1..5 {
        c.connect(0, other);
    }
    settle(&mut c);
    c.assert_same(&[0, 1, 2, 3, 4]);
    for who in 0..5 {
        let replica = &c.people[who].replica;
        let rank = |of: usize| replica.authority().rank_of(&c.member(of));
        assert_eq!(rank(1), Some(Rank::Member));
        assert_eq!(rank(2), Some(Rank::Member), "came back after a removal");
        assert_eq!(rank(4), Some(Rank::Moderator));
        assert!(replica.authority().hidden(&replica.created(&post).unwrap()).is_none());
    }
    once_for_all(&c, &[0, 1, 2, 3, 4], &["forgotten", "hidden for a while"]);
}

#[test]
fn i4_names_titles_and_the_agreement_are_changed_again() {
    let mut c = Community::with_members(108, 3);
    let thread = c.thread(0, "Evening", "hello");
    let mine = c.post(0, thread, "first draft");
    c.settle();
    let old = c.people[0].store.clone();
    edit(&mut c, 0, mine, "forgotten draft");
    c.settle();
    c.set_back(0, old);
    edit(&mut c, 0, mine, "second draft");
    edit(&mut c, 0, thread, "Morning");
    c.post(0, thread, "since then");
    for command in [
        Command::SetProfile { pseudonym: "Heron".to_owned() },
        Command::SetAgreement { name: "Circle".to_owned(), text: "Listen".to_owned() },
    ] {
        c.ask(0, command).unwrap_or_else(|why| panic!("{why}"));
    }
    let time = |c: &Community, who: usize| {
        let posts = c.people[who].store.posts();
        posts.iter().find(|post| post.body == "since then").unwrap().written
    };
    let written = time(&c, 0);
    c.settle();
    c.connect(0, 1);
    settle(&mut c);
    c.connect(0, 2);
    settle(&mut c);
    c.assert_same(&[0, 1, 2]);
    once_for_all(&c, &[0, 1, 2], &["second draft", "since then", "hello"]);
    for who in 0..3 {
        assert_eq!(times(&c, who, "forgotten draft"), 0, "what was said here is said later");
        let titles = c.people[who].store.posts();
        assert!(titles.iter().any(|post| post.title.as_deref() == Some("Morning")), "{who}");
        assert!(names(&c, who).contains(&(c.member(0), "Heron".to_owned())), "{who}");
        assert_eq!(agreement(&c, who), "Listen");
        assert_eq!(time(&c, who), written, "the time that was claimed before");
    }
}

fn agreement(c: &Community, who: usize) -> String {
    let texts = c.people[who].store.rows.values().filter_map(|row| match row {
        Row::Agreement { text, .. } => Some(text.clone()),
        _ => None,
    });
    let [text] = &texts.collect::<Vec<_>>()[..] else { panic!("one agreement") };
    text.clone()
}

#[test]
fn i4_a_change_of_the_agreement_gives_way_to_one_of_the_other_branch() {
    let mut c = Community::with_members(109, 3);
    let agree = |c: &mut Community, text: &str| {
        let command = Command::SetAgreement { name: "Circle".to_owned(), text: text.to_owned() };
        c.ask(0, command).unwrap_or_else(|why| panic!("{why}"));
        c.settle();
    };
    agree(&mut c, "Listen");
    let old = c.people[0].store.clone();
    agree(&mut c, "Listen, all of you");
    c.set_back(0, old);
    agree(&mut c, "Speak");
    c.connect(0, 1);
    settle(&mut c);
    c.connect(0, 2);
    settle(&mut c);
    c.assert_same(&[0, 1, 2]);
    assert!((0..3).all(|who| agreement(&c, who) == "Listen, all of you"));
}

#[test]
fn i4_what_was_hidden_or_erased_meanwhile_is_not_written_again() {
    let mut c = Community::with_members(110, 4);
    let member = c.member(2);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator }).unwrap_or_else(|w| panic!("{w}"));
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let old = c.people[1].store.clone();
    // A moderator who does not hear of what will be forgotten hears of what comes instead.
    c.unplug(2);
    c.post(1, thread, "forgotten");
    c.settle();
    c.set_back(1, old);
    let rude = c.post(1, thread, "rude");
    let regretted = c.post(1, thread, "regretted");
    c.post(1, thread, "since then");
    c.connect(1, 2);
    c.settle();
    let (rule, reason) = ("Be kind".to_owned(), "unkind".to_owned());
    c.ask(2, Command::Hide { document: rude, rule, reason }).unwrap_or_else(|w| panic!("{w}"));
    c.ask(1, Command::Erase { document: regretted }).unwrap_or_else(|w| panic!("{w}"));
    c.settle();
    c.unplug(2);
    c.connect(0, 1);
    settle(&mut c);
    c.connect(0, 2);
    settle(&mut c);
    c.assert_same(&[0, 1, 2, 3]);
    once_for_all(&c, &[0, 1, 2, 3], &["forgotten", "since then"]);
    for who in 0..4 {
        assert_eq!(times(&c, who, "rude") + times(&c, who, "regretted"), 0, "{who}");
    }
}
