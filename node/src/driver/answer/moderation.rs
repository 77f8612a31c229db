//! The record of acts, and why something counts or does not.

use cairn_crdt::id::{EntryId, GrantId, MemberId};
use cairn_crdt::log::entry::Kind;
use serde_json::{Value, json};

use super::members::{self, Names};
use super::{View, posts};
use crate::api::command::{Answer, ApiError};
use crate::api::moment;

/// The record of acts, oldest first by when they came here; with the words of those that this
/// person may read.
pub(super) fn acts(view: &View<'_>) -> Result<Answer, ApiError> {
    let names = Names::of(view)?;
    let words = view.store.acts(view.group)?;
    let mut acts = Vec::new();
    for act in view.replica.record() {
        let Some(place) = view.store.place(view.group, &act.entry)? else { continue };
        let said = words.iter().find(|said| said.about == act.entry && said.author == act.author);
        let answer = json!({
            "entry": act.entry.to_string(),
            "kind": kind_word(place.kind),
            "author": names.person(&act.author),
            "subject": act.subject.map(|subject| names.person(&subject)),
            "rule": said.map(|said| &said.rule),
            "reason": said.map(|said| &said.reason),
            "written": moment::write(said.map_or(place.arrived, |said| said.written)),
            "counts": view.replica.explain(&act.entry).counts,
            "orphaned": view.replica.authority().orphaned().contains(&act.entry),
        });
        acts.push((place.arrived, act.entry, answer));
    }
    acts.sort_by_key(|(arrived, entry, _)| (*arrived, *entry));
    Ok(Value::Array(acts.into_iter().map(|(_, _, answer)| answer).collect()))
}

/// Whether something counts, and if not, the rule and the entry that say so. Takes whatever id was
/// printed: of an entry, a post, a thread, or a member, who stands for the grant that matters most.
pub(super) fn explain(view: &View<'_>, wanted: &str) -> Result<Answer, ApiError> {
    let entry = match entry_of(view, wanted) {
        Ok(entry) => entry,
        Err(error) if error.kind == "not-found" => match members::member(view, wanted) {
            Ok(member) => match highest_grant(view, &member) {
                Some(grant) => grant.entry(),
                None => return Ok(ended(view, &member)),
            },
            Err(other) if other.kind == "ambiguous" => return Err(other),
            Err(_) => return Err(error.hinted("Any id that a command printed will do.")),
        },
        Err(error) => return Err(error),
    };
    let why = view.replica.explain(&entry);
    Ok(json!({
        "counts": why.counts,
        "rule": why.rule,
        "entry": why.entry.map(|entry| entry.to_string()),
        "why": why.why,
    }))
}

/// The entry that an id stands for: itself, or the one that created a post or thread.
pub(super) fn entry_of(view: &View<'_>, wanted: &str) -> Result<EntryId, ApiError> {
    match view.entry(wanted) {
        Err(error) if error.kind == "not-found" => {
            // A post that does not count is in no row; the replica still knows what created it.
            let whole = wanted.parse().ok();
            if let Some(created) = whole.and_then(|document| view.replica.created(&document)) {
                return Ok(created);
            }
            let document = match posts::document(view, wanted) {
                Err(other) if other.kind == "not-found" => return Err(error),
                found => found?,
            };
            view.replica.created(&document).ok_or(error)
        }
        found => found,
    }
}

fn highest_grant(view: &View<'_>, member: &MemberId) -> Option<GrantId> {
    let standing = view.replica.authority().members().get(member)?;
    let grants = standing.grants.iter();
    grants.max_by_key(|(_, capability)| capability.rank).map(|(grant, _)| *grant)
}

/// What there is to say of someone who is no member.
fn ended(view: &View<'_>, member: &MemberId) -> Answer {
    let authority = view.replica.authority();
    match authority.removed(member) {
        Some(by) => json!({
            "counts": false, "rule": "A4", "entry": by.to_string(),
            "why": "This member's capabilities were ended by that entry. What they wrote counts \
                    up to its cut.",
        }),
        None if authority.was_member(member) => json!({
            "counts": false, "rule": "A8", "entry": null,
            "why": "This member has left the group.",
        }),
        None => json!({
            "counts": false, "rule": "L3", "entry": null,
            "why": "Nobody has granted this person anything in this group.",
        }),
    }
}

pub(super) const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::CONTENT => "content",
        Kind::GENESIS => "found",
        Kind::INVITE => "invite",
        Kind::PIN => "pin",
        Kind::EPOCH => "keys",
        Kind::WELCOME => "welcome",
        Kind::GRANT => "grant",
        Kind::REVOKE => "revoke",
        Kind::REMOVE => "remove",
        Kind::REPLACE => "replace",
        Kind::HIDE => "hide",
        Kind::RESTORE => "restore",
        Kind::ERASE => "erase",
        Kind::CONFIRM_ERASE => "confirm-erase",
        _ => "act",
    }
}
