//! What every store has to do, run over each: a file, memory, a PostgreSQL server.

mod cluster;
mod contract;
mod keepers;
mod together;

use super::Store;
use super::postgres::PostgresStore;
use super::sqlite::SqliteStore;
use cluster::Cluster;

type Check = fn(&mut dyn Store);

/// Every check, each on a store of its own.
const CHECKS: [(&str, Check); 6] = [
    ("values", contract::values_come_back),
    ("failure", contract::what_fails_leaves_nothing),
    ("rows", contract::rows_are_what_was_written),
    ("unique", contract::nothing_is_there_twice),
    ("order", contract::records_come_in_order),
    ("generations", contract::generations_follow_each_other),
];

#[test]
fn a_file_and_memory_conform() {
    for (name, check) in CHECKS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keeper.db");
        println!("{name}");
        check(&mut SqliteStore::open(&path).unwrap());
        check(&mut SqliteStore::in_memory().unwrap());
        // Opened again, it is the same store.
        drop(SqliteStore::open(&path).unwrap());
    }
}

#[test]
fn m1_what_is_no_keepers_store_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keeper.db");
    std::fs::write(&path, b"something else altogether, and long enough to be looked at").unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(super::StoreError::Damaged)));
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    assert!(matches!(SqliteStore::open(&other), Err(super::StoreError::Damaged)));
    drop(SqliteStore::open(&folder.path().join("new.db")).unwrap());
    let new = rusqlite::Connection::open(folder.path().join("new.db")).unwrap();
    new.execute_batch("UPDATE keeper SET version = 99").unwrap();
    drop(new);
    let newer = SqliteStore::open(&folder.path().join("new.db"));
    assert!(matches!(newer, Err(super::StoreError::TooNew)));
}

#[test]
fn a_postgresql_server_conforms() {
    let Some(cluster) = Cluster::start() else { return };
    for (name, check) in CHECKS {
        println!("{name}");
        check(&mut PostgresStore::connect(&cluster.database(name)).unwrap());
    }
}

#[test]
fn m2_several_processes_share_a_database() {
    let Some(cluster) = Cluster::start() else { return };
    let url = cluster.database("several");
    let connect = || Box::new(PostgresStore::connect(&url).unwrap()) as Box<dyn Store>;
    together::places_and_quota_stay_right(&connect);
    together::one_of_many_changes_the_keys(&connect);
    together::an_invitation_makes_one_mailbox(&connect);
    together::sweeps_count_once(&connect);
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_two_keepers_serve_one_mailbox() {
    let Some(cluster) = Cluster::start() else { return };
    keepers::serve_one_mailbox(&cluster.database("shared")).await;
}
