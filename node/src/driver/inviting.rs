//! An invitation says where this node is. One that is asked for just after a network was started
//! waits until that network knows: a code without a place leads a newcomer nowhere.

use cairn_crdt::id::GroupId;
use cairn_crdt::replica::input::Command;
use cairn_crdt::time::Timestamp;

use super::Driver;
use super::answer::Then;
use super::incoming::Answering;
use super::persona::Persona;
use crate::api::command::ApiError;
use crate::config::Ports;

/// One that waits.
pub(super) struct Invitation {
    group: GroupId,
    command: Command,
    answer: Answering,
}

impl Driver {
    /// Makes an invitation, now or as soon as it can say where this node is.
    pub(super) fn invite(
        &mut self,
        now: Timestamp,
        group: GroupId,
        command: Command,
        answer: Answering,
    ) {
        self.invitations.push(Invitation { group, command, answer });
        self.invite_who_waited(now);
    }

    /// Makes the invitations that need to wait no longer.
    pub(super) fn invite_who_waited(&mut self, now: Timestamp) {
        let waiting = std::mem::take(&mut self.invitations);
        for one in waiting {
            match self.settling(one.group).is_some_and(|until| now < until) {
                true => self.invitations.push(one),
                false => self.command(now, one.group, one.command, Then::Invite, one.answer),
            }
        }
    }

    /// When the first one is made, whatever happens.
    pub(super) fn invitation_due(&self) -> Option<Timestamp> {
        self.invitations.iter().filter_map(|one| self.settling(one.group)).min()
    }

    /// No invitation is made any more.
    pub(super) fn fail_invitations(&mut self, error: &ApiError) {
        for one in self.invitations.drain(..) {
            drop(one.answer.send(Err(error.clone())));
        }
    }

    /// Until when it is waited for a group's network to say where it listens; `None` if it has, or
    /// if there is none.
    fn settling(&self, group: GroupId) -> Option<Timestamp> {
        let asked = &self.connections.as_ref()?.listen;
        let link = self.personas.get(&group).map(|persona: &Persona| &persona.link)?;
        let unknown = link.is_up() && !Ports::cover(asked, &link.listening);
        unknown.then_some(link.settles)
    }
}
