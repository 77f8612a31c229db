use cairn_node::api::command::Request;

use super::Setting;
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
}

pub(crate) async fn run(setting: &Setting, args: GrantArgs) -> Result<(), Failure> {
    let (group, member, rank) = (args.group.group, args.member, args.rank.clone());
    let answer = setting.ask(Request::Grant { group, member, rank }).await?;
    setting.out.show(&answer, |_, answer| {
        format!("They are a {} now ({}).", args.rank, short(&answer::text(answer, "entry")))
    })
}
