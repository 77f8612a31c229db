//! A removed member (A2–A4, K4, K5).

use cairn_tests::circle::{gather, string, until_equal};
use cairn_tests::patience::until;
use cairn_tests::person::{Person, text};
use cairn_tests::place::{PASSPHRASE, Place};
use cairn_tests::traces::{Secret, files_below, found};
use cairn_node::storage::{Home, Store as _};

const RULE: &str = "What is said here stays here";

/// Removes somebody in the usual words; the entry that does it.
fn remove(who: &Person, group: &str, member: &str) -> String {
    let words = ["remove", group, member, "--rule", RULE, "--reason", "It was told elsewhere."];
    string(&who.ask(&words), "entry")
}

#[test]
fn a4_what_a_removed_member_wrote_later_is_inert_on_every_node() {
    let place = Place::new();
    let [mut ana, mut ben, mut mal, dora] = Person::settle(&place, ["ana", "ben", "mal", "dora"]);
    let group = gather(&ana, &[&ben, &mal, &dora]);
    let thread = ana.start(&group, "Evenings", "How was your day?");
    let earlier = mal.post(&group, &thread, "Fine, said while I was one of you.");
    until_equal(&group, &[&ana, &ben, &mal, &dora]);
    let member = mal.member(&group);

    // Ana removes mal when neither mal nor ben can hear of it.
    mal.depart();
    ben.depart();
    let removal = remove(&ana, &group, &member);
    until_equal(&group, &[&ana, &dora]);

    // Mal writes as if from before, alone, and meets only ben, who knows of nothing.
    let late = mal.post(&group, &thread, "Written late, as if I were one of you.");
    let titled = mal.start(&group, "A late thread", "Opened late.");
    ana.depart();
    let dora_saw = dora.view(&group);
    ben.arrive_with(&["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    until_equal(&group, &[&ben, &dora]);
    mal.arrive();
    mal.until_state(&group, "removed");
    assert_eq!(dora.view(&group), dora_saw);
    ana.arrive();
    until_equal(&group, &[&ana, &ben, &dora]);
    for person in [&ana, &ben, &dora] {
        let view = person.view(&group);
        assert!(view.contains_key(&earlier), "what was said before stands");
        assert!(!view.contains_key(&late) && view.values().all(|post| post.thread != titled));
        assert!(person.ask(&["search", &group, "late"]).as_array().unwrap().is_empty());
        assert!(!person.ranks(&group).contains_key("mal"));
        assert_eq!(person.ask(&["explain", &group, &earlier])["counts"], true);
        let why = person.ask(&["explain", &group, &member]);
        assert_eq!((&why["counts"], &why["entry"]), (&false.into(), &removal.as_str().into()));
    }
    let why = mal.ask(&["explain", &group, &late]);
    assert_eq!((&why["counts"], &why["rule"]), (&false.into(), &"A4".into()), "{why}");
    assert_eq!(why["entry"], removal.as_str());
    assert!(mal.run(&["post", &group, &thread], "Again.").refusal().contains("not a member"));
}

#[test]
fn a4_what_was_handed_to_someone_who_had_not_heard_counts_nowhere_in_the_end() {
    let place = Place::new();
    let [mut ana, mut ben, mut mal] = Person::settle(&place, ["ana", "ben", "mal"]);
    let group = gather(&ana, &[&ben, &mal]);
    let thread = ana.start(&group, "Evenings", "How was your day?");
    until_equal(&group, &[&ana, &ben, &mal]);
    let member = mal.member(&group);
    mal.depart();
    ben.depart();
    let removal = remove(&ana, &group, &member);
    ana.depart();

    // Only ben and mal are there. To ben, mal is a member like any other.
    let late = mal.post(&group, &thread, "Handed to ben, who had not heard.");
    ben.arrive();
    mal.arrive();
    ben.until_read(&group, &late);
    assert_eq!(ben.ask(&["explain", &group, &late])["counts"], true);
    let answer = ben.post(&group, &thread, "Good to hear from you, mal.");
    mal.until_read(&group, &answer);
    mal.depart();

    ana.arrive();
    until_equal(&group, &[&ana, &ben]);
    for person in [&ana, &ben] {
        let view = person.view(&group);
        assert!(!view.contains_key(&late), "{} still shows it", person.name);
        assert!(view.contains_key(&answer), "what ben wrote is ben's");
        assert!(!person.ranks(&group).contains_key("mal"));
    }
    // Ben's node holds what it was handed; it says why that does not count.
    let why = ben.ask(&["explain", &group, &late]);
    assert_eq!((&why["counts"], &why["rule"]), (&false.into(), &"A4".into()), "{why}");
    assert_eq!(why["entry"], removal.as_str());

    mal.arrive();
    mal.until_state(&group, "removed");
    assert_eq!(mal.ask(&["explain", &group, &late])["counts"], false);
}

#[test]
fn k4_a_removed_member_opens_nothing_that_follows() {
    let place = Place::new();
    let [ana, ben, mut mal] = Person::settle(&place, ["ana", "ben", "mal"]);
    let group = gather(&ana, &[&ben, &mal]);
    let thread = ana.start(&group, "The open window", "Everyone can read this.");
    let known = until("mal reads the first post", || mal.view(&group).into_iter().next());
    until_equal(&group, &[&ana, &ben, &mal]);

    drop(remove(&ana, &group, "mal"));
    mal.until_state(&group, "removed");
    let (title, body) = ("Quince and saffron", "Tangerine dusk over the weir.");
    drop(ben.start(&group, title, body));
    let reply = ana.post(&group, &thread, "Marzipan lanterns, for those who stayed.");
    let agreement = ana.file("agreement", b"Cinnabar orchard: we listen.");
    drop(ana.ask(&["group", "agreement", &group, "--set", "--file", text(&agreement)]));
    let edited = ana.post(&group, &thread, "To be changed.");
    drop(ana.tell(&["edit", &group, &edited], "Verbena at low tide."));
    until_equal(&group, &[&ana, &ben]);
    assert!(ben.view(&group).contains_key(&reply));
    // Mal comes back once more and asks everyone there is.
    mal.depart();
    mal.arrive();
    mal.until_state(&group, "removed");
    let newest = ana.post(&group, &thread, "Paprika moths, written while mal was connected.");
    ben.until_read(&group, &newest);

    // Through the program: reading, searching, exporting.
    let words = [title, "Tangerine", "Marzipan lanterns", "Cinnabar", "Verbena at low", "Paprika moths"];
    let view = mal.view(&group);
    assert_eq!(view.get(&known.0), Some(&known.1), "what mal has read, mal may keep");
    let mut sight = format!("{view:?}");
    let everything: [&[&str]; 5] = [
        &["threads", &group],
        &["group", "agreement", &group],
        &["group", "show", &group],
        &["acts", &group],
        &["export", &group],
    ];
    for command in everything {
        let ran = mal.run(&[command, &["--json"]].concat(), "");
        sight.push_str(&ran.stdout);
    }
    for word in words {
        assert!(!sight.contains(word), "mal reads \"{word}\"");
        let hits = mal.ask(&["search", &group, word]);
        assert!(hits.as_array().unwrap().is_empty(), "mal finds \"{word}\": {hits}");
    }

    // The rows behind it, unlocked with mal's own passphrase, and the bytes of all of mal's files.
    mal.depart();
    let store = Home::open(&mal.home).unwrap().unlock(PASSPHRASE).unwrap();
    let mut rows = String::new();
    for group in store.groups().unwrap() {
        let threads = store.threads(group).unwrap();
        assert!(!threads.is_empty(), "the store was opened, and there is something in it");
        for summary in &threads {
            rows.push_str(&format!("{:?}", store.thread(group, summary.row.document).unwrap()));
        }
        rows.push_str(&format!("{threads:?} {:?}", store.agreement(group).unwrap()));
        rows.push_str(&format!("{:?}", store.snapshot(group).unwrap().entries.len()));
    }
    drop(store);
    assert!(rows.contains("Everyone can read this."));
    for word in words {
        assert!(!rows.contains(word), "\"{word}\" is in mal's rows");
    }
    let secrets = words.map(|word| Secret::text(word, word));
    assert_eq!(found(&secrets, &files_below(&mal.home)), Vec::<String>::new());
}
