//! The simulated worlds of `tests/simulation`, for as long as one likes.
//!
//! `cargo run --release -p cairn-crdt --example soak -- --events N` plays world after world until
//! there were N events (a message, a command, a timer, a fault), checks the invariants in each
//! whenever it is quiet, and prints what happened how often. `--first SEED` begins elsewhere than
//! at 1,000,000, which is far from the seeds of the routine run. A world that fails is shrunk and
//! printed with the command that plays it again, and the exit code is 1.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test of the replica, at length"
)]

#[path = "../tests/simulation/acts.rs"]
mod acts;
#[path = "../tests/simulation/faults.rs"]
mod faults;
#[path = "../tests/simulation/invariants.rs"]
mod invariants;
#[path = "../tests/simulation/keeper.rs"]
mod keeper;
#[path = "../tests/simulation/keeper_faults.rs"]
mod keeper_faults;
#[path = "../tests/simulation/keeper_plan.rs"]
mod keeper_plan;
#[path = "../tests/simulation/keeper_rules.rs"]
mod keeper_rules;
#[path = "../tests/simulation/mailbox.rs"]
mod mailbox;
#[path = "../tests/simulation/many.rs"]
mod many;
#[path = "../tests/simulation/network.rs"]
mod network;
#[path = "../tests/simulation/person.rs"]
mod person;
#[path = "../tests/simulation/plan.rs"]
mod plan;
#[path = "../tests/simulation/record.rs"]
mod record;
#[expect(dead_code, reason = "what happens is shown by the test")]
#[path = "../tests/simulation/run.rs"]
mod run;
#[path = "../tests/replica/store.rs"]
mod store;
#[path = "../tests/simulation/trace.rs"]
mod trace;
#[path = "../tests/simulation/world.rs"]
mod world;

use std::process::ExitCode;
use std::time::Instant;

/// Where the seeds begin unless said.
const FIRST: u64 = many::AT_LENGTH;

fn main() -> ExitCode {
    let (mut events, mut first) = (None, FIRST);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next().and_then(|number| number.parse().ok());
        match (word.as_str(), number) {
            ("--events", Some(number)) => events = Some(number),
            ("--first", Some(number)) => first = number,
            _ => return usage(),
        }
    }
    let Some(events) = events else { return usage() };
    let began = Instant::now();
    let outcome = many::worlds(first, |_, so_far| so_far.events < events);
    println!("{}, from seed {first} on, in {:?}", outcome.shown(), began.elapsed());
    if outcome.failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{}", outcome.failures());
    ExitCode::FAILURE
}

fn usage() -> ExitCode {
    println!("say --events N, and --first SEED to begin elsewhere than at {FIRST}");
    ExitCode::FAILURE
}
