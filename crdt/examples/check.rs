//! Model checking in a larger scope than the routine run takes.
//!
//! `cargo run --release -p cairn-crdt --example check -- --entries 6` takes every set of up to six
//! control entries of a founder and three others, up to the names of the three, and tries the laws
//! of authority on each. `--forks N`: how many logs may fork, each once (4 unless said). `--futile`
//! adds the acts that the rules give no effect. It prints how many states there were, or ends with
//! the shortest way to one where a law does not hold. Six entries take hours and much memory; five,
//! or six with `--forks 0`, far less.
//!
//! `--epochs N` instead takes every way in which four replicas can write up to N entries that
//! change who reads or mint an epoch, and have them delivered.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test of the rules, at length"
)]

#[path = "../tests/model/acts.rs"]
mod acts;
#[path = "../tests/model/alphabet.rs"]
mod alphabet;
#[path = "../tests/model/authority.rs"]
mod authority;
#[path = "../tests/model/epochs.rs"]
mod epochs;
#[path = "../tests/model/laws.rs"]
mod laws;
#[path = "../tests/authority/laws_explained.rs"]
mod laws_explained;
#[path = "../tests/authority/laws_standing.rs"]
mod laws_standing;
#[expect(dead_code, reason = "the laws need less of it")]
#[path = "../tests/authority/oracle.rs"]
mod oracle;
#[expect(dead_code, reason = "the laws need less of it")]
#[path = "../tests/authority/parts.rs"]
mod parts;
#[expect(dead_code, reason = "the laws need less of it")]
#[path = "../tests/authority/people.rs"]
mod people;
#[expect(dead_code, reason = "the laws need its dice")]
#[path = "../tests/authority/random.rs"]
mod random;
#[path = "../tests/model/replicas.rs"]
mod replicas;
#[path = "../tests/model/verdict.rs"]
mod verdict;
#[path = "../tests/model/views.rs"]
mod views;
#[path = "../tests/model/written.rs"]
mod written;

use std::time::Instant;

use alphabet::Scope;

fn main() {
    let mut scope = Scope { entries: 6, futile: false, forks: 4 };
    let mut epochs = None;
    let mut words = std::env::args().skip(1);
    let number = |word: Option<String>| -> usize {
        word.and_then(|word| word.parse().ok()).expect("a number follows")
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--entries" => scope.entries = number(words.next()).min(7),
            "--forks" => scope.forks = number(words.next()),
            "--futile" => scope.futile = true,
            "--epochs" => epochs = Some(number(words.next())),
            _ => panic!("{word}: say --entries N, --forks N, --futile or --epochs N"),
        }
    }
    let began = Instant::now();
    match epochs {
        Some(entries) => {
            let states = epochs::check(entries);
            println!("{entries} entries: {states} states keep K2 and K4, in {:?}", began.elapsed());
        }
        None => {
            let states = authority::check(scope);
            println!("{scope:?}: {states} states keep the laws, in {:?}", began.elapsed());
        }
    }
}
