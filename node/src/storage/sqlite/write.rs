//! Writes of a replica, one statement or few each. All are inside the caller's transaction.

use cairn_crdt::codec;
use cairn_crdt::id::{DocumentId, EntryId};
use cairn_crdt::log::entry::Header;
use cairn_crdt::replica::effect::{PostRow, PostState, Row, Write};
use cairn_crdt::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::ReplicaRow;
use super::column::{ERASED, HERE, MISSING, millis, wants_number, word_number};
use crate::storage::StorageError;

/// Whether a write takes something away that must not be found again, so that its old pages are to
/// be overwritten at once.
pub(super) const fn erases(write: &Write) -> bool {
    match write {
        Write::Erase { .. }
        | Write::Evict { .. }
        | Write::ForgetEpoch { .. }
        | Write::ForgetRequest { .. }
        | Write::Row(Row::Gone(_)) => true,
        Write::Row(Row::Post(post)) => matches!(post.state, PostState::Erased),
        _ => false,
    }
}

/// Writes all of these in order. If words that could be searched for are taken away, they leave the
/// search index before this returns.
pub(super) fn apply_all(
    connection: &Connection,
    replica: ReplicaRow,
    writes: &[Write],
) -> Result<(), StorageError> {
    let mut words_erased = false;
    for write in writes {
        words_erased = words_erased || erases_words(connection, replica, write)?;
        apply(connection, replica, write)?;
    }
    if words_erased { overwrite_words(connection) } else { Ok(()) }
}

/// FTS5 marks a deleted row as deleted; its words stay in older segments of the index, some of them
/// even with the option `secure-delete`. Merged into one segment, the index has the words that can
/// be found and no others. Takes time in proportion to the index: about a second for 100 000 posts.
pub(super) fn overwrite_words(connection: &Connection) -> Result<(), StorageError> {
    connection.prepare_cached("INSERT INTO words (words) VALUES ('optimize')")?.execute([])?;
    Ok(())
}

/// Whether a write takes the words of a post away that were there until now. A post that comes
/// erased was never in the index.
fn erases_words(
    connection: &Connection,
    replica: ReplicaRow,
    write: &Write,
) -> Result<bool, StorageError> {
    let document = match write {
        Write::Row(Row::Gone(document)) => document,
        Write::Row(Row::Post(post)) if matches!(post.state, PostState::Erased) => &post.document,
        _ => return Ok(false),
    };
    Ok(connection
        .prepare_cached("SELECT 1 FROM post WHERE replica = ?1 AND document = ?2 AND state <> 2")?
        .exists(params![replica, document.as_bytes()])?)
}

fn apply(connection: &Connection, replica: ReplicaRow, write: &Write) -> Result<(), StorageError> {
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| -> Result<(), StorageError> {
        connection.prepare_cached(sql)?.execute(params)?;
        Ok(())
    };
    match write {
        Write::Entry { id, header, payload, signature, arrived } => {
            let new = insert(connection, replica, (*id, header, *arrived))?;
            if let Some(signature) = signature {
                run(
                    "UPDATE entry SET signature = ?3
                     WHERE replica = ?1 AND id = ?2 AND signature IS NULL",
                    params![replica, id.as_bytes(), signature.as_bytes()],
                )?;
            }
            payload.as_ref().map_or(Ok(()), |payload| match new {
                Some(entry) => keep(connection, entry, payload, *arrived),
                None => complete(connection, replica, id, (payload, *arrived)),
            })
        }
        Write::Payload { entry, payload, arrived } => {
            complete(connection, replica, entry, (payload, *arrived))
        }
        Write::Erase { entry } => erase(connection, replica, entry),
        Write::Evict { entry } => run(
            "DELETE FROM entry WHERE replica = ?1 AND id = ?2",
            params![replica, entry.as_bytes()],
        ),
        Write::Envelope { entry, document, creates, written, envelope } => {
            run(
                "UPDATE entry SET document = ?3, creates = ?4, written = ?5
                 WHERE replica = ?1 AND id = ?2",
                params![
                    replica,
                    entry.as_bytes(),
                    document.as_bytes(),
                    creates,
                    written.map(millis)
                ],
            )?;
            // What was erased keeps no key (C5).
            run(
                "INSERT OR REPLACE INTO envelope (entry, bytes)
                 SELECT row, ?3 FROM entry WHERE replica = ?1 AND id = ?2 AND held <> 2",
                params![replica, entry.as_bytes(), envelope.as_slice()],
            )
        }
        Write::Persona(bytes) => run(
            "UPDATE replica SET persona = ?2 WHERE row = ?1",
            params![replica, bytes.as_slice()],
        ),
        Write::Epoch { epoch, secret } => run(
            "INSERT OR REPLACE INTO epoch (replica, id, secret) VALUES (?1, ?2, ?3)",
            params![replica, epoch.as_bytes(), secret.as_slice()],
        ),
        Write::ForgetEpoch { epoch } => run(
            "DELETE FROM epoch WHERE replica = ?1 AND id = ?2",
            params![replica, epoch.as_bytes()],
        ),
        Write::Request { request, bytes, pseudonym, introduction, arrived } => run(
            "INSERT OR REPLACE INTO request (replica, id, bytes, pseudonym, introduction, arrived)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![replica, request.as_bytes(), bytes, pseudonym, introduction, millis(*arrived)],
        ),
        Write::ForgetRequest { request } => run(
            "DELETE FROM request WHERE replica = ?1 AND id = ?2",
            params![replica, request.as_bytes()],
        ),
        Write::Receipt { bytes, device } => run(
            "INSERT OR REPLACE INTO receipt (replica, device, bytes) VALUES (?1, ?2, ?3)",
            params![replica, device.as_bytes(), bytes],
        ),
        Write::Keeper { keeper, memory } => run(
            "INSERT OR REPLACE INTO keeper (replica, keeper, memory) VALUES (?1, ?2, ?3)",
            params![replica, keeper.as_bytes(), memory.as_slice()],
        ),
        Write::Record { keeper, record, kept } => run(
            "INSERT OR REPLACE INTO record (replica, keeper, id, kept) VALUES (?1, ?2, ?3, ?4)",
            params![replica, keeper.as_bytes(), record.as_bytes(), kept],
        ),
        Write::ForgetRecord { keeper, record } => run(
            "DELETE FROM record WHERE replica = ?1 AND keeper = ?2 AND id = ?3",
            params![replica, keeper.as_bytes(), record.as_bytes()],
        ),
        Write::ForgetKeeper { keeper } => {
            run(
                "DELETE FROM record WHERE replica = ?1 AND keeper = ?2",
                params![replica, keeper.as_bytes()],
            )?;
            run(
                "DELETE FROM keeper WHERE replica = ?1 AND keeper = ?2",
                params![replica, keeper.as_bytes()],
            )
        }
        Write::Stale(documents) => documents.iter().try_for_each(|document| {
            run(
                "INSERT OR IGNORE INTO stale (replica, document) VALUES (?1, ?2)",
                params![replica, document.as_bytes()],
            )
        }),
        Write::Row(row) => {
            run(
                "DELETE FROM stale WHERE replica = ?1 AND document = ?2",
                params![replica, row.document().as_bytes()],
            )?;
            apply_row(connection, replica, row)
        }
    }
}

/// The row of the entry if it is new; its payload is not there yet.
fn insert(
    connection: &Connection,
    replica: ReplicaRow,
    (id, header, arrived): (EntryId, &Header, Timestamp),
) -> Result<Option<i64>, StorageError> {
    let added = connection
        .prepare_cached(
            "INSERT INTO entry (replica, id, header, kind, arrived, held)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            replica,
            id.as_bytes(),
            codec::encode(header),
            header.kind.0,
            millis(arrived),
            MISSING
        ])?;
    Ok((added > 0).then(|| connection.last_insert_rowid()))
}

/// Adds a payload to an entry that is there without: not to one that was erased.
fn complete(
    connection: &Connection,
    replica: ReplicaRow,
    id: &EntryId,
    (payload, arrived): (&[u8], Timestamp),
) -> Result<(), StorageError> {
    let entry: Option<i64> = connection
        .prepare_cached("SELECT row FROM entry WHERE replica = ?1 AND id = ?2 AND held = ?3")?
        .query_row(params![replica, id.as_bytes(), MISSING], |row| row.get(0))
        .optional()?;
    entry.map_or(Ok(()), |entry| keep(connection, entry, payload, arrived))
}

fn keep(
    connection: &Connection,
    entry: i64,
    payload: &[u8],
    arrived: Timestamp,
) -> Result<(), StorageError> {
    connection
        .prepare_cached("INSERT INTO payload (entry, bytes) VALUES (?1, ?2)")?
        .execute((entry, payload))?;
    connection
        .prepare_cached("UPDATE entry SET held = ?2, arrived = ?3 WHERE row = ?1")?
        .execute((entry, HERE, millis(arrived)))?;
    Ok(())
}

/// Content only: control is never dropped (L7).
fn erase(connection: &Connection, replica: ReplicaRow, id: &EntryId) -> Result<(), StorageError> {
    let entry: Option<i64> = connection
        .prepare_cached("SELECT row FROM entry WHERE replica = ?1 AND id = ?2 AND kind >= 128")?
        .query_row(params![replica, id.as_bytes()], |row| row.get(0))
        .optional()?;
    let Some(entry) = entry else { return Ok(()) };
    connection.prepare_cached("DELETE FROM payload WHERE entry = ?1")?.execute([entry])?;
    connection.prepare_cached("DELETE FROM envelope WHERE entry = ?1")?.execute([entry])?;
    connection
        .prepare_cached("UPDATE entry SET held = ?2 WHERE row = ?1")?
        .execute((entry, ERASED))?;
    Ok(())
}

fn apply_row(connection: &Connection, replica: ReplicaRow, row: &Row) -> Result<(), StorageError> {
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| -> Result<(), StorageError> {
        connection.prepare_cached(sql)?.execute(params)?;
        Ok(())
    };
    match row {
        Row::Post(post) => apply_post(connection, replica, post),
        Row::Response { document, post, member, word } => run(
            "INSERT OR REPLACE INTO response (replica, document, post, member, word)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                replica,
                document.as_bytes(),
                post.as_bytes(),
                member.as_bytes(),
                word_number(*word)
            ],
        ),
        Row::Profile { document, member, pseudonym, addresses } => run(
            "INSERT OR REPLACE INTO profile (replica, document, member, pseudonym, addresses)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                replica,
                document.as_bytes(),
                member.as_bytes(),
                pseudonym,
                codec::encode(addresses)
            ],
        ),
        Row::Agreement { document, name, text } => run(
            "INSERT OR REPLACE INTO agreement (replica, document, name, text)
             VALUES (?1, ?2, ?3, ?4)",
            params![replica, document.as_bytes(), name, text],
        ),
        Row::Act { document, about, subject, author, rule, reason, written } => run(
            "INSERT OR REPLACE INTO act
             (replica, document, about, subject, author, rule, reason, written)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                replica,
                document.as_bytes(),
                about.as_bytes(),
                subject.as_bytes(),
                author.as_bytes(),
                rule,
                reason,
                millis(*written)
            ],
        ),
        Row::Gone(document) => {
            for table in [
                "DELETE FROM post WHERE replica = ?1 AND document = ?2",
                "DELETE FROM response WHERE replica = ?1 AND document = ?2",
                "DELETE FROM profile WHERE replica = ?1 AND document = ?2",
                "DELETE FROM agreement WHERE replica = ?1 AND document = ?2",
                "DELETE FROM act WHERE replica = ?1 AND document = ?2",
            ] {
                run(table, params![replica, document.as_bytes()])?;
            }
            Ok(())
        }
    }
}

/// Keeps the row's number, which the search index names, and whether it was seen.
fn apply_post(
    connection: &Connection,
    replica: ReplicaRow,
    post: &PostRow,
) -> Result<(), StorageError> {
    let (state, hidden_by) = match &post.state {
        PostState::Shown => (0, None),
        PostState::Hidden(by) => (1, Some(by.as_bytes())),
        PostState::Erased => (2, None),
    };
    let (imported_author, imported_at) = match &post.imported {
        None => (None, None),
        Some((author, at)) => (Some(author), Some(millis(*at))),
    };
    connection
        .prepare_cached(
            "INSERT INTO post
             (replica, document, thread, title, reply_to, author, created, body, note, wants,
              imported_author, imported_at, written, arrived, edited, state, hidden_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
             ON CONFLICT (replica, document) DO UPDATE SET
             thread = excluded.thread, title = excluded.title, reply_to = excluded.reply_to,
             author = excluded.author, created = excluded.created, body = excluded.body,
             note = excluded.note, wants = excluded.wants,
             imported_author = excluded.imported_author, imported_at = excluded.imported_at,
             written = excluded.written, arrived = excluded.arrived, edited = excluded.edited,
             state = excluded.state, hidden_by = excluded.hidden_by",
        )?
        .execute(params![
            replica,
            post.document.as_bytes(),
            post.thread.as_bytes(),
            post.title,
            post.reply_to.as_ref().map(DocumentId::as_bytes),
            post.author.as_bytes(),
            post.created.as_bytes(),
            post.body,
            post.note,
            post.wants.map(wants_number),
            imported_author,
            imported_at,
            millis(post.written),
            millis(post.arrived),
            post.edited.map(millis),
            state,
            hidden_by
        ])?;
    Ok(())
}
