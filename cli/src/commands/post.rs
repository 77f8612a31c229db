use cairn_node::api::command::Request;
use clap::ValueEnum;

use super::{Setting, whereabouts};
use crate::args::GroupArg;
use crate::editor::TextArgs;
use crate::error::Failure;
use crate::output::{answer, short};

/// Write a post into a thread
#[derive(Debug, clap::Args)]
pub(crate) struct PostArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The thread: its title or its id
    thread: String,
    /// The post that you answer
    #[arg(long, value_name = "POST")]
    reply_to: Option<String>,
    #[command(flatten)]
    manner: MannerArgs,
    #[command(flatten)]
    text: TextArgs,
}

/// How a post is to be taken.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MannerArgs {
    /// Fold the post behind a note that says what it is about
    #[arg(long, value_name = "WORDS")]
    pub(crate) note: Option<String>,
    /// Say what you would like back
    #[arg(long, value_enum)]
    pub(crate) wants: Option<Wants>,
}

/// What an author would like back.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Wants {
    /// To be heard
    JustListen,
    /// Advice is welcome
    AdviceWelcome,
    /// Stories of others in the same boat
    SameBoat,
}

impl Wants {
    /// As the node knows it.
    pub(crate) fn word(self) -> String {
        match self {
            Self::JustListen => "just-listen",
            Self::AdviceWelcome => "advice-welcome",
            Self::SameBoat => "same-boat",
        }
        .to_owned()
    }
}

pub(crate) async fn run(setting: &Setting, args: PostArgs) -> Result<(), Failure> {
    let group = args.group.group;
    let mut door = setting.door().await?;
    let audience = setting.audience(&mut door, &group).await?;
    let body = args.text.read(setting.out, "", &audience)?;
    let answer = door
        .call(Request::Post {
            group,
            thread: args.thread,
            reply_to: args.reply_to,
            body,
            note: args.manner.note,
            wants: args.manner.wants.map(Wants::word),
        })
        .await?;
    setting.out.show(&answer, |_, answer| {
        format!("Your post is written: {}. {audience}", short(&answer::text(answer, "post")))
    })?;
    setting.out.remark(whereabouts(&door));
    Ok(())
}
