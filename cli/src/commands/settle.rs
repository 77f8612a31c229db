//! Decisions about the past: a cut that was too early, a removal that fell with its author, a log
//! with two branches, a device that is lost.

use cairn_node::api::command::Request;
use serde_json::Value;

use super::Setting;
use super::revoke::CutArgs;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{Paint, answer, short};

/// Let more of what a removed member did count
///
/// Says each removal and revocation of theirs that you made on this device again, with a later cut.
/// They stay out.
#[derive(Debug, clap::Args)]
pub(crate) struct ExtendArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The member: their pseudonym or id
    member: String,
    #[command(flatten)]
    cut: CutArgs,
}

/// Say a removal again that stopped counting with its author
///
/// When a moderator is removed from a point in the past, removals that they made after it stop
/// counting too. `cairn group show` lists them.
#[derive(Debug, clap::Args)]
pub(crate) struct ReissueArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The removal or revocation
    entry: String,
}

/// Select the branch of a log that counts
///
/// A device whose store was copied or set back can write two histories. Until one is selected,
/// nothing after the point where they part counts, except removals. `cairn group show` lists both.
#[derive(Debug, clap::Args)]
pub(crate) struct PinArgs {
    #[command(flatten)]
    group: GroupArg,
    /// An entry, or a post, on the branch that is to count
    entry: String,
}

/// End a device of yours that was lost
///
/// What it wrote up to now stands, unless you say up to where.
#[derive(Debug, clap::Args)]
pub(crate) struct UnlinkArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The device: its id or an unmistakable beginning of it
    device: String,
    /// What it wrote up to this entry or post stands, and nothing after it
    #[arg(long, value_name = "ENTRY")]
    last: Option<String>,
}

pub(crate) async fn extend(setting: &Setting, args: ExtendArgs) -> Result<(), Failure> {
    let (group, member, cut) = (args.group.group, args.member, args.cut.spec());
    let answer = setting.ask(Request::Extend { group, member, cut }).await?;
    setting.out.show(&answer, said("More of what they did counts now. They stay out"))
}

pub(crate) async fn reissue(setting: &Setting, args: ReissueArgs) -> Result<(), Failure> {
    let (group, entry) = (args.group.group, args.entry);
    let answer = setting.ask(Request::Reissue { group, entry }).await?;
    setting.out.show(&answer, said("It counts again, under your capability"))
}

pub(crate) async fn pin(setting: &Setting, args: PinArgs) -> Result<(), Failure> {
    let (group, entry) = (args.group.group, args.entry);
    let answer = setting.ask(Request::Pin { group, entry }).await?;
    setting.out.show(&answer, said("That branch counts now, and the other does not"))
}

pub(crate) async fn unlink(setting: &Setting, args: UnlinkArgs) -> Result<(), Failure> {
    let (group, device, last) = (args.group.group, args.device, args.last);
    let answer = setting.ask(Request::Unlink { group, device, last }).await?;
    setting.out.show(&answer, said("That device of yours is ended"))
}

fn said(words: &str) -> impl FnOnce(Paint, &Value) -> String {
    move |_, answer| format!("{words} ({}).", short(&answer::text(answer, "entry")))
}
