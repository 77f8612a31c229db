//! Questions about members, invites and capabilities.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::id::{GrantId, MemberId, RequestId};
use cairn_crdt::replica::input::{Command, CutChoice};
use cairn_crdt::time::Timestamp;
use serde_json::{Value, json};

use super::View;
use crate::api::command::{Answer, ApiError, CutSpec};
use crate::api::lookup::{self, Candidate};
use crate::api::moment;

/// Milliseconds in a second.
const SECOND: u64 = 1000;
/// Where members are listed.
const LISTED: &str = "`cairn members G` lists them.";

/// What members are called. Whoever has no profile here goes by the beginning of their id.
pub(super) struct Names(BTreeMap<MemberId, String>);

impl Names {
    /// The names of a group.
    pub(super) fn of(view: &View<'_>) -> Result<Self, ApiError> {
        let profiles = view.store.profiles(view.group)?;
        Ok(Self(profiles.into_iter().map(|(id, profile)| (id, profile.pseudonym)).collect()))
    }

    /// What a member is called, if that is known.
    pub(super) fn get(&self, member: &MemberId) -> Option<&str> {
        self.0.get(member).map(String::as_str)
    }

    /// A member as it stands in answers.
    pub(super) fn person(&self, member: &MemberId) -> Value {
        json!({ "member": member.to_string(), "pseudonym": self.get(member) })
    }
}

/// Everybody with a live capability, highest first.
pub(super) fn list(view: &View<'_>) -> Result<Answer, ApiError> {
    let names = Names::of(view)?;
    let own = view.replica.member();
    let mut members: Vec<_> = view.replica.authority().members().iter().collect();
    members.sort_by_key(|(id, standing)| (core::cmp::Reverse(standing.rank()), **id));
    let one = |(id, standing): (&MemberId, &cairn_crdt::authority::Standing)| {
        let grants: Vec<Value> = standing
            .grants
            .iter()
            .map(|(grant, capability)| {
                json!({ "grant": grant.to_string(), "rank": capability.rank.word() })
            })
            .collect();
        let devices: Vec<String> = standing.devices.iter().map(ToString::to_string).collect();
        json!({
            "member": id.to_string(),
            "pseudonym": names.get(id),
            "rank": standing.rank().map(Rank::word),
            "devices": standing.devices.len(),
            "device_ids": devices,
            "you": *id == own,
            "grants": grants,
        })
    };
    Ok(members.into_iter().map(one).collect())
}

/// The member that a person means. Those who were removed can be meant too.
pub(super) fn member(view: &View<'_>, wanted: &str) -> Result<MemberId, ApiError> {
    let names = Names::of(view)?;
    let authority = view.replica.authority();
    let mut known: BTreeSet<MemberId> = authority.members().keys().copied().collect();
    known.extend(authority.devices().values().map(|device| device.member));
    known.extend(names.0.keys().copied());
    let candidates: Vec<Candidate<MemberId>> = known
        .into_iter()
        .map(|id| Candidate {
            value: id,
            id: id.to_string(),
            name: names.get(&id).map(str::to_owned),
        })
        .collect();
    lookup::find("member", LISTED, wanted, &candidates)
}

/// Makes an invite.
pub(super) fn invite(
    now: Timestamp,
    rank: &str,
    uses: u16,
    expires_in_seconds: Option<u64>,
    at_once: bool,
) -> Result<Command, ApiError> {
    if uses == 0 {
        return Err(ApiError::usage("an invite that nobody may use is none"));
    }
    let expires = expires_in_seconds.map(|seconds| now.after(seconds.saturating_mul(SECOND)));
    Ok(Command::Invite { rank: parse_rank(rank)?, uses, expires, at_once })
}

/// Requests that wait for an answer.
pub(super) fn requests(view: &View<'_>) -> Result<Answer, ApiError> {
    let rows = view.store.requests(view.group)?;
    let one = |row: crate::storage::RequestRow| {
        json!({
            "request": row.request.to_string(),
            "pseudonym": row.pseudonym,
            "introduction": row.introduction,
            "asked": moment::write(row.arrived),
        })
    };
    Ok(rows.into_iter().map(one).collect())
}

/// The request that a person means: by its id or the pseudonym that it asks for.
pub(super) fn request(view: &View<'_>, wanted: &str) -> Result<RequestId, ApiError> {
    let candidates: Vec<Candidate<RequestId>> = view
        .store
        .requests(view.group)?
        .into_iter()
        .map(|row| Candidate {
            value: row.request,
            id: row.request.to_string(),
            name: Some(row.pseudonym),
        })
        .collect();
    lookup::find("request", "`cairn requests G` lists those that wait.", wanted, &candidates)
}

/// Confers a rank.
pub(super) fn grant(view: &View<'_>, wanted: &str, rank: &str) -> Result<Command, ApiError> {
    Ok(Command::Grant { member: member(view, wanted)?, rank: parse_rank(rank)? })
}

/// Ends a grant.
pub(super) fn revoke(
    view: &View<'_>,
    wanted: &str,
    grant: Option<&str>,
    cut: &CutSpec,
) -> Result<Command, ApiError> {
    let member = member(view, wanted)?;
    let grant = grant.map(|grant| view.entry(grant).map(GrantId::of)).transpose()?;
    Ok(Command::Revoke { member, grant, cut: cut_choice(view, cut)? })
}

/// Ends all grants of a member.
pub(super) fn remove(
    view: &View<'_>,
    wanted: &str,
    cut: &CutSpec,
    rule: String,
    reason: String,
) -> Result<Command, ApiError> {
    let member = member(view, wanted)?;
    Ok(Command::Remove { member, cut: cut_choice(view, cut)?, rule, reason })
}

/// Lets more of an ended member's logs count.
pub(super) fn extend(view: &View<'_>, wanted: &str, cut: &CutSpec) -> Result<Command, ApiError> {
    Ok(Command::Extend { member: member(view, wanted)?, cut: cut_choice(view, cut)? })
}

pub(super) fn cut_choice(view: &View<'_>, cut: &CutSpec) -> Result<CutChoice, ApiError> {
    Ok(match cut {
        CutSpec::FromTip => CutChoice::FromTip,
        CutSpec::FromStart => CutChoice::FromStart,
        CutSpec::At(id) => CutChoice::At(super::moderation::entry_of(view, id)?),
    })
}

pub(super) fn parse_rank(word: &str) -> Result<Rank, ApiError> {
    word.trim().to_lowercase().parse::<Rank>().map_err(|error| ApiError::usage(error.to_string()))
}
