//! The evaluation of authority (A9): a script of acts, gathered in several orders.
//!
//! Whatever the acts: nothing panics; the order of arrival and repetition change nothing; runs of
//! the entries travel; and an evaluation that says it is not stale after an entry is not.

mod acts;
mod cast;

use cairn_crdt::authority::{Authority, Changes};
use cairn_crdt::id::{DeviceId, EntryId};
use cairn_crdt::log::entry::Kind;
use cairn_crdt::log::run::{Entry, Run, Verified};
use cairn_crdt::log::set::{Inserted, LogSet};

use super::script::Script;
use acts::Acts;
use cast::cast;

/// Most acts of one script.
const ACTS: usize = 40;

/// The target. First byte: what of the set is held.
pub fn evaluator(data: &[u8]) {
    let mut script = Script::new(data);
    let held = script.byte();
    let mut acts = Acts::new();
    while !script.is_over() && acts.entries.len() < ACTS {
        acts.act(&mut script);
    }
    if held.is_multiple_of(4) && !acts.entries.is_empty() {
        // One entry is missing, and with it all that follows on it.
        let gone = usize::from(held / 4) % acts.entries.len();
        acts.entries.remove(gone);
    }
    let entries: Vec<Verified<Entry>> =
        acts.entries.iter().map(|entry| entry.clone().from_store()).collect();
    let set = one_by_one(&entries);
    let authority = Authority::evaluate(&set);
    let mut turned = entries.clone();
    turned.reverse();
    same(&set, &authority, &turned);
    turned.rotate_left(entries.len() / 3);
    turned.extend(entries.iter().step_by(3).cloned());
    same(&set, &authority, &turned);
    everything_is_accounted_for(&set, &authority);
    travels(&acts.entries);
}

/// Puts entries into a set in this order; those that cannot be rooted yet wait.
fn gather(set: &mut LogSet, entries: &[Verified<Entry>]) {
    let mut waiting: Vec<&Verified<Entry>> = entries.iter().collect();
    loop {
        let before = waiting.len();
        waiting.retain(|entry| set.insert(entry) == Ok(Inserted::Unrooted));
        if waiting.len() == before {
            return;
        }
    }
}

/// The set, evaluated after every entry: what was not stale is as it was.
fn one_by_one(entries: &[Verified<Entry>]) -> LogSet {
    let mut set = cast().set.clone();
    let mut authority = Authority::evaluate(&set);
    for entry in entries {
        let id = entry.get().id;
        if !matches!(set.insert(entry), Ok(Inserted::New { .. })) {
            continue;
        }
        let now = Authority::evaluate(&set);
        if !authority.is_stale_after(&set, &id) {
            assert_eq!(now.members(), authority.members(), "not stale, and another answer");
            for other in ids(&set) {
                assert_eq!(now.counting(&set, &other), authority.counting(&set, &other));
            }
        }
        authority = now;
    }
    gather(&mut set, entries);
    set
}

fn ids(set: &LogSet) -> Vec<EntryId> {
    set.logs().values().flat_map(|log| log.iter().map(|(_, id, _)| id)).collect()
}

fn same(set: &LogSet, authority: &Authority, entries: &[Verified<Entry>]) {
    let mut other = cast().set.clone();
    gather(&mut other, entries);
    let again = Authority::evaluate(&other);
    assert_eq!(ids(&other), ids(set));
    assert_eq!(again.digest(), authority.digest(), "the order makes a difference");
    assert_eq!(again.changed_since(authority), Changes::default());
    for id in ids(set) {
        assert_eq!(again.counting(&other, &id), authority.counting(set, &id));
    }
}

/// Every entry has an author or says why not; every member is one by a grant that is known.
fn everything_is_accounted_for(set: &LogSet, authority: &Authority) {
    for id in ids(set) {
        let counting = authority.counting(set, &id);
        let kind = set.slot(&id).unwrap().kind;
        // No card stands before the genesis.
        let authored = kind == Kind::GENESIS || authority.author(set, &id).is_some();
        assert!(!counting.counts() || authored);
        let said = authority.not_counting().contains_key(&id);
        assert_eq!(said, kind.is_control() && !counting.counts());
    }
    for (member, standing) in authority.members() {
        assert!(authority.removed(member).is_none() && authority.was_member(member));
        for (grant, capability) in &standing.grants {
            assert_eq!(authority.grant(grant), Some((*member, *capability)));
        }
        for device in &standing.devices {
            assert_eq!(authority.member_of(device), Some(*member));
        }
    }
}

/// Every stretch of a log that follows without a break makes a run that is read and verified.
fn travels(entries: &[Entry]) {
    let group = cast().group;
    let mut devices: Vec<DeviceId> = entries.iter().map(|entry| entry.header.device).collect();
    devices.dedup();
    // Signing is dear: one log of each script.
    let Some(device) = devices.first() else { return };
    let Some(key) = cast().key_of(device) else { return };
    let mut log: Vec<Entry> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.header.device == *device) {
        let follows = log.last().is_none_or(|last| last.id == entry.header.prev);
        if follows && entry.header.kind != Kind::GENESIS {
            log.push(entry.clone());
        }
    }
    let Some(last) = log.last_mut() else { return };
    let payload = last.payload.clone().unwrap_or_default();
    *last = Entry::author(key, last.header.clone(), payload).into_inner();
    let run = Run::new(&log, true).unwrap();
    let read = Run::from_bytes(&run.to_bytes()).unwrap();
    assert_eq!(read, run);
    let verified = read.verify(group).unwrap();
    let verified: Vec<Entry> = verified.into_iter().map(Verified::into_inner).collect();
    assert_eq!(verified, log);
}
