//! Where a person's store lies.

use std::path::{Path, PathBuf};

use cairn_node::storage::SALT_FILE;

use crate::error::Failure;

/// The folder given, or the usual one: `$XDG_DATA_HOME/cairn`, else `~/.local/share/cairn`.
///
/// The path is made absolute, so that what is printed can be used from anywhere.
pub(crate) fn choose(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let chosen = given
        .filter(|path| !path.as_os_str().is_empty())
        .or_else(|| folder("XDG_DATA_HOME").map(|data| data.join("cairn")))
        .or_else(|| folder("HOME").map(|home| home.join(".local/share/cairn")))
        .ok_or_else(|| {
            Failure::new("There is no home directory to keep the store in.")
                .hinted("Name a folder with --home, or set CAIRN_HOME.")
        })?;
    std::path::absolute(&chosen)
        .map_err(|error| Failure::new(format!("The folder of --home cannot be used: {error}.")))
}

/// Whether a store was made in this home.
pub(crate) fn has_store(home: &Path) -> bool {
    home.join(SALT_FILE).exists()
}

/// What to say where there is no store.
pub(crate) fn no_store(home: &Path) -> Failure {
    Failure::new(format!("There is no store in {}.", home.display()))
        .hinted("Make one with `cairn init`, or name the folder of an existing one with --home.")
}

/// An absolute path from the environment.
fn folder(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
