//! Law (e): a part of a set evaluates, and the rest leads to the same (A9).

use cairn_crdt::authority::Authority;

use crate::laws::{Report, Scene, ids};

pub(crate) const LAW: &str = "e: parts";

pub(crate) fn try_on(scene: &mut Scene, report: &mut Report) {
    let parts = scene.parts.clone();
    let some = parts.broken_off(&mut scene.dice);
    let mut set = parts.gather(&some);
    let part = Authority::evaluate(&set);
    report.coverage.take_standings(&set, &part);
    let known =
        ids(&set).all(|id| part.counting(&set, &id) != cairn_crdt::authority::Counting::Unknown);
    report.hold(LAW, known, || format!("set {}: an entry of a part is not known", scene.seed));
    let rest = parts.shuffled(&mut scene.dice);
    parts.add(&mut set, &rest);
    let whole = Authority::evaluate(&set);
    report.hold(LAW, whole.digest() == scene.authority.digest(), || {
        format!("set {}: a part leads elsewhere", scene.seed)
    });
}
