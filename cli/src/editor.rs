//! The text of a post: from a file, from stdin, or from the person's editor.
//!
//! A draft is never written to a disk: the editor works on a file in memory (`$XDG_RUNTIME_DIR` or
//! `/dev/shm`). Where there is no such place, or no editor, the text is typed at the terminal.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use cairn_crdt::limits::BODY_BYTES;

use crate::error::Failure;
use crate::output::Output;

/// Lines that begin so are for the writer and no part of the text.
const ASIDE: &str = "CAIRN:";
/// Bytes that are read at most; the node says more exactly what is too long.
const LONGEST: usize = BODY_BYTES.saturating_mul(2);

/// Where a text comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct TextArgs {
    /// Read the text from this file (`-` for stdin)
    ///
    /// Without it the text comes from stdin, or from your editor (`$VISUAL` or `$EDITOR`) when
    /// stdin is a terminal. Text is never taken from an argument: arguments stay behind in the
    /// history of the shell.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

impl TextArgs {
    /// The text. `before` is what the editor starts from, `aside` what the writer should know.
    pub(crate) fn read(&self, out: Output, before: &str, aside: &str) -> Result<String, Failure> {
        let text = match &self.file {
            Some(path) if path.as_os_str() != "-" => {
                let file = std::fs::File::open(path).map_err(|error| {
                    Failure::new(format!("The file {} cannot be read: {error}.", path.display()))
                })?;
                bounded(file, &format!("The file {}", path.display()))?
            }
            None if std::io::stdin().is_terminal() => by_hand(out, before, aside)?,
            _ => bounded(std::io::stdin().lock(), "The text on stdin")?,
        };
        let text = text.trim_end().to_owned();
        if text.trim().is_empty() {
            return Err(Failure::new("There is no text, so nothing was sent.")
                .hinted("Give it on stdin, with --file FILE, or in an editor ($EDITOR)."));
        }
        Ok(text)
    }
}

/// UTF-8 text of a bounded size.
fn bounded(from: impl Read, what: &str) -> Result<String, Failure> {
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(format!("{what} cannot be read: {error}.")))?;
    if bytes.len() > LONGEST {
        return Err(Failure::new(format!(
            "{what} is too long: a post has at most {BODY_BYTES} bytes."
        ))
        .hinted("Say it in several posts."));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(format!("{what} is not readable as text (UTF-8). Nothing was sent."))
    })
}

fn by_hand(out: Output, before: &str, aside: &str) -> Result<String, Failure> {
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|editor| !editor.trim().is_empty());
    match (editor, memory()) {
        (Some(editor), Some(folder)) => edit(&editor, &folder, before, aside),
        _ => {
            out.remark(aside);
            out.remark("Write your text; Ctrl-D on an empty line ends it, Ctrl-C gives it up.");
            bounded(std::io::stdin().lock(), "The text")
        }
    }
}

/// A folder that is never on a disk.
fn memory() -> Option<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime
        .into_iter()
        .chain(["/dev/shm".into()])
        .find(|folder| folder.is_absolute() && folder.is_dir())
}

fn edit(editor: &str, folder: &Path, before: &str, aside: &str) -> Result<String, Failure> {
    let failed =
        |what: &str, why: String| Failure::new(format!("{what}: {why}. Nothing was sent."));
    let draft = |error: std::io::Error| failed("The draft could not be kept", error.to_string());
    // A folder of its own, readable by its owner alone, takes the editor's own copies with it.
    let place = tempfile::Builder::new().prefix(".d").tempdir_in(folder).map_err(draft)?;
    let path = place.path().join("text.md");
    let mut file = std::fs::File::create_new(&path).map_err(draft)?;
    let notes: String = aside.lines().map(|line| format!("{ASIDE} {line}\n")).collect();
    write!(
        file,
        "{before}\n\n{notes}{ASIDE} Lines like these are left out. No text: nothing is sent.\n"
    )
    .map_err(draft)?;
    drop(file);
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or(editor);
    let status = Command::new(program)
        .args(words)
        .arg(&path)
        .status()
        .map_err(|error| failed("The editor could not be started", error.to_string()))?;
    if !status.success() {
        return Err(failed("The editor gave up", status.to_string()));
    }
    let text = bounded(std::fs::File::open(&path).map_err(draft)?, "The text")?;
    Ok(without_asides(&text))
}

fn without_asides(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(ASIDE)).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_the_writer_are_no_part_of_the_text() {
        let text = "Hello.\n\nCAIRN: 9 people can read this.\nStill CAIRN: here.\n";
        assert_eq!(without_asides(text), "Hello.\n\nStill CAIRN: here.");
    }

    #[test]
    fn unreadable_and_endless_text_is_refused() {
        assert!(bounded(&b"\xff\xfe"[..], "The text").is_err());
        assert!(bounded(std::io::repeat(b'a'), "The text").is_err());
    }
}
