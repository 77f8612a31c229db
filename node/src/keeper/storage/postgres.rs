//! A keeper's store in PostgreSQL, for several keeper processes that serve the same mailboxes.
//!
//! Rows that a rule is about to change are locked (`FOR UPDATE`), a mailbox always before what is in
//! it, so places, quotas and generations stay right, and nobody waits for each other in a circle. A
//! transaction that is in another's way all the same is done again. What is deleted is not
//! overwritten on disk: the contents are sealed, and it is the database's to say when space is reused.

use std::collections::BTreeMap;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, NoTls, Statement, Transaction};

use super::{Given, Row, Store, StoreError, Tables, Taken, Work, schema};

const TYPES: schema::Types =
    schema::Types { number: "BIGINT", bytes: "BYTEA", row: "BIGSERIAL PRIMARY KEY" };
/// How long the server is waited for at first.
const CONNECT: Duration = Duration::from_secs(10);
/// How often a transaction is done again that was in another's way.
const AGAIN: usize = 8;
/// Names the lock under which the tables are made.
const MAKING: i64 = 0x0063_6169_726e;

/// A connection to the database.
pub struct PostgresStore {
    config: Config,
    client: Option<Session>,
}

struct Session {
    client: Client,
    statements: BTreeMap<String, Statement>,
}

impl PostgresStore {
    /// Connects and makes the tables if there are none. The URL is as in `libpq`; the password may
    /// come from it. The connection is not encrypted: the database stands on this machine, or is
    /// reached through a tunnel.
    ///
    /// # Errors
    /// When the URL is none, the server cannot be reached, or the tables are of another program.
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        let mut config: Config = url
            .parse()
            .map_err(|_| StoreError::Unreachable("the address of the database is none".into()))?;
        config.connect_timeout(CONNECT).application_name("cairn keeper");
        let mut store = Self { config, client: None };
        let client = &mut store.session()?.client;
        prepare(client).map_err(|error| match error {
            StoreError::Failed(why) => StoreError::Unreachable(why),
            other => other,
        })?;
        Ok(store)
    }

    /// The connection, made anew if it was lost.
    fn session(&mut self) -> Result<&mut Session, StoreError> {
        if self.client.as_ref().is_none_or(|session| session.client.is_closed()) {
            let client = self.config.connect(NoTls).map_err(|error| {
                let why = match error.code() {
                    Some(code) => format!("the server refuses ({})", code.code()),
                    None => "nobody answers there".to_owned(),
                };
                StoreError::Unreachable(why)
            })?;
            self.client = Some(Session { client, statements: BTreeMap::new() });
        }
        self.client.as_mut().ok_or(StoreError::Busy)
    }
}

fn prepare(client: &mut Client) -> Result<(), StoreError> {
    let mut transaction = client.transaction()?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MAKING])?;
    let there = transaction.query_one(
        "SELECT count(*) FROM information_schema.tables
         WHERE table_schema = current_schema() AND table_name = 'keeper'",
        &[],
    )?;
    if there.try_get::<_, i64>(0)? == 0 {
        transaction.batch_execute(&schema::tables(TYPES))?;
    } else {
        let version: i64 = transaction.query_one("SELECT version FROM keeper", &[])?.try_get(0)?;
        if u64::try_from(version).unwrap_or(u64::MAX) > schema::VERSION {
            return Err(StoreError::TooNew);
        }
    }
    Ok(transaction.commit()?)
}

impl Store for PostgresStore {
    fn within(&mut self, work: Work<'_>) -> Result<(), StoreError> {
        for _ in 0..AGAIN {
            let session = self.session()?;
            let done = attempt(session, work);
            match done {
                Err(StoreError::Busy) => {}
                done => return done,
            }
        }
        Err(StoreError::Busy)
    }

    /// Each alone, so that no transaction locks more than one mailbox.
    fn together(&self) -> usize {
        1
    }

    fn shared(&self) -> bool {
        true
    }
}

fn attempt(session: &mut Session, work: Work<'_>) -> Result<(), StoreError> {
    let Session { client, statements } = session;
    let transaction = client.transaction()?;
    let mut running = Running { transaction, statements };
    work(&mut running)?;
    Ok(running.transaction.commit()?)
}

struct Running<'a> {
    transaction: Transaction<'a>,
    statements: &'a mut BTreeMap<String, Statement>,
}

impl Running<'_> {
    fn statement(&mut self, sql: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.transaction.prepare(sql)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// What PostgreSQL takes as a parameter.
enum Parameter<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

impl<'a> Parameter<'a> {
    fn all(given: &[Given<'a>]) -> Vec<Self> {
        given
            .iter()
            .map(|given| match given {
                Given::Number(number) => Self::Number(i64::try_from(*number).unwrap_or(i64::MAX)),
                Given::Bytes(bytes) => Self::Bytes(bytes),
            })
            .collect()
    }

    const fn as_sql<'b>(&'b self) -> &'b (dyn ToSql + Sync)
    where
        'a: 'b,
    {
        match self {
            Self::Number(number) => number,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Tables for Running<'_> {
    fn change(&mut self, sql: &str, given: &[Given<'_>]) -> Result<u64, StoreError> {
        let statement = self.statement(sql)?;
        let parameters = Parameter::all(given);
        let parameters: Vec<_> = parameters.iter().map(Parameter::as_sql).collect();
        Ok(self.transaction.execute(&statement, &parameters)?)
    }

    fn select(&mut self, sql: &str, given: &[Given<'_>]) -> Result<Vec<Row>, StoreError> {
        let statement = self.statement(sql)?;
        let parameters = Parameter::all(given);
        let parameters: Vec<_> = parameters.iter().map(Parameter::as_sql).collect();
        let rows = self.transaction.query(&statement, &parameters)?;
        rows.iter().map(taken).collect()
    }

    fn lock(&self) -> &'static str {
        " FOR UPDATE"
    }
}

fn taken(row: &postgres::Row) -> Result<Row, StoreError> {
    row.columns()
        .iter()
        .enumerate()
        .map(|(place, column)| match *column.type_() {
            Type::INT8 => {
                let number: i64 = row.try_get(place)?;
                Ok(Taken::Number(u64::try_from(number).map_err(|_| StoreError::Damaged)?))
            }
            Type::INT4 => {
                let number: i32 = row.try_get(place)?;
                Ok(Taken::Number(u64::try_from(number).map_err(|_| StoreError::Damaged)?))
            }
            Type::BYTEA => Ok(Taken::Bytes(row.try_get(place)?)),
            _ => Err(StoreError::Damaged),
        })
        .collect()
}

impl From<postgres::Error> for StoreError {
    fn from(error: postgres::Error) -> Self {
        let Some(code) = error.code() else {
            return Self::Unreachable("the connection was lost".to_owned());
        };
        let busy = [
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::UNIQUE_VIOLATION,
        ];
        if busy.contains(code) {
            return Self::Busy;
        }
        if *code == SqlState::DISK_FULL {
            return Self::Full;
        }
        // The text of an error may hold a statement's values; its code does not.
        Self::Failed(format!("SQLSTATE {}", code.code()))
    }
}
