//! Nothing that was said, and no key, is anywhere unencrypted: not in a file, a log or the traffic
//! (what must always hold, 5).

use std::fs;

use cairn_crdt::capability::invite::Code;
use cairn_crdt::identity::seed::Seed;
use cairn_tests::circle::{string, until_equal};
use cairn_tests::patience::until;
use cairn_tests::person::{Person, text};
use cairn_tests::place::{PASSPHRASE, Place};
use cairn_tests::relay::{Relay, listening};
use cairn_tests::traces::{Secret, files_below, found};

const NAME: &str = "canary-group-bullfinch";
const TITLE: &str = "canary-title-goldcrest";
const BODY: &str = "canary-body-nuthatch";
const ANSWER: &str = "canary-answer-wagtail";
const INTRODUCTION: &str = "canary-introduction-siskin";
const AGREEMENT: &str = "canary-agreement-dunnock";
const REASON: &str = "canary-reason-whimbrel";
const NOTE: &str = "canary-note-redpoll";
const ANA: &str = "canary-ana-kingfisher";
const BEN: &str = "canary-ben-treecreeper";
const SOUGHT: &str = "canary-search-turnstone";

/// The recovery words that `init` shows, any three of which are a secret (two may be too short to be
/// told from chance), and the seed behind them.
fn recovery(person: &Person) -> Vec<Secret> {
    let answer = person.ask(&["init"]);
    let words: Vec<String> = answer["recovery"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(words.len(), 24);
    let seed = Seed::from_words(&words.join(" ")).unwrap();
    let threes = words.windows(3).flat_map(|three| {
        [" ", "\",\"", "\n"].map(|between| Secret::text("recovery words", &three.join(between)))
    });
    threes.chain([Secret::bytes("the recovery seed", seed.to_bytes().as_slice())]).collect()
}

#[test]
fn nothing_that_was_said_and_no_key_is_in_a_file_a_log_or_the_traffic() {
    let place = Place::new();
    let (mut ana, mut ben) = (Person::new(&place, "one"), Person::new(&place, "two"));
    for person in [&mut ana, &mut ben] {
        // Everything that there is to log, and no passphrase in the folder that is searched.
        person.log_level = "trace".to_owned();
    }
    let mut secrets = [recovery(&ana), recovery(&ben)].concat();
    ana.arrive();
    ben.arrive();
    let founded = ana.ask(&["group", "create", NAME, "--as", ANA]);
    let group = string(&founded, "group");
    let relay = Relay::before(until("ana's node listens for the group", || {
        let peers = ana.ask(&["peers", &group]);
        peers["listen"].get(0).is_some().then(|| listening(&peers))
    }));

    // Ben's node knows no other address of ana's than the relay's.
    let code = ana.invite(&group, 1);
    let words = ben.file("words", INTRODUCTION.as_bytes());
    let through = relay.instead(&code);
    drop(ben.ask(&["join", &through, "--as", BEN, "--words-file", text(&words)]));
    fs::remove_file(words).unwrap();
    ana.admit(&group, 1);
    ben.until_state(&group, "member");
    let thread = string(
        &ana.tell(&["thread", "start", &group, "--title", TITLE, "--note", NOTE], BODY),
        "thread",
    );
    let agreement = ana.file("agreement", AGREEMENT.as_bytes());
    drop(ana.ask(&["group", "agreement", &group, "--set", "--file", text(&agreement)]));
    fs::remove_file(agreement).unwrap();
    until("ben can read the thread", || {
        (!ben.ask(&["threads", &group]).as_array().unwrap().is_empty()).then_some(())
    });
    let answer = ben.post(&group, &thread, ANSWER);
    ana.until_read(&group, &answer);
    drop(ana.ask(&["hide", &group, &answer, "--rule", "kindness", "--reason", REASON]));
    for person in [&ana, &ben] {
        drop(person.ask(&["search", &group, SOUGHT]));
        // What is refused and logged, too.
        drop(person.run(&["read", &group, SOUGHT], ""));
        drop(person.run(&["join", &code.replace("cairn:", "cairn:x"), "--as", BEN], ""));
    }
    until_equal(&group, &[&ana, &ben]);

    // It is all there for those whose it is: otherwise this would be a search for nothing.
    for person in [&ana, &ben] {
        let sight = format!(
            "{:?} {} {} {:?}",
            person.pages(&group),
            person.ask(&["group", "list"]),
            person.ask(&["group", "agreement", &group]),
            person.ranks(&group),
        );
        for seen in [NAME, TITLE, BODY, ANSWER, AGREEMENT, NOTE, ANA, BEN, REASON] {
            assert!(sight.contains(seen), "{} cannot read {seen}: {sight}", person.name);
        }
    }

    let said = [
        NAME,
        TITLE,
        BODY,
        ANSWER,
        INTRODUCTION,
        AGREEMENT,
        REASON,
        NOTE,
        ANA,
        BEN,
        SOUGHT,
        PASSPHRASE,
    ];
    secrets.extend(said.map(|said| Secret::text(said, said)));
    let opened = Code::from_text(&code).unwrap();
    secrets.push(Secret::bytes("the invite's secret", &opened.invite_secret));
    secrets.push(Secret::bytes("the group's salt", &opened.salt));
    secrets.push(Secret::text("the code", code.trim_start_matches("cairn:").get(..40).unwrap()));

    // Files of the nodes that run, of one that was killed, of one that was stopped; what they
    // printed; what they left among temporary files.
    fs::remove_file(place.passphrase_file()).unwrap();
    let searched = files_below(place.path());
    assert!(
        searched.iter().any(|(path, bytes)| path.ends_with("store.db-wal") && bytes.len() > 4096)
    );
    assert!(searched.iter().any(|(path, bytes)| path.ends_with("one-1.err") && !bytes.is_empty()));
    assert_eq!(found(&secrets, &searched), Vec::<String>::new());
    ben.kill();
    ana.depart();
    let searched = files_below(place.path());
    assert!(
        searched.iter().any(|(path, bytes)| path.ends_with("one/store.db") && bytes.len() > 4096)
    );
    assert_eq!(found(&secrets, &searched), Vec::<String>::new());

    // What passed between the two.
    let heard = relay.heard();
    let bytes: usize = heard.iter().map(Vec::len).sum();
    assert!(bytes > 8 * 1024, "only {bytes} bytes went through the relay");
    let traffic: Vec<_> = heard.into_iter().map(|bytes| ("the traffic".into(), bytes)).collect();
    assert_eq!(found(&secrets, &traffic), Vec::<String>::new());
}
