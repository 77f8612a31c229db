//! Hiding, restoring and erasing documents (C5).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::authority::counting::{Counting, Grounds};
use crate::capability::rank::{Abilities, Rank};
use crate::capability::revocation::Erase;
use crate::id::{EntryId, GrantId, MemberId};
use crate::log::entry::{Control, Kind};
use crate::log::set::LogSet;

/// An erasure in force.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Erasure {
    /// The entry that erases: the owner's if there is one, else that of smallest id.
    pub by: EntryId,
    /// Whose entry that is.
    pub author: MemberId,
    /// By the owner, or confirmed: payloads and keys are to be dropped. Otherwise the document is
    /// hidden, and can still be restored.
    pub final_: bool,
    /// Later changes of the document that are erased with it.
    pub changes: BTreeSet<EntryId>,
}

#[derive(Clone, Copy)]
struct Hidden {
    by: EntryId,
    created: EntryId,
    rank: Rank,
}

struct Erased<'set> {
    by: EntryId,
    erase: &'set Erase,
    author: MemberId,
    rank: Rank,
    counts: bool,
}

/// The acts on documents that have been found.
#[derive(Default)]
pub(super) struct DocumentActs<'set> {
    hides: Vec<Hidden>,
    erases: Vec<Erased<'set>>,
    /// Cited act → highest rank of a restore that cites it.
    restored: BTreeMap<EntryId, Rank>,
    /// Erasure → highest rank of who confirmed it.
    confirmed: BTreeMap<EntryId, Rank>,
}

/// What is hidden and what is erased, by the entry that created the document.
#[derive(Clone, Debug, Default)]
pub(super) struct Documents {
    pub(super) hidden: BTreeMap<EntryId, EntryId>,
    pub(super) erased: BTreeMap<EntryId, Erasure>,
}

impl<'set> DocumentActs<'set> {
    /// Notes an act under a grant of `rank`.
    pub(super) fn take(
        &mut self,
        by: EntryId,
        control: &'set Control,
        counting: Counting,
        author: Option<MemberId>,
        rank: Rank,
        abilities: Abilities,
    ) {
        let Some(author) = author else { return };
        let may_hide = abilities.contains(Abilities::HIDE);
        let may_erase = abilities.contains(Abilities::ERASE);
        match control {
            Control::Hide(hide) if may_hide && counting.denies() => {
                self.hides.push(Hidden { by, created: hide.created, rank });
            }
            Control::Restore(restore) if may_hide && counting.counts() => {
                for hide in &restore.hides {
                    raise(&mut self.restored, *hide, rank);
                }
            }
            Control::Erase(erase) if may_erase => {
                let counts = counting.counts();
                self.erases.push(Erased { by, erase, author, rank, counts });
            }
            Control::ConfirmErase(confirm)
                if may_erase && counting.counts() && rank >= Rank::Moderator =>
            {
                raise(&mut self.confirmed, confirm.erase, rank);
            }
            _ => {}
        }
    }

    /// What all acts together amount to.
    pub(super) fn settle(self, set: &LogSet, grounds: &Grounds) -> Documents {
        let mut documents = Documents::default();
        for hide in &self.hides {
            let lifted = self.restored.get(&hide.by).is_some_and(|rank| *rank >= hide.rank);
            if !lifted && grounds.outranks(set, hide.rank, &hide.created) {
                let by = documents.hidden.entry(hide.created).or_insert(hide.by);
                *by = hide.by.min(*by);
            }
        }
        for (id, control) in set.control() {
            let Control::Erase(erase) = control else { continue };
            let Some(place) = grounds.place(set, id) else { continue };
            let Some(author) = grounds.member(place.device, place.at) else { continue };
            if place.grant == GrantId::NONE
                && grounds.decide(set, &place).counts()
                && is_content(set, &erase.created)
            {
                let own = |entry: &EntryId| {
                    let change = grounds.place(set, entry).filter(|_| is_content(set, entry));
                    change.and_then(|change| grounds.member(change.device, change.at))
                        == Some(author)
                };
                let changes = erase.changes.iter().filter(|id| own(id)).copied().collect();
                documents.erase(erase.created, Erasure { by: *id, author, final_: true, changes });
            }
        }
        for erased in &self.erases {
            let Erased { by, erase, author, rank, counts } = *erased;
            if !grounds.outranks(set, rank, &erase.created) {
                continue;
            }
            let confirmed = self.confirmed.get(&by);
            let final_ = confirmed.is_some_and(|by| grounds.outranks(set, *by, &erase.created));
            let lifted = self.restored.get(&by).is_some_and(|by| *by >= rank);
            if final_ || (counts && !lifted) {
                let below = |entry: &&EntryId| grounds.outranks(set, rank, entry);
                let changes = erase.changes.iter().filter(below).copied().collect();
                documents.erase(erase.created, Erasure { by, author, final_, changes });
            }
        }
        documents
    }
}

impl Documents {
    /// Adds an erasure: what is final outweighs what is not; of alike ones the first found, with
    /// the changes of all. Owners' come first, then by id.
    fn erase(&mut self, created: EntryId, erasure: Erasure) {
        use std::collections::btree_map::Entry;
        match self.erased.entry(created) {
            Entry::Vacant(vacant) => {
                vacant.insert(erasure);
            }
            Entry::Occupied(mut occupied) => {
                let here = occupied.get_mut();
                match (here.final_, erasure.final_) {
                    (true, false) => {}
                    (false, true) => *here = erasure,
                    _ => here.changes.extend(erasure.changes),
                }
            }
        }
    }
}

impl Grounds {
    /// Whether `rank` is strictly above the grant under which a content entry stands.
    fn outranks(&self, set: &LogSet, rank: Rank, content: &EntryId) -> bool {
        let place = self.place(set, content).filter(|place| !place.kind.is_control());
        let grant = place.and_then(|place| self.grants.get(&place.grant));
        grant.is_some_and(|grant| rank > grant.rank)
    }
}

fn is_content(set: &LogSet, entry: &EntryId) -> bool {
    set.slot(entry).is_some_and(|slot| slot.kind == Kind::CONTENT)
}

fn raise(ranks: &mut BTreeMap<EntryId, Rank>, key: EntryId, rank: Rank) {
    let highest = ranks.entry(key).or_insert(rank);
    *highest = rank.max(*highest);
}
