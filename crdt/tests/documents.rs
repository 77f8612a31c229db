//! Documents: written, checked, rebuilt (C1–C4, C6, C7).

#![expect(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "test code")]

#[path = "fixtures/content.rs"]
mod content;

use automerge::legacy::{Key, OpId, OpType, SortedVec};
use automerge::transaction::{CommitOptions, Transactable as _};
use automerge::{
    ActorId, Automerge, Change, ExpandedChange, ROOT, ReadDoc as _, ScalarValue, Value,
};
use cairn_crdt::codec;
use cairn_crdt::document::change::{ChangeRefused, CheckedChange, check};
use cairn_crdt::document::clock::{AHEAD_MILLIS, HybridClock, LATEST, clamped};
use cairn_crdt::document::kinds::{CannotWrite, Content, DocumentKind};
use cairn_crdt::document::profile::Scalar;
use cairn_crdt::document::rebuild::{Rebuilt, Void, lent, read_single, rebuild};
use cairn_crdt::id::{EntryId, MemberId};
use cairn_crdt::limits::{AGREEMENT_BYTES, BODY_BYTES, DOCUMENT_CHANGES};
use content::{actor, agreement, at, created, edit, edited, entry, post, profile, samples, thread};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Every order of a few things.
fn orders<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for index in 0..items.len() {
        let mut rest = items.to_vec();
        let first = rest.remove(index);
        for mut order in orders(&rest) {
            order.insert(0, first.clone());
            all.push(order);
        }
    }
    all
}

fn same_in_all_orders(kind: DocumentKind, changes: &[(EntryId, CheckedChange)]) -> Rebuilt {
    let first = rebuild(kind, changes);
    for order in orders(changes) {
        assert_eq!(rebuild(kind, &order), first);
        let twice: Vec<_> = order.iter().chain(&order).cloned().collect();
        assert_eq!(rebuild(kind, &twice), first);
    }
    first
}

#[test]
fn c7_a_single_change_says_what_automerge_says() {
    let long = "ä".repeat(8000);
    let more = [
        thread("", ""),
        post(&long, "n"),
        agreement("", ""),
        agreement("e\u{301}", "👩‍👩‍👧 e\u{301}\n\0"),
        agreement("long", &long),
    ];
    for content in samples().into_iter().chain(more) {
        let change = created(&content, 1, at(5));
        let view = read_single(&change).unwrap();
        assert_eq!((&view.content, view.written, view.edited), (&content, at(5), None));
        let mut document = Automerge::new();
        document.apply_changes([Change::try_from(change.bytes()).unwrap()]).unwrap();
        let values: Vec<Scalar> = content
            .kind()
            .fields()
            .iter()
            .map(|field| match document.get(ROOT, field.key).unwrap().unwrap() {
                (Value::Object(_), object) => Scalar::Text(document.text(object).unwrap()),
                (Value::Scalar(scalar), _) => match scalar.as_ref() {
                    ScalarValue::Str(text) => Scalar::Text(text.to_string()),
                    ScalarValue::Uint(number) => Scalar::Number(*number),
                    ScalarValue::Bytes(bytes) => Scalar::Bytes(bytes.clone()),
                    ScalarValue::Null => Scalar::Null,
                    other => panic!("{other:?}"),
                },
            })
            .collect();
        assert_eq!(values, content.values());
        assert_eq!(rebuild(content.kind(), &[(entry(1), change)]).view, Some(view));
    }
}

#[test]
fn c2_every_kind_is_edited_and_what_is_fixed_is_not() {
    for (before, after) in samples().into_iter().zip(edited()) {
        let kind = before.kind();
        let creation = created(&before, 1, at(0));
        let existing = vec![(entry(1), creation.clone())];
        assert_eq!(before.edit(&existing, actor(1), at(1)), Err(CannotWrite::NothingChanged));
        let Some(after) = after else { continue };
        let change = edit(&existing, &after, 1, at(9));
        let all = [(entry(1), creation), (entry(2), change)];
        let rebuilt = same_in_all_orders(kind, &all);
        let view = rebuilt.view.unwrap();
        assert_eq!((view.content, view.written, view.edited), (after, at(0), Some(at(9))));
        assert!(rebuilt.void.is_empty());
    }
    let act = samples().remove(5);
    let existing = vec![(entry(1), created(&act, 1, at(0)))];
    let Content::Act(mut other) = act else { panic!() };
    other.until = None;
    let other = Content::Act(other);
    assert_eq!(other.edit(&existing, actor(1), at(1)), Err(CannotWrite::Fixed));
    let moved = |thread| {
        let Content::Post(mut post) = post("b", "") else { panic!() };
        post.thread = thread;
        Content::Post(post)
    };
    let existing = vec![(entry(1), created(&post("a", ""), 1, at(0)))];
    let elsewhere = moved(content::DOCUMENT);
    assert_eq!(elsewhere.edit(&existing, actor(1), at(1)), Err(CannotWrite::Fixed));
    assert_eq!(elsewhere.edit(&[], actor(1), at(1)), Err(CannotWrite::NoDocument));
}

#[test]
fn c4_two_devices_of_an_owner_edit_at_once_and_all_orders_agree() {
    let creation = (entry(1), created(&post("one", ""), 1, at(0)));
    let existing = vec![creation.clone()];
    let here = (entry(2), edit(&existing, &post("two", ""), 1, at(1)));
    let there = (entry(3), edit(&existing, &post("one", "grief"), 2, at(2)));
    let clash = (entry(4), edit(&existing, &post("three", ""), 3, at(1)));
    let all = vec![creation, here, there, clash];
    let rebuilt = same_in_all_orders(DocumentKind::Post, &all);
    let view = rebuilt.view.unwrap();
    assert_eq!(view.note(), Some("grief"));
    assert!(matches!(view.body(), Some("two" | "three")));
    assert_eq!(view.edited, Some(at(2)));
    let settled = (entry(5), edit(&all, &post("four", "grief"), 2, at(3)));
    let all: Vec<_> = all.into_iter().chain([settled]).collect();
    let rebuilt = same_in_all_orders(DocumentKind::Post, &all);
    assert_eq!((rebuilt.view.unwrap().body(), rebuilt.void.len()), (Some("four"), 0));
}

#[test]
fn c2_a_shared_text_keeps_what_two_wrote_at_once() {
    let base = "Be kind.\nStay as long as you like.\nNo advice.";
    let creation = (entry(1), created(&agreement("Circle", base), 1, at(0)));
    let existing = vec![creation.clone()];
    let kind = "Be kind and slow.\nStay as long as you like.\nNo advice.";
    let asked = "Be kind.\nStay as long as you like.\nNo advice unless asked for.";
    let one = (entry(2), edit(&existing, &agreement("Circle", kind), 1, at(1)));
    let two = (entry(3), edit(&existing, &agreement("Tuesday", asked), 2, at(1)));
    let all = vec![creation, one, two];
    let rebuilt = same_in_all_orders(DocumentKind::Agreement, &all);
    let merged = "Be kind and slow.\nStay as long as you like.\nNo advice unless asked for.";
    assert_eq!(rebuilt.view.as_ref().unwrap().content, agreement("Tuesday", merged));
    assert!(rebuilt.void.is_empty());
    let third = (entry(4), edit(&all, &agreement("Tuesday", "Anew."), 3, at(2)));
    let all: Vec<_> = all.into_iter().chain([third]).collect();
    let rebuilt = same_in_all_orders(DocumentKind::Agreement, &all);
    assert_eq!(rebuilt.view.unwrap().content, agreement("Tuesday", "Anew."));
}

#[test]
fn c2_a_long_text_is_replaced_quickly_and_merges_still() {
    let long: String = (0..1500).map(|n| format!("line {n}. ")).collect();
    let other: String = (0..1500).map(|n| format!("{n} row; ")).collect();
    let creation = (entry(1), created(&agreement("A", &long), 1, at(0)));
    let existing = vec![creation];
    let change = edit(&existing, &agreement("A", &other), 1, at(1));
    let all: Vec<_> = existing.into_iter().chain([(entry(2), change)]).collect();
    let view = rebuild(DocumentKind::Agreement, &all).view.unwrap();
    assert_eq!(view.body(), Some(other.as_str()));
}

#[test]
fn c4_a_change_that_cannot_stand_is_void_with_what_depends_on_it() {
    let creation = (entry(1), created(&post("one", ""), 1, at(0)));
    let mut all = vec![creation.clone()];
    for number in 2..6_u8 {
        let text = format!("edit {number}");
        let change = edit(&all, &post(&text, ""), 1, at(u64::from(number)));
        all.push((entry(number), change));
    }
    let without: Vec<_> = all.iter().filter(|(id, _)| *id != entry(3)).cloned().collect();
    let rebuilt = same_in_all_orders(DocumentKind::Post, &without);
    assert_eq!(rebuilt.view.unwrap().body(), Some("edit 2"));
    let void: Vec<_> = rebuilt.void.into_iter().collect();
    assert_eq!(void, [(entry(4), Void::Missing), (entry(5), Void::Missing)]);
    let headless: Vec<_> = all.iter().skip(1).cloned().collect();
    let rebuilt = rebuild(DocumentKind::Post, &headless);
    assert_eq!((rebuilt.view, rebuilt.void.len()), (None, 4));
}

#[test]
fn c1_a_document_is_created_once() {
    let one = (entry(7), created(&post("one", ""), 1, at(1)));
    let two = (entry(2), created(&post("two", ""), 2, at(2)));
    let again = (entry(9), one.1.clone());
    let rebuilt = same_in_all_orders(DocumentKind::Post, &[one, two, again]);
    assert_eq!(rebuilt.view.unwrap().body(), Some("one"));
    let void: Vec<_> = rebuilt.void.into_iter().collect();
    assert_eq!(void, [(entry(2), Void::Repeated), (entry(9), Void::Repeated)]);
    let stranger = (entry(1), created(&profile("a b"), 1, at(0)));
    let rebuilt = rebuild(DocumentKind::Post, &[stranger]);
    assert_eq!(rebuilt.void.get(&entry(1)), Some(&Void::OtherKind));
}

#[test]
fn c3_a_device_that_forgot_its_change_does_not_write_two_with_one_number() {
    let creation = (entry(1), created(&post("one", ""), 1, at(0)));
    let existing = vec![creation.clone()];
    let first = (entry(2), edit(&existing, &post("two", ""), 1, at(1)));
    let forked = (entry(3), edit(&existing, &post("three", ""), 1, at(2)));
    let rebuilt = same_in_all_orders(DocumentKind::Post, &[creation, first, forked]);
    assert_eq!(rebuilt.view.unwrap().body(), Some("two"));
    assert_eq!(rebuilt.void.into_iter().collect::<Vec<_>>(), [(entry(3), Void::Repeated)]);
}

#[test]
fn c3_a_shared_text_past_its_bound_does_not_bear_the_change() {
    let filled = "a".repeat(AGREEMENT_BYTES - 10);
    let creation = (entry(1), created(&agreement("A", &filled), 1, at(0)));
    let existing = vec![creation.clone()];
    let more = |letter: &str| agreement("A", &format!("{filled}{}", letter.repeat(8)));
    let one = (entry(2), edit(&existing, &more("b"), 1, at(1)));
    let two = (entry(3), edit(&existing, &more("c"), 2, at(2)));
    let rebuilt = rebuild(DocumentKind::Agreement, &[creation.clone(), one.clone(), two.clone()]);
    assert_eq!(rebuilt, rebuild(DocumentKind::Agreement, &[two, one, creation]));
    assert_eq!(rebuilt.view.unwrap().content, more("b"));
    assert_eq!(rebuilt.void.into_iter().collect::<Vec<_>>(), [(entry(3), Void::Unbearable)]);
}

#[test]
fn c3_a_change_is_for_its_device_document_and_kind() {
    let bytes = post("one", "").create(actor(1), at(0)).unwrap();
    let refused = |kind, creation, device| check(kind, creation, &bytes, actor(device)).err();
    assert_eq!(refused(DocumentKind::Post, true, 1), None);
    assert_eq!(refused(DocumentKind::Post, true, 2), Some(ChangeRefused::OtherActor));
    assert_eq!(refused(DocumentKind::Post, false, 1), Some(ChangeRefused::Implausible));
    assert_eq!(refused(DocumentKind::Thread, true, 1), Some(ChangeRefused::OutsideProfile));
    let late = cairn_crdt::time::Timestamp::from_millis(LATEST.as_millis() + 1);
    let refused = post("one", "").create(actor(1), late);
    assert_eq!(refused, Err(CannotWrite::Refused(ChangeRefused::Implausible)));
    assert!(post("one", "").create(actor(1), LATEST).is_ok(), "the last moment there is");
}

#[test]
fn c3_the_largest_content_fits_and_compressed_changes_are_refused() {
    let body: String = (0..BODY_BYTES).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let content = post(&body, &"n".repeat(2000));
    let change = created(&content, 1, at(0));
    assert_eq!(read_single(&change).unwrap().content, content);
    let mut automerge = Change::try_from(change.bytes()).unwrap();
    let compressed = automerge.bytes().to_vec();
    assert_eq!(compressed[8], 2);
    let refused = check(DocumentKind::Post, true, &compressed, actor(1)).err();
    assert_eq!(refused, Some(ChangeRefused::OutOfBounds));
}

/// The change, with something about it altered, in canonical form.
fn altered(change: &CheckedChange, alter: impl FnOnce(&mut ExpandedChange)) -> Vec<u8> {
    let mut expanded = Change::try_from(change.bytes()).unwrap().decode();
    alter(&mut expanded);
    Change::from(expanded).raw_bytes().to_vec()
}

#[test]
fn c3_a_fixed_key_and_a_dependency_named_twice_are_refused() {
    let existing = vec![(entry(1), created(&post("one", ""), 1, at(0)))];
    let honest = edit(&existing, &post("two", ""), 1, at(1));
    let refused = |bytes: &[u8]| check(DocumentKind::Post, false, bytes, actor(1)).err();
    let moved = altered(&honest, |change| {
        let operation = change.operations.first_mut().unwrap();
        operation.key = Key::Map("thread".into());
        operation.action = OpType::Put(ScalarValue::Bytes(vec![2; 32]));
        let creator = ActorId::from(actor(1).as_bytes().as_slice());
        operation.pred = SortedVec::from(vec![OpId(1, creator)]);
    });
    assert_eq!(refused(&moved), Some(ChangeRefused::OutsideProfile));
    let twice = altered(&honest, |change| change.deps.extend(change.deps.clone()));
    assert_eq!(refused(&twice), Some(ChangeRefused::Implausible));
    let same = altered(&honest, |_| {});
    assert_eq!(refused(&same), None);
}

#[test]
fn c3_operations_follow_on_those_before_them() {
    let creation = (entry(1), created(&post("one", ""), 1, at(0)));
    let existing = vec![creation.clone()];
    let here = (entry(2), edit(&existing, &post("two", ""), 1, at(1)));
    let there = edit(&existing, &post("three", ""), 2, at(2));
    let reason = |bytes: &[u8]| {
        let change = check(DocumentKind::Post, false, bytes, actor(2)).unwrap();
        let all = [creation.clone(), here.clone(), (entry(3), change)];
        let rebuilt = same_in_all_orders(DocumentKind::Post, &all);
        assert_eq!(rebuilt.view.unwrap().body() == Some("two"), !rebuilt.void.is_empty());
        rebuilt.void.get(&entry(3)).copied()
    };
    assert_eq!(reason(there.bytes()), None);
    let gap = altered(&there, |change| {
        change.start_op = change.start_op.checked_add(1).unwrap();
    });
    assert_eq!(reason(&gap), Some(Void::OutOfPlace));
}

#[test]
fn c3_a_change_may_not_reach_into_what_it_does_not_depend_on() {
    let creation = (entry(1), created(&post("one", ""), 1, at(0)));
    let existing = vec![creation.clone()];
    // Another device writes twice, and the second time replaces what the first device wrote, which
    // it says it has not received.
    let here = (entry(2), edit(&existing, &post("two", ""), 1, at(1)));
    let mine = (entry(3), edit(&existing, &post("three", ""), 2, at(2)));
    let both = vec![creation.clone(), mine.clone()];
    let next = edit(&both, &post("four", ""), 2, at(3));
    let start = Change::try_from(here.1.bytes()).unwrap().start_op().get();
    let reaching = altered(&next, |change| {
        let writer = ActorId::from(actor(1).as_bytes().as_slice());
        change.operations.first_mut().unwrap().pred = SortedVec::from(vec![OpId(start, writer)]);
    });
    let reaching = check(DocumentKind::Post, false, &reaching, actor(2)).unwrap();
    let all = [creation, here, mine, (entry(4), reaching)];
    let rebuilt = same_in_all_orders(DocumentKind::Post, &all);
    assert_eq!(rebuilt.void.into_iter().collect::<Vec<_>>(), [(entry(4), Void::Unknown)]);
}

#[test]
fn c4_the_order_is_by_time_then_actor_then_entry() {
    let create = |device: u8, millis: u64| created(&post("x", ""), device, at(millis));
    let (mut low, mut high) = (1, 2);
    if actor(low) > actor(high) {
        (low, high) = (high, low);
    }
    let first = |one: CheckedChange, other: CheckedChange| {
        let all = [(entry(9), one), (entry(1), other)];
        let void = same_in_all_orders(DocumentKind::Post, &all).void;
        void.into_keys().collect::<Vec<_>>() == [entry(1)]
    };
    assert!(first(create(high, 0), create(low, 1)));
    assert!(first(create(low, 0), create(high, 0)));
    assert!(!first(create(high, 0), create(low, 0)));
    assert!(!first(create(low, 0), create(low, 0)));
}

#[test]
fn c4_more_changes_than_are_looked_at_are_void() {
    let first = created(&post("one", ""), 1, at(0));
    let mut document = Automerge::new();
    document.apply_changes([Change::try_from(first.bytes()).unwrap()]).unwrap();
    document.set_actor(ActorId::from(actor(1).as_bytes().as_slice()));
    let mut all = vec![(entry(0), first)];
    for number in 1..=DOCUMENT_CHANGES as u64 {
        let mut transaction = document.transaction();
        transaction.put(ROOT, "body", format!("{number}")).unwrap();
        transaction.commit_with(CommitOptions::default().with_time(at(number).as_millis() as i64));
        let change = document.get_last_local_change().unwrap();
        let checked = check(DocumentKind::Post, false, change.raw_bytes(), actor(1)).unwrap();
        let mut id = [1; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        all.push((EntryId::from_bytes(id), checked));
    }
    let last = all.last().unwrap().0;
    let rebuilt = rebuild(DocumentKind::Post, &all);
    let body = format!("{}", DOCUMENT_CHANGES - 1);
    assert_eq!(rebuilt.view.as_ref().unwrap().body(), Some(body.as_str()));
    assert_eq!(rebuilt.void.clone().into_iter().collect::<Vec<_>>(), [(last, Void::TooMany)]);
    all.reverse();
    assert_eq!(rebuild(DocumentKind::Post, &all), rebuilt);
}

#[test]
fn c3_what_is_too_large_as_one_change_says_so() {
    let mixed: String = "aä".chars().cycle().take(AGREEMENT_BYTES * 2 / 3).collect();
    let refused = agreement("A", &mixed).create(actor(1), at(0));
    assert_eq!(refused, Err(CannotWrite::TooLarge));
}

#[test]
fn c4_only_what_another_member_built_on_is_lent() {
    let [one, two, three] = [1, 2, 3].map(|n| MemberId::from_bytes([n; 32]));
    let creation = (entry(1), created(&agreement("A", "x"), 1, at(0)));
    let mut all = vec![creation];
    for (number, device) in [(2_u8, 2_u8), (3, 2), (4, 3)] {
        let text = format!("x {number}");
        let change = edit(&all, &agreement("A", &text), device, at(u64::from(number)));
        all.push((entry(number), change));
    }
    let change = |index: usize| &all[index].1;
    let void = [(entry(2), two, change(1)), (entry(3), two, change(2))];
    let lent_to = |counted: &[(MemberId, &CheckedChange)]| {
        lent(counted, &void).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(lent_to(&[(one, change(0)), (three, change(3))]), [entry(2), entry(3)]);
    assert_eq!(lent_to(&[(one, change(0)), (two, change(3))]), []);
    assert_eq!(lent_to(&[(one, change(0))]), []);
}

#[test]
fn c6_the_clock_never_goes_back_and_is_not_led_away() {
    let mut clock = HybridClock::default();
    assert_eq!(clock.next(at(5)), at(5));
    assert_eq!(clock.next(at(3)), at(6));
    clock.observe(at(100), at(7));
    assert_eq!(clock.next(at(7)), at(101));
    clock.observe(LATEST, at(8));
    assert_eq!(clock.last(), at(8 + AHEAD_MILLIS));
    assert_eq!(clamped(LATEST, at(1)), at(1 + AHEAD_MILLIS));
    assert_eq!(clamped(at(0), at(1)), at(0));
    assert_eq!(HybridClock::after(LATEST).next(at(0)), LATEST);
}

#[test]
fn c6_a_view_keeps_both_times_and_is_written_down_and_read_back() {
    let existing = vec![(entry(1), created(&post("a", ""), 1, at(0)))];
    let change = edit(&existing, &post("b", ""), 1, at(4));
    let all: Vec<_> = existing.into_iter().chain([(entry(2), change)]).collect();
    let view = rebuild(DocumentKind::Post, &all).view.unwrap();
    assert_eq!((view.written, view.edited), (at(0), Some(at(4))));
    assert_eq!(codec::decode(&codec::encode(&view), 1000), Ok(view));
}

/// Three devices write at random, each knowing what it has happened to receive.
#[test]
fn c4_whatever_devices_write_all_agree_and_nothing_honest_is_void() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut below = |most: usize| usize::try_from(rng.next_u64()).unwrap() % most;
    let words = ["one ", "two ", "three ", "ö", "🌱", "\n"];
    for round in 0..80_u8 {
        let shared = round % 2 == 0;
        let content = |body: &str, note: &str| {
            if shared { agreement(note, body) } else { post(body, note) }
        };
        let creation = (entry(1), created(&content("start", ""), 0, at(0)));
        let kind = creation.1.kind();
        let mut replicas = vec![vec![creation]; 3];
        for number in 2..12_u8 {
            let who = below(3);
            let from = below(3);
            let received = replicas[from].clone();
            if below(2) == 0 {
                let known: Vec<_> = replicas[who].iter().map(|(id, _)| *id).collect();
                replicas[who].extend(received.into_iter().filter(|(id, _)| !known.contains(id)));
            }
            let view = rebuild(kind, &replicas[who]).view.unwrap();
            let mut characters: Vec<char> = view.body().unwrap().chars().collect();
            let start = below(characters.len() + 1);
            let end = start + below(characters.len() - start + 1);
            characters.splice(start..end, words[below(words.len())].chars());
            let body: String = characters.into_iter().collect();
            let next = content(&body, words[below(3)]);
            if next == view.content {
                continue;
            }
            // Clocks are as they are: an edit may claim to be earlier than what it edits.
            let time = at(below(5) as u64);
            let change = edit(&replicas[who], &next, u8::try_from(who).unwrap(), time);
            replicas[who].push((entry(number), change));
            let after = rebuild(kind, &replicas[who]);
            assert_eq!((after.view.unwrap().content, after.void.len()), (next, 0));
        }
        let mut all: Vec<_> = replicas.concat();
        let expected = rebuild(kind, &all);
        assert!(expected.void.is_empty());
        for _ in 0..5 {
            let (one, other) = (below(all.len()), below(all.len()));
            all.swap(one, other);
            all.rotate_left(below(3));
            assert_eq!(rebuild(kind, &all), expected);
        }
    }
}
