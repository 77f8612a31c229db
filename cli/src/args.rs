//! What can be typed. The comments are the help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    acts, bundle, council, demo, doctor, edit, explain, export, grant, group, hide, import, init,
    invite, join, keeper, members, peers, post, read, remove, requests, respond, revoke, search,
    settle, status, sync, thread, up,
};
use crate::editor::TextArgs;
use crate::error::Failure;
use crate::output::Output;

/// A support group without a server
///
/// Every member keeps an encrypted copy of the group's discussion on a machine of their own, and
/// the members' nodes bring each other up to date. `cairn demo` shows a whole community on this
/// machine; `cairn init` and `cairn up` start a node of your own.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, propagate_version = false, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// The folder of your store [default: cairn in your data folder]
    #[arg(long, global = true, value_name = "DIR", env = "CAIRN_HOME", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// Print the answer as one JSON value, and nothing else, on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print what was asked for, without remarks and progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::InitArgs),
    Up(up::UpArgs),
    #[command(subcommand)]
    Group(group::GroupCommand),
    Invite(invite::InviteArgs),
    Join(join::JoinArgs),
    Requests(requests::RequestsArgs),
    Admit(requests::AdmitArgs),
    Decline(requests::DeclineArgs),
    #[command(subcommand)]
    Thread(thread::ThreadCommand),
    Post(post::PostArgs),
    Threads(read::ThreadsArgs),
    Read(read::ReadArgs),
    Search(search::SearchArgs),
    Respond(respond::RespondArgs),
    Edit(edit::EditArgs),
    Erase(edit::EraseArgs),
    Hide(hide::HideArgs),
    Restore(hide::RestoreArgs),
    Members(members::MembersArgs),
    Grant(grant::GrantArgs),
    Revoke(revoke::RevokeArgs),
    Remove(remove::RemoveArgs),
    Extend(settle::ExtendArgs),
    Reissue(settle::ReissueArgs),
    Pin(settle::PinArgs),
    Unlink(settle::UnlinkArgs),
    #[command(subcommand)]
    Council(council::CouncilCommand),
    Acts(acts::ActsArgs),
    Explain(explain::ExplainArgs),
    Sync(sync::SyncArgs),
    Peers(peers::PeersArgs),
    Status(status::StatusArgs),
    Doctor(doctor::DoctorArgs),
    #[command(subcommand)]
    Keeper(keeper::KeeperCommand),
    #[command(subcommand)]
    Bundle(bundle::BundleCommand),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Demo(demo::DemoArgs),
}

/// The group meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct GroupArg {
    /// The group: its name, or its id or an unmistakable beginning of that
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
}

/// Why something is done to what another person wrote, or to them.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReasonArgs {
    /// The reason, in words that the person concerned will read
    #[arg(long, value_name = "WORDS", required_unless_present = "reason_file")]
    pub(crate) reason: Option<String>,
    /// Read the reason from this file, to keep it out of the shell's history
    #[arg(long, value_name = "FILE", conflicts_with = "reason")]
    pub(crate) reason_file: Option<PathBuf>,
}

impl ReasonArgs {
    /// The reason, wherever it stands.
    pub(crate) fn read(self, out: Output) -> Result<String, Failure> {
        match self.reason {
            Some(words) => Ok(words),
            None => TextArgs { file: self.reason_file }.read(out, "", ""),
        }
    }
}
