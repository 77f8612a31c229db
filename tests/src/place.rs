//! A folder of its own for each test, gone when the test is over.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The passphrase of every store, unless a test says otherwise.
pub const PASSPHRASE: &str = "seven quiet herons by the weir";
/// The longest folder in which a home's socket still has a path of a length that works everywhere.
const FOLDER_BYTES: usize = 40;
/// Bytes at the end of each log that are shown when a test fails.
const SHOWN: usize = 4000;

/// A folder with the homes of a test, the logs of its nodes, and a place for temporary files.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty one.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let usual = std::env::temp_dir();
        let parent = if usual.as_os_str().len() > FOLDER_BYTES { Path::new("/tmp") } else { &usual };
        let folder = tempfile::Builder::new().prefix("cairn-").tempdir_in(parent).unwrap();
        let place = Self { folder };
        fs::create_dir(place.logs()).unwrap();
        fs::create_dir(place.temporary()).unwrap();
        fs::write(place.passphrase_file(), format!("{PASSPHRASE}\n")).unwrap();
        place
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The home of somebody.
    #[must_use]
    pub fn home(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Where everything is that nodes print.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path().join("logs")
    }

    /// What programs take for the folder of temporary files.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.path().join("tmp")
    }

    /// The file that holds [`PASSPHRASE`].
    #[must_use]
    pub fn passphrase_file(&self) -> PathBuf {
        self.path().join("passphrase")
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Ok(logs) = fs::read_dir(self.logs()) else { return };
        for log in logs.flatten() {
            let bytes = fs::read(log.path()).unwrap_or_default();
            let tail = bytes.get(bytes.len().saturating_sub(SHOWN)..).unwrap_or_default();
            if !tail.is_empty() {
                let name = log.file_name();
                eprintln!("--- {}\n{}", name.display(), String::from_utf8_lossy(tail));
            }
        }
    }
}
