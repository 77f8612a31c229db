use cairn_node::api::command::Request;
use serde_json::Value;

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{Paint, answer, audience, counted, short};

/// List who is in a group and can read it
#[derive(Debug, clap::Args)]
pub(crate) struct MembersArgs {
    #[command(flatten)]
    group: GroupArg,
}

pub(crate) async fn run(setting: &Setting, args: MembersArgs) -> Result<(), Failure> {
    let answer = setting.ask(Request::Members { group: args.group.group }).await?;
    setting.out.show(&answer, text)
}

fn text(paint: Paint, answer: &Value) -> String {
    let line = |member: &Value| {
        let you = if answer::flag(member, "you") { " (you)" } else { "" };
        let name = answer::some_text(member, "pseudonym").unwrap_or_else(|| "(no name yet)".into());
        let devices = match member.get("devices") {
            Some(Value::Array(devices)) => u64::try_from(devices.len()).unwrap_or(u64::MAX),
            _ => answer::number(member, "devices"),
        };
        format!(
            "{}{you}, {}, {}  {}",
            paint.strong(&name),
            answer::text(member, "rank"),
            counted(devices, "device"),
            paint.faint(&short(&answer::text(member, "member"))),
        )
    };
    let lines: Vec<String> = answer::items(answer).iter().map(line).collect();
    format!("{}\n\n{}", lines.join("\n"), audience::sentence(answer))
}
