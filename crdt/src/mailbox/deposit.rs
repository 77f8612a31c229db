//! Entries are packed into records (M1): runs of several logs together, so that the number of records
//! tells little of the number of logs.

use std::collections::BTreeSet;

use super::message::NewRecord;
use super::record::{Parcel, Sealer};
use super::record_id;
use super::shelf::{Kept, stretches};
use crate::codec::{self, List};
use crate::id::{EntryId, RecordId};
use crate::limits::{PARCEL_RUNS, RECORD_STRETCHES, RUN_ENTRIES, RUN_PAYLOAD_BYTES};
use crate::log::run::{Entry, Run};
use crate::time::Timestamp;

/// Bytes of runs from which on a record is closed.
const FULL_BYTES: usize = 256 * 1024;
/// Bytes of runs that a record holds at most.
const RECORD_ROOM: usize = RUN_PAYLOAD_BYTES + 64 * 1024;

/// Entries to be put at a keeper.
#[derive(Clone)]
pub struct Deposit {
    /// Entries that follow one another in one log, each up to an end of it.
    pub paths: Vec<Vec<EntryId>>,
    /// Those of them whose payload is still to come to this device.
    pub missing: BTreeSet<EntryId>,
    /// With content. Without, only control is put: the mailbox is full.
    pub content: bool,
    /// Under what the records are sealed.
    pub sealer: Sealer,
}

/// A record to be put, and what it holds.
pub struct Packed {
    /// As it is put.
    pub record: NewRecord,
    /// Its id.
    pub id: RecordId,
    /// What is remembered of it.
    pub kept: Kept,
}

impl Deposit {
    /// Makes the records, one after the other. `read` gives entries as the store has them, in the
    /// order of the ids: what it does not have is left out. `give` takes each record.
    ///
    /// # Errors
    /// Those of `read` and `give`.
    pub fn pack<E>(
        &self,
        now: Timestamp,
        mut read: impl FnMut(&[EntryId]) -> Result<Vec<Entry>, E>,
        mut give: impl FnMut(Packed) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut runs, mut bytes) = (Vec::new(), 0_usize);
        for path in &self.paths {
            let mut rest = path.as_slice();
            while let Some(ids) = rest.get(..rest.len().min(RUN_ENTRIES)).filter(|i| !i.is_empty())
            {
                let entries = read(ids)?;
                let Some((run, taken)) = Run::first_of(&entries, self.content) else { break };
                rest = rest.get(taken..).unwrap_or_default();
                let size = codec::encode(&run).len();
                if bytes.saturating_add(size) > RECORD_ROOM {
                    self.close(now, std::mem::take(&mut runs)).map_or(Ok(()), &mut give)?;
                    bytes = 0;
                }
                bytes = bytes.saturating_add(size);
                runs.push(run);
                if bytes >= FULL_BYTES || runs.len() >= PARCEL_RUNS {
                    self.close(now, std::mem::take(&mut runs)).map_or(Ok(()), &mut give)?;
                    bytes = 0;
                }
            }
        }
        self.close(now, runs).map_or(Ok(()), give)
    }

    fn close(&self, now: Timestamp, runs: Vec<Run>) -> Option<Packed> {
        if runs.is_empty() {
            return None;
        }
        let contents: Vec<Vec<(EntryId, bool)>> = runs.iter().map(Run::contents).collect();
        // Without content nothing is whole but control; what is erased is whole without.
        let mut holds = stretches(&contents, |id| self.content && !self.missing.contains(id));
        holds.truncate(RECORD_STRETCHES);
        let priority = !self.content;
        let parcel = Parcel::Runs(List::new(runs).ok()?);
        let record = self.sealer.put(&parcel, priority).ok()?;
        let id = record_id(record.bytes.as_slice());
        let holds = List::new(holds).ok()?;
        Some(Packed {
            record,
            id,
            kept: Kept { epoch: Some(self.sealer.epoch), since: now, holds },
        })
    }
}
