//! Random sets in the short form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::random::Dice;

/// Sets of a routine run.
const SETS: u64 = 4_000;

const NAMES: [&str; 6] = ["F", "A", "B", "C", "D", "é"];
const RANKS: [&str; 4] = ["reader", "member", "moderator", "steward"];

/// As many as the laws are tried on, at least.
pub(crate) fn asked() -> u64 {
    crate::laws::asked().unwrap_or(SETS)
}

pub(crate) fn random(seed: u64) -> Value {
    let mut dice = Dice::new(seed ^ 0x5e75);
    let mut making = Making {
        entries: Vec::new(),
        logs: BTreeMap::new(),
        grants: vec![("genesis".to_owned(), "F".to_owned(), RANKS.len())],
        removals: Vec::new(),
        forks: dice.roll(25),
        dice,
    };
    let size = 1 + making.dice.roll(50);
    for number in 0..size {
        making.entry(number);
    }
    json!({ "entries": making.entries })
}

struct Making {
    dice: Dice,
    entries: Vec<Value>,
    logs: BTreeMap<String, Vec<String>>,
    /// Id, whose, which rank.
    grants: Vec<(String, String, usize)>,
    removals: Vec<String>,
    forks: usize,
}

impl Making {
    fn entry(&mut self, number: usize) {
        let id = format!("{}{number}", ["e", "E", "x"][self.dice.roll(3)]);
        let one = self.dice.pick(&self.grants).unwrap().clone();
        let other = self.dice.pick(&self.grants).unwrap().clone();
        let (grant, mut device, rank) = if other.2 > one.2 { other } else { one };
        if self.dice.chance(4) {
            device = NAMES[self.dice.roll(NAMES.len())].to_owned();
        }
        let log = self.logs.entry(device.clone()).or_default().clone();
        let forks = if device == "F" { self.forks / 6 } else { self.forks };
        let prev = if !self.dice.chance(forks) {
            log.last()
        } else if self.dice.chance(20) {
            None
        } else {
            self.dice.pick(&log)
        };
        let mut entry = json!({"id": id, "device": device, "prev": prev, "grant": grant});
        if self.dice.chance(2) {
            // Under something that is no grant, or whose it is not.
            entry["grant"] = self.any().unwrap_or(json!("genesis"));
        }
        let subject = NAMES[self.dice.roll(NAMES.len())];
        let (kind, fields) = match self.dice.roll(100) {
            0..42 => {
                let below = if self.dice.chance(92) { rank.max(1) } else { RANKS.len() };
                let conferred = self.dice.roll(below);
                self.grants.push((id.clone(), subject.to_owned(), conferred));
                let some = if self.dice.chance(40) { 100 } else { 25 };
                let mut cites: Vec<Value> = Vec::new();
                for removal in &self.removals {
                    if self.dice.chance(some) {
                        cites.push(json!(removal));
                    }
                }
                if self.dice.chance(5) {
                    cites.extend(self.any());
                }
                let fields = json!({"subject": subject, "rank": RANKS[conferred], "cites": cites});
                ("grant", fields)
            }
            42..66 => {
                self.removals.push(id.clone());
                ("remove", json!({"subject": subject, "cuts": self.cuts(subject)}))
            }
            66..80 if !self.entries.is_empty() => ("pin", json!({"target": self.any().unwrap()})),
            _ => ("post", json!({})),
        };
        if self.dice.chance(50) {
            let mut inside = Map::new();
            inside.insert(kind.to_owned(), fields);
            entry["kind"] = Value::Object(inside);
        } else {
            entry["kind"] = json!(kind);
            entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        }
        self.logs.get_mut(&device).unwrap().push(id);
        self.entries.push(entry);
    }

    /// Any entry's id.
    fn any(&mut self) -> Option<Value> {
        self.dice.pick(&self.entries).map(|entry| entry["id"].clone())
    }

    /// Of the subject's device mostly its own newest; null and foreign ids now and then.
    fn cuts(&mut self, subject: &str) -> Value {
        let mut cuts = Map::new();
        for name in NAMES {
            if name != subject && !self.dice.chance(10) {
                continue;
            }
            let log = self.logs.get(name).cloned().unwrap_or_default();
            let head = match self.dice.roll(10) {
                0 => continue,
                1 => Value::Null,
                2 => self.any().unwrap_or(Value::Null),
                3..7 => json!(log.last()),
                _ => json!(self.dice.pick(&log)),
            };
            cuts.insert(name.to_owned(), head);
        }
        Value::Object(cuts)
    }
}

/// What happened in the sets.
#[derive(Default)]
pub(crate) struct Seen {
    entries: usize,
    counts: usize,
    suspended: usize,
    orphaned: usize,
    members: usize,
}

impl Seen {
    pub(crate) fn take(&mut self, set: &Value, answer: &Value) {
        let size = |value: &Value| value.as_array().unwrap().len();
        self.entries += size(&set["entries"]);
        self.counts += size(&answer["counts"]);
        self.suspended += size(&answer["suspended_denials"]);
        self.orphaned += size(&answer["orphaned"]);
        self.members += answer["members"].as_object().unwrap().len();
    }

    pub(crate) fn is_wide(&self, sets: u64) {
        let sets = usize::try_from(sets).unwrap();
        let Self { entries, counts, suspended, orphaned, members } = *self;
        let said = format!("{entries} {counts} {suspended} {orphaned} {members} of {sets} sets");
        assert!(entries > 20 * sets && counts > 8 * sets && counts < entries * 9 / 10, "{said}");
        assert!(suspended * 5 > sets && orphaned * 3 > sets && members > 2 * sets, "{said}");
    }
}
