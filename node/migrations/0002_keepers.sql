-- What a persona knows of its group's keepers (M1).

-- The memory of one mailbox, as the replica wrote it.
CREATE TABLE keeper (
    replica INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    keeper  BLOB NOT NULL,
    memory  BLOB NOT NULL,
    PRIMARY KEY (replica, keeper)
) STRICT, WITHOUT ROWID;

-- A record that lies with a keeper, and what it holds.
CREATE TABLE record (
    replica INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    keeper  BLOB NOT NULL,
    id      BLOB NOT NULL,
    kept    BLOB NOT NULL,
    PRIMARY KEY (replica, keeper, id)
) STRICT, WITHOUT ROWID;
