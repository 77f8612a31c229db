//! What is asked about one state.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::authority::{Authority, Counting};
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::id::{GrantId, MemberId};
use cairn_crdt::log::entry::{Control, Kind};
use cairn_crdt::log::set::LogSet;

use crate::acts::{State, Word};
use crate::laws::{Report, Scene};
use crate::oracle::{self, Oracle};
use crate::parts::Part;
use crate::people::{FAY, gather, member};
use crate::random::Dice;
use crate::written::Written;
use crate::{laws_explained, laws_standing};

pub(crate) const ORDER: &str = "a9: order changes nothing";
pub(crate) const ORACLE: &str = "a9: the text of the rules says the same";
pub(crate) const FOUNDER: &str = "a2: nobody but the founder unseats the founder";
pub(crate) const DENIED: &str = "a2, a3: what a denial ends stays ended";
pub(crate) const TAKES: &str = "a2: the first denial gives nobody anything";

/// Orders of arrival that are tried of more than four entries.
const ORDERS: usize = 24;

thread_local! {
    /// All properties ask about a state, one after the other.
    static LAST: RefCell<Option<(State, Report)>> = const { RefCell::new(None) };
}

/// Asks about the verdict on a state.
pub(crate) fn ask<T>(state: &State, question: impl FnOnce(&Report) -> T) -> T {
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|(of, _)| of != state) {
            *last = None;
        }
        let (_, report) = last.get_or_insert_with(|| (state.clone(), judge(state)));
        question(report)
    })
}

fn judge(state: &State) -> Report {
    let written = Written::of(state);
    let new = written.parts.all[written.before..].iter().collect::<Vec<_>>();
    let mut set = written.opened.clone();
    written.parts.add(&mut set, &new);
    let authority = Authority::evaluate(&set);
    let mut report = Report::default();
    orders(&written, &new, (&set, &authority), &mut report);
    compare(&set, &authority, &mut report);
    founder(state, &authority, &mut report);
    denied(&set, &authority, &mut report);
    let parts = written.parts.clone();
    for tip in parts.tips().into_iter().filter(|tip| new.iter().any(|part| part.id == tip.id)) {
        let rest: Vec<&Part> = new.iter().filter(|part| part.id != tip.id).copied().collect();
        let mut fewer = written.opened.clone();
        written.parts.add(&mut fewer, &rest);
        let before = Authority::evaluate(&fewer);
        // A head that is not held, too.
        compare(&fewer, &before, &mut report);
        takes(tip, (&fewer, &before), (&set, &authority), &mut report);
    }
    seen(&set, &authority, &mut report);
    let mut scene = Scene { seed: 0, parts, set, authority, dice: Dice::new(0) };
    laws_standing::try_on(&mut scene, &mut report);
    laws_explained::try_on(&scene, &mut report);
    report
}

/// Everything that a set holds.
type Contents = (Vec<(u64, [u8; 32])>, Vec<Vec<(u64, [u8; 32])>>, Vec<[u8; 32]>, u32, [u8; 16]);

fn contents(set: &LogSet) -> Contents {
    let logs = set.logs().values();
    let entries = logs.clone().flat_map(|log| log.iter().map(|(seq, id, _)| (seq, *id.as_bytes())));
    let shapes = logs.map(|log| {
        let marked = log.heads().iter().chain(log.forked());
        marked.map(|(seq, id)| (*seq, *id.as_bytes())).collect()
    });
    let control = set.control().keys().map(|id| *id.as_bytes());
    let seen = set.seen();
    (entries.collect(), shapes.collect(), control.collect(), seen.count, seen.digest)
}

fn orders(
    written: &Written,
    new: &[&Part],
    (set, authority): (&LogSet, &Authority),
    report: &mut Report,
) {
    let whole = contents(set);
    let mut same = true;
    for (nth, order) in permutations(new).into_iter().enumerate() {
        let mut other = written.opened.clone();
        written.parts.add(&mut other, &order);
        same &= contents(&other) == whole;
        if nth % 12 == 7 {
            same &= Authority::evaluate(&other).digest() == authority.digest();
        }
    }
    // As they come from the network: every one signed, read and checked; the last ones first.
    if new.len() <= 2 {
        let mut signed = written.signed();
        signed.reverse();
        let other = gather(set.group(), &signed);
        same &= contents(&other) == whole;
        same &= Authority::evaluate(&other).digest() == authority.digest();
    }
    report.hold(ORDER, same, String::new);
}

/// All orders of few, some of many.
fn permutations<'a>(of: &[&'a Part]) -> Vec<Vec<&'a Part>> {
    let mut all: Vec<Vec<&Part>> = vec![Vec::new()];
    for (nth, part) in of.iter().enumerate() {
        let mut longer = Vec::new();
        for order in all {
            for at in 0..=nth {
                let mut order = order.clone();
                order.insert(at, *part);
                longer.push(order);
            }
        }
        let step = longer.len().div_ceil(ORDERS);
        all = longer.into_iter().step_by(step).collect();
    }
    all
}

/// The oracle says nothing of cards.
fn compare(set: &LogSet, authority: &Authority, report: &mut Report) {
    let oracle = Oracle::new(set);
    let mut agree = true;
    let mut orphaned = BTreeSet::new();
    for (id, control) in set.control() {
        if matches!(control, Control::Card(_)) {
            continue;
        }
        let state = match authority.counting(set, id) {
            Counting::Counts => oracle::State::Live,
            Counting::Suspended { .. } => oracle::State::Suspended,
            Counting::Parked { .. } => oracle::State::Parked,
            Counting::Void { .. } => oracle::State::Void,
            Counting::Unknown => {
                agree = false;
                continue;
            }
        };
        agree &= state == oracle.state(id);
        if state == oracle::State::Parked {
            report.coverage.add("parked");
        }
        if oracle.orphaned(id) {
            orphaned.insert(*id);
        }
    }
    agree &= *authority.orphaned() == orphaned;
    let members: BTreeMap<MemberId, BTreeSet<GrantId>> = authority
        .members()
        .iter()
        .map(|(member, standing)| (*member, standing.grants.keys().copied().collect()))
        .collect();
    agree &= oracle.members() == members;
    report.hold(ORACLE, agree, String::new);
}

/// No council acts here, so nobody stands above the founder.
fn founder(state: &State, authority: &Authority, report: &mut Report) {
    let left = |act: &crate::acts::Act| act.by == 0 && matches!(act.word, Word::Leave { .. });
    let stays = authority.rank_of(&member(FAY)) == Some(Rank::Founder);
    let left = state.acts().iter().any(left);
    report.hold(FOUNDER, stays != left, String::new);
}

/// Said of the answer alone: no live grant is one that a denial of higher rank, that denies, ends.
fn denied(set: &LogSet, authority: &Authority, report: &mut Report) {
    for (id, control) in set.control() {
        if !authority.counting(set, id).denies() {
            continue;
        }
        let under = set.slot(id).and_then(|slot| authority.grant(&slot.grant));
        let Some((_, by)) = under.filter(|(_, by)| by.abilities.contains(Abilities::REMOVE)) else {
            continue;
        };
        for (member, standing) in authority.members() {
            for (grant, capability) in &standing.grants {
                let cites = match set.control().get(&grant.entry()) {
                    Some(Control::Grant(grant)) => grant.cites.as_slice(),
                    Some(Control::Replace(replace)) => replace.with.cites.as_slice(),
                    _ => &[],
                };
                let ends = match control {
                    Control::Remove(remove) => {
                        let issuer = authority.grant(&capability.issued_under);
                        let issuer = issuer.map(|(_, issuer)| issuer.rank);
                        let escapes = cites.contains(id) && issuer >= Some(by.rank);
                        remove.subject == *member && !escapes
                    }
                    Control::Revoke(revoke) => revoke.grant == *grant,
                    Control::Replace(replace) => replace.grant == *grant,
                    _ => false,
                };
                report.hold(DENIED, !ends || capability.rank >= by.rank, String::new);
            }
        }
    }
}

/// Where nothing was denied, selected or left before, and no log is forked, a removal or
/// revocation makes nothing count that did not, and nobody a member. Of a forked log its cut
/// selects a branch, as a pin does (A7).
fn takes(
    tip: &Part,
    (fewer, before): (&LogSet, &Authority),
    (set, after): (&LogSet, &Authority),
    report: &mut Report,
) {
    let states = |kind: &Kind| {
        matches!(*kind, Kind::REMOVE | Kind::REVOKE | Kind::REPLACE | Kind::PIN | Kind::LEAVE)
    };
    let first = !fewer.control().keys().any(|id| fewer.slot(id).is_some_and(|s| states(&s.kind)));
    let forked = set.logs().values().any(|log| log.fork_seq().is_some());
    if !first || forked || !matches!(tip.slot.kind, Kind::REMOVE | Kind::REVOKE) {
        return;
    }
    let live = |authority: &Authority| -> BTreeSet<GrantId> {
        let members = authority.members().values();
        members.flat_map(|standing| standing.grants.keys().copied()).collect()
    };
    let fresh = live(after).difference(&live(before)).count();
    let more = fewer.control().keys().any(|id| {
        let was = before.counting(fewer, id);
        after.counting(set, id).counts() && !was.counts() && !was.denies()
    });
    report.hold(TAKES, fresh == 0 && !more, String::new);
}

/// What has to happen somewhere, or nothing is proved.
fn seen(set: &LogSet, authority: &Authority, report: &mut Report) {
    if !authority.suspended_denials().is_empty() {
        report.coverage.add("a suspended denial");
    }
    if !authority.orphaned().is_empty() {
        report.coverage.add("an orphaned denial");
    }
    let live = authority.members().values().flat_map(|standing| standing.grants.keys());
    let cites = |grant: &GrantId| {
        let control = set.control().get(&grant.entry());
        matches!(control, Some(Control::Grant(grant)) if !grant.cites.as_slice().is_empty())
    };
    if live.into_iter().any(cites) {
        report.coverage.add("a member who was removed is back");
    }
    let forks = authority.forks().keys().filter_map(|device| set.log(device));
    let chosen = |log: &cairn_crdt::log::set::Log| {
        let mut forked = log.forked().iter();
        forked.any(|(_, id)| matches!(authority.counting(set, id), Counting::Void { .. }))
            && log.forked().iter().any(|(_, id)| authority.counting(set, id).counts())
    };
    if forks.into_iter().any(chosen) {
        report.coverage.add("a branch selected");
    }
    if authority.members().is_empty() {
        report.coverage.add("a group without members");
    }
}
