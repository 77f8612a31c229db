//! The laws: what must hold for every set of entries, over random ones with forks.
//!
//! Each set is made once and all laws are tried on it; the tests below only look at what was
//! found. A routine run takes 10,000 sets. `CAIRN_LAW_SETS=1000000 cargo test --release -p
//! cairn-crdt --test authority law_` takes a million, with other sets than the first ten thousand
//! after those.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use cairn_crdt::authority::Authority;
use cairn_crdt::id::EntryId;
use cairn_crdt::log::set::LogSet;

use crate::coverage::Coverage;
use crate::parts::Parts;
use crate::random::{Dice, group, read};
use crate::{laws_explained, laws_order, laws_partial, laws_standing};

/// Sets of a routine run.
const SETS: u64 = 10_000;
/// Entries of a set, besides cards.
const SIZE: usize = 32;

/// One random set and everything that the laws ask about it.
pub(crate) struct Scene {
    pub(crate) seed: u64,
    pub(crate) parts: Parts,
    pub(crate) set: LogSet,
    pub(crate) authority: Authority,
    pub(crate) dice: Dice,
}

/// All entries of a set.
pub(crate) fn ids(set: &LogSet) -> impl Iterator<Item = EntryId> {
    set.logs().values().flat_map(|log| log.iter().map(|(_, id, _)| id))
}

/// What a run over sets found.
#[derive(Default)]
pub(crate) struct Report {
    sets: u64,
    broken: BTreeMap<&'static str, Vec<String>>,
    pub(crate) coverage: Coverage,
}

impl Report {
    /// Notes that a law does not hold.
    pub(crate) fn hold(&mut self, law: &'static str, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            let broken = self.broken.entry(law).or_default();
            if broken.len() < 5 {
                broken.push(why());
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.sets += other.sets;
        self.coverage.merge(other.coverage);
        for (law, mut broken) in other.broken {
            self.broken.entry(law).or_default().append(&mut broken);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests may be asked for more; the core may not")]
pub(crate) fn asked() -> Option<u64> {
    let asked = std::env::var("CAIRN_LAW_SETS").ok();
    asked.map(|asked| asked.parse().expect("CAIRN_LAW_SETS is a number of sets"))
}

fn sets() -> u64 {
    asked().unwrap_or(SETS)
}

fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let sets = sets();
        let mut all = Report::default();
        std::thread::scope(|scope| {
            let share =
                |first| move || run((first..sets).step_by(usize::try_from(threads).unwrap()));
            let workers: Vec<_> = (0..threads).map(|first| scope.spawn(share(first))).collect();
            for worker in workers {
                all.merge(worker.join().expect("the evaluation is total"));
            }
        });
        all
    })
}

fn run(seeds: impl Iterator<Item = u64>) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let group = group(seed, SIZE);
        let parts = read(&group);
        let set = parts.set();
        let authority = Authority::evaluate(&set);
        let mut scene = Scene { seed, parts, set, authority, dice: Dice::new(!seed) };
        report.sets += 1;
        report.coverage.take(&scene);
        laws_order::try_on(&mut scene, &group, &mut report);
        laws_standing::try_on(&mut scene, &mut report);
        laws_explained::try_on(&scene, &mut report);
        laws_partial::try_on(&mut scene, &mut report);
    }
    report
}

fn holds(law: &str) {
    let report = report();
    assert_eq!(report.sets, sets());
    if let Some(broken) = report.broken.get(law) {
        panic!("{}", broken.join("\n"));
    }
}

#[test]
fn law_a_order_repetition_and_batches_change_nothing() {
    holds(laws_order::LAW);
}

#[test]
fn law_b_one_entry_revives_only_what_a_lower_rank_or_its_own_author_ended() {
    holds(laws_standing::REVIVAL);
}

#[test]
fn law_c_one_entry_changes_the_standing_of_nobody_who_ranks_as_high() {
    holds(laws_standing::STANDING);
}

#[test]
fn law_d_everything_counts_or_says_by_which_rule_and_entry_it_does_not() {
    holds(laws_explained::LAW);
}

#[test]
fn law_e_a_part_of_a_set_evaluates_and_the_rest_leads_to_the_same() {
    holds(laws_partial::LAW);
}

/// Nothing is proved by sets in which it does not happen.
#[test]
fn law_sets_hold_every_kind_every_standing_and_every_change() {
    let report = report();
    report.coverage.is_wide(report.sets);
}
