//! Thousands of small worlds, each decided by one seed: people with whole replicas, and everything
//! that can go wrong between them. What must always hold is checked whenever a world is quiet.
//!
//! A seed that fails is shrunk to the few steps that matter and printed with the command that
//! plays it again: `CAIRN_SEED=<seed> cargo test -p cairn-crdt --test simulation replay`. Millions of
//! events: `cargo run --release -p cairn-crdt --example soak -- --events N`.
#![expect(clippy::arithmetic_side_effects, reason = "test code")]
#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(clippy::indexing_slicing, reason = "test code")]
#![expect(unreachable_pub, reason = "test code")]

mod acts;
mod faults;
mod invariants;
mod keeper;
mod keeper_faults;
mod keeper_plan;
mod keeper_rules;
mod mailbox;
mod many;
mod network;
mod person;
mod plan;
mod record;
mod run;
#[path = "../replica/store.rs"]
mod store;
mod trace;
mod world;

use many::{SIZE, faults};

/// Seeds of the routine run.
const SEEDS: u64 = 2_000;

/// What has to have happened of keepers when so many worlds were played: what never happens is not
/// tried.
const HAPPENS: &[&str] = &[
    "a keeper accused of having been set back",
    "a keeper accused of lying",
    "a keeper accused of withholding",
    "a keeper that has no time",
    "a long sleep",
    "a question to a keeper that was lost",
    "agreed by keepers alone",
    "an answer of a keeper that was lost",
    "an honest keeper looked into",
    "answers in drop-boxes",
    "erased content that no keeper has",
    "generations begun",
    "generations met ended",
    "keeper: Add",
    "keeper: Dismiss",
    "keeper: Down",
    "keeper: Full",
    "keeper: HangUp",
    "keeper: Loses",
    "keeper: SetBack",
    "letters in drop-boxes",
    "nonsense of a keeper",
    "records erased",
    "records that a keeper forgot",
    "records that a keeper hid",
    "records that expired",
    "renewals",
    "someone outside who cannot open a mailbox",
    "someone whom a record does not open for",
];

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the seed to play again comes from outside")]
    let value = std::env::var(name).ok()?;
    value.parse().ok()
}

#[test]
fn replay() {
    let Some(seed) = number("CAIRN_SEED") else { return };
    let plan = plan::expand(seed, SIZE, faults(seed));
    if let Err(failure) = run::run(seed, &plan) {
        match number("CAIRN_TRACE") {
            None => {}
            // Shrinking takes its time.
            Some(2) => return run::show(seed, &plan),
            Some(_) => run::show(seed, &run::shrink(seed, &plan, &failure)),
        }
        panic!("{}", run::explain(seed, &plan));
    }
    println!("seed {seed} holds");
}

#[test]
fn what_has_once_shown_a_mistake_holds() {
    for seed in many::SHOWN {
        let plan = plan::expand(seed, SIZE, faults(seed));
        let outcome = run::run(seed, &plan);
        assert!(outcome.is_ok(), "{}", run::explain(seed, &plan));
    }
}

#[test]
fn every_seed_holds() {
    let first = number("CAIRN_FIRST_SEED").unwrap_or(1);
    let last = first + number("CAIRN_SEEDS").unwrap_or(SEEDS);
    let outcome = many::worlds(first, |seed, _| seed < last);
    println!("{}", outcome.shown());
    assert!(outcome.failed.is_empty(), "{}", outcome.failures());
    if outcome.worlds >= SEEDS {
        let missing: Vec<&&str> =
            HAPPENS.iter().filter(|what| !outcome.counts.contains_key(**what)).collect();
        assert!(missing.is_empty(), "these never happened: {missing:?}");
    }
}
