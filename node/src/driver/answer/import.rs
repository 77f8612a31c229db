//! Bringing conversations in, and taking one's own words out.

use std::collections::BTreeMap;

use cairn_crdt::limits;
use cairn_crdt::replica::input::ImportedPost;
use serde_json::{Value, json};

use super::{View, groups, members::Names, threads};
use crate::api::command::{Answer, ApiError, ImportLine};
use crate::api::moment;

/// Checks lines of conversations: all of them are good, or nothing is imported.
pub(super) fn posts(lines: Vec<ImportLine>) -> Result<Vec<ImportedPost>, ApiError> {
    if lines.is_empty() {
        return Err(ApiError::usage("there is nothing to import"));
    }
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut posts = Vec::with_capacity(lines.len());
    for (index, line) in lines.into_iter().enumerate() {
        let wrong = |what: &str| {
            let number = index.saturating_add(1);
            Err(ApiError::usage(format!("post {number} of the import {what}"))
                .hinted("Nothing of it was imported."))
        };
        let Some(at) = moment::read(&line.at) else {
            return wrong("has no time that can be read");
        };
        if line.conversation.trim().is_empty() {
            return wrong("belongs to no conversation");
        }
        if line.conversation.len() > limits::TITLE_BYTES {
            return wrong("belongs to a conversation whose name is too long for a title");
        }
        if line.author.trim().is_empty() {
            return wrong("has no author");
        }
        if line.author.len() > limits::NOTE_BYTES {
            return wrong("has an author whose label is too long");
        }
        if line.body.trim().is_empty() {
            return wrong("is empty");
        }
        if line.body.len() > limits::BODY_BYTES {
            return wrong("is too long");
        }
        let reply_to = match line.reply_to {
            None => None,
            Some(id) => match places.get(&(line.conversation.clone(), id)) {
                Some(place) => Some(*place),
                None => return wrong("answers a post that does not come before it"),
            },
        };
        if places.insert((line.conversation.clone(), line.id), index).is_some() {
            return wrong("has the same id as another of its conversation");
        }
        posts.push(ImportedPost {
            thread: line.conversation,
            reply_to,
            author: line.author,
            at,
            text: line.body,
        });
    }
    Ok(posts)
}

/// One's own words, and nothing of the others.
pub(super) fn export(view: &View<'_>) -> Result<Answer, ApiError> {
    let member = view.replica.member();
    let titles: BTreeMap<_, _> = view
        .store
        .threads(view.group)?
        .into_iter()
        .map(|thread| (thread.row.document, thread.row))
        .collect();
    let one = |row: cairn_crdt::replica::effect::PostRow| -> Value {
        // A title is its author's own words.
        let title = titles.get(&row.thread).filter(|thread| thread.author == member);
        json!({
            "post": row.document.to_string(),
            "thread": row.thread.to_string(),
            "title": title.and_then(|thread| thread.title.as_deref()),
            "reply_to": row.reply_to.map(|post| post.to_string()),
            "body": row.body,
            "note": row.note,
            "wants": row.wants.map(threads::wants_word),
            "imported": row.imported.map(|(author, at)| {
                json!({ "author": author, "at": moment::write(at) })
            }),
            "written": moment::write(row.written),
            "edited": row.edited.map(moment::write),
            "state": threads::state_word(row.state),
        })
    };
    let posts: Vec<Value> =
        view.store.own_posts(view.group, member)?.into_iter().map(one).collect();
    Ok(json!({
        "group": view.group.to_string(),
        "name": groups::name(view)?,
        "member": member.to_string(),
        "pseudonym": Names::of(view)?.get(&member),
        "posts": posts,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, reply_to: Option<&str>) -> ImportLine {
        ImportLine {
            conversation: "Evenings".to_owned(),
            id: id.to_owned(),
            reply_to: reply_to.map(str::to_owned),
            author: "heron".to_owned(),
            at: "2025-06-01T18:00:00+02:00".to_owned(),
            body: "The evenings are long.".to_owned(),
        }
    }

    #[test]
    fn a_conversation_is_put_in_order() {
        let posts = posts(vec![line("a", None), line("b", Some("a"))]).unwrap();
        assert_eq!(posts[1].reply_to, Some(0));
        assert_eq!(moment::write(posts[0].at), "2025-06-01T16:00:00.000Z");
    }

    #[test]
    fn a_malformed_line_is_named_by_its_number() {
        type Spoil = fn(&mut ImportLine);
        let spoils: [(Spoil, &str); 8] = [
            (|line| line.at = "yesterday".to_owned(), "time"),
            (|line| line.conversation = " ".to_owned(), "no conversation"),
            (|line| line.conversation = "x".repeat(limits::TITLE_BYTES + 1), "too long"),
            (|line| line.author = String::new(), "no author"),
            (|line| line.body = "\n".to_owned(), "empty"),
            (|line| line.body = "x".repeat(limits::BODY_BYTES + 1), "too long"),
            (|line| line.reply_to = Some("z".to_owned()), "does not come before"),
            (|line| line.id = "a".to_owned(), "same id"),
        ];
        for (spoil, word) in spoils {
            let mut second = line("b", Some("a"));
            spoil(&mut second);
            let error = posts(vec![line("a", None), second]).unwrap_err();
            assert!(error.message.starts_with("Post 2 ") && error.message.contains(word), "{word}");
        }
        assert!(posts(Vec::new()).is_err());
    }
}
