//! Responses, profiles, the agreement, acts and requests, to read.
//!
//! Where several documents say the same thing (two profiles of one member), the one with the latest
//! claimed time stands, then the largest id: the same on every device that holds the same entries.

use std::collections::BTreeMap;

use cairn_crdt::codec;
use cairn_crdt::id::{DocumentId, EntryId, MemberId, RequestId};
use cairn_crdt::limits::{ADDRESS_BYTES, ADDRESSES};
use cairn_crdt::replica::input::ResponseWord;
use rusqlite::{Connection, Row};

use super::ReplicaRow;
use super::column::{damaged, id, time, word};
use crate::storage::{ActRow, ProfileRow, RequestRow, StorageError};

/// Bytes of a list of addresses: twice what the core allows, for the lengths between them.
const ADDRESS_LIST_BYTES: usize = 2 * ADDRESSES * ADDRESS_BYTES;

/// A query over a table of rows to read from, oldest claim first.
macro_rules! oldest_first {
    ($select:literal, $table:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $select,
            " FROM ",
            $table,
            " AS view ",
            $rest,
            " ORDER BY coalesce((SELECT max(written) FROM entry
              WHERE entry.replica = view.replica AND entry.document = view.document), 0),
              view.document"
        )
    };
}

pub(super) fn responses(
    connection: &Connection,
    replica: ReplicaRow,
    thread: DocumentId,
) -> Result<Vec<(DocumentId, MemberId, ResponseWord)>, StorageError> {
    let mut statement = connection.prepare_cached(oldest_first!(
        "view.post, view.member, view.word",
        "response",
        "JOIN post ON post.replica = view.replica AND post.document = view.post
         WHERE view.replica = ?1 AND post.thread = ?2"
    ))?;
    let rows = statement.query_map((replica, thread.as_bytes()), |row| {
        let key = (id(row, 0, DocumentId::from_bytes)?, id(row, 1, MemberId::from_bytes)?);
        Ok((key, word(row.get(2)?).ok_or_else(|| damaged(2))?))
    })?;
    let latest: BTreeMap<(DocumentId, MemberId), ResponseWord> = rows.collect::<Result<_, _>>()?;
    Ok(latest.into_iter().map(|((post, member), word)| (post, member, word)).collect())
}

pub(super) fn profiles(
    connection: &Connection,
    replica: ReplicaRow,
) -> Result<BTreeMap<MemberId, ProfileRow>, StorageError> {
    let mut statement = connection.prepare_cached(oldest_first!(
        "view.member, view.pseudonym, view.addresses",
        "profile",
        "WHERE view.replica = ?1"
    ))?;
    let profile = |row: &Row<'_>| {
        let bytes = row.get_ref(2)?.as_blob().map_err(|_| damaged(2))?;
        let addresses = codec::decode(bytes, ADDRESS_LIST_BYTES).map_err(|_| damaged(2))?;
        Ok((id(row, 0, MemberId::from_bytes)?, ProfileRow { pseudonym: row.get(1)?, addresses }))
    };
    let rows = statement.query_map([replica], profile)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn agreement(
    connection: &Connection,
    replica: ReplicaRow,
) -> Result<Option<(String, String)>, StorageError> {
    let mut statement = connection.prepare_cached(oldest_first!(
        "view.name, view.text",
        "agreement",
        "WHERE view.replica = ?1"
    ))?;
    let mut rows = statement.query([replica])?;
    let mut latest = None;
    while let Some(row) = rows.next()? {
        latest = Some((row.get(0)?, row.get(1)?));
    }
    Ok(latest)
}

pub(super) fn acts(
    connection: &Connection,
    replica: ReplicaRow,
) -> Result<Vec<ActRow>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT document, about, subject, author, rule, reason, written FROM act
         WHERE replica = ?1 ORDER BY written, document",
    )?;
    let act = |row: &Row<'_>| {
        Ok(ActRow {
            document: id(row, 0, DocumentId::from_bytes)?,
            about: id(row, 1, EntryId::from_bytes)?,
            subject: id(row, 2, MemberId::from_bytes)?,
            author: id(row, 3, MemberId::from_bytes)?,
            rule: row.get(4)?,
            reason: row.get(5)?,
            written: time(row, 6)?,
        })
    };
    let rows = statement.query_map([replica], act)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn requests(
    connection: &Connection,
    replica: ReplicaRow,
) -> Result<Vec<RequestRow>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, pseudonym, introduction, arrived FROM request
         WHERE replica = ?1 ORDER BY arrived, id",
    )?;
    let request = |row: &Row<'_>| {
        Ok(RequestRow {
            request: id(row, 0, RequestId::from_bytes)?,
            pseudonym: row.get(1)?,
            introduction: row.get(2)?,
            arrived: time(row, 3)?,
        })
    };
    let rows = statement.query_map([replica], request)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
