use cairn_node::api::command::Request;
use serde_json::Value;

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{Paint, answer, short};

/// Say whether something counts, and the rule and entry that decide it
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    group: GroupArg,
    /// Any id that a command printed, or a member
    id: String,
}

pub(crate) async fn run(setting: &Setting, args: ExplainArgs) -> Result<(), Failure> {
    let answer = setting.ask(Request::Explain { group: args.group.group, id: args.id }).await?;
    setting.out.show(&answer, text)
}

fn text(paint: Paint, answer: &Value) -> String {
    let counts = answer::flag(answer, "counts");
    let mut text = paint.strong(if counts { "It counts." } else { "It does not count." });
    if let Some(why) = answer::some_text(answer, "why").filter(|_| !counts) {
        text.push_str(&format!(" Why: {}.", why.trim_end_matches('.')));
    }
    let rule = answer::some_text(answer, "rule").map(|rule| format!("rule {rule}"));
    let entry = answer::some_text(answer, "entry").map(|entry| format!("entry {}", short(&entry)));
    let decided: Vec<String> = rule.into_iter().chain(entry).collect();
    if !decided.is_empty() {
        text.push_str(&format!("\nDecided by {}.", decided.join(", ")));
    }
    text
}
