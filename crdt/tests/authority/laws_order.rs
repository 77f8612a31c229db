//! Law (a): order, repetition and batches change nothing (A9, A11).

use cairn_crdt::authority::{Authority, Changes, Counting};
use cairn_crdt::id::EntryId;
use cairn_crdt::log::set::LogSet;

use crate::laws::{Report, Scene, ids};
use crate::parts::Part;
use crate::people::{Group, gather, shuffled};

pub(crate) const LAW: &str = "a: order, repetition, batches";

pub(crate) fn try_on(scene: &mut Scene, group: &Group, report: &mut Report) {
    let parts = scene.parts.clone();
    // Out of order, with repetitions.
    let order = parts.shuffled(&mut scene.dice);
    same(scene, "shuffled", &parts.gather(&order), report);
    // Each log from its end, the youngest first: everything waits for its beginning.
    let backwards: Vec<&Part> = parts.all.iter().rev().collect();
    same(scene, "backwards", &parts.gather(&backwards), report);
    // In batches, with an evaluation after each, the same entries coming again in the next.
    let order = parts.shuffled(&mut scene.dice);
    let mut set = LogSet::new(parts.group);
    let mut waiting: Vec<&Part> = Vec::new();
    for batch in order.chunks(1 + scene.dice.roll(order.len())) {
        waiting.extend(batch);
        parts.add(&mut set, &waiting);
        let _ = Authority::evaluate(&set);
    }
    same(scene, "batches", &set, report);
    if scene.seed.is_multiple_of(50) {
        // As entries come from the network: every one checked anew.
        let set = gather(group.id, &shuffled(&group.entries, scene.seed));
        same(scene, "from the network", &set, report);
    }
}

fn same(scene: &Scene, how: &str, other: &LogSet, report: &mut Report) {
    let again = Authority::evaluate(other);
    let counting = |set: &LogSet, authority: &Authority| -> Vec<(EntryId, Counting)> {
        ids(set).map(|id| (id, authority.counting(set, &id))).collect()
    };
    let alike = again.digest() == scene.authority.digest()
        && again.members() == scene.authority.members()
        && counting(other, &again) == counting(&scene.set, &scene.authority)
        && again.changed_since(&scene.authority) == Changes::default();
    report.hold(LAW, alike, || format!("set {}, {how}: another answer", scene.seed));
}
