use cairn_node::api::command::{HistoryChoice, Request};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::group_keeper::{self, KeeperCommand};
use super::{Setting, whereabouts};
use crate::args::GroupArg;
use crate::editor::TextArgs;
use crate::error::Failure;
use crate::output::{Paint, answer, counted, short};
use crate::pseudonym;

/// Found a group, look at yours, leave one
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    Create(CreateArgs),
    List(ListArgs),
    Show(ShowArgs),
    Leave(LeaveArgs),
    Agreement(AgreementArgs),
    Pseudonym(PseudonymArgs),
    #[command(subcommand)]
    Keeper(KeeperCommand),
}

/// Found a group
///
/// You are its founder: you invite others, and appoint who moderates.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The group's name, up to 200 bytes
    name: String,
    /// How you are called in this group [default: a suggestion]
    #[arg(long = "as", value_name = "PSEUDONYM")]
    pseudonym: Option<String>,
    /// What newcomers can read; this cannot be changed later
    #[arg(long, value_enum, default_value_t = History::SinceJoining)]
    history: History,
}

/// What newcomers of a group can read.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum History {
    /// What is written after they were admitted
    SinceJoining,
    /// All that is still there
    All,
}

/// List your groups
#[derive(Debug, Args)]
pub(crate) struct ListArgs {}

/// Show a group: its members, its policy, its agreement
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    group: GroupArg,
}

/// Leave a group
///
/// What you wrote stays with the others unless you erase it first (`cairn erase`).
#[derive(Debug, Args)]
pub(crate) struct LeaveArgs {
    #[command(flatten)]
    group: GroupArg,
}

/// Show the group's agreement, or write it
#[derive(Debug, Args)]
pub(crate) struct AgreementArgs {
    #[command(flatten)]
    group: GroupArg,
    /// Write the agreement, from stdin, --file or your editor
    #[arg(long)]
    set: bool,
    #[command(flatten)]
    text: TextArgs,
}

/// Change how you are called in a group
#[derive(Debug, Args)]
pub(crate) struct PseudonymArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The new pseudonym [default: a suggestion]
    pseudonym: Option<String>,
}

pub(crate) async fn run(setting: &Setting, command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::Create(args) => create(setting, args).await,
        GroupCommand::List(ListArgs {}) => {
            setting.out.show(&setting.ask(Request::GroupList).await?, list_text)
        }
        GroupCommand::Show(ShowArgs { group: GroupArg { group } }) => {
            setting.out.show(&setting.ask(Request::GroupShow { group }).await?, show_text)
        }
        GroupCommand::Leave(args) => leave(setting, args).await,
        GroupCommand::Agreement(args) => agreement(setting, args).await,
        GroupCommand::Pseudonym(args) => change_pseudonym(setting, args).await,
        GroupCommand::Keeper(command) => group_keeper::run(setting, command).await,
    }
}

async fn create(setting: &Setting, args: CreateArgs) -> Result<(), Failure> {
    let pseudonym = pseudonym::choose(setting.out, args.pseudonym)?;
    let history = match args.history {
        History::SinceJoining => HistoryChoice::SinceJoining,
        History::All => HistoryChoice::All,
    };
    let name = args.name;
    let answer = setting.ask(Request::GroupCreate { name, pseudonym, history }).await?;
    setting.out.show(&answer, |_, answer| {
        format!("The group is founded. Its id is {}.", answer::text(answer, "group"))
    })?;
    setting.out.remark("Next: `cairn invite GROUP` makes a code for someone you trust.");
    Ok(())
}

async fn leave(setting: &Setting, args: LeaveArgs) -> Result<(), Failure> {
    let mut door = setting.door().await?;
    let answer = door.call(Request::GroupLeave { group: args.group.group }).await?;
    setting.out.show(&answer, |_, _| "You have left the group.".to_owned())?;
    setting.out.remark(if door.is_node() {
        "The others learn of it when your node meets theirs."
    } else {
        "The others learn of it when `cairn up` has met one of their nodes."
    });
    Ok(())
}

async fn agreement(setting: &Setting, args: AgreementArgs) -> Result<(), Failure> {
    let group = args.group.group;
    let mut door = setting.door().await?;
    let now = door.call(Request::Agreement { group: group.clone() }).await?;
    if !args.set {
        if args.text.file.is_some() {
            return Err(Failure::usage("--file writes the agreement only together with --set."));
        }
        return setting.out.show(&now, agreement_text);
    }
    let aside = setting.audience(&mut door, &group).await?;
    let before = answer::long_text(&now, "text");
    let text = args.text.read(setting.out, &before, &aside)?;
    let answer = door.call(Request::SetAgreement { group, text }).await?;
    setting.out.show(&answer, |_, _| format!("The agreement is written. {aside}"))?;
    setting.out.remark(whereabouts(&door));
    Ok(())
}

async fn change_pseudonym(setting: &Setting, args: PseudonymArgs) -> Result<(), Failure> {
    let pseudonym = pseudonym::choose(setting.out, args.pseudonym)?;
    let group = args.group.group;
    let request = Request::SetPseudonym { group, pseudonym: pseudonym.clone() };
    let answer = setting.ask(request).await?;
    setting.out.show(&answer, |_, _| format!("You are called {pseudonym} in this group now."))
}

fn list_text(paint: Paint, answer: &Value) -> String {
    let groups = answer::items(answer);
    if groups.is_empty() {
        return "You are in no group yet. `cairn group create NAME` founds one, `cairn join CODE` \
                joins one."
            .to_owned();
    }
    let lines: Vec<String> = groups.iter().map(|group| list_line(paint, group)).collect();
    lines.join("\n")
}

fn list_line(paint: Paint, group: &Value) -> String {
    let name = answer::some_text(group, "name").unwrap_or_else(|| "(not opened yet)".to_owned());
    let id = paint.faint(&short(&answer::text(group, "group")));
    let state = match answer::text(group, "state").as_str() {
        "waiting" => "waiting to be admitted".to_owned(),
        "removed" => "you were removed".to_owned(),
        "declined" => "your request was declined".to_owned(),
        "left" => "you have left".to_owned(),
        _ => {
            let members = counted(answer::number(group, "members"), "person");
            let rank = answer::text(group, "rank");
            let unread = answer::number(group, "unread");
            let fresh =
                if unread == 0 { String::new() } else { format!(", {unread} not read yet") };
            format!("{members}, you are {}{fresh}", with_article(&rank))
        }
    };
    format!("{}  {id}  {state}", paint.strong(&name))
}

/// `a member`; nothing for an unknown rank.
fn with_article(rank: &str) -> String {
    match rank {
        "" => "a guest".to_owned(),
        rank => format!("a {rank}"),
    }
}

fn show_text(paint: Paint, answer: &Value) -> String {
    let history = match answer::text(answer, "history").as_str() {
        "all" => "Newcomers can read all that is still there.",
        _ => "Newcomers can read what is written after they were admitted.",
    };
    let agreement = match answer.get("agreement") {
        Some(Value::String(text)) if !text.is_empty() => {
            format!("\n\n{}", crate::output::plain(text))
        }
        Some(inner) if inner.is_object() => format!("\n\n{}", answer::long_text(inner, "text")),
        _ => String::new(),
    };
    let undecided = undecided_text(paint, answer);
    format!(
        "{}  {}\n{}; you are {}.\n{history}{undecided}{agreement}",
        paint.strong(&answer::text(answer, "name")),
        paint.faint(&answer::text(answer, "group")),
        counted(answer::number(answer, "members"), "person"),
        with_article(&answer::text(answer, "rank")),
    )
}

/// What waits for somebody to decide.
fn undecided_text(paint: Paint, answer: &Value) -> String {
    let mut text = String::new();
    for fork in answer::list(answer, "forks") {
        let branches: Vec<String> =
            answer::list(fork, "branches").iter().filter_map(Value::as_str).map(short).collect();
        text.push_str(&format!(
            "\n\nA device of {} has written two histories, from {} on. `cairn pin` selects one.",
            answer::person(fork, "member"),
            branches.join(" and "),
        ));
    }
    for act in answer::list(answer, "orphaned") {
        text.push_str(&format!(
            "\n\nThe {} of {} by {} stopped counting with its author. `cairn reissue` says it \
             again.  {}",
            answer::text(act, "kind"),
            answer::person(act, "subject"),
            answer::person(act, "author"),
            paint.faint(&short(&answer::text(act, "entry"))),
        ));
    }
    text
}

fn agreement_text(paint: Paint, answer: &Value) -> String {
    let text = answer::long_text(answer, "text");
    let text = if text.trim().is_empty() { "This group has no agreement yet." } else { &text };
    format!("{}\n\n{text}", paint.strong(&answer::text(answer, "name")))
}
