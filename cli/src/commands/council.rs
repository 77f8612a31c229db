use cairn_node::api::command::{CouncilSpec, Request};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::Setting;
use super::revoke::CutArgs;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{Paint, answer, counted, short};

/// Act for the group itself: succession, and what a founder did
///
/// A council stands above the founder. In a new group it is the founder alone; it can be handed to
/// several people of whom more than half must sign. Each keeps a key of their own, derived from
/// their recovery words. Signing happens in turn: one drafts, which is the first signature, the text
/// goes round by whatever way you trust, and whoever completes it carries it into the group. Each
/// signs one act at a time: two that were both completed would freeze the council for ever.
#[derive(Debug, Subcommand)]
pub(crate) enum CouncilCommand {
    Show(ShowArgs),
    Rotate(RotateArgs),
    Appoint(AppointArgs),
    Remove(RemoveArgs),
    Sign(SignArgs),
}

/// Show who is of the council, and your own key
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    group: GroupArg,
}

/// Hand over to another council
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    group: GroupArg,
    /// A key of the new council, once for each; `cairn council show` prints each person's own
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// How many must sign: more than half
    #[arg(long)]
    threshold: u8,
}

/// Give a member a rank, founder at most
#[derive(Debug, Args)]
pub(crate) struct AppointArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The member: their pseudonym or id
    member: String,
    /// The rank
    #[arg(value_parser = ["founder", "steward", "moderator", "member", "reader"])]
    rank: String,
}

/// Remove a member, of whatever rank
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The member: their pseudonym or id
    member: String,
    #[command(flatten)]
    cut: CutArgs,
}

/// Sign what another of the council has drafted
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The text that begins with cairn-act:
    act: String,
    /// Only say what it does
    #[arg(long)]
    preview: bool,
}

pub(crate) async fn run(setting: &Setting, command: CouncilCommand) -> Result<(), Failure> {
    let (group, act) = match command {
        CouncilCommand::Show(ShowArgs { group: GroupArg { group } }) => {
            return setting.out.show(&setting.ask(Request::Council { group }).await?, show_text);
        }
        CouncilCommand::Sign(SignArgs { group: GroupArg { group }, act, preview }) => {
            let answer = setting.ask(Request::CouncilSign { group, act, preview }).await?;
            return setting.out.show(&answer, act_text);
        }
        CouncilCommand::Rotate(RotateArgs { group, keys, threshold }) => {
            (group.group, CouncilSpec::Rotate { keys, threshold })
        }
        CouncilCommand::Appoint(AppointArgs { group, member, rank }) => {
            (group.group, CouncilSpec::Appoint { member, rank })
        }
        CouncilCommand::Remove(RemoveArgs { group, member, cut }) => {
            (group.group, CouncilSpec::Remove { member, cut: cut.spec() })
        }
    };
    setting.out.show(&setting.ask(Request::CouncilDraft { group, act }).await?, act_text)
}

fn show_text(paint: Paint, answer: &Value) -> String {
    let keys = answer::list(answer, "keys");
    let mut lines = vec![format!(
        "A council of {}, of whom {} must sign.",
        counted(u64::try_from(keys.len()).unwrap_or(u64::MAX), "person"),
        answer::number(answer, "threshold"),
    )];
    if answer::flag(answer, "frozen") {
        lines.push(
            "It has done two things that exclude each other and can do nothing more. All other \
             ranks go on as they are."
                .to_owned(),
        );
    }
    for key in keys {
        let you = if answer::flag(key, "you") { "  (you)" } else { "" };
        lines.push(format!("  {}{you}", answer::text(key, "key")));
    }
    lines.push(format!("Your key: {}", paint.strong(&answer::text(answer, "your_key"))));
    if let Some(signed) = answer.get("signed").filter(|signed| !signed.is_null()) {
        lines.push(format!(
            "You have signed an act, and no other until it is done. {}",
            act_text(paint, signed)
        ));
    }
    lines.join("\n")
}

fn act_text(paint: Paint, answer: &Value) -> String {
    if let Some(entry) = answer::some_text(answer, "entry") {
        return format!("Enough have signed: it is done ({}).", short(&entry));
    }
    format!(
        "This act {}.\n{} of {} have signed. The next signs it with `cairn council sign`:\n{}",
        answer::text(answer, "does"),
        answer::number(answer, "signatures"),
        answer::number(answer, "threshold"),
        paint.strong(&answer::text(answer, "act")),
    )
}
