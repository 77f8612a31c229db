use cairn_crdt::id::{DocumentId, EntryId};
use cairn_crdt::replica::effect::{PostRow, PostState, Row, Write};
use cairn_crdt::replica::input::Wants;

use super::fixture::{at, begin, document, group, member, post, row};
use crate::storage::{MEMBER_SETTING, Store};

pub(super) fn a_post_comes_back_as_it_was_written(store: &mut dyn Store) {
    let full = |number, wants, state| PostRow {
        title: Some("A title".to_owned()),
        reply_to: Some(document(2)),
        note: Some("grief".to_owned()),
        wants: Some(wants),
        imported: Some(("old name".to_owned(), at(3))),
        arrived: at(20),
        edited: Some(at(15)),
        state,
        ..post(number, 9, "Body with \0 and \"quotes\" – and ümlauts", 10)
    };
    let hidden = PostState::Hidden(EntryId::from_bytes([6; 32]));
    let rows = [
        full(1, Wants::JustListen, PostState::Shown),
        full(2, Wants::AdviceWelcome, hidden),
        full(3, Wants::SameBoat, PostState::Erased),
        post(4, 9, "", 10),
    ];
    let group = begin(store, &rows.clone().map(|post| row(&post)));
    for post in rows {
        assert_eq!(store.post(group, post.document).unwrap(), Some(post));
    }
    assert_eq!(store.post(group, document(77)).unwrap(), None);
}

pub(super) fn a_row_replaces_the_one_before(store: &mut dyn Store) {
    let before = PostRow { note: Some("note".to_owned()), ..post(1, 9, "before", 10) };
    let after = PostRow { edited: Some(at(20)), ..post(1, 8, "after", 10) };
    let group = begin(store, &[row(&before), row(&after), row(&after)]);
    assert_eq!(store.post(group, document(1)).unwrap(), Some(after.clone()));
    assert_eq!(store.thread(group, document(8)).unwrap(), [after]);
    assert!(store.thread(group, document(9)).unwrap().is_empty());
}

pub(super) fn a_thread_reads_from_its_title_on_in_order(store: &mut dyn Store) {
    let posts = [post(9, 9, "", 50), post(4, 9, "b", 10), post(3, 9, "c", 20), post(5, 9, "a", 10)];
    let other = post(6, 8, "elsewhere", 1);
    let group = begin(store, &[row(&posts[2]), row(&posts[3]), row(&other), row(&posts[1])]);
    store.write(group, &[row(&posts[0])]).unwrap();
    let [title, first, third, second] = posts;
    assert_eq!(store.thread(group, document(9)).unwrap(), [title, first, second, third]);
    let own: Vec<DocumentId> =
        store.own_posts(group, member(5)).unwrap().iter().map(|post| post.document).collect();
    assert_eq!(own, [6, 4, 5, 3, 9].map(document));
    assert!(store.own_posts(group, member(6)).unwrap().is_empty());
}

pub(super) fn a_list_of_threads_counts_posts_and_what_is_new(store: &mut dyn Store) {
    let erased = PostRow { state: PostState::Erased, ..post(4, 9, "", 90) };
    let hidden =
        PostRow { state: PostState::Hidden(EntryId::from_bytes([6; 32])), ..post(3, 9, "x", 30) };
    let own = PostRow { author: member(6), ..post(2, 9, "mine", 20) };
    let group = begin(
        store,
        &[
            row(&post(8, 8, "", 50)),
            row(&post(9, 9, "", 10)),
            row(&post(1, 9, "theirs", 15)),
            row(&own),
            row(&hidden),
            row(&erased),
            row(&post(5, 7, "the title of its thread is not here", 5)),
        ],
    );
    store.set_group_setting(group, MEMBER_SETTING, member(6).as_bytes()).unwrap();
    let threads = store.threads(group).unwrap();
    let found: Vec<_> = threads
        .iter()
        .map(|thread| (thread.row.document, thread.posts, thread.unread, thread.newest))
        .collect();
    assert_eq!(found, [(document(9), 3, 1, at(90)), (document(8), 0, 0, at(50))]);
    assert_eq!(threads[0].row, post(9, 9, "", 10));
}

pub(super) fn unread_is_what_others_wrote_since_the_last_mark(store: &mut dyn Store) {
    let group = begin(store, &[row(&post(9, 9, "", 1)), row(&post(1, 9, "a", 2))]);
    store.write(group, &[row(&post(2, 9, "b", 3)), row(&post(3, 8, "c", 3))]).unwrap();
    assert_eq!(store.unread(group).unwrap(), 3);
    store.mark_read(group, document(9)).unwrap();
    assert_eq!(store.unread(group).unwrap(), 1);
    // An edit of what was read is not news; a post of the same millisecond is.
    let edited = PostRow { edited: Some(at(9)), ..post(2, 9, "edited", 3) };
    store.write(group, &[row(&edited), row(&post(4, 9, "d", 3))]).unwrap();
    assert_eq!(store.unread(group).unwrap(), 2);
    assert_eq!(store.threads(group).unwrap()[0].unread, 1);
    store.set_group_setting(group, MEMBER_SETTING, member(5).as_bytes()).unwrap();
    assert_eq!(store.unread(group).unwrap(), 0);
}

pub(super) fn a_row_that_is_gone_is_gone_from_every_view(store: &mut dyn Store) {
    let group = begin(store, &[row(&post(9, 9, "heron", 1)), row(&post(1, 9, "heron", 2))]);
    let gone = Write::Row(Row::Gone(document(1)));
    store.write(group, &[gone.clone(), gone]).unwrap();
    assert_eq!(store.post(group, document(1)).unwrap(), None);
    assert_eq!(store.thread(group, document(9)).unwrap().len(), 1);
    assert_eq!(store.search(group, "heron", 9).unwrap().len(), 1);
    assert_eq!(store.threads(group).unwrap()[0].posts, 0);
}

pub(super) fn posts_are_found_by_the_beginning_of_their_id(store: &mut dyn Store) {
    begin(store, &[row(&post(1, 9, "a", 1)), row(&post(200, 9, "b", 1))]);
    let written = document(200).to_string();
    let found = store.documents_with_prefix(group(1), written.get(..4).unwrap()).unwrap();
    assert_eq!(found, [document(200)]);
    let all = store.documents_with_prefix(group(1), "").unwrap();
    assert_eq!(all, [document(1), document(200)]);
    assert_eq!(store.documents_with_prefix(group(1), "!").unwrap(), []);
}

/// The documents that a search finds.
fn found(store: &dyn Store, words: &str) -> Vec<DocumentId> {
    let hits = store.search(group(1), words, 100).unwrap();
    hits.into_iter().map(|hit| hit.row.document).collect()
}

pub(super) fn search_finds_shown_posts_by_all_of_the_words(store: &mut dyn Store) {
    let title = PostRow { title: Some("Grief in winter".to_owned()), ..post(9, 9, "", 1) };
    let group = begin(
        store,
        &[
            row(&title),
            row(&post(1, 9, "The heron doesn't sleep in winter.", 10)),
            row(&post(2, 9, "A HERON, again", 20)),
        ],
    );
    assert_eq!(found(store, "heron"), [document(2), document(1)]);
    assert_eq!(found(store, "winter heron"), [document(1)]);
    assert_eq!(found(store, "wint"), [document(1), document(9)]);
    assert_eq!(found(store, "wint heron"), []);
    assert_eq!(found(store, "doesn't"), [document(1)]);
    assert_eq!(found(store, "HER"), [document(2), document(1)]);
    assert_eq!(found(store, "swan"), []);
    let hits = store.search(group, "heron", 1).unwrap();
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].title.as_deref(), Some("Grief in winter"));
    assert_eq!(hits[0].row, post(2, 9, "A HERON, again", 20));
}

pub(super) fn search_follows_edits_hides_and_erasures(store: &mut dyn Store) {
    let before = post(1, 9, "heron", 10);
    let group = begin(store, &[row(&before)]);
    let edited = post(1, 9, "swan", 10);
    store.write(group, &[row(&edited), row(&edited)]).unwrap();
    assert_eq!((found(store, "heron"), found(store, "swan")), (vec![], vec![document(1)]));
    let hide = PostState::Hidden(EntryId::from_bytes([6; 32]));
    store.write(group, &[row(&PostRow { state: hide, ..edited.clone() })]).unwrap();
    assert_eq!(found(store, "swan"), []);
    store.write(group, &[row(&edited)]).unwrap();
    assert_eq!(found(store, "swan"), [document(1)]);
    let erased = PostRow { state: PostState::Erased, body: String::new(), ..edited };
    store.write(group, &[row(&erased)]).unwrap();
    assert_eq!(found(store, "swan"), []);
}

pub(super) fn no_search_is_an_error(store: &mut dyn Store) {
    begin(store, &[row(&post(1, 9, "say \"hi\" to col:umn AND more", 10))]);
    for odd in [
        "",
        " ",
        "\"",
        "\"\"",
        "*",
        "^",
        "a*",
        "NOT",
        "AND",
        "OR",
        "NEAR(",
        "col:umn",
        "{x}:y",
        "-x",
        "+",
        "(",
        ")",
        "'",
        ";",
        "\0",
        "a\0b",
        "\u{feff}",
        "words : x",
        "rowid",
        "say - *",
    ] {
        store.search(group(1), odd, 9).unwrap();
    }
    store.search(group(1), &"word ".repeat(10_000), 9).unwrap();
    store.search(group(1), &"w".repeat(100_000), u32::MAX).unwrap();
    assert_eq!(found(store, "\"hi\""), [document(1)]);
    assert_eq!(found(store, "AND"), [document(1)]);
    assert_eq!(found(store, "col:umn"), [document(1)]);
}
