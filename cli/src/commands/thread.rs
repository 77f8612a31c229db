use cairn_node::api::command::Request;

use super::{Setting, post, whereabouts};
use crate::args::GroupArg;
use crate::editor::TextArgs;
use crate::error::Failure;
use crate::output::{answer, short};

/// Start a thread
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ThreadCommand {
    Start(StartArgs),
}

/// Start a thread with a title and an opening post
#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The title, up to 200 bytes
    #[arg(long)]
    title: String,
    #[command(flatten)]
    manner: post::MannerArgs,
    #[command(flatten)]
    text: TextArgs,
}

pub(crate) async fn run(setting: &Setting, command: ThreadCommand) -> Result<(), Failure> {
    let ThreadCommand::Start(args) = command;
    let group = args.group.group;
    let mut door = setting.door().await?;
    let audience = setting.audience(&mut door, &group).await?;
    let body = args.text.read(setting.out, "", &audience)?;
    let (note, wants) = (args.manner.note, args.manner.wants.map(post::Wants::word));
    let request = Request::ThreadStart { group, title: args.title, body, note, wants };
    let answer = door.call(request).await?;
    setting.out.show(&answer, |_, answer| {
        let id = short(&answer::text(answer, "thread"));
        format!("The thread is started: {id}. {audience}")
    })?;
    setting.out.remark(whereabouts(&door));
    Ok(())
}
