use cairn_node::api::command::Request;
use serde_json::{Value, json};

use super::Setting;
use crate::door::Door;
use crate::error::Failure;
use crate::home;
use crate::output::{Paint, answer};

/// Check that everything your node needs is in order
///
/// Changes nothing. The exit code is 1 if something is not in order.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {}

pub(crate) async fn run(setting: &Setting, _args: &DoctorArgs) -> Result<(), Failure> {
    let mut checks = vec![folder(setting)];
    if home::has_store(&setting.home) {
        match examined(setting).await {
            Ok(found) => checks.extend(found),
            Err(failure) => {
                checks.push(check("store", false, &failure.to_string(), failure.hint()))
            }
        }
    }
    let sound = checks.iter().all(|check| answer::flag(check, "ok"));
    setting.out.show(&Value::Array(checks), text)?;
    if sound { Ok(()) } else { Err(Failure::new("Not everything is in order.")) }
}

/// What the node, or the store alone, says of itself.
async fn examined(setting: &Setting) -> Result<Vec<Value>, Failure> {
    let mut door = Door::open(&setting.home).await?;
    let words = if door.is_node() {
        "A node is running for this home."
    } else {
        "No node is running for this home; `cairn up` starts it."
    };
    let mut checks = vec![check("node", true, words, None)];
    match door.call(Request::Doctor).await? {
        Value::Array(found) => checks.extend(found),
        other => checks.push(other),
    }
    Ok(checks)
}

/// The folder: there, and closed to others.
fn folder(setting: &Setting) -> Value {
    let home = &setting.home;
    if !home::has_store(home) {
        let failure = home::no_store(home);
        return check("home", false, &failure.to_string(), failure.hint());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::metadata(home).is_ok_and(|data| data.permissions().mode() & 0o077 != 0);
        if open {
            return check(
                "home",
                false,
                &format!("Other people on this machine can look into {}.", home.display()),
                Some(&format!("Close it: chmod 700 {}", home.display())),
            );
        }
    }
    check("home", true, &format!("The store is in {}.", home.display()), None)
}

fn check(name: &str, ok: bool, words: &str, hint: Option<&str>) -> Value {
    json!({ "check": name, "ok": ok, "words": words, "hint": hint })
}

fn text(paint: Paint, answer: &Value) -> String {
    let one = |check: &Value| {
        let mark = if answer::flag(check, "ok") { "in order" } else { "attention" };
        let hint = answer::some_text(check, "hint").map(|hint| format!("\n  Hint: {hint}"));
        format!(
            "{}: {mark}. {}{}",
            paint.strong(&answer::text(check, "check")),
            answer::text(check, "words"),
            hint.unwrap_or_default()
        )
    };
    answer::items(answer).iter().map(one).collect::<Vec<_>>().join("\n")
}
