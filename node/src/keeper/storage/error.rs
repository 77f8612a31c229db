//! What goes wrong with a keeper's store.

/// Why a keeper's store did not do what was asked. Names no mailbox and no record.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("the disk of the keeper's store is full")]
    Full,
    /// What is there is no keeper's store, or is damaged.
    #[error("the keeper's store is damaged, or is no keeper's store")]
    Damaged,
    /// A newer version of the program wrote it.
    #[error("a newer version of this program wrote the keeper's store")]
    TooNew,
    /// The database cannot be reached, or does not let this keeper in.
    #[error("the database of the keeper cannot be reached: {0}")]
    Unreachable(String),
    /// Another process was in the way, again and again.
    #[error("the keeper's store is busy")]
    Busy,
    /// What the store says.
    #[error("the keeper's store has failed: {0}")]
    Failed(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            // The text of an error may hold a statement's values.
            Some(code) => Self::Failed(format!("{code:?}")),
            None => Self::Failed("a statement was refused".to_owned()),
        }
    }
}
