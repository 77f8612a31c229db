//! A group and its keepers (M1–M4): members who are never online together.

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::id::{RecordId, TransportKey};
use cairn_crdt::replica::effect::{Refused, Reply};
use cairn_crdt::replica::input::{Command, CommandId, CutChoice, Input};
use cairn_crdt::replica::keepers::{KeeperView, Misconduct};
use cairn_crdt::time::DAY_MILLIS;

use crate::community::Community;
use crate::keeper::{RETENTION, code};

/// A group of `n` with a keeper, everyone unplugged from each other.
pub fn apart(seed: u64, n: usize) -> (Community, TransportKey) {
    let mut c = Community::with_members(seed, n);
    let keeper = c.keeper(200, 1);
    add(&mut c, 0, 200, 1).unwrap();
    c.settle();
    for who in 0..n {
        c.unplug(who);
    }
    (c, keeper)
}

pub fn add(c: &mut Community, who: usize, number: u8, secret: u8) -> Result<Reply, Refused> {
    let code = Box::new(code(number, secret));
    let command = Command::AddKeeper { code };
    c.inputs.push_back((who, Input::Command { id: CommandId(7), command }));
    c.run();
    c.pass(30_000);
    c.answered().unwrap()
}

pub fn view(c: &Community, who: usize) -> KeeperView {
    c.people[who].replica.keepers().into_iter().next().unwrap()
}

#[test]
fn m1_members_who_never_meet_reach_each_other() {
    let (mut c, _) = apart(1, 3);
    let thread = c.thread(0, "Night", "nobody is awake");
    c.settle();
    c.post(1, thread, "I am");
    c.settle();
    assert!(c.reads(2, "nobody is awake") && c.reads(2, "I am") && c.reads(0, "I am"));
    c.assert_same(&[0, 1, 2]);
    let created = c.people[0].replica.created(&thread).unwrap();
    assert!(c.people[0].replica.with_keeper(&created));
    assert_eq!(c.people[0].replica.reach(&created).members, 2, "their receipts lie there too");
}

#[test]
fn m1_what_was_written_while_the_keeper_was_away_goes_there_later() {
    let (mut c, keeper) = apart(2, 2);
    c.hang_up(keeper);
    let thread = c.thread(0, "Later", "when the line is back");
    c.settle();
    let created = c.people[0].replica.created(&thread).unwrap();
    assert!(!c.people[0].replica.with_keeper(&created));
    assert!(view(&c, 0).why.is_some() && !view(&c, 0).open);
    c.call(keeper, &[0, 1]);
    c.settle();
    assert!(c.reads(1, "when the line is back"));
    assert!(c.people[0].replica.with_keeper(&created));
}

#[test]
fn m1_a_node_that_starts_again_reads_and_puts_nothing_twice() {
    let (mut c, keeper) = apart(3, 2);
    c.thread(0, "Once", "said once");
    c.settle();
    let before = c.keepers[&keeper].one().newest;
    for who in [0, 1] {
        c.restart(who);
    }
    c.settle();
    c.settle();
    let mailbox = c.keepers[&keeper].one();
    assert_eq!(mailbox.newest, before, "a known record was put again");
    c.assert_same(&[0, 1]);
}

#[test]
fn m1_another_member_puts_what_its_author_could_not() {
    let (mut c, keeper) = apart(4, 3);
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    c.connect(0, 1);
    let thread = c.thread(1, "Carried", "by someone else");
    c.settle();
    c.pass(400_000);
    c.unplug(1);
    let created = c.people[1].replica.created(&thread).unwrap();
    assert!(c.people[0].replica.with_keeper(&created));
    assert!(c.reads(2, "by someone else"));
}

#[test]
fn m2_a_removed_member_is_locked_out_and_who_was_away_is_not() {
    let (mut c, keeper) = apart(5, 4);
    // Person 3 sleeps through the removal.
    c.keepers.get_mut(&keeper).unwrap().open.remove(&3);
    c.unplug(3);
    let away = c.people[3].store.clone();
    c.remove(0, 1, CutChoice::FromTip);
    c.settle();
    assert_eq!(c.keepers[&keeper].one().generations.len(), 2, "a new generation");
    let thread = c.thread(0, "After", "without them");
    c.settle();
    assert!(c.reads(2, "without them"));
    assert!(!c.reads(1, "without them"));
    // The removed member's node tries again with all that it has.
    c.hang_up(keeper);
    c.call(keeper, &[1]);
    c.settle();
    assert!(!c.people[1].replica.keepers().iter().any(|keeper| keeper.open));
    // Who was away has the old keys only, and comes in by the rekey record.
    assert_eq!(c.people[3].store.persona, away.persona);
    c.hang_up(keeper);
    c.call(keeper, &[0, 2, 3]);
    c.settle();
    assert!(c.reads(3, "without them"));
    c.post(3, thread, "I was asleep");
    c.settle();
    assert!(c.reads(0, "I was asleep"));
    c.assert_same(&[0, 2, 3]);
}

#[test]
fn m2_a_removed_moderator_cannot_begin_the_next_generation() {
    let (mut c, keeper) = apart(6, 3);
    let member = c.member(1);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.remove(0, 1, CutChoice::FromTip);
    c.settle();
    let controls: Vec<_> =
        c.keepers[&keeper].one().generations.iter().map(|(_, control, _)| *control).collect();
    // With the moderators it changed when one came, and again when that one went.
    assert!(controls.len() >= 3);
    let last = controls[controls.len() - 1];
    assert_ne!(controls[controls.len() - 2], last, "the control key changes with the moderators");
    let access: Vec<_> =
        c.keepers[&keeper].one().generations.iter().map(|(access, ..)| *access).collect();
    assert_ne!(access.first(), access.last());
}

#[test]
fn m2_a_removal_by_a_moderator_rotates_what_the_founder_made() {
    let (mut c, keeper) = apart(7, 4);
    let member = c.member(1);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    // The founder sleeps.
    c.keepers.get_mut(&keeper).unwrap().open.remove(&0);
    let before = c.keepers[&keeper].one().generations.len();
    c.remove(1, 2, CutChoice::FromTip);
    c.settle();
    let generations = &c.keepers[&keeper].one().generations;
    assert!(generations.len() > before);
    let access: Vec<_> = generations.iter().map(|(access, ..)| *access).collect();
    assert_ne!(access[before - 1], access[generations.len() - 1]);
    c.call(keeper, &[0]);
    c.settle();
    c.assert_same(&[0, 1, 3]);
}

#[test]
fn m2_a_used_code_of_a_keeper_is_refused_with_a_sentence() {
    let mut c = Community::with_members(8, 2);
    c.keeper(200, 1);
    let refused = add(&mut c, 0, 200, 9).err().unwrap();
    assert!(refused.to_string().contains("used before"), "{refused}");
    assert!(c.people[0].replica.keepers().is_empty());
    let may = add(&mut c, 1, 200, 1).err().unwrap();
    assert!(matches!(may, Refused::NotAllowed { .. }));
    add(&mut c, 0, 200, 1).unwrap();
    let again = add(&mut c, 0, 200, 1).err().unwrap();
    assert!(again.to_string().contains("already"));
}

#[test]
fn m2_a_keeper_that_is_not_there_is_not_added() {
    let mut c = Community::with_members(9, 2);
    let keeper = c.keeper(200, 1);
    c.hang_up(keeper);
    let refused = add(&mut c, 0, 200, 1).err().unwrap();
    assert!(refused.to_string().contains("reached"), "{refused}");
    assert!(c.people[0].replica.keepers().is_empty());
}

#[test]
fn m3_a_full_mailbox_still_takes_control() {
    let (mut c, keeper) = apart(10, 3);
    let full = c.keepers[&keeper].one().records.len();
    c.keepers.get_mut(&keeper).unwrap().one_mut().room = Some(full);
    c.thread(0, "Too much", "there is no room");
    c.settle();
    assert!(view(&c, 0).full);
    assert!(!c.reads(1, "there is no room"));
    c.remove(0, 2, CutChoice::FromTip);
    c.settle();
    let removed = c.member(2);
    assert_eq!(c.people[1].replica.authority().rank_of(&removed), None, "the removal came");
    // There is room again.
    c.keepers.get_mut(&keeper).unwrap().one_mut().room = None;
    c.pass(700_000);
    c.settle();
    assert!(c.reads(1, "there is no room"));
}

/// Two keepers. Person 1 was not at the first when something was put there, and has heard from the
/// second that it lies at both; the records that hold it.
fn heard_of_elsewhere(seed: u64) -> (Community, [TransportKey; 2], Vec<RecordId>) {
    let (mut c, keeper) = apart(seed, 3);
    let second = c.keeper(201, 2);
    add(&mut c, 0, 201, 2).unwrap();
    c.settle();
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    c.thread(0, "Night", "is anyone there");
    c.settle();
    let kept: Vec<RecordId> =
        c.keepers[&keeper].one().records.values().map(|(id, _)| *id).collect();
    assert!(c.reads(1, "is anyone there"), "the second keeper gave it");
    (c, [keeper, second], kept.into_iter().rev().take(3).collect())
}

fn blamed(c: &Community, who: usize, key: TransportKey) -> Option<Misconduct> {
    let views = c.people[who].replica.keepers();
    let view = views.into_iter().find(|view| view.keeper == key).unwrap();
    view.misconduct.map(|(misconduct, _)| misconduct)
}

#[test]
fn m4_a_keeper_that_withholds_is_named_and_another_fills_the_gap() {
    let (mut c, [keeper, second], kept) = heard_of_elsewhere(11);
    // The first keeps what comes to itself.
    c.keepers.get_mut(&keeper).unwrap().withheld.extend(kept);
    c.call(keeper, &[1]);
    c.pass(200_000);
    c.settle();
    assert!(matches!(blamed(&c, 1, keeper), Some(Misconduct::Withholds(_))));
    assert_eq!(blamed(&c, 1, second), None);
}

#[test]
fn m4_what_may_have_run_out_meanwhile_is_not_missed() {
    let (mut c, [keeper, second], kept) = heard_of_elsewhere(29);
    // Nobody comes to the first keeper for a good half of the retention, and nothing is renewed there.
    c.hang_up(keeper);
    c.now = c.now.after(250 * DAY_MILLIS);
    c.keepers.get_mut(&keeper).unwrap().one_mut().records.retain(|_, (id, _)| !kept.contains(id));
    c.call(keeper, &[1]);
    c.pass(200_000);
    c.settle();
    assert_eq!(blamed(&c, 1, keeper), None);
    assert_eq!(blamed(&c, 1, second), None);
}

#[test]
fn m4_what_has_run_out_by_the_keepers_clock_is_not_missed_and_what_cannot_have_is() {
    for (early, missed) in [(RETENTION / 8, false), (RETENTION / 2, true)] {
        let (mut c, keeper) = apart(30, 2);
        c.thread(0, "Night", "is anyone there");
        c.settle();
        c.hang_up(keeper);
        c.now = c.now.after(RETENTION - early);
        c.keepers.get_mut(&keeper).unwrap().one_mut().records.clear();
        c.call(keeper, &[0]);
        c.pass(200_000);
        assert_eq!(blamed(&c, 0, keeper).is_some(), missed, "{early} milliseconds before");
    }
}

#[test]
fn m4_a_keeper_that_was_set_back_is_named_and_filled_again() {
    let (mut c, keeper) = apart(12, 2);
    let old = c.keepers[&keeper].mailboxes.clone();
    c.thread(0, "Lost", "and found again");
    c.settle();
    c.hang_up(keeper);
    c.keepers.get_mut(&keeper).unwrap().mailboxes = old;
    c.call(keeper, &[0]);
    c.settle();
    assert!(matches!(view(&c, 0).misconduct, Some((Misconduct::SetBack, _))));
    let late = c.keepers[&keeper].one().newest;
    assert!(late > 0);
    assert!(c.people[0].replica.keepers()[0].lacking == 0);
}

#[test]
fn m4_what_was_lost_silently_is_put_again() {
    let (mut c, keeper) = apart(13, 2);
    c.thread(0, "Lost", "and found again");
    c.settle();
    c.hang_up(keeper);
    let mailbox = c.keepers.get_mut(&keeper).unwrap().one_mut();
    let gone = *mailbox.records.keys().next().unwrap();
    mailbox.records.remove(&gone);
    c.call(keeper, &[0]);
    c.pass(4_000_000);
    assert!(matches!(view(&c, 0).misconduct, Some((Misconduct::Withholds(1), _))));
    assert_eq!(view(&c, 0).lacking, 0);
    assert!(!c.keepers[&keeper].one().records.is_empty());
}

#[test]
fn c5_what_is_erased_is_deleted_at_the_keeper_and_the_rest_of_its_record_stays() {
    let (mut c, keeper) = apart(14, 2);
    c.hang_up(keeper);
    let thread = c.thread(0, "Regret", "first words");
    let regretted = c.post(0, thread, "said too much");
    c.post(0, thread, "last words");
    c.call(keeper, &[0]);
    c.settle();
    let before: Vec<_> = c.keepers[&keeper].one().records.values().map(|(id, _)| *id).collect();
    c.ask(0, Command::Erase { document: regretted }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    let after: Vec<_> = c.keepers[&keeper].one().records.values().map(|(id, _)| *id).collect();
    let gone = before.iter().filter(|record| !after.contains(record)).count();
    assert!(gone >= 1, "the record that held it is still there");
    c.call(keeper, &[1]);
    c.settle();
    assert!(c.reads(1, "first words") && c.reads(1, "last words"));
    assert!(!c.reads(1, "said too much"));
    c.assert_same(&[0, 1]);
    assert_eq!(view(&c, 1).misconduct, None, "nobody is blamed for an erasure");
}

#[test]
fn m1_nothing_readable_comes_to_a_keeper() {
    let (mut c, keeper) = apart(15, 2);
    c.thread(0, "A title that nobody else may see", "words that nobody else may read");
    c.settle();
    let seen = &c.keepers[&keeper].seen;
    let group = *c.people[0].replica.group().as_bytes();
    let mut secrets: Vec<Vec<u8>> = vec![
        b"nobody else may see".to_vec(),
        b"nobody else may read".to_vec(),
        b"Thursday circle".to_vec(),
        b"Person".to_vec(),
        group.to_vec(),
    ];
    for who in [0, 1] {
        secrets.push(c.member(who).as_bytes().to_vec());
        secrets.push(c.people[who].replica.device().as_bytes().to_vec());
        secrets.push(c.key(who).as_bytes().to_vec());
    }
    for secret in secrets {
        assert!(!seen.windows(secret.len()).any(|window| window == secret), "{secret:?}");
    }
}

#[test]
fn m1_a_keeper_that_is_taken_back_is_asked_no_more() {
    let (mut c, keeper) = apart(16, 2);
    let entry = view(&c, 0).entry.unwrap();
    let refused = c.ask(1, Command::DismissKeeper { entry }).err().unwrap();
    assert!(matches!(refused, Refused::NotAllowed { .. }));
    c.ask(0, Command::DismissKeeper { entry }).unwrap_or_else(|why| panic!("{why}"));
    c.connect(0, 1);
    c.settle();
    assert!(c.people[0].replica.keepers().is_empty());
    assert!(c.people[1].replica.keepers().is_empty());
    assert!(c.keepers[&keeper].open.is_empty());
}

#[test]
fn m1_a_keeper_that_was_taken_back_is_used_again() {
    let (mut c, keeper) = apart(25, 2);
    c.thread(0, "Before", "said before");
    c.settle();
    let entry = view(&c, 0).entry.unwrap();
    c.ask(0, Command::DismissKeeper { entry }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.keeper(200, 2);
    // The mailbox of its name stands there still, and the keeper makes no second one.
    add(&mut c, 0, 200, 2).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    assert!(view(&c, 0).open);
    c.thread(0, "After", "said after");
    c.connect(0, 1);
    c.settle();
    c.unplug(1);
    c.thread(0, "Later", "said later");
    c.settle();
    assert!(c.reads(1, "said later"));
    assert_eq!(c.keepers[&keeper].mailboxes.len(), 1);
}

/// Everyone is somewhere new.
fn move_house(c: &mut Community, who: usize) -> Vec<u8> {
    move_to(c, who, 6)
}

fn move_to(c: &mut Community, who: usize, street: u8) -> Vec<u8> {
    let address = vec![street, u8::try_from(who).unwrap()];
    let addresses = vec![address.clone()];
    c.inputs.push_back((who, Input::Listening { addresses }));
    c.run();
    address
}

#[test]
fn m5_members_whose_addresses_all_changed_find_each_other() {
    let (mut c, keeper) = apart(17, 2);
    c.hang_up(keeper);
    let addresses = [0, 1].map(|who| move_house(&mut c, who));
    c.pass(1_200_000);
    for (who, other) in [(0, 1), (1, 0)] {
        let known = c.people[who].sought.get(&c.key(other));
        assert_eq!(known, Some(&vec![addresses[other].clone()]), "{who}");
    }
}

#[test]
fn m5_whoever_had_a_clock_that_was_a_day_ahead_is_found_all_the_same() {
    let (mut c, keeper) = apart(21, 2);
    c.hang_up(keeper);
    for who in [0, 1] {
        move_house(&mut c, who);
    }
    c.pass(1_200_000);
    c.set_clock_back(DAY_MILLIS);
    let addresses = [0, 1].map(|who| move_to(&mut c, who, 7));
    c.pass(1_200_000);
    for (who, other) in [(0, 1), (1, 0)] {
        let known = c.people[who].sought.get(&c.key(other));
        assert_eq!(known, Some(&vec![addresses[other].clone()]), "{who}");
    }
}

#[test]
fn m3_a_clock_that_was_a_day_ahead_keeps_nobody_from_a_keeper() {
    let (mut c, keeper) = apart(22, 2);
    c.keepers.get_mut(&keeper).unwrap().one_mut().room = Some(0);
    let thread = c.thread(0, "Ahead", "of my time");
    c.pass(10_000);
    assert!(view(&c, 0).full);
    c.keepers.get_mut(&keeper).unwrap().one_mut().room = None;
    c.set_clock_back(DAY_MILLIS);
    c.settle();
    let created = c.people[0].replica.created(&thread).unwrap();
    assert!(c.people[0].replica.with_keeper(&created));
    assert!(c.reads(1, "of my time"));
}

#[test]
fn m5_a_removed_member_finds_nobody() {
    let (mut c, keeper) = apart(18, 3);
    c.remove(0, 2, CutChoice::FromTip);
    c.settle();
    c.hang_up(keeper);
    c.told.clear();
    for who in [0, 1, 2] {
        c.people[who].sought.clear();
        move_house(&mut c, who);
    }
    c.pass(1_200_000);
    let found =
        |c: &Community, who: usize, other: usize| c.people[who].sought.contains_key(&c.key(other));
    assert!(found(&c, 0, 1) && found(&c, 1, 0));
    assert!(!found(&c, 2, 0) && !found(&c, 2, 1));
}

#[test]
fn a8_who_leaves_says_so_at_the_keeper_and_is_done_with_it() {
    let (mut c, keeper) = apart(19, 3);
    c.hang_up(keeper);
    c.ask(1, Command::Leave).unwrap_or_else(|why| panic!("{why}"));
    c.restart(1);
    c.call(keeper, &[0, 1, 2]);
    c.settle();
    let gone = c.member(1);
    for who in [0, 2] {
        assert_eq!(c.people[who].replica.authority().rank_of(&gone), None, "{who}");
    }
    assert!(c.people[1].replica.keepers().is_empty());
    assert_eq!(c.keepers[&keeper].one().generations.len(), 2, "its keys open nothing new");
}

#[test]
fn m2_whoever_has_left_says_nothing_of_others_to_who_still_has_their_keys() {
    let (mut c, first) = apart(27, 3);
    c.hang_up(first);
    let second = c.keeper(201, 2);
    add(&mut c, 0, 201, 2).unwrap();
    c.hang_up(second);
    c.connect(0, 2);
    c.connect(0, 1);
    c.settle();
    // Person 1 knows that person 2 was removed, and leaves before it was at the second keeper.
    c.unplug(2);
    c.remove(0, 2, CutChoice::FromTip);
    c.settle();
    c.unplug(0);
    c.ask(1, Command::Leave).unwrap_or_else(|why| panic!("{why}"));
    c.call(second, &[1]);
    c.settle();
    c.hang_up(second);
    c.call(second, &[2]);
    c.settle();
    let knows = c.people[2].replica.authority();
    assert_eq!(knows.rank_of(&c.member(1)), None, "the last words are for everybody");
    assert_eq!(knows.rank_of(&c.member(2)), Some(Rank::Member), "and nothing else is");
}

#[test]
fn a8_who_left_keeps_the_others_from_a_keeper_for_a_few_minutes_only() {
    let (mut c, keeper) = apart(26, 4);
    // No moderator is there, who could begin a generation.
    c.keepers.get_mut(&keeper).unwrap().open.remove(&0);
    c.ask(1, Command::Leave).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    let thread = c.thread(2, "Still", "we are here");
    c.pass(900_000);
    assert_eq!(c.keepers[&keeper].one().generations.len(), 1);
    assert!(c.reads(3, "we are here"));
    assert!(!c.reads(1, "we are here"));
    // Who was removed keeps them until a moderator comes.
    c.call(keeper, &[0]);
    c.settle();
    assert_eq!(c.keepers[&keeper].one().generations.len(), 2);
    c.hang_up(keeper);
    c.remove(0, 2, CutChoice::FromTip);
    c.connect(0, 3);
    c.settle();
    c.unplug(0);
    c.call(keeper, &[2, 3]);
    let post = c.post(3, thread, "without them");
    c.pass(900_000);
    let entry = c.people[3].replica.created(&post).unwrap();
    assert!(!c.people[3].replica.with_keeper(&entry));
    c.call(keeper, &[0]);
    c.settle();
    assert!(c.people[3].replica.with_keeper(&entry));
}

#[test]
fn s6_a_receipt_that_was_left_at_a_keeper_is_told_to_peers_all_the_same() {
    let (mut c, keeper) = apart(20, 4);
    // Person 3 does not use the keeper; person 1 has left its receipt there, and then meets 2, who
    // meets 3.
    for who in [2, 3] {
        c.keepers.get_mut(&keeper).unwrap().open.remove(&who);
    }
    let thread = c.thread(0, "Passed on", "from hand to hand");
    c.settle();
    c.hang_up(keeper);
    c.connect(1, 2);
    c.settle();
    c.unplug(1);
    c.connect(2, 3);
    c.settle();
    c.settle();
    let created = c.people[0].replica.created(&thread).unwrap();
    assert!(c.people[3].replica.reach(&created).members >= 2, "0 wrote it, 1 has it");
}
