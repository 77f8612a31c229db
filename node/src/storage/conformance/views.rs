use cairn_crdt::id::{EntryId, RequestId};
use cairn_crdt::replica::effect::{Row, Write};
use cairn_crdt::replica::input::ResponseWord;

use super::fixture::{at, begin, content, document, entry, envelope, member, post, row};
use crate::storage::{ActRow, RequestRow, Store};

/// Entries that create documents 1 and 2: the first claims the later time.
fn claims() -> Vec<Write> {
    let [one, two] = [content(1, 0, b"one"), content(1, 1, b"two")];
    vec![
        entry(&one, Some(b"one"), None, 1),
        entry(&two, Some(b"two"), None, 1),
        envelope(one.0, 1, Some(1), 20),
        envelope(two.0, 2, Some(1), 10),
    ]
}

pub(super) fn the_latest_response_of_each_member_counts(store: &mut dyn Store) {
    let response = |number, to, of, word| {
        Write::Row(Row::Response {
            document: document(number),
            post: document(to),
            member: member(of),
            word,
        })
    };
    let group = begin(store, &claims());
    let rows = [
        row(&post(9, 9, "", 1)),
        row(&post(8, 9, "", 1)),
        row(&post(7, 6, "elsewhere", 1)),
        response(1, 8, 5, ResponseWord::Hear),
        response(2, 8, 5, ResponseWord::Same),
        response(3, 8, 4, ResponseWord::Thanks),
        response(4, 9, 5, ResponseWord::Thinking),
        response(5, 7, 5, ResponseWord::Hear),
    ];
    let expected = [
        (document(8), member(4), ResponseWord::Thanks),
        (document(8), member(5), ResponseWord::Hear),
        (document(9), member(5), ResponseWord::Thinking),
    ];
    // Whatever the order of arrival.
    store.write(group, &rows).unwrap();
    assert_eq!(store.responses(group, document(9)).unwrap(), expected);
    store.write(group, &[rows[4].clone(), rows[3].clone(), rows[4].clone()]).unwrap();
    assert_eq!(store.responses(group, document(9)).unwrap(), expected);
    store.write(group, &[Write::Row(Row::Gone(document(1)))]).unwrap();
    let now = store.responses(group, document(9)).unwrap();
    assert_eq!(now[1], (document(8), member(5), ResponseWord::Same));
}

pub(super) fn the_latest_profile_of_each_member_counts(store: &mut dyn Store) {
    let profile = |number, of, name: &str, addresses: &[&[u8]]| {
        Write::Row(Row::Profile {
            document: document(number),
            member: member(of),
            pseudonym: name.to_owned(),
            addresses: addresses.iter().map(|address| address.to_vec()).collect(),
        })
    };
    let group = begin(store, &claims());
    let rows = [
        profile(1, 5, "Heron", &[b"\x04\x7f", b""]),
        profile(2, 5, "Swan", &[]),
        profile(3, 6, "Wren", &[]),
    ];
    store.write(group, &rows).unwrap();
    let profiles = store.profiles(group).unwrap();
    assert_eq!(profiles.len(), 2);
    assert_eq!(profiles[&member(5)].pseudonym, "Heron");
    assert_eq!(profiles[&member(5)].addresses, [b"\x04\x7f".to_vec(), Vec::new()]);
    assert_eq!(profiles[&member(6)].pseudonym, "Wren");
}

pub(super) fn the_agreement_is_the_latest(store: &mut dyn Store) {
    let agreement = |number, name: &str, text: &str| {
        Write::Row(Row::Agreement {
            document: document(number),
            name: name.to_owned(),
            text: text.to_owned(),
        })
    };
    let group = begin(store, &claims());
    assert_eq!(store.agreement(group).unwrap(), None);
    store.write(group, &[agreement(1, "Lake", "one"), agreement(2, "Pond", "two")]).unwrap();
    assert_eq!(store.agreement(group).unwrap(), Some(("Lake".into(), "one".into())));
    store.write(group, &[agreement(1, "Sea", "three")]).unwrap();
    assert_eq!(store.agreement(group).unwrap(), Some(("Sea".into(), "three".into())));
}

pub(super) fn acts_are_read_oldest_first(store: &mut dyn Store) {
    let act = |number, written| ActRow {
        document: document(number),
        about: EntryId::from_bytes([number; 32]),
        subject: member(6),
        author: member(5),
        rule: "3".to_owned(),
        reason: "in words".to_owned(),
        written: at(written),
    };
    let write = |act: &ActRow| {
        Write::Row(Row::Act {
            document: act.document,
            about: act.about,
            subject: act.subject,
            author: act.author,
            rule: act.rule.clone(),
            reason: act.reason.clone(),
            written: act.written,
        })
    };
    let [late, early] = [act(1, 20), act(2, 10)];
    let group = begin(store, &[write(&late), write(&early), write(&late)]);
    assert_eq!(store.acts(group).unwrap(), [early, late]);
}

pub(super) fn requests_wait_until_they_are_answered(store: &mut dyn Store) {
    let request = |number: u8, arrived| RequestRow {
        request: RequestId::from_bytes([number; 32]),
        pseudonym: "Heron".to_owned(),
        introduction: "Hello".to_owned(),
        arrived: at(arrived),
    };
    let write = |row: &RequestRow| Write::Request {
        request: row.request,
        bytes: vec![1, 2, 3],
        pseudonym: row.pseudonym.clone(),
        introduction: row.introduction.clone(),
        arrived: row.arrived,
    };
    let [late, early] = [request(1, 20), request(2, 10)];
    let group = begin(store, &[write(&late), write(&early), write(&late)]);
    assert_eq!(store.requests(group).unwrap(), [early.clone(), late.clone()]);
    store.write(group, &[Write::ForgetRequest { request: early.request }]).unwrap();
    assert_eq!(store.requests(group).unwrap(), [late]);
    assert_eq!(store.snapshot(group).unwrap().requests.len(), 1);
}
