//! What can go wrong with a home, by kind, in sentences for the person whose home it is.
//!
//! No error carries a text of SQLite: such a text can hold words that were searched for or stored.

use std::io;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The passphrase is not the one that the store was made with. Nothing else can cause this.
    #[error("this passphrase does not open the store")]
    WrongPassphrase,
    /// There is no store in this home yet.
    #[error("there is no store in this home yet")]
    NoStore,
    /// There is a store in this home already.
    #[error("there is a store in this home already")]
    AlreadyThere,
    /// Another process holds the home.
    #[error("this home is in use by another process{}", of_pid(*.pid))]
    Locked {
        /// The process, if it could be read.
        pid: Option<u32>,
    },
    /// A file of the home is not what was written to it.
    #[error("{what} is damaged")]
    Damaged {
        /// Which part, in words.
        what: &'static str,
    },
    /// The store was last used by a newer program.
    #[error("the store has version {found}, and this program knows versions up to {known}")]
    TooNew {
        /// The version found.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The disk is full. What was acknowledged before is safe; this write was not made.
    #[error("the disk is full: this was not saved; what was saved before is safe")]
    Full,
    /// A file of the home could not be read or written.
    #[error("{what} could not be read or written: {}", .source.kind())]
    Io {
        /// Which, in words.
        what: &'static str,
        /// Why. Its display may name a path, so it is not part of the sentence.
        source: io::Error,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
    /// The group was not added to this home.
    #[error("this home holds no such group")]
    UnknownGroup,
    /// The group was added before.
    #[error("this home holds that group already")]
    KnownGroup,
    /// SQLite refused for a reason that should not arise.
    #[error("the store could not answer (SQLite code {code})")]
    Failed {
        /// SQLite's extended result code; 0 if the fault lies before it.
        code: i32,
    },
}

fn of_pid(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

impl StorageError {
    /// What the person can do, where there is something.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::WrongPassphrase => "Try again. Capital letters and spaces matter.",
            Self::NoStore => "Make one with `cairn init`.",
            Self::AlreadyThere => "Start it with `cairn up`, or choose another home with --home.",
            Self::Locked { .. } => {
                "Stop the other one first, or use it: commands find it by the same --home."
            }
            Self::Damaged { .. } => {
                "Keep a copy of the whole folder as it is. If you have a backup, put it back; \
                 otherwise your recovery words and a fresh invite bring you back into your groups."
            }
            Self::TooNew { .. } => "Update this program. The store was not changed.",
            Self::Full => "Free some space, then try again.",
            Self::Io { .. } => "Check that the folder is there, is yours, and that the disk works.",
            Self::NoRandomness | Self::UnknownGroup | Self::KnownGroup | Self::Failed { .. } => {
                return None;
            }
        })
    }

    /// For `map_err` on operations on a file or folder of the home.
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { what, source },
        }
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        const STORE: &str = "the store";
        match error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => Self::Full,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                    Self::Damaged { what: STORE }
                }
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly => {
                    // The operating system's own reason is the last error of this thread.
                    Self::io(STORE)(io::Error::last_os_error())
                }
                _ => Self::Failed { code: failure.extended_code },
            },
            // A value that is there but is not what was written.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Damaged { what: STORE },
            _ => Self::Failed { code: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_sqlite_is_told_without_its_text() {
        let canary = "heron-canary";
        let error = rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
            Some(format!("fts5: syntax error near {canary}")),
        );
        let error = StorageError::from(error);
        assert!(!format!("{error} {error:?}").contains(canary));
    }

    #[test]
    fn an_error_tells_what_happened_and_what_to_do() {
        let locked = StorageError::Locked { pid: Some(17) };
        assert_eq!(locked.to_string(), "this home is in use by another process (process 17)");
        assert!(locked.hint().is_some());
    }
}
