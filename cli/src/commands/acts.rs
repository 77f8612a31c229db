use cairn_node::api::command::Request;
use serde_json::Value;

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{Paint, answer, short};

/// List the acts of moderation in a group
#[derive(Debug, clap::Args)]
pub(crate) struct ActsArgs {
    #[command(flatten)]
    group: GroupArg,
}

pub(crate) async fn run(setting: &Setting, args: ActsArgs) -> Result<(), Failure> {
    let answer = setting.ask(Request::Acts { group: args.group.group }).await?;
    setting.out.show(&answer, text)
}

fn text(paint: Paint, answer: &Value) -> String {
    let acts = answer::items(answer);
    if acts.is_empty() {
        return "There are no acts of moderation.".to_owned();
    }
    let one = |act: &Value| {
        let mut line = format!(
            "{}  by {}",
            paint.strong(&answer::text(act, "kind")),
            answer::person(act, "author")
        );
        let subject = answer::person(act, "subject");
        if !subject.is_empty() {
            line.push_str(&format!(", about {subject}"));
        }
        if let Some(rule) = answer::some_text(act, "rule") {
            line.push_str(&format!(" (rule: {rule})"));
        }
        if let Some(reason) = answer::some_text(act, "reason") {
            line.push_str(&format!(": {reason}"));
        }
        let (when, id) = (answer::time(act, "written"), short(&answer::text(act, "entry")));
        let mark = if when.is_empty() { id } else { format!("{when} · {id}") };
        format!("{line}  {}", paint.faint(&mark))
    };
    acts.iter().map(one).collect::<Vec<_>>().join("\n")
}
