//! Writing: from what a person typed to a command.

use cairn_crdt::id::DocumentId;
use cairn_crdt::replica::input::{Body, Command, ResponseWord, Wants};

use super::{View, candidate};
use crate::api::command::ApiError;
use crate::api::lookup::{self, Candidate};

/// The words of a post.
pub(super) fn body(
    text: String,
    note: Option<String>,
    wants: Option<&str>,
) -> Result<Body, ApiError> {
    let wants = wants.map(|word| match word.trim() {
        "just-listen" => Ok(Wants::JustListen),
        "advice-welcome" => Ok(Wants::AdviceWelcome),
        "same-boat" => Ok(Wants::SameBoat),
        _ => Err(ApiError::usage("there is no such wish")
            .hinted("Choose just-listen, advice-welcome or same-boat.")),
    });
    let note = note.filter(|note| !note.trim().is_empty());
    Ok(Body { text, note, wants: wants.transpose()? })
}

/// A post into a thread.
pub(super) fn post(
    view: &View<'_>,
    wanted: &str,
    reply_to: Option<&str>,
    body: Body,
) -> Result<Command, ApiError> {
    let thread = thread(view, wanted)?;
    let reply_to = reply_to.map(|post| document(view, post)).transpose()?;
    if let Some(reply_to) = reply_to
        && view.store.post(view.group, reply_to)?.is_none_or(|row| row.thread != thread)
    {
        return Err(ApiError::usage("the post that is answered stands in another thread"));
    }
    // To answer the thread itself is to answer its opening.
    Ok(Command::Post { thread, reply_to: reply_to.filter(|post| *post != thread), body })
}

/// A response in words.
pub(super) fn respond(view: &View<'_>, wanted: &str, word: &str) -> Result<Command, ApiError> {
    let word = match word.trim() {
        "hear" => ResponseWord::Hear,
        "same" => ResponseWord::Same,
        "thanks" => ResponseWord::Thanks,
        "thinking" => ResponseWord::Thinking,
        _ => {
            return Err(ApiError::usage("there is no such response")
                .hinted("Choose hear, same, thanks or thinking."));
        }
    };
    Ok(Command::Respond { post: document(view, wanted)?, word })
}

/// The thread that a person means: by its id or title.
pub(super) fn thread(view: &View<'_>, wanted: &str) -> Result<DocumentId, ApiError> {
    let candidates: Vec<Candidate<DocumentId>> = view
        .store
        .threads(view.group)?
        .into_iter()
        .map(|thread| Candidate {
            value: thread.row.document,
            id: thread.row.document.to_string(),
            name: thread.row.title,
        })
        .collect();
    lookup::find("thread", "`cairn threads G` lists them.", wanted, &candidates)
}

/// The post or thread that a person means: by its id, or for a thread its title.
pub(super) fn document(view: &View<'_>, wanted: &str) -> Result<DocumentId, ApiError> {
    let found = view.store.documents_with_prefix(view.group, &wanted.trim().to_lowercase())?;
    let candidates: Vec<Candidate<DocumentId>> =
        found.into_iter().map(|id| candidate(id, id.to_string())).collect();
    match lookup::find("post", "`cairn read G THREAD` shows the posts.", wanted, &candidates) {
        Err(error) if error.kind == "not-found" => {
            // A title can be meant too; if there is none, the posts are what was asked about.
            thread(view, wanted)
                .map_err(|other| if other.kind == "ambiguous" { other } else { error })
        }
        found => found,
    }
}
