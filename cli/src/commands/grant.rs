use cairn_node::api::command::Request;

use super::Setting;
use super::preview::PreviewArgs;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{answer, short};

/// Ranks that a member can be given. The founder's is given by founding.
pub(super) const RANKS: [&str; 4] = ["steward", "moderator", "member", "reader"];

/// Give a member a rank below your own
///
/// A member who has a rank already gets the new one in its place, in one step.
#[derive(Debug, clap::Args)]
pub(crate) struct GrantArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The member: their pseudonym or id
    member: String,
    /// The rank
    #[arg(value_parser = RANKS)]
    rank: String,
    #[command(flatten)]
    ahead: PreviewArgs,
}

pub(crate) async fn run(setting: &Setting, args: GrantArgs) -> Result<(), Failure> {
    let (group, member, rank) = (args.group.group, args.member, args.rank.clone());
    let mut door = setting.door().await?;
    let ask = |preview| {
        let (group, member, rank) = (group.clone(), member.clone(), rank.clone());
        Request::Grant { group, member, rank, preview }
    };
    if !args.ahead.go_on(setting, &mut door, ask(true)).await? {
        return Ok(());
    }
    let answer = door.call(ask(false)).await?;
    setting.out.show(&answer, |_, answer| {
        format!("They are a {} now ({}).", args.rank, short(&answer::text(answer, "entry")))
    })
}
