//! The commands, one file each: what can be typed, what is asked of the node, how the answer
//! reads.

pub(crate) mod acts;
pub(crate) mod bundle;
pub(crate) mod council;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod edit;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod grant;
pub(crate) mod group;
pub(crate) mod group_keeper;
pub(crate) mod hide;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod invite;
pub(crate) mod join;
pub(crate) mod keeper;
pub(crate) mod members;
pub(crate) mod peers;
pub(crate) mod post;
pub(crate) mod preview;
pub(crate) mod read;
pub(crate) mod remove;
pub(crate) mod requests;
pub(crate) mod respond;
pub(crate) mod revoke;
pub(crate) mod search;
pub(crate) mod settle;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod thread;
pub(crate) mod up;

use std::path::PathBuf;

use cairn_node::api::command::{Answer, Request};

use crate::args::{Cli, Command};
use crate::door::Door;
use crate::error::Failure;
use crate::home;
use crate::output::{Output, audience};

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The folder of the store.
    pub(crate) home: PathBuf,
    /// How to speak.
    pub(crate) out: Output,
}

impl Setting {
    /// One question to the node, or to the store alone.
    async fn ask(&self, request: Request) -> Result<Answer, Failure> {
        self.door().await?.call(request).await
    }

    async fn door(&self) -> Result<Door, Failure> {
        Door::open(&self.home).await
    }

    /// Who can read what is written in a group, as a sentence. Not asked where nobody would see it.
    async fn audience(&self, door: &mut Door, group: &str) -> Result<String, Failure> {
        if self.out.json() || self.out.quiet() {
            return Ok(String::new());
        }
        let members = door.call(Request::Members { group: group.to_owned() }).await?;
        Ok(audience::sentence(&members))
    }
}

/// Where something just written is, for a person.
const fn whereabouts(door: &Door) -> &'static str {
    if door.is_node() {
        "It goes out as soon as another node is reached; `cairn read` shows how far it came."
    } else {
        "It is on this device only: no node is running. `cairn up` sends it out."
    }
}

/// Does what was typed.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let home = home::choose(cli.global.home)?;
    let out = Output::new(cli.global.json, cli.global.quiet);
    let setting = &Setting { home, out };
    match cli.command {
        Command::Init(args) => init::run(setting, &args),
        Command::Up(args) => up::run(setting, args).await,
        Command::Group(command) => group::run(setting, command).await,
        Command::Invite(args) => invite::run(setting, args).await,
        Command::Join(args) => join::run(setting, args).await,
        Command::Requests(args) => requests::run(setting, args).await,
        Command::Admit(args) => requests::admit(setting, args).await,
        Command::Decline(args) => requests::decline(setting, args).await,
        Command::Thread(command) => thread::run(setting, command).await,
        Command::Post(args) => post::run(setting, args).await,
        Command::Threads(args) => read::threads(setting, args).await,
        Command::Read(args) => read::run(setting, args).await,
        Command::Search(args) => search::run(setting, args).await,
        Command::Respond(args) => respond::run(setting, args).await,
        Command::Edit(args) => edit::run(setting, args).await,
        Command::Erase(args) => edit::erase(setting, args).await,
        Command::Hide(args) => hide::run(setting, args).await,
        Command::Restore(args) => hide::restore(setting, args).await,
        Command::Members(args) => members::run(setting, args).await,
        Command::Grant(args) => grant::run(setting, args).await,
        Command::Revoke(args) => revoke::run(setting, args).await,
        Command::Remove(args) => remove::run(setting, args).await,
        Command::Extend(args) => settle::extend(setting, args).await,
        Command::Reissue(args) => settle::reissue(setting, args).await,
        Command::Pin(args) => settle::pin(setting, args).await,
        Command::Unlink(args) => settle::unlink(setting, args).await,
        Command::Council(command) => council::run(setting, command).await,
        Command::Acts(args) => acts::run(setting, args).await,
        Command::Explain(args) => explain::run(setting, args).await,
        Command::Sync(args) => sync::run(setting, args).await,
        Command::Peers(args) => peers::run(setting, args).await,
        Command::Status(args) => status::run(setting, &args).await,
        Command::Doctor(args) => doctor::run(setting, &args).await,
        Command::Keeper(command) => keeper::run(setting, command).await,
        Command::Bundle(command) => bundle::run(setting, command).await,
        Command::Export(args) => export::run(setting, args).await,
        Command::Import(args) => import::run(setting, args).await,
        Command::Demo(args) => demo::run(setting, args).await,
    }
}
