//! What simulated worlds have shown to go wrong where members meet at a keeper only (M2, M4, C5).

use std::collections::BTreeSet;

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::capability::revocation::Erase;
use cairn_crdt::codec::List;
use cairn_crdt::epoch::secret::Audience;
use cairn_crdt::id::{DocumentId, EntryId, RecordId, TransportKey};
use cairn_crdt::log::entry::Control;
use cairn_crdt::log::run::Run;
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::input::{Command, CutChoice};
use cairn_crdt::replica::keepers::Misconduct;

use crate::attacks::forge;
use crate::community::Community;
use crate::keepers::{apart, view};
use crate::keepers_hostile::runs;
use crate::prekeys::{minted, secrets};

#[test]
fn m2_two_moderators_who_know_different_things_do_not_shut_each_other_out() {
    let (mut c, keeper) = apart(201, 5);
    let member = c.member(1);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    let before = c.keepers[&keeper].one().generations.len();
    c.hang_up(keeper);
    c.remove(0, 2, CutChoice::FromTip);
    c.remove(1, 3, CutChoice::FromTip);
    c.call(keeper, &[0, 1, 4]);
    c.settle();
    c.settle();
    c.assert_same(&[0, 1, 4]);
    let begun = c.keepers[&keeper].one().generations.len() - before;
    assert!((1..=4).contains(&begun), "{begun} generations");
    c.thread(4, "Evening", "is it quiet again");
    c.settle();
    assert!(c.reads(0, "is it quiet again") && c.reads(1, "is it quiet again"));
}

#[test]
fn m2_what_is_put_just_after_somebody_came_can_be_opened_by_everyone() {
    let (mut c, keeper) = apart(202, 3);
    // Person 0 alone meets the newcomer, who then goes before it has met the keeper.
    c.keepers.get_mut(&keeper).unwrap().down = true;
    let invitation = c.invite(0, Rank::Member, 1, true);
    let newcomer = c.join(invitation);
    c.connect(0, newcomer);
    c.pass(20_000);
    c.unplug(newcomer);
    c.keepers.get_mut(&keeper).unwrap().down = false;
    assert_eq!(c.people[newcomer].replica.state(), ReplicaState::Member);
    c.pass(10_000);
    c.thread(1, "Evening", "a new face");
    c.pass(20_000);
    assert!(c.reads(0, "a new face") && c.reads(2, "a new face"));
    c.call(keeper, &[newcomer]);
    c.pass(20_000);
    assert!(c.reads(newcomer, "a new face"));
}

/// Which records hold an entry, with or without its payload.
fn holding(c: &Community, keeper: TransportKey, entry: EntryId) -> BTreeSet<RecordId> {
    let runs = runs(c, 0, keeper).into_iter();
    let holds = |run: &Run| run.contents().iter().any(|(id, _)| *id == entry);
    runs.filter(|(_, run)| holds(run)).map(|(record, _)| record).collect()
}

/// Person 1 posts something, which is put at the keeper.
fn said_too_much(c: &mut Community) -> (DocumentId, EntryId) {
    let thread = c.thread(0, "Evening", "hello");
    let document = c.post(1, thread, "said too much");
    c.settle();
    (document, c.people[1].replica.created(&document).unwrap())
}

fn done(c: &mut Community, who: usize, command: Command) {
    c.ask(who, command).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn c5_what_is_erased_is_replaced_at_a_keeper_once() {
    let (mut c, keeper) = apart(203, 2);
    let (document, entry) = said_too_much(&mut c);
    done(&mut c, 0, Command::Erase { document });
    done(&mut c, 0, Command::ConfirmErase { document });
    c.settle();
    let before = holding(&c, keeper, entry);
    // Its owner says so too.
    done(&mut c, 1, Command::Erase { document });
    c.settle();
    assert_eq!(holding(&c, keeper, entry), before, "nothing is replaced again");
    assert_eq!(view(&c, 1).misconduct, None);
}

#[test]
fn m4_whoever_was_away_does_not_miss_what_was_erased_meanwhile() {
    let (mut c, keeper) = apart(204, 3);
    let (document, entry) = said_too_much(&mut c);
    let before = holding(&c, keeper, entry);
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    done(&mut c, 0, Command::Erase { document });
    done(&mut c, 0, Command::ConfirmErase { document });
    c.settle();
    assert!(holding(&c, keeper, entry).is_disjoint(&before), "what its author put is replaced");
    c.call(keeper, &[1]);
    c.pass(4_000_000);
    assert_eq!(view(&c, 1).misconduct, None);
    c.assert_same(&[0, 1, 2]);
}

#[test]
fn m4_what_was_erased_on_a_word_that_counts_no_more_is_missed_by_nobody() {
    let (mut c, keeper) = apart(205, 3);
    let steward = c.member(2);
    done(&mut c, 0, Command::Grant { member: steward, rank: Rank::Steward });
    let (document, entry) = said_too_much(&mut c);
    let before = holding(&c, keeper, entry);
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    let last = c.thread(2, "Night", "good night");
    let last = c.people[2].replica.created(&last).unwrap();
    done(&mut c, 0, Command::Erase { document });
    c.pass(20_000);
    done(&mut c, 2, Command::ConfirmErase { document });
    c.settle();
    assert!(holding(&c, keeper, entry).is_disjoint(&before));
    c.remove(0, 2, CutChoice::At(last));
    c.pass(20_000);
    // Person 1 hears of it all at once, and never drops the words.
    c.hand_over(0, 1);
    c.call(keeper, &[1]);
    c.pass(4_000_000);
    assert!(c.people[1].store.entries[&entry].payload.is_some());
    assert_eq!(view(&c, 1).misconduct, None);
}

#[test]
fn m4_who_may_not_erase_shields_no_keeper_that_withholds() {
    let (mut c, keeper) = apart(207, 3);
    let (_, entry) = said_too_much(&mut c);
    let erase = Erase { created: entry, changes: List::default() };
    forge(&mut c, 2, 1, 0, vec![Control::Erase(erase)]);
    let gone = holding(&c, keeper, entry);
    assert!(!gone.is_empty());
    c.hang_up(keeper);
    c.keepers.get_mut(&keeper).unwrap().one_mut().records.retain(|_, (id, _)| !gone.contains(id));
    c.call(keeper, &[1]);
    c.pass(4_000_000);
    assert!(matches!(view(&c, 1).misconduct, Some((Misconduct::Withholds(_), _))));
}

#[test]
fn k7_what_opens_a_mailbox_is_kept_however_old() {
    let (mut c, _) = apart(206, 3);
    let before = minted(&c, 0, Audience::Mailbox).pop().unwrap().epoch;
    c.remove(0, 2, CutChoice::FromTip);
    c.settle();
    let after = minted(&c, 0, Audience::Mailbox).pop().unwrap().epoch;
    assert_ne!(before, after, "another generation has begun");
    for _ in 0..3 {
        c.now = c.now.after(31 * 86_400_000);
        c.settle();
    }
    for who in [0, 1] {
        let held = secrets(&c.people[who]);
        assert!(held.contains(&before) && held.contains(&after), "whoever comes may need it");
    }
}
