//! Through a SOCKS proxy, and through nothing else.

use std::net::{Ipv4Addr, SocketAddr};

use cairn_node::config::{self, Reach, Way};
use cairn_tests::circle::{gather, until_equal};
use cairn_tests::net::{Net, Packet, Proxy};
use cairn_tests::patience::until;
use cairn_tests::person::Person;
use cairn_tests::place::Place;

use super::bare::{Bare, Call, befriend, relay, send};
use super::{OPEN, reach};

/// What a machine sends, or is sent, to or from anybody but one.
fn elsewhere(packets: &[Packet], own: Ipv4Addr, only: Ipv4Addr) -> Option<&Packet> {
    packets.iter().find(|packet| match (packet.from == own, packet.to == own) {
        (true, _) => packet.to != only,
        (_, true) => packet.from != only,
        // What the segment itself says to all.
        _ => false,
    })
}

#[test]
fn through_a_proxy_nothing_goes_anywhere_else_and_members_see_the_proxy() {
    let Some(net) = Net::new("through_a_proxy_nothing_goes_anywhere_else") else { return };
    let place = Place::new();
    let (outside, hidden, between) = (net.machine("ana"), net.machine("ben"), net.machine("proxy"));
    let proxy = Proxy::at(&between, &[]);
    let mut ana = Person::at(&place, "ana", &outside);
    let mut ben = Person::at(&place, "ben", &hidden);
    for person in [&mut ana, &mut ben] {
        person.log_level = "trace".to_owned();
    }
    let at_ben = hidden.listen(&place.path().join("ben.pcap"));
    let at_ana = outside.listen(&place.path().join("ana.pcap"));
    ana.arrive_with(&OPEN);
    // Multicast and the router would be asked, if the proxy did not forbid it.
    ben.arrive_with(&["--proxy", &proxy.url()]);
    assert_eq!(ben.ready()["listen"].as_array().unwrap().len(), 0);
    let group = gather(&ana, &[&ben]);
    let thread = ana.start(&group, "Evenings", "How was your day?");
    let answer = ben.post(&group, &thread, "Long.");
    ana.until_read(&group, &answer);
    // What was said once is remembered.
    ben.depart();
    ben.arrive_with(&[]);
    let late = ana.post(&group, &thread, "Sleep well.");
    ben.until_read(&group, &late);
    until_equal(&group, &[&ana, &ben]);
    assert_eq!(ben.ask(&["status"])["way"], "Everything goes through the proxy.");
    let refused = ben.run(&["up", "--listen", "/ip4/0.0.0.0/tcp/0"], "");
    assert_ne!(refused.code, Some(0));

    let packets = at_ben.packets();
    assert!(packets.len() > 20, "only {} packets were heard", packets.len());
    assert_eq!(elsewhere(&packets, hidden.address, between.address), None);
    let seen = at_ana.packets();
    assert!(seen.iter().any(|packet| packet.from == between.address));
    let direct = seen.iter().find(|p| p.from == hidden.address || p.to == hidden.address);
    assert_eq!(direct, None);
    let asked = proxy.asked();
    assert!(asked.names.is_empty() && asked.addresses.iter().any(|a| a.ip() == outside.address));
    // A new user for each run.
    assert_eq!(asked.users.len(), 2);
}

#[test]
fn through_a_proxy_a_keeper_is_found_by_its_name() {
    let Some(net) = Net::new("through_a_proxy_a_keeper_is_found_by_its_name") else { return };
    let place = Place::new();
    let (at_keeper, between) = (net.machine("keeper"), net.machine("proxy"));
    let (at_a, at_b) = (net.machine("a"), net.machine("b"));
    let mut keeper = relay(&at_keeper, Call::Tcp);
    keeper.addresses = vec!["/dns4/keeper.example/tcp/4001".parse().unwrap()];
    let proxy = Proxy::at(&between, &[("keeper.example", at_keeper.address)]);
    let way = Way { reach: Reach::Direct, proxy: Some(config::Proxy(proxy.address)) };
    let captures = [&at_a, &at_b].map(|at| (at.address, at.listen(&place.path().join(at.space()))));
    let mut a = Bare::at(&at_a, 1, way, std::slice::from_ref(&keeper));
    let mut b = Bare::at(&at_b, 2, way, std::slice::from_ref(&keeper));
    befriend(&a, &b);
    a.circuits();
    let told = b.circuits();
    assert!(told.iter().all(|at| at.to_string().starts_with("/dns4/keeper.example")), "{told:?}");
    a.seek(&b, &told);
    // A member is never looked for by a name.
    a.seek(&b, &["/dns4/tracker.example/tcp/4001".parse().unwrap()]);
    a.until_relayed(b.key, true);
    send(&mut a, &mut b, 3, 1000);
    for (own, capture) in captures {
        let packets = capture.packets();
        assert!(packets.len() > 20);
        assert_eq!(elsewhere(&packets, own, between.address), None);
    }
    assert_eq!(proxy.asked().names, ["keeper.example".to_owned()].into());
}

#[test]
fn a_proxy_that_is_down_is_named_and_waited_for() {
    let Some(net) = Net::new("a_proxy_that_is_down_is_named_and_waited_for") else { return };
    let place = Place::new();
    let between = net.machine("proxy");
    let mut ana = Person::at(&place, "ana", &net.machine("ana"));
    let mut ben = Person::at(&place, "ben", &net.machine("ben"));
    ana.arrive_with(&OPEN);
    let expected = SocketAddr::from((between.address, 1080));
    ben.arrive_with(&["--proxy", &format!("socks5://{expected}")]);
    let group = ana.ask(&["group", "create", "Thursday circle", "--as", "ana"])["group"]
        .as_str()
        .unwrap()
        .to_owned();
    let code = ana.invite(&group, 1);
    assert_eq!(ben.join(&code)["state"], "waiting");
    let why = until("the proxy is named", || {
        let reach = reach(&ben, &group);
        let why = reach["why"].as_str().unwrap().to_owned();
        why.contains("the proxy does not answer").then_some((why, reach["hint"].clone()))
    });
    assert!(why.1.as_str().unwrap().contains("Start the proxy"), "{why:?}");
    let doctor = ben.run(&["doctor"], "");
    assert!(doctor.code == Some(1) && doctor.stdout.contains("the proxy does not answer"));
    // The node goes on, and so it goes when the proxy is there.
    let proxy = Proxy::at(&between, &[]);
    assert_eq!(proxy.address, expected);
    ana.admit(&group, 1);
    ben.until_state(&group, "member");
    until("nothing is said of the proxy any more", || {
        (!reach(&ben, &group)["why"].as_str().unwrap().contains("proxy does")).then_some(())
    });
}
