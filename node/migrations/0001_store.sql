-- The store of one home. Every page of this file is encrypted (SQLCipher); nothing here has to be
-- hidden a second time.
--
-- Ids are blobs of 32 bytes. Times are milliseconds since 1970-01-01T00:00:00Z. What is deleted is
-- overwritten (secure_delete is on).

-- Small values of the home, by name.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One device's copy of a group. Other tables name a group by `row`: a small number, not 32 bytes.
CREATE TABLE replica (
    row     INTEGER PRIMARY KEY,
    "group" BLOB NOT NULL UNIQUE,
    -- The replica's own state with its keys.
    persona BLOB
) STRICT;

-- Small values kept for one group, by name.
CREATE TABLE replica_setting (
    replica INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    name    TEXT NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (replica, name)
) STRICT, WITHOUT ROWID;

-- Entries -----------------------------------------------------------------------------------------

-- A rooted entry. Device, place in the log, grant and epoch are in the header: said once.
CREATE TABLE entry (
    row       INTEGER PRIMARY KEY,
    replica   INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    id        BLOB NOT NULL,
    header    BLOB NOT NULL,
    kind      INTEGER NOT NULL,
    -- Where it ended a run (L6).
    signature BLOB,
    -- When its payload came to this device; the header, as long as there is no payload.
    arrived   INTEGER NOT NULL,
    -- 0: not here. 1: here, in `payload`. 2: erased, and never to be here again (C5).
    held      INTEGER NOT NULL CHECK (held IN (0, 1, 2)),
    -- Known of content whose envelope was opened: the document that it changes, the kind of the
    -- document if it created it, and the time that its author claims.
    document  BLOB,
    creates   INTEGER,
    written   INTEGER,
    UNIQUE (replica, id)
) STRICT;

-- A group is opened in the order of rows, which is the order on disk.
CREATE INDEX entry_of_replica ON entry (replica);
CREATE INDEX entry_of_document ON entry (replica, document) WHERE document IS NOT NULL;

-- Payloads and envelopes stand apart: an entry is read without them, and erasing one overwrites it.
CREATE TABLE payload (
    entry INTEGER PRIMARY KEY REFERENCES entry ON DELETE CASCADE,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE envelope (
    entry INTEGER PRIMARY KEY REFERENCES entry ON DELETE CASCADE,
    bytes BLOB NOT NULL
) STRICT;

-- The secrets of epochs (K1, K7).
CREATE TABLE epoch (
    replica INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    id      BLOB NOT NULL,
    secret  BLOB NOT NULL,
    PRIMARY KEY (replica, id)
) STRICT, WITHOUT ROWID;

-- Requests to join that wait for an answer (J2).
CREATE TABLE request (
    row          INTEGER PRIMARY KEY,
    replica      INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    id           BLOB NOT NULL,
    bytes        BLOB NOT NULL,
    pseudonym    TEXT NOT NULL,
    introduction TEXT NOT NULL,
    arrived      INTEGER NOT NULL,
    UNIQUE (replica, id)
) STRICT;

-- The frontier that each device showed last (S6).
CREATE TABLE receipt (
    replica INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    device  BLOB NOT NULL,
    bytes   BLOB NOT NULL,
    PRIMARY KEY (replica, device)
) STRICT, WITHOUT ROWID;

-- Rows to read from -------------------------------------------------------------------------------

-- One row a document, replaced by a newer one.

CREATE TABLE post (
    row             INTEGER PRIMARY KEY,
    replica         INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    document        BLOB NOT NULL,
    -- The document itself, for a thread's own row.
    thread          BLOB NOT NULL,
    title           TEXT,
    reply_to        BLOB,
    author          BLOB NOT NULL,
    created         BLOB NOT NULL,
    body            TEXT NOT NULL,
    note            TEXT,
    wants           INTEGER,
    imported_author TEXT,
    imported_at     INTEGER,
    written         INTEGER NOT NULL,
    arrived         INTEGER NOT NULL,
    edited          INTEGER,
    -- 0: shown. 1: hidden, by `hidden_by`. 2: erased.
    state           INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    hidden_by       BLOB,
    -- Whether its thread was marked as read since it came. Known to this device only.
    seen            INTEGER NOT NULL DEFAULT 0,
    UNIQUE (replica, document),
    CHECK ((state = 1) = (hidden_by IS NOT NULL)),
    CHECK ((imported_author IS NULL) = (imported_at IS NULL))
) STRICT;

-- All that a list of threads counts: posts are not read for it.
CREATE INDEX post_of_thread ON post (replica, thread, document, written, state, seen, author);

CREATE TABLE response (
    replica  INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    document BLOB NOT NULL,
    post     BLOB NOT NULL,
    member   BLOB NOT NULL,
    word     INTEGER NOT NULL,
    PRIMARY KEY (replica, document)
) STRICT, WITHOUT ROWID;

CREATE INDEX response_to_post ON response (replica, post);

CREATE TABLE profile (
    replica   INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    document  BLOB NOT NULL,
    member    BLOB NOT NULL,
    pseudonym TEXT NOT NULL,
    -- A list of binary multiaddrs, in the core's encoding.
    addresses BLOB NOT NULL,
    PRIMARY KEY (replica, document)
) STRICT, WITHOUT ROWID;

CREATE TABLE agreement (
    replica  INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    document BLOB NOT NULL,
    name     TEXT NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (replica, document)
) STRICT, WITHOUT ROWID;

CREATE TABLE act (
    replica  INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    document BLOB NOT NULL,
    about    BLOB NOT NULL,
    subject  BLOB NOT NULL,
    author   BLOB NOT NULL,
    rule     TEXT NOT NULL,
    reason   TEXT NOT NULL,
    written  INTEGER NOT NULL,
    PRIMARY KEY (replica, document)
) STRICT, WITHOUT ROWID;

-- Documents whose row is older than what is known of them: built anew when the group is opened.
CREATE TABLE stale (
    replica  INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    document BLOB NOT NULL,
    PRIMARY KEY (replica, document)
) STRICT, WITHOUT ROWID;

-- Search ------------------------------------------------------------------------------------------

-- What can be found: posts that are shown.
CREATE VIEW shown AS SELECT row, title, body FROM post WHERE state = 0;

-- The words of `shown`; the texts themselves are in `post` only. A deleted row is only marked here:
-- whoever erases merges the index afterwards, which takes the words out.
CREATE VIRTUAL TABLE words USING fts5 (
    title, body,
    content = 'shown', content_rowid = 'row',
    tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TRIGGER post_added AFTER INSERT ON post WHEN new.state = 0 BEGIN
    INSERT INTO words (rowid, title, body) VALUES (new.row, new.title, new.body);
END;

CREATE TRIGGER post_deleted AFTER DELETE ON post WHEN old.state = 0 BEGIN
    INSERT INTO words (words, rowid, title, body)
    VALUES ('delete', old.row, old.title, old.body);
END;

-- A changed row is taken out as it was, and put in as it is; an equal one is left alone.
CREATE TRIGGER post_taken_out AFTER UPDATE OF title, body, state ON post
WHEN old.state = 0
    AND (new.state, new.title, new.body) IS NOT (old.state, old.title, old.body) BEGIN
    INSERT INTO words (words, rowid, title, body)
    VALUES ('delete', old.row, old.title, old.body);
END;

CREATE TRIGGER post_put_in AFTER UPDATE OF title, body, state ON post
WHEN new.state = 0
    AND (new.state, new.title, new.body) IS NOT (old.state, old.title, old.body) BEGIN
    INSERT INTO words (rowid, title, body) VALUES (new.row, new.title, new.body);
END;
