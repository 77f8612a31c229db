use std::net::SocketAddr;
use std::time::Duration;

use cairn_node::keeper::policy::{DAY_MILLIS, Limits, RelayLimits};
use cairn_node::runtime::{self, KeeperOptions, KeeperReady};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Setting, up};
use crate::error::Failure;
use crate::output::{Paint, answer, counted};

/// Run an always-on node that holds messages for groups, and can read none of them
///
/// A keeper lets members reach each other who are never online together. `keeper run` starts one on
/// any machine that is always on; `keeper invite` prints a code, which its operator hands to a founder
/// or steward of a group; they give it to `cairn group keeper add`, and all members' nodes use it.
#[derive(Debug, Subcommand)]
pub(crate) enum KeeperCommand {
    Run(Box<RunArgs>),
    Invite(InviteArgs),
    Status(StatusArgs),
}

/// Run a keeper until it is stopped
///
/// It makes a key of its own the first time. It asks for no passphrase, so that a service manager
/// can start it: what it holds is sealed by those who put it there.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Listen on this address (may be repeated) [default: port 4224, TCP and QUIC, everywhere]
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// The address that others use (may be repeated) [default: where it listens]
    ///
    /// For a machine behind a router, or one with a name: /dns/keeper.example.org/tcp/4224.
    #[arg(long, value_name = "MULTIADDR")]
    external: Vec<String>,
    #[command(flatten)]
    store: StoreArg,
    /// How much one group's mailbox may hold, such as 500M or 2G; its drop-boxes and keys come on top
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    quota: u64,
    /// For how many days a record is held after it was put or renewed
    #[arg(long, value_name = "DAYS", default_value_t = 400,
        value_parser = clap::value_parser!(u64).range(1..=36500))]
    retention: u64,
    /// How many connections there may be at a time
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().connections)]
    connections: u32,
    /// How many nodes can be reached through its relay at a time; 0 turns the relay off
    #[arg(long, value_name = "NUMBER", default_value_t = RelayLimits::default().reservations)]
    relay_reservations: usize,
    /// How many circuits its relay carries at a time
    #[arg(long, value_name = "NUMBER", default_value_t = RelayLimits::default().circuits)]
    relay_circuits: usize,
    /// How many of these are one node's
    #[arg(long, value_name = "NUMBER", default_value_t = RelayLimits::default().circuits_per_peer)]
    relay_circuits_each: usize,
    /// For how many minutes a circuit lasts
    #[arg(long, value_name = "MINUTES", default_value_t = 120,
        value_parser = clap::value_parser!(u64).range(1..=100_000))]
    relay_minutes: u64,
    /// How much goes through one circuit
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = size)]
    relay_bytes: u64,
    /// Tell metrics at this address of this machine, such as 127.0.0.1:9224
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
}

/// Where the mailboxes are.
#[derive(Debug, Args)]
struct StoreArg {
    /// Hold the mailboxes in a PostgreSQL database [default: a file in the home]
    ///
    /// Several keepers may share one: postgres://user@host/database. A password in the URL can be
    /// seen in the list of processes; set CAIRN_KEEPER_STORE instead.
    #[arg(long, value_name = "URL", env = "CAIRN_KEEPER_STORE", hide_env_values = true)]
    store: Option<String>,
}

/// Print a code with which one group can use this keeper
///
/// It is good for one group, once, and for 60 days. The keeper may be running.
#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    /// The address that the code names (may be repeated) [default: what the keeper used last]
    #[arg(long, value_name = "MULTIADDR")]
    address: Vec<String>,
    #[command(flatten)]
    store: StoreArg,
}

/// Show how much a keeper holds, without any of it
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    store: StoreArg,
}

pub(crate) async fn run(setting: &Setting, command: KeeperCommand) -> Result<(), Failure> {
    match command {
        KeeperCommand::Run(args) => keep(setting, *args).await,
        KeeperCommand::Invite(args) => invite(setting, args).await,
        KeeperCommand::Status(args) => status(setting, args).await,
    }
}

async fn keep(setting: &Setting, args: RunArgs) -> Result<(), Failure> {
    up::log_to_stderr();
    let relay = RelayLimits {
        reservations: args.relay_reservations,
        circuits: args.relay_circuits,
        circuits_per_peer: args.relay_circuits_each,
        duration: Duration::from_secs(args.relay_minutes.saturating_mul(60)),
        bytes: args.relay_bytes,
    };
    let limits = Limits {
        quota: args.quota,
        retention: args.retention.saturating_mul(DAY_MILLIS),
        connections: args.connections,
        relay,
        ..Limits::default()
    };
    let options = KeeperOptions {
        listen: args.listen,
        external: args.external,
        store: args.store.store,
        limits,
        metrics: args.metrics,
    };
    let out = setting.out;
    runtime::keep(&setting.home, options, move |ready: KeeperReady| {
        let metrics = ready.metrics.map(|address| format!("http://{address}/metrics"));
        let answer = json!({ "ready": true, "listen": ready.listen, "metrics": metrics });
        // Who does not read this still has a keeper.
        drop(out.show(&answer, running));
    })
    .await?;
    out.remark("The keeper has stopped.");
    Ok(())
}

fn running(paint: Paint, answer: &Value) -> String {
    let addresses: String = answer::list(answer, "listen")
        .iter()
        .filter_map(|address| address.as_str())
        .map(|address| format!("\n  {}", paint.faint(address)))
        .collect();
    format!(
        "The keeper is running, on:{addresses}\n\
         `cairn keeper invite` prints a code for a group. Ctrl-C stops it."
    )
}

async fn invite(setting: &Setting, args: InviteArgs) -> Result<(), Failure> {
    let code =
        runtime::keeper_invite(&setting.home, args.store.store, &args.address).await?.to_text();
    setting.out.show(&json!({ "code": code }), |_, _| code.clone())?;
    setting.out.remark(
        "Hand it to a founder or steward, in person or by a safe way: whoever has it can make one \
         mailbox here. It is good for 60 days.",
    );
    Ok(())
}

async fn status(setting: &Setting, args: StatusArgs) -> Result<(), Failure> {
    let status = runtime::keeper_status(&setting.home, args.store.store).await?;
    let told = json!({
        "running": status.running,
        "mailboxes": status.mailboxes,
        "records": status.records,
        "bytes": status.bytes,
        "invitations": status.invitations,
        "connections": status.connections,
        "circuits": status.circuits,
        "requests": status.requests,
        "refused": status.refused,
    });
    setting.out.show(&told, |_, _| {
        let state = if status.running { "runs" } else { "does not run" };
        let mut text = format!(
            "The keeper {state}. It holds {} and {}, {}; {} not used yet.",
            counted(status.mailboxes, "mailbox"),
            counted(status.records, "record"),
            counted(status.bytes, "byte"),
            counted(status.invitations, "invitation"),
        );
        if status.running {
            text.push_str(&format!(
                "\nNow: {}, {} through the relay. Since it was started: {}, {} refused.",
                counted(status.connections, "connection"),
                counted(status.circuits, "circuit"),
                counted(status.requests, "request"),
                status.refused,
            ));
        }
        text
    })
}

/// A size in bytes, with K, M, G or T for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.chars().last().map(|last| last.to_ascii_uppercase()) {
        Some('K') => (text.trim_end_matches(['k', 'K']), 10),
        Some('M') => (text.trim_end_matches(['m', 'M']), 20),
        Some('G') => (text.trim_end_matches(['g', 'G']), 30),
        Some('T') => (text.trim_end_matches(['t', 'T']), 40),
        _ => (text, 0),
    };
    let number: u64 =
        digits.parse().map_err(|_| "it should be a number such as 500M or 2G".to_owned())?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| (1 << 20..=1 << 50).contains(bytes))
        .ok_or_else(|| "it should be between 1M and 1024T".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_people_write_it() {
        assert_eq!(size("1G"), Ok(1 << 30));
        assert_eq!(size("500m"), Ok(500 << 20));
        assert_eq!(size("1048576"), Ok(1 << 20));
        for text in ["", "G", "1GX", "-1G", "1.5G", "12", "9999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
