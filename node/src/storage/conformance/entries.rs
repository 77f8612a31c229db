use cairn_crdt::id::EntryId;
use cairn_crdt::log::run::Entry;
use cairn_crdt::replica::effect::Write;
use cairn_crdt::replica::input::Load;

use super::fixture::{at, begin, content, control, document, entry, envelope, group, signature};
use crate::storage::Store;

pub(super) fn an_entry_comes_back_as_it_was_written(store: &mut dyn Store) {
    let held = content(1, 0, b"payload");
    let bare = content(1, 1, b"not here");
    let group = begin(
        store,
        &[entry(&held, Some(b"payload"), Some(signature(1)), 10), entry(&bare, None, None, 20)],
    );
    let entries = store.entries(group, &[bare.0, held.0], true).unwrap();
    let expected = [
        Entry { id: bare.0, header: bare.1.clone(), payload: None, signature: None },
        Entry {
            id: held.0,
            header: held.1.clone(),
            payload: Some(b"payload".to_vec()),
            signature: Some(signature(1)),
        },
    ];
    assert_eq!(entries, expected);
    let without = store.entries(group, &[held.0], false).unwrap();
    assert_eq!(without[0].payload, None);
    let payloads = store.payloads(group, &[bare.0, held.0]).unwrap();
    assert_eq!(payloads, [(held.0, b"payload".to_vec())]);
    let place = store.place(group, &held.0).unwrap().unwrap();
    assert_eq!((place.device, place.seq, place.kind), (held.1.device, 0, held.1.kind));
    assert_eq!((place.arrived, place.written, place.document), (at(10), None, None));
    assert!(!place.erased);
    let unknown = EntryId::from_bytes([77; 32]);
    assert_eq!(store.entries(group, &[unknown, held.0], true).unwrap().len(), 1);
    assert_eq!(store.place(group, &unknown).unwrap(), None);
}

pub(super) fn s4_writing_twice_is_writing_once(store: &mut dyn Store) {
    let first = content(1, 0, b"payload");
    let writes =
        [entry(&first, Some(b"payload"), Some(signature(1)), 10), envelope(first.0, 1, Some(1), 5)];
    let group = begin(store, &writes);
    let before = store.snapshot(group).unwrap();
    store.write(group, &writes).unwrap();
    // The same entry again, from elsewhere and later.
    store.write(group, &[entry(&first, Some(b"payload"), Some(signature(2)), 99)]).unwrap();
    let after = store.snapshot(group).unwrap();
    assert_eq!(after.entries.len(), 1);
    assert_eq!(after.entries[0].content, before.entries[0].content);
    let entries = store.entries(group, &[first.0], true).unwrap();
    assert_eq!(entries[0].signature, Some(signature(1)));
    let place = store.place(group, &first.0).unwrap().unwrap();
    assert_eq!((place.arrived, place.document), (at(10), Some(document(1))));
}

pub(super) fn a_later_write_adds_what_was_missing(store: &mut dyn Store) {
    let [one, two] = [content(1, 0, b"one"), content(1, 1, b"two")];
    let group = begin(store, &[entry(&one, None, None, 10), entry(&two, None, None, 10)]);
    let missing = store.snapshot(group).unwrap().missing;
    assert_eq!(missing, [one.clone(), two.clone()]);
    let payload = Write::Payload { entry: two.0, payload: b"two".to_vec(), arrived: at(30) };
    store.write(group, &[entry(&one, Some(b"one"), Some(signature(1)), 20), payload]).unwrap();
    let entries = store.entries(group, &[one.0, two.0], true).unwrap();
    assert_eq!(entries[0].payload.as_deref(), Some(&b"one"[..]));
    assert_eq!(entries[0].signature, Some(signature(1)));
    assert_eq!(entries[1].payload.as_deref(), Some(&b"two"[..]));
    let arrived = |id| store.place(group, id).unwrap().unwrap().arrived;
    assert_eq!((arrived(&one.0), arrived(&two.0)), (at(20), at(30)));
    assert!(store.snapshot(group).unwrap().missing.is_empty());
}

pub(super) fn l7_control_payloads_are_always_served_and_never_erased(store: &mut dyn Store) {
    let grant = control(1, 0, b"grant");
    let group = begin(store, &[entry(&grant, Some(b"grant"), None, 10)]);
    store.write(group, &[Write::Erase { entry: grant.0 }]).unwrap();
    let entries = store.entries(group, &[grant.0], false).unwrap();
    assert_eq!(entries[0].payload.as_deref(), Some(&b"grant"[..]));
    let snapshot = store.snapshot(group).unwrap();
    assert_eq!(snapshot.entries[0].control.as_deref(), Some(&b"grant"[..]));
    assert_eq!(snapshot.entries[0].content, None);
}

pub(super) fn c5_what_was_erased_is_gone_and_does_not_come_back(store: &mut dyn Store) {
    let it = content(1, 0, b"payload");
    let writes = [entry(&it, Some(b"payload"), None, 10), envelope(it.0, 1, Some(1), 5)];
    let group = begin(store, &writes);
    let erase = Write::Erase { entry: it.0 };
    store.write(group, &[erase.clone(), erase]).unwrap();
    let payload = Write::Payload { entry: it.0, payload: b"payload".to_vec(), arrived: at(30) };
    for late in [&writes[..], &[payload]] {
        assert_eq!(store.payloads(group, &[it.0]).unwrap(), []);
        assert_eq!(store.entries(group, &[it.0], true).unwrap()[0].payload, None);
        assert!(store.load(group, &Load::Document(document(1))).unwrap().is_empty());
        assert!(store.load(group, &Load::Entries(vec![it.0])).unwrap().is_empty());
        let snapshot = store.snapshot(group).unwrap();
        // Its place in the log and in its document stays; nobody is asked for the payload again.
        let content = snapshot.entries[0].content.unwrap();
        assert_eq!((content.payload, content.document), (false, Some(document(1))));
        assert!(snapshot.missing.is_empty());
        assert!(store.place(group, &it.0).unwrap().unwrap().erased);
        store.write(group, late).unwrap();
    }
    assert_eq!(store.payloads(group, &[it.0]).unwrap(), []);
}

pub(super) fn an_evicted_entry_is_gone_with_its_payload(store: &mut dyn Store) {
    let it = content(1, 0, b"payload");
    let writes = [entry(&it, Some(b"payload"), None, 10), envelope(it.0, 1, Some(1), 5)];
    let group = begin(store, &writes);
    store.write(group, &[Write::Evict { entry: it.0 }]).unwrap();
    assert!(store.snapshot(group).unwrap().entries.is_empty());
    assert_eq!(store.payloads(group, &[it.0]).unwrap(), []);
    // Unlike what was erased, it may come again.
    store.write(group, &[entry(&it, Some(b"payload"), None, 20)]).unwrap();
    let stored = store.load(group, &Load::Entries(vec![it.0])).unwrap();
    assert_eq!((stored.len(), &stored[0].envelope), (1, &None));
}

pub(super) fn a_write_about_an_entry_that_is_not_held_does_nothing(store: &mut dyn Store) {
    let id = EntryId::from_bytes([77; 32]);
    let group = begin(
        store,
        &[
            Write::Erase { entry: id },
            Write::Evict { entry: id },
            Write::Payload { entry: id, payload: b"x".to_vec(), arrived: at(1) },
            envelope(id, 1, None, 1),
        ],
    );
    assert!(store.snapshot(group).unwrap().entries.is_empty());
    assert_eq!(store.payloads(group, &[id]).unwrap(), []);
}

pub(super) fn entries_of_a_document_are_loaded_with_their_envelopes(store: &mut dyn Store) {
    let all = [content(1, 0, b"a"), content(1, 1, b"b"), content(2, 0, b"c"), content(2, 1, b"d")];
    let group = begin(
        store,
        &[
            entry(&all[0], Some(b"a"), None, 10),
            entry(&all[1], Some(b"b"), Some(signature(1)), 20),
            entry(&all[2], None, None, 30),
            entry(&all[3], Some(b"d"), None, 40),
            envelope(all[0].0, 1, Some(1), 1),
            envelope(all[1].0, 1, None, 2),
            envelope(all[2].0, 1, None, 3),
        ],
    );
    let mut stored = store.load(group, &Load::Document(document(1))).unwrap();
    stored.sort_by_key(|stored| stored.header.seq);
    let found: Vec<EntryId> = stored.iter().map(|stored| stored.id).collect();
    assert_eq!(found, [all[0].0, all[1].0]);
    assert_eq!((&stored[1].header, stored[1].arrived), (&all[1].1, at(20)));
    assert_eq!((stored[0].signature, stored[1].signature), (None, Some(signature(1))));
    assert_eq!(stored[1].payload, b"b");
    assert_eq!(stored[1].envelope.as_deref(), Some(&b"envelope"[..]));
    let load = Load::Entries(all.iter().map(|(id, _)| *id).collect());
    let found: Vec<bool> =
        store.load(group, &load).unwrap().iter().map(|stored| stored.envelope.is_some()).collect();
    assert_eq!(found, [true, true, false]);
}

pub(super) fn newest_first_orders_by_the_claimed_time(store: &mut dyn Store) {
    let all: Vec<_> = (0..4).map(|seq| content(1, seq, b"x")).collect();
    let mut writes: Vec<Write> = all.iter().map(|it| entry(it, Some(b"x"), None, 1)).collect();
    writes.extend([envelope(all[0].0, 1, None, 5), envelope(all[2].0, 1, None, 9)]);
    writes.push(Write::Envelope {
        entry: all[3].0,
        document: document(1),
        creates: None,
        written: None,
        envelope: Default::default(),
    });
    let group = begin(store, &writes);
    let unknown = EntryId::from_bytes([77; 32]);
    let asked = [all[3].0, unknown, all[1].0, all[0].0, all[2].0];
    let order = store.newest_first(group, &asked).unwrap();
    assert_eq!(order, [all[2].0, all[0].0, all[3].0, unknown, all[1].0]);
}

pub(super) fn entries_are_found_by_the_beginning_of_their_id(store: &mut dyn Store) {
    let all: Vec<_> = (0..40).map(|seq| content(1, seq, b"x")).collect();
    let writes: Vec<Write> = all.iter().map(|it| entry(it, None, None, 1)).collect();
    begin(store, &writes);
    store.add_group(group(2), &[]).unwrap();
    for (id, _) in &all {
        let written = id.to_string();
        let found =
            |length| store.entries_with_prefix(group(1), written.get(..length).unwrap()).unwrap();
        assert_eq!(found(52), [*id]);
        assert!(found(1).contains(id));
        assert!(found(1).is_sorted());
        assert_eq!(found(0).len(), crate::storage::PREFIX_MATCHES);
        assert_eq!(store.entries_with_prefix(group(2), &written).unwrap(), []);
    }
    for nothing in ["A", "no such thing", "0"] {
        assert_eq!(store.entries_with_prefix(group(1), nothing).unwrap(), []);
    }
}
