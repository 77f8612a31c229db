//! The passphrase of the store: from a file, a service's credential, or a person. Never from an
//! argument, which every other program on the machine can read.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::Failure;

/// Bytes that a passphrase may have.
const LONGEST: u64 = 4096;
/// Characters below which a new passphrase is refused.
const SHORTEST: usize = 8;

/// Where a passphrase can be found without asking.
fn file() -> Option<PathBuf> {
    std::env::var_os("CAIRN_PASSPHRASE_FILE").filter(|path| !path.is_empty()).map_or_else(
        || {
            let credentials = std::env::var_os("CREDENTIALS_DIRECTORY")?;
            Some(PathBuf::from(credentials).join("cairn-passphrase")).filter(|path| path.exists())
        },
        |path| Some(PathBuf::from(path)),
    )
}

/// The passphrase of a store that exists.
pub(crate) fn known() -> Result<Zeroizing<String>, Failure> {
    match file() {
        Some(path) => read(&path),
        None => ask("Passphrase: "),
    }
}

/// The passphrase of a store that is being made, asked for twice.
pub(crate) fn new() -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = file() {
        return read(&path);
    }
    let first = ask("New passphrase: ")?;
    if first.chars().count() < SHORTEST {
        return Err(Failure::new(format!(
            "The passphrase is too short: it needs at least {SHORTEST} characters."
        ))
        .hinted("Five or six unrelated words are strong and easy to remember."));
    }
    if *ask("Once more: ")? != *first {
        return Err(Failure::new("The two passphrases are not the same. Nothing was made.")
            .hinted("Run the command again."));
    }
    Ok(first)
}

/// Reads a file; one line end after the passphrase is no part of it.
fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |why: String| {
        Failure::new(format!("The passphrase file {} cannot be used: {why}.", path.display()))
            .hinted("It holds the passphrase and nothing else, as UTF-8 text.")
    };
    let opened = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut text = Zeroizing::new(String::new());
    opened
        .take(LONGEST.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(|error| unreadable(error.to_string()))?;
    if u64::try_from(text.len()).map_or(true, |length| length > LONGEST) {
        return Err(unreadable(format!("it is longer than {LONGEST} bytes")));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned());
    if line.is_empty() {
        return Err(unreadable("it is empty".to_owned()));
    }
    Ok(line)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let nobody = || {
        Failure::new("The passphrase is needed, and there is no terminal to ask on.")
            .hinted("Set CAIRN_PASSPHRASE_FILE to a file that holds it.")
    };
    if !std::io::stdin().is_terminal() && !std::io::stderr().is_terminal() {
        return Err(nobody());
    }
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|_| nobody())
}
