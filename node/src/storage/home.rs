//! The folder of one person: which files it has, and that one process has it at a time.
//!
//! | file | what | readable without the passphrase |
//! | --- | --- | --- |
//! | `lock` | held by the running node; its process id | yes |
//! | `salt` | how the key comes from the passphrase | yes |
//! | `store.db`, `-wal`, `-shm` | everything else | no |
//! | `api.sock` | where commands find the node | by this user only |
//!
//! A store is there exactly when `salt` is: it is written last, in one step. An `init` that was
//! interrupted leaves `salt.new`, and the next one starts afresh.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StorageError;
use super::sqlite::SqliteStore;
use super::vault::{SALT_FILE_BYTES, Salt, VaultCost};

/// Held by the process that has the home.
pub const LOCK_FILE: &str = "lock";
/// How the key comes from the passphrase.
pub const SALT_FILE: &str = "salt";
/// The store, encrypted.
pub const STORE_FILE: &str = "store.db";
/// The socket of the local API.
pub const SOCKET_FILE: &str = "api.sock";

const SALT_DRAFT: &str = "salt.new";

/// A home that this process has, until it and every store from it are dropped.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    lock: Arc<HomeLock>,
}

/// The lock of a home; given back when dropped, however the process ends.
#[derive(Debug)]
pub(super) struct HomeLock(#[expect(dead_code, reason = "held, not read")] File);

impl Home {
    /// Takes the home at this path, which is made if it is not there. Nobody else can look into the
    /// folder from then on.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if another process has it; [`StorageError::Io`] if the folder cannot
    /// be made or written.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        const FOLDER: &str = "the home folder";
        let path = path.into();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o700)))
            .map_err(StorageError::io(FOLDER))?;
        let lock = lock(&path.join(LOCK_FILE))?;
        Ok(Self { path, lock: Arc::new(lock) })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the socket of the local API belongs.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join(SOCKET_FILE)
    }

    /// Whether there is a store.
    #[must_use]
    pub fn has_store(&self) -> bool {
        self.path.join(SALT_FILE).exists()
    }

    /// Makes a store that this passphrase opens.
    ///
    /// # Errors
    /// [`StorageError::AlreadyThere`]; [`StorageError::Full`] and others when it cannot be written,
    /// and then there is none.
    pub fn init(&self, passphrase: &str) -> Result<SqliteStore, StorageError> {
        self.init_with_cost(passphrase, VaultCost::default())
    }

    /// [`Home::init`] with another cost of opening the store: more for a strong machine, and
    /// [`VaultCost::FOR_TESTS`] for tests. [`Home::unlock`] finds it in the salt file.
    ///
    /// # Errors
    /// As [`Home::init`].
    pub fn init_with_cost(
        &self,
        passphrase: &str,
        cost: VaultCost,
    ) -> Result<SqliteStore, StorageError> {
        const FILES: &str = "the store's files";
        if self.has_store() {
            return Err(StorageError::AlreadyThere);
        }
        let [store, draft] = [STORE_FILE, SALT_DRAFT].map(|name| self.path.join(name));
        if store.exists() {
            if !draft.exists() {
                // A store whose salt was lost may still be saved by a copy of the salt.
                return Err(StorageError::Damaged {
                    what: "this home: the file `salt` is missing",
                });
            }
            for name in [STORE_FILE, "store.db-wal", "store.db-shm"] {
                remove(&self.path.join(name)).map_err(StorageError::io(FILES))?;
            }
        }
        let (salt, key) = Salt::generate(passphrase, cost)?;
        write_private(&draft, salt.to_text().as_bytes()).map_err(StorageError::io(FILES))?;
        write_private(&store, &[]).map_err(StorageError::io(FILES))?;
        let opened = SqliteStore::open(&store, &key, Some(Arc::clone(&self.lock)))?;
        fs::rename(&draft, self.path.join(SALT_FILE))
            .and_then(|()| File::open(&self.path)?.sync_all())
            .map_err(StorageError::io(FILES))?;
        Ok(opened)
    }

    /// Opens the store.
    ///
    /// # Errors
    /// [`StorageError::NoStore`], [`StorageError::WrongPassphrase`], [`StorageError::Damaged`],
    /// [`StorageError::TooNew`], or what the disk says.
    pub fn unlock(&self, passphrase: &str) -> Result<SqliteStore, StorageError> {
        const SALT: &str = "the file with the store's salt";
        let mut text = String::new();
        match File::open(self.path.join(SALT_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StorageError::NoStore);
            }
            Err(error) => return Err(StorageError::io(SALT)(error)),
            Ok(file) => match file.take(SALT_FILE_BYTES).read_to_string(&mut text) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(StorageError::Damaged { what: SALT });
                }
                read => read.map_err(StorageError::io(SALT))?,
            },
        };
        let key = Salt::from_text(&text)?.open(passphrase)?;
        let store = self.path.join(STORE_FILE);
        // An absent or empty file would be taken for a new store.
        let bytes = fs::metadata(&store).map(|file| file.len()).unwrap_or_default();
        if bytes == 0 {
            return Err(StorageError::Damaged { what: "the store" });
        }
        SqliteStore::open(&store, &key, Some(Arc::clone(&self.lock)))
    }
}

fn lock(path: &Path) -> Result<HomeLock, StorageError> {
    const LOCK: &str = "the lock of the home";
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(StorageError::io(LOCK))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.take(32).read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(StorageError::Locked { pid });
        }
        Err(TryLockError::Error(error)) => return Err(StorageError::io(LOCK)(error)),
    }
    // The process id is a courtesy to whoever finds the lock taken.
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(StorageError::io(LOCK))?;
    Ok(HomeLock(file))
}

/// Writes a file that only this user can read, to the disk.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
