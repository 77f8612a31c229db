//! Keepers that lie, to a client of theirs (M4).

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{ControlKey, RecordId, TransportKey};
use cairn_crdt::mailbox::message::{
    HeldRecord, KEEPER_VERSION, KeeperGreeting, KeeperReply, KeeperRequest, MailboxState, Putting,
};
use cairn_crdt::mailbox::{Cursor, Generation, record_id};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use super::{key, mailbox};
use crate::keeper::client::talk::{self, Over, UnderWay};
use crate::keeper::client::{
    Access, Ask, ClientConfig, ClientEvent, Failure, Lie, Told, Wish, direct,
};

fn state() -> MailboxState {
    MailboxState {
        generation: Generation(1),
        control: ControlKey::from_bytes([0; 32]),
        newest: Cursor(5),
        drops: 2,
        store: [1; 32],
        retention: 1,
        quota: 1,
        used: 1,
        records: 5,
    }
}

fn held(cursor: u64, byte: u8, size: usize) -> HeldRecord {
    HeldRecord { cursor: Cursor(cursor), bytes: Bytes::new(vec![byte; size]).unwrap() }
}

fn records(held: Vec<HeldRecord>, more: bool) -> Vec<u8> {
    KeeperReply::Records { records: List::new(held).unwrap(), more }.to_bytes()
}

fn id(byte: u8) -> RecordId {
    record_id(&[byte; 600])
}

/// A keeper that greets and opens as it should, then answers with these bytes. What the client made
/// of the answer, and how the stream ended.
async fn answered(wish: Wish, reply: Vec<u8>) -> (Result<Told, Failure>, Option<Over>) {
    let greeting =
        KeeperGreeting { version: KEEPER_VERSION, challenge: [3; 32], quota: 1, retention: 1 };
    talked(greeting.to_bytes(), KeeperReply::Opened(state()).to_bytes(), wish, reply).await
}

async fn talked(
    greeting: Vec<u8>,
    opened: Vec<u8>,
    wish: Wish,
    reply: Vec<u8>,
) -> (Result<Told, Failure>, Option<Over>) {
    let (mut keeper, own) = tokio::io::duplex(4 * 1024 * 1024);
    let lying = async move {
        for message in [Some(greeting), None, Some(opened), None, Some(reply)] {
            match message {
                Some(bytes) => {
                    let length = u32::try_from(bytes.len()).unwrap();
                    // The client may have gone.
                    let _ = keeper.write_u32(length).await;
                    let _ = keeper.write_all(&bytes).await;
                }
                None => {
                    let Ok(length) = keeper.read_u32().await else { break };
                    let mut request = vec![0; usize::try_from(length).unwrap()];
                    keeper.read_exact(&mut request).await.unwrap();
                    KeeperRequest::from_bytes(&request).unwrap();
                }
            }
        }
        // What else it is asked goes unanswered.
        let mut rest = Vec::new();
        drop(keeper.read_to_end(&mut rest).await);
        std::future::pending::<()>().await;
    };
    let mut config = ClientConfig {
        keeper: super::raw::KEEPER,
        addresses: Vec::new(),
        transport: direct(),
        access: Access::Mailbox { mailbox: mailbox(), key: key(2) },
        seen: None,
        rng: ChaCha20Rng::seed_from_u64(1),
    };
    let (asks, mut asked) = mpsc::channel(4);
    let (events, mut heard) = mpsc::channel(16);
    assert!(asks.send(Ask { tag: 7, wish }).await.is_ok());
    let client = TransportKey::from_bytes([2; 32]);
    let mut under_way = UnderWay::default();
    let talking = async {
        let over =
            talk::run(&mut config, &mut asked, &events, own.compat(), client, &mut under_way).await;
        drop(events);
        over
    };
    let listening = async {
        let mut result = Err(Failure::Lost);
        while let Some(event) = heard.recv().await {
            if let ClientEvent::Answer { tag: 7, result: answer } = event {
                result = answer;
                if !matches!(result, Err(Failure::Lie(_))) {
                    return (result, None);
                }
            }
        }
        (result, Some(()))
    };
    tokio::select! {
        ((result, ended), over) = async { tokio::join!(listening, talking) } => {
            (result, ended.map(|()| over))
        }
        () = lying => unreachable!("it goes on lying"),
    }
}

#[tokio::test(start_paused = true)]
async fn m4_every_lie_is_named_and_ends_the_stream() {
    let get = || Wish::Get { after: Cursor(5), bytes: 9 };
    let fetch = || Wish::Fetch(vec![id(1), id(2)]);
    let put = || Wish::Put(vec![super::record(1, 600)]);
    let ids = |ids: &[u8]| List::new(ids.iter().map(|byte| id(*byte)).collect()).unwrap();
    let stored = |cursor| {
        KeeperReply::Put(List::new(vec![Putting::Stored(Cursor(cursor))]).unwrap()).to_bytes()
    };
    let newest = |cursor, drops| KeeperReply::Newest { cursor: Cursor(cursor), drops }.to_bytes();
    let ended = KeeperReply::Ended { generation: Generation(0), rekey: Bytes::default() };
    let watch = || Wish::Watch { after: Cursor(5), drops: 2 };
    let lies: Vec<(Wish, Vec<u8>, Lie)> = vec![
        (get(), records(vec![held(5, 1, 600)], false), Lie::Cursor),
        (get(), records(vec![held(7, 1, 600), held(6, 2, 600)], false), Lie::Cursor),
        (get(), records(vec![held(6, 1, 100)], false), Lie::Bounds),
        (get(), records(vec![], true), Lie::Bounds),
        (get(), KeeperReply::Done.to_bytes(), Lie::Answer),
        (get(), vec![99], Lie::Answer),
        (get(), [records(vec![], false), vec![0]].concat(), Lie::Answer),
        (get(), ended.to_bytes(), Lie::Generation),
        (fetch(), records(vec![held(6, 3, 600)], false), Lie::RecordId),
        (fetch(), records(vec![held(6, 2, 600), held(7, 1, 600)], false), Lie::RecordId),
        (put(), stored(5), Lie::Cursor),
        (put(), KeeperReply::Put(List::default()).to_bytes(), Lie::Answer),
        (Wish::Renew(vec![id(1)]), KeeperReply::Unknown(ids(&[2])).to_bytes(), Lie::RecordId),
        (
            Wish::Erase(vec![(id(1), [0; 32])]),
            KeeperReply::NotErased(ids(&[1, 1])).to_bytes(),
            Lie::RecordId,
        ),
        (
            Wish::Compare(vec![id(1)]),
            KeeperReply::Reconcile(Bytes::default()).to_bytes(),
            Lie::Comparison,
        ),
        (Wish::Compare(vec![id(1)]), KeeperReply::Created.to_bytes(), Lie::Answer),
        (
            Wish::CloseDrop(cairn_crdt::id::DropBoxId::from_bytes([1; 32])),
            KeeperReply::Rotated.to_bytes(),
            Lie::Answer,
        ),
    ];
    for (wish, reply, lie) in lies {
        let (result, over) = answered(wish, reply).await;
        assert_eq!((result, over), (Err(Failure::Lie(lie)), Some(Over::Lied(lie))));
    }
    for (reply, lie) in [
        (newest(4, 2), Lie::SetBack),
        (newest(5, 1), Lie::SetBack),
        (KeeperReply::Created.to_bytes(), Lie::Answer),
    ] {
        let (_, over) = answered(watch(), reply).await;
        assert_eq!(over, Some(Over::Lied(lie)));
    }
    // And who says the truth is believed.
    let (result, over) = answered(get(), records(vec![held(6, 1, 600)], true)).await;
    assert!(matches!(result, Ok(Told::Records { records, more: true }) if records[0].id == id(1)));
    assert_eq!(over, None);
}

#[tokio::test(start_paused = true)]
async fn m4_a_keeper_that_begins_with_a_lie_is_left_at_once() {
    let greeting =
        |version| KeeperGreeting { version, challenge: [3; 32], quota: 1, retention: 1 }.to_bytes();
    let opened = || KeeperReply::Opened(state()).to_bytes();
    let get = || Wish::Get { after: Cursor(5), bytes: 9 };
    for (greeting, opened, lie) in [
        (greeting(2), opened(), Lie::Version),
        (vec![1, 2, 3], opened(), Lie::Answer),
        (greeting(1), KeeperReply::Done.to_bytes(), Lie::Answer),
        (greeting(1), vec![], Lie::Answer),
    ] {
        let (_, over) = talked(greeting, opened, get(), Vec::new()).await;
        assert_eq!(over, Some(Over::Lied(lie)));
    }
}
