//! Reading: threads, their posts, search. Everything comes from rows; nothing is rebuilt.

use std::collections::BTreeMap;

use cairn_crdt::id::{DocumentId, EntryId};
use cairn_crdt::replica::effect::{PostRow, PostState};
use cairn_crdt::replica::input::{ResponseWord, Wants};
use serde_json::{Value, json};

use super::View;
use super::members::Names;
use crate::api::command::{Answer, ApiError};
use crate::api::moment;
use crate::storage::ActRow;

/// Hits of one search.
const HITS: u32 = 100;
/// Characters of a post that a hit shows.
const SNIPPET: usize = 160;

/// All threads, the one with the newest post first.
pub(super) fn list(view: &View<'_>) -> Result<Answer, ApiError> {
    let names = Names::of(view)?;
    let one = |thread: crate::storage::ThreadSummary| {
        json!({
            "thread": thread.row.document.to_string(),
            "title": thread.row.title,
            "author": names.person(&thread.row.author),
            "posts": thread.posts,
            "unread": thread.unread,
            "newest": moment::write(thread.newest),
            "state": state_word(thread.row.state),
        })
    };
    Ok(view.store.threads(view.group)?.into_iter().map(one).collect())
}

/// One thread with its posts.
pub(super) fn read(view: &View<'_>, thread: DocumentId) -> Result<Answer, ApiError> {
    let page = Page::of(view, thread)?;
    let rows = view.store.thread(view.group, thread)?;
    let (own, posts): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.document == thread);
    let own = own.first();
    Ok(json!({
        "thread": thread.to_string(),
        "title": own.and_then(|row| row.title.as_deref()),
        "author": own.map(|row| page.names.person(&row.author)),
        "state": own.map_or("shown", |row| state_word(row.state)),
        "reason": own.and_then(|row| page.reason(row)),
        "posts": posts.into_iter().map(|row| page.post(row)).collect::<Vec<Value>>(),
    }))
}

/// What is needed beside the rows.
struct Page<'a> {
    view: &'a View<'a>,
    names: Names,
    responses: BTreeMap<DocumentId, Vec<Value>>,
    reasons: BTreeMap<EntryId, ActRow>,
}

impl<'a> Page<'a> {
    fn of(view: &'a View<'a>, thread: DocumentId) -> Result<Self, ApiError> {
        let names = Names::of(view)?;
        let mut responses: BTreeMap<DocumentId, Vec<Value>> = BTreeMap::new();
        for (post, member, word) in view.store.responses(view.group, thread)? {
            responses.entry(post).or_default().push(json!({
                "member": member.to_string(),
                "pseudonym": names.get(&member),
                "word": response_word(word),
            }));
        }
        let acts = view.store.acts(view.group)?;
        let reasons = acts.into_iter().map(|act| (act.about, act)).collect();
        Ok(Self { view, names, responses, reasons })
    }

    fn post(&self, row: &PostRow) -> Value {
        let erased = row.state == PostState::Erased;
        json!({
            "post": row.document.to_string(),
            "author": self.names.person(&row.author),
            "body": if erased { "" } else { &row.body },
            "reply_to": row.reply_to.map(|post| post.to_string()),
            "written": moment::write(row.written),
            "arrived": moment::write(row.arrived),
            "edited": row.edited.map(moment::write),
            "note": row.note,
            "wants": row.wants.map(wants_word),
            "imported": row.imported.as_ref().map(|(author, at)| {
                json!({ "author": author, "at": moment::write(*at) })
            }),
            "state": state_word(row.state),
            "reason": self.reason(row),
            "reach": self.reach(row),
            "responses": self.responses.get(&row.document).map_or(&[][..], Vec::as_slice),
            "entry": row.created.to_string(),
        })
    }

    /// Why a post is hidden, where this person may know it.
    fn reason(&self, row: &PostRow) -> Option<Value> {
        let PostState::Hidden(by) = row.state else { return None };
        let act = self.reasons.get(&by)?;
        Some(json!({
            "rule": act.rule,
            "reason": act.reason,
            "author": self.names.person(&act.author),
            "written": moment::write(act.written),
        }))
    }

    /// How far it has come (S6).
    fn reach(&self, row: &PostRow) -> Value {
        let reach = self.view.replica.reach(&row.created);
        let place = match reach.members {
            0 if self.view.replica.with_keeper(&row.created) => "keeper",
            0 => "here",
            _ => "members",
        };
        json!({ "where": place, "members": reach.members, "of": reach.of })
    }
}

/// Posts and titles that hold all of the words.
pub(super) fn search(view: &View<'_>, words: &str) -> Result<Answer, ApiError> {
    if words.trim().is_empty() {
        return Err(ApiError::usage("say what to search for"));
    }
    let names = Names::of(view)?;
    let one = |hit: crate::storage::SearchHit| {
        json!({
            "thread": hit.row.thread.to_string(),
            "title": hit.title,
            "post": hit.row.document.to_string(),
            "author": names.person(&hit.row.author),
            "snippet": snippet(&hit.row.body, words),
            "written": moment::write(hit.row.written),
        })
    };
    Ok(view.store.search(view.group, words, HITS)?.into_iter().map(one).collect())
}

/// A piece of the text around the first place where one of the words stands.
fn snippet(text: &str, words: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower: Vec<char> = line.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect();
    let position = words.split_whitespace().find_map(|word| {
        let word: Vec<char> = word.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect();
        lower.windows(word.len().max(1)).position(|window| window == word)
    });
    let from = position.unwrap_or_default().saturating_sub(SNIPPET.div_euclid(4));
    let piece: String = line.chars().skip(from).take(SNIPPET).collect();
    let before = if from > 0 { "…" } else { "" };
    let after = if lower.len() > from.saturating_add(SNIPPET) { "…" } else { "" };
    format!("{before}{piece}{after}")
}

/// The word for whether it is shown.
pub(super) const fn state_word(state: PostState) -> &'static str {
    match state {
        PostState::Shown => "shown",
        PostState::Hidden(_) => "hidden",
        PostState::Erased => "erased",
    }
}

/// The word for what an author would like back.
pub(super) const fn wants_word(wants: Wants) -> &'static str {
    match wants {
        Wants::JustListen => "just-listen",
        Wants::AdviceWelcome => "advice-welcome",
        Wants::SameBoat => "same-boat",
    }
}

const fn response_word(word: ResponseWord) -> &'static str {
    match word {
        ResponseWord::Hear => "hear",
        ResponseWord::Same => "same",
        ResponseWord::Thanks => "thanks",
        ResponseWord::Thinking => "thinking",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_shows_the_words_and_no_more_than_it_may() {
        let text = format!("{} the Quiet\nheron {}", "x ".repeat(200), "y ".repeat(200));
        let piece = snippet(&text, "quiet HERON");
        assert!(piece.contains("Quiet heron") && piece.starts_with('…') && piece.ends_with('…'));
        assert!(piece.chars().count() <= SNIPPET + 2);
        assert_eq!(snippet("short", "nothing"), "short");
        assert_eq!(snippet("", "  "), "");
    }
}
