//! From "online" to "caught up": time and bytes with 0, 1, 100 and 10,000 posts missing, from the other
//! node and from a keeper when the other node is off.
//!
//! Run with `cargo bench -p cairn-node --bench reach`. Times are of this machine: compare rows. Bytes are
//! those of the loopback interface, so nothing else should be talking over it.
#![expect(clippy::arithmetic_side_effects, reason = "a benchmark")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark")]
#![expect(clippy::indexing_slicing, reason = "a benchmark")]

#[path = "nodes/process.rs"]
mod process;

use std::time::{Duration, Instant};

use cairn_node::api::command::{HistoryChoice, ImportLine, Request};
use cairn_node::keeper::policy::{Limits, Rate};
use cairn_node::runtime::{self, KeeperOptions};
use serde_json::Value;
use tempfile::TempDir;

use process::{Node, TEXT, home, loopback_bytes, measures};

#[tokio::main]
async fn main() {
    if !measures().await {
        return;
    }
    println!(
        "{:<24}{:>12}{:>14}{:>16}{:>14}",
        "missing", "seconds", "bytes", "bytes a post", "posts a s"
    );
    for way in ["direct", "keeper"] {
        for missing in [0_usize, 1, 100, 10_000] {
            let (time, bytes) = caught_up(way == "keeper", missing).await;
            let each = if missing == 0 { 0.0 } else { bytes / missing as f64 };
            let rate = missing as f64 / time.as_secs_f64();
            println!(
                "{:<24}{:>12.3}{bytes:>14.0}{each:>16.0}{rate:>14.0}",
                format!("{missing} {way}"),
                time.as_secs_f64()
            );
        }
    }
}

/// A keeper in this process, and a code of it.
async fn keeper(folder: &TempDir) -> String {
    let home = folder.path().to_owned();
    let fast = Rate { burst: 1 << 40, each_second: 1 << 40 };
    let options = KeeperOptions {
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        limits: Limits { connection_rate: fast, mailbox_rate: fast, ..Limits::default() },
        ..KeeperOptions::default()
    };
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let told = |_| {
            // Whoever waits for it is there.
            let _ = ready.send(());
        };
        runtime::keep(&home, options, told).await.unwrap_or_else(|why| panic!("{why}"));
    });
    is_ready.await.unwrap();
    runtime::keeper_invite(folder.path(), None, &[]).await.unwrap().to_text()
}

/// Two members who held the same; then one wrote so many posts while the other was off.
async fn caught_up(by_keeper: bool, missing: usize) -> (Duration, f64) {
    let (home_a, home_b, folder) = (home(), home(), tempfile::tempdir().unwrap());
    let (a, b) = (Node::up(home_a.path()).await, Node::up(home_b.path()).await);
    let found = Request::GroupCreate {
        name: "bench".to_owned(),
        pseudonym: "Heron".to_owned(),
        history: HistoryChoice::All,
    };
    let group = a.ask(found).await["group"].as_str().unwrap().to_owned();
    if by_keeper {
        let code = keeper(&folder).await;
        a.ask(Request::KeeperAdd { group: group.clone(), code }).await;
    }
    let invite = Request::Invite {
        group: group.clone(),
        rank: "member".to_owned(),
        uses: 1,
        expires_in_seconds: None,
        at_once: true,
    };
    let code = a.ask(invite).await["code"].as_str().unwrap().to_owned();
    let words = String::new();
    b.ask(Request::Join { code, pseudonym: "Wren".to_owned(), words }).await;
    until(|| async {
        let (one, other) = (a.group().await, b.group().await);
        other["state"] == "member" && one["digest"] == other["digest"] && rested(&other, by_keeper)
    })
    .await;
    b.down().await;
    for from in (0..missing).step_by(500) {
        let line = |n: usize| ImportLine {
            conversation: format!("thread {}", n / 100),
            id: n.to_string(),
            reply_to: None,
            author: "speaker".to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            body: format!("{n}: {TEXT}"),
        };
        let posts = (from..(from + 500).min(missing)).map(line).collect();
        a.ask(Request::Import { group: group.clone(), posts }).await;
    }
    until(|| async { rested(&a.group().await, by_keeper) }).await;
    // A node that starts may say where it is now: it then holds more than the other did.
    let wanted = a.group().await["entries"].as_u64();
    let a = if by_keeper {
        a.down().await;
        None
    } else {
        Some(a)
    };
    let b = Node::up(home_b.path()).await;
    let (before, begin) = (loopback_bytes(), Instant::now());
    until(|| async {
        let now = b.group().await;
        now["entries"].as_u64() >= wanted && now["missing"] == 0
    })
    .await;
    let result = (begin.elapsed(), loopback_bytes() - before);
    b.down().await;
    if let Some(a) = a {
        a.down().await;
    }
    result
}

/// Whether nothing is left to be put at the keeper.
fn rested(group: &Value, by_keeper: bool) -> bool {
    !by_keeper || (group["keepers"][0]["read"] == true && group["keepers"][0]["lacking"] == 0)
}

async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
