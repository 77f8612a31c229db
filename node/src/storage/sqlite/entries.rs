//! Entries by id and by document.

use std::cmp::Reverse;

use cairn_crdt::crypto::signing::Signature;
use cairn_crdt::id::{DocumentId, EntryId};
use cairn_crdt::log::entry::Kind;
use cairn_crdt::log::run::Entry;
use cairn_crdt::replica::input::{Load, Stored};
use cairn_crdt::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::ReplicaRow;
use super::column::{ERASED, header, id, maybe_id, maybe_time, time};
use crate::storage::{PREFIX_MATCHES, Place, StorageError, prefix};

pub(super) fn load(
    connection: &Connection,
    replica: ReplicaRow,
    load: &Load,
) -> Result<Vec<Stored>, StorageError> {
    const COLUMNS: &str = "SELECT entry.id, entry.header, payload.bytes, envelope.bytes,
        entry.arrived, entry.signature
        FROM entry JOIN payload ON payload.entry = entry.row
        LEFT JOIN envelope ON envelope.entry = entry.row
        WHERE entry.replica = ?1 AND";
    let stored = |row: &Row<'_>| {
        Ok(Stored {
            id: id(row, 0, EntryId::from_bytes)?,
            header: header(row, 1)?,
            payload: row.get(2)?,
            signature: row.get::<_, Option<[u8; 64]>>(5)?.map(Signature::from_bytes),
            envelope: row.get(3)?,
            arrived: time(row, 4)?,
        })
    };
    match load {
        Load::Document(document) => {
            let mut statement = connection
                .prepare_cached(&format!("{COLUMNS} entry.document = ?2 ORDER BY entry.row"))?;
            let rows = statement.query_map((replica, document.as_bytes()), stored)?;
            Ok(rows.collect::<Result<_, _>>()?)
        }
        Load::Entries(ids) => {
            let mut statement = connection.prepare_cached(&format!("{COLUMNS} entry.id = ?2"))?;
            let each = ids.iter().filter_map(|id| {
                statement.query_row((replica, id.as_bytes()), stored).optional().transpose()
            });
            Ok(each.collect::<Result<_, _>>()?)
        }
    }
}

pub(super) fn entries(
    connection: &Connection,
    replica: ReplicaRow,
    ids: &[EntryId],
    content: bool,
) -> Result<Vec<Entry>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT entry.header, entry.signature, payload.bytes
         FROM entry LEFT JOIN payload ON (?3 OR entry.kind < 128) AND payload.entry = entry.row
         WHERE entry.replica = ?1 AND entry.id = ?2",
    )?;
    let each = ids.iter().filter_map(|id| {
        let entry = |row: &Row<'_>| {
            Ok(Entry {
                id: *id,
                header: header(row, 0)?,
                payload: row.get(2)?,
                signature: row.get::<_, Option<[u8; 64]>>(1)?.map(Signature::from_bytes),
            })
        };
        statement.query_row((replica, id.as_bytes(), content), entry).optional().transpose()
    });
    Ok(each.collect::<Result<_, _>>()?)
}

pub(super) fn payloads(
    connection: &Connection,
    replica: ReplicaRow,
    ids: &[EntryId],
) -> Result<Vec<(EntryId, Vec<u8>)>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT payload.bytes FROM entry JOIN payload ON payload.entry = entry.row
         WHERE entry.replica = ?1 AND entry.id = ?2",
    )?;
    let each = ids.iter().filter_map(|id| {
        statement
            .query_row((replica, id.as_bytes()), |row| Ok((*id, row.get(0)?)))
            .optional()
            .transpose()
    });
    Ok(each.collect::<Result<_, _>>()?)
}

pub(super) fn newest_first(
    connection: &Connection,
    replica: ReplicaRow,
    ids: &[EntryId],
) -> Result<Vec<EntryId>, StorageError> {
    let mut statement =
        connection.prepare_cached("SELECT written FROM entry WHERE replica = ?1 AND id = ?2")?;
    let mut timed: Vec<(Option<Timestamp>, EntryId)> = Vec::with_capacity(ids.len());
    for id in ids {
        let written = statement
            .query_row((replica, id.as_bytes()), |row| maybe_time(row, 0))
            .optional()?
            .flatten();
        timed.push((written, *id));
    }
    // `None` is the smallest, so it comes last.
    timed.sort_by_key(|(written, _)| Reverse(*written));
    Ok(timed.into_iter().map(|(_, id)| id).collect())
}

pub(super) fn place(
    connection: &Connection,
    replica: ReplicaRow,
    entry: &EntryId,
) -> Result<Option<Place>, StorageError> {
    let place = |row: &Row<'_>| {
        let header = header(row, 0)?;
        Ok(Place {
            device: header.device,
            seq: header.seq,
            kind: Kind(row.get(1)?),
            arrived: time(row, 2)?,
            written: maybe_time(row, 3)?,
            document: maybe_id(row, 4, DocumentId::from_bytes)?,
            erased: row.get::<_, i64>(5)? == ERASED,
        })
    };
    Ok(connection
        .prepare_cached(
            "SELECT header, kind, arrived, written, document, held FROM entry
             WHERE replica = ?1 AND id = ?2",
        )?
        .query_row((replica, entry.as_bytes()), place)
        .optional()?)
}

pub(super) fn with_prefix(
    connection: &Connection,
    replica: ReplicaRow,
    prefix: &str,
) -> Result<Vec<EntryId>, StorageError> {
    let Some((low, high)) = prefix::range(prefix) else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT id FROM entry WHERE replica = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id LIMIT ?4",
    )?;
    let limit = i64::try_from(PREFIX_MATCHES).unwrap_or(i64::MAX);
    let rows =
        statement.query_map((replica, low, high, limit), |row| id(row, 0, EntryId::from_bytes))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
