//! Which keepers the group uses (M1): a function of the set like everything else.

use std::collections::{BTreeMap, BTreeSet};

use crate::authority::Authority;
use crate::capability::keeper::Keeper;
use crate::capability::rank::Abilities;
use crate::id::{EntryId, TransportKey};
use crate::limits::KEEPERS;
use crate::log::entry::Control;
use crate::log::set::LogSet;

impl Authority {
    /// The keepers in use with the entries that say so: those of counted `keeper` entries that no
    /// counted `dismiss` takes back, both from who may edit the agreement. One mailbox at each
    /// keeper, and at most [`KEEPERS`] of them: the smallest ids.
    #[must_use]
    pub fn keepers<'a>(&self, set: &'a LogSet) -> BTreeMap<TransportKey, (EntryId, &'a Keeper)> {
        let may = |id: &EntryId| {
            let capability = set.slot(id).and_then(|slot| self.grant(&slot.grant));
            capability.is_some_and(|(_, held)| held.abilities.contains(Abilities::EDIT_AGREEMENT))
                && self.counting(set, id).counts()
        };
        let mut dismissed: BTreeSet<EntryId> = BTreeSet::new();
        for (id, control) in set.control() {
            if let Control::Dismiss(dismiss) = control
                && may(id)
            {
                dismissed.extend(dismiss.keepers.iter());
            }
        }
        let mut found = BTreeMap::new();
        for (id, control) in set.control() {
            if let Control::Keeper(keeper) = control
                && found.len() < KEEPERS
                && !dismissed.contains(id)
                && !found.contains_key(&keeper.keeper)
                && may(id)
            {
                found.insert(keeper.keeper, (*id, keeper));
            }
        }
        found
    }
}
