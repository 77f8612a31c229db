//! What an act would change, before it is done; and what of the past waits for a decision.

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::id::{DeviceId, EntryId};
use cairn_crdt::replica::Explanation;
use cairn_crdt::replica::input::Command;
use serde_json::{Value, json};

use super::View;
use super::members::Names;
use super::moderation::kind_word;
use crate::api::command::{Answer, ApiError};
use crate::api::lookup::{self, Candidate};
use crate::api::moment;

/// What a grant, a revocation or a removal would change.
pub(super) fn preview(view: &View<'_>, command: &Command) -> Result<Answer, ApiError> {
    let preview = view.replica.preview(command)?;
    let names = Names::of(view)?;
    let standings: Vec<Value> = preview
        .standings
        .iter()
        .map(|(member, before, after)| {
            json!({
                "member": member.to_string(),
                "pseudonym": names.get(member),
                "before": before.map(Rank::word),
                "after": after.map(Rank::word),
            })
        })
        .collect();
    let acts = stops(view, &names, &preview.acts)?;
    let posts = stops(view, &names, &preview.content)?;
    Ok(json!({
        "preview": true,
        "standings": standings,
        "acts": acts,
        "posts": posts,
        "again": preview.again.iter().map(EntryId::to_string).collect::<Vec<_>>(),
    }))
}

/// Entries that would stop counting, with the reasons.
fn stops(
    view: &View<'_>,
    names: &Names,
    entries: &[(EntryId, Explanation)],
) -> Result<Vec<Value>, ApiError> {
    let mut stops = Vec::new();
    for (entry, why) in entries {
        let Some(place) = view.store.place(view.group, entry)? else { continue };
        let author = view.replica.authority().member_of(&place.device);
        stops.push(json!({
            "entry": entry.to_string(),
            "kind": kind_word(place.kind),
            "post": place.document.map(|document| document.to_string()),
            "author": author.map(|author| names.person(&author)),
            "written": moment::write(place.written.unwrap_or(place.arrived)),
            "rule": why.rule,
            "why": why.why,
        }));
    }
    Ok(stops)
}

/// Logs with two branches, and denials that stopped counting with their author's log: both wait
/// for somebody to decide.
pub(super) fn undecided(view: &View<'_>) -> Result<(Value, Value), ApiError> {
    let names = Names::of(view)?;
    let authority = view.replica.authority();
    let forks: Vec<Value> = authority
        .forks()
        .iter()
        .map(|(device, branches)| {
            let member = authority.member_of(device).map(|member| names.person(&member));
            let branches: Vec<String> = branches.iter().map(|(_, id)| id.to_string()).collect();
            json!({ "device": device.to_string(), "member": member, "branches": branches })
        })
        .collect();
    let mut orphaned = Vec::new();
    for act in view.replica.record() {
        if !authority.orphaned().contains(&act.entry) {
            continue;
        }
        let Some(place) = view.store.place(view.group, &act.entry)? else { continue };
        orphaned.push(json!({
            "entry": act.entry.to_string(),
            "kind": kind_word(place.kind),
            "author": names.person(&act.author),
            "subject": act.subject.map(|subject| names.person(&subject)),
        }));
    }
    Ok((Value::Array(forks), Value::Array(orphaned)))
}

/// The device that a person means.
pub(super) fn device(view: &View<'_>, wanted: &str) -> Result<DeviceId, ApiError> {
    let devices = view.replica.authority().devices().keys();
    let candidates: Vec<Candidate<DeviceId>> =
        devices.map(|id| Candidate { value: *id, id: id.to_string(), name: None }).collect();
    lookup::find("device", "`cairn members G --json` lists them.", wanted, &candidates)
}
