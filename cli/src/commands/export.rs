use std::io::Write;
use std::path::{Path, PathBuf};

use cairn_node::api::command::Request;
use serde_json::{Value, json};

use super::Setting;
use crate::error::Failure;
use crate::output::answer;

/// Write down your own words, as JSON
///
/// What others wrote is not part of it. The result is not encrypted: keep it where only you can
/// read it.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The group [default: all of yours]
    group: Option<String>,
    /// Write to this new file, readable by you alone, instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) async fn run(setting: &Setting, args: ExportArgs) -> Result<(), Failure> {
    let mut door = setting.door().await?;
    let words = match args.group {
        Some(group) => door.call(Request::Export { group }).await?,
        None => {
            let groups = door.call(Request::GroupList).await?;
            let mut all = Vec::new();
            for group in answer::items(&groups) {
                if answer::text(group, "state") != "waiting" {
                    let group = answer::text(group, "group");
                    all.push(door.call(Request::Export { group }).await?);
                }
            }
            json!({ "groups": all })
        }
    };
    match args.out {
        None => setting.out.show(&words, |_, words| format!("{words:#}")),
        Some(path) => {
            write_new(&path, &words)?;
            let answer = json!({ "file": path.display().to_string() });
            setting.out.show(&answer, |_, _| format!("Your words are in {}.", path.display()))
        }
    }
}

fn write_new(path: &Path, words: &Value) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || {
        let mut file = options.open(path)?;
        writeln!(file, "{words:#}")?;
        file.sync_all()
    };
    write().map_err(|error| {
        Failure::new(format!("The file {} could not be written: {error}.", path.display()))
            .hinted("Choose a file that does not exist yet, in a folder that you can write to.")
    })
}
