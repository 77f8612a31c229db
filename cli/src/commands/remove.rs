use cairn_node::api::command::Request;

use super::Setting;
use super::preview::PreviewArgs;
use super::revoke::CutArgs;
use crate::args::{GroupArg, ReasonArgs};
use crate::error::Failure;
use crate::output::{answer, short};

/// Remove a member from a group
///
/// Ends every capability that they have below your rank, and changes the keys: they can open
/// nothing that is written by anyone who knows of the removal. What they have read they may keep.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The member: their pseudonym or id
    member: String,
    /// The rule of the agreement that was broken
    #[arg(long, default_value = "agreement")]
    rule: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    cut: CutArgs,
    #[command(flatten)]
    ahead: PreviewArgs,
}

pub(crate) async fn run(setting: &Setting, args: RemoveArgs) -> Result<(), Failure> {
    let reason = args.reason.read(setting.out)?;
    let mut door = setting.door().await?;
    let cut = args.cut.spec();
    let ask = |preview| Request::Remove {
        group: args.group.group.clone(),
        member: args.member.clone(),
        cut: cut.clone(),
        rule: args.rule.clone(),
        reason: reason.clone(),
        preview,
    };
    if !args.ahead.go_on(setting, &mut door, ask(true)).await? {
        return Ok(());
    }
    let answer = door.call(ask(false)).await?;
    setting.out.show(&answer, |_, answer| {
        let entry = short(&answer::text(answer, "entry"));
        format!("They are removed ({entry}). They see the rule and the reason.")
    })?;
    setting.out.remark(if door.is_node() {
        "Each node of the group acts on it as soon as it hears of it."
    } else {
        "The others' nodes hear of it when `cairn up` has met one of them."
    });
    Ok(())
}
