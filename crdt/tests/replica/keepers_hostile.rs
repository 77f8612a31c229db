//! Keepers that lie and members with the keys of a mailbox who mean harm (M1–M4, C5).

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::{self, Bytes, List, Map};
use cairn_crdt::crypto::domain;
use cairn_crdt::epoch::secret::{Audience, EpochSecret, Mint};
use cairn_crdt::epoch::welcome::Welcome;
use cairn_crdt::id::{
    AccessKey, ControlKey, DeviceId, EntryId, GroupId, MailboxId, RecordId, TransportKey,
};
use cairn_crdt::limits::SHELF_RECORDS;
use cairn_crdt::log::entry::Control;
use cairn_crdt::log::frontier::{Frontier, Tip};
use cairn_crdt::log::run::Run;
use cairn_crdt::mailbox::Generation;
use cairn_crdt::mailbox::access::NewGeneration;
use cairn_crdt::mailbox::keys::{access_key, control_key};
use cairn_crdt::mailbox::message::{KeeperReply, NewRecord};
use cairn_crdt::mailbox::record::{Parcel, Sealer};
use cairn_crdt::mailbox::shelf::Kept;
use cairn_crdt::replica::input::{Command, CutChoice, Input};
use cairn_crdt::replica::keepers::Misconduct;
use cairn_crdt::sync::message::Receipt;

use crate::attacks::forge_after;
use crate::community::Community;
use crate::keepers::{apart, view};
use crate::prekeys::mints;
use crate::relay::{device_key, tip};

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
pub fn runs(c: &Community, who: usize, keeper: TransportKey) -> Vec<(RecordId, Run)> {
    let mut found = Vec::new();
    for (id, _, parcel) in parcels(c, who, keeper) {
        if let Parcel::Runs(runs) = parcel {
            found.extend(runs.into_vec().into_iter().map(|run| (id, run)));
        }
    }
    found
}

/// The records that somebody remembers of it.
fn known(c: &Community, who: usize, keeper: TransportKey) -> Vec<RecordId> {
    let records = c.people[who].store.keepers.get(&keeper).map(|(_, records)| records.keys());
    records.into_iter().flatten().copied().collect()
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
    let known = known(&c, 1, keeper);
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
    c.post(0, thread, "third words");
    c.settle();
    let known = known(&c, 1, keeper);
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

#[test]
fn m4_a_receipt_that_its_device_did_not_sign_accuses_nobody() {
    let (mut c, keeper) = apart(107, 3);
    c.thread(0, "Night", "is anyone there");
    c.settle();
    let genuine = parcels(&c, 0, keeper).into_iter().find_map(|(_, _, parcel)| match parcel {
        Parcel::Receipt { receipt, .. } => Some(receipt),
        _ => None,
    });
    let Some(receipt) = genuine else { panic!("no receipt lies there") };
    let tip = Tip { seq: 9, entry: EntryId::from_bytes([9; 32]) };
    let tips = [(receipt.device, List::new(vec![tip]).unwrap())];
    let frontier = Frontier(Map::new(tips.into_iter().collect()).unwrap());
    let forged = Receipt { count: u64::MAX, frontier, ..receipt };
    let left_at = List::new(vec![mailbox(&c, keeper)]).unwrap();
    slip_in(&mut c, keeper, &Parcel::Receipt { receipt: forged, left_at });
    c.pass(4_000_000);
    for who in 0..3 {
        assert_eq!(view(&c, who).misconduct, None, "{who}");
    }
}

/// The keys of an epoch that somebody made for everyone and no entry names.
fn made_up(c: &mut Community, who: usize) -> (EpochSecret, Mint) {
    let replica = &c.people[who].replica;
    let readers = replica.authority().readers(Audience::Mailbox);
    let (group, device) = (replica.group(), replica.device());
    Mint::fresh(&mut c.rng, group, device, Audience::Mailbox, &readers, &[]).unwrap()
}

fn rekey(c: &mut Community, who: usize) -> Parcel {
    let (_, mint) = made_up(c, who);
    Parcel::Rekey { minter: c.people[who].replica.device(), mint }
}

#[test]
fn m2_new_keys_that_lie_among_the_records_are_nobodys() {
    let (mut c, keeper) = apart(108, 3);
    let before = c.people[0].store.epochs.len();
    let junk: Vec<NewRecord> = (0..80)
        .map(|_| {
            let parcel = rekey(&mut c, 1);
            sealed(&c, keeper, &parcel)
        })
        .collect();
    put(&mut c, keeper, junk);
    c.settle();
    assert_eq!(c.people[0].store.epochs.len(), before);
    c.hang_up(keeper);
    c.call(keeper, &[0, 1, 2]);
    c.thread(0, "Still", "here");
    c.settle();
    assert!(c.reads(2, "here"));
}

#[test]
fn m2_bundles_full_of_keys_shut_nobody_out_of_a_mailbox() {
    let (mut c, keeper) = apart(109, 2);
    let group: GroupId = c.people[0].replica.group();
    let before = c.people[0].store.epochs.len();
    let (_, sealer, _) = parcels(&c, 0, keeper).pop().unwrap();
    let mailbox = MailboxId::from_bytes(domain::hash(domain::BUNDLE, &[group.as_bytes()]));
    let sealer = Sealer { mailbox, ..sealer };
    for _ in 0..20 {
        let keys = (0..20).map(|_| rekey(&mut c, 1));
        let records: Vec<Vec<u8>> = keys.map(|parcel| sealer.seal(&parcel).unwrap()).collect();
        c.inputs.push_back((0, Input::Bundle { records }));
        c.run();
    }
    let learnt = c.people[0].store.epochs.len() - before;
    assert!(learnt <= 64, "{learnt} epochs");
    c.hang_up(keeper);
    // Nor does it forget under what the newest generation was made.
    c.restart(0);
    c.call(keeper, &[0, 1]);
    c.pass(400_000);
    assert!(view(&c, 0).open, "{:?}", view(&c, 0).why);
    c.thread(1, "Still", "here");
    c.settle();
    assert!(c.reads(0, "here"));
}

#[test]
fn m2_who_claims_to_have_handed_on_the_keys_makes_a_bounded_number_of_generations() {
    let (mut c, keeper) = apart(110, 3);
    let gone = c.people[2].replica.device();
    let thread = c.thread(0, "Evening", "hello");
    c.remove(0, 2, CutChoice::FromTip);
    c.settle();
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    let before = (mints(&c, 0), c.keepers[&keeper].one().generations.len());
    let mut last = tip(&c, 1);
    for _ in 0..40 {
        let sealed = Bytes::new(vec![7; 64]).unwrap();
        let welcome = Control::Welcome(Welcome { recipient: gone, sealed });
        let seen = c.people[0].replica.set().seen().count;
        last = forge_after(&mut c, 1, 0, seen, last, vec![welcome]);
        c.post(0, thread, "to and fro");
        c.pass(10_000);
    }
    let begun = c.keepers[&keeper].one().generations.len() - before.1;
    let minted = mints(&c, 0) - before.0;
    assert!((4..=16).contains(&begun), "{begun} generations");
    assert!(minted <= 24, "{minted} mints");
}

#[test]
fn m2_nothing_is_sealed_under_keys_that_no_entry_names() {
    let (mut c, keeper) = apart(111, 3);
    let member = c.member(1);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    c.settle();
    // A moderator begins a generation with keys of their own.
    let mailbox = mailbox(&c, keeper);
    let (secret, mint) = made_up(&mut c, 1);
    let minter = c.people[1].replica.device();
    let control = c.keepers[&keeper].one().generations.last().unwrap().1;
    let access = c.keepers[&keeper].one().generations.last().unwrap().0;
    let all = sealers(&c, 1, keeper);
    let key = |key: [u8; 32]| ControlKey::from_bytes(key);
    let controls = all.iter().map(|sealer| control_key(&sealer.secret, mailbox));
    let signing = controls.into_iter().find(|one| key(one.verifying_key()) == control).unwrap();
    let opens = |sealer: &&Sealer| {
        AccessKey::from_bytes(access_key(&sealer.secret, mailbox).verifying_key()) == access
    };
    let current = all.iter().find(opens).unwrap();
    let rekey = current.seal(&Parcel::Rekey { minter, mint }).unwrap();
    let generation = Generation(c.keepers[&keeper].one().generations.len() as u64 + 1);
    let theirs = AccessKey::from_bytes(access_key(&secret, mailbox).verifying_key());
    let rekey = Bytes::new(rekey).unwrap();
    let new = NewGeneration { mailbox, generation, access: theirs, control, rekey };
    let rotated = c.keepers.get_mut(&keeper).unwrap().one_mut().rotate(new.sign(&signing));
    assert_eq!(rotated, KeeperReply::Rotated);
    c.hang_up(keeper);
    c.call(keeper, &[2]);
    c.settle();
    assert!(view(&c, 2).open, "who was away comes in");
    c.thread(2, "Night", "is anyone there");
    c.settle();
    // The owner begins one of its own.
    c.call(keeper, &[0]);
    c.settle();
    assert!(c.reads(0, "is anyone there"));
    assert_ne!(c.keepers[&keeper].one().generations.last().unwrap().0, theirs);
    let epoch = secret.epoch(c.people[0].replica.group());
    let sealer = Sealer { mailbox, epoch, secret };
    let records = c.keepers[&keeper].one().records.values();
    let open = records.filter(|(_, record)| sealer.open(record.bytes.as_slice()).is_some());
    assert_eq!(open.count(), 0);
}

#[test]
fn m4_what_somebody_else_put_is_renewed_before_it_is_counted_on() {
    let (mut c, keeper) = apart(112, 2);
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    c.thread(0, "Long ago", "written in spring");
    c.settle();
    c.hang_up(keeper);
    let lie_there: Vec<RecordId> = runs(&c, 0, keeper).into_iter().map(|(id, _)| id).collect();
    let known = known(&c, 1, keeper);
    // A good half of the retention later.
    c.now = c.now.after(250 * 86_400_000);
    c.call(keeper, &[1]);
    c.settle();
    assert!(c.reads(1, "written in spring"));
    let renewed = &c.keepers[&keeper].one().renewed;
    for record in lie_there.iter().filter(|record| !known.contains(record)) {
        assert!(renewed.contains(record));
    }
}

#[test]
fn m4_what_one_comparison_lacks_is_looked_for_once_more() {
    let (mut c, keeper) = apart(113, 2);
    c.thread(0, "Night", "is anyone there");
    c.settle();
    let lie_there: Vec<RecordId> = runs(&c, 0, keeper).into_iter().map(|(id, _)| id).collect();
    let before = c.keepers[&keeper].one().newest;
    c.keepers.get_mut(&keeper).unwrap().left_out.extend(lie_there);
    c.pass(4_000_000);
    assert!(c.keepers[&keeper].left_out.is_empty(), "it was compared");
    for who in [0, 1] {
        assert_eq!(view(&c, who).misconduct, None, "{who}");
    }
    assert_eq!(c.keepers[&keeper].one().newest, before, "nothing is put again");
}

/// A keeper that shows person 1 nothing of what person 0 has just put: the records.
fn hidden_from_one(c: &mut Community, keeper: TransportKey) -> Vec<RecordId> {
    c.keepers.get_mut(&keeper).unwrap().open.remove(&1);
    for night in 0..12 {
        c.thread(0, &format!("Night {night}"), "is anyone there");
        c.settle();
    }
    let known = known(c, 1, keeper);
    let lie_there = c.keepers[&keeper].one().records.values().map(|(id, _)| *id);
    lie_there.filter(|record| !known.contains(record)).collect()
}

#[test]
fn m1_what_did_not_fit_in_an_answer_is_fetched_by_the_next() {
    let (mut c, keeper) = apart(114, 2);
    let hidden = hidden_from_one(&mut c, keeper);
    assert!(hidden.len() > 8, "{} records", hidden.len());
    c.keepers.get_mut(&keeper).unwrap().withheld.extend(hidden);
    c.call(keeper, &[1]);
    c.keepers.get_mut(&keeper).unwrap().withheld.clear();
    // One comparison.
    c.pass(3_700_000);
    c.assert_same(&[0, 1]);
}

#[test]
fn m4_a_keeper_that_names_what_it_never_gives_is_found_out_and_not_asked_without_end() {
    let (mut c, keeper) = apart(115, 2);
    let hidden = hidden_from_one(&mut c, keeper);
    c.keepers.get_mut(&keeper).unwrap().named_only.extend(hidden);
    c.call(keeper, &[1]);
    c.settle();
    c.pass(8_000_000);
    assert!(matches!(view(&c, 1).misconduct, Some((Misconduct::Withholds(_), _))));
    let fetches = c.keepers[&keeper].fetches;
    assert!((1..=6).contains(&fetches), "{fetches}");
    // Once it gives them, everything is there.
    c.keepers.get_mut(&keeper).unwrap().named_only.clear();
    c.hang_up(keeper);
    c.call(keeper, &[0, 1]);
    c.pass(4_000_000);
    c.assert_same(&[0, 1]);
}

#[test]
fn m1_of_records_without_end_a_device_remembers_so_many() {
    let (mut c, keeper) = apart(116, 2);
    c.thread(0, "Night", "is anyone there");
    c.settle();
    let junk = Kept { epoch: None, since: c.now, holds: List::default() }.to_bytes();
    let (_, records) = c.people[1].store.keepers.get_mut(&keeper).unwrap();
    let mut number: u64 = 0;
    while records.len() < SHELF_RECORDS {
        let mut id = [0xee; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        number += 1;
        records.insert(RecordId::from_bytes(id), junk.clone());
    }
    c.keepers.get_mut(&keeper).unwrap().agrees = true;
    c.restart(1);
    let record = sealed(&c, keeper, &Parcel::Runs(List::default()));
    put(&mut c, keeper, vec![record]);
    assert_eq!(known(&c, 1, keeper).len(), SHELF_RECORDS);
}

/// Person 1 signs that logs lie there, of so many devices that nobody knows.
fn claims(c: &Community, keeper: TransportKey, logs: u64) -> Parcel {
    let made_up = (0..logs).map(|number| {
        let mut id = [7; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let tip = Tip { seq: 1, entry: EntryId::from_bytes(id) };
        (DeviceId::from_bytes(id), List::new(vec![tip]).unwrap())
    });
    let frontier = Frontier(Map::new(made_up.collect()).unwrap());
    let (device, count) = (c.people[1].replica.device(), 9);
    let message = codec::encode(&(c.people[0].replica.group(), count, &frontier));
    let signature = device_key(c, 1).sign(domain::SIGN_RECEIPT, &message);
    let receipt = Receipt { device, count, frontier, signature };
    Parcel::Receipt { receipt, left_at: List::new(vec![mailbox(c, keeper)]).unwrap() }
}

#[test]
fn m4_what_a_receipt_claims_is_as_large_as_the_group_at_most() {
    let (mut c, keeper) = apart(117, 2);
    let claims = claims(&c, keeper, 500);
    slip_in(&mut c, keeper, &claims);
    c.pass(4_000_000);
    assert_eq!(view(&c, 0).misconduct, None, "it is not taken up");
}

#[test]
fn m4_what_may_lie_in_a_record_that_one_cannot_open_is_missed_by_nobody() {
    let (mut c, keeper) = apart(119, 2);
    let claims = claims(&c, keeper, 1);
    let sealed = sealed(&c, keeper, &claims);
    let closed = NewRecord { bytes: Bytes::new(vec![1; 600]).unwrap(), ..sealed.clone() };
    put(&mut c, keeper, vec![closed, sealed]);
    c.pass(4_000_000);
    assert_eq!(view(&c, 0).misconduct, None);
}

#[test]
fn m4_a_keeper_that_goes_back_while_it_is_open_is_found_out_and_not_asked_without_end() {
    let (mut c, keeper) = apart(118, 2);
    c.thread(0, "Night", "is anyone there");
    c.settle();
    let mailbox = c.keepers.get_mut(&keeper).unwrap().one_mut();
    mailbox.records.retain(|cursor, _| *cursor <= 1);
    mailbox.newest = 1;
    // It answers at once to whoever waits for news, over and over.
    c.keepers.get_mut(&keeper).unwrap().restless = true;
    c.thread(1, "Later", "I am");
    c.settle();
    assert!(view(&c, 1).misconduct.is_some());
    let before = c.keepers[&keeper].watched;
    c.pass(60_000);
    assert!(c.keepers[&keeper].watched - before <= 2 * 61);
}
