//! Law (d): everything counts or says by which rule and which entry it does not (A9).

use cairn_crdt::authority::{Authority, Counting, Rule};
use cairn_crdt::id::{EntryId, GrantId};
use cairn_crdt::log::entry::{Control, Kind};
use cairn_crdt::log::set::LogSet;

use crate::laws::{Report, Scene, ids};

pub(crate) const LAW: &str = "d: explained";

pub(crate) fn try_on(scene: &Scene, report: &mut Report) {
    let (set, authority) = (&scene.set, &scene.authority);
    for id in ids(set) {
        let counting = authority.counting(set, &id);
        let explained = match counting {
            Counting::Counts => true,
            Counting::Unknown => false,
            Counting::Suspended { rule, by }
            | Counting::Parked { rule, by }
            | Counting::Void { rule, by } => says(authority, set, &id, rule, &by),
        };
        let control = set.slot(&id).unwrap().kind.is_control();
        let listed = authority.not_counting().get(&id);
        let listed = listed == (control && !counting.counts()).then_some(&counting);
        report.hold(LAW, explained && listed, || {
            let kind = set.slot(&id).unwrap().kind;
            format!("set {}: {kind:?} is {counting:?}, listed: {listed}", scene.seed)
        });
    }
}

/// Whether an entry can be the one that makes `id` not count by this rule.
fn says(authority: &Authority, set: &LogSet, id: &EntryId, rule: Rule, by: &EntryId) -> bool {
    let Some(slot) = set.slot(id) else { return false };
    let control = set.control().get(by);
    let kind = set.slot(by).map(|slot| slot.kind);
    let same_log = set.place_of(by).map(|(device, _)| device) == set.place_of(id).map(|p| p.0);
    let cuts = matches!(
        kind,
        Some(Kind::REMOVE | Kind::REVOKE | Kind::REPLACE | Kind::LEAVE | Kind::ROOT)
    );
    // Any of the entries that carry the same act of the council may be named (A10).
    let acts = |a: &EntryId, b: &EntryId| match (set.control().get(a), set.control().get(b)) {
        (Some(Control::Root(a)), Some(Control::Root(b))) => a.action == b.action,
        _ => false,
    };
    let under = *by == slot.grant.entry() || acts(by, &slot.grant.entry());
    match rule {
        // The grant that it names, or itself if it names none or must not name one.
        Rule::L3 => under || by == id,
        Rule::L4 => by == id && control == Some(&Control::Unknown),
        Rule::I2 => kind == Some(Kind::CARD) && by != id && same_log,
        Rule::A1 => (under || by == id) && authority.grant(&GrantId::of(*by)).is_none(),
        Rule::A4 => cuts,
        Rule::A8 => kind == Some(Kind::UNLINK),
        // What was above it fell, by a cut, an unlinking or a pin.
        Rule::A3 => cuts || matches!(kind, Some(Kind::UNLINK | Kind::PIN)),
        Rule::A6 => kind == Some(Kind::PIN),
        // One of two that follow the same entry.
        Rule::A7 => set.place_of(by).is_some_and(|(device, seq)| {
            set.log(&device).is_some_and(|log| log.forked().contains(&(seq, *by)))
        }),
        Rule::A10 => kind == Some(Kind::ROOT) || !set.contains(by),
        Rule::C5 => slot.kind == Kind::ERASE,
    }
}
