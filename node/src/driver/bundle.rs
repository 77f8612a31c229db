//! Bundles as files of this home (S5): written and read here, and carried to and from the stick by
//! whoever asked. So nothing here waits for a stick that is slow or pulled out.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use cairn_crdt::id::GroupId;
use cairn_crdt::limits::RECORD_BYTES;
use cairn_crdt::replica::bundles::{Bundle, Unpacked};
use cairn_crdt::replica::input::Input;
use cairn_crdt::time::Timestamp;
use serde_json::json;

use super::Driver;
use crate::api::command::{Answer, ApiError};
use crate::storage::{BUNDLE_PREFIX, StorageError, Store};

/// Bytes of records that are given to the replica at a time.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bundles that can be on their way out at a time.
const AT_ONCE: usize = 16;

/// Why a bundle could not be written.
enum Failure {
    Store(StorageError),
    File(std::io::Error),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Store(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error.into(),
            Failure::File(error) => Self::unavailable(format!(
                "the bundle could not be written in this node's folder: {}",
                error.kind()
            ))
            .hinted("Is there room on the disk?"),
        }
    }
}

/// Packs a bundle into a file of the home, and says which.
pub(super) fn write(
    now: Timestamp,
    home: &Path,
    (store, group): (&dyn Store, GroupId),
    bundle: &Bundle,
) -> Result<Answer, ApiError> {
    let (path, file) = begin(home).map_err(Failure::File)?;
    let written = pack(now, file, (store, group), bundle);
    if written.is_err() {
        drop(fs::remove_file(&path));
    }
    let (records, entries) = written.map_err(ApiError::from)?;
    Ok(json!({ "file": path.display().to_string(), "records": records, "entries": entries }))
}

/// A file of its own: another bundle may still be carried away.
fn begin(home: &Path) -> Result<(PathBuf, File), std::io::Error> {
    let paths = (0..AT_ONCE).map(|number| home.join(format!("{BUNDLE_PREFIX}{number}")));
    let mut taken = std::io::ErrorKind::AlreadyExists.into();
    for path in paths {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) => taken = error,
        }
    }
    Err(taken)
}

fn pack(
    now: Timestamp,
    file: File,
    (store, group): (&dyn Store, GroupId),
    bundle: &Bundle,
) -> Result<(u32, u64), Failure> {
    let mut file = BufWriter::new(file);
    let mut records: u32 = 0;
    let mut entries: u64 = 0;
    let mut put = |bytes: &[u8]| -> Result<(), std::io::Error> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        file.write_all(&length.to_be_bytes())?;
        file.write_all(bytes)
    };
    for record in &bundle.head {
        put(record)?;
        records = records.saturating_add(1);
    }
    let read = |ids: &[_]| store.entries(group, ids, true).map_err(Failure::from);
    bundle.deposit.pack(now, read, |packed| {
        put(packed.record.bytes.as_slice())?;
        records = records.saturating_add(1);
        let held = packed.kept.holds.iter().map(|stretch| u64::from(stretch.count));
        entries = entries.saturating_add(held.sum());
        Ok(())
    })?;
    for record in &bundle.tail {
        put(record)?;
        records = records.saturating_add(1);
    }
    put(&bundle.end(records))?;
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok((records.saturating_add(1), entries))
}

/// The next record of a bundle.
fn next_record(file: &mut BufReader<File>) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    file.read_exact(&mut length).ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    if length > RECORD_BYTES {
        return None;
    }
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

impl Driver {
    /// Reads a bundle from a file.
    pub(super) fn read_bundle(
        &mut self,
        now: Timestamp,
        group: GroupId,
        path: &str,
    ) -> Result<Answer, ApiError> {
        let path = PathBuf::from(path);
        let unreadable = |error: std::io::Error| {
            ApiError::not_found("file", &path.display().to_string())
                .hinted(format!("It could not be read: {}.", error.kind()))
        };
        let mut file = BufReader::new(File::open(&path).map_err(unreadable)?);
        let mut all = Unpacked::default();
        let mut records: u32 = 0;
        let before = self.held(group);
        loop {
            let (mut batch, mut bytes) = (Vec::new(), 0_usize);
            while bytes < BATCH_BYTES
                && let Some(record) = next_record(&mut file)
            {
                bytes = bytes.saturating_add(record.len());
                batch.push(record);
            }
            if batch.is_empty() {
                break;
            }
            records = records.saturating_add(u32::try_from(batch.len()).unwrap_or(u32::MAX));
            let unpacked = self.unpack(now, group, batch)?;
            all.opened = all.opened.saturating_add(unpacked.opened);
            all.foreign = all.foreign.saturating_add(unpacked.foreign);
            all.end = all.end.or(unpacked.end);
        }
        if all.opened == 0 {
            return Err(ApiError::refused(
                "this is no bundle of this group, or it was made when you were not in it",
            )
            .hinted(
                "Nothing was changed. Name the group that it is for, or ask for a newer one.",
            ));
        }
        let complete = all.end.is_some_and(|before| before.saturating_add(1) == records);
        Ok(json!({
            "new": self.held(group).saturating_sub(before),
            "opened": all.opened,
            "foreign": all.foreign,
            "complete": complete,
        }))
    }

    fn held(&self, group: GroupId) -> u64 {
        let replica = self.personas.get(&group).and_then(super::persona::Persona::replica);
        replica.map_or(0, cairn_crdt::replica::Replica::held)
    }

    fn unpack(
        &mut self,
        now: Timestamp,
        group: GroupId,
        records: Vec<Vec<u8>>,
    ) -> Result<Unpacked, ApiError> {
        let persona = self.personas.get_mut(&group);
        let persona = persona.ok_or_else(|| ApiError::not_found("group", &group.to_string()))?;
        persona.unpacked = None;
        persona.give(Input::Bundle { records });
        persona.finish(&mut self.desk, now);
        persona.unpacked.take().ok_or_else(|| {
            ApiError::unavailable("what the bundle holds could not be brought to disk")
                .hinted("What was read before is kept. Make room on the disk and read it again.")
        })
    }
}
