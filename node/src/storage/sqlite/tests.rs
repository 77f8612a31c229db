//! What can be seen only with a file: what is in its bytes, a crash, a full disk, damage.

#![expect(clippy::arithmetic_side_effects, reason = "test code")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cairn_crdt::id::{DeviceId, EntryId, RequestId};
use cairn_crdt::log::entry::Header;
use cairn_crdt::replica::effect::{PostRow, PostState, Row, Write};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;
use crate::storage::conformance::fixture::{
    PASSPHRASE, at, begin, content, document, entry, envelope, epoch, group, home, member, post,
    row, unlock,
};
use crate::storage::{Home, STORE_FILE};

/// Every byte of every file in a folder.
fn bytes(folder: &Path) -> Vec<u8> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.flat_map(|file| fs::read(file).unwrap()).collect()
}

fn holds(bytes: &[u8], canary: &[u8]) -> bool {
    bytes.windows(canary.len()).any(|window| window == canary)
}

/// A store that is not encrypted, so that what is in its pages can be seen.
fn clear(folder: &TempDir) -> SqliteStore {
    let connection = schema::connect(&folder.path().join(STORE_FILE)).unwrap();
    SqliteStore::prepare(connection, None).unwrap()
}

fn long(word: &str) -> String {
    format!("{word} ").repeat(300)
}

/// One of everything that could hold something private, each with a word of its own.
fn everything() -> (Vec<Write>, Vec<&'static str>) {
    let it = content(1, 0, b"canarypayload");
    let title = PostRow { title: Some("canarytitle".to_owned()), ..post(9, 9, "", 1) };
    let note = PostRow { note: Some("canarynote".to_owned()), ..post(1, 9, "canarybody", 1) };
    let key = *b"canarykey-canarykey-canarykey-ca";
    let writes = vec![
        entry(&it, Some(b"canarypayload"), None, 1),
        Write::Envelope {
            entry: it.0,
            document: document(1),
            creates: None,
            written: None,
            envelope: Zeroizing::new(b"canaryenvelope".to_vec()),
        },
        Write::Persona(Zeroizing::new(b"canarypersona".to_vec())),
        Write::Epoch { epoch: epoch(1), secret: Zeroizing::new(key) },
        Write::Request {
            request: RequestId::from_bytes([1; 32]),
            bytes: b"canaryrequest".to_vec(),
            pseudonym: "canaryname".to_owned(),
            introduction: "canaryintroduction".to_owned(),
            arrived: at(1),
        },
        Write::Receipt {
            bytes: b"canaryreceipt".to_vec(),
            device: DeviceId::from_bytes(*b"canarydevice-canarydevice-canary"),
        },
        row(&title),
        row(&note),
        Write::Row(Row::Profile {
            document: document(3),
            member: member(5),
            pseudonym: "canarypseudonym".to_owned(),
            addresses: vec![b"canaryaddress".to_vec()],
        }),
        Write::Row(Row::Agreement {
            document: document(4),
            name: "canarygroup".to_owned(),
            text: "canaryagreement".to_owned(),
        }),
        Write::Row(Row::Act {
            document: document(5),
            about: it.0,
            subject: member(6),
            author: member(5),
            rule: "canaryrule".to_owned(),
            reason: "canaryreason".to_owned(),
            written: at(1),
        }),
    ];
    let canaries = vec![
        "canarypayload",
        "canarytitle",
        "canarynote",
        "canarybody",
        "canaryenvelope",
        "canarypersona",
        "canarykey",
        "canaryrequest",
        "canaryname",
        "canaryintroduction",
        "canaryreceipt",
        "canarydevice",
        "canarypseudonym",
        "canaryaddress",
        "canarygroup",
        "canaryagreement",
        "canaryrule",
        "canaryreason",
        "canaryseed",
        "canaryport",
        // Names of tables and columns would tell what this is.
        "SQLite format 3",
        "CREATE TABLE",
        "pseudonym",
    ];
    (writes, canaries)
}

fn write_everything(store: &mut SqliteStore) -> Vec<&'static str> {
    let (writes, canaries) = everything();
    begin(store, &writes);
    store.set_setting("seed", b"canaryseed").unwrap();
    store.set_group_setting(group(1), "port", b"canaryport").unwrap();
    canaries
}

#[test]
fn nothing_private_is_readable_in_any_file_of_the_home() {
    let (folder, mut store) = home();
    let canaries = write_everything(&mut store);
    let in_use = bytes(folder.path());
    store.overwrite_due = true;
    store.overwrite();
    let checkpointed = bytes(folder.path());
    drop(store);
    let closed = bytes(folder.path());
    for canary in canaries.into_iter().chain([PASSPHRASE]) {
        for bytes in [&in_use, &checkpointed, &closed] {
            assert!(!holds(bytes, canary.as_bytes()), "{canary}");
        }
    }
}

#[test]
fn the_search_for_canaries_would_find_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = clear(&folder);
    for canary in write_everything(&mut store) {
        assert!(holds(&bytes(folder.path()), canary.as_bytes()), "{canary}");
    }
}

/// A word for each number. They begin differently, so that the search index, which leaves out what
/// two neighbours have in common, has to write out the rest.
fn word(number: u8) -> String {
    format!("{:02x}heron{number:03}", number.wrapping_mul(167))
}

/// The numbers whose word is in the bytes.
fn words_in(bytes: &[u8]) -> BTreeSet<u8> {
    let at = |place: &usize| bytes[*place..].starts_with(b"heron");
    let places = (0..bytes.len().saturating_sub(8)).filter(at);
    places
        .filter_map(|place| std::str::from_utf8(&bytes[place + 5..place + 8]).ok()?.parse().ok())
        .collect()
}

#[test]
fn c5_what_was_erased_is_in_no_page_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = clear(&folder);
    let entries: Vec<(EntryId, Header)> =
        (0..200_u8).map(|number| content(1, u64::from(number), &[number])).collect();
    let group = begin(&mut store, &[]);
    for batch in entries.chunks(30) {
        let mut writes = Vec::new();
        for it in batch {
            let number = u8::try_from(it.1.seq).unwrap();
            // From a few bytes to several pages; what is indexed, in words and in one long word.
            let text = format!("{} ", word(number)).repeat(1 + usize::from(number) * 5);
            writes.push(entry(it, Some(text.as_bytes()), None, 1));
            writes.push(Write::Envelope {
                entry: it.0,
                document: document(number),
                creates: Some(1),
                written: None,
                envelope: Zeroizing::new(word(number).into_bytes()),
            });
            let body = format!("{text} {}", text.replace(' ', ""));
            writes.push(row(&post(number, 255, &body, 1)));
        }
        store.write(group, &writes).unwrap();
    }
    let every: BTreeSet<u8> = (0..200).collect();
    assert_eq!(words_in(&bytes(folder.path())), every);
    let hidden = PostState::Hidden(EntryId::from_bytes([6; 32]));
    let hide = |number| row(&PostRow { state: hidden, ..post(number, 255, &word(number), 1) });
    store.write(group, &[hide(1), hide(3)]).unwrap();
    let stays = |number: &u8| number.is_multiple_of(3);
    for batch in [0..50_u8, 50..51, 51..200] {
        let mut writes = Vec::new();
        for number in batch.filter(|number| !stays(number)) {
            writes.push(Write::Erase { entry: entries[usize::from(number)].0 });
            let erased = PostRow { state: PostState::Erased, ..post(number, 255, "", 1) };
            writes.push(row(&erased));
        }
        store.write(group, &writes).unwrap();
    }
    let left: BTreeSet<u8> = every.into_iter().filter(stays).collect();
    assert_eq!(words_in(&bytes(folder.path())), left);
    store.forget_group(group).unwrap();
    assert!(words_in(&bytes(folder.path())).is_empty());
}

#[test]
fn what_is_taken_back_in_any_way_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = clear(&folder);
    let it = content(1, 0, b"canaryevicted");
    let request = RequestId::from_bytes([1; 32]);
    let group = begin(
        &mut store,
        &[
            entry(&it, Some(b"canaryevicted"), None, 1),
            Write::Epoch { epoch: epoch(1), secret: Zeroizing::new([b'%'; 32]) },
            Write::Request {
                request,
                bytes: b"canaryrequest".to_vec(),
                pseudonym: "canaryname".to_owned(),
                introduction: long("canaryintroduction"),
                arrived: at(1),
            },
            row(&post(1, 9, "canarygone", 1)),
        ],
    );
    let canaries: [&[u8]; 4] = [b"canaryevicted", &[b'%'; 32], b"canaryrequest", b"canarygone"];
    let takes = [
        Write::Evict { entry: it.0 },
        Write::ForgetEpoch { epoch: epoch(1) },
        Write::ForgetRequest { request },
        Write::Row(Row::Gone(document(1))),
    ];
    for (canary, take) in canaries.into_iter().zip(takes) {
        assert!(holds(&bytes(folder.path()), canary));
        store.write(group, &[take]).unwrap();
        assert!(!holds(&bytes(folder.path()), canary), "{canary:?}");
    }
}

/// A copy of the files as they are while the store is in use, as a crash would leave them.
fn crash(folder: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

fn pair(number: u64) -> [Write; 2] {
    [2 * number, 2 * number + 1].map(|seq| entry(&content(1, seq, b"x"), Some(b"x"), None, 1))
}

#[test]
fn s4_what_was_acknowledged_survives_a_crash() {
    let (folder, mut store) = home();
    begin(&mut store, &[]);
    for number in 0..20 {
        store.write(group(1), &pair(number)).unwrap();
        let copy = crash(&folder);
        let held = unlock(&copy).snapshot(group(1)).unwrap().entries.len();
        assert_eq!(held, 2 * (usize::try_from(number).unwrap() + 1));
    }
}

#[test]
fn s4_a_log_that_ends_anywhere_holds_whole_transactions_only() {
    let (folder, mut store) = home();
    begin(&mut store, &[]);
    store.overwrite_due = true;
    store.overwrite();
    for number in 0..6 {
        store.write(group(1), &pair(number)).unwrap();
    }
    let log = fs::read(folder.path().join("store.db-wal")).unwrap();
    let mut before = 0;
    for cut in (0..=log.len()).step_by(1777).chain([log.len()]) {
        let copy = crash(&folder);
        fs::write(copy.path().join("store.db-wal"), &log[..cut]).unwrap();
        let held = unlock(&copy).snapshot(group(1)).unwrap().entries.len();
        assert!(held.is_multiple_of(2) && held >= before, "{cut} {held}");
        before = held;
    }
    assert_eq!(before, 12);
}

#[test]
fn s4_a_full_disk_loses_nothing_and_writes_nothing_by_halves() {
    let (_folder, mut store) = home();
    let kept = content(1, 0, b"kept");
    let group = begin(&mut store, &[entry(&kept, Some(b"kept"), None, 1)]);
    let limit = |store: &SqliteStore, more: i64| {
        let pages: i64 =
            store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let pragma = format!("PRAGMA max_page_count = {}", pages + more);
        store.connection.query_row(&pragma, [], |_| Ok(())).unwrap();
    };
    limit(&store, 3);
    let payload = vec![7; 60_000];
    let large = content(1, 1, &payload);
    let writes = [
        entry(&content(1, 2, b"small"), Some(b"small"), None, 1),
        entry(&large, Some(&payload), None, 1),
    ];
    for _ in 0..3 {
        let error = store.write(group, &writes).unwrap_err();
        assert!(matches!(error, StorageError::Full), "{error:?}");
        assert!(matches!(
            store.add_group(super::tests::group(2), &writes),
            Err(StorageError::Full)
        ));
        assert_eq!(store.snapshot(group).unwrap().entries.len(), 1);
        assert_eq!(store.payloads(group, &[kept.0]).unwrap().len(), 1);
        assert_eq!(store.groups().unwrap(), [group]);
    }
    // What fits is still written, and all of it once there is room.
    store.write(group, &[envelope(kept.0, 1, None, 1)]).unwrap();
    limit(&store, 1000);
    store.write(group, &writes).unwrap();
    assert_eq!(store.snapshot(group).unwrap().entries.len(), 3);
}

fn refused(folder: &TempDir, passphrase: &str) -> StorageError {
    match Home::open(folder.path()).unwrap().unlock(passphrase) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[test]
fn damage_is_told_apart_from_a_wrong_passphrase() {
    let (folder, mut store) = home();
    begin(&mut store, &[row(&post(1, 1, &long("hello"), 1))]);
    drop(store);
    assert!(matches!(refused(&folder, "another"), StorageError::WrongPassphrase));
    let file = folder.path().join(STORE_FILE);
    let whole = fs::read(&file).unwrap();
    for place in [0, 17, 100, 4090] {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        fs::write(&file, damaged).unwrap();
        assert!(matches!(refused(&folder, PASSPHRASE), StorageError::Damaged { .. }), "{place}");
        assert!(matches!(refused(&folder, "another"), StorageError::WrongPassphrase));
    }
    for short in [0, 100, 4096] {
        fs::write(&file, &whole[..short]).unwrap();
        assert!(matches!(refused(&folder, PASSPHRASE), StorageError::Damaged { .. }), "{short}");
        assert_eq!(fs::metadata(&file).unwrap().len(), u64::try_from(short).unwrap());
    }
    fs::remove_file(&file).unwrap();
    assert!(matches!(refused(&folder, PASSPHRASE), StorageError::Damaged { .. }));
    fs::write(&file, whole).unwrap();
    assert_eq!(unlock(&folder).groups().unwrap(), [group(1)]);
}

#[test]
fn a_damaged_page_is_an_error_and_never_a_wrong_answer() {
    let (folder, mut store) = home();
    let writes: Vec<Write> =
        (0..200).map(|seq| entry(&content(1, seq, &[7; 200]), Some(&[7; 200]), None, 1)).collect();
    begin(&mut store, &writes);
    drop(store);
    let file = folder.path().join(STORE_FILE);
    let mut bytes = fs::read(&file).unwrap();
    for place in (5 * 4096 + 50..bytes.len()).step_by(4096) {
        bytes[place] ^= 1;
    }
    fs::write(&file, bytes).unwrap();
    let home = Home::open(folder.path()).unwrap();
    let answer = home.unlock(PASSPHRASE).and_then(|store| store.snapshot(group(1)).map(|_| ()));
    assert!(matches!(answer, Err(StorageError::Damaged { .. })), "{answer:?}");
}

#[test]
fn a_store_of_a_newer_program_is_left_alone() {
    let (folder, store) = home();
    store.connection.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(store);
    let file = folder.path().join(STORE_FILE);
    let before = fs::read(&file).unwrap();
    assert!(matches!(refused(&folder, PASSPHRASE), StorageError::TooNew { found: 99, known: 2 }));
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn every_migration_is_applied_in_the_order_of_its_number() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for (number, name) in (1..).zip(&names) {
        assert!(name.starts_with(&format!("{number:04}_")), "{name}");
    }
    let (_folder, store) = home();
    let version: usize =
        store.connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0)).unwrap()
            as usize;
    assert_eq!(version, names.len());
}

#[test]
fn the_file_is_opened_as_the_rules_ask() {
    let (_folder, store) = home();
    let pragma = |name: &str| -> i64 {
        store.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap()
    };
    // FULL, ON, ON, MEMORY.
    assert_eq!(
        ["synchronous", "secure_delete", "foreign_keys", "temp_store"].map(pragma),
        [2, 1, 1, 2]
    );
}

#[test]
fn search_does_not_mind_accents() {
    let (_folder, mut store) = home();
    let group = begin(&mut store, &[row(&post(1, 9, "Mélancolie über alles", 1))]);
    for words in ["melancolie", "MÉLANC", "uber"] {
        assert_eq!(store.search(group, words, 9).unwrap().len(), 1, "{words}");
    }
}
