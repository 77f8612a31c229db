//! Two real nodes as two processes on loopback: catching up into an empty store, live delivery,
//! and starting with a full one; 1,000 posts against 10,000.
//!
//! Run with `cargo bench -p cairn-node --bench nodes`. Times are of this machine: compare columns.
//! Bytes are those of the loopback interface, so nothing else should be talking over it.
#![expect(clippy::arithmetic_side_effects, reason = "a benchmark")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark")]
#![expect(clippy::indexing_slicing, reason = "a benchmark")]

#[path = "nodes/process.rs"]
mod process;

use std::time::{Duration, Instant};

use cairn_crdt::capability::grant::History;
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::replica::effect::{Effect, Write};
use cairn_crdt::replica::input::{Command as Ask, CommandId, ImportedPost, Input};
use cairn_crdt::replica::{Founding, Replica};
use cairn_crdt::time::Timestamp;
use cairn_node::api::command::{HistoryChoice, ImportLine, Request};
use cairn_node::storage::{Home, Store as _};
use rand_core::SeedableRng as _;

use process::{Node, PASSPHRASE, TEXT, home, loopback_bytes, measures};

#[tokio::main]
async fn main() {
    if !measures().await {
        return;
    }
    let (mut few, mut many) = (measure(1_000).await, measure(10_000).await);
    few.extend(steps(1_000));
    many.extend(steps(10_000));
    println!("{:<34}{:>12}{:>12}{:>8}", "", "1,000", "10,000", "ratio");
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        println!("{name:<34}{few:>12.1}{many:>12.1}{:>8.2}", many / few);
    }
}

/// What the core hands to the store for so many posts, and what writing and reading it costs: the
/// store's share of the figures above, without a network.
fn steps(posts: usize) -> Vec<(&'static str, f64)> {
    let now = Timestamp::from_millis(1_790_000_000_000);
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
    let founding = Founding {
        seed: &Seed::from_bytes([1; 32]),
        name: "bench".to_owned(),
        pseudonym: "Heron".to_owned(),
        history: History::All,
    };
    let (mut replica, first) = Replica::found(now, &mut rng, founding).unwrap();
    let import = (0..posts).map(|n| ImportedPost {
        thread: format!("thread {}", n / 100),
        reply_to: None,
        author: "speaker".to_owned(),
        at: now,
        text: format!("{n}: {TEXT}"),
    });
    let command = Ask::Import { posts: import.collect() };
    let begin = Instant::now();
    let input = Input::Command { id: CommandId(1), command };
    let effects = replica.handle(now, &mut rng, input);
    let core = begin.elapsed();
    let writes = |effects: Vec<Effect>| -> Vec<Write> {
        let persisted = effects.into_iter().filter_map(|effect| match effect {
            Effect::Persist(writes) => Some(writes),
            _ => None,
        });
        persisted.flatten().collect()
    };
    let home = home();
    let mut store = Home::open(home.path()).unwrap().unlock(PASSPHRASE).unwrap();
    store.add_group(replica.group(), &writes(first)).unwrap();
    let writes = writes(effects);
    let begin = Instant::now();
    for writes in writes.chunks(4096) {
        store.write(replica.group(), writes).unwrap();
    }
    let write = begin.elapsed();
    let begin = Instant::now();
    let snapshot = store.snapshot(replica.group()).unwrap();
    let read = begin.elapsed();
    assert!(snapshot.entries.len() > posts);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / posts as f64;
    vec![
        ("core: seal, sign, keep, µs a post", each(core)),
        ("store: write entry and row, µs", each(write)),
        ("store: read it when opened, µs", each(read)),
    ]
}

async fn until_equal(one: &Node, other: &Node) {
    loop {
        let (one, other) = (one.group().await, other.group().await);
        if one["digest"] == other["digest"] && other["missing"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn measure(posts: usize) -> Vec<(&'static str, f64)> {
    let (home_a, home_b) = (home(), home());
    let (a, b) = (Node::up(home_a.path()).await, Node::up(home_b.path()).await);
    let found = Request::GroupCreate {
        name: "bench".to_owned(),
        pseudonym: "Heron".to_owned(),
        history: HistoryChoice::All,
    };
    let group = a.ask(found).await["group"].as_str().unwrap().to_owned();
    let lines = |from: usize, to: usize| {
        let line = |n: usize| ImportLine {
            conversation: format!("thread {}", n / 100),
            id: n.to_string(),
            reply_to: None,
            author: "speaker".to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            body: format!("{n}: {TEXT}"),
        };
        Request::Import { group: group.clone(), posts: (from..to).map(line).collect() }
    };
    let begin = Instant::now();
    for from in (0..posts).step_by(500) {
        a.ask(lines(from, (from + 500).min(posts))).await;
    }
    let write = begin.elapsed();
    let invite = Request::Invite {
        group: group.clone(),
        rank: "member".to_owned(),
        uses: 1,
        expires_in_seconds: None,
        at_once: true,
    };
    let code = a.ask(invite).await["code"].as_str().unwrap().to_owned();
    let before = loopback_bytes();
    let begin = Instant::now();
    let words = String::new();
    b.ask(Request::Join { code, pseudonym: "Wren".to_owned(), words }).await;
    while b.group().await["state"] != "member" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    until_equal(&a, &b).await;
    let catch_up = begin.elapsed();
    let bytes = loopback_bytes() - before;

    // Live: from the answer to the one who writes until the other node holds it.
    let start = Request::ThreadStart {
        group: group.clone(),
        title: "live".to_owned(),
        body: TEXT.to_owned(),
        note: None,
        wants: None,
    };
    let thread = a.ask(start).await["thread"].as_str().unwrap().to_owned();
    until_equal(&a, &b).await;
    let mut live = Vec::new();
    for n in 0..100 {
        let held = b.group().await["entries"].as_u64().unwrap();
        let post = Request::Post {
            group: group.clone(),
            thread: thread.clone(),
            reply_to: None,
            body: format!("{n}: {TEXT}"),
            note: None,
            wants: None,
        };
        let begin = Instant::now();
        a.ask(post).await;
        while b.group().await["entries"].as_u64().unwrap() == held {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        live.push(begin.elapsed());
    }
    live.sort_unstable();
    let memory = b.memory();
    b.down().await;
    let b = Node::up(home_b.path()).await;
    let start = b.started;
    b.down().await;
    a.down().await;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / posts as f64;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    vec![
        ("import, µs a post", each(write)),
        ("join and catch up, s", catch_up.as_secs_f64()),
        ("  posts a second", posts as f64 / catch_up.as_secs_f64()),
        ("  µs a post", each(catch_up)),
        ("  bytes on the wire a post", bytes / posts as f64),
        ("peak memory of the newcomer, MiB", memory),
        ("live delivery p50, ms", millis(live[live.len() / 2])),
        ("live delivery p99, ms", millis(live[live.len() * 99 / 100])),
        ("start with that many posts, ms", millis(start)),
    ]
}
