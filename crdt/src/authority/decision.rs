//! The only place that turns "this counts" into a value (C4, S1).
//!
//! An [`Authorized`] entry is one that the evaluation let through; a [`ReadGrant`] is what a peer
//! may be served. Neither can be made anywhere else, so no other part of the crate decides.

use crate::authority::Authority;
use crate::authority::counting::Counting;
use crate::capability::rank::{Abilities, Rank};
use crate::id::{DeviceId, EntryId, GrantId, MemberId, TransportKey};
use crate::log::run::{Entry, Verified};
use crate::log::set::LogSet;

/// Something that counts. Documents take nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authorized<T>(T);

impl<T> Authorized<T> {
    /// Looks at it.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// Takes it.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Why something is declined.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denied {
    /// An entry does not count; the reason is inside.
    #[error("this does not count in the group: the moderators can see which rule says so")]
    DoesNotCount(Counting),
    /// No live grant of the member suffices.
    #[error("your role in this group does not allow this: ask a moderator")]
    NoGrant,
    /// The device or transport key is not known, or two devices go by it (I2).
    #[error("this device is not known in the group: ask a moderator for an invitation")]
    UnknownDevice,
}

/// Lets an entry through if it counts.
///
/// # Errors
/// When it does not, with the rule and the entry that say so.
pub fn authorize(
    authority: &Authority,
    set: &LogSet,
    entry: Verified<Entry>,
) -> Result<Authorized<Entry>, Denied> {
    match authority.counting(set, &entry.get().id) {
        Counting::Counts => Ok(Authorized(entry.into_inner())),
        other => Err(Denied::DoesNotCount(other)),
    }
}

/// The lowest live grant of a member that suffices: it has the abilities, and, if `above` is
/// given, a strictly higher rank. Of equals the one of smallest id. What is written under the
/// lowest grant loses least when a higher one ends.
///
/// # Errors
/// When there is none.
pub fn grant_for(
    authority: &Authority,
    member: &MemberId,
    needed: Abilities,
    above: Option<Rank>,
) -> Result<GrantId, Denied> {
    let grants = authority.members().get(member).map(|standing| &standing.grants);
    let suffices = grants.into_iter().flatten().filter(|(_, capability)| {
        capability.abilities.contains(needed) && above.is_none_or(|above| capability.rank > above)
    });
    let lowest = suffices.min_by_key(|(id, capability)| (capability.rank, **id));
    lowest.map(|(id, _)| *id).ok_or(Denied::NoGrant)
}

/// What a peer may be served (S1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadGrant {
    device: DeviceId,
    member: MemberId,
    scope: Scope,
}

/// How much of the group a peer may be served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// A live member's live device: everything.
    Everything,
    /// Whoever once was: the control chain, and the act that concerns it, if one does.
    ControlOnly {
        /// The removal or revocation that ended its last grant.
        act: Option<EntryId>,
    },
}

impl ReadGrant {
    /// The peer's device.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// The peer's member.
    #[must_use]
    pub const fn member(&self) -> MemberId {
        self.member
    }

    /// How much it may be served.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }
}

/// What the peer with this transport key may be served.
///
/// # Errors
/// When no device, or more than one, goes by the key, or its member was never granted anything.
pub fn read_grant(authority: &Authority, key: &TransportKey) -> Result<ReadGrant, Denied> {
    let device = authority.known_transport(key).ok_or(Denied::UnknownDevice)?;
    let member = authority.member_of(&device).ok_or(Denied::UnknownDevice)?;
    let scope = if authority.device_of_transport(key).is_some() {
        Scope::Everything
    } else if authority.was_member(&member) {
        Scope::ControlOnly { act: authority.removed(&member) }
    } else {
        return Err(Denied::UnknownDevice);
    };
    Ok(ReadGrant { device, member, scope })
}
