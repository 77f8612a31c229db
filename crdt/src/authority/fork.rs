//! Forked logs as trees of branches (L8, A7): which entry lies on the path to which.
//!
//! An unforked log costs nothing here: its sequence numbers say it all. A forked log is walked
//! once, from its first fork on, and every entry gets the number of its branch; a question about
//! two entries then takes as many steps as there are branches between them, never as many as
//! there are entries.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{DeviceId, EntryId};
use crate::log::set::LogSet;

/// What is ordered by "later on the same branch" (A5): a device's log, or the chain of root acts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) enum Line {
    /// The root acts, by the act that each names as the one before (A10).
    Council,
    /// A log.
    Device(DeviceId),
}

/// A place in a line: sequence number and number of the branch. Branch 0 is the trunk, before
/// the first fork.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct Point {
    pub(super) seq: u64,
    pub(super) branch: usize,
}

/// One branch: where it begins and which it leaves.
#[derive(Clone, Copy, Debug)]
struct Branch {
    parent: usize,
    from: u64,
}

/// One forked line. Every child of a forked `prev` begins a branch of its own, so a branch is a
/// chain that ends where the line forks again.
#[derive(Clone, Debug)]
struct Tree {
    first: u64,
    of: BTreeMap<(u64, EntryId), usize>,
    branches: Vec<Branch>,
}

/// The trees of all forked lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    trees: BTreeMap<Line, Tree>,
}

impl Paths {
    /// The trees of the forked logs of a set.
    pub(super) fn of(set: &LogSet) -> Self {
        let mut paths = Self::default();
        for (device, log) in set.logs() {
            let Some(first) = log.fork_seq() else { continue };
            let mut steps: Vec<(u64, EntryId, EntryId)> = log
                .iter()
                .rev()
                .take_while(|(seq, ..)| *seq >= first)
                .map(|(seq, id, slot)| (seq, id, slot.prev))
                .collect();
            steps.reverse();
            paths.add(Line::Device(*device), log.forked(), &steps);
        }
        paths
    }

    /// Adds a forked line: `(seq, id, prev)` of all its entries from the first fork on, parents
    /// before children.
    pub(super) fn add(
        &mut self,
        line: Line,
        forked: &BTreeSet<(u64, EntryId)>,
        steps: &[(u64, EntryId, EntryId)],
    ) {
        let Some((first, _)) = forked.first() else { return };
        let mut tree = Tree {
            first: *first,
            of: BTreeMap::new(),
            branches: vec![Branch { parent: 0, from: 0 }],
        };
        for (seq, id, prev) in steps {
            let before = seq.checked_sub(1).and_then(|at| tree.of.get(&(at, *prev)));
            let mut branch = before.copied().unwrap_or(0);
            if forked.contains(&(*seq, *id)) {
                tree.branches.push(Branch { parent: branch, from: *seq });
                branch = tree.branches.len().saturating_sub(1);
            }
            tree.of.insert((*seq, *id), branch);
        }
        self.trees.insert(line, tree);
    }

    /// The place of a held entry. On a forked log an entry that came after the trees were made
    /// is found from the nearest one before it that was there.
    pub(super) fn point(&self, set: &LogSet, line: Line, seq: u64, id: &EntryId) -> Point {
        let branch = self.trees.get(&line).map_or(0, |tree| tree.branch(set, line, seq, *id));
        Point { seq, branch }
    }

    /// Whether `a` lies on the path to `b`, ends included.
    pub(super) fn leads_to(&self, line: Line, a: Point, b: Point) -> bool {
        let Some(tree) = self.trees.get(&line) else { return a.seq <= b.seq };
        tree.ancestry(b).any(|step| step.branch == a.branch && a.seq <= step.seq)
    }

    /// The last place that lies on the paths to both. `None` if they part before the first entry.
    pub(super) fn meet(&self, line: Line, a: Point, b: Point) -> Option<Point> {
        let Some(tree) = self.trees.get(&line) else { return Some(a.min(b)) };
        tree.ancestry(a).find_map(|step| {
            let other = tree.ancestry(b).find(|other| other.branch == step.branch)?;
            Some(step.min(other))
        })
    }

    /// The sequence number at which a line forks first after `point` (from its beginning, if
    /// `None`), on the way that leads on from there.
    pub(super) fn fork_after(&self, line: Line, point: Option<Point>) -> Option<u64> {
        let tree = self.trees.get(&line)?;
        let Some(point) = point else { return Some(tree.first) };
        let next = tree.branches.iter().skip(1).filter(|branch| branch.parent == point.branch);
        next.map(|branch| branch.from).filter(|from| *from > point.seq).min()
    }
}

impl Tree {
    fn branch(&self, set: &LogSet, line: Line, mut seq: u64, mut id: EntryId) -> usize {
        loop {
            if seq < self.first {
                return 0;
            }
            if let Some(branch) = self.of.get(&(seq, id)) {
                return *branch;
            }
            let Line::Device(device) = line else { return 0 };
            let slot = set.log(&device).and_then(|log| log.slot(seq, &id));
            let (Some(slot), Some(before)) = (slot, seq.checked_sub(1)) else { return 0 };
            (seq, id) = (before, slot.prev);
        }
    }

    /// From a place back to the beginning: for each branch on the way the last place on it.
    fn ancestry(&self, from: Point) -> impl Iterator<Item = Point> {
        core::iter::successors(Some(from), |at| {
            if at.branch == 0 {
                return None;
            }
            let branch = self.branches.get(at.branch)?;
            Some(Point { seq: branch.from.checked_sub(1)?, branch: branch.parent })
        })
    }
}
