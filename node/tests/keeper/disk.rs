//! What lies on a keeper's disk: what was put, and not a word of who came from where (M1, I3).

use std::fs;
use std::path::Path;

use cairn_crdt::mailbox::Cursor;
use cairn_node::keeper::client::{Access, Told, Wish};
use cairn_node::keeper::policy::Limits;

use crate::house::{House, Mailbox, key, record, token};

const A: Mailbox = Mailbox(1);

/// All bytes of all files of a folder.
fn files(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        all.extend(fs::read(entry.unwrap().path()).unwrap());
    }
    all
}

fn holds(all: &[u8], bytes: &[u8]) -> bool {
    all.windows(bytes.len()).any(|window| window == bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_no_address_and_no_peer_id_is_on_a_keepers_disk() {
    let mut house = House::start(Limits::default()).await;
    let mut member = house.mailbox(&A).await;
    let mut newcomer = house.guest(Access::Nothing);
    newcomer.up().await;
    let drop = cairn_crdt::id::DropBoxId::from_bytes(key(60).verifying_key());
    let expires = house.now().after(1_000_000);
    member.ask(Wish::OpenDrop(drop, expires)).await.unwrap();
    newcomer.open(Access::Drop(key(60))).await.unwrap();
    newcomer.ask(Wish::DropPut(drop, vec![99; 600])).await.unwrap();
    member.ask(Wish::Put(vec![record(1, 700)])).await.unwrap();
    let folder = house.path.parent().unwrap().to_owned();
    let running = files(&folder);
    house.stop().await;
    let stopped = files(&folder);
    for all in [running, stopped] {
        // What was put is there, so that this looks in the right place.
        assert!(holds(&all, record(1, 700).bytes.as_slice()) && holds(&all, &[99; 600]));
        for guest in [&member, &newcomer] {
            assert!(!holds(&all, &guest.identity));
        }
        // Clients come from 127.0.0.1; the keeper listens at 127.0.0.2.
        assert!(!holds(&all, &[127, 0, 0, 1]) && !holds(&all, b"127.0.0.1"));
        assert!(!holds(&all, b"12D3Koo") && !holds(&all, b"/ip4"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_what_was_deleted_is_overwritten() {
    let mut house = House::start(Limits::default()).await;
    let mut member = house.mailbox(&A).await;
    let gone = record(1, 700);
    let id = cairn_crdt::mailbox::record_id(gone.bytes.as_slice());
    member.ask(Wish::Put(vec![gone.clone(), record(2, 700)])).await.unwrap();
    let folder = house.path.parent().unwrap().to_owned();
    assert!(holds(&files(&folder), gone.bytes.as_slice()));
    let told = member.ask(Wish::Erase(vec![(id, token(1))])).await;
    assert_eq!(told, Ok(Told::NotErased(Vec::new())));
    // The answer comes before the overwriting, the next one after it.
    member.ask(Wish::Renew(Vec::new())).await.unwrap();
    member.ask(Wish::Get { after: Cursor::START, bytes: 9 }).await.unwrap();
    let all = files(&folder);
    assert!(!holds(&all, gone.bytes.as_slice()));
    assert!(holds(&all, record(2, 700).bytes.as_slice()));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_keeper_that_was_stopped_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keeper.db");
    let start = 1_790_000_000_000;
    let mut house = House::at(path.clone(), Limits::default(), start).await;
    let mut member = house.mailbox(&A).await;
    member.ask(Wish::Put((0..100).map(|number| record(number, 600)).collect())).await.unwrap();
    let before = member.open(A.access(1)).await.unwrap();
    house.stop().await;
    let house = House::at(path, Limits::default(), start).await;
    let mut again = house.guest(A.access(1));
    assert_eq!(again.up().await, before);
}
