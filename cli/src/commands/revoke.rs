use cairn_node::api::command::{CutSpec, Request};

use super::Setting;
use super::preview::PreviewArgs;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{answer, short};

/// End a capability of a member
///
/// Says up to where what they did under it counts; the same on every node, whatever the order in
/// which entries arrive there.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The member: their pseudonym or id
    member: String,
    /// The capability to end [default: their highest]
    #[arg(long, value_name = "ID")]
    grant: Option<String>,
    #[command(flatten)]
    cut: CutArgs,
    #[command(flatten)]
    ahead: PreviewArgs,
}

/// Up to where the entries of a member count.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CutArgs {
    /// All that your node holds of them stands (the default)
    #[arg(long, group = "where")]
    from_tip: bool,
    /// Nothing of what they did under it stands
    #[arg(long, group = "where")]
    from_start: bool,
    /// What they did up to this entry stands
    #[arg(long, value_name = "ENTRY", group = "where")]
    cut: Option<String>,
}

impl CutArgs {
    /// As the node knows it.
    pub(crate) fn spec(self) -> CutSpec {
        match self.cut {
            Some(entry) => CutSpec::At(entry),
            None if self.from_start => CutSpec::FromStart,
            None => CutSpec::FromTip,
        }
    }
}

pub(crate) async fn run(setting: &Setting, args: RevokeArgs) -> Result<(), Failure> {
    let (group, member, grant, cut) = (args.group.group, args.member, args.grant, args.cut.spec());
    let mut door = setting.door().await?;
    let ask = |preview| {
        let (group, member, grant) = (group.clone(), member.clone(), grant.clone());
        Request::Revoke { group, member, grant, cut: cut.clone(), preview }
    };
    if !args.ahead.go_on(setting, &mut door, ask(true)).await? {
        return Ok(());
    }
    let answer = door.call(ask(false)).await?;
    setting.out.show(&answer, |_, answer| {
        let entry = short(&answer::text(answer, "entry"));
        format!("The capability is ended ({entry}). `cairn explain` says what no longer counts.")
    })
}
