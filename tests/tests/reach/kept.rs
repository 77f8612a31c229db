//! With a keeper that is the real program: members behind routers, members who are hidden, members
//! who are never there at the same time.

use cairn_tests::circle::{string, until_equal};
use cairn_tests::net::{Mapping, Net, Packet};
use cairn_tests::patience::until;
use cairn_tests::person::Person;
use cairn_tests::place::Place;
use cairn_tests::traces::{Secret, files_below, found};

use super::{OPEN, reach};

/// By which way a person reaches the one other node of their group, as soon as they do.
fn through(person: &Person, group: &str) -> Option<String> {
    let peers = person.ask(&["peers", group]);
    let peers = peers["peers"].as_array().unwrap();
    let peer = peers.iter().find(|peer| peer["state"] == "connected")?;
    Some(string(peer, "through"))
}

fn add_keeper(founder: &Person, group: &str, keeper: &Person) {
    drop(founder.ask(&["group", "keeper", "add", group, &keeper.keeper_code()]));
}

/// Founds a group that has a keeper, and makes a code for one newcomer once the founder can be
/// called through the keeper.
fn found_with(ana: &Person, keeper: &Person) -> (String, String) {
    let founded = ana.ask(&["group", "create", "Thursday circle", "--as", "ana"]);
    let group = string(&founded, "group");
    add_keeper(ana, &group, keeper);
    until("ana is reached through the keeper", || {
        (reach(ana, &group)["how"] == "relay").then_some(())
    });
    let code = ana.invite(&group, 1);
    (group, code)
}

fn join(ana: &Person, ben: &Person, group: &str, code: &str) {
    assert_eq!(ben.join(code)["state"], "waiting");
    ana.admit(group, 1);
    ben.until_state(group, "member");
}

#[test]
fn members_behind_two_routers_meet_at_a_keeper_and_go_on_directly() {
    let Some(net) = Net::new("members_behind_two_routers_meet_at_a_keeper") else { return };
    let place = Place::new();
    let keeper = Person::keeper(&place, "keeper", &net.machine("keeper"));
    let (one, other) = (net.home("one", Mapping::Steady), net.home("other", Mapping::Steady));
    let mut ana = Person::at(&place, "ana", &one.machine("ana"));
    let mut ben = Person::at(&place, "ben", &other.machine("ben"));
    ana.arrive_with(&OPEN);
    ben.arrive_with(&OPEN);
    let (group, code) = found_with(&ana, &keeper);
    join(&ana, &ben, &group, &code);
    for person in [&ana, &ben] {
        until("the two have a direct connection", || {
            (through(person, &group).as_deref() == Some("direct")).then_some(())
        });
    }
    let thread = ana.start(&group, "Evenings", "How was your day?");
    let answer = {
        until("ben reads it", || {
            ben.view(&group).into_values().any(|post| post.thread == thread).then_some(())
        });
        ben.post(&group, &thread, "Long.")
    };
    ana.until_read(&group, &answer);
    until_equal(&group, &[&ana, &ben]);
    assert!(reach(&ana, &group)["why"].as_str().unwrap().contains("through a relay"));
}

#[test]
fn a_member_with_relays_only_is_heard_and_leaves_no_address_with_anyone() {
    let Some(net) = Net::new("a_member_with_relays_only_leaves_no_address") else { return };
    let place = Place::new();
    let at_ana = net.machine("ana");
    let keeper = Person::keeper(&place, "keeper", &net.machine("keeper"));
    let home = net.home("home", Mapping::Steady);
    let (mut ana, mut ben) =
        (Person::at(&place, "ana", &at_ana), Person::at(&place, "ben", &home.machine("ben")));
    ana.log_level = "trace".to_owned();
    let capture = at_ana.listen(&place.path().join("ana.pcap"));
    ana.arrive_with(&OPEN);
    ben.arrive_with(&["--reach", "relay-only"]);
    let founded = ana.ask(&["group", "create", "Thursday circle", "--as", "ana"]);
    let group = string(&founded, "group");
    add_keeper(&ana, &group, &keeper);
    let code = until("the code names the keeper's relay", || {
        let code = ana.invite(&group, 2);
        (!ana.standing(&group)["keepers"].is_null()).then_some(code)
    });
    join(&ana, &ben, &group, &code);
    let thread = ana.start(&group, "Evenings", "How was your day?");
    until("ben reads it", || {
        ben.view(&group).into_values().any(|post| post.thread == thread).then_some(())
    });
    let answer = ben.post(&group, &thread, "Long.");
    ana.until_read(&group, &answer);
    until_equal(&group, &[&ana, &ben]);
    assert_eq!(ben.ask(&["status"])["way"], "Members are reached through relays only.");
    until("ben is reached through the keeper", || {
        (reach(&ben, &group)["how"] == "relay").then_some(())
    });

    let (own, router) = (ben.machine.as_ref().unwrap().address, home.address.unwrap());
    let said = ana.ask(&["peers", &group]).to_string();
    let secrets = [own, router].map(|address| Secret::text("an address", &address.to_string()));
    assert!(secrets.iter().all(|secret| !secret.is_in(said.as_bytes())), "{said}");
    ana.depart();
    let files: Vec<_> = files_below(place.path())
        .into_iter()
        .filter(|(path, _)| {
            let of_ana = path.starts_with(&ana.home);
            let logs = path.file_name().unwrap().to_string_lossy().starts_with("ana-");
            let keepers = path.to_string_lossy().contains("/keeper");
            of_ana || logs || keepers
        })
        .collect();
    assert!(files.iter().any(|(path, _)| path.ends_with("ana-1.err")));
    assert_eq!(found(&secrets, &files), Vec::<String>::new());
    let packets = capture.packets();
    assert!(packets.len() > 50);
    let shows = |packet: &&Packet| {
        [own, router].contains(&packet.from) || [own, router].contains(&packet.to)
    };
    assert_eq!(packets.iter().find(shows), None);
}

#[test]
fn members_who_are_never_there_at_the_same_time_join_and_speak_through_a_keeper() {
    let Some(net) = Net::new("members_who_are_never_there_at_the_same_time") else { return };
    let place = Place::new();
    let keeper = Person::keeper(&place, "keeper", &net.machine("keeper"));
    let (one, other) = (net.home("one", Mapping::Random), net.home("other", Mapping::Random));
    let mut ana = Person::at(&place, "ana", &one.machine("ana"));
    let mut ben = Person::at(&place, "ben", &other.machine("ben"));
    ana.arrive_with(&OPEN);
    let (group, code) = found_with(&ana, &keeper);
    let thread = ana.start(&group, "Evenings", "How was your day?");
    stored(&ana, &group);
    ana.depart();

    let asked = || keeper.ask(&["keeper", "status"])["requests"].as_u64().unwrap();
    let before = asked();
    ben.arrive_with(&OPEN);
    assert_eq!(ben.join(&code)["state"], "waiting");
    // The drop-box is opened, the letter put, and an answer looked for.
    until("ben's letter is with the keeper", || (asked() >= before + 3).then_some(()));
    ben.depart();

    ana.arrive_with(&OPEN);
    ana.admit(&group, 1);
    let late = ana.post(&group, &thread, "Welcome, ben.");
    stored(&ana, &group);
    ana.depart();

    ben.arrive_with(&OPEN);
    ben.until_state(&group, "member");
    ben.until_read(&group, &late);
    let answer = ben.post(&group, &thread, "Thank you. Long.");
    stored(&ben, &group);
    ben.depart();

    ana.arrive_with(&OPEN);
    ana.until_read(&group, &answer);
    assert_eq!(ana.standing(&group)["peers"], 0);
}

/// Waits until all that a person has written is with the keeper.
fn stored(person: &Person, group: &str) {
    until(&format!("what {} wrote is with the keeper", person.name), || {
        let standing = person.standing(group);
        let keepers = standing["keepers"].as_array()?;
        let done = |keeper: &serde_json::Value| {
            keeper["open"] == true && keeper["read"] == true && keeper["lacking"] == 0
        };
        (!keepers.is_empty() && keepers.iter().all(done)).then_some(())
    });
}
