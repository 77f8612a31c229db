//! Posts and threads, to read.

use cairn_crdt::id::{DocumentId, EntryId, MemberId};
use cairn_crdt::replica::effect::{PostRow, PostState};
use rusqlite::{Connection, OptionalExtension as _, Params, Row, named_params};

use super::ReplicaRow;
use super::column::{count, damaged, id, maybe_id, maybe_time, time, wants};
use crate::storage::{
    MEMBER_SETTING, PREFIX_MATCHES, SEARCH_HITS, SearchHit, StorageError, ThreadSummary, prefix,
    words,
};

/// The columns that [`read`] reads.
macro_rules! post {
    ($rest:literal) => {
        concat!(
            "SELECT post.document, post.thread, post.title, post.reply_to, post.author,
             post.created, post.body, post.note, post.wants, post.imported_author,
             post.imported_at, post.written, post.arrived, post.edited, post.state,
             post.hidden_by ",
            $rest
        )
    };
}

/// The first column after those of the post.
const NEXT: usize = 16;

fn read(row: &Row<'_>) -> rusqlite::Result<PostRow> {
    let wanted: Option<i64> = row.get(8)?;
    let imported = match (row.get::<_, Option<String>>(9)?, maybe_time(row, 10)?) {
        (Some(author), Some(at)) => Some((author, at)),
        (None, None) => None,
        _ => return Err(damaged(9)),
    };
    let state = match (row.get::<_, i64>(14)?, maybe_id(row, 15, EntryId::from_bytes)?) {
        (0, None) => PostState::Shown,
        (1, Some(by)) => PostState::Hidden(by),
        (2, None) => PostState::Erased,
        _ => return Err(damaged(14)),
    };
    Ok(PostRow {
        document: id(row, 0, DocumentId::from_bytes)?,
        thread: id(row, 1, DocumentId::from_bytes)?,
        title: row.get(2)?,
        reply_to: maybe_id(row, 3, DocumentId::from_bytes)?,
        author: id(row, 4, MemberId::from_bytes)?,
        created: id(row, 5, EntryId::from_bytes)?,
        body: row.get(6)?,
        note: row.get(7)?,
        wants: wanted.map(|number| wants(number).ok_or_else(|| damaged(8))).transpose()?,
        imported,
        written: time(row, 11)?,
        arrived: time(row, 12)?,
        edited: maybe_time(row, 13)?,
        state,
    })
}

fn many(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<PostRow>, StorageError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn threads(
    connection: &Connection,
    replica: ReplicaRow,
) -> Result<Vec<ThreadSummary>, StorageError> {
    let mut statement = connection.prepare_cached(post!(
        ", coalesce(standing.posts, 0), coalesce(standing.unread, 0),
         coalesce(standing.newest, post.written)
         FROM post INDEXED BY post_of_thread LEFT JOIN (
             SELECT reply.thread, sum(reply.state <> 2) AS posts,
                 sum(reply.seen = 0 AND reply.state = 0 AND reply.author IS NOT (
                     SELECT value FROM replica_setting
                     WHERE replica = :replica AND name = :member)) AS unread,
                 max(reply.written) AS newest
             FROM post AS reply INDEXED BY post_of_thread
             WHERE reply.replica = :replica AND reply.document <> reply.thread
             GROUP BY reply.thread
         ) AS standing ON standing.thread = post.thread
         WHERE post.replica = :replica AND post.document = post.thread
         ORDER BY coalesce(standing.newest, post.written) DESC, post.document"
    ))?;
    let summary = |row: &Row<'_>| {
        Ok(ThreadSummary {
            row: read(row)?,
            posts: count(row, NEXT)?,
            unread: count(row, NEXT.saturating_add(1))?,
            newest: time(row, NEXT.saturating_add(2))?,
        })
    };
    let rows = statement
        .query_map(named_params! { ":replica": replica, ":member": MEMBER_SETTING }, summary)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn thread(
    connection: &Connection,
    replica: ReplicaRow,
    thread: DocumentId,
) -> Result<Vec<PostRow>, StorageError> {
    many(
        connection,
        post!(
            "FROM post WHERE replica = ?1 AND thread = ?2
             ORDER BY document <> thread, written, document"
        ),
        (replica, thread.as_bytes()),
    )
}

pub(super) fn one(
    connection: &Connection,
    replica: ReplicaRow,
    document: DocumentId,
) -> Result<Option<PostRow>, StorageError> {
    Ok(connection
        .prepare_cached(post!("FROM post WHERE replica = ?1 AND document = ?2"))?
        .query_row((replica, document.as_bytes()), read)
        .optional()?)
}

pub(super) fn of_author(
    connection: &Connection,
    replica: ReplicaRow,
    author: MemberId,
) -> Result<Vec<PostRow>, StorageError> {
    many(
        connection,
        post!("FROM post WHERE replica = ?1 AND author = ?2 ORDER BY written, document"),
        (replica, author.as_bytes()),
    )
}

pub(super) fn with_prefix(
    connection: &Connection,
    replica: ReplicaRow,
    prefix: &str,
) -> Result<Vec<DocumentId>, StorageError> {
    let Some((low, high)) = prefix::range(prefix) else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT document FROM post WHERE replica = ?1 AND document BETWEEN ?2 AND ?3
         ORDER BY document LIMIT ?4",
    )?;
    let limit = i64::try_from(PREFIX_MATCHES).unwrap_or(i64::MAX);
    let rows = statement
        .query_map((replica, low, high, limit), |row| id(row, 0, DocumentId::from_bytes))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn search(
    connection: &Connection,
    replica: ReplicaRow,
    words: &str,
    limit: u32,
) -> Result<Vec<SearchHit>, StorageError> {
    let Some(query) = words::query(words) else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(post!(
        ", title.title
         FROM words JOIN post ON post.row = words.rowid
         LEFT JOIN post AS title ON title.replica = post.replica AND title.document = post.thread
             AND title.state = 0
         WHERE words MATCH ?2 AND post.replica = ?1 AND post.state = 0
         ORDER BY post.written DESC, post.document LIMIT ?3"
    ))?;
    let hit = |row: &Row<'_>| Ok(SearchHit { row: read(row)?, title: row.get(NEXT)? });
    let rows = statement.query_map((replica, query, limit.min(SEARCH_HITS)), hit)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn mark_read(
    connection: &Connection,
    replica: ReplicaRow,
    thread: DocumentId,
) -> Result<(), StorageError> {
    connection
        .prepare_cached("UPDATE post SET seen = 1 WHERE replica = ?1 AND thread = ?2 AND seen = 0")?
        .execute((replica, thread.as_bytes()))?;
    Ok(())
}

pub(super) fn unread(connection: &Connection, replica: ReplicaRow) -> Result<u64, StorageError> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*) FROM post
             WHERE replica = ?1 AND seen = 0 AND state = 0 AND document <> thread
             AND author IS NOT (
                 SELECT value FROM replica_setting WHERE replica = ?1 AND name = ?2)",
        )?
        .query_row((replica, MEMBER_SETTING), |row| count(row, 0))?)
}
