//! Many worlds, one after the other on every core.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::{self, Faults, Size};
use crate::run;

/// Of what size the worlds are.
pub const SIZE: Size = Size { people: 2, steps: 25 };

/// Worlds with keepers take several times as long: the routine run has so many, the first.
const WITH_KEEPERS: u64 = 190;
/// From this seed on, where the long run begins, all have them that may.
pub const AT_LENGTH: u64 = 1_000_000;

/// Worlds in which keepers, or those who use them, have once shown a mistake.
pub const SHOWN: [u64; 12] = [
    304, 760, 1_000_262, 1_000_517, 1_000_694, 1_000_733, 1_001_274, 1_001_648, 1_001_684,
    1_001_704, 1_002_748, 1_003_954,
];

pub fn faults(seed: u64) -> Faults {
    let keepers = seed <= WITH_KEEPERS || seed >= AT_LENGTH || SHOWN.contains(&seed);
    Faults { rollback: true, malice: true, keepers }
}

/// Failures after which no further world is tried.
const ENOUGH: usize = 4;

/// What became of all of them.
#[derive(Default)]
pub struct Outcome {
    pub counts: BTreeMap<String, u64>,
    pub worlds: u64,
    pub events: u64,
    /// Seeds that failed, rising.
    pub failed: Vec<u64>,
}

/// Tries the worlds of the seeds from `first` on, as long as `go_on` says so of a seed and of what
/// has come out so far.
pub fn worlds(first: u64, go_on: impl Fn(u64, &Outcome) -> bool + Sync) -> Outcome {
    let next = AtomicU64::new(first);
    let outcome: Mutex<Outcome> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    {
                        let so_far = outcome.lock().unwrap();
                        if so_far.failed.len() >= ENOUGH || !go_on(seed, &so_far) {
                            break;
                        }
                    }
                    let plan = plan::expand(seed, SIZE, faults(seed));
                    let result = run::run(seed, &plan);
                    let mut outcome = outcome.lock().unwrap();
                    match result {
                        Ok(report) => outcome.add(report),
                        Err(why) => {
                            println!("seed {seed} fails: {}: {}", why.invariant, why.what);
                            outcome.failed.push(seed);
                        }
                    }
                }
            });
        }
    });
    let mut outcome = outcome.into_inner().unwrap();
    outcome.failed.sort_unstable();
    outcome
}

impl Outcome {
    fn add(&mut self, report: run::Report) {
        for (what, count) in report.counts {
            *self.counts.entry(what).or_default() += count;
        }
        *self.counts.entry("bytes".to_owned()).or_default() += report.bytes;
        self.events += report.events;
        self.worlds += 1;
    }

    /// What happened how often, a line each.
    pub fn shown(&self) -> String {
        let all = self.counts.iter().map(|(what, count)| format!("{count:>10} {what}\n"));
        let events = format!("{:>10} events in {} worlds", self.events, self.worlds);
        all.chain([events]).collect()
    }

    /// Every failure with the steps that are enough and how to play it again.
    pub fn failures(&self) -> String {
        let explain = |seed: &u64| run::explain(*seed, &plan::expand(*seed, SIZE, faults(*seed)));
        self.failed.iter().map(explain).collect::<Vec<_>>().join("\n\n")
    }
}
