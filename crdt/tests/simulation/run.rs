//! One run of a plan, and the search for the few steps of it that fail.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::plan::Step;
use crate::world::{Failure, World};

/// What a run came to.
#[derive(Default)]
pub struct Report {
    pub counts: BTreeMap<String, u64>,
    pub events: u64,
    pub bytes: u64,
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs a plan. A panic is a failure like any other.
pub fn run(seed: u64, plan: &[Step]) -> Result<Report, Failure> {
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !SILENT.get() {
                usual(info);
            }
        }));
    });
    SILENT.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| play(seed, plan)));
    SILENT.set(false);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let what = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Failure { invariant: "7", what: format!("panic: {}", what.unwrap_or_default()) })
    })
}

/// Runs a plan and prints what happens.
pub fn show(seed: u64, plan: &[Step]) {
    let mut world = World::found(seed);
    world.tracing = true;
    if let Err(failure) = finish(world, plan) {
        println!("invariant {}: {}", failure.invariant, failure.what);
    }
}

fn play(seed: u64, plan: &[Step]) -> Result<Report, Failure> {
    finish(World::found(seed), plan)
}

fn finish(mut world: World, plan: &[Step]) -> Result<Report, Failure> {
    for step in plan {
        if world.tracing {
            println!("{step:?}");
        }
        world.step(step);
        if world.failure.is_some() {
            break;
        }
    }
    if world.failure.is_none() {
        world.turn(u32::MAX);
        world.quiet();
    }
    match world.failure {
        Some(failure) => Err(failure),
        None => {
            Ok(Report { counts: world.counts, events: world.events, bytes: world.network.bytes })
        }
    }
}

/// Leaves out steps for as long as the same invariant still fails (delta debugging).
pub fn shrink(seed: u64, plan: &[Step], failure: &Failure) -> Vec<Step> {
    let fails = |plan: &[Step]| run(seed, plan).is_err_and(|f| f.invariant == failure.invariant);
    let mut left = plan.to_vec();
    let mut chunk = left.len().div_ceil(2);
    while chunk > 0 {
        let mut start = 0;
        let mut shorter = false;
        while start < left.len() {
            let mut without = left.clone();
            without.drain(start..(start + chunk).min(left.len()));
            if fails(&without) {
                left = without;
                shorter = true;
            } else {
                start += chunk;
            }
        }
        if !shorter || chunk > 1 {
            chunk /= 2;
        }
    }
    left
}

/// What a person needs to see of a failure.
pub fn explain(seed: u64, plan: &[Step]) -> String {
    let Err(failure) = run(seed, plan) else { return "it does not fail".to_owned() };
    let left = shrink(seed, plan, &failure);
    let shown = run(seed, &left).err().unwrap_or(failure);
    let steps: Vec<String> = left.iter().map(|step| format!("  {step:?}")).collect();
    format!(
        "seed {seed}: invariant {}: {}\n{} of {} steps are enough:\n{}\n\
         again: CAIRN_SEED={seed} cargo test -p cairn-crdt --test simulation replay -- --nocapture",
        shown.invariant,
        shown.what,
        left.len(),
        plan.len(),
        steps.join("\n"),
    )
}
