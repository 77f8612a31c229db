use cairn_node::api::command::Request;
use serde_json::Value;

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{Paint, answer, indented, short};

/// Search the posts that you can read
#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    group: GroupArg,
    /// Words that the post contains
    #[arg(required = true)]
    words: Vec<String>,
}

pub(crate) async fn run(setting: &Setting, args: SearchArgs) -> Result<(), Failure> {
    let (group, words) = (args.group.group, args.words.join(" "));
    let answer = setting.ask(Request::Search { group, words }).await?;
    setting.out.show(&answer, text)
}

fn text(paint: Paint, answer: &Value) -> String {
    let hits = answer::items(answer);
    if hits.is_empty() {
        return "Nothing was found.".to_owned();
    }
    let one = |hit: &Value| {
        format!(
            "{}  {}  {}\n{}",
            paint.strong(&answer::text(hit, "title")),
            answer::person(hit, "author"),
            paint.faint(&format!(
                "{} · {}",
                answer::time(hit, "written"),
                short(&answer::text(hit, "post"))
            )),
            indented(&answer::long_text(hit, "snippet")),
        )
    };
    hits.iter().map(one).collect::<Vec<_>>().join("\n")
}
