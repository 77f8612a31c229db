use std::path::PathBuf;

use cairn_node::api::command::{ImportLine, Request};
use serde_json::json;

use super::{Setting, whereabouts};
use crate::args::GroupArg;
use crate::conversation;
use crate::error::Failure;
use crate::output::{answer, counted};

/// Posts that are handed to the node at a time, unless one conversation has more.
const BATCH: usize = 200;
/// Bytes of text in a batch after which the next begins.
const BATCH_BYTES: usize = 256 * 1024;

/// Bring conversations from elsewhere into a group
///
/// The file holds JSON lines {conversation, id, reply_to, author, at, body}. Each conversation
/// becomes a thread; its posts are yours, marked as imported, with the original author's label.
/// A malformed line is named by its number, and then nothing is imported.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The file of JSON lines
    file: PathBuf,
}

pub(crate) async fn run(setting: &Setting, args: ImportArgs) -> Result<(), Failure> {
    let conversations = conversation::read(&args.file)?;
    let all: usize = conversations.iter().map(Vec::len).sum();
    // The passphrase is asked for before a bar is drawn.
    let mut door = setting.door().await?;
    let bar = setting.out.progress(u64::try_from(all).unwrap_or(u64::MAX), "Importing");
    let group = args.group.group;
    let mut threads = Vec::new();
    let mut done: u64 = 0;
    for posts in batches(conversations) {
        let length = u64::try_from(posts.len()).unwrap_or(u64::MAX);
        let answer = door
            .call(Request::Import { group: group.clone(), posts })
            .await
            .map_err(|failure| stopped(failure, done))?;
        threads.extend(answer::list(&answer, "threads").iter().cloned());
        done = done.saturating_add(length);
        bar.set_position(done);
    }
    bar.finish_and_clear();
    let answer = json!({ "threads": threads, "posts": done });
    setting.out.show(&answer, |_, answer| {
        let threads = u64::try_from(answer::list(answer, "threads").len()).unwrap_or(u64::MAX);
        format!("{} in {} imported.", counted(done, "post"), counted(threads, "thread"))
    })?;
    setting.out.remark(whereabouts(&door));
    Ok(())
}

/// Whole conversations, together at most [`BATCH`] posts where no single one is larger.
fn batches(conversations: conversation::Conversations) -> Vec<Vec<ImportLine>> {
    let bytes = |lines: &[ImportLine]| lines.iter().map(|line| line.body.len()).sum::<usize>();
    let mut batches: Vec<Vec<ImportLine>> = Vec::new();
    for lines in conversations {
        match batches.last_mut() {
            Some(batch)
                if batch.len().saturating_add(lines.len()) <= BATCH
                    && bytes(batch).saturating_add(bytes(&lines)) <= BATCH_BYTES =>
            {
                batch.extend(lines);
            }
            _ => batches.push(lines),
        }
    }
    batches
}

/// Says what is there already: batches before the one that failed stay.
fn stopped(failure: Failure, done: u64) -> Failure {
    if done == 0 {
        return failure;
    }
    let hint = failure.hint().map(str::to_owned);
    let more = Failure::new(format!(
        "{failure} The first {} of the file are imported, in whole conversations.",
        counted(done, "post")
    ));
    match hint {
        Some(hint) => more.hinted(hint),
        None => more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_are_never_split_over_batches() {
        let lines = |name: &str, many: usize| -> Vec<ImportLine> {
            (0..many)
                .map(|id| ImportLine {
                    conversation: name.to_owned(),
                    id: id.to_string(),
                    reply_to: None,
                    author: "a".to_owned(),
                    at: "2025-06-01T18:00:00Z".to_owned(),
                    body: "words".to_owned(),
                })
                .collect()
        };
        let sizes: Vec<usize> = batches(vec![
            lines("a", 150),
            lines("b", 50),
            lines("c", 1),
            lines("d", 700),
            lines("e", 3),
        ])
        .iter()
        .map(Vec::len)
        .collect();
        assert_eq!(sizes, [200, 1, 700, 3]);
    }
}
