//! What happens in the random sets, counted: a law that is tried on nothing proves nothing.

use std::collections::BTreeMap;

use cairn_crdt::authority::{Authority, Counting};
use cairn_crdt::capability::grant::RootAction;
use cairn_crdt::capability::revocation::{Cut, PinRight};
use cairn_crdt::log::entry::Control;
use cairn_crdt::log::set::LogSet;

use crate::laws::{Scene, ids};

#[derive(Default)]
pub(crate) struct Coverage(BTreeMap<String, u64>);

/// What has to happen at least this often in a thousand sets.
const WANTED: [(&str, u64); 46] = [
    ("a forked log", 400),
    ("a log with several forks", 50),
    ("a log that opens twice", 10),
    ("a member with several devices", 300),
    ("grant", 5000),
    ("grant that cites", 500),
    ("remove without a cut", 500),
    ("remove with a cut", 1000),
    ("revoke", 1000),
    ("replace", 1000),
    ("pin", 700),
    ("pin by the member key", 200),
    ("leave", 500),
    ("unlink", 400),
    ("rotate", 100),
    ("hide", 500),
    ("restore", 80),
    ("erase", 500),
    ("confirm", 30),
    ("act of the council: grant", 80),
    ("act of the council: remove", 60),
    ("kind that nobody knows", 30),
    ("counts", 20000),
    ("suspended by A7", 1000),
    ("suspended by A10", 10),
    ("parked by A3", 10),
    ("parked by A4", 30),
    ("parked by A6", 30),
    ("parked by A8", 80),
    ("void by I2", 100),
    ("void by L3", 1000),
    ("void by L4", 30),
    ("void by A1", 1000),
    ("void by A3", 1000),
    ("void by A4", 3000),
    ("void by A6", 80),
    ("void by A8", 800),
    ("void by A10", 8),
    ("void by C5", 80),
    ("orphaned", 500),
    ("suspended denial", 200),
    ("hidden", 15),
    ("revived from above", 15),
    ("revived by its author", 4),
    ("one more entry changed another", 300),
    ("one more entry changed who is a member", 150),
];

impl Coverage {
    pub(crate) fn add(&mut self, what: &str) {
        match self.0.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(what.to_owned(), 1)),
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Counts what is in a set and what came of it.
    pub(crate) fn take(&mut self, scene: &Scene) {
        for log in scene.set.logs().values() {
            if log.fork_seq().is_some() {
                self.add("a forked log");
            }
            if log.forked().len() > 3 {
                self.add("a log with several forks");
            }
            if log.at(0).count() > 1 {
                self.add("a log that opens twice");
            }
        }
        for control in scene.set.control().values() {
            if let Some(what) = of(control) {
                self.add(what);
            }
        }
        let (set, authority) = (&scene.set, &scene.authority);
        self.take_standings(set, authority);
        for standing in authority.members().values() {
            if standing.devices.len() > 1 {
                self.add("a member with several devices");
            }
        }
        authority.orphaned().iter().for_each(|_| self.add("orphaned"));
        authority.suspended_denials().iter().for_each(|_| self.add("suspended denial"));
        if ids(set).any(|id| authority.hidden(&id).is_some()) {
            self.add("hidden");
        }
    }

    /// Counts what entries are worth.
    pub(crate) fn take_standings(&mut self, set: &LogSet, authority: &Authority) {
        for id in ids(set) {
            match authority.counting(set, &id) {
                Counting::Counts => self.add("counts"),
                Counting::Suspended { rule, .. } => self.add(&format!("suspended by {rule:?}")),
                Counting::Parked { rule, .. } => self.add(&format!("parked by {rule:?}")),
                Counting::Void { rule, .. } => self.add(&format!("void by {rule:?}")),
                Counting::Unknown => {}
            }
        }
    }

    pub(crate) fn is_wide(&self, sets: u64) {
        for (what, count) in &self.0 {
            println!("{count:>9}  {what}");
        }
        for (what, least) in WANTED {
            let seen = self.0.get(what).copied().unwrap_or(0);
            assert!(seen * 1000 >= least * sets, "{what}: only {seen} in {sets} sets");
        }
    }
}

fn of(control: &Control) -> Option<&'static str> {
    let cut = |cut: &Cut| cut.0.iter().next().is_some();
    Some(match control {
        Control::Grant(grant) if grant.cites.is_empty() => "grant",
        Control::Grant(_) => "grant that cites",
        Control::Remove(remove) if cut(&remove.cut) => "remove with a cut",
        Control::Remove(_) => "remove without a cut",
        Control::Revoke(_) => "revoke",
        Control::Replace(_) => "replace",
        Control::Pin(pin) if matches!(pin.by, PinRight::Member(..)) => "pin by the member key",
        Control::Pin(_) => "pin",
        Control::Leave(_) => "leave",
        Control::Unlink(_) => "unlink",
        Control::Rotate(_) => "rotate",
        Control::Hide(_) => "hide",
        Control::Restore(_) => "restore",
        Control::Erase(_) => "erase",
        Control::ConfirmErase(_) => "confirm",
        Control::Root(act) => match act.action {
            RootAction::Grant(_) => "act of the council: grant",
            RootAction::Remove(_) => "act of the council: remove",
            _ => return None,
        },
        Control::Unknown => "kind that nobody knows",
        _ => return None,
    })
}
