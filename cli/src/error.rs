//! What goes wrong, for the person at the keyboard: one sentence, and a hint what to do.

use std::io::Write;

use cairn_node::api::command::ApiError;

use crate::output::plain;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// As the node named it, for the callers that decide by it; empty for failures of our own.
    kind: String,
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// Refused or failed: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        let message = without_numbers(message.into());
        Self { kind: String::new(), message, hint: None, code: 1 }
    }

    /// The command was put wrongly: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(message) }
    }

    /// The reader of our output went away. Nothing is left to be said.
    pub(crate) fn nobody_reads() -> Self {
        Self::new("")
    }

    /// The same failure with what the person can do.
    pub(crate) fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the node named the failure so (`not-found`, `refused`, …).
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    /// 1 or 2.
    pub(crate) const fn exit_code(&self) -> u8 {
        self.code
    }

    /// What the person can do, if anything.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Sentence and hint on stderr. A closed stderr changes nothing: the exit code stands.
    pub(crate) fn print(&self) {
        if self.message.is_empty() {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        let written = writeln!(stderr, "Error: {}", plain(&self.message));
        if let (Ok(()), Some(hint)) = (written, &self.hint) {
            drop(writeln!(stderr, "Hint: {}", plain(hint)));
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { kind: error.kind, message: error.message, hint: error.hint, code: 1 }
    }
}

/// The system's reasons come with their numbers, which are for programmers.
fn without_numbers(message: String) -> String {
    let Some((before, rest)) = message.split_once(" (os error ") else { return message };
    match rest.split_once(')') {
        Some((number, after)) if number.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{before}{after}")
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_the_system_is_told_without_its_number() {
        let error = std::io::Error::from_raw_os_error(2);
        let failure = Failure::new(format!("The file x cannot be read: {error}."));
        assert_eq!(failure.to_string(), "The file x cannot be read: No such file or directory.");
        let odd = "It says (os error x).";
        assert_eq!(Failure::new(odd).to_string(), odd);
    }
}
