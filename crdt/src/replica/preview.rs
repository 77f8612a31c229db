//! What an act would change, before it is signed (A9).
//!
//! The act is written into a copy of the set and evaluated there: what is shown is what would be,
//! not an estimate. Nothing of it leaves this module.

use crate::authority::Authority;
use crate::capability::rank::Rank;
use crate::id::{EntryId, GrantId, MemberId};
use crate::log::entry::Control;
use crate::log::set::LogSet;
use crate::replica::Replica;
use crate::replica::effect::Refused;
use crate::replica::explain::Explanation;
use crate::replica::input::Command;

/// What an act would change.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preview {
    /// Members whose highest rank would be another: before and after.
    pub standings: Vec<(MemberId, Option<Rank>, Option<Rank>)>,
    /// Control entries that would stop counting, and why. In the order of their ids.
    pub acts: Vec<(EntryId, Explanation)>,
    /// Content entries that would stop counting, and why. By device and rising sequence number.
    pub content: Vec<(EntryId, Explanation)>,
    /// Entries that would count again.
    pub again: Vec<EntryId>,
}

impl Replica {
    /// What a [`Command::Grant`], [`Command::Revoke`] or [`Command::Remove`] would change.
    ///
    /// # Errors
    /// What the command itself would be refused for.
    pub fn preview(&self, command: &Command) -> Result<Preview, Refused> {
        let (under, control) = match command {
            Command::Grant { member, rank } => self.conferral(*member, *rank)?,
            Command::Revoke { member, grant, cut } => {
                let (under, revoke) = self.revocation(member, *grant, *cut)?;
                (under, Control::Revoke(revoke))
            }
            Command::Remove { member, cut, .. } => {
                let (under, remove) = self.removal(*member, *cut)?;
                (under, Control::Remove(remove))
            }
            _ => return Err(Refused::Unknown { what: "act to look ahead at" }),
        };
        self.foresee(under, &control)
    }

    /// The set and its evaluation as they would be with one more act.
    pub(crate) fn evaluated_with(
        &self,
        under: GrantId,
        control: &Control,
    ) -> Result<(LogSet, Authority), Refused> {
        let entry = self.author_control(under, control)?;
        let mut set = self.set.clone();
        set.insert(&entry).map_err(|why| Refused::Conflict(why.to_string()))?;
        let after = Authority::evaluate(&set);
        Ok((set, after))
    }

    fn foresee(&self, under: GrantId, control: &Control) -> Result<Preview, Refused> {
        let (set, after) = self.evaluated_with(under, control)?;
        let before = &self.authority;

        let mut preview = Preview::default();
        let mut members: Vec<MemberId> = before.members().keys().copied().collect();
        members.extend(after.members().keys().filter(|id| !before.members().contains_key(*id)));
        for member in members {
            let ranks = (before.rank_of(&member), after.rank_of(&member));
            if ranks.0 != ranks.1 {
                preview.standings.push((member, ranks.0, ranks.1));
            }
        }
        for id in self.set.control().keys() {
            let counts = (before.counting(&self.set, id).counts(), after.counting(&set, id));
            match (counts.0, counts.1.counts()) {
                (true, false) => preview.acts.push((*id, self.explained(counts.1))),
                (false, true) => preview.again.push(*id),
                _ => {}
            }
        }
        let changes = after.changed_since(before);
        for (device, grants) in &changes.logs {
            let Some(lowest) = grants.values().min() else { continue };
            let Some(log) = set.log(device) else { continue };
            for (id, slot) in log.between(*lowest, u64::MAX) {
                if slot.kind.is_control() || !self.set.contains(&id) {
                    continue;
                }
                let counts = (before.counting(&self.set, &id).counts(), after.counting(&set, &id));
                match (counts.0, counts.1.counts()) {
                    (true, false) => preview.content.push((id, self.explained(counts.1))),
                    (false, true) => preview.again.push(id),
                    _ => {}
                }
            }
        }
        Ok(preview)
    }
}
