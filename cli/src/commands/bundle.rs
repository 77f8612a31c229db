use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use cairn_node::api::command::Request;
use clap::{Args, Subcommand};

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{answer, counted};

/// Carry a group's discussion by hand, where there is no network
///
/// One member writes a file, on a USB stick for example; another reads it. Do it once in each
/// direction, and both have everything.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    Write(WriteArgs),
    Read(ReadArgs),
}

/// Write all that you hold of a group into a file, sealed for its members
///
/// Only members can open it, and nothing in it tells whose it is. A file that was cut short when a
/// stick was pulled out is completed when you write it again.
#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    group: GroupArg,
    /// Where to write it, such as a file on the stick
    file: PathBuf,
}

/// Read a file that another member wrote
///
/// What you have already is left as it is. Files can be read in any order, and more than once.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    group: GroupArg,
    /// The file that was written
    file: PathBuf,
}

pub(crate) async fn run(setting: &Setting, command: BundleCommand) -> Result<(), Failure> {
    match command {
        BundleCommand::Write(args) => write(setting, args).await,
        BundleCommand::Read(args) => read(setting, args).await,
    }
}

async fn write(setting: &Setting, args: WriteArgs) -> Result<(), Failure> {
    let answer = setting.ask(Request::BundleWrite { group: args.group.group }).await?;
    let packed = PathBuf::from(answer::text(&answer, "file"));
    let copied = copy(&packed, &args.file);
    drop(fs::remove_file(&packed));
    let bytes = copied.map_err(|error| {
        Failure::new(format!("The file could not be written: {}.", error.kind()))
            .hinted("What is there of it is good. Write it again to complete it.")
    })?;
    let shown = serde_json::json!({
        "bytes": bytes,
        "entries": answer::number(&answer, "entries"),
        "records": answer::number(&answer, "records"),
    });
    setting.out.show(&shown, |_, shown| {
        format!(
            "{} are in the file. Any member can read it with `cairn bundle read`; nobody else can.",
            counted(answer::number(shown, "entries"), "entry")
        )
    })
}

/// Copies a file; goes on where an earlier copy of the same was cut short. Bytes in all.
fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let mut source = File::open(from)?;
    let length = source.metadata()?.len();
    let begun = same_beginning(from, to)?;
    source.seek(SeekFrom::Start(begun))?;
    let mut target = match begun {
        0 => File::create(to)?,
        _ => OpenOptions::new().append(true).open(to)?,
    };
    io::copy(&mut source, &mut target)?;
    target.flush()?;
    target.sync_all()?;
    Ok(length)
}

/// How long `to` is, if it is a beginning of `from`; else nothing of it can be used.
fn same_beginning(from: &Path, to: &Path) -> io::Result<u64> {
    let Ok(begun) = File::open(to) else { return Ok(0) };
    let length = begun.metadata()?.len();
    let one = BufReader::new(begun).bytes();
    let other = BufReader::new(File::open(from)?).bytes();
    let mut same: u64 = 0;
    for (one, other) in one.zip(other) {
        if one? != other? {
            return Ok(0);
        }
        same = same.saturating_add(1);
    }
    Ok(if same == length { same } else { 0 })
}

async fn read(setting: &Setting, args: ReadArgs) -> Result<(), Failure> {
    let path = fs::canonicalize(&args.file).map_err(|error| {
        Failure::new(format!("The file could not be opened: {}.", error.kind()))
            .hinted("Is the stick in?")
    })?;
    let file = path.display().to_string();
    let answer = setting.ask(Request::BundleRead { group: args.group.group, file }).await?;
    setting.out.show(&answer, |_, answer| {
        let new = match answer::number(answer, "new") {
            0 => "There was nothing new in the file.".to_owned(),
            new => format!("{} came with the file.", counted(new, "entry")),
        };
        let complete = answer.get("complete").and_then(serde_json::Value::as_bool);
        match complete {
            Some(true) => new,
            _ => format!("{new} The file was cut short: what came of it is kept."),
        }
    })
}
