//! Whether everything that a node needs is in order, in words.

use std::os::unix::fs::PermissionsExt as _;

use cairn_crdt::time::Timestamp;
use serde_json::{Value, json};

use super::super::Driver;
use super::super::waits::members_connected;
use crate::api::command::Answer;
use crate::api::moment;
use crate::clock;
use crate::network::How;

/// Bytes of free disk below which a person should know.
const SCARCE: u64 = 256 * 1024 * 1024;
/// Milliseconds by which the newest post may be ahead of this clock before one of the two is
/// doubted.
const AHEAD: u64 = 3_600_000;

/// Every check.
pub(super) fn checks(driver: &mut Driver, now: Timestamp) -> Answer {
    let mut checks = vec![groups(driver, now), time(driver, now), home(driver), disk(driver)];
    if let Some(connections) = &driver.connections {
        if connections.way.listens() {
            checks.push(listening(driver));
        }
        checks.extend(reachable(driver));
        checks.push(reached(driver));
    }
    Value::Array(checks)
}

fn check(name: &str, ok: bool, words: impl Into<String>, hint: Option<&str>) -> Value {
    json!({ "check": name, "ok": ok, "words": words.into(), "hint": hint })
}

fn groups(driver: &mut Driver, now: Timestamp) -> Value {
    let all: Vec<_> = driver.personas.keys().copied().collect();
    let mut failed = None;
    for group in &all {
        failed = driver.at_rest(now, *group).err().or(failed);
    }
    match failed {
        Some(error) => check("store", false, error.message, error.hint.as_deref()),
        None => {
            let words = match all.len() {
                0 => "The store opens. You are in no group yet.".to_owned(),
                1 => "The store opens, and the group in it.".to_owned(),
                many => format!("The store opens, and all {many} groups in it."),
            };
            check("store", true, words, None)
        }
    }
}

/// The clock: not before this program was made, and not far behind what others wrote.
fn time(driver: &Driver, now: Timestamp) -> Value {
    const HINT: &str = "Set the clock of this machine, or let it be set by the network.";
    if now < clock::EARLIEST {
        let words = format!("The clock of this machine shows {}.", moment::write(now));
        return check("clock", false, words, Some(HINT));
    }
    let threads = driver.personas.keys().filter_map(|group| driver.desk.store.threads(*group).ok());
    let newest = threads.flatten().map(|thread| thread.newest).max().unwrap_or_default();
    if newest.since(now) > AHEAD {
        let words = "The newest post claims to be written more than an hour from now: either this \
                     clock is slow or its author's is fast.";
        return check("clock", false, words, Some(HINT));
    }
    check("clock", true, format!("It is {}.", moment::write(now)), None)
}

fn home(driver: &Driver) -> Value {
    let mode = std::fs::metadata(&driver.home).map(|data| data.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o077 == 0 => {
            check("permissions", true, "Nobody else on this machine can look into the home.", None)
        }
        Ok(_) => check(
            "permissions",
            false,
            "Other people on this machine can look into the home.",
            Some("Close it with chmod 700 and the path of the home."),
        ),
        Err(error) => {
            let words = format!("The home cannot be looked at: {}.", error.kind());
            check("permissions", false, words, None)
        }
    }
}

fn disk(driver: &Driver) -> Value {
    match fs4::available_space(&driver.home) {
        Ok(free) => {
            let mebibytes = free.div_euclid(1024 * 1024);
            let words = format!("{mebibytes} MiB are free on the disk of the home.");
            let hint = (free < SCARCE).then_some("Free some space before it is needed.");
            check("disk", free >= SCARCE, words, hint)
        }
        Err(error) => check(
            "disk",
            false,
            format!("The free space could not be found out: {}.", error.kind()),
            None,
        ),
    }
}

fn listening(driver: &Driver) -> Value {
    let all = driver.personas.len();
    let up = driver.personas.values().filter(|persona| !persona.link.listening.is_empty()).count();
    if up == all {
        return check("listening", true, "Other nodes can call at every group's own port.", None);
    }
    let words = format!("{up} of {all} groups listen: others cannot call this node in the rest.");
    check("listening", false, words, Some("Look at --listen, and at which ports are taken."))
}

/// How others reach each group's node; the names of groups are said where there are several.
fn reachable(driver: &Driver) -> Vec<Value> {
    let several = driver.personas.len() > 1;
    let up = driver.personas.iter().filter(|(_, persona)| persona.link.is_up());
    up.map(|(group, persona)| {
        let judged = persona.link.reachability;
        let store = &driver.desk.store;
        let name = store.agreement(*group).ok().flatten().map(|(name, _)| name);
        let of = name.filter(|name| several && !name.is_empty());
        let of = of.map(|name| format!("In \"{name}\": ")).unwrap_or_default();
        let ok = !matches!(judged.how, How::None);
        check("reach", ok, format!("{of}{}", judged.sentence()), judged.hint())
    })
    .collect()
}

/// Being alone is no fault, so this is always in order.
fn reached(driver: &Driver) -> Value {
    let open = driver.personas.values().filter_map(|persona| Some((persona, persona.replica()?)));
    let reached = open.filter(|(persona, replica)| !members_connected(persona, replica).is_empty());
    let (reached, all) = (reached.count(), driver.personas.len());
    let hint = (reached < all).then_some(
        "Nodes meet when two of a group run at the same time and one can call the other, or both \
         reach a keeper's relay.",
    );
    check("met", true, format!("Somebody is reached in {reached} of {all} groups."), hint)
}
