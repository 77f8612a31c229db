//! The folder of one person: which files it has, and that one process has it at a time.
//!
//! | file | what | readable without the passphrase |
//! | --- | --- | --- |
//! | `lock` | held by the running node; its process id | yes |
//! | `salt` | how the key comes from the passphrase | yes |
//! | `store.db`, `-wal`, `-shm` | everything else | no |
//! | `api.sock` | where commands find the node | by this user only |
//! | `bundle-…` | a bundle on its way to or from a stick | sealed for the group's members |
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

/// What the files begin with through which bundles pass on their way to and from a stick.
pub const BUNDLE_PREFIX: &str = "bundle-";

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

    /// Deletes bundles that were left by who was to carry them away, and was stopped.
    pub fn clear_bundles(&self) {
        let files = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let left = files.filter(|file| {
            file.file_name().as_encoded_bytes().starts_with(BUNDLE_PREFIX.as_bytes())
        });
        for file in left {
            // What cannot be deleted is in nobody's way.
            drop(fs::remove_file(file.path()));
        }
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
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::super::Store as _;
    use super::*;

    const PASSPHRASE: &str = "a quiet heron";

    fn init(home: &Home) -> Result<SqliteStore, StorageError> {
        home.init_with_cost(PASSPHRASE, VaultCost::FOR_TESTS)
    }

    #[test]
    fn a_home_is_made_once_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let home = Home::open(&path).unwrap();
        assert!(!home.has_store());
        assert!(matches!(home.unlock(PASSPHRASE), Err(StorageError::NoStore)));
        let mut store = init(&home).unwrap();
        store.set_setting("name", b"value").unwrap();
        assert!(home.has_store());
        drop(store);
        assert!(matches!(init(&home), Err(StorageError::AlreadyThere)));
        drop(home);
        let home = Home::open(&path).unwrap();
        let store = home.unlock(PASSPHRASE).unwrap();
        assert_eq!(**store.setting("name").unwrap().unwrap(), *b"value");
    }

    #[test]
    fn one_process_has_a_home_as_long_as_it_or_its_store_lives() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let store = init(&home).unwrap();
        let locked = || match Home::open(folder.path()) {
            Err(StorageError::Locked { pid }) => pid == Some(std::process::id()),
            _ => false,
        };
        assert!(locked());
        drop(home);
        assert!(locked());
        drop(store);
        assert!(Home::open(folder.path()).is_ok());
    }

    #[test]
    fn nobody_else_can_look_into_a_home() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let home = Home::open(folder.path()).unwrap();
        let mut store = init(&home).unwrap();
        store.set_setting("name", b"value").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        let mut names = Vec::new();
        for file in fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{path:?}");
            names.push(path.file_name().unwrap().to_owned());
        }
        names.sort();
        assert_eq!(names, ["lock", "salt", "store.db", "store.db-wal"]);
    }

    #[test]
    fn an_interrupted_init_starts_afresh() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let draft = folder.path().join(SALT_DRAFT);
        fs::write(&draft, "half").unwrap();
        assert!(matches!(home.unlock(PASSPHRASE), Err(StorageError::NoStore)));
        fs::write(folder.path().join(STORE_FILE), "half").unwrap();
        drop(init(&home).unwrap());
        assert!(!draft.exists());
        home.unlock(PASSPHRASE).unwrap();
    }

    #[test]
    fn a_store_whose_salt_is_lost_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        drop(init(&home).unwrap());
        let salt = fs::read(folder.path().join(SALT_FILE)).unwrap();
        fs::remove_file(folder.path().join(SALT_FILE)).unwrap();
        assert!(matches!(init(&home), Err(StorageError::Damaged { .. })));
        fs::write(folder.path().join(SALT_FILE), salt).unwrap();
        home.unlock(PASSPHRASE).unwrap();
    }
}
