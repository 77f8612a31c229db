use std::time::Duration;

use cairn_node::api::client::Client;
use cairn_node::api::command::{Answer, Request};
use serde_json::Value;

use super::Setting;
use crate::args::GroupArg;
use crate::door::Door;
use crate::error::Failure;
use crate::output::{Output, Paint, answer, counted};

/// How often the progress of a long catch-up is looked at.
const GLANCE: Duration = Duration::from_millis(250);

/// Bring a group up to date with the nodes and keepers that can be reached
///
/// The node does this by itself; this command is for not waiting, or for waiting until it is done.
#[derive(Debug, clap::Args)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    group: GroupArg,
    /// Return when nothing is missing any more, and the keepers hold what you wrote
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn run(setting: &Setting, args: SyncArgs) -> Result<(), Failure> {
    let client = Door::node(&setting.home, "bringing a group up to date").await?;
    let group = args.group.group;
    let answer = if args.wait {
        with_progress(setting.out, &client, &group).await?
    } else {
        client.call(Request::Sync { group, wait: false }).await?
    };
    setting.out.show(&answer, text)
}

/// Waits for the end, and shows how far it is meanwhile.
async fn with_progress(out: Output, client: &Client, group: &str) -> Result<Answer, Failure> {
    let bar = out.progress(0, "Catching up");
    let done = client.call(Request::Sync { group: group.to_owned(), wait: true });
    tokio::pin!(done);
    let answer = loop {
        tokio::select! {
            answer = &mut done => break answer,
            () = tokio::time::sleep(GLANCE) => {
                // A glance that fails costs nothing but a step of the bar.
                if let Ok(show) = client.call(Request::GroupShow { group: group.to_owned() }).await {
                    let (held, missing) =
                        (answer::number(&show, "entries"), answer::number(&show, "missing"));
                    bar.set_length(held.saturating_add(missing));
                    bar.set_position(held);
                }
            }
        }
    };
    bar.finish_and_clear();
    Ok(answer?)
}

fn text(_: Paint, answer: &Value) -> String {
    let held = counted(answer::number(answer, "entries"), "entry");
    let peers = match answer.get("peers") {
        Some(Value::Array(peers)) => u64::try_from(peers.len()).unwrap_or(u64::MAX),
        _ => answer::number(answer, "peers"),
    };
    let read = answer::list(answer, "keepers")
        .iter()
        .filter(|keeper| answer::flag(keeper, "open") && answer::flag(keeper, "read"))
        .count();
    let with = match (peers, u64::try_from(read).unwrap_or(u64::MAX)) {
        (0, 0) => "no other node is reached right now".to_owned(),
        (peers, 0) => format!("connected with {}", counted(peers, "node")),
        (0, read) => format!("up to date with {}", counted(read, "keeper")),
        (peers, read) => format!(
            "connected with {} and up to date with {}",
            counted(peers, "node"),
            counted(read, "keeper"),
        ),
    };
    match answer::number(answer, "missing") {
        0 => format!("Nothing is known to be missing: {held}, {with}."),
        missing => format!("{missing} still missing: {held} held, {with}."),
    }
}
