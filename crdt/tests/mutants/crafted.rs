//! A million crafted changes (C3). None may panic past the check, and none may leave a document that
//! is rebuilt differently from another order, does not save, load and read, or that its honest
//! authors cannot go on with; `targets::changes` holds all that of each.

use std::collections::BTreeMap;
use std::panic::set_hook;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::targets::changes::{Craft, Outcome, Side, run};

/// Of each craft. The two tests run side by side.
const MUTANTS: usize = 500_000;

/// Panics that Automerge had on them and that the check caught.
static CAUGHT: AtomicUsize = AtomicUsize::new(0);

/// What became of the mutants.
#[derive(Debug, Default)]
struct Tally {
    unwritable: usize,
    unchanged: usize,
    refused: BTreeMap<String, usize>,
    passed: usize,
    void: BTreeMap<String, usize>,
    stood: usize,
}

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Unwritable => self.unwritable += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Refused(why) => *self.refused.entry(format!("{why:?}")).or_default() += 1,
            Outcome::Checked(sides) => {
                self.passed += 1;
                for side in sides {
                    match side {
                        Side::Stands => self.stood += 1,
                        Side::Void(why) => *self.void.entry(format!("{why:?}")).or_default() += 1,
                    }
                }
            }
        }
    }

    /// The mutants reach every layer of the defence, each of these often.
    fn holds(&self, refused: &[(&str, usize)], void: &[(&str, usize)]) {
        println!("{self:?}, {} panics caught", CAUGHT.load(Ordering::Relaxed));
        for (reasons, counts) in [(refused, &self.refused), (void, &self.void)] {
            for (reason, least) in reasons {
                let count = counts.get(*reason).copied().unwrap_or_default();
                assert!(count >= *least, "{reason}: {count} of {self:?}");
            }
        }
    }
}

/// So many random scripts.
fn mutate(craft: Craft, seed: u64) -> Tally {
    // Automerge panics on some of them: counted, and not worth printing.
    set_hook(Box::new(|info| {
        if info.location().is_some_and(|place| place.file().contains("/automerge-")) {
            CAUGHT.fetch_add(1, Ordering::Relaxed);
        } else {
            eprintln!("{info}");
        }
    }));
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut tally = Tally::default();
    let mut script = [0; 32];
    for _ in 0..MUTANTS {
        rng.fill_bytes(&mut script);
        // Mostly few edits: a change that is wrong in one place gets furthest.
        let length = 2 + usize::from(script[31] % 16);
        tally.count(run(craft, &script[..length]));
    }
    tally
}

#[test]
fn c3_no_mutant_panics_or_poisons_a_document() {
    let tally = mutate(Craft::Bytes, 3);
    let refused = [
        ("OutOfBounds", 1000),
        ("Unreadable", 1000),
        ("NotCanonical", 1000),
        ("OtherActor", 1000),
        ("Implausible", 300),
        ("OutsideProfile", 1000),
    ];
    tally.holds(&refused, &[("Missing", 1000), ("OutOfPlace", 100), ("Unknown", 100)]);
    assert!(tally.passed > 10_000 && tally.stood > 1000, "{tally:?}");
}

#[test]
fn c3_no_mutant_in_meaning_panics_or_poisons_a_document() {
    let tally = mutate(Craft::Meaning, 4);
    let refused = [("NotCanonical", 100), ("Implausible", 1000), ("OutsideProfile", 1000)];
    tally.holds(&refused, &[("Missing", 1000), ("OutOfPlace", 1000), ("Unknown", 1000)]);
    assert!(tally.passed > 10_000 && tally.stood > 1000, "{tally:?}");
}
