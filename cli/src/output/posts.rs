//! A thread as text: who wrote what and when, what was answered, where it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::answer::{list, long_text, number, person, some_text, text, time};
use super::{Paint, indented, short};

/// The words of a response.
pub(crate) fn response_words(word: &str) -> &str {
    match word {
        "hear" => "I hear you",
        "same" => "same here",
        "thanks" => "thank you",
        "thinking" => "thinking of you",
        other => other,
    }
}

/// Where a post is, as words; empty if the node did not say.
pub(crate) fn reach(post: &Value) -> String {
    let Some(reach) = post.get("reach").filter(|reach| reach.is_object()) else {
        return String::new();
    };
    match text(reach, "where").as_str() {
        "here" => "on this device only".to_owned(),
        "keeper" => "with a keeper".to_owned(),
        "members" => format!("reached {} of {}", number(reach, "members"), number(reach, "of")),
        _ => String::new(),
    }
}

/// The answer of `read`. Posts behind a content note stay folded unless `unfold`.
pub(crate) fn thread(paint: Paint, answer: &Value, unfold: bool) -> String {
    let posts = list(answer, "posts");
    let authors: BTreeMap<String, String> =
        posts.iter().map(|post| (text(post, "post"), author(post))).collect();
    let mut page = format!("{}\n", paint.strong(&text(answer, "title")));
    for post in posts {
        page.push('\n');
        page.push_str(&heading(paint, post, &authors));
        page.push_str(&indented(&words(post, unfold)));
        page.push_str(&indented(&footing(paint, post)));
    }
    page
}

fn author(post: &Value) -> String {
    match post.get("imported").filter(|imported| imported.is_object()) {
        Some(imported) => {
            format!("{} (brought by {})", text(imported, "author"), person(post, "author"))
        }
        None => person(post, "author"),
    }
}

fn heading(paint: Paint, post: &Value, authors: &BTreeMap<String, String>) -> String {
    let mut line = paint.strong(&author(post));
    if let Some(answered) = some_text(post, "reply_to") {
        let whom = authors.get(&answered).map_or_else(|| short(&answered), String::clone);
        push(&mut line, format_args!(", answering {whom}"));
    }
    let (written, arrived) = (time(post, "written"), time(post, "arrived"));
    let mut when = match post.get("imported").filter(|imported| imported.is_object()) {
        Some(imported) => format!("written {}", time(imported, "at")),
        None => format!("written {written}"),
    };
    if !arrived.is_empty() && arrived != written {
        push(&mut when, format_args!(", arrived {arrived}"));
    }
    if post.get("edited").is_some_and(|edited| !edited.is_null() && edited != &Value::Bool(false)) {
        when.push_str(", edited");
    }
    push(&mut line, format_args!("  {}\n", paint.faint(&format!("{when} · {}", id(post)))));
    line
}

fn id(post: &Value) -> String {
    short(&text(post, "post"))
}

fn words(post: &Value, unfold: bool) -> String {
    match text(post, "state").as_str() {
        "erased" => return "This post was erased.".to_owned(),
        "hidden" if !unfold => return format!("This post is hidden{}.", why(post)),
        _ => {}
    }
    let body = long_text(post, "body");
    match some_text(post, "note") {
        Some(note) if !unfold => format!("Folded: {note}. Read with --unfold to open it."),
        Some(note) => format!("Note: {note}\n\n{body}"),
        None => body,
    }
}

/// The rule and the words of an act, where the reader may know them.
fn why(post: &Value) -> String {
    let Some(reason) = post.get("reason").filter(|reason| reason.is_object()) else {
        return String::new();
    };
    let mut why = String::new();
    if let Some(rule) = some_text(reason, "rule") {
        push(&mut why, format_args!(" (rule: {rule})"));
    }
    if let Some(words) = some_text(reason, "reason") {
        push(&mut why, format_args!(": {words}"));
    }
    why.trim_end_matches('.').to_owned()
}

fn footing(paint: Paint, post: &Value) -> String {
    let mut footing = String::new();
    let wants = match text(post, "wants").as_str() {
        "just-listen" => "just listen",
        "advice-welcome" => "advice is welcome",
        "same-boat" => "stories from the same boat",
        _ => "",
    };
    if !wants.is_empty() {
        push(&mut footing, format_args!("What would help: {wants}\n"));
    }
    let responses: Vec<String> = list(post, "responses")
        .iter()
        .map(|response| {
            let who = some_text(response, "pseudonym")
                .unwrap_or_else(|| short(&text(response, "member")));
            format!("{who}: {}", response_words(&text(response, "word")))
        })
        .collect();
    if !responses.is_empty() {
        push(&mut footing, format_args!("{}\n", responses.join(" · ")));
    }
    let reach = reach(post);
    if !reach.is_empty() {
        push(&mut footing, format_args!("{}\n", paint.faint(&reach)));
    }
    footing
}

/// Appends; writing to a `String` cannot fail.
fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(more);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        json!({"thread": "t", "title": "Evenings", "posts": [
            {"post": "p1", "author": {"member": "m1", "pseudonym": "quiet heron"},
             "body": "The evenings are long.\nStill here.", "reply_to": null,
             "written": "2025-06-01T18:00:00Z", "arrived": "2025-06-01T19:30:00Z",
             "edited": null, "note": null, "wants": "just-listen", "imported": null,
             "state": "shown", "reach": {"where": "members", "members": 4, "of": 9},
             "responses": [{"member": "m2", "pseudonym": "moss", "word": "hear"}]},
            {"post": "p2", "author": {"member": "m2", "pseudonym": "moss"},
             "body": "x\u{1b}[31m", "reply_to": "p1", "written": "2025-06-01T20:00:00Z",
             "arrived": "2025-06-01T20:00:00Z", "note": "loss", "state": "shown",
             "reach": {"where": "here"}, "responses": []},
            {"post": "p3", "author": {"member": "m2", "pseudonym": "moss"}, "body": "gone",
             "state": "hidden", "reason": {"rule": "2", "reason": "names a person."}}
        ]})
    }

    #[test]
    fn a_thread_says_who_when_where_and_what_was_answered() {
        let page = thread(Paint::PLAIN, &answer(), false);
        assert!(page.starts_with("Evenings\n"));
        assert!(page.contains("written 2025-06-01 18:00 UTC, arrived 2025-06-01 19:30 UTC"));
        assert!(page.contains("  The evenings are long.\n  Still here.\n"));
        assert!(page.contains("What would help: just listen"));
        assert!(page.contains("moss: I hear you"));
        assert!(page.contains("reached 4 of 9"));
        assert!(page.contains("on this device only"));
        assert!(page.contains("moss, answering quiet heron"));
    }

    #[test]
    fn a_note_folds_and_a_hidden_post_folds_with_its_reason() {
        let page = thread(Paint::PLAIN, &answer(), false);
        assert!(page.contains("Folded: loss."));
        assert!(page.contains("This post is hidden (rule: 2): names a person."));
        assert!(!page.contains("gone"));
        let open = thread(Paint::PLAIN, &answer(), true);
        assert!(open.contains("Note: loss"));
        assert!(!open.contains('\u{1b}'));
    }
}
