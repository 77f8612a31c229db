use cairn_node::api::command::Request;

use super::{Setting, whereabouts};
use crate::args::GroupArg;
use crate::editor::TextArgs;
use crate::error::Failure;

/// Change a post of yours
///
/// The others see that it was edited. Who has read the earlier words may remember them.
#[derive(Debug, clap::Args)]
pub(crate) struct EditArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The post
    post: String,
    #[command(flatten)]
    text: TextArgs,
}

/// Erase a post
///
/// Your own post is erased on every node that hears of it; that cannot be undone. Another's post is
/// hidden at once, and erased when a week has passed, or when a steward confirms it. Who has read it
/// may remember or have copied it.
#[derive(Debug, clap::Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The post or thread
    post: String,
    /// Make the erasure of another's post final now, which a week would do: as a steward
    #[arg(long)]
    confirm: bool,
}

pub(crate) async fn run(setting: &Setting, args: EditArgs) -> Result<(), Failure> {
    let group = args.group.group;
    let mut door = setting.door().await?;
    let audience = setting.audience(&mut door, &group).await?;
    let body = args.text.read(setting.out, "", &audience)?;
    let answer = door.call(Request::Edit { group, post: args.post, body }).await?;
    setting.out.show(&answer, |_, _| format!("Your post is changed. {audience}"))?;
    setting.out.remark(whereabouts(&door));
    Ok(())
}

pub(crate) async fn erase(setting: &Setting, args: EraseArgs) -> Result<(), Failure> {
    let mut door = setting.door().await?;
    let (group, post) = (args.group.group, args.post);
    let request = match args.confirm {
        true => Request::ConfirmErase { group, post },
        false => Request::Erase { group, post },
    };
    let answer = door.call(request).await?;
    setting.out.show(&answer, |_, _| "The post is erased on this device.".to_owned())?;
    setting.out.remark(if door.is_node() {
        "The others' nodes erase it when they hear of it."
    } else {
        "The others' nodes hear of it when `cairn up` has met one of them."
    });
    Ok(())
}
