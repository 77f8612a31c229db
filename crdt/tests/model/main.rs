//! Model checking: every group that can arise in a small scope, and not some of them.
//!
//! [`authority`] writes all sets of a few control entries, up to the names of those who write
//! them, and asks the real evaluation about each. [`epochs`] takes every way in which a few
//! replicas can admit, remove, write and hear of each other. What is larger than a routine run
//! bears is `cargo run --release -p cairn-crdt --example check -- --entries 6`.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

mod acts;
mod alphabet;
mod authority;
mod epochs;
mod laws;
#[path = "../authority/laws_explained.rs"]
mod laws_explained;
#[path = "../authority/laws_standing.rs"]
mod laws_standing;
#[expect(dead_code, reason = "the laws need less of it")]
#[path = "../authority/oracle.rs"]
mod oracle;
#[expect(dead_code, reason = "the laws need less of it")]
#[path = "../authority/parts.rs"]
mod parts;
#[expect(dead_code, reason = "the laws need less of it")]
#[path = "../authority/people.rs"]
mod people;
#[expect(dead_code, reason = "the laws need its dice")]
#[path = "../authority/random.rs"]
mod random;
mod replicas;
mod verdict;
mod views;
mod written;

use alphabet::Scope;

/// As many as there are: a change of the model shows.
#[test]
fn a9_every_set_of_three_entries_keeps_the_laws_also_with_acts_in_vain() {
    let scope = Scope { entries: 3, futile: true, forks: 4 };
    assert_eq!(authority::check(scope), 1 + 5 + 107 + 4202);
}

#[test]
fn a9_every_set_of_four_entries_keeps_the_laws() {
    let scope = Scope { entries: 4, futile: false, forks: 4 };
    assert_eq!(authority::check(scope), 1 + 5 + 93 + 2837 + 113_003);
}

#[test]
fn k2_however_entries_are_delivered_writers_use_an_epoch_for_their_readers() {
    assert_eq!(epochs::check(3), 80_915);
}
