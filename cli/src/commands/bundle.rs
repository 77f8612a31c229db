use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use cairn_crdt::limits::RECORD_BYTES;
use cairn_node::api::command::Request;
use cairn_node::storage::BUNDLE_PREFIX;
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
    may_be_written(&args.file)?;
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

/// A file that was named by mistake is not lost.
fn may_be_written(file: &Path) -> Result<(), Failure> {
    if file.is_dir() {
        return Err(Failure::new(format!("{} is a folder.", file.display()))
            .hinted("Name the file too, such as notes in that folder."));
    }
    let Ok(mut there) = File::open(file) else { return Ok(()) };
    let mut length = [0; 4];
    // A bundle begins with the length of its first record; one that was cut short may lack it.
    let begins = there.read_exact(&mut length).is_err()
        || usize::try_from(u32::from_be_bytes(length)).is_ok_and(|length| length <= RECORD_BYTES);
    if begins {
        return Ok(());
    }
    Err(Failure::new(format!("{} is there already, and is no bundle.", file.display()))
        .hinted("It was left as it is. Choose another name."))
}

/// Copies a file; goes on where an earlier copy of the same was cut short. Bytes in all.
fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let mut source = File::open(from)?;
    let length = source.metadata()?.len();
    let begun = same_beginning(&source, to)?;
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
fn same_beginning(from: &File, to: &Path) -> io::Result<u64> {
    let Ok(begun) = File::open(to) else { return Ok(0) };
    let length = begun.metadata()?.len();
    let one = BufReader::new(begun).bytes();
    let other = BufReader::new(from).bytes();
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
    let mut stick = File::open(&args.file).map_err(|error| {
        Failure::new(format!("The file could not be opened: {}.", error.kind()))
            .hinted("Is the stick in?")
    })?;
    // The node reads from its own disk: nobody waits for a stick that is slow or pulled out.
    let near = tempfile::Builder::new().prefix(BUNDLE_PREFIX).tempfile_in(&setting.home);
    let copied = near.and_then(|mut near| io::copy(&mut stick, &mut near).map(|_| near));
    let near = copied.map_err(|error| {
        Failure::new(format!("The file could not be copied to this machine: {}.", error.kind()))
            .hinted("Nothing was changed. Is the stick in, and is there room on the disk?")
    })?;
    let file = near.path().display().to_string();
    let answer = setting.ask(Request::BundleRead { group: args.group.group, file }).await?;
    drop(near);
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
