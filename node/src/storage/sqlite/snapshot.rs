//! What a replica is opened with: one pass over its entries in the order of the file.

use cairn_crdt::id::{DeviceId, DocumentId, EntryId, EpochId, GroupId, RecordId, TransportKey};
use cairn_crdt::log::entry::{Header, Sealing};
use cairn_crdt::log::set::Slot;
use cairn_crdt::replica::keepers::KeeperSnapshot;
use cairn_crdt::replica::snapshot::{Snapshot, SnapshotContent, SnapshotEntry};
use rusqlite::Connection;
use zeroize::Zeroizing;

use super::ReplicaRow;
use super::column::{HERE, MISSING, header, id, maybe_id, time};
use crate::storage::StorageError;

pub(super) fn read(
    connection: &Connection,
    replica: ReplicaRow,
    group: GroupId,
) -> Result<Snapshot, StorageError> {
    let persona: Option<Vec<u8>> = connection
        .prepare_cached("SELECT persona FROM replica WHERE row = ?1")?
        .query_row([replica], |row| row.get(0))?;
    let (entries, missing) = entries(connection, replica)?;
    let stale = connection
        .prepare_cached("SELECT document FROM stale WHERE replica = ?1 ORDER BY document")?
        .query_map([replica], |row| id(row, 0, DocumentId::from_bytes))?
        .collect::<Result<_, _>>()?;
    let epochs = connection
        .prepare_cached("SELECT id, secret FROM epoch WHERE replica = ?1 ORDER BY id")?
        .query_map([replica], |row| {
            Ok((id(row, 0, EpochId::from_bytes)?, Zeroizing::new(row.get(1)?)))
        })?
        .collect::<Result<_, _>>()?;
    Ok(Snapshot {
        group,
        persona: Zeroizing::new(persona.unwrap_or_default()),
        entries,
        missing,
        stale,
        epochs,
        requests: blobs(
            connection,
            "SELECT bytes FROM request WHERE replica = ?1 ORDER BY arrived, id",
            replica,
        )?,
        receipts: blobs(
            connection,
            "SELECT bytes FROM receipt WHERE replica = ?1 ORDER BY device",
            replica,
        )?,
        keepers: keepers(connection, replica)?,
    })
}

fn keepers(
    connection: &Connection,
    replica: ReplicaRow,
) -> Result<Vec<KeeperSnapshot>, StorageError> {
    let mut known = connection
        .prepare_cached("SELECT keeper, memory FROM keeper WHERE replica = ?1 ORDER BY keeper")?
        .query_map([replica], |row| {
            let keeper = id(row, 0, TransportKey::from_bytes)?;
            Ok(KeeperSnapshot { keeper, memory: Zeroizing::new(row.get(1)?), records: Vec::new() })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let mut statement = connection.prepare_cached(
        "SELECT id, kept FROM record WHERE replica = ?1 AND keeper = ?2 ORDER BY id",
    )?;
    for keeper in &mut known {
        let of = rusqlite::params![replica, keeper.keeper.as_bytes()];
        let records = statement
            .query_map(of, |row| Ok((id(row, 0, RecordId::from_bytes)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        keeper.records = records;
    }
    Ok(known)
}

type Entries = (Vec<SnapshotEntry>, Vec<(EntryId, Header)>);

fn entries(connection: &Connection, replica: ReplicaRow) -> Result<Entries, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT entry.id, entry.header, entry.held, entry.document, entry.creates, payload.bytes,
                entry.arrived
         FROM entry INDEXED BY entry_of_replica
         LEFT JOIN payload ON entry.kind < 128 AND payload.entry = entry.row
         WHERE entry.replica = ?1 ORDER BY entry.row",
    )?;
    let mut entries = Vec::new();
    let mut missing = Vec::new();
    let mut rows = statement.query([replica])?;
    while let Some(row) = rows.next()? {
        let entry = id(row, 0, EntryId::from_bytes)?;
        let header = header(row, 1)?;
        let held: i64 = row.get(2)?;
        let content = match header.sealing {
            Sealing::Clear => None,
            Sealing::Sealed { epoch, .. } => Some(SnapshotContent {
                payload: held == HERE,
                epoch,
                document: maybe_id(row, 3, DocumentId::from_bytes)?,
                creates: row.get(4)?,
            }),
        };
        entries.push(SnapshotEntry {
            id: entry,
            device: header.device,
            arrived: time(row, 6)?,
            seq: header.seq,
            slot: Slot {
                prev: header.prev,
                grant: header.grant,
                kind: header.kind,
                seen: header.seen.count,
            },
            control: row.get(5)?,
            content,
        });
        if held == MISSING && !header.kind.is_control() {
            missing.push((entry, header));
        }
    }
    let order = |device: DeviceId, seq: u64, id: EntryId| (device, seq, id);
    entries.sort_unstable_by_key(|entry| order(entry.device, entry.seq, entry.id));
    missing.sort_unstable_by_key(|(id, header)| order(header.device, header.seq, *id));
    Ok((entries, missing))
}

fn blobs(
    connection: &Connection,
    sql: &str,
    replica: ReplicaRow,
) -> Result<Vec<Vec<u8>>, StorageError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([replica], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
