//! A group of four in short: what each wrote, by reference to what was there before.
//!
//! Names are places: 0 is the founder, 1 to 3 are the others, who are alike until one of them is
//! spoken of. A state has one form, whichever way it came about and whoever of the three did what.

use cairn_crdt::capability::rank::Rank;

/// Members, the founder first; each has one device.
pub(crate) const PEOPLE: u8 = 4;

/// All ways to call the three who are not the founder.
const NAMES: [[u8; 4]; 6] =
    [[0, 1, 2, 3], [0, 1, 3, 2], [0, 2, 1, 3], [0, 2, 3, 1], [0, 3, 1, 2], [0, 3, 2, 1]];

/// What an act refers to: below [`PEOPLE`] the card of that member (as a grant: the genesis),
/// from there on the acts of the state.
pub(crate) type Ref = u8;

/// Some acts of a state, by bits.
pub(crate) type Acts = u8;

/// A control entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) struct Act {
    /// Whose device writes it.
    pub(crate) by: u8,
    /// The entry before it in its log.
    pub(crate) after: Ref,
    /// The grant that it names.
    pub(crate) under: Ref,
    pub(crate) word: Word,
}

/// What it says. A cut is the head for the subject's one device, or nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) enum Word {
    Grant {
        to: u8,
        rank: Rung,
        cites: Acts,
    },
    Remove {
        whom: u8,
        cut: Option<Ref>,
    },
    Revoke {
        grant: Ref,
        cut: Option<Ref>,
    },
    /// Confers the rank of a member instead.
    Replace {
        grant: Ref,
        cut: Option<Ref>,
    },
    Pin {
        head: Ref,
    },
    OwnPin {
        head: Ref,
    },
    Leave {
        grants: Acts,
        cut: Option<Ref>,
    },
}

/// A rank that is granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) enum Rung {
    Member,
    Moderator,
    Steward,
}

impl Rung {
    pub(crate) const fn rank(self) -> Rank {
        match self {
            Self::Member => Rank::Member,
            Self::Moderator => Rank::Moderator,
            Self::Steward => Rank::Steward,
        }
    }
}

/// A set of control entries, besides the genesis and the cards. Every act stands after those that
/// it refers to.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) struct State(Vec<Act>);

impl State {
    pub(crate) const fn empty() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn acts(&self) -> &[Act] {
        &self.0
    }

    /// The acts and what they are referred to by.
    pub(crate) fn named(&self) -> impl Iterator<Item = (Ref, &Act)> {
        (PEOPLE..).zip(&self.0)
    }

    /// With one more, in the one form of all states that differ in names only. `None` if the act
    /// is there already.
    pub(crate) fn with(&self, act: Act) -> Option<Self> {
        if self.0.contains(&act) {
            return None;
        }
        let mut acts = self.0.clone();
        acts.push(act);
        NAMES.iter().map(|names| ordered(&acts, names)).min().map(Self)
    }
}

/// The acts under other names, in an order that depends on what they say alone.
fn ordered(acts: &[Act], names: &[u8; 4]) -> Vec<Act> {
    // What each says, and how many others it rests on.
    let mut said: Vec<(u8, u64)> = Vec::new();
    for act in acts {
        let known = |named: Ref| match named.checked_sub(PEOPLE) {
            Some(at) => said[usize::from(at)],
            None => (0, u64::from(names[usize::from(named)]) + 1),
        };
        let all: Vec<(u8, u64)> = refs(act).map(known).collect();
        let depth = all.iter().map(|(depth, _)| *depth + 1).max().unwrap_or(0);
        let mut hash = Hash(0xcbf2_9ce4_8422_2325);
        hash.add(u64::from(names[usize::from(act.by)]));
        // Which references there are is a matter of the word; the order of a set is not.
        let (kind, subject) = match act.word {
            Word::Grant { to, rank, .. } => (rank as u64, Some(to)),
            Word::Remove { whom, cut } => (3 + u64::from(cut.is_some()), Some(whom)),
            Word::Revoke { cut, .. } => (5 + u64::from(cut.is_some()), None),
            Word::Replace { cut, .. } => (7 + u64::from(cut.is_some()), None),
            Word::Pin { .. } => (9, None),
            Word::OwnPin { .. } => (10, None),
            Word::Leave { cut, .. } => (11 + u64::from(cut.is_some()), None),
        };
        hash.add(kind);
        hash.add(subject.map_or(9, |who| u64::from(names[usize::from(who)])));
        let (single, mut set) = all.split_at(all.len() - members(act).count_ones() as usize);
        let mut sorted = set.to_vec();
        sorted.sort_unstable();
        set = &sorted;
        for (_, other) in single.iter().chain(set) {
            hash.add(*other);
        }
        said.push((depth, hash.0));
    }
    let mut order: Vec<usize> = (0..acts.len()).collect();
    order.sort_by_key(|at| said[*at]);
    let place = |named: Ref| match named.checked_sub(PEOPLE) {
        Some(at) => {
            let at = order.iter().position(|old| *old == usize::from(at));
            PEOPLE + u8::try_from(at.expect("an act of the state")).expect("few acts")
        }
        None => names[usize::from(named)],
    };
    let renamed = |at: &usize| {
        let act = acts[*at];
        let cut = |cut: Option<Ref>| cut.map(place);
        let set = |set: Acts| {
            each(set).map(|named| 1 << (place(named) - PEOPLE)).fold(0, |all, bit: u8| all | bit)
        };
        let word = match act.word {
            Word::Grant { to, rank, cites } => {
                Word::Grant { to: names[usize::from(to)], rank, cites: set(cites) }
            }
            Word::Remove { whom, cut: head } => {
                Word::Remove { whom: names[usize::from(whom)], cut: cut(head) }
            }
            Word::Revoke { grant, cut: head } => {
                Word::Revoke { grant: place(grant), cut: cut(head) }
            }
            Word::Replace { grant, cut: head } => {
                Word::Replace { grant: place(grant), cut: cut(head) }
            }
            Word::Pin { head } => Word::Pin { head: place(head) },
            Word::OwnPin { head } => Word::OwnPin { head: place(head) },
            Word::Leave { grants, cut: head } => {
                Word::Leave { grants: set(grants), cut: cut(head) }
            }
        };
        let (by, after, under) = (names[usize::from(act.by)], place(act.after), place(act.under));
        Act { by, after, under, word }
    };
    order.iter().map(renamed).collect()
}

/// The acts of a set.
pub(crate) fn each(set: Acts) -> impl Iterator<Item = Ref> {
    (0..8).filter(move |bit| set & (1 << bit) != 0).map(|bit| bit + PEOPLE)
}

const fn members(act: &Act) -> Acts {
    match act.word {
        Word::Grant { cites: set, .. } | Word::Leave { grants: set, .. } => set,
        _ => 0,
    }
}

/// Everything that an act refers to, those of its set last.
fn refs(act: &Act) -> impl Iterator<Item = Ref> {
    let (one, two) = match act.word {
        Word::Grant { .. } => (None, None),
        Word::Remove { cut, .. } | Word::Leave { cut, .. } => (None, cut),
        Word::Revoke { grant, cut } | Word::Replace { grant, cut } => (Some(grant), cut),
        Word::Pin { head } | Word::OwnPin { head } => (Some(head), None),
    };
    [act.after, act.under].into_iter().chain(one).chain(two).chain(each(members(act)))
}

/// FNV-1a: states of one run are told apart, nothing more.
struct Hash(u64);

impl Hash {
    fn add(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
