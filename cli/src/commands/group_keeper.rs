use cairn_node::api::command::Request;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{Paint, answer, counted, short};

/// Choose the group's keepers: always-on machines that hold what they cannot read
///
/// With a keeper, members reach each other who are never online together. What lies there is sealed:
/// its operator can read nothing of it. Founders and stewards choose; all members' nodes follow.
#[derive(Debug, Subcommand)]
pub(crate) enum KeeperCommand {
    Add(AddArgs),
    List(ListArgs),
    Remove(RemoveArgs),
}

/// Use a keeper, with a code from its operator
///
/// Needs a running node (`cairn up`) and a keeper that can be reached now. Use two, run by different
/// people, if you can: one fills what the other loses or withholds.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The code that `cairn keeper invite` printed
    code: String,
}

/// List the group's keepers and how it stands with each
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    group: GroupArg,
}

/// Use a keeper no longer
///
/// What lies there cannot be read by anyone else, and goes when its time is over.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The keeper, as `cairn group keeper list` shows it
    keeper: String,
}

pub(crate) async fn run(setting: &Setting, command: KeeperCommand) -> Result<(), Failure> {
    match command {
        KeeperCommand::Add(args) => {
            let request = Request::KeeperAdd { group: args.group.group, code: args.code };
            let answer = setting.ask(request).await?;
            setting.out.show(&answer, |_, _| {
                "The keeper is added. All members' nodes will use it.".to_owned()
            })
        }
        KeeperCommand::List(args) => {
            let answer = setting.ask(Request::Keepers { group: args.group.group }).await?;
            setting.out.show(&answer, list_text)
        }
        KeeperCommand::Remove(args) => {
            let request = Request::KeeperRemove { group: args.group.group, keeper: args.keeper };
            let answer = setting.ask(request).await?;
            setting.out.show(&answer, |_, _| "The keeper is used no longer.".to_owned())
        }
    }
}

fn list_text(paint: Paint, answer: &Value) -> String {
    let keepers = answer::items(answer);
    if keepers.is_empty() {
        return "This group has no keeper: members meet only while both are online, or through a \
                third. `cairn group keeper add GROUP CODE` adds one."
            .to_owned();
    }
    let lines: Vec<String> = keepers.iter().map(|keeper| line(paint, keeper)).collect();
    lines.join("\n")
}

/// One keeper: whether it is reached, what waits for it, and what it was found to do.
pub(crate) fn line(paint: Paint, keeper: &Value) -> String {
    let flag = |name| keeper.get(name).and_then(Value::as_bool).unwrap_or(false);
    let state = match (flag("open"), answer::some_text(keeper, "why")) {
        (true, _) if flag("full") => "is full: it takes decisions, and no posts".to_owned(),
        (true, _) => "is reached".to_owned(),
        (false, Some(why)) => format!("is not reached: {why}"),
        (false, None) => "is looked for".to_owned(),
    };
    let waiting = match answer::number(keeper, "lacking") {
        0 => String::new(),
        lacking => format!("; {} not there yet", counted(lacking, "entry")),
    };
    let found = keeper.get("misconduct").and_then(|found| answer::some_text(found, "what"));
    let found = found.map(|what| format!("\n    {what}")).unwrap_or_default();
    let name = paint.faint(&short(&answer::text(keeper, "keeper")));
    format!("Keeper {name} {state}{waiting}.{found}")
}
