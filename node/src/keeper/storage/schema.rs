//! The tables of a keeper, for both stores.
//!
//! | table | a row is | bound |
//! | --- | --- | --- |
//! | `mailbox` | a mailbox with its counters | the operator's invitations |
//! | `generation` | the keys of a mailbox, present or ended | `ENDED_GENERATIONS` a mailbox |
//! | `record` | a record | the quota |
//! | `drop_box` | a drop-box with its counters | `DROP_BOXES` a mailbox |
//! | `drop_record` | a record in a drop-box | `DROP_RECORDS` a drop-box |
//! | `invitation` | the hash of an operator's secret | `INVITATIONS` |
//!
//! Times are milliseconds. `ended` is 0 for the present generation. A record's `until` says when it
//! goes; that is the only time that is kept of it.

/// The version that this program writes.
pub(super) const VERSION: u64 = 1;

/// The tables, `NUMBER`, `BYTES` and `ROW` standing for the store's own types.
const TABLES: &str = r"
CREATE TABLE keeper (version NUMBER NOT NULL);
CREATE TABLE mailbox (
    row ROW,
    id BYTES NOT NULL UNIQUE,
    store BYTES NOT NULL,
    generation NUMBER NOT NULL,
    access BYTES NOT NULL,
    newest NUMBER NOT NULL,
    drops NUMBER NOT NULL,
    used NUMBER NOT NULL,
    records NUMBER NOT NULL
);
CREATE TABLE generation (
    mailbox NUMBER NOT NULL,
    access BYTES NOT NULL,
    number NUMBER NOT NULL,
    control BYTES NOT NULL,
    by_owner NUMBER NOT NULL,
    replaced NUMBER NOT NULL,
    ended NUMBER NOT NULL,
    rekey BYTES NOT NULL,
    PRIMARY KEY (mailbox, access)
);
CREATE INDEX generation_number ON generation (mailbox, number);
CREATE INDEX generation_ended ON generation (ended);
CREATE TABLE record (
    row ROW,
    mailbox NUMBER NOT NULL,
    cursor NUMBER NOT NULL,
    id BYTES NOT NULL,
    erase BYTES NOT NULL,
    until NUMBER NOT NULL,
    size NUMBER NOT NULL,
    bytes BYTES NOT NULL
);
CREATE UNIQUE INDEX record_id ON record (mailbox, id);
CREATE UNIQUE INDEX record_cursor ON record (mailbox, cursor);
CREATE INDEX record_until ON record (until);
CREATE TABLE drop_box (
    id BYTES PRIMARY KEY,
    mailbox NUMBER NOT NULL,
    expires NUMBER NOT NULL,
    newest NUMBER NOT NULL
);
CREATE INDEX drop_box_mailbox ON drop_box (mailbox);
CREATE INDEX drop_box_expires ON drop_box (expires);
CREATE TABLE drop_record (
    drop_box BYTES NOT NULL,
    cursor NUMBER NOT NULL,
    id BYTES NOT NULL,
    bytes BYTES NOT NULL,
    PRIMARY KEY (drop_box, cursor)
);
CREATE TABLE invitation (
    hash BYTES PRIMARY KEY,
    until NUMBER NOT NULL,
    mailbox BYTES NOT NULL
);
CREATE INDEX invitation_until ON invitation (until);
";

/// The types of a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Types {
    pub(super) number: &'static str,
    pub(super) bytes: &'static str,
    pub(super) row: &'static str,
}

/// The statements that make the tables.
pub(super) fn tables(types: Types) -> String {
    let made = TABLES
        .replace("NUMBER", types.number)
        .replace("BYTES", types.bytes)
        .replace("ROW", types.row);
    format!("{made}INSERT INTO keeper (version) VALUES ({VERSION});")
}
