use std::io::{IsTerminal, Write};

use cairn_node::api::client::Client;
use cairn_node::runtime::{self, Ready, UpOptions};
use serde_json::json;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::{Setting, init};
use crate::error::Failure;
use crate::output::{Paint, answer, counted};
use crate::{home, passphrase};

/// Run your node until it is stopped
///
/// The node keeps your groups up to date and answers the other commands. It runs in the foreground;
/// Ctrl-C or a service manager's stop signal ends it cleanly.
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Listen on this address (may be repeated) [default: TCP and QUIC on every address]
    ///
    /// Each of your groups listens on a port of its own, so that they cannot be linked. Port 0 is
    /// chosen once per group and remembered; a fixed port serves the first, the others choose.
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) listen: Vec<String>,
    /// Do not look for members on the local network; for networks that you share with strangers
    #[arg(long)]
    pub(crate) no_mdns: bool,
    /// Do not ask the router to let other members in (UPnP)
    #[arg(long)]
    pub(crate) no_upnp: bool,
    /// How members are reached: direct, or relay-only, which hides your address from them (remembered)
    ///
    /// With relay-only, members are spoken to through the relays of your groups' keepers and in no
    /// other way, so that no member learns where you are; the keepers do. In a group without a keeper
    /// nobody is reached then. The next `cairn up` does the same, until you say `--reach direct`.
    #[arg(long, value_name = "WAY")]
    pub(crate) reach: Option<String>,
    /// Go through this SOCKS5 proxy for every connection: socks5://HOST:PORT, or none (remembered)
    ///
    /// Nothing goes out beside it, and no name is looked up outside it. For Tor on this machine, say
    /// socks5://127.0.0.1:9050; each of your groups is another user there, so that Tor gives each a
    /// way out of its own. The next `cairn up` does the same, until you say `--proxy none`.
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
}

pub(crate) async fn run(setting: &Setting, args: UpArgs) -> Result<(), Failure> {
    log_to_stderr();
    if Client::connect(&setting.home).await?.is_some() {
        return Err(Failure::new("Your node is running already.")
            .hinted("Ctrl-C in its terminal stops it, or its service manager."));
    }
    let passphrase =
        if home::has_store(&setting.home) { passphrase::known()? } else { make_store(setting)? };
    let options = UpOptions {
        listen: args.listen,
        mdns: !args.no_mdns,
        upnp: !args.no_upnp,
        reach: args.reach,
        proxy: args.proxy,
    };
    let out = setting.out;
    runtime::up(&setting.home, &passphrase, options, move |ready: Ready| {
        let answer = json!({
            "ready": true, "listen": ready.listen, "api": ready.api, "web": null,
            "groups": ready.groups,
        });
        // Who does not read this can still use the node.
        drop(out.show(&answer, text));
    })
    .await?;
    out.remark("Your node has stopped.");
    Ok(())
}

/// Asks whether to make the store that is missing.
fn make_store(setting: &Setting) -> Result<zeroize::Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(home::no_store(&setting.home));
    }
    let mut stderr = std::io::stderr().lock();
    let mut line = String::new();
    write!(stderr, "There is no store in {} yet. Make one? [y/N] ", setting.home.display())
        .and_then(|()| stderr.flush())
        .and_then(|()| std::io::stdin().read_line(&mut line))
        .map_err(|_| home::no_store(&setting.home))?;
    if !matches!(line.trim().to_lowercase().as_str(), "y" | "yes") {
        return Err(home::no_store(&setting.home));
    }
    let passphrase = passphrase::new()?;
    let words = init::make(&setting.home, &passphrase)?;
    // With --json the one value on stdout is the ready line: the words go where the question was.
    let shown = init::text(Paint::PLAIN, &words);
    writeln!(stderr, "{shown}\n").map_err(|error| {
        Failure::new(format!("The recovery words could not be shown: {error}."))
            .hinted("Remove the folder of the store and make it again.")
    })?;
    Ok(passphrase)
}

/// The node's log, on stderr. It holds no names, texts, ids or addresses.
pub(super) fn log_to_stderr() {
    let asked =
        EnvFilter::try_from_env("CAIRN_LOG").unwrap_or_else(|_| EnvFilter::new("cairn_node=warn"));
    // A subscriber that is set already is as good.
    drop(own_lines(asked, std::io::stderr).try_init());
}

/// Of the lines that were asked for those of this program's own crates: the ones underneath write
/// addresses, peer ids and what is asked of a database, some at `warn`. Directives that turn them off
/// would be outdone by any that names a target more closely.
fn own_lines<W>(asked: EnvFilter, to: W) -> impl SubscriberInitExt
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let own = filter_fn(|line| line.target().starts_with("cairn"));
    let lines = fmt::layer().with_writer(to).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(asked.and(own)))
}

fn text(paint: Paint, answer: &serde_json::Value) -> String {
    let listen = answer::list(answer, "listen");
    let addresses: String = listen
        .iter()
        .filter_map(|address| address.as_str())
        .map(|address| format!("\n  {}", paint.faint(address)))
        .collect();
    if listen.is_empty() {
        return match answer::number(answer, "groups") {
            0 => "Your node is running. It is in no group yet: `cairn group create NAME` founds one, \
                  `cairn join CODE` joins one, in another terminal.\nCtrl-C stops it.",
            _ => "Your node is running. Nobody can call it directly: it goes through relays or a proxy \
                  only.\nCtrl-C stops it.",
        }
        .to_owned();
    }
    let many = counted(u64::try_from(listen.len()).unwrap_or(u64::MAX), "address");
    format!("Your node is running, on {many}:{addresses}\nCtrl-C stops it.")
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_log_holds_lines_of_this_program_only_whatever_was_asked_for() {
        let mut log = tempfile::tempfile().unwrap();
        let asked = EnvFilter::new("trace,libp2p_swarm::connection=trace,hyper_util=trace");
        let lines = own_lines(asked, Arc::new(log.try_clone().unwrap())).set_default();
        tracing::trace!(target: "cairn_node::network", "of this program");
        tracing::error!(target: "libp2p_swarm::connection", "192.0.2.1");
        tracing::warn!(target: "hyper_util::client::legacy::pool", "192.0.2.1");
        tracing::error!(target: "tokio_postgres::query", "192.0.2.1");
        drop(lines);
        log.rewind().unwrap();
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        assert!(text.contains("of this program") && !text.contains("192.0.2.1"), "{text}");
    }
}
