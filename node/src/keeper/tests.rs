//! A keeper's streams at the level of bytes: what is not the protocol, who is slow, and proofs that are
//! shown elsewhere; and clients whose keeper lies.

mod lies;
mod raw;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{AccessKey, ControlKey, DropBoxId, MailboxId};
use cairn_crdt::limits::KEEPER_MESSAGE_BYTES;
use cairn_crdt::mailbox::access::{Meeting, NewGeneration};
use cairn_crdt::mailbox::message::{KeeperReply, KeeperRequest, NewRecord, Putting};
use cairn_crdt::mailbox::{Cursor, Generation};
use cairn_crdt::time::Timestamp;

use super::desk::{Desk, Shared, Watched};
use super::frames::Ending;
use super::home::add_invitation;
use super::metrics::Metrics;
use super::policy::{self, Limits, Rate};
use super::rates::Rates;
use super::storage::Store as _;
use super::storage::sqlite::SqliteStore;
use super::visit::{House, Rooms};
use raw::Raw;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn mailbox() -> MailboxId {
    MailboxId::from_bytes(key(1).verifying_key())
}

/// A keeper without a network, with an invitation of the secret 5.
fn house(limits: Limits) -> House {
    let mut store = SqliteStore::in_memory().unwrap();
    add_invitation(&mut store, NOW, &[5; 32]).unwrap();
    assert!(!store.shared());
    let (sender, jobs) = tokio::sync::mpsc::channel(policy::JOBS);
    let shared = Shared {
        limits,
        clock: Arc::new(|| NOW),
        watched: Watched::default(),
        metrics: Arc::new(Metrics::default()),
        rates: Arc::new(Mutex::new(Rates::new(limits.mailbox_rate))),
        jobs: Arc::new(Mutex::new(jobs)),
    };
    let house = House {
        keeper: raw::KEEPER,
        limits,
        clock: Arc::clone(&shared.clock),
        jobs: sender,
        watched: shared.watched.clone(),
        rooms: Rooms::default(),
        metrics: Arc::clone(&shared.metrics),
    };
    let desk = Desk::new(Box::new(store), shared);
    std::thread::spawn(|| desk.run());
    house
}

const fn create() -> KeeperRequest {
    KeeperRequest::Create {
        secret: [5; 32],
        owner: MailboxId::from_bytes([1; 32]),
        access: AccessKey::from_bytes([2; 32]),
        control: ControlKey::from_bytes([3; 32]),
    }
}

/// The same with keys that something can be signed with.
fn made() -> KeeperRequest {
    KeeperRequest::Create {
        secret: [5; 32],
        owner: mailbox(),
        access: AccessKey::from_bytes(key(2).verifying_key()),
        control: ControlKey::from_bytes(key(3).verifying_key()),
    }
}

fn open(meeting: &Meeting) -> KeeperRequest {
    let proof = meeting.prove_access(&key(2), mailbox());
    let access = AccessKey::from_bytes(key(2).verifying_key());
    KeeperRequest::Open { mailbox: mailbox(), access, proof }
}

fn record(number: u8, size: usize) -> NewRecord {
    let bytes = Bytes::new(vec![number; size]).unwrap();
    NewRecord { priority: false, erase: [0; 32], bytes }
}

fn put(numbers: &[u8], size: usize) -> KeeperRequest {
    let records = numbers.iter().map(|number| record(*number, size)).collect();
    KeeperRequest::Put(List::new(records).unwrap())
}

/// A stream of someone who is in the mailbox.
async fn member(house: &House) -> Raw {
    let mut raw = Raw::connect(house, 40).await;
    assert_eq!(raw.ask(&made()).await, KeeperReply::Created);
    let open = open(&raw.meeting);
    assert!(matches!(raw.ask(&open).await, KeeperReply::Opened(_)));
    raw
}

#[tokio::test]
async fn m2_a_proof_is_worth_nothing_on_another_connection() {
    let house = house(Limits::default());
    let mut one = member(&house).await;
    let heard = open(&one.meeting);
    let mut other = Raw::connect(&house, 41).await;
    assert_ne!(one.meeting.challenge, other.meeting.challenge);
    assert_eq!(other.ask(&heard).await, KeeperReply::Refused);
    // Nor with the same key, should somebody have it: the challenge is another.
    let mut same = Raw::connect(&house, 40).await;
    assert_eq!(same.ask(&heard).await, KeeperReply::Refused);
    assert!(matches!(one.ask(&heard).await, KeeperReply::Opened(_)));
    let drop = DropBoxId::from_bytes(key(9).verifying_key());
    let opened = one.ask(&KeeperRequest::OpenDrop { drop, expires: NOW.after(1000) }).await;
    assert_eq!(opened, KeeperReply::Done);
    let proof = same.meeting.prove_drop(&key(9));
    assert_eq!(other.ask(&KeeperRequest::Drop { drop, proof }).await, KeeperReply::Refused);
    assert_eq!(same.ask(&KeeperRequest::Drop { drop, proof }).await, KeeperReply::Done);
}

#[tokio::test]
async fn m1_what_is_not_the_protocol_ends_the_stream_and_nothing_else() {
    let house = house(Limits::default());
    let mut member = member(&house).await;
    let oversize = u32::try_from(KEEPER_MESSAGE_BYTES + 1).unwrap().to_be_bytes().to_vec();
    let framed = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length, bytes].concat()
    };
    let mut overlong = create().to_bytes();
    overlong[0] = 0x80;
    overlong.insert(1, 0);
    let attempts = [
        (oversize, Ending::Oversize),
        (vec![0xff; 4], Ending::Oversize),
        (framed(&[]), Ending::Misbehaved),
        (framed(&[200]), Ending::Misbehaved),
        (framed(&[7; 1000]), Ending::Misbehaved),
        (framed(&[create().to_bytes(), vec![0]].concat()), Ending::Misbehaved),
        (framed(&overlong), Ending::Misbehaved),
    ];
    for (bytes, ending) in attempts {
        let mut raw = Raw::connect(&house, 50).await;
        raw.send(&bytes).await;
        assert_eq!(raw.ending().await, ending, "{bytes:?}");
    }
    // A message that is cut short.
    let mut raw = Raw::connect(&house, 51).await;
    raw.send(&[0, 0, 0, 9, 1]).await;
    raw.hang_up().await;
    assert_eq!(raw.ending().await, Ending::Gone);
    assert!(matches!(member.ask(&put(&[1], 512)).await, KeeperReply::Put(_)));
}

#[tokio::test]
async fn m1_a_record_that_is_too_small_is_refused_with_all_that_came_with_it() {
    let house = house(Limits::default());
    let mut member = member(&house).await;
    assert_eq!(member.ask(&put(&[1], 511)).await, KeeperReply::Refused);
    let reply = member.ask(&put(&[1], 512)).await;
    assert_eq!(reply, KeeperReply::Put(List::new(vec![Putting::Stored(Cursor(1))]).unwrap()));
}

#[tokio::test]
async fn who_is_refused_again_and_again_is_shown_the_door() {
    let house = house(Limits::default());
    let mut raw = Raw::connect(&house, 50).await;
    let mut refusals = 0;
    loop {
        raw.send_message(&KeeperRequest::Get { after: Cursor::START, bytes: 9 }).await;
        match raw.reply().await {
            Some(reply) => assert_eq!(reply, KeeperReply::Refused),
            None => break,
        }
        refusals += 1;
        assert!(refusals <= policy::REFUSALS);
    }
    assert_eq!(raw.ending().await, Ending::Misbehaved);
}

#[tokio::test]
async fn m3_one_connection_that_asks_too_much_is_put_off() {
    let rate = Rate { burst: 20_000, each_second: 1000 };
    let house = house(Limits { connection_rate: rate, ..Limits::default() });
    let mut member = member(&house).await;
    let mut put_off = 0;
    for _ in 0..8 {
        let reply = member.ask(&KeeperRequest::Renew(List::default())).await;
        put_off += u32::from(matches!(reply, KeeperReply::Later { millis: 1.. }));
    }
    assert!((4..=7).contains(&put_off), "{put_off}");
    // Another connection has a rate of its own, and what it was given counts as well.
    let mut other = Raw::connect(&house, 60).await;
    let open = open(&other.meeting);
    assert!(matches!(other.ask(&open).await, KeeperReply::Opened(_)));
    assert!(matches!(other.ask(&put(&[1], 8000)).await, KeeperReply::Put(_)));
    let get = KeeperRequest::Get { after: Cursor::START, bytes: u32::MAX };
    let mut third = Raw::connect(&house, 61).await;
    let opening = self::open(&third.meeting);
    third.ask(&opening).await;
    assert!(matches!(third.ask(&get).await, KeeperReply::Records { .. }));
    assert!(matches!(third.ask(&get).await, KeeperReply::Later { millis: 1.. }));
}

#[tokio::test]
async fn m3_what_is_told_of_an_ended_generation_is_paid_by_the_connection() {
    let rate = Rate { burst: 64_000, each_second: 1000 };
    let house = house(Limits { connection_rate: rate, ..Limits::default() });
    let mut member = member(&house).await;
    let next = NewGeneration {
        mailbox: mailbox(),
        generation: Generation(2),
        access: AccessKey::from_bytes(key(4).verifying_key()),
        control: ControlKey::from_bytes(key(5).verifying_key()),
        rekey: Bytes::new(vec![7; 60_000]).unwrap(),
    };
    let mut moderator = Raw::connect(&house, 60).await;
    let signed = KeeperRequest::Rotate(Box::new(next.sign(&key(3))));
    assert_eq!(moderator.ask(&signed).await, KeeperReply::Rotated);
    let open = open(&member.meeting);
    assert!(matches!(member.ask(&open).await, KeeperReply::Ended { .. }));
    assert!(matches!(member.ask(&open).await, KeeperReply::Later { millis: 1.. }));
}

#[tokio::test]
async fn m3_whoever_is_in_a_drop_box_slows_no_member() {
    let rate = Rate { burst: 40_000, each_second: 1000 };
    let house = house(Limits { mailbox_rate: rate, ..Limits::default() });
    let mut member = member(&house).await;
    let drop = DropBoxId::from_bytes(key(9).verifying_key());
    let opened = member.ask(&KeeperRequest::OpenDrop { drop, expires: NOW.after(1000) }).await;
    assert_eq!(opened, KeeperReply::Done);
    let mut newcomer = Raw::connect(&house, 60).await;
    let proof = newcomer.meeting.prove_drop(&key(9));
    assert_eq!(newcomer.ask(&KeeperRequest::Drop { drop, proof }).await, KeeperReply::Done);
    let mut put_off = false;
    for _ in 0..12 {
        let reply = newcomer.ask(&KeeperRequest::DropGet { drop, after: Cursor::START }).await;
        put_off |= matches!(reply, KeeperReply::Later { millis: 1.. });
    }
    assert!(put_off);
    assert!(matches!(member.ask(&put(&[1], 512)).await, KeeperReply::Put(_)));
}

#[tokio::test]
async fn who_does_not_read_is_not_waited_for_and_holds_up_nobody() {
    let house = house(Limits::default());
    let mut member = member(&house).await;
    for number in 0..20 {
        assert!(matches!(member.ask(&put(&[number], 64 * 1024)).await, KeeperReply::Put(_)));
    }
    let mut slow = Raw::connect(&house, 60).await;
    let open = open(&slow.meeting);
    assert!(matches!(slow.ask(&open).await, KeeperReply::Opened(_)));
    slow.send_message(&KeeperRequest::Get { after: Cursor::START, bytes: u32::MAX }).await;
    assert!(matches!(member.ask(&put(&[99], 512)).await, KeeperReply::Put(_)));
    // From here on nothing waits for the store, which is on a thread with a clock of its own.
    tokio::time::pause();
    assert_eq!(slow.ending().await, Ending::Stalled);
    let silent = Raw::connect(&house, 61).await;
    let began = tokio::time::Instant::now();
    assert_eq!(silent.ending().await, Ending::Stalled);
    assert!(began.elapsed() >= policy::STRANGERS_SILENCE.saturating_sub(Duration::from_secs(1)));
}
