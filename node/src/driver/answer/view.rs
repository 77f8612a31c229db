//! What an answer is made from: a group with everything before the question done; and, to read
//! by, the group as the store holds it while nothing more can be written.

use cairn_crdt::id::{EntryId, GroupId};
use cairn_crdt::replica::{Replica, ReplicaState};
use cairn_crdt::time::Timestamp;

use super::super::Driver;
use super::super::persona::Persona;
use super::{candidate, groups};
use crate::api::command::ApiError;
use crate::api::lookup;
use crate::storage::Store;

/// One group, at rest.
pub(super) struct View<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) persona: &'a Persona,
    pub(super) replica: &'a Replica,
    pub(super) group: GroupId,
}

impl Driver {
    /// The group that a person means, with everything before this question done.
    fn view(&mut self, now: Timestamp, wanted: &str) -> Result<View<'_>, ApiError> {
        let group = groups::find(self, wanted)?;
        self.at_rest(now, group)?;
        self.seen(group, wanted)
    }

    /// [`Driver::view`], to read by: a disk that takes nothing more hides nothing of what is on it.
    pub(super) fn shown(&mut self, now: Timestamp, wanted: &str) -> Result<View<'_>, ApiError> {
        let group = groups::find(self, wanted)?;
        if let Err(error) = self.at_rest(now, group) {
            let persona = self.personas.get_mut(&group);
            let legible = persona.is_some_and(|persona| persona.open_to_read(&self.desk, now));
            if !legible {
                return Err(error);
            }
        }
        self.seen(group, wanted)
    }

    fn seen(&self, group: GroupId, wanted: &str) -> Result<View<'_>, ApiError> {
        let (store, persona) = (self.desk.store.as_ref(), self.personas.get(&group));
        let open = persona.and_then(|persona| Some((persona, persona.legible()?)));
        let (persona, replica) = open.ok_or_else(|| ApiError::not_found("group", wanted))?;
        Ok(View { store, persona, replica, group })
    }

    /// [`Driver::view`] of a group that this person is in, or once was.
    pub(super) fn inside(&mut self, now: Timestamp, wanted: &str) -> Result<View<'_>, ApiError> {
        let view = self.view(now, wanted)?;
        entered(view.replica.state())?;
        Ok(view)
    }

    /// [`Driver::shown`] of a group that this person is in, or once was.
    pub(super) fn legible(&mut self, now: Timestamp, wanted: &str) -> Result<View<'_>, ApiError> {
        let view = self.shown(now, wanted)?;
        entered(view.replica.state())?;
        Ok(view)
    }

    /// Opens a group if need be, and brings all that was decided in it to disk.
    pub(super) fn at_rest(&mut self, now: Timestamp, group: GroupId) -> Result<(), ApiError> {
        self.revive(now, group)?;
        if let Some(persona) = self.personas.get_mut(&group) {
            persona.finish(&mut self.desk, now);
        }
        // A write that failed just now has closed it again; who asks is to be told why.
        self.reopen(now, group)
    }
}

/// Whether somebody is in a group or once was.
fn entered(state: ReplicaState) -> Result<(), ApiError> {
    match state {
        ReplicaState::Member | ReplicaState::Removed | ReplicaState::Left => Ok(()),
        ReplicaState::Waiting => Err(ApiError::refused("you are not a member of this group yet")
            .hinted("Somebody in the group has to admit you. `cairn group list` shows when.")),
        ReplicaState::Declined => {
            Err(ApiError::refused("your request to join this group was declined")
                .hinted("Ask whoever invited you for a fresh code."))
        }
    }
}

impl View<'_> {
    /// The entry that a person means by its id or an unambiguous beginning of it.
    pub(super) fn entry(&self, wanted: &str) -> Result<EntryId, ApiError> {
        let ids = self.store.entries_with_prefix(self.group, &wanted.trim().to_lowercase())?;
        let candidates: Vec<_> = ids.into_iter().map(|id| candidate(id, id.to_string())).collect();
        lookup::find(
            "entry",
            "Entries are named by `acts`, `grant`, `remove`.",
            wanted,
            &candidates,
        )
    }
}
