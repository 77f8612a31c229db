//! Acting for the root (A10): who may, what is drafted, and who has signed it.

use cairn_crdt::authority::Authority;
use cairn_crdt::capability::draft::Draft;
use cairn_crdt::capability::grant::RootAction;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{read_base32, write_base32};
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::replica::council::CouncilAct;
use cairn_crdt::replica::effect::Refused;
use cairn_crdt::replica::input::Command;
use serde_json::json;

use super::members::{self, Names};
use super::{Outcome, Then, View};
use crate::api::command::{Answer, ApiError, CouncilSpec};

/// The key with which this person acts for the root of this group.
fn key(view: &View<'_>, seed: &Seed) -> Result<SigningKey, ApiError> {
    let salt = view.replica.salt().ok_or_else(|| {
        ApiError::unavailable("the beginning of this group has not come yet")
            .hinted("Try again when your node has met another member's.")
    })?;
    Ok(seed.council_key(&salt))
}

/// Who is of the council, and whether it can act.
pub(super) fn show(view: &View<'_>, seed: &Seed) -> Result<Answer, ApiError> {
    let own = key(view, seed)?.verifying_key();
    let authority = view.replica.authority();
    let council = authority.council();
    let keys: Vec<_> = council
        .into_iter()
        .flat_map(|council| council.keys.iter())
        .map(|key| json!({ "key": write_base32(key), "you": *key == own }))
        .collect();
    let signed = view.replica.signed_act().map(|draft| told(view, &draft)).transpose()?;
    Ok(json!({
        "keys": keys,
        "threshold": council.map(|council| council.threshold),
        "frozen": authority.last_root_act().is_none(),
        "your_key": write_base32(&own),
        "signed": signed,
    }))
}

/// Drafts an act and signs it; carries it at once if that is enough.
pub(super) fn draft(
    view: &View<'_>,
    seed: &Seed,
    wanted: CouncilSpec,
) -> Result<Outcome, ApiError> {
    let act = match wanted {
        CouncilSpec::Rotate { keys, threshold } => {
            let keys = keys.iter().map(|key| parse_key(key)).collect::<Result<_, _>>()?;
            CouncilAct::Rotate { keys, threshold }
        }
        CouncilSpec::Appoint { member, rank } => CouncilAct::Appoint {
            member: members::member(view, &member)?,
            rank: members::parse_rank(&rank)?,
        },
        CouncilSpec::Remove { member, cut } => CouncilAct::Remove {
            member: members::member(view, &member)?,
            cut: members::cut_choice(view, &cut)?,
        },
    };
    pass_on(view, view.replica.draft(&key(view, seed)?, &act))
}

/// Signs what another has drafted, or with `look` only says what it does.
pub(super) fn sign(
    view: &View<'_>,
    seed: &Seed,
    text: &str,
    look: bool,
) -> Result<Outcome, ApiError> {
    let draft = Draft::from_text(text).map_err(|why| ApiError::usage(why.to_string()))?;
    if look {
        return Ok(Outcome::Answer(told(view, &draft)?));
    }
    if view.replica.authority().council().is_some_and(|council| draft.is_complete(council)) {
        // Whoever has the text may carry it.
        let act = Box::new(draft.act);
        return Ok(Outcome::Command(view.group, Command::Carry { act }, Then::Entry));
    }
    pass_on(view, view.replica.cosign(&key(view, seed)?, draft))
}

fn pass_on(view: &View<'_>, signed: Result<Command, Refused>) -> Result<Outcome, ApiError> {
    match signed {
        Ok(command) => {
            let threshold = view.replica.authority().council().map(|council| council.threshold);
            let does = match &command {
                Command::Cosign { act } => words(view, act.action())?,
                _ => String::new(),
            };
            Ok(Outcome::Command(view.group, command, Then::Draft { does, threshold }))
        }
        Err(Refused::SignedAnother(action)) => {
            let does = words(view, &action)?;
            Err(ApiError::refused(format!(
                "you have signed another act, of which the council can do only one next: it {does}"
            ))
            .hinted(
                "Two would freeze the council for ever. Have that one signed by the others: \
                 `cairn council show` prints it.",
            ))
        }
        Err(why) => Err(why.into()),
    }
}

/// A draft for the next to sign.
pub(super) fn handed_on(draft: &Draft, does: &str, threshold: Option<u8>) -> Answer {
    json!({
        "act": draft.to_text(),
        "does": does,
        "signatures": draft.act.signatures.len(),
        "threshold": threshold,
    })
}

fn told(view: &View<'_>, draft: &Draft) -> Result<Answer, ApiError> {
    let threshold = view.replica.authority().council().map(|council| council.threshold);
    Ok(handed_on(draft, &words(view, &draft.act.action)?, threshold))
}

/// What an act does, as a sentence: nobody should sign what they cannot read.
fn words(view: &View<'_>, action: &RootAction) -> Result<String, ApiError> {
    let names = Names::of(view)?;
    let name = |member| {
        names.get(member).map_or_else(|| member.to_string(), |name| format!("{name} ({member})"))
    };
    Ok(match action {
        RootAction::Rotate(council) => {
            let keys: Vec<String> = council.keys.iter().map(|key| write_base32(key)).collect();
            let (threshold, all) = (council.threshold, keys.len());
            let keys = keys.join(", ");
            format!("hands over to a council of {all}, of whom {threshold} must sign: {keys}")
        }
        RootAction::Raise { version } => {
            format!("brings the rules of version {version} into force")
        }
        RootAction::Grant(grant) => {
            format!("makes {} a {}", name(&grant.subject), grant.rank.word())
        }
        RootAction::Remove(remove) => {
            let held = standing(view.replica.authority(), &remove.subject);
            let kept = remove.cut.0.iter().count();
            let stands = if kept == 0 { "nothing" } else { "what they did up to its cut" };
            format!("removes {}, {held}; {stands} stands", name(&remove.subject))
        }
    })
}

fn standing(authority: &Authority, member: &cairn_crdt::id::MemberId) -> String {
    authority
        .rank_of(member)
        .map_or("no member now".to_owned(), |rank| format!("a {}", rank.word()))
}

fn parse_key(text: &str) -> Result<[u8; 32], ApiError> {
    let bytes = read_base32(&text.trim().to_lowercase());
    bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).ok_or_else(|| {
        ApiError::usage("this is not a key of a council")
            .hinted("`cairn council show G` prints each person's own as \"your key\".")
    })
}
