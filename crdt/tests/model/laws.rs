//! What the laws of the random sets need, so that the same laws are asked of every set of a
//! scope (`tests/authority/laws_standing.rs`, `laws_explained.rs`).

use std::collections::BTreeSet;

use cairn_crdt::authority::Authority;
use cairn_crdt::id::EntryId;
use cairn_crdt::log::set::LogSet;

use crate::parts::Parts;
use crate::random::Dice;

/// One set and everything that the laws ask about it.
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

/// What happened in a set.
#[derive(Default)]
pub(crate) struct Coverage(pub(crate) BTreeSet<&'static str>);

impl Coverage {
    pub(crate) fn add(&mut self, what: &'static str) {
        self.0.insert(what);
    }
}

/// Which laws do not hold of a set.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) broken: BTreeSet<&'static str>,
    pub(crate) coverage: Coverage,
}

impl Report {
    pub(crate) fn hold(&mut self, law: &'static str, holds: bool, _: impl FnOnce() -> String) {
        if !holds {
            self.broken.insert(law);
        }
    }
}
