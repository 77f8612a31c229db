//! The conformance suite: situations that broke other systems, each found by its number, and what
//! the rules make of them.
//!
//! The scenarios about permission are here. Each is evaluated in every order in which its entries
//! can arrive, those that come before what they follow included: in all orders if there are at most
//! eight entries, cards and genesis among them, in a thousand random ones otherwise. The scenarios
//! about reading and exchanging are with the whole replicas (`tests/replica/scenarios_*.rs`).

use std::fs;
use std::path::Path;

use cairn_crdt::authority::Authority;
use cairn_crdt::log::set::LogSet;

use crate::parts::{Part, Parts};
use crate::people::{Answer, Group};
use crate::random::Dice;

mod cuts;
mod forks;
mod grants;
mod sets;

/// Entries of which every order is tried.
const ALL_ORDERS: usize = 8;
/// Orders that are tried of more.
const ORDERS: u64 = 1000;

impl Group {
    /// The answer, which is the same in every order.
    fn in_every_order(&self) -> Answer {
        let parts = Parts::of(self, LogSet::new(self.id));
        let set = parts.set();
        let authority = Authority::evaluate(&set);
        let same = |order: &[&Part]| {
            let other = Authority::evaluate(&parts.gather(order));
            assert_eq!(other.digest(), authority.digest());
        };
        if parts.all.len() <= ALL_ORDERS {
            every_order(&mut parts.all.iter().collect::<Vec<_>>(), same);
        } else {
            let mut dice = Dice::new(0);
            (0..ORDERS).for_each(|_| same(&parts.shuffled(&mut dice)));
        }
        Answer { set, authority }
    }
}

/// Heap's algorithm: each order is one exchange away from the one before.
fn every_order<T: Copy>(items: &mut [T], mut each: impl FnMut(&[T])) {
    let mut turns = vec![0; items.len()];
    each(items);
    let mut at = 1;
    while at < items.len() {
        if turns[at] < at {
            items.swap(if at % 2 == 0 { 0 } else { turns[at] }, at);
            each(items);
            turns[at] += 1;
            at = 1;
        } else {
            turns[at] = 0;
            at += 1;
        }
    }
}

#[test]
fn every_order_is_every_order() {
    let mut seen = std::collections::BTreeSet::new();
    every_order(&mut [1, 2, 3, 4, 5], |order| assert!(seen.insert(order.to_vec())));
    assert_eq!(seen.len(), 120);
}

/// All tests of a folder of sources, one after the other.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn no_scenario_is_left_out() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut text = String::new();
    sources(&tests.join("authority"), &mut text);
    sources(&tests.join("replica"), &mut text);
    let tests: Vec<&str> = text
        .split("#[test]\n")
        .skip(1)
        .filter_map(|test| test.split_once("fn ")?.1.split_once('('))
        .map(|(name, _)| name)
        .collect();
    for number in 1..=52 {
        let name = format!("scenario_{number:02}_");
        assert!(tests.iter().any(|test| test.starts_with(&name)), "{name} is missing");
    }
}
