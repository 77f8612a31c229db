//! Without anybody between.

use cairn_node::config::Way;
use cairn_node::network::Why;
use cairn_tests::circle::{gather, gather_through, until_equal};
use cairn_tests::net::{Mapping, Net};
use cairn_tests::patience::until;
use cairn_tests::person::Person;
use cairn_tests::place::Place;
use cairn_tests::relay::with_addresses;

use super::bare::{Bare, Call, relay};
use super::{OPEN, reach};

#[test]
fn a_member_behind_a_router_and_one_in_the_open_meet() {
    let Some(net) = Net::new("a_member_behind_a_router_and_one_in_the_open_meet") else { return };
    let place = Place::new();
    let home = net.home("home", Mapping::Steady);
    let mut ana = Person::at(&place, "ana", &net.machine("ana"));
    let mut ben = Person::at(&place, "ben", &home.machine("ben"));
    ana.arrive_with(&OPEN);
    ben.arrive_with(&OPEN);
    let group = gather(&ana, &[&ben]);
    let thread = ana.start(&group, "Evenings", "How was your day?");
    let answer = ben.post(&group, &thread, "Long.");
    ana.until_read(&group, &answer);
    until_equal(&group, &[&ana, &ben]);
    assert_eq!(reach(&ana, &group)["how"], "direct");
    assert!(reach(&ana, &group)["why"].as_str().unwrap().contains("somebody outside"));
    // Nobody has tried to come in at ben's: there is no keeper that could.
    assert_eq!(reach(&ben, &group)["how"], "unknown");
    assert!(reach(&ben, &group)["hint"].as_str().unwrap().contains("keeper"));
    let peers = ben.ask(&["peers", &group]);
    assert_eq!(
        (&peers["peers"][0]["state"], &peers["peers"][0]["through"]),
        (&"connected".into(), &"direct".into())
    );
    // When ana comes back, ben finds her where she was.
    ana.depart();
    let late = ben.post(&group, &thread, "Are you there?");
    ana.arrive_with(&OPEN);
    ana.until_read(&group, &late);
}

#[test]
fn in_the_open_a_keeper_calls_back() {
    let Some(net) = Net::new("in_the_open_a_keeper_calls_back") else { return };
    let keeper = relay(&net.machine("keeper"), Call::Tcp);
    let mut node = Bare::at(&net.machine("node"), 1, Way::default(), &[keeper]);
    node.reached(|judged| judged.why == Why::CalledBack);
}

#[test]
fn on_a_segment_without_an_uplink_members_find_each_other_by_multicast() {
    let Some(net) = Net::new("on_a_segment_without_an_uplink") else { return };
    let place = Place::new();
    let island = net.island("island");
    let mut ana = Person::at(&place, "ana", &island.machine("ana"));
    let mut ben = Person::at(&place, "ben", &island.machine("ben"));
    ana.arrive_with(&["--no-upnp"]);
    ben.arrive_with(&["--no-upnp"]);
    // The code says who ana is, and not where.
    let group = gather_through(&ana, &[&ben], |code| with_addresses(code, &[]));
    let thread = ana.start(&group, "Evenings", "How was your day?");
    until("ben reads it", || {
        ben.view(&group).into_values().any(|post| post.thread == thread).then_some(())
    });
    until_equal(&group, &[&ana, &ben]);
}
