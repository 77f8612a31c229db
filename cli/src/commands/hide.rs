use cairn_node::api::command::Request;

use super::Setting;
use crate::args::{GroupArg, ReasonArgs};
use crate::error::Failure;

/// Fold a post away for everyone, with the reason
///
/// It stays in its place, folded, with the rule and the reason. `cairn restore` undoes it.
#[derive(Debug, clap::Args)]
pub(crate) struct HideArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The post or thread
    post: String,
    /// The rule of the agreement that it breaks
    #[arg(long)]
    rule: String,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Unfold a post that was hidden
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The post or thread
    post: String,
}

pub(crate) async fn run(setting: &Setting, args: HideArgs) -> Result<(), Failure> {
    let reason = args.reason.read(setting.out)?;
    let (group, post, rule) = (args.group.group, args.post, args.rule);
    let answer = setting.ask(Request::Hide { group, post, rule, reason }).await?;
    setting.out.show(&answer, |_, _| {
        "The post is hidden. Its author sees the rule and the reason; `cairn restore` undoes it."
            .to_owned()
    })
}

pub(crate) async fn restore(setting: &Setting, args: RestoreArgs) -> Result<(), Failure> {
    let answer = setting.ask(Request::Restore { group: args.group.group, post: args.post }).await?;
    setting.out.show(&answer, |_, _| "The post is shown again.".to_owned())
}
