//! Questions about groups.

use cairn_crdt::capability::grant::History;
use cairn_crdt::id::{EntryId, GroupId, write_base32};
use cairn_crdt::log::entry::Control;
use cairn_crdt::replica::input::Command;
use cairn_crdt::replica::{Replica, ReplicaState};
use cairn_crdt::time::Timestamp;
use serde_json::{Value, json};

use super::super::Driver;
use super::super::waits::members_connected;
use super::{View, preview};
use crate::api::command::{Answer, ApiError};
use crate::api::lookup::{self, Candidate};

/// The group that a person means.
pub(super) fn find(driver: &Driver, wanted: &str) -> Result<GroupId, ApiError> {
    let mut candidates = Vec::new();
    for group in driver.personas.keys() {
        let name = driver.desk.store.agreement(*group)?.map(|(name, _)| name);
        candidates.push(Candidate { value: *group, id: group.to_string(), name });
    }
    lookup::find("group", "`cairn group list` shows your groups.", wanted, &candidates)
}

/// All groups.
pub(super) fn list(driver: &mut Driver, now: Timestamp) -> Result<Answer, ApiError> {
    let mut groups = Vec::new();
    for group in driver.personas.keys().copied().collect::<Vec<_>>() {
        groups.push(match driver.shown(now, &group.to_string()) {
            Ok(view) => line(&view)?,
            Err(error) => json!({
                "group": group.to_string(), "name": null, "rank": null, "members": 0,
                "unread": 0, "state": "damaged", "error": error.message,
            }),
        });
    }
    Ok(Value::Array(groups))
}

fn line(view: &View<'_>) -> Result<Value, ApiError> {
    let replica = view.replica;
    let rank = replica.authority().rank_of(&replica.member());
    Ok(json!({
        "group": view.group.to_string(),
        "name": name(view)?,
        "rank": rank.map(|rank| rank.word()),
        "members": replica.authority().members().len(),
        "unread": view.store.unread(view.group)?,
        "state": state_word(replica.state()),
    }))
}

/// One group.
pub(super) fn show(view: &View<'_>) -> Result<Answer, ApiError> {
    let replica = view.replica;
    let mut shown = line(view)?;
    let agreement = view.store.agreement(view.group)?;
    let (forks, orphaned) = preview::undecided(view)?;
    let more = json!({
        "history": history(view)?,
        "agreement": agreement.map(|(name, text)| json!({ "name": name, "text": text })),
        "digest": digest(replica),
        "entries": replica.held(),
        "missing": replica.missing(),
        "peers": members_connected(view.persona, replica).len(),
        "member": replica.member().to_string(),
        "forks": forks,
        "orphaned": orphaned,
    });
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    Ok(shown)
}

/// What newcomers can read, from the genesis; `None` while that is not held.
fn history(view: &View<'_>) -> Result<Option<&'static str>, ApiError> {
    let genesis = EntryId::from_bytes(*view.group.as_bytes());
    let entries = view.store.entries(view.group, &[genesis], false)?;
    let control = entries
        .first()
        .and_then(|entry| Control::decode(entry.header.kind, entry.payload.as_deref()?).ok());
    Ok(match control {
        Some(Control::Genesis(genesis)) => Some(match genesis.history {
            History::SinceJoining => "since-joining",
            History::All => "all",
        }),
        _ => None,
    })
}

/// The answer to a request to join: whether a member's node answered, and whether the request lies
/// with a keeper.
pub(in crate::driver) fn joined(replica: &Replica, reached: bool) -> Answer {
    json!({
        "group": replica.group().to_string(),
        "state": state_word(replica.state()),
        "reached": reached,
        "with_keeper": replica.keepers().iter().any(|keeper| keeper.letter),
    })
}

/// Name and agreement.
pub(super) fn agreement(view: &View<'_>) -> Result<Answer, ApiError> {
    let (name, text) = view.store.agreement(view.group)?.unwrap_or_default();
    Ok(json!({ "name": name, "text": text }))
}

/// Writes the agreement; the name stays.
pub(super) fn set_agreement(view: &View<'_>, text: String) -> Result<Command, ApiError> {
    let (name, _) = view.store.agreement(view.group)?.unwrap_or_default();
    Ok(Command::SetAgreement { name, text })
}

/// The group's name, if it is held.
pub(super) fn name(view: &View<'_>) -> Result<Option<String>, ApiError> {
    Ok(view.store.agreement(view.group)?.map(|(name, _)| name).filter(|name| !name.is_empty()))
}

/// Equal exactly when two replicas hold the same set.
pub(super) fn digest(replica: &Replica) -> String {
    write_base32(&replica.digest().0)
}

/// The word for where a replica stands.
pub(super) const fn state_word(state: ReplicaState) -> &'static str {
    match state {
        ReplicaState::Waiting => "waiting",
        ReplicaState::Member => "member",
        ReplicaState::Removed => "removed",
        ReplicaState::Declined => "declined",
        ReplicaState::Left => "left",
    }
}
