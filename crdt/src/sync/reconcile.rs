//! What one side lacks, and what leads there (S2). Pure functions of the two sides' frontiers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::codec::List;
use crate::id::{DeviceId, EntryId, MemberId};
use crate::limits::{DEVICES, LOCATOR_IDS, WANTED_RANGES};
use crate::log::entry::Control;
use crate::log::frontier::Frontier;
use crate::log::set::{Log, LogSet};
use crate::sync::message::{Range, Want};

/// What a replica lacks of another's frontier.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Difference {
    /// One for each tip that is not held.
    pub wants: Vec<Want>,
    /// About how many entries are lacking.
    pub entries: u64,
}

/// What `set` lacks of `theirs`. With `only`, of that device's log alone.
#[must_use]
pub fn difference(set: &LogSet, theirs: &Frontier, only: Option<DeviceId>) -> Difference {
    let mut found = Difference::default();
    for (device, tips) in theirs.0.iter() {
        if only.is_some_and(|only| only != *device) {
            continue;
        }
        let log = set.log(device);
        for tip in tips {
            if set.contains(&tip.entry) || found.wants.len() >= DEVICES {
                continue;
            }
            let held = log.and_then(|log| log.heads().last()).map_or(0, |(seq, _)| *seq);
            let lacking = tip.seq.saturating_sub(held).max(1);
            found.entries = found.entries.saturating_add(lacking);
            let have = log.map(locator).unwrap_or_default();
            found.wants.push(Want { device: *device, head: tip.entry, have });
        }
    }
    found
}

/// Entries of a log that tell another where to begin: its tips, then ever further back.
fn locator(log: &Log) -> List<EntryId, LOCATOR_IDS> {
    let mut ids: Vec<EntryId> = log.heads().iter().rev().map(|(_, id)| *id).take(8).collect();
    if let Some((head_seq, head)) = log.heads().last().copied() {
        let mut back: u64 = 1;
        while ids.len() < LOCATOR_IDS {
            let Some(seq) = head_seq.checked_sub(back) else { break };
            ids.extend(log.ancestor(head_seq, &head, seq));
            back = back.saturating_mul(2);
        }
    }
    List::new(ids).unwrap_or_default()
}

/// The entries that lead from what the other side has to the tip that it wants, in order. Empty if
/// the tip is not held.
#[must_use]
pub fn path(set: &LogSet, want: &Want) -> Vec<EntryId> {
    let (Some(log), Some((device, head_seq))) = (set.log(&want.device), set.place_of(&want.head))
    else {
        return Vec::new();
    };
    if device != want.device {
        return Vec::new();
    }
    let begin = want
        .have
        .iter()
        .filter_map(|id| set.place_of(id).map(|(device, seq)| (device, seq, *id)))
        .filter(|(device, seq, id)| {
            *device == want.device && log.on_path(head_seq, &want.head, *seq, id)
        })
        .map(|(_, seq, _)| seq.saturating_add(1))
        .max()
        .unwrap_or(0);
    let mut ids = Vec::new();
    let (mut seq, mut id) = (head_seq, want.head);
    while seq >= begin {
        ids.push(id);
        let Some(slot) = log.slot(seq, &id) else { break };
        id = slot.prev;
        match seq.checked_sub(1) {
            Some(before) => seq = before,
            None => break,
        }
    }
    ids.reverse();
    ids
}

/// The devices of a set in an order in which every log comes after one that holds a grant of its
/// member: the founder's first. A log that is never granted comes last.
#[must_use]
pub fn granting_order(set: &LogSet) -> BTreeMap<DeviceId, usize> {
    let mut devices_of: BTreeMap<MemberId, Vec<DeviceId>> = BTreeMap::new();
    let mut granted_in: BTreeMap<DeviceId, Vec<MemberId>> = BTreeMap::new();
    let mut queue: VecDeque<DeviceId> = VecDeque::new();
    for (id, control) in set.control() {
        let Some((device, _)) = set.place_of(id) else { continue };
        match control {
            Control::Genesis(_) => queue.push_back(device),
            Control::Card(card) => devices_of.entry(card.member).or_default().push(device),
            Control::Grant(grant) => granted_in.entry(device).or_default().push(grant.subject),
            Control::Replace(replace) => {
                granted_in.entry(device).or_default().push(replace.with.subject);
            }
            _ => {}
        }
    }
    let mut order = BTreeMap::new();
    while let Some(device) = queue.pop_front() {
        if order.contains_key(&device) {
            continue;
        }
        order.insert(device, order.len());
        for member in granted_in.get(&device).into_iter().flatten() {
            queue.extend(devices_of.get(member).into_iter().flatten());
        }
    }
    for device in set.logs().keys() {
        let last = order.len();
        order.entry(*device).or_insert(last);
    }
    order
}

/// The fewest ranges that cover these entries.
#[must_use]
pub fn ranges(set: &LogSet, entries: impl Iterator<Item = EntryId>) -> Vec<Range> {
    let mut places: Vec<(DeviceId, u64)> = entries.filter_map(|id| set.place_of(&id)).collect();
    places.sort_unstable();
    let mut ranges: Vec<Range> = Vec::new();
    for (device, seq) in places {
        let room = ranges.len() < WANTED_RANGES;
        match ranges.last_mut() {
            Some(last) if last.device == device && seq <= last.to.saturating_add(1) => {
                last.to = seq;
            }
            _ if room => ranges.push(Range { device, from: seq, to: seq }),
            _ => break,
        }
    }
    ranges
}

/// The content entries in these ranges, each once.
#[must_use]
pub fn entries_in(set: &LogSet, ranges: &[Range]) -> BTreeSet<EntryId> {
    let mut found = BTreeSet::new();
    for range in ranges {
        let Some(log) = set.log(&range.device) else { continue };
        let inside = log.between(range.from, range.to);
        found.extend(inside.filter(|(_, slot)| !slot.kind.is_control()).map(|(id, _)| id));
    }
    found
}
