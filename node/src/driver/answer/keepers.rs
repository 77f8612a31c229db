//! Questions about a group's keepers.

use cairn_crdt::mailbox::KeeperCode;
use cairn_crdt::replica::Replica;
use cairn_crdt::replica::input::Command;
use cairn_crdt::replica::keepers::{KeeperView, Misconduct};
use serde_json::{Value, json};

use super::View;
use crate::api::command::{Answer, ApiError};
use crate::api::lookup::{self, Candidate};
use crate::api::moment;
use crate::config::peer_text;

/// Makes a mailbox at the keeper of a code.
pub(super) fn add(running: bool, code: &str) -> Result<Command, ApiError> {
    let code = KeeperCode::from_text(code).map_err(|why| {
        ApiError::usage(why.to_string())
            .hinted("The operator makes one with `cairn keeper invite`.")
    })?;
    if !running {
        return Err(
            ApiError::unavailable("this needs a running node").hinted("Start it with `cairn up`.")
        );
    }
    Ok(Command::AddKeeper { code: Box::new(code) })
}

/// No longer uses a keeper.
pub(super) fn remove(view: &View<'_>, wanted: &str) -> Result<Command, ApiError> {
    let known = view.replica.keepers().into_iter().filter_map(|keeper| {
        let id = peer_text(&keeper.keeper);
        Some(Candidate { value: keeper.entry?, id, name: None })
    });
    let known: Vec<_> = known.collect();
    let hint = "`cairn group keeper list` shows the group's keepers.";
    let entry = lookup::find("keeper", hint, wanted, &known)?;
    Ok(Command::DismissKeeper { entry })
}

/// The keepers of a group.
pub(super) fn list(view: &View<'_>) -> Answer {
    views(view.replica)
}

/// How it stands with each keeper.
pub(super) fn views(replica: &Replica) -> Value {
    Value::Array(replica.keepers().iter().map(one).collect())
}

fn one(view: &KeeperView) -> Value {
    let misconduct = view
        .misconduct
        .as_ref()
        .map(|(found, at)| json!({ "what": misconduct(found), "when": moment::write(*at) }));
    json!({
        "keeper": peer_text(&view.keeper),
        "open": view.open,
        "why": view.why,
        "read": view.read,
        "lacking": view.lacking,
        "used": view.used.map(|(used, _)| used),
        "quota": view.used.map(|(_, quota)| quota),
        "full": view.full,
        "misconduct": misconduct,
    })
}

/// What a keeper was found to do, as a sentence.
fn misconduct(found: &Misconduct) -> String {
    match found {
        Misconduct::SetBack => {
            "It lost or took back what it had held. Your node has put it there again.".to_owned()
        }
        Misconduct::Withholds(count) => format!(
            "It did not give {count} of the things that lay there, unless somebody of the group has \
             deleted them. A second keeper fills such gaps."
        ),
        Misconduct::Lies => "It said what cannot be true, and was left alone.".to_owned(),
    }
}
