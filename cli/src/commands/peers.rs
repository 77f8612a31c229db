use cairn_node::api::command::Request;
use serde_json::Value;

use super::Setting;
use crate::args::GroupArg;
use crate::door::Door;
use crate::error::Failure;
use crate::output::{Paint, answer, short};

/// Show the other nodes of a group and the addresses of your own
#[derive(Debug, clap::Args)]
pub(crate) struct PeersArgs {
    #[command(flatten)]
    group: GroupArg,
}

pub(crate) async fn run(setting: &Setting, args: PeersArgs) -> Result<(), Failure> {
    let client = Door::node(&setting.home, "looking at other nodes").await?;
    let answer = client.call(Request::Peers { group: args.group.group }).await?;
    setting.out.show(&answer, text)
}

fn text(paint: Paint, answer: &Value) -> String {
    let addresses = |holder: &Value, field: &str| -> String {
        answer::list(holder, field)
            .iter()
            .filter_map(Value::as_str)
            .map(|address| format!("\n  {}", paint.faint(&crate::output::plain_line(address))))
            .collect()
    };
    let mut text = format!("Your node listens on:{}", addresses(answer, "listen"));
    for peer in answer::list(answer, "peers") {
        let name = answer::some_text(peer, "pseudonym")
            .unwrap_or_else(|| short(&answer::text(peer, "peer")));
        let through = match answer::some_text(peer, "through").as_deref() {
            Some("relay") => " through a relay",
            Some(_) => " directly",
            None => "",
        };
        text.push_str(&format!(
            "\n{}, {}{through}{}",
            paint.strong(&name),
            answer::text(peer, "state"),
            addresses(peer, "addresses")
        ));
    }
    text
}
