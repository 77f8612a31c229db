//! Keepers that lie and members with the keys of a mailbox who mean harm (M1–M4, C5).

use cairn_crdt::codec::List;
use cairn_crdt::id::{EntryId, MailboxId, RecordId, TransportKey};
use cairn_crdt::log::run::Run;
use cairn_crdt::mailbox::message::NewRecord;
use cairn_crdt::mailbox::record::{Parcel, Sealer};
use cairn_crdt::replica::input::Command;

use crate::community::Community;
use crate::keepers::{apart, view};

fn mailbox(c: &Community, keeper: TransportKey) -> MailboxId {
    *c.keepers[&keeper].mailboxes.keys().next().unwrap()
}

/// All that somebody can seal and open records with.
fn sealers(c: &Community, who: usize, keeper: TransportKey) -> Vec<Sealer> {
    let mailbox = mailbox(c, keeper);
    let epochs = c.people[who].store.epochs.iter();
    let sealer = |(epoch, secret): (&_, &zeroize::Zeroizing<[u8; 32]>)| Sealer {
        mailbox,
        epoch: *epoch,
        secret: cairn_crdt::epoch::secret::EpochSecret::from_bytes(**secret),
    };
    epochs.map(sealer).collect()
}

/// What lies at a keeper, as somebody reads it.
fn parcels(c: &Community, who: usize, keeper: TransportKey) -> Vec<(RecordId, Sealer, Parcel)> {
    let sealers = sealers(c, who, keeper);
    let records = c.keepers[&keeper].one().records.values();
    let opened = records.filter_map(|(id, record)| {
        let opens =
            |sealer: &Sealer| Some((*id, sealer.clone(), sealer.open(record.bytes.as_slice())?));
        sealers.iter().find_map(opens)
    });
    opened.collect()
}

/// All runs that lie there, each with the record that holds it.
fn runs(c: &Community, who: usize, keeper: TransportKey) -> Vec<(RecordId, Run)> {
    let mut found = Vec::new();
    for (id, _, parcel) in parcels(c, who, keeper) {
        if let Parcel::Runs(runs) = parcel {
            found.extend(runs.into_vec().into_iter().map(|run| (id, run)));
        }
    }
    found
}

/// Whether a payload lies there.
fn lies_there(c: &Community, keeper: TransportKey, entry: EntryId) -> bool {
    let runs = runs(c, 0, keeper);
    runs.iter().any(|(_, run)| run.contents().contains(&(entry, true)))
}

/// Somebody with the keys puts this; everyone hears of it.
fn slip_in(c: &mut Community, keeper: TransportKey, parcel: &Parcel) {
    let record = sealed(c, keeper, parcel);
    put(c, keeper, vec![record]);
}

/// Sealed as the records are that lie there.
fn sealed(c: &Community, keeper: TransportKey, parcel: &Parcel) -> NewRecord {
    let (_, sealer, _) = parcels(c, 0, keeper).pop().unwrap();
    sealer.put(parcel, false).unwrap()
}

fn put(c: &mut Community, keeper: TransportKey, records: Vec<NewRecord>) {
    let mailbox = c.keepers.get_mut(&keeper).unwrap().one_mut();
    for record in records {
        mailbox.put(record);
    }
    c.tell_news(keeper);
    c.run();
}

#[test]
fn c5_what_is_erased_goes_from_every_record_that_holds_it() {
    let (mut c, keeper) = apart(101, 2);
    let thread = c.thread(0, "Regret", "first words");
    let regretted = c.post(0, thread, "said too much");
    c.settle();
    let entry = c.people[0].replica.created(&regretted).unwrap();
    // Somebody else put the same entries once more, in another order.
    let again: Vec<Run> = runs(&c, 0, keeper).into_iter().map(|(_, run)| run).rev().collect();
    slip_in(&mut c, keeper, &Parcel::Runs(List::new(again).unwrap()));
    assert!(lies_there(&c, keeper, entry));
    c.ask(0, Command::Erase { document: regretted }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    assert!(!lies_there(&c, keeper, entry));
    c.assert_same(&[0, 1]);
    assert_eq!(view(&c, 1).misconduct, None);
}

#[test]
fn c5_what_was_erased_before_it_came_to_the_keeper_goes_from_there() {
    let (mut c, keeper) = apart(102, 2);
    let thread = c.thread(0, "Regret", "first words");
    let regretted = c.post(0, thread, "said too much");
    c.settle();
    let entry = c.people[0].replica.created(&regretted).unwrap();
    let old: Vec<Run> = runs(&c, 0, keeper).into_iter().map(|(_, run)| run).rev().collect();
    c.ask(0, Command::Erase { document: regretted }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    // A member who was away and has not heard of it puts what it has.
    slip_in(&mut c, keeper, &Parcel::Runs(List::new(old).unwrap()));
    c.settle();
    assert!(!lies_there(&c, keeper, entry));
    assert!(!c.reads(1, "said too much"));
    assert_eq!(view(&c, 1).misconduct, None);
}

#[test]
fn c5_a_node_that_stops_after_an_erasure_deletes_at_the_keeper_when_it_starts_again() {
    let (mut c, keeper) = apart(103, 2);
    let thread = c.thread(0, "Regret", "first words");
    let regretted = c.post(0, thread, "said too much");
    c.settle();
    let entry = c.people[0].replica.created(&regretted).unwrap();
    c.hang_up(keeper);
    c.ask(0, Command::Erase { document: regretted }).unwrap_or_else(|why| panic!("{why}"));
    c.restart(0);
    assert!(lies_there(&c, keeper, entry));
    c.call(keeper, &[0]);
    c.settle();
    assert!(!lies_there(&c, keeper, entry));
    c.call(keeper, &[1]);
    c.settle();
    c.assert_same(&[0, 1]);
    assert!(c.reads(1, "first words"));
    assert_eq!(view(&c, 1).misconduct, None);
}

#[test]
fn m4_an_erasure_in_the_middle_of_a_record_is_held_against_nobody_after_a_restart() {
    let (mut c, keeper) = apart(104, 2);
    c.hang_up(keeper);
    let thread = c.thread(0, "Regret", "first words");
    let regretted = c.post(0, thread, "said too much");
    c.post(0, thread, "last words");
    c.call(keeper, &[0, 1]);
    c.settle();
    // Person 1 hears of the erasure from person 0 directly, and starts again.
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    c.ask(0, Command::Erase { document: regretted }).unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    c.connect(0, 1);
    c.settle();
    c.restart(1);
    c.call(keeper, &[1]);
    c.pass(4_000_000);
    assert_eq!(view(&c, 1).misconduct, None);
}

#[test]
fn m4_a_record_that_was_read_before_what_it_builds_on_is_not_lost_in_a_restart() {
    let (mut c, keeper) = apart(105, 2);
    let mut order = Vec::new();
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    let thread = c.thread(0, "One after the other", "first words");
    c.settle();
    order.extend(c.keepers[&keeper].one().records.values().map(|(id, _)| *id));
    c.post(0, thread, "second words");
    c.settle();
    // The keeper shows what came first only later.
    let known = c.people[1].store.known(keeper);
    let hidden = order.into_iter().filter(|record| !known.contains(record));
    c.keepers.get_mut(&keeper).unwrap().withheld.extend(hidden);
    c.call(keeper, &[1]);
    c.settle();
    c.restart(1);
    c.keepers.get_mut(&keeper).unwrap().withheld.clear();
    c.pass(4_000_000);
    assert!(c.reads(1, "first words"));
    assert!(c.reads(1, "second words"));
}

#[test]
fn m1_what_was_read_before_its_time_is_not_put_again() {
    let (mut c, keeper) = apart(106, 2);
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    let thread = c.thread(0, "One after the other", "first words");
    c.settle();
    let order: Vec<_> = c.keepers[&keeper].one().records.values().map(|(id, _)| *id).collect();
    c.post(0, thread, "second words");
    c.settle();
    let known = c.people[1].store.known(keeper);
    let hidden = order.into_iter().filter(|record| !known.contains(record));
    c.keepers.get_mut(&keeper).unwrap().withheld.extend(hidden);
    c.call(keeper, &[1]);
    c.settle();
    c.keepers.get_mut(&keeper).unwrap().withheld.clear();
    let before = runs(&c, 0, keeper).len();
    c.pass(4_000_000);
    assert!(c.reads(1, "first words") && c.reads(1, "second words"));
    assert_eq!(runs(&c, 0, keeper).len(), before);
}
