use cairn_node::api::command::Request;
use serde_json::Value;

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{Paint, answer, indented, short};

/// List who asks to join
#[derive(Debug, clap::Args)]
pub(crate) struct RequestsArgs {
    #[command(flatten)]
    group: GroupArg,
}

/// Admit someone who asked to join
#[derive(Debug, clap::Args)]
pub(crate) struct AdmitArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The request, as `cairn requests` shows it
    request: String,
}

/// Decline someone who asked to join
#[derive(Debug, clap::Args)]
pub(crate) struct DeclineArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The request, as `cairn requests` shows it
    request: String,
}

pub(crate) async fn run(setting: &Setting, args: RequestsArgs) -> Result<(), Failure> {
    let answer = setting.ask(Request::Requests { group: args.group.group }).await?;
    setting.out.show(&answer, text)
}

pub(crate) async fn admit(setting: &Setting, args: AdmitArgs) -> Result<(), Failure> {
    let (group, request) = (args.group.group, args.request);
    let mut door = setting.door().await?;
    let answer = door.call(Request::Admit { group, request }).await?;
    setting.out.show(&answer, |_, _| "They are a member of the group now.".to_owned())?;
    if !door.is_node() {
        setting.out.remark("Their node learns of it when yours runs: `cairn up`.");
    }
    Ok(())
}

pub(crate) async fn decline(setting: &Setting, args: DeclineArgs) -> Result<(), Failure> {
    let (group, request) = (args.group.group, args.request);
    let answer = setting.ask(Request::Decline { group, request }).await?;
    setting.out.show(&answer, |_, _| "The request is declined.".to_owned())
}

fn text(paint: Paint, answer: &Value) -> String {
    let requests = answer::items(answer);
    if requests.is_empty() {
        return "Nobody is waiting to be admitted.".to_owned();
    }
    let one = |request: &Value| {
        format!(
            "{}  {}\n{}",
            paint.strong(&answer::text(request, "pseudonym")),
            paint.faint(&format!(
                "asked {} · {}",
                answer::time(request, "asked"),
                short(&answer::text(request, "request"))
            )),
            indented(&answer::long_text(request, "introduction")),
        )
    };
    requests.iter().map(one).collect::<Vec<_>>().join("\n")
}
