//! What one post costs, step by step, and whether any step grows faster than its input.
//!
//! Run with `cargo bench -p cairn-crdt`. Times are of this machine; compare columns and shares.
#![expect(clippy::arithmetic_side_effects, reason = "a benchmark")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark")]
#![expect(clippy::indexing_slicing, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(unreachable_pub, dead_code, reason = "a benchmark")]

#[path = "../tests/replica/community.rs"]
mod community;
#[path = "../tests/replica/keeper.rs"]
mod keeper;
#[path = "../tests/authority/people.rs"]
mod people;
#[path = "../tests/replica/store.rs"]
mod store;

use std::hint::black_box;
use std::time::{Duration, Instant};

use cairn_crdt::authority::Authority;
use cairn_crdt::crypto::domain;
use cairn_crdt::crypto::signing::{SigningKey, verify};
use cairn_crdt::document::change::{Actor, check};
use cairn_crdt::document::kinds::DocumentKind;
use cairn_crdt::document::rebuild::read_single;
use cairn_crdt::document::sealing;
use cairn_crdt::epoch::secret::EpochSecret;
use cairn_crdt::id::GroupId;
use cairn_crdt::log::entry::{Header, payload_hash};
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::replica::effect::Serve;
use cairn_crdt::replica::input::{Command, ImportedPost};
use cairn_crdt::sync::message::Message;
use cairn_crdt::time::Timestamp;

use community::Community;

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let result = black_box(work());
    (begin.elapsed(), result)
}

/// Microseconds for each of `n`.
fn each(time: Duration, n: usize) -> f64 {
    time.as_secs_f64() * 1e6 / n as f64
}

struct Costs(Vec<(&'static str, f64)>);

fn posts(n: usize) -> Costs {
    let mut c = Community::with_members(1, 2);
    c.unplug(1);
    let posts = (0..n)
        .map(|i| ImportedPost {
            thread: format!("Thread {}", i / 100),
            reply_to: None,
            author: "speaker".to_owned(),
            at: Timestamp::from_millis(i as u64),
            text: format!(
                "{i}: last night was hard again, but I called my sister and slept a little"
            ),
        })
        .collect();
    let (write, _) = timed(|| c.ask(0, Command::Import { posts }).is_ok());
    let before = c.bytes;
    let (catch_up, ()) = timed(|| {
        c.connect(0, 1);
        c.settle();
    });
    c.assert_same(&[0, 1]);
    let bytes = (c.bytes - before) as f64 / n as f64;
    let (restart, ()) = timed(|| c.restart(1));

    // The same entries once more, one step at a time.
    let group: GroupId = c.people[0].replica.group();
    let store = &c.people[0].store;
    let epochs: Vec<EpochSecret> = store
        .snapshot(group)
        .epochs
        .iter()
        .map(|(_, secret)| EpochSecret::from_bytes(**secret))
        .collect();
    let content: Vec<(Header, Vec<u8>)> = store
        .entries
        .values()
        .filter(|kept| !kept.header.kind.is_control())
        .map(|kept| (kept.header.clone(), kept.payload.clone().unwrap()))
        .collect();
    let m = content.len();
    let (hash, _) =
        timed(|| content.iter().map(|(h, p)| (h.id(), payload_hash(p))).collect::<Vec<_>>());
    let (open, opened) = timed(|| {
        content
            .iter()
            .map(|(header, payload)| {
                epochs
                    .iter()
                    .find_map(|s| sealing::open(header, payload, Some(s), None, |_| None).ok())
                    .unwrap()
            })
            .collect::<Vec<_>>()
    });
    let (decode, _) = timed(|| {
        for (opened, (header, _)) in opened.iter().zip(&content) {
            let kind = opened.envelope.creation.unwrap().kind;
            let actor = Actor::of(header.device, opened.envelope.document);
            let change = check(kind, true, &opened.change, actor).unwrap();
            black_box(read_single(&change));
        }
    });
    let device = c.people[0].replica.device();
    let ids: Vec<_> = c.people[0].replica.set().log(&device).unwrap().iter().map(|e| e.1).collect();
    let runs: Vec<Vec<u8>> = store
        .serve(Serve::Runs { entries: ids, content: true })
        .into_iter()
        .filter_map(|message| match message {
            Message::Run(run) => Some(run.to_bytes()),
            _ => None,
        })
        .collect();
    let (runs_read, entries) = timed(|| {
        let read = runs.iter().map(|bytes| Run::from_bytes(bytes).unwrap().verify(group).unwrap());
        read.flatten().collect::<Vec<_>>()
    });
    assert!(entries.len() > m);
    let _: Option<&Entry> = entries.first().map(|entry| entry.get());
    Costs(vec![
        ("write (seal, sign, keep)", each(write, n)),
        ("catch up, all of it", each(catch_up, n)),
        ("  read and verify runs", each(runs_read, m)),
        ("    of which hashes", each(hash, m)),
        ("  open seals", each(open, m)),
        ("  check and decode", each(decode, m)),
        ("come back from the store", each(restart, n)),
        ("bytes on the wire", bytes),
    ])
}

fn main() {
    // `cargo test --benches` only has to see that it runs.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let few = posts(1_000);
    let many = posts(10_000);
    println!(
        "{:<28}{:>14}{:>14}{:>8}",
        "µs (bytes) a post", "1,000 posts", "10,000 posts", "ratio"
    );
    for ((name, few), (_, many)) in few.0.iter().zip(&many.0) {
        println!("{name:<28}{few:>14.1}{many:>14.1}{:>8.2}", many / few);
    }

    let key = SigningKey::from_seed(&[7; 32]);
    let signature = key.sign(domain::SIGN_ENTRY, b"floor");
    let rounds = 2_000;
    let (floor, ()) = timed(|| {
        for _ in 0..rounds {
            let key = key.verifying_key();
            black_box(verify(&key, domain::SIGN_ENTRY, b"floor", &signature)).unwrap();
        }
    });
    println!("\nfloor: one strict signature check {:.1} µs", each(floor, rounds));
    let _ = DocumentKind::ALL;

    println!("\n{:<28}{:>14}{:>14}", "authority", "control", "µs a entry");
    for members in [30, 100, 300] {
        let set = group_of(members);
        let control = set.control().len();
        let rounds = 20;
        let (time, ()) = timed(|| {
            for _ in 0..rounds {
                black_box(Authority::evaluate(&set));
            }
        });
        let name = format!("{members} members");
        println!("{name:<28}{control:>14}{:>14.2}", each(time, rounds * control));
    }
}

/// The set of a group: the founder granted everyone, each opened a log and wrote; one in ten is a
/// moderator, and one in ten was removed by one of those.
fn group_of(members: usize) -> cairn_crdt::log::set::LogSet {
    use cairn_crdt::capability::rank::Rank;
    let mut group = people::Group::new();
    let mut moderators = Vec::new();
    for number in 1..members {
        let name = format!("member {number}");
        let rank = if number % 10 == 1 { Rank::Moderator } else { Rank::Member };
        let grant = group.grant(people::FAY, group.genesis, &name, rank);
        let post = group.post(&name, grant);
        if rank == Rank::Moderator {
            moderators.push((name.clone(), grant));
        } else if number % 10 == 2
            && let Some((by, under)) = moderators.last().cloned()
        {
            group.remove(&by, under, &name, &[(&name, post)]);
        }
    }
    people::gather(group.id, &group.entries)
}
