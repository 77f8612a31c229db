//! The errors of the API, made in one place: a kind for programs, a sentence and a hint for people.

use cairn_crdt::capability::invite::NotACode;
use cairn_crdt::replica::effect::Refused;

use crate::api::command::ApiError;
use crate::storage::StorageError;

impl ApiError {
    /// An error of this kind with one sentence.
    #[must_use]
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: sentence(&message.into()), hint: None }
    }

    /// The same with what the person can do.
    #[must_use]
    pub fn hinted(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What was asked is put wrongly.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", message)
    }

    /// What was asked is not possible as things stand.
    #[must_use]
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new("refused", message)
    }

    /// What is needed for an answer is not there now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new("unavailable", message)
    }

    /// Nothing goes by this name.
    #[must_use]
    pub fn not_found(what: &str, wanted: &str) -> Self {
        Self::new("not-found", format!("there is no {what} \"{}\" here", short(wanted)))
    }

    /// The HTTP status that fits.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.kind.as_str() {
            "usage" => 400,
            "refused" => 403,
            "not-found" => 404,
            "ambiguous" => 409,
            "too-large" => 413,
            "unavailable" => 503,
            _ => 500,
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let kind = match error {
            StorageError::WrongPassphrase => "passphrase",
            StorageError::NoStore => "no-store",
            StorageError::AlreadyThere => "already-there",
            StorageError::Locked { .. } => "locked",
            _ => "storage",
        };
        let told = Self::new(kind, error.to_string());
        match error.hint() {
            Some(hint) => told.hinted(hint),
            None => told,
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let kind = match refused {
            Refused::Unknown { .. } => "not-found",
            Refused::TooLong { .. } | Refused::Empty { .. } => "usage",
            Refused::NotAllowed { .. }
            | Refused::NotAMember { .. }
            | Refused::UpdateNeeded
            | Refused::SignedAnother(_)
            | Refused::Conflict(_) => "refused",
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<NotACode> for ApiError {
    fn from(error: NotACode) -> Self {
        Self::usage(error.to_string()).hinted("Copy the whole code, from \"cairn:\" to its end.")
    }
}

/// A text as a sentence: it begins with a capital and ends with a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    let mut sentence: String = first.to_uppercase().chain(chars).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

/// What a person typed, no longer than is fit to be repeated to them, without control characters.
fn short(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_sentence_with_its_kind_and_hint() {
        let error = ApiError::from(StorageError::Full);
        assert_eq!(error.kind, "storage");
        assert!(error.message.starts_with("The disk is full") && error.message.ends_with('.'));
        assert!(error.hint.is_some());
        let error = ApiError::from(Refused::Conflict("that was done already.".to_owned()));
        assert_eq!((error.message.as_str(), error.status()), ("That was done already.", 403));
    }

    #[test]
    fn what_a_person_typed_is_repeated_without_control_characters() {
        let error = ApiError::not_found("thread", "a\u{1b}[2Jb");
        assert_eq!(error.message, "There is no thread \"a[2Jb\" here.");
        let long = ApiError::not_found("thread", &"x".repeat(500));
        assert!(long.message.chars().count() < 100);
    }
}
