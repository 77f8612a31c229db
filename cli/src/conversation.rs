//! Conversations as JSON lines: `{conversation, id, reply_to, author, at, body}`.
//!
//! A file is read as a whole before anything is done with it: the first line that is wrong is
//! named by its number, and then nothing of the file is used.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use cairn_crdt::limits::{BODY_BYTES, NOTE_BYTES, TITLE_BYTES};
use cairn_node::api::command::ImportLine;

use crate::error::Failure;
use crate::moment;

/// Bytes of one line: a body in which every character is written as an escape, and the rest.
const LINE_BYTES: u64 = 256 * 1024;
/// Lines of one file.
const LINES: usize = 200_000;

/// What a file holds: whole conversations, in the order in which they begin.
pub(crate) type Conversations = Vec<Vec<ImportLine>>;

/// Reads a file of JSON lines.
pub(crate) fn read(path: &Path) -> Result<Conversations, Failure> {
    let file = std::fs::File::open(path).map_err(|error| {
        Failure::new(format!("The file {} cannot be read: {error}.", path.display()))
    })?;
    parse(file)
}

/// Reads JSON lines. Empty lines mean nothing.
pub(crate) fn parse(from: impl Read) -> Result<Conversations, Failure> {
    let mut from = BufReader::new(from);
    let mut found = Found::default();
    for number in 1_usize.. {
        let mut bytes = Vec::new();
        let taken = (&mut from).take(LINE_BYTES.saturating_add(1)).read_until(b'\n', &mut bytes);
        taken.map_err(|error| wrong(number, &format!("cannot be read: {error}")))?;
        if bytes.is_empty() {
            break;
        }
        if u64::try_from(bytes.len()).map_or(true, |length| length > LINE_BYTES) {
            return Err(wrong(number, &format!("is longer than {LINE_BYTES} bytes")));
        }
        if number > LINES {
            return Err(wrong(number, &format!("is one too many: a file has at most {LINES}")));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong(number, "is not UTF-8 text"))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            let line = serde_json::from_str(text).map_err(|error| wrong(number, &shape(&error)))?;
            found.add(line).map_err(|why| wrong(number, &why))?;
        }
    }
    if found.conversations.is_empty() {
        return Err(Failure::new("There is no conversation in this file. Nothing was done."));
    }
    Ok(found.conversations)
}

fn wrong(number: usize, why: &str) -> Failure {
    Failure::new(format!("Line {number} {why}. Nothing of the file was used.")).hinted(
        "Each line is a JSON object with conversation, id, reply_to (an earlier id or null), \
         author, at (ISO 8601) and body.",
    )
}

/// What serde says, without positions in a text that is one line anyway.
fn shape(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => {
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default();
            format!("has the wrong shape: {said}")
        }
        _ => "is not valid JSON".to_owned(),
    }
}

/// What was read so far.
#[derive(Default)]
struct Found {
    conversations: Conversations,
    /// Where each conversation stands, and the ids in it.
    places: BTreeMap<String, (usize, BTreeSet<String>)>,
}

impl Found {
    fn add(&mut self, mut line: ImportLine) -> Result<(), String> {
        for (field, value, most) in [
            ("conversation", &line.conversation, TITLE_BYTES),
            ("id", &line.id, NOTE_BYTES),
            ("author", &line.author, NOTE_BYTES),
        ] {
            if value.trim().is_empty() {
                return Err(format!("has an empty \"{field}\""));
            }
            if value.len() > most {
                return Err(format!("has a \"{field}\" of more than {most} bytes"));
            }
        }
        if line.body.trim().is_empty() {
            return Err("has an empty \"body\"".to_owned());
        }
        if line.body.len() > BODY_BYTES {
            return Err(format!("has a \"body\" of more than {BODY_BYTES} bytes"));
        }
        line.at = moment::normal(&line.at)
            .ok_or("has an \"at\" that is no ISO 8601 time, as 2025-06-01T18:00:00Z is")?;
        let next = self.conversations.len();
        let (place, ids) =
            self.places.entry(line.conversation.clone()).or_insert((next, BTreeSet::new()));
        if line.reply_to.as_ref().is_some_and(|answered| !ids.contains(answered)) {
            return Err("answers (\"reply_to\") no earlier line of its conversation".to_owned());
        }
        if !ids.insert(line.id.clone()) {
            return Err("has an \"id\" that an earlier line of its conversation has".to_owned());
        }
        match self.conversations.get_mut(*place) {
            Some(lines) => lines.push(line),
            None => self.conversations.push(vec![line]),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(conversation: &str, id: &str, reply_to: &str) -> String {
        format!(
            r#"{{"conversation":"{conversation}","id":"{id}","reply_to":{reply_to},"author":"a","at":"2025-06-01T18:00:00+02:00","body":"words"}}"#
        )
    }

    fn refused(file: &str) -> String {
        parse(file.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn interleaved_conversations_are_kept_together() {
        let file =
            [line("c1", "1", "null"), line("c2", "1", "null"), line("c1", "2", "\"1\"")].join("\n");
        let read = parse(format!("\u{feff}{file}\n\n").as_bytes()).unwrap();
        assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(read[0][1].reply_to.as_deref(), Some("1"));
        assert_eq!(read[0][0].at, "2025-06-01T16:00:00.000Z");
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        let good = line("c", "1", "null");
        assert!(refused(&format!("{good}\n{{")).starts_with("Line 2 is not valid JSON."));
        assert!(refused(&format!("{good}\n\n[1]")).starts_with("Line 3 has the wrong shape"));
        assert!(refused(&format!("{good}\n{good}")).contains("Line 2 has an \"id\""));
        assert!(refused(&line("c", "1", "\"0\"")).contains("Line 1 answers"));
        let other = line("d", "2", "\"1\"");
        assert!(refused(&format!("{good}\n{other}")).contains("Line 2 answers"));
        assert!(refused(&line("", "1", "null")).contains("empty \"conversation\""));
        assert!(refused(&good.replace("2025-06", "2025-66")).contains("no ISO 8601 time"));
        assert!(refused(&good.replace("words", " ")).contains("empty \"body\""));
        assert!(refused(&good.replace("\"author\":\"a\",", "")).contains("author"));
        assert!(refused("\n\n").contains("no conversation"));
    }

    #[test]
    fn what_is_too_large_is_refused_by_its_number() {
        let long = line("c", "1", "null").replace("words", &"x".repeat(BODY_BYTES + 1));
        assert!(refused(&long).contains("\"body\" of more than"));
        let endless = "x".repeat(300 * 1024);
        assert!(refused(&endless).contains("Line 1 is longer than"));
        let title = line(&"t".repeat(TITLE_BYTES + 1), "1", "null");
        assert!(refused(&title).contains("\"conversation\" of more than"));
        let broken = parse(&b"\xff\n"[..]).unwrap_err().to_string();
        assert!(broken.starts_with("Line 1 is not UTF-8"));
    }
}
