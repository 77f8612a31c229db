//! The folder of a keeper, and what its operator does there: invite, look.
//!
//! | file in `keeper/` | what |
//! | --- | --- |
//! | `lock` | held by the running keeper |
//! | `key` | its libp2p identity: 32 bytes |
//! | `keeper.db`, `-wal`, `-shm` | mailboxes, unless they are in a database elsewhere |
//! | `addresses` | where it was last reached, for the codes |
//! | `status.sock` | where `cairn keeper status` asks |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cairn_crdt::capability::invite::Contact;
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::TransportKey;
use cairn_crdt::limits::ADDRESSES;
use cairn_crdt::mailbox::{KeeperCode, invitation_hash};
use cairn_crdt::time::Timestamp;
use libp2p::Multiaddr;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use zeroize::Zeroizing;

use super::metrics::Status;
use super::policy;
use super::storage::postgres::PostgresStore;
use super::storage::rows;
use super::storage::sqlite::SqliteStore;
use super::storage::{Store, StoreError};
use crate::storage::write_private;

/// The folder of a keeper inside a home.
pub const FOLDER: &str = "keeper";
const KEY: &str = "key";
const STORE: &str = "keeper.db";
const ADDRESSES_FILE: &str = "addresses";
const SOCKET: &str = "status.sock";

/// What goes wrong with a keeper's folder or store, for its operator.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A file of the folder.
    #[error("{0} of the keeper could not be read or written: {1}")]
    File(&'static str, io::ErrorKind),
    /// There is no keeper here yet.
    #[error("no keeper has run here yet")]
    None,
    /// The keeper's key is not one.
    #[error("the keeper's key is damaged")]
    Key,
    /// Nobody knows where the keeper is.
    #[error("it is not known where this keeper can be reached")]
    NoAddress,
    /// There are enough invitations.
    #[error("there are {} invitations that nobody has used yet", policy::INVITATIONS)]
    TooMany,
}

fn file(what: &'static str) -> impl FnOnce(io::Error) -> KeeperError {
    move |error| KeeperError::File(what, error.kind())
}

/// A keeper's folder.
#[derive(Clone, Debug)]
pub struct KeeperHome {
    path: PathBuf,
}

impl KeeperHome {
    /// The keeper's folder in a home. Nothing is made.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        Self { path: home.join(FOLDER) }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the status is asked.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// Whether a keeper has held its records in the folder.
    #[must_use]
    pub fn has_store(&self) -> bool {
        self.path.join(STORE).exists()
    }

    /// The keeper's key, made if there is none. The folder is there.
    ///
    /// # Errors
    /// When it cannot be read or written, or is damaged.
    pub fn key(&self, rng: &mut ChaCha20Rng) -> Result<SigningKey, KeeperError> {
        let path = self.path.join(KEY);
        if !path.exists() {
            let key = SigningKey::generate(rng);
            write(&path, key.to_seed().as_slice()).map_err(file("the key"))?;
        }
        self.existing_key()
    }

    fn existing_key(&self) -> Result<SigningKey, KeeperError> {
        let read = match fs::read(self.path.join(KEY)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeeperError::None);
            }
            read => Zeroizing::new(read.map_err(file("the key"))?),
        };
        let seed: [u8; 32] = read.as_slice().try_into().map_err(|_| KeeperError::Key)?;
        Ok(SigningKey::from_seed(&Zeroizing::new(seed)))
    }

    /// Remembers where the keeper is reached, for [`KeeperHome::invite`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, addresses: &[Multiaddr]) -> Result<(), KeeperError> {
        let lines: String = addresses.iter().map(|address| format!("{address}\n")).collect();
        write(&self.path.join(ADDRESSES_FILE), lines.as_bytes()).map_err(file("the addresses"))
    }

    fn addresses(&self) -> Vec<Multiaddr> {
        let lines = fs::read_to_string(self.path.join(ADDRESSES_FILE)).unwrap_or_default();
        lines.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Opens the keeper's store: the one in the folder, or a database elsewhere.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn store(&self, elsewhere: Option<&str>) -> Result<Box<dyn Store>, KeeperError> {
        Ok(match elsewhere {
            Some(url) => Box::new(PostgresStore::connect(url)?),
            None => Box::new(SqliteStore::open(&self.path.join(STORE))?),
        })
    }

    /// Makes an invitation for one mailbox, also while the keeper runs.
    ///
    /// # Errors
    /// When no keeper has run here, nobody knows where it is, or the store fails.
    pub fn invite(
        &self,
        store: &mut dyn Store,
        now: Timestamp,
        rng: &mut ChaCha20Rng,
        addresses: &[Multiaddr],
    ) -> Result<KeeperCode, KeeperError> {
        let key = self.existing_key()?;
        let known = self.addresses();
        let addresses = if addresses.is_empty() { &known } else { addresses };
        let addresses: Vec<_> = addresses
            .iter()
            .filter_map(|address| Bytes::new(address.to_vec()).ok())
            .take(ADDRESSES)
            .collect();
        if addresses.is_empty() {
            return Err(KeeperError::NoAddress);
        }
        let transport = TransportKey::from_bytes(key.verifying_key());
        let keeper = Contact { transport, addresses: List::new(addresses).unwrap_or_default() };
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let code = KeeperCode { keeper, secret };
        add_invitation(store, now, &code.secret)?;
        Ok(code)
    }
}

/// Adds an invitation with this secret to a store.
///
/// # Errors
/// When there are too many that nobody has used, or the store fails.
pub fn add_invitation(
    store: &mut dyn Store,
    now: Timestamp,
    secret: &[u8; 32],
) -> Result<(), KeeperError> {
    let hash = invitation_hash(secret);
    let mut full = false;
    store.within(&mut |tables| {
        full = rows::totals(tables)?.invitations >= policy::INVITATIONS;
        if full {
            return Ok(());
        }
        rows::add_invitation(tables, &hash, now.after(policy::INVITATION_MILLIS))
    })?;
    if full { Err(KeeperError::TooMany) } else { Ok(()) }
}

/// How much a store holds.
///
/// # Errors
/// What the store says.
pub fn status(store: &mut dyn Store) -> Result<Status, StoreError> {
    let mut totals = rows::Totals::default();
    store.within(&mut |tables| {
        totals = rows::totals(tables)?;
        Ok(())
    })?;
    let rows::Totals { mailboxes, records, bytes, invitations } = totals;
    Ok(Status { mailboxes, records, bytes, invitations, ..Status::default() })
}

/// Writes a file that only this user can read, in one step that a power cut does not undo.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    write_private(&draft, bytes)?;
    fs::rename(draft, path)?;
    fs::File::open(path.parent().unwrap_or(path))?.sync_all()
}
