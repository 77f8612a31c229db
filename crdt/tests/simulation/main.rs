//! Thousands of small worlds, each decided by one seed: people with whole replicas, and everything
//! that can go wrong between them. What must always hold is checked whenever a world is quiet.
//!
//! A seed that fails is shrunk to the few steps that matter and printed with the command that
//! plays it again: `CAIRN_SEED=<seed> cargo test -p cairn-crdt --test simulation replay`. A soak of
//! millions of events: `CAIRN_FIRST_SEED=5000 CAIRN_SEEDS=100000 cargo test --release -p cairn-crdt
//! --test simulation every_seed_holds`.
#![expect(clippy::arithmetic_side_effects, reason = "test code")]
#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(clippy::indexing_slicing, reason = "test code")]
#![expect(unreachable_pub, reason = "test code")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

mod acts;
mod faults;
mod invariants;
mod network;
mod person;
mod plan;
mod record;
mod run;
#[path = "../replica/store.rs"]
mod store;
mod trace;
mod world;

use plan::{Faults, Size};

/// Seeds of the routine run.
const SEEDS: u64 = 2_000;
const SIZE: Size = Size { people: 2, steps: 25 };
const FAULTS: Faults = Faults { rollback: true, malice: true };

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the seed to play again comes from outside")]
    let value = std::env::var(name).ok()?;
    value.parse().ok()
}

#[test]
fn replay() {
    let Some(seed) = number("CAIRN_SEED") else { return };
    let plan = plan::expand(seed, SIZE, FAULTS);
    if let Err(failure) = run::run(seed, &plan) {
        if number("CAIRN_TRACE").is_some() {
            run::show(seed, &run::shrink(seed, &plan, &failure));
        }
        panic!("{}", run::explain(seed, &plan));
    }
    println!("seed {seed} holds");
}

#[test]
fn every_seed_holds() {
    let first = number("CAIRN_FIRST_SEED").unwrap_or(1);
    let last = first + number("CAIRN_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(first);
    let failed: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let counts: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last || failed.lock().unwrap().len() >= 3 {
                        break;
                    }
                    let plan = plan::expand(seed, SIZE, FAULTS);
                    match run::run(seed, &plan) {
                        Ok(report) => {
                            let mut counts = counts.lock().unwrap();
                            for (what, count) in report.counts {
                                *counts.entry(what).or_default() += count;
                            }
                            *counts.entry("events".to_owned()).or_default() += report.events;
                            *counts.entry("bytes".to_owned()).or_default() += report.bytes;
                        }
                        Err(_) => failed.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    for (what, count) in counts.into_inner().unwrap() {
        println!("{count:>10} {what}");
    }
    let shown: Vec<String> =
        failed.iter().map(|seed| run::explain(*seed, &plan::expand(*seed, SIZE, FAULTS))).collect();
    assert!(failed.is_empty(), "{}", shown.join("\n\n"));
}
