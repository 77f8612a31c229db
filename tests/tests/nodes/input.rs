//! What people get wrong: a clear sentence, a non-zero exit code, and nothing lost.

use cairn_crdt::limits::BODY_BYTES;
use cairn_tests::circle::string;
use cairn_tests::person::{LOOPBACK, Person, text};
use cairn_tests::place::Place;
use cairn_tests::program::Ran;

#[test]
fn a_wrong_passphrase_opens_nothing_and_changes_nothing() {
    let place = Place::new();
    let mut ana = Person::new(&place, "ana");
    drop(ana.ask(&["init"]));
    let group = string(&ana.ask(&["group", "create", "Quiet hour", "--as", "ana"]), "group");
    let right = ana.passphrase_file.clone();
    ana.passphrase_file = ana.file("wrong", b"eight quiet herons by the weir\n");
    let up = [&["up"], LOOPBACK.as_slice()].concat();
    for command in [&["threads", &group][..], &up] {
        let ran = ana.run(command, "");
        let said = ran.refusal();
        assert!(said.starts_with("This passphrase does not open the store."), "{said}");
        assert!(said.contains("Hint: "), "{said}");
    }
    ana.passphrase_file = ana.file("none", b"\n");
    assert!(ana.run(&["threads", &group], "").refusal().contains("is empty"));
    ana.passphrase_file = place.path().join("nowhere");
    assert!(ana.run(&["threads", &group], "").refusal().contains("cannot be used"));
    ana.passphrase_file = right;
    assert_eq!(ana.state(&group).as_deref(), Some("member"));
}

#[test]
fn a_home_belongs_to_one_process_at_a_time() {
    let place = Place::new();
    let mut ana = Person::new(&place, "ana");
    assert!(ana.run(&["status"], "").refusal().contains("There is no store in"));
    let up = [&["up"], LOOPBACK.as_slice()].concat();
    assert!(ana.run(&up, "").refusal().contains("cairn init"));
    drop(ana.ask(&["init"]));
    assert!(ana.run(&["init"], "").refusal().contains("Nothing was changed."));
    ana.arrive();
    // It is said before a passphrase is asked for.
    let right = std::mem::replace(&mut ana.passphrase_file, place.path().join("nowhere"));
    let ran = ana.run(&up, "");
    let said = ran.refusal();
    assert!(said.starts_with("Your node is running already."), "{said}");
    ana.passphrase_file = right;
    assert!(said.contains("Hint: "), "{said}");
    // The first node is none the worse for it.
    let group = string(&ana.ask(&["group", "create", "Quiet hour", "--as", "ana"]), "group");
    assert_eq!(ana.state(&group).as_deref(), Some("member"));
    ana.depart();
    // A node that was killed leaves a lock file and a socket behind, and no lock.
    ana.arrive();
    ana.kill();
    assert!(ana.home.join("api.sock").exists());
    assert_eq!(ana.state(&group).as_deref(), Some("member"));
    ana.arrive();
}

#[test]
fn what_cannot_be_a_post_is_refused_in_a_sentence_and_nothing_is_lost() {
    let place = Place::new();
    let [mut ana] = Person::settle(&place, ["ana"]);
    let group = string(&ana.ask(&["group", "create", "Quiet hour", "--as", "ana"]), "group");
    let thread = ana.start(&group, "Evenings", "How was your day?");
    let before = ana.view(&group);
    let bytes = |words: &[&str], bytes: &[u8]| Ran::of(ana.program().args(words), bytes);

    let post = ["post", &group, &thread];
    let refusals = [
        (ana.run(&post, &"x".repeat(BODY_BYTES + 1)), "too long"),
        (ana.run(&post, &"x".repeat(3 * BODY_BYTES)), "too long"),
        (bytes(&post, b"not \xff text"), "not readable as text (UTF-8)"),
        (ana.run(&post, " \n"), "There is no text"),
        (ana.run(&["post", "Loud hour", &thread], "Hello."), "There is no group \"Loud hour\""),
        (ana.run(&["post", &group, "Mornings"], "Hello."), "There is no thread \"Mornings\""),
        (ana.run(&["read", &group, "Mornings"], ""), "There is no thread"),
        (ana.run(&["admit", &group, "nobody"], ""), "There is no request"),
        (ana.run(&["grant", &group, "nobody", "member"], ""), "There is no member"),
        (ana.run(&["erase", &group, "abcdefgh"], ""), "There is no"),
        (ana.run(&["explain", &group, "abcdefgh"], ""), "There is no"),
        (ana.run(&["thread", "start", &group, "--title", &"t".repeat(300)], "Hello."), "too long"),
        (ana.run(&["group", "create", "Other", "--as", &"n".repeat(60)], ""), "1 to 40 characters"),
    ];
    for (ran, words) in &refusals {
        assert!(ran.refusal().contains(words), "it was to say \"{words}\": {ran:?}");
    }
    assert_eq!(ana.view(&group), before);
    assert_eq!(ana.ask(&["group", "list"]).as_array().unwrap().len(), 1);

    // The longest post there may be goes through, whatever its letters.
    let longest = "ü".repeat(BODY_BYTES / 2);
    let written = ana.post(&group, &thread, &longest);
    assert_eq!(ana.view(&group)[&written].body, longest);
    // A command put wrongly is another matter than one refused.
    assert_eq!(ana.run(&["post"], "").code, Some(2));
    assert_eq!(ana.run(&["invite", &group, "--expires", "soon"], "").code, Some(2));

    // An address that is none, and one that is taken.
    ana.depart();
    let up = |address: &str| ana.run(&["up", "--no-mdns", "--listen", address], "");
    let ran = up("localhost:4001");
    assert!(ran.refusal().contains("which is no address"), "{ran:?}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = up(&format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port()));
    assert!(ran.refusal().contains("cannot listen on"), "{ran:?}");
    ana.arrive();
    assert_eq!(ana.view(&group)[&written].body, longest);
}

#[test]
fn a_pseudonym_that_looks_like_a_name_gets_a_warning_and_is_taken() {
    let place = Place::new();
    let ana = Person::new(&place, "ana");
    drop(ana.ask(&["init"]));
    let create = |name: &str, pseudonym: &str| {
        ana.run(&["group", "create", name, "--as", pseudonym, "--json"], "")
    };
    for (name, pseudonym) in [("one", "Anna Berg"), ("two", "heron1987"), ("three", "a@b.org")] {
        let ran = create(name, pseudonym);
        assert!(ran.stderr.contains("Warning: this pseudonym "), "{pseudonym}: {ran:?}");
        let group = string(&ran.json(), "group");
        assert!(ana.ranks(&group).contains_key(pseudonym), "it is the person's choice");
    }
    let ran = create("four", "quiet heron");
    assert!(!ran.stderr.contains("Warning"), "{ran:?}");
    drop(ran.json());
    // Without one, a suggestion is taken, and said.
    let ran = ana.run(&["group", "create", "five"], "");
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("You will be called \""), "{ran:?}");
    assert!(!text(&ana.home).is_empty());
}
