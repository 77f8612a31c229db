//! Who gets in, and who no longer does.

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::DropBoxId;
use cairn_crdt::mailbox::message::Putting;
use cairn_crdt::mailbox::{Cursor, Generation};
use cairn_node::keeper::client::{Access, Failure, Seen, Told, Wish};
use cairn_node::keeper::policy::{DAY_MILLIS, Limits};
use zeroize::Zeroizing;

use crate::house::{Guest, House, Mailbox, key, record, rekey};

const A: Mailbox = Mailbox(1);
const B: Mailbox = Mailbox(2);

const GET: fn() -> Wish = || Wish::Get { after: Cursor::START, bytes: u32::MAX };

async fn can_read_and_write(guest: &mut Guest, number: u32) -> bool {
    let got = guest.ask(GET()).await.is_ok();
    let put = guest.ask(Wish::Put(vec![record(number, 512)])).await.is_ok();
    assert_eq!(got, put);
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_an_invitation_makes_one_mailbox() {
    let house = House::start(Limits::default()).await;
    let mut guest = house.guest(Access::Nothing);
    guest.up().await;
    let secret = house.invitation(1);
    let wrong = A.create(Zeroizing::new([9; 32]));
    assert_eq!(guest.ask(wrong).await, Err(Failure::Refused));
    assert_eq!(guest.ask(A.create(secret.clone())).await, Ok(Told::Created));
    // The answer may have been lost: the same words are answered the same.
    assert_eq!(guest.ask(A.create(secret.clone())).await, Ok(Told::Created));
    assert_eq!(guest.ask(B.create(secret)).await, Err(Failure::Refused));
    let second = house.invitation(2);
    assert_eq!(guest.ask(A.create(second.clone())).await, Err(Failure::Refused));
    house.pass(61 * DAY_MILLIS);
    assert_eq!(guest.ask(B.create(second)).await, Err(Failure::Refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_without_the_access_key_nothing_is_open() {
    let house = House::start(Limits::default()).await;
    let mut member = house.mailbox(&A).await;
    assert!(can_read_and_write(&mut member, 1).await);
    let mut stranger = house.guest(Access::Nothing);
    stranger.up().await;
    assert!(!can_read_and_write(&mut stranger, 2).await);
    let with = |mailbox: Mailbox, key| Access::Mailbox { mailbox: mailbox.id(), key };
    let attempts = [
        with(A, key(77)),
        with(A, A.control_key(1)),
        with(A, A.owner()),
        with(A, A.access_key(2)),
        with(B, A.access_key(1)),
        Access::Drop(A.access_key(1)),
    ];
    for access in attempts {
        assert_eq!(stranger.open(access).await, Err(Failure::Refused));
    }
    assert!(!can_read_and_write(&mut stranger, 2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_a_removed_member_reads_the_wrapped_keys_and_nothing_else() {
    let house = House::start(Limits::default()).await;
    let mut moderator = house.mailbox(&A).await;
    let mut removed = house.guest(A.access(1));
    removed.up().await.unwrap();
    assert!(can_read_and_write(&mut removed, 1).await);

    let next = A.next(2, &A.control_key(1));
    assert_eq!(moderator.ask(Wish::Rotate(Box::new(next.clone()))).await, Ok(Told::Rotated));
    assert_eq!(moderator.ask(Wish::Rotate(Box::new(next))).await, Ok(Told::Rotated));
    // On the connection that was open, and on a new one.
    assert_eq!(removed.ask(GET()).await, Err(Failure::Ended));
    assert_eq!(removed.ended().await, (Generation(2), rekey(2)));
    assert!(!can_read_and_write(&mut removed, 2).await);
    let mut again = house.guest(A.access(1));
    assert_eq!(again.up().await, None);
    assert_eq!(again.ended().await, (Generation(2), rekey(2)));
    assert!(!can_read_and_write(&mut again, 3).await);

    moderator.open(A.access(2)).await.unwrap().unwrap();
    assert!(can_read_and_write(&mut moderator, 4).await);
    // Who was away for several changes is led from one to the next.
    let third = A.next(3, &A.control_key(2));
    assert_eq!(moderator.ask(Wish::Rotate(Box::new(third))).await, Ok(Told::Rotated));
    assert_eq!(again.open(A.access(1)).await, Err(Failure::Ended));
    assert_eq!(again.ended().await, (Generation(2), rekey(2)));
    assert_eq!(again.open(A.access(2)).await, Err(Failure::Ended));
    assert_eq!(again.ended().await, (Generation(3), rekey(3)));
    assert!(again.open(A.access(3)).await.is_ok());
    // After the retention nobody is led any more.
    house.pass(401 * DAY_MILLIS);
    assert_eq!(again.open(A.access(1)).await, Err(Failure::Refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_of_two_who_change_the_keys_the_first_wins_and_the_owner_outranks() {
    let house = House::start(Limits::default()).await;
    let (mut one, mut two) = (house.mailbox(&A).await, house.guest(A.access(1)));
    two.up().await.unwrap();
    let first = A.other(2, 20, &A.control_key(1));
    let second = A.other(2, 21, &A.control_key(1));
    assert_eq!(one.ask(Wish::Rotate(Box::new(first))).await, Ok(Told::Rotated));
    let conflict = Err(Failure::Conflict(Generation(2)));
    assert_eq!(two.ask(Wish::Rotate(Box::new(second))).await, conflict);
    let access = |keys| Access::Mailbox { mailbox: A.id(), key: A.access_key(keys) };
    assert!(one.open(access(20)).await.is_ok());
    assert!(can_read_and_write(&mut one, 1).await);
    // The owner replaces what a control key began, once; its connections end at once.
    let owners = A.other(2, 22, &A.owner());
    assert_eq!(two.ask(Wish::Rotate(Box::new(owners.clone()))).await, Ok(Told::Rotated));
    assert_eq!(one.ask(GET()).await, Err(Failure::Ended));
    assert_eq!(one.ended().await, (Generation(2), rekey(22)));
    let again = A.other(2, 23, &A.owner());
    assert_eq!(two.ask(Wish::Rotate(Box::new(again))).await, Err(Failure::Conflict(Generation(2))));
    // Those of generation 1 are led to what holds.
    assert_eq!(two.open(A.access(1)).await, Err(Failure::Ended));
    assert_eq!(two.ended().await, (Generation(2), rekey(22)));
    // Strangers, old keys, gaps and used keys change nothing.
    let refused = [
        A.other(3, 30, &key(77)),
        A.other(3, 30, &A.control_key(1)),
        A.other(3, 30, &A.control_key(20)),
        A.other(4, 30, &A.control_key(22)),
        A.other(3, 1, &A.control_key(22)),
        A.other(3, 30, &A.access_key(22)),
    ];
    for attempt in refused {
        let told = two.ask(Wish::Rotate(Box::new(attempt))).await;
        assert_eq!(told, Err(Failure::Refused));
    }
    assert!(two.open(access(22)).await.is_ok());
}

fn drop_box(invite: &SigningKey) -> DropBoxId {
    DropBoxId::from_bytes(invite.verifying_key())
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_a_newcomer_uses_its_drop_box_and_nothing_else() {
    let house = House::start(Limits::default()).await;
    let mut member = house.mailbox(&A).await;
    put_one(&mut member, 1).await;
    let (invite, other) = (key(60), key(61));
    let expires = house.now().after(7 * DAY_MILLIS);
    let mut newcomer = house.guest(Access::Nothing);
    newcomer.up().await;
    let enter = || Access::Drop(key(60));
    assert_eq!(newcomer.open(enter()).await, Err(Failure::Refused));
    for invite in [&invite, &other] {
        let told = member.ask(Wish::OpenDrop(drop_box(invite), expires)).await;
        assert_eq!(told, Ok(Told::Done));
    }
    assert_eq!(newcomer.open(enter()).await, Ok(None));
    assert!(!can_read_and_write(&mut newcomer, 2).await);
    for wish in [
        Wish::DropGet(drop_box(&other), Cursor::START),
        Wish::DropPut(drop_box(&other), vec![5; 600]),
        Wish::OpenDrop(drop_box(&key(62)), expires),
        Wish::CloseDrop(drop_box(&invite)),
        Wish::Compare(Vec::new()),
    ] {
        assert_eq!(newcomer.ask(wish).await, Err(Failure::Refused));
    }
    let watching = member.begin(Wish::Watch { after: Cursor(1), drops: 0 }).await;
    let put = newcomer.ask(Wish::DropPut(drop_box(&invite), vec![5; 600])).await;
    assert_eq!(put, Ok(Told::Put(vec![Putting::Stored(Cursor(1))])));
    let put = newcomer.ask(Wish::DropPut(drop_box(&invite), vec![5; 600])).await;
    assert_eq!(put, Ok(Told::Put(vec![Putting::Known])));
    assert_eq!(member.answer(watching).await, Ok(Told::Newest { cursor: Cursor(1), drops: 1 }));
    let got = member.ask(Wish::DropGet(drop_box(&invite), Cursor::START)).await.unwrap();
    assert!(matches!(got, Told::Records { records, .. } if records[0].bytes == [5; 600]));
    // The answer goes the same way, and the newcomer hears of it.
    let waiting = newcomer.begin(Wish::Watch { after: Cursor(1), drops: 0 }).await;
    let put = member.ask(Wish::DropPut(drop_box(&invite), vec![6; 600])).await;
    assert_eq!(put, Ok(Told::Put(vec![Putting::Stored(Cursor(2))])));
    assert_eq!(newcomer.answer(waiting).await, Ok(Told::Newest { cursor: Cursor(2), drops: 0 }));
    let got = newcomer.ask(Wish::DropGet(drop_box(&invite), Cursor(1))).await.unwrap();
    assert!(matches!(got, Told::Records { records, .. } if records[0].bytes == [6; 600]));

    assert_eq!(member.ask(Wish::CloseDrop(drop_box(&invite))).await, Ok(Told::Done));
    let gone = newcomer.ask(Wish::DropGet(drop_box(&invite), Cursor::START)).await;
    assert_eq!(gone, Err(Failure::Refused));
}

async fn put_one(member: &mut Guest, number: u32) {
    assert!(member.ask(Wish::Put(vec![record(number, 512)])).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_a_drop_box_has_bounds_of_its_own_and_belongs_to_one_mailbox() {
    let house = House::start(Limits { quota: 1 << 20, ..Limits::default() }).await;
    let (mut member, mut other) = (house.mailbox(&A).await, house.mailbox(&B).await);
    let expires = house.now().after(7 * DAY_MILLIS);
    let drop = drop_box(&key(60));
    assert_eq!(member.ask(Wish::OpenDrop(drop, expires)).await, Ok(Told::Done));
    assert_eq!(other.ask(Wish::OpenDrop(drop, expires)).await, Err(Failure::Refused));
    assert_eq!(other.ask(Wish::CloseDrop(drop)).await, Ok(Told::Done));
    assert_eq!(other.ask(Wish::DropGet(drop, Cursor::START)).await, Err(Failure::Refused));
    let mut newcomer = house.guest(Access::Drop(key(60)));
    newcomer.up().await;
    for number in 0..65_u8 {
        let put = newcomer.ask(Wish::DropPut(drop, vec![number; 64 * 1024])).await;
        let expected = match number {
            64 => Putting::Full,
            _ => Putting::Stored(Cursor(u64::from(number) + 1)),
        };
        assert_eq!(put, Ok(Told::Put(vec![expected])));
    }
    // The mailbox has all its room still.
    let records = (0..900).map(|number| record(number, 1024)).collect();
    let Ok(Told::Put(puttings)) = member.ask(Wish::Put(records)).await else { panic!() };
    assert!(puttings.iter().all(|putting| matches!(putting, Putting::Stored(_))));
    for number in 0..127 {
        let told = member.ask(Wish::OpenDrop(drop_box(&key(100 + number)), expires)).await;
        assert_eq!(told, Ok(Told::Done), "{number}");
    }
    let told = member.ask(Wish::OpenDrop(drop_box(&key(240)), expires)).await;
    assert_eq!(told, Err(Failure::Full));
    // Its time is over.
    house.pass(8 * DAY_MILLIS);
    let gone = newcomer.ask(Wish::DropGet(drop, Cursor::START)).await;
    assert_eq!(gone, Err(Failure::Refused));
    house.sweep().await;
    let told = member.ask(Wish::OpenDrop(drop_box(&key(240)), house.now())).await;
    assert_eq!(told, Ok(Told::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn m4_a_keeper_that_was_set_back_or_swapped_is_named() {
    let mut house = House::start(Limits::default()).await;
    let mut member = house.mailbox(&A).await;
    put_one(&mut member, 1).await;
    let store = member.open(A.access(1)).await.unwrap().unwrap().store;
    let seen = |store, newest| Some(Seen { store, newest: Cursor(newest), drops: 0 });
    let mut back = house.guest_that_saw(A.access(1), seen(store, 2));
    assert!(back.down().await.contains("gone back"));
    let mut swapped = house.guest_that_saw(A.access(1), seen([0; 32], 1));
    assert!(swapped.down().await.contains("another than it was"));
    let mut fine = house.guest_that_saw(A.access(1), seen(store, 1));
    assert!(fine.up().await.is_some());
    // What is under way when the keeper goes is answered all the same.
    let waiting = fine.begin(Wish::Watch { after: Cursor(1), drops: 0 }).await;
    house.stop().await;
    assert_eq!(fine.answer(waiting).await, Err(Failure::Lost));
    assert!(fine.down().await.contains("lost"));
}
