use cairn_node::api::command::Request;
use serde_json::Value;

use super::{Setting, group_keeper};
use crate::error::Failure;
use crate::output::{Paint, answer, counted, short};

/// Show what your node holds and whether it is up to date
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {}

pub(crate) async fn run(setting: &Setting, _args: &StatusArgs) -> Result<(), Failure> {
    let mut door = setting.door().await?;
    let answer = door.call(Request::Status).await?;
    let running = door.is_node();
    setting.out.show(&answer, |paint, answer| text(paint, answer, running))
}

fn text(paint: Paint, answer: &Value, running: bool) -> String {
    let mut text = if running {
        "Your node is running.".to_owned()
    } else {
        "No node is running for this home; this is what the store holds.".to_owned()
    };
    for group in answer::list(answer, "groups") {
        let name = answer::some_text(group, "name")
            .unwrap_or_else(|| short(&answer::text(group, "group")));
        let peers = match group.get("peers") {
            Some(Value::Array(peers)) => u64::try_from(peers.len()).unwrap_or(u64::MAX),
            _ => answer::number(group, "peers"),
        };
        let missing = match answer::number(group, "missing") {
            0 => String::new(),
            missing => format!(", {missing} still missing"),
        };
        let stale = match answer::flag(group, "stale") {
            true => ", stale: others have seen more than has come here",
            false => "",
        };
        text.push_str(&format!(
            "\n{}  {}, {} entries{missing}{stale}, {}  {}",
            paint.strong(&name),
            answer::text(group, "state"),
            answer::number(group, "entries"),
            counted(peers, "connected node"),
            paint.faint(&short(&answer::text(group, "digest"))),
        ));
        for keeper in answer::list(group, "keepers") {
            text.push_str(&format!("\n  {}", group_keeper::line(paint, keeper)));
        }
        if let Some(reach) = group.get("reach").filter(|reach| reach.is_object()) {
            text.push_str(&format!("\n  {}", answer::text(reach, "why")));
        }
    }
    if let Some(way) = answer::some_text(answer, "way") {
        text.push_str(&format!("\n{way}"));
    }
    text
}
