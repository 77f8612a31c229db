use cairn_crdt::id::{DeviceId, RecordId, RequestId, TransportKey};
use cairn_crdt::log::set::Slot;
use cairn_crdt::replica::effect::{Row, Write};
use cairn_crdt::replica::snapshot::SnapshotContent;
use zeroize::Zeroizing;

use super::fixture::{
    at, begin, content, control, document, entry, envelope, epoch, group, post, row,
};
use crate::storage::{StorageError, Store};

pub(super) fn groups_are_added_once_and_kept_apart(store: &mut dyn Store) {
    let it = content(1, 0, b"payload");
    let writes = [entry(&it, Some(b"payload"), None, 1), row(&post(1, 1, "hello", 1))];
    assert!(matches!(store.write(group(2), &writes), Err(StorageError::UnknownGroup)));
    store.add_group(group(2), &writes).unwrap();
    store.add_group(group(1), &[]).unwrap();
    assert!(matches!(store.add_group(group(2), &[]), Err(StorageError::KnownGroup)));
    assert_eq!(store.groups().unwrap(), [group(1), group(2)]);
    assert!(store.snapshot(group(1)).unwrap().entries.is_empty());
    assert!(store.threads(group(1)).unwrap().is_empty());
    assert!(store.search(group(1), "hello", 9).unwrap().is_empty());
    assert_eq!(store.payloads(group(1), &[it.0]).unwrap(), []);
    assert_eq!(store.snapshot(group(2)).unwrap().entries.len(), 1);
    // The same entry and document can stand in both: what is done to one leaves the other.
    store.write(group(1), &writes).unwrap();
    store.write(group(1), &[Write::Erase { entry: it.0 }]).unwrap();
    assert_eq!(store.payloads(group(2), &[it.0]).unwrap().len(), 1);
}

pub(super) fn a_forgotten_group_leaves_nothing(store: &mut dyn Store) {
    let it = content(1, 0, b"payload");
    let all = [
        entry(&it, Some(b"payload"), None, 1),
        envelope(it.0, 1, None, 1),
        row(&post(1, 1, "hello", 1)),
        Write::Persona(Zeroizing::new(b"persona".to_vec())),
        Write::Epoch { epoch: epoch(1), secret: Zeroizing::new([1; 32]) },
    ];
    store.add_group(group(1), &all).unwrap();
    store.add_group(group(2), &all).unwrap();
    store.set_group_setting(group(1), "port", b"7").unwrap();
    store.forget_group(group(1)).unwrap();
    assert_eq!(store.groups().unwrap(), [group(2)]);
    assert!(matches!(store.snapshot(group(1)), Err(StorageError::UnknownGroup)));
    assert!(matches!(store.forget_group(group(1)), Err(StorageError::UnknownGroup)));
    assert_eq!(store.search(group(2), "hello", 9).unwrap().len(), 1);
    store.add_group(group(1), &[]).unwrap();
    let snapshot = store.snapshot(group(1)).unwrap();
    assert!(snapshot.persona.is_empty() && snapshot.entries.is_empty());
    assert!(snapshot.epochs.is_empty());
    assert_eq!(store.group_setting(group(1), "port").unwrap(), None);
    assert_eq!(store.post(group(1), document(1)).unwrap(), None);
}

pub(super) fn a_snapshot_has_all_that_a_replica_is_opened_with(store: &mut dyn Store) {
    let grant = control(1, 0, b"grant");
    let [held, bare] = [content(1, 1, b"held"), content(1, 2, b"bare")];
    let device = DeviceId::from_bytes([1; 32]);
    let request = |number: u8, arrived| Write::Request {
        request: RequestId::from_bytes([number; 32]),
        bytes: vec![number; 3],
        pseudonym: "Heron".to_owned(),
        introduction: "Hello".to_owned(),
        arrived: at(arrived),
    };
    let group = begin(
        store,
        &[
            Write::Persona(Zeroizing::new(b"before".to_vec())),
            entry(&grant, Some(b"grant"), None, 1),
            entry(&held, Some(b"held"), None, 1),
            entry(&bare, None, None, 1),
            envelope(held.0, 7, Some(3), 5),
            Write::Epoch { epoch: epoch(2), secret: Zeroizing::new([2; 32]) },
            Write::Epoch { epoch: epoch(1), secret: Zeroizing::new([1; 32]) },
            request(1, 20),
            request(2, 10),
            Write::Receipt { bytes: b"before".to_vec(), device },
            Write::Receipt { bytes: b"after".to_vec(), device },
            Write::Persona(Zeroizing::new(b"after".to_vec())),
        ],
    );
    let snapshot = store.snapshot(group).unwrap();
    assert_eq!(snapshot.group, group);
    assert_eq!(*snapshot.persona, b"after");
    assert_eq!(snapshot.missing, std::slice::from_ref(&bare));
    let epochs = [(epoch(1), Zeroizing::new([1; 32])), (epoch(2), Zeroizing::new([2; 32]))];
    assert_eq!(snapshot.epochs, epochs);
    assert_eq!(snapshot.requests, [vec![2; 3], vec![1; 3]]);
    assert_eq!(snapshot.receipts, [b"after".to_vec()]);
    let [first, second, third] = &snapshot.entries[..] else { panic!("three entries") };
    let header = &grant.1;
    let slot =
        Slot { prev: header.prev, grant: header.grant, kind: header.kind, seen: header.seen.count };
    assert_eq!((first.id, first.device, first.seq), (grant.0, device, 0));
    assert_eq!((first.slot, first.control.as_deref()), (slot, Some(&b"grant"[..])));
    let known = SnapshotContent {
        payload: true,
        epoch: epoch(3),
        document: Some(document(7)),
        creates: Some(3),
    };
    let unknown = SnapshotContent { payload: false, document: None, creates: None, ..known };
    assert_eq!((second.control.as_ref(), second.content), (None, Some(known)));
    assert_eq!((third.control.as_ref(), third.content), (None, Some(unknown)));
}

pub(super) fn a_snapshot_orders_entries_by_device_and_sequence(store: &mut dyn Store) {
    let all = [(2, 1), (1, 300), (2, 0), (1, 2)].map(|(device, seq)| content(device, seq, b"x"));
    let group = begin(store, &all.clone().map(|it| entry(&it, None, None, 1)));
    let snapshot = store.snapshot(group).unwrap();
    let found: Vec<_> = snapshot.entries.iter().map(|entry| entry.id).collect();
    assert_eq!(found, [all[3].0, all[1].0, all[2].0, all[0].0]);
    let missing: Vec<_> = snapshot.missing.iter().map(|(id, _)| *id).collect();
    assert_eq!(missing, found);
}

pub(super) fn s4_a_document_is_stale_until_its_row_is_written(store: &mut dyn Store) {
    let stale = Write::Stale(vec![document(2), document(1), document(3)]);
    let group = begin(store, &[row(&post(1, 9, "early", 10)), stale.clone(), stale]);
    assert_eq!(store.snapshot(group).unwrap().stale, [1, 2, 3].map(document));
    let built = [row(&post(1, 9, "late", 10)), Write::Row(Row::Gone(document(3)))];
    store.write(group, &built).unwrap();
    assert_eq!(store.snapshot(group).unwrap().stale, [document(2)]);
}

pub(super) fn k7_a_forgotten_epoch_is_gone(store: &mut dyn Store) {
    let secret = Zeroizing::new([1; 32]);
    let group = begin(store, &[Write::Epoch { epoch: epoch(1), secret }]);
    store.write(group, &[Write::ForgetEpoch { epoch: epoch(1) }]).unwrap();
    assert!(store.snapshot(group).unwrap().epochs.is_empty());
}

pub(super) fn m1_what_is_known_of_a_keeper_comes_back_and_is_forgotten(store: &mut dyn Store) {
    let [one, other] = [1, 2].map(|number| TransportKey::from_bytes([number; 32]));
    let [first, second] = [3, 4].map(|number| RecordId::from_bytes([number; 32]));
    let memory =
        |keeper, bytes: &[u8]| Write::Keeper { keeper, memory: Zeroizing::new(bytes.to_vec()) };
    let record =
        |keeper, record, kept: &[u8]| Write::Record { keeper, record, kept: kept.to_vec() };
    let writes = [
        memory(one, b"before"),
        record(one, second, b"b"),
        record(one, first, b"a"),
        record(other, first, b"c"),
        memory(other, b"theirs"),
        memory(one, b"after"),
    ];
    let group = begin(store, &writes);
    let known = store.snapshot(group).unwrap().keepers;
    let [mine, theirs] = &known[..] else { panic!("two keepers") };
    assert_eq!((mine.keeper, &mine.memory[..]), (one, &b"after"[..]));
    assert_eq!(mine.records, [(first, b"a".to_vec()), (second, b"b".to_vec())]);
    assert_eq!(theirs.records, [(first, b"c".to_vec())]);
    let gone =
        [Write::ForgetRecord { keeper: one, record: first }, Write::ForgetKeeper { keeper: other }];
    store.write(group, &gone).unwrap();
    let known = store.snapshot(group).unwrap().keepers;
    let [mine] = &known[..] else { panic!("one keeper") };
    assert_eq!(mine.records, [(second, b"b".to_vec())]);
}

pub(super) fn settings_are_replaced_and_kept_per_group(store: &mut dyn Store) {
    store.add_group(group(1), &[]).unwrap();
    store.add_group(group(2), &[]).unwrap();
    assert_eq!(store.setting("seed").unwrap(), None);
    store.set_setting("seed", b"one").unwrap();
    store.set_setting("seed", b"two").unwrap();
    store.set_group_setting(group(1), "seed", b"three").unwrap();
    let value = |bytes: &[u8]| Some(Zeroizing::new(bytes.to_vec()));
    assert_eq!(store.setting("seed").unwrap(), value(b"two"));
    assert_eq!(store.group_setting(group(1), "seed").unwrap(), value(b"three"));
    assert_eq!(store.group_setting(group(2), "seed").unwrap(), None);
    let unknown = store.group_setting(group(3), "seed");
    assert!(matches!(unknown, Err(StorageError::UnknownGroup)));
}
