//! One store alone.

use cairn_crdt::id::{AccessKey, ControlKey, DropBoxId, MailboxId, RecordId};
use cairn_crdt::mailbox::{Cursor, Generation};
use cairn_crdt::time::Timestamp;

use super::super::rows::{self, Holding, Invitation, Keys, Totals};
use super::super::{Given, MailboxRow, Store, StoreError, Tables, Taken};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn within<T>(store: &mut dyn Store, work: impl Fn(&mut dyn Tables) -> Result<T, StoreError>) -> T {
    let mut found = None;
    store
        .within(&mut |tables| {
            found = Some(work(tables)?);
            Ok(())
        })
        .unwrap();
    found.unwrap()
}

fn mailbox(store: &mut dyn Store, number: u8) -> MailboxRow {
    within(store, |tables| {
        let id = MailboxId::from_bytes([number; 32]);
        let (access, control) = (AccessKey::from_bytes([1; 32]), ControlKey::from_bytes([2; 32]));
        rows::add_mailbox(tables, id, &[number; 32], access, control)?;
        Ok(rows::mailbox_named(tables, id)?.unwrap().row)
    })
}

fn holding(cursor: u64, bytes: &[u8]) -> Holding<'_> {
    let until = NOW.after(cursor);
    let id = RecordId::from_bytes([u8::try_from(cursor).unwrap(); 32]);
    Holding { cursor: Cursor(cursor), id, erase: &[9; 32], until, bytes }
}

pub(super) fn values_come_back(store: &mut dyn Store) {
    let given = [0, 1, 1 << 40, u64::try_from(i64::MAX).unwrap()];
    for number in given {
        let rows = within(store, |tables| {
            tables.change(
                "INSERT INTO invitation (hash, until, mailbox) VALUES ($1, $2, $3)",
                &[Given::Bytes(&number.to_be_bytes()), Given::Number(number), Given::Bytes(&[])],
            )?;
            tables.select(
                "SELECT until, hash, mailbox FROM invitation WHERE until = $1",
                &[Given::Number(number)],
            )
        });
        let bytes = Taken::Bytes(number.to_be_bytes().to_vec());
        assert_eq!(rows, [[Taken::Number(number), bytes, Taken::Bytes(Vec::new())]]);
    }
}

pub(super) fn what_fails_leaves_nothing(store: &mut dyn Store) {
    let failed = store.within(&mut |tables| {
        rows::add_invitation(tables, &[1; 32], NOW)?;
        Err(StoreError::Full)
    });
    assert!(matches!(failed, Err(StoreError::Full)));
    let failed = store.within(&mut |tables| {
        rows::add_invitation(tables, &[1; 32], NOW)?;
        tables.change("INSERT INTO nowhere VALUES (1)", &[])?;
        Ok(())
    });
    assert!(matches!(failed, Err(StoreError::Failed(_))));
    assert_eq!(within(store, |tables| rows::invitation(tables, &[1; 32])), None);
    // And the next one is done.
    within(store, |tables| rows::add_invitation(tables, &[1; 32], NOW));
    assert!(within(store, |tables| rows::invitation(tables, &[1; 32])).is_some());
}

pub(super) fn rows_are_what_was_written(store: &mut dyn Store) {
    let row = mailbox(store, 5);
    let named = MailboxId::from_bytes([5; 32]);
    let mut written = within(store, |tables| rows::mailbox_locked(tables, row)).unwrap();
    assert_eq!((written.generation, written.newest), (Generation(1), Cursor::START));
    (written.newest, written.drops, written.used, written.records) = (Cursor(7), 8, 9, 10);
    within(store, |tables| rows::set_mailbox(tables, &written));
    assert_eq!(within(store, |tables| rows::mailbox_named(tables, named)), Some(written));
    let totals = within(store, |tables| rows::totals(tables));
    assert_eq!(totals, Totals { mailboxes: 1, records: 10, bytes: 9, invitations: 0 });

    within(store, |tables| rows::add_invitation(tables, &[3; 32], NOW));
    assert_eq!(within(store, |tables| rows::totals(tables)).invitations, 1);
    within(store, |tables| rows::use_invitation(tables, &[3; 32], named));
    let used = Invitation { until: NOW, mailbox: Some(named) };
    assert_eq!(within(store, |tables| rows::invitation(tables, &[3; 32])), Some(used));
    assert_eq!(within(store, |tables| rows::totals(tables)).invitations, 0);
    assert_eq!(within(store, |tables| rows::forget_invitations(tables, NOW)), 0);
    assert_eq!(within(store, |tables| rows::forget_invitations(tables, NOW.after(1))), 1);

    let drop = DropBoxId::from_bytes([6; 32]);
    within(store, |tables| rows::add_drop_box(tables, drop, row, NOW));
    let id = RecordId::from_bytes([8; 32]);
    within(store, |tables| rows::add_drop_record(tables, drop, Cursor(1), id, b"bytes"));
    let found = within(store, |tables| rows::drop_box(tables, drop)).unwrap();
    assert_eq!((found.mailbox, found.newest, found.records), (row, Cursor(1), 1));
    assert!(within(store, |tables| rows::drop_has(tables, drop, id)));
    let got = within(store, |tables| rows::drop_after(tables, drop, Cursor::START, 9));
    assert_eq!(got, [(Cursor(1), b"bytes".to_vec())]);
    assert_eq!(within(store, |tables| rows::over_drop_boxes(tables, NOW, 9)), []);
    assert_eq!(within(store, |tables| rows::over_drop_boxes(tables, NOW.after(1), 9)), [drop]);
    within(store, |tables| rows::delete_drop_box(tables, drop));
    assert_eq!(within(store, |tables| rows::drop_boxes(tables, row)), 0);
    assert_eq!(within(store, |tables| rows::drop_after(tables, drop, Cursor::START, 9)), []);
}

pub(super) fn nothing_is_there_twice(store: &mut dyn Store) {
    let row = mailbox(store, 5);
    within(store, |tables| rows::add_record(tables, row, &holding(1, b"one")));
    let mut twice = holding(1, b"one");
    for (cursor, id) in [(2, 1), (1, 2)] {
        twice.cursor = Cursor(cursor);
        twice.id = RecordId::from_bytes([id; 32]);
        let refused = store.within(&mut |tables| rows::add_record(tables, row, &twice));
        assert!(refused.is_err());
    }
    // In another mailbox it is another record.
    let other = mailbox(store, 6);
    within(store, |tables| rows::add_record(tables, other, &holding(1, b"one")));
    assert!(
        within(store, |tables| rows::held(tables, other, RecordId::from_bytes([1; 32]))).is_some()
    );
}

pub(super) fn records_come_in_order(store: &mut dyn Store) {
    let row = mailbox(store, 5);
    for cursor in [3, 1, 200, 2] {
        within(store, |tables| rows::add_record(tables, row, &holding(cursor, &[7; 100])));
    }
    let places = |store: &mut dyn Store, after, limit| {
        let found = within(store, |tables| rows::after(tables, row, Cursor(after), limit));
        found.into_iter().map(|(cursor, size, _)| (cursor.0, size)).collect::<Vec<_>>()
    };
    assert_eq!(places(store, 0, 9), [(1, 100), (2, 100), (3, 100), (200, 100)]);
    assert_eq!(places(store, 1, 2), [(2, 100), (3, 100)]);
    let (from, to) = ([2; 32], [200; 32]);
    let ids = within(store, |tables| rows::ids_between(tables, row, (&from, &to), 9));
    assert_eq!(ids, [2, 3, 200].map(|n| RecordId::from_bytes([n; 32])));
    assert_eq!(within(store, |tables| rows::count_between(tables, row, (&from, &to))), 3);
    let id = RecordId::from_bytes([2; 32]);
    let held = within(store, |tables| rows::held(tables, row, id)).unwrap();
    assert_eq!((held.size, held.erase), (100, [9; 32]));
    let bytes = within(store, |tables| rows::record(tables, held.row)).unwrap();
    assert_eq!(bytes, (Cursor(2), vec![7; 100]));
    // Time is over for those below, and is given anew.
    let over = |store: &mut dyn Store, after| {
        within(store, |tables| rows::over(tables, NOW.after(after), 9)).len()
    };
    assert_eq!((over(store, 1), over(store, 4), over(store, 9)), (0, 3, 3));
    assert!(within(store, |tables| rows::renew(tables, row, id, NOW.after(50), 10)));
    assert_eq!(over(store, 9), 2);
    // Not for less than the slack.
    assert!(within(store, |tables| rows::renew(tables, row, id, NOW.after(55), 10)));
    assert_eq!(over(store, 52), 3);
    assert!(!within(store, |tables| rows::renew(
        tables,
        row,
        RecordId::from_bytes([4; 32]),
        NOW,
        0
    )));
    assert!(within(store, |tables| rows::delete_record(tables, held.row)));
    assert!(!within(store, |tables| rows::delete_record(tables, held.row)));
    assert_eq!(within(store, |tables| rows::held(tables, row, id)), None);
}

pub(super) fn generations_follow_each_other(store: &mut dyn Store) {
    let row = mailbox(store, 5);
    let add = |store: &mut dyn Store, number, access: u8, replaced| {
        within(store, |tables| rows::end_keys(tables, row, NOW.after(number), replaced));
        let keys = Keys {
            generation: Generation(number),
            access: AccessKey::from_bytes([access; 32]),
            control: ControlKey::from_bytes([access; 32]),
            by_owner: replaced,
            replaced: false,
            ended: None,
        };
        within(store, |tables| rows::add_keys(tables, row, &keys, &[access]));
    };
    add(store, 2, 20, false);
    add(store, 2, 21, true);
    add(store, 3, 30, false);
    let keys = within(store, |tables| rows::keys(tables, row, Generation(2)));
    let summary: Vec<_> =
        keys.iter().map(|k| (k.access.as_bytes()[0], k.replaced, k.by_owner, k.ended)).collect();
    let [first, second] = [NOW.after(3), NOW.after(2)].map(Some);
    assert_eq!(summary, [(21, false, true, first), (20, true, false, second)]);
    let rekey = |store: &mut dyn Store, from| {
        within(store, |tables| rows::rekey(tables, row, Generation(from)))
    };
    assert_eq!(rekey(store, 2), Some((Generation(2), vec![21])));
    assert_eq!(rekey(store, 3), Some((Generation(3), vec![30])));
    assert_eq!(rekey(store, 4), None);
    let of = |store: &mut dyn Store, key| {
        within(store, |t| rows::generation_of(t, row, AccessKey::from_bytes([key; 32])))
    };
    assert_eq!((of(store, 20), of(store, 99)), (Some(Generation(2)), None));
    within(store, |tables| rows::forget_keys(tables, row, Generation(2)));
    assert_eq!(within(store, |tables| rows::keys(tables, row, Generation(1))), []);
    assert_eq!(within(store, |tables| rows::forget_ended_keys(tables, NOW.after(3))), 1);
    // The present ones stay, however old.
    assert_eq!(within(store, |tables| rows::forget_ended_keys(tables, NOW.after(999))), 1);
    assert_eq!(within(store, |tables| rows::keys(tables, row, Generation(3))).len(), 1);
}
