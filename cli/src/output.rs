//! What is shown and where: answers on stdout, remarks and progress on stderr.

pub(crate) mod answer;
pub(crate) mod audience;
pub(crate) mod posts;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::error::Failure;

/// How this run of the program speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    paint: Paint,
}

/// Emphasis, where the terminal and the person want it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    colour: bool,
}

impl Paint {
    /// No emphasis at all.
    pub(crate) const PLAIN: Self = Self { colour: false };

    /// Titles and names.
    pub(crate) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Ids and times.
    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

impl Output {
    /// As the options, `NO_COLOR` and the terminal say.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let colour = !json
            && std::io::stdout().is_terminal()
            && coloured(std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
        Self { json, quiet, paint: Paint { colour } }
    }

    /// Whether answers are printed as they are.
    pub(crate) const fn json(self) -> bool {
        self.json
    }

    /// Whether only what was asked for is printed.
    pub(crate) const fn quiet(self) -> bool {
        self.quiet
    }

    /// Prints an answer: as one line of JSON, or as the text made of it.
    pub(crate) fn show(
        self,
        answer: &Value,
        text: impl FnOnce(Paint, &Value) -> String,
    ) -> Result<(), Failure> {
        let text = if self.json { answer.to_string() } else { text(self.paint, answer) };
        let text = text.trim_end_matches('\n');
        if text.is_empty() {
            return Ok(());
        }
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| {
            if error.kind() == ErrorKind::BrokenPipe {
                Failure::nobody_reads()
            } else {
                Failure::new(format!("The answer could not be printed: {error}."))
            }
        })
    }

    /// A sentence of a story that is told while it happens: on stdout, or with `--json` on stderr.
    pub(crate) fn tell(self, text: &str) {
        if self.quiet || self.json {
            self.remark(text);
        } else {
            drop(writeln!(std::io::stdout().lock(), "{}", plain(text)));
        }
    }

    /// A sentence on stderr, for who wants to know more than was asked.
    pub(crate) fn remark(self, text: &str) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// A sentence on stderr that `--quiet` does not keep back.
    pub(crate) fn warn(self, text: &str) {
        drop(writeln!(std::io::stderr().lock(), "{}", plain(text)));
    }

    /// A bar for `length` steps on stderr; invisible where it would disturb.
    pub(crate) fn progress(self, length: u64, label: &'static str) -> ProgressBar {
        let target = if self.quiet || !std::io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(label);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// Whether a terminal is to be coloured: `NO_COLOR` says no with any value but an empty one.
fn coloured(no_color: Option<OsString>, term: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty()) && term.is_none_or(|term| term != "dumb")
}

/// Text of other people without what could move a cursor, hide or reorder text: control characters
/// and bidirectional overrides become `\u{fffd}`, only line ends and tabs stay.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The same on a single line.
pub(crate) fn plain_line(text: &str) -> String {
    plain(text).replace(['\n', '\t'], " ")
}

/// As much of an id as names it unmistakably among a group's.
pub(crate) fn short(id: &str) -> String {
    plain_line(id).chars().take(12).collect()
}

/// `text` with every line set in by two spaces.
pub(crate) fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        // Writing to a String cannot fail.
        let _ = writeln!(all, "{}{line}", if line.is_empty() { "" } else { "  " });
        all
    })
}

/// `1 member`, `2 members`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    match (number, thing) {
        (1, "person") => "1 person".to_owned(),
        (n, "person") => format!("{n} people"),
        (n, "address") if n != 1 => format!("{n} addresses"),
        (n, "entry") if n != 1 => format!("{n} entries"),
        (n, "mailbox") if n != 1 => format!("{n} mailboxes"),
        (1, thing) => format!("1 {thing}"),
        (n, thing) => format!("{n} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_cannot_drive_the_terminal() {
        let sly = "a\u{1b}[2Jb\u{9b}31mc\u{202e}d\r\ne\tf\u{7}";
        let shown = plain(sly);
        assert!(shown.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        assert!(!shown.contains('\u{202e}'));
        assert!(shown.contains("\ne\tf"));
        assert!(!plain_line(sly).contains('\n'));
    }

    #[test]
    fn without_colour_no_escape_is_written() {
        assert_eq!(Paint::PLAIN.strong("x"), "x");
        assert!(Paint { colour: true }.faint("x").contains('\u{1b}'));
    }

    #[test]
    fn no_color_and_dumb_terminals_are_respected() {
        let set = |value: &str| Some(OsString::from(value));
        assert!(coloured(None, set("xterm-256color")));
        assert!(coloured(set(""), None));
        assert!(!coloured(set("1"), set("xterm-256color")));
        assert!(!coloured(set("0"), None));
        assert!(!coloured(None, set("dumb")));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(counted(1, "person"), "1 person");
        assert_eq!(counted(9, "person"), "9 people");
        assert_eq!(counted(2, "post"), "2 posts");
    }
}
