use cairn_node::api::command::Request;
use serde_json::Value;

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{Paint, answer, counted, posts, short};

/// List the threads of a group, what is new first
#[derive(Debug, clap::Args)]
pub(crate) struct ThreadsArgs {
    #[command(flatten)]
    group: GroupArg,
}

/// Read a thread
///
/// Each post says when it was written, by its author's clock, and when it arrived here; and where
/// it is. "Reached" means that a device holds it, never that a person has read it.
#[derive(Debug, clap::Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The thread: its title or its id
    thread: String,
    /// Open posts that are folded behind a note or hidden
    #[arg(long)]
    unfold: bool,
    /// Leave what is new marked as not read yet
    #[arg(long)]
    keep_unread: bool,
}

pub(crate) async fn threads(setting: &Setting, args: ThreadsArgs) -> Result<(), Failure> {
    let answer = setting.ask(Request::Threads { group: args.group.group }).await?;
    setting.out.show(&answer, threads_text)
}

pub(crate) async fn run(setting: &Setting, args: ReadArgs) -> Result<(), Failure> {
    let (group, thread, mark) = (args.group.group, args.thread, !args.keep_unread);
    let answer = setting.ask(Request::Read { group, thread, mark }).await?;
    setting.out.show(&answer, |paint, answer| posts::thread(paint, answer, args.unfold))
}

fn threads_text(paint: Paint, answer: &Value) -> String {
    let threads = answer::items(answer);
    if threads.is_empty() {
        return "There is nothing here yet. `cairn thread start` opens the first thread."
            .to_owned();
    }
    let line = |thread: &Value| {
        let unread = answer::number(thread, "unread");
        let fresh = if unread == 0 { String::new() } else { format!(", {unread} not read yet") };
        let title =
            answer::some_text(thread, "title").unwrap_or_else(|| "(title erased)".to_owned());
        format!(
            "{}  by {}, {}{fresh}  {}",
            paint.strong(&title),
            answer::person(thread, "author"),
            counted(answer::number(thread, "posts"), "post"),
            paint.faint(&format!(
                "newest {} · {}",
                answer::time(thread, "newest"),
                short(&answer::text(thread, "thread"))
            )),
        )
    };
    threads.iter().map(line).collect::<Vec<_>>().join("\n")
}
