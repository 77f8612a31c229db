//! Records: put, got, watched, fetched, compared, renewed, deleted; quota, retention, rates.

use std::collections::BTreeSet;

use cairn_crdt::id::RecordId;
use cairn_crdt::mailbox::message::Putting;
use cairn_crdt::mailbox::{Cursor, record_id};
use cairn_node::keeper::client::{Record, Told, Wish};
use cairn_node::keeper::policy::{DAY_MILLIS, Limits, Rate};

use crate::house::{Guest, House, Mailbox, record, token};

const A: Mailbox = Mailbox(1);
const B: Mailbox = Mailbox(2);

fn stored(from: u64, count: u64) -> Vec<Putting> {
    (from..from + count).map(|cursor| Putting::Stored(Cursor(cursor))).collect()
}

fn id(number: u32, size: usize) -> RecordId {
    record_id(record(number, size).bytes.as_slice())
}

async fn put(
    guest: &mut Guest,
    numbers: impl IntoIterator<Item = u32>,
    size: usize,
) -> Vec<Putting> {
    let records = numbers.into_iter().map(|number| record(number, size)).collect();
    match guest.ask(Wish::Put(records)).await.unwrap() {
        Told::Put(puttings) => puttings,
        other => panic!("{other:?}"),
    }
}

/// Everything after a place.
async fn all(guest: &mut Guest, mut after: Cursor, bytes: u32) -> Vec<Record> {
    let mut found = Vec::new();
    loop {
        let Told::Records { records, more } = guest.ask(Wish::Get { after, bytes }).await.unwrap()
        else {
            panic!("other than records");
        };
        after = records.last().map_or(after, |record| record.cursor);
        found.extend(records);
        if !more {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_what_was_put_is_got_in_order_and_by_name() {
    let house = House::start(Limits::default()).await;
    let mut guest = house.mailbox(&A).await;
    assert_eq!(put(&mut guest, 0..200, 512).await, stored(1, 200));
    assert_eq!(put(&mut guest, [500], 640 * 1024).await, stored(201, 1));
    assert_eq!(
        put(&mut guest, [3, 600], 512).await,
        [Putting::Known, Putting::Stored(Cursor(202))]
    );
    let found = all(&mut guest, Cursor::START, 40_000).await;
    let cursors: Vec<u64> = found.iter().map(|record| record.cursor.0).collect();
    assert_eq!(cursors, (1..=202).collect::<Vec<u64>>());
    assert_eq!(found[0].bytes, record(0, 512).bytes.into_vec());
    // A record is given however little is asked for.
    let big = guest.ask(Wish::Get { after: Cursor(200), bytes: 1 }).await.unwrap();
    assert!(matches!(big, Told::Records { records, more: true } if records.len() == 1));

    let named = vec![id(7, 512), id(999, 512), id(3, 512)];
    let Told::Records { records, more: false } = guest.ask(Wish::Fetch(named)).await.unwrap()
    else {
        panic!("other than records");
    };
    let ids: Vec<RecordId> = records.iter().map(|record| record.id).collect();
    assert_eq!(ids, [id(7, 512), id(3, 512)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_two_mailboxes_of_one_keeper_have_nothing_to_do_with_each_other() {
    let house = House::start(Limits::default()).await;
    let (mut a, mut b) = (house.mailbox(&A).await, house.mailbox(&B).await);
    assert_eq!(put(&mut a, [1], 512).await, stored(1, 1));
    assert_eq!(put(&mut b, [1, 2], 512).await, stored(1, 2));
    assert_eq!(all(&mut a, Cursor::START, u32::MAX).await.len(), 1);
    let (one, two) = (a.open(A.access(1)).await, b.open(B.access(1)).await);
    let (one, two) = (one.unwrap().unwrap(), two.unwrap().unwrap());
    assert_ne!(one.store, two.store);
    assert_eq!((one.records, one.used, two.records, two.used), (1, 512, 2, 1024));
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_who_watches_hears_of_what_is_new_and_can_ask_meanwhile() {
    let house = House::start(Limits::default()).await;
    let mut writer = house.mailbox(&A).await;
    let mut reader = house.guest(A.access(1));
    reader.up().await.unwrap();
    let watch = Wish::Watch { after: Cursor::START, drops: 0 };
    let waiting = reader.begin(watch).await;
    assert_eq!(put(&mut writer, [1], 512).await, stored(1, 1));
    let newest = |cursor| Ok(Told::Newest { cursor: Cursor(cursor), drops: 0 });
    assert_eq!(reader.answer(waiting).await, newest(1));
    // Nothing new: the next question ends the waiting.
    let waiting = reader.begin(Wish::Watch { after: Cursor(1), drops: 0 }).await;
    assert_eq!(all(&mut reader, Cursor::START, u32::MAX).await.len(), 1);
    assert_eq!(reader.answer(waiting).await, newest(1));
    // Something new that came before the question.
    assert_eq!(reader.ask(Wish::Watch { after: Cursor(0), drops: 0 }).await, newest(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_who_lacks_what_is_found_out_in_few_words() {
    let house = House::start(Limits::default()).await;
    let mut guest = house.mailbox(&A).await;
    put(&mut guest, 0..3000, 512).await;
    let own: Vec<RecordId> = (10..3005).map(|number| id(number, 512)).collect();
    let told = guest.ask(Wish::Compare(own)).await.unwrap();
    let Told::Compared { lacks, holds } = told else { panic!("{told:?}") };
    let ids = |numbers: std::ops::Range<u32>| numbers.map(|number| id(number, 512)).collect();
    let expected: (BTreeSet<RecordId>, BTreeSet<RecordId>) = (ids(3000..3005), ids(0..10));
    assert_eq!((lacks.into_iter().collect(), holds.into_iter().collect()), expected);
    let nothing = guest.ask(Wish::Compare(Vec::new())).await.unwrap();
    assert!(matches!(nothing, Told::Compared { lacks, holds }
        if lacks.is_empty() && holds.len() == 3000));
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_a_record_is_deleted_with_its_token_and_with_no_other() {
    let house = House::start(Limits::default()).await;
    let mut guest = house.mailbox(&A).await;
    put(&mut guest, 0..3, 512).await;
    let named = vec![(id(0, 512), token(0)), (id(1, 512), token(2)), (id(9, 512), token(9))];
    let told = guest.ask(Wish::Erase(named)).await;
    assert_eq!(told, Ok(Told::NotErased(vec![id(1, 512)])));
    let left: Vec<u64> = all(&mut guest, Cursor::START, u32::MAX)
        .await
        .iter()
        .map(|record| record.cursor.0)
        .collect();
    assert_eq!(left, [2, 3]);
    // Its place is never given again.
    assert_eq!(put(&mut guest, [0], 512).await, stored(4, 1));
    let state = guest.open(A.access(1)).await.unwrap().unwrap();
    assert_eq!((state.records, state.used, state.newest), (3, 1536, Cursor(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn m3_a_full_mailbox_still_takes_what_has_priority_and_no_more() {
    let limits = Limits { quota: 100 * 1024, ..Limits::default() };
    let house = House::start(limits).await;
    let mut guest = house.mailbox(&A).await;
    let puttings = put(&mut guest, 0..100, 1024).await;
    assert_eq!(puttings.iter().filter(|putting| **putting == Putting::Full).count(), 10);
    let mut urgent: Vec<_> = (200..215).map(|number| record(number, 1024)).collect();
    for record in &mut urgent {
        record.priority = true;
    }
    let told = guest.ask(Wish::Put(urgent)).await.unwrap();
    let Told::Put(puttings) = told else { panic!("{told:?}") };
    assert_eq!(puttings[..10], stored(91, 10)[..]);
    assert_eq!(puttings[10..], [Putting::Full; 5]);
    // Deleting makes room.
    let told = guest.ask(Wish::Erase(vec![(id(0, 1024), token(0))])).await;
    assert_eq!(told, Ok(Told::NotErased(Vec::new())));
    assert_eq!(put(&mut guest, [300], 1024).await, [Putting::Full]);
}

#[tokio::test(flavor = "multi_thread")]
async fn m3_a_record_goes_when_its_time_is_over_unless_it_was_renewed() {
    let limits = Limits { retention: 10 * DAY_MILLIS, ..Limits::default() };
    let house = House::start(limits).await;
    let mut guest = house.mailbox(&A).await;
    put(&mut guest, 0..4, 512).await;
    house.pass(6 * DAY_MILLIS);
    assert_eq!(put(&mut guest, [1], 512).await, [Putting::Known]);
    let told = guest.ask(Wish::Renew(vec![id(2, 512), id(9, 512)])).await;
    assert_eq!(told, Ok(Told::Unknown(vec![id(9, 512)])));
    house.pass(6 * DAY_MILLIS);
    house.sweep().await;
    let left: Vec<u64> = all(&mut guest, Cursor::START, u32::MAX)
        .await
        .iter()
        .map(|record| record.cursor.0)
        .collect();
    assert_eq!(left, [2, 3]);
    let state = guest.open(A.access(1)).await.unwrap().unwrap();
    assert_eq!((state.records, state.used), (2, 1024));
}

#[tokio::test(flavor = "multi_thread")]
async fn m3_who_asks_too_much_waits_and_others_do_not() {
    let slow = Rate { burst: 64 * 1024, each_second: 64 * 1024 };
    let house = House::start(Limits { mailbox_rate: slow, ..Limits::default() }).await;
    let (mut a, mut b) = (house.mailbox(&A).await, house.mailbox(&B).await);
    assert_eq!(put(&mut a, 0..10, 512).await, stored(1, 10));
    let big = a.begin(Wish::Put(vec![record(50, 60 * 1024)])).await;
    house.counted("cairn_keeper_later_total", 1).await;
    assert_eq!(put(&mut b, 0..10, 512).await, stored(1, 10));
    // The wait passes in the keeper's time; the client then asks again by itself.
    house.pass(1000);
    assert_eq!(a.answer(big).await, Ok(Told::Put(stored(11, 1))));
}
