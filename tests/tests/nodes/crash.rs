//! `kill -9` (S4): what was acknowledged is on disk; what comes again is not applied again.
//!
//! When the kill comes is tied to how much the store has grown on disk since the node was ready, by
//! seeded numbers: in the middle of writing, on a slow machine as on a fast one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cairn_tests::circle::{View, gather, string, until_equal};
use cairn_tests::patience::until;
use cairn_tests::person::{Person, text};
use cairn_tests::place::Place;
use cairn_tests::program::Ran;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Times that a node is killed in each test.
const KILLS: usize = 5;
/// Posts that wait for a node that catches up, each time.
const WAITING: usize = 700;

/// A number below `bound`.
fn below(rng: &mut ChaCha20Rng, bound: u64) -> u64 {
    rng.next_u64() % bound
}

/// A conversation of so many lines of different lengths, which do not compress away.
fn conversation(rng: &mut ChaCha20Rng, name: &str, many: usize) -> String {
    (0..many).fold(String::new(), |mut file, number| {
        let words: String =
            (0..1 + below(rng, 480)).map(|_| format!(" {:016x}", rng.next_u64())).collect();
        writeln!(
            file,
            r#"{{"conversation":"{name}","id":"{number}","reply_to":null,"author":"a","at":"2025-06-01T18:00:00Z","body":"{name}, line {number}:{words}"}}"#
        )
        .unwrap();
        file
    })
}

/// The posts of which this person's node says that another member's device holds them.
fn reached(person: &Person, group: &str) -> BTreeSet<String> {
    let pages = person.pages(group);
    let posts = pages.iter().flat_map(|page| page["posts"].as_array().unwrap());
    posts
        .filter(|post| post["reach"]["members"].as_u64().unwrap() > 0)
        .map(|post| string(post, "post"))
        .collect()
}

#[test]
fn s4_a_node_killed_while_catching_up_keeps_what_it_acknowledged() {
    let place = Place::new();
    let [ana, mut ben] = Person::settle(&place, ["ana", "ben"]);
    let group = gather(&ana, &[&ben]);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (mut held, mut halfway) = (View::new(), 0);
    // When a machine is too quick for a kill to come in time, it is tried some more.
    for round in 0..KILLS * 4 {
        if round >= KILLS && halfway > 0 {
            break;
        }
        if ben.is_here() {
            ben.depart();
        }
        let lines = conversation(&mut rng, &format!("round {round}"), WAITING);
        let file = ana.file("lines", lines.as_bytes());
        drop(ana.ask(&["import", &group, text(&file)]));
        let all = ana.view(&group);
        assert_eq!(all.len(), WAITING * (round + 1));

        let growth = 16 * 1024 + below(&mut rng, 480 * 1024);
        ben.arrive();
        let before = ben.stored();
        ben.until_stored(before + growth, || ben.view(&group).len() == all.len());
        ben.kill();

        // His store alone, without a node.
        let left = ben.view(&group);
        halfway += usize::from(left.len() < all.len());
        for (post, words) in held.iter().chain(&left) {
            assert_eq!(all.get(post), Some(words), "a post is not as it was written");
            assert_eq!(left.get(post), Some(words), "a post that was held is lost");
        }
        let early: Vec<_> =
            reached(&ana, &group).into_iter().filter(|post| !left.contains_key(post)).collect();
        assert!(early.is_empty(), "{} posts are said to be with ben, and are not", early.len());
        held = left;
        ben.arrive();
    }
    until_equal(&group, &[&ana, &ben]);
    assert_eq!(ben.view(&group), ana.view(&group));
    assert!(halfway > 0, "no kill came in the middle of catching up");
}

#[test]
fn s4_a_node_killed_while_writing_has_each_acknowledged_post_once() {
    /// People who write at the same time, each with so many posts to write.
    const WRITERS: usize = 2;
    const POSTS: usize = 40;
    let place = Place::new();
    let [mut ana, ben] = Person::settle(&place, ["ana", "ben"]);
    let group = gather(&ana, &[&ben]);
    let thread = ana.start(&group, "Without a pause", "I write, whatever happens.");
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut acknowledged = Vec::new();
    let mut tried = BTreeSet::from(["I write, whatever happens.".to_owned()]);
    for round in 0..KILLS {
        let (many, growth) = (below(&mut rng, 8) as usize, below(&mut rng, 48 * 1024));
        let (written, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (kept, bodies) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let commands: Vec<_> = (0..POSTS).map(|_| ana.program()).collect();
                let (group, thread) = (&group, &thread);
                let (written, over, kept, bodies) = (&written, &over, &kept, &bodies);
                scope.spawn(move || {
                    for (number, mut command) in commands.into_iter().enumerate() {
                        let body = format!("round {round}, writer {writer}, post {number}");
                        bodies.lock().unwrap().push(body.clone());
                        command.args(["post", group, thread, "--json"]);
                        let ran = Ran::of(&mut command, body.as_bytes());
                        if ran.code != Some(0) || over.load(Ordering::SeqCst) {
                            // After the kill the store alone may have taken it.
                            return;
                        }
                        kept.lock().unwrap().push((string(&ran.json(), "post"), body));
                        written.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            let so_many = |many: usize| written.load(Ordering::SeqCst) >= many;
            until("posts are acknowledged", || so_many(many).then_some(()));
            let before = ana.stored();
            ana.until_stored(before + growth, || so_many(WRITERS * POSTS));
            ana.kill();
            over.store(true, Ordering::SeqCst);
        });
        acknowledged.extend(kept.into_inner().unwrap());
        tried.extend(bodies.into_inner().unwrap());
        check(&ana.view(&group), &acknowledged, &tried);
        ana.arrive();
    }
    until_equal(&group, &[&ana, &ben]);
    check(&ben.view(&group), &acknowledged, &tried);
    assert!(acknowledged.len() >= KILLS);
}

/// Each acknowledged post is there as it was written, and no text is there twice.
fn check(view: &View, acknowledged: &[(String, String)], tried: &BTreeSet<String>) {
    for (post, body) in acknowledged {
        let read = view.get(post).map(|post| post.body.as_str());
        assert_eq!(read, Some(body.as_str()), "an acknowledged post is lost");
    }
    let mut bodies = BTreeSet::new();
    for post in view.values() {
        assert!(tried.contains(&post.body), "nobody wrote this: {}", post.body);
        assert!(bodies.insert(&post.body), "applied twice: {}", post.body);
    }
}
