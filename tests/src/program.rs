//! The program under test, and what one run of it said.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::patience::PATIENCE;

/// The program `cairn` of the same build as the test that runs: it lies beside the folder of the
/// test, in `target/debug` or `target/release`.
///
/// # Panics
/// When it was not built.
pub fn cairn() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own path");
        let beside = |folder: &Path| folder.join(format!("cairn{}", std::env::consts::EXE_SUFFIX));
        test.ancestors().skip(1).take(3).map(beside).find(|path| path.is_file()).unwrap_or_else(
            || {
                panic!(
                    "the program `cairn` is not built. `cargo test --workspace` builds it; before \
                     `cargo test -p cairn-tests` run `cargo build -p cairn` (with the same \
                     profile). Looked above {}",
                    test.display()
                )
            },
        )
    })
}

/// What one run of the program came to.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end with `text` as its stdin.
    ///
    /// # Panics
    /// When it cannot be started, or does not end.
    pub fn of(command: &mut Command, text: &[u8]) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} could not be started: {error}"));
        let (mut stdin, text) = (process.stdin.take().unwrap(), text.to_vec());
        // A command that refuses may be gone before it has read anything.
        let writing = thread::spawn(move || drop(stdin.write_all(&text)));
        let stdout = all_of(process.stdout.take().unwrap());
        let stderr = all_of(process.stderr.take().unwrap());
        let status = ended(&mut process, &format!("{command:?}"));
        writing.join().unwrap();
        let text = |bytes: thread::JoinHandle<Vec<u8>>| {
            String::from_utf8(bytes.join().unwrap()).expect("the program writes UTF-8")
        };
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// The one JSON value on stdout of a run that went well.
    ///
    /// # Panics
    /// When it did not go well, or printed anything else.
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "it was to go well: {self:#?}");
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON value: {error}: {self:#?}"))
    }

    /// The sentence of a run that was refused: exit code 1, nothing on stdout, and on stderr an
    /// `Error:` that a person can read, with a `Hint:` behind it if there is one.
    ///
    /// # Panics
    /// When it was not refused, or not in such words.
    #[must_use]
    pub fn refusal(&self) -> &str {
        assert_eq!(self.code, Some(1), "it was to be refused: {self:#?}");
        assert!(self.stdout.is_empty(), "a refusal is no answer: {self:#?}");
        let from = self.stderr.find("Error: ").unwrap_or_else(|| panic!("no sentence: {self:#?}"));
        let said = self.stderr[from..].strip_prefix("Error: ").unwrap_or_default().trim_end();
        let first = said.lines().next().unwrap_or_default();
        assert!(first.ends_with(['.', '!', '?']), "not a sentence: {said}");
        let begins = |c: char| c.is_uppercase() || c == '"';
        assert!(first.starts_with(begins), "not a sentence: {said}");
        for foreign in ["panicked", "Err(", "Some(", "os error", "::", "RUST_BACKTRACE"] {
            assert!(!self.stderr.contains(foreign), "\"{foreign}\" is for programmers: {said}");
        }
        said
    }
}

/// Waits for the end of a process; ends it when that takes too long.
///
/// # Panics
/// When it does.
pub fn ended(process: &mut Child, what: &str) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = process.try_wait().expect("a child can be waited for") {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            drop(process.kill());
            panic!("{what} did not end");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn all_of(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}
