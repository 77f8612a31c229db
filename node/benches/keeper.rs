//! A keeper with many mailboxes: records put and got a second, memory, bytes on disk for each record,
//! and how long it takes to come up again. `cargo bench -p cairn-node --bench keeper`.
//!
//! The keeper is a process of its own, clients talk to it over loopback. Beside it, in the same run,
//! stand two floors: the same bytes put into one SQLite table, and written to one file, each synced as
//! often. Everything is done for half the size and for the whole: what grows faster than its input shows
//! there. `CAIRN_BENCH_RECORDS` says how many records the whole has, a million if not said.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cairn_crdt::codec::Bytes;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{AccessKey, ControlKey, MailboxId, TransportKey};
use cairn_crdt::mailbox::message::{NewRecord, Putting};
use cairn_crdt::mailbox::{Cursor, record_id};
use cairn_node::clock;
use cairn_node::keeper::client::{
    Access, Ask, ClientConfig, ClientEvent, Failure, KeeperClient, Told, Wish, direct,
};
use cairn_node::keeper::home::{KeeperHome, add_invitation};
use cairn_node::keeper::policy::{Limits, Rate};
use cairn_node::runtime::{self, KeeperOptions};
use libp2p::Multiaddr;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Bytes of a record.
const RECORD: usize = 1024;
/// Records of one mailbox.
const EACH: usize = 1000;
/// Records of one put.
const PUT: usize = 50;
/// Clients at a time.
const CLIENTS: usize = 8;

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("serve") {
        let home = arguments.next().expect("where the keeper's home is");
        serve(Path::new(&home));
        return;
    }
    let all: usize = std::env::var("CAIRN_BENCH_RECORDS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(1_000_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("records of {RECORD} bytes, {EACH} a mailbox, {PUT} a put, {CLIENTS} clients");
    let half = runtime.block_on(measure(all / EACH / 2));
    let whole = runtime.block_on(measure(all / EACH));
    println!("{:<34}{:>14}{:>14}", "", "half", "whole");
    for ((name, half), (_, whole)) in half.iter().zip(&whole) {
        println!("{name:<34}{half:>14.1}{whole:>14.1}");
    }
}

/// The keeper's process.
fn serve(home: &Path) {
    let fast = Rate { burst: 1 << 40, each_second: 1 << 40 };
    let options = KeeperOptions {
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        limits: Limits { connection_rate: fast, mailbox_rate: fast, ..Limits::default() },
        ..KeeperOptions::default()
    };
    let ready = |ready: runtime::KeeperReady| {
        println!("{}", ready.listen[0]);
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(runtime::keep(home, options, ready)).expect("a keeper");
}

struct Keeper {
    process: Child,
    address: Multiaddr,
    came_up: Duration,
}

impl Keeper {
    fn start(home: &Path) -> Self {
        let began = Instant::now();
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .arg("serve")
            .arg(home)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a keeper");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("its words"))
            .read_line(&mut line)
            .expect("one");
        let came_up = began.elapsed();
        let (address, _) = line.trim().split_once("/p2p/").expect("an address");
        Self { process, address: address.parse().expect("an address"), came_up }
    }

    /// Megabytes that it has in memory.
    fn memory(&self) -> f64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        let kilobytes: f64 =
            line.split_whitespace().nth(1).expect("a number").parse().expect("one");
        kilobytes / 1024.0
    }

    fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ran");
    }
}

fn key(kind: u8, number: usize) -> SigningKey {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    SigningKey::from_seed(&seed)
}

fn mailbox(number: usize) -> MailboxId {
    MailboxId::from_bytes(key(1, number).verifying_key())
}

fn bytes(mailbox: usize, number: usize) -> Vec<u8> {
    let mut bytes = vec![7; RECORD];
    bytes[..8].copy_from_slice(&u64::try_from(mailbox).unwrap().to_be_bytes());
    bytes[8..16].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    bytes
}

struct Guest(mpsc::Sender<Ask>, mpsc::Receiver<ClientEvent>);

impl Guest {
    async fn new(keeper: &Keeper, key: TransportKey, access: Access) -> Self {
        let config = ClientConfig {
            keeper: key,
            addresses: vec![keeper.address.to_vec()],
            transport: direct(),
            access,
            seen: None,
            rng: clock::randomness().expect("randomness"),
        };
        let (sender, events) = mpsc::channel(64);
        let (asks, client) = KeeperClient::start(config, sender);
        tokio::spawn(client);
        let mut guest = Self(asks, events);
        while !matches!(guest.1.recv().await, Some(ClientEvent::Up(_))) {}
        guest
    }

    async fn ask(&mut self, wish: Wish) -> Result<Told, Failure> {
        assert!(self.0.send(Ask { tag: 1, wish }).await.is_ok());
        loop {
            if let Some(ClientEvent::Answer { result, .. }) = self.1.recv().await {
                return result;
            }
        }
    }

    async fn open(&mut self, number: usize) {
        self.ask(Wish::Use(access(number), None)).await.expect("it opens");
    }
}

fn access(number: usize) -> Access {
    Access::Mailbox { mailbox: mailbox(number), key: key(2, number) }
}

/// What one client puts: every so manieth mailbox.
async fn put_all(mut guest: Guest, home: KeeperHome, first: usize, mailboxes: usize) {
    for number in (first..mailboxes).step_by(CLIENTS) {
        let secret = *blake(number);
        let invited = home.clone();
        let invite = move || {
            let mut store = invited.store(None).expect("the store");
            add_invitation(&mut *store, clock::now(), &secret).expect("an invitation");
        };
        tokio::task::spawn_blocking(invite).await.expect("invited");
        let create = Wish::Create {
            secret: Zeroizing::new(secret),
            owner: mailbox(number),
            access: AccessKey::from_bytes(key(2, number).verifying_key()),
            control: ControlKey::from_bytes(key(3, number).verifying_key()),
        };
        guest.ask(create).await.expect("made");
        guest.open(number).await;
        for part in 0..EACH / PUT {
            let records = (part * PUT..(part + 1) * PUT)
                .map(|record| NewRecord {
                    priority: false,
                    erase: [0; 32],
                    bytes: Bytes::new(bytes(number, record)).expect("in bounds"),
                })
                .collect();
            let Ok(Told::Put(puttings)) = guest.ask(Wish::Put(records)).await else {
                panic!("not put")
            };
            assert!(puttings.iter().all(|putting| matches!(putting, Putting::Stored(_))));
        }
    }
}

fn blake(number: usize) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(*record_id(&number.to_be_bytes()).as_bytes())
}

/// What one client gets, page by page.
async fn get_all(mut guest: Guest, first: usize, mailboxes: usize) -> usize {
    let mut got = 0;
    for number in (first..mailboxes).step_by(CLIENTS) {
        guest.open(number).await;
        let mut after = Cursor::START;
        loop {
            let Ok(Told::Records { records, more }) =
                guest.ask(Wish::Get { after, bytes: u32::MAX }).await
            else {
                panic!("not got")
            };
            got += records.len();
            after = records.last().map_or(after, |record| record.cursor);
            if !more {
                break;
            }
        }
    }
    got
}

/// One record after the other by its name, from mailboxes all over.
async fn fetch_some(mut guest: Guest, first: usize, mailboxes: usize) -> usize {
    let mut got = 0;
    for step in 0..100 {
        let number = (first + step * 7919) % mailboxes;
        guest.open(number).await;
        for record in 0..5 {
            let id = record_id(&bytes(number, (record * 313 + step) % EACH));
            let fetched = guest.ask(Wish::Fetch(vec![id])).await;
            assert!(matches!(fetched, Ok(Told::Records { records, .. }) if records.len() == 1));
            got += 1;
        }
    }
    got
}

async fn together<T: Send + 'static>(
    work: impl Fn(usize) -> tokio::task::JoinHandle<T>,
) -> (Vec<T>, f64) {
    let began = Instant::now();
    let handles: Vec<_> = (0..CLIENTS).map(work).collect();
    let mut results = Vec::new();
    for handle in handles {
        results.push(handle.await.expect("it ended well"));
    }
    (results, began.elapsed().as_secs_f64())
}

async fn measure(mailboxes: usize) -> Vec<(&'static str, f64)> {
    let folder = tempfile::tempdir().expect("a folder");
    let home = KeeperHome::of(folder.path());
    let keeper = Keeper::start(folder.path());
    let mut rng = clock::randomness().expect("randomness");
    let own = home.key(&mut rng).expect("the keeper's key");
    let own = TransportKey::from_bytes(own.verifying_key());
    let records = (mailboxes * EACH) as f64;
    let empty = keeper.memory();

    let mut guests = Vec::new();
    for _ in 0..CLIENTS {
        guests.push(Some(Guest::new(&keeper, own, Access::Nothing).await));
    }
    let guests = std::sync::Mutex::new(guests);
    let take = |first: usize| guests.lock().expect("alive")[first].take().expect("once");
    let (_, putting) =
        together(|first| tokio::spawn(put_all(take(first), home.clone(), first, mailboxes))).await;
    let memory = keeper.memory();
    let disk: u64 = std::fs::read_dir(home.path())
        .expect("the home")
        .map(|file| file.expect("a file").metadata().expect("its size").len())
        .sum();

    let mut guests = Vec::new();
    for _ in 0..CLIENTS * 2 {
        guests.push(Some(Guest::new(&keeper, own, access(0)).await));
    }
    let guests = std::sync::Mutex::new(guests);
    let take = |place: usize| guests.lock().expect("alive")[place].take().expect("once");
    let (got, getting) =
        together(|first| tokio::spawn(get_all(take(first), first, mailboxes))).await;
    assert_eq!(got.iter().sum::<usize>(), mailboxes * EACH);
    let (fetched, fetching) =
        together(|first| tokio::spawn(fetch_some(take(CLIENTS + first), first, mailboxes))).await;
    keeper.kill();
    let again = Keeper::start(folder.path());
    let began = Instant::now();
    let mut guest = Guest::new(&again, own, access(mailboxes / 2)).await;
    guest.ask(Wish::Get { after: Cursor::START, bytes: 1 }).await.expect("it is there");
    let first_answer = began.elapsed();
    let came_up = again.came_up;
    again.kill();

    let (table, file) = floors(mailboxes * EACH / 10, folder.path());
    vec![
        ("mailboxes", mailboxes as f64),
        ("put, records/s", records / putting),
        ("  floor: one SQLite table", table),
        ("  floor: one file", file),
        ("get by pages, records/s", records / getting),
        ("fetch one by name, records/s", fetched.iter().sum::<usize>() as f64 / fetching),
        ("bytes on disk for a record", disk as f64 / records),
        ("memory when empty, MB", empty),
        ("memory after all puts, MB", memory),
        ("comes up again in, ms", came_up.as_secs_f64() * 1000.0),
        ("and answers the first in, ms", first_answer.as_secs_f64() * 1000.0),
    ]
}

/// Records a second into one table without an index, and into one file, synced after each put.
fn floors(records: usize, folder: &Path) -> (f64, f64) {
    let database = rusqlite::Connection::open(folder.join("floor.db")).expect("a database");
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (b BLOB);",
        )
        .expect("a table");
    let began = Instant::now();
    for part in 0..records / PUT {
        database.execute_batch("BEGIN").expect("begun");
        let mut insert = database.prepare_cached("INSERT INTO t VALUES (?1)").expect("prepared");
        for record in 0..PUT {
            insert.execute([bytes(part, record)]).expect("inserted");
        }
        drop(insert);
        database.execute_batch("COMMIT").expect("committed");
    }
    let table = records as f64 / began.elapsed().as_secs_f64();
    let mut file = std::fs::File::create(folder.join("floor")).expect("a file");
    let began = Instant::now();
    for part in 0..records / PUT {
        for record in 0..PUT {
            file.write_all(&bytes(part, record)).expect("written");
        }
        file.sync_data().expect("synced");
    }
    (table, records as f64 / began.elapsed().as_secs_f64())
}
