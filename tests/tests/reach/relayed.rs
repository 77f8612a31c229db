//! Through a keeper's relay, and from there on directly where a hole can be punched.

use cairn_node::config::{Reach, Way};
use cairn_node::network::{How, NetworkEvent};
use cairn_tests::net::{Mapping, Net};
use cairn_tests::place::Place;

use super::bare::{Bare, Call, befriend, relay, send};

/// Two members behind routers, through a relay that is called so.
fn punched(test: &str, call: Call) {
    let Some(net) = Net::new(test) else { return };
    let keeper = relay(&net.machine("keeper"), call);
    let (one, other) = (net.home("one", Mapping::Steady), net.home("other", Mapping::Steady));
    let (at_a, at_b) = (one.machine("a"), other.machine("b"));
    let mut a = Bare::at(&at_a, 1, Way::default(), std::slice::from_ref(&keeper));
    let mut b = Bare::at(&at_b, 2, Way::default(), std::slice::from_ref(&keeper));
    befriend(&a, &b);
    let told = b.circuits();
    b.reached(|judged| judged.how == How::Relay);
    a.circuits();
    a.seek(&b, &told);
    a.until_relayed(b.key, true);
    a.until_relayed(b.key, false);
    b.until_relayed(a.key, false);
    // What is said now goes from home to home.
    let place = Place::new();
    let capture = at_b.listen(&place.path().join("b.pcap"));
    let bytes = send(&mut a, &mut b, 20, 20_000);
    let from = one.address.unwrap();
    let heard = capture.packets();
    let directly: usize = heard.iter().filter(|p| p.from == from).map(|p| p.bytes).sum();
    assert!(directly > bytes, "only {directly} bytes came directly: {heard:#?}");
}

#[test]
fn a_hole_is_punched_over_tcp() {
    punched("a_hole_is_punched_over_tcp", Call::Tcp);
}

#[test]
fn a_hole_is_punched_over_quic() {
    punched("a_hole_is_punched_over_quic", Call::Quic);
}

#[test]
fn where_no_hole_can_be_punched_the_relay_carries_all() {
    let Some(net) = Net::new("where_no_hole_can_be_punched_the_relay_carries_all") else { return };
    let keeper = relay(&net.machine("keeper"), Call::Tcp);
    let (one, other) = (net.home("one", Mapping::Random), net.home("other", Mapping::Random));
    let (at_a, at_b) = (one.machine("a"), other.machine("b"));
    let mut a = Bare::at(&at_a, 1, Way::default(), std::slice::from_ref(&keeper));
    let mut b = Bare::at(&at_b, 2, Way::default(), std::slice::from_ref(&keeper));
    befriend(&a, &b);
    let told = b.circuits();
    a.circuits();
    a.seek(&b, &told);
    a.until_relayed(b.key, true);
    b.until_relayed(a.key, true);
    assert_eq!(send(&mut a, &mut b, 20, 100_000), 2_000_000);
    for bare in [&mut a, &mut b] {
        let direct =
            |event: &&NetworkEvent| matches!(event, NetworkEvent::Relayed { relayed: false, .. });
        assert_eq!(bare.told().iter().filter(direct).count(), 0);
    }
}

#[test]
fn with_relays_only_a_members_address_appears_nowhere_at_the_other_side() {
    let Some(net) = Net::new("with_relays_only_a_members_address_appears_nowhere") else { return };
    let at_keeper = net.machine("keeper");
    let keeper = relay(&at_keeper, Call::Tcp);
    let home = net.home("home", Mapping::Steady);
    let (at_a, at_b) = (home.machine("a"), net.machine("b"));
    let hidden = Way { reach: Reach::RelayOnly, proxy: None };
    let place = Place::new();
    let capture = at_b.listen(&place.path().join("b.pcap"));
    let at_home = at_a.listen(&place.path().join("a.pcap"));
    let mut a = Bare::at(&at_a, 1, hidden, std::slice::from_ref(&keeper));
    let mut b = Bare::at(&at_b, 2, Way::default(), std::slice::from_ref(&keeper));
    befriend(&a, &b);
    let told = a.circuits();
    let text = format!("{told:?}");
    assert!(!text.contains(&at_a.address.to_string()), "{text}");
    assert!(!text.contains(&home.address.unwrap().to_string()), "{text}");
    // Either calls the other. What b says of itself is an address in the open, which a must not
    // call.
    let open: Vec<_> = b.wait("where b listens", |event| match event {
        NetworkEvent::Listening(told) if told.len() > 1 => Some(told.clone()),
        _ => None,
    });
    let open: Vec<_> = open.into_iter().map(|at| at.try_into().unwrap()).collect();
    a.seek(&b, &open);
    b.seek(&a, &told);
    b.until_relayed(a.key, true);
    a.until_relayed(b.key, true);
    send(&mut a, &mut b, 20, 20_000);
    send(&mut b, &mut a, 20, 20_000);
    let sent: Vec<_> = at_home.packets().into_iter().filter(|p| p.from == at_a.address).collect();
    assert!(sent.len() > 50, "{}", sent.len());
    assert_eq!(sent.iter().find(|packet| packet.to != at_keeper.address), None);
    let hidden = [at_a.address, home.address.unwrap()];
    let heard = capture.packets();
    assert!(heard.iter().any(|packet| packet.from == at_keeper.address));
    let shown = |p: &&cairn_tests::net::Packet| hidden.contains(&p.from) || hidden.contains(&p.to);
    assert_eq!(heard.iter().find(shown), None);
}

#[test]
fn with_relays_only_a_member_that_lies_about_the_keeper_hears_nothing() {
    let Some(net) = Net::new("with_relays_only_a_member_that_lies_hears_nothing") else { return };
    let at_keeper = net.machine("keeper");
    let keeper = relay(&at_keeper, Call::Tcp);
    let home = net.home("home", Mapping::Steady);
    let (at_a, at_b) = (home.machine("a"), net.machine("b"));
    let place = Place::new();
    let capture = at_b.listen(&place.path().join("b.pcap"));
    // While the keeper is away, a is told that it, or another relay, is where b is.
    at_keeper.cut();
    let hidden = Way { reach: Reach::RelayOnly, proxy: None };
    let mut a = Bare::at(&at_a, 1, hidden, std::slice::from_ref(&keeper));
    let b = Bare::at(&at_b, 2, Way::default(), &[]);
    befriend(&a, &b);
    let peer = |key: &[u8; 32]| {
        let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(key).unwrap();
        libp2p::PeerId::from_public_key(&key.into())
    };
    let lies = [keeper.transport.as_bytes(), b.key.as_bytes()].map(|relay| {
        let circuit = format!("/ip4/{}/tcp/4001/p2p/{}/p2p-circuit", at_b.address, peer(relay));
        circuit.parse().unwrap()
    });
    a.seek(&b, &lies);
    let b_key = b.key;
    a.wait("b is not reached", |event| {
        matches!(event, NetworkEvent::Unreachable { peer, .. } if *peer == b_key).then_some(())
    });
    at_keeper.mend();
    a.circuits();
    let hidden = [at_a.address, home.address.unwrap()];
    let heard = capture.packets();
    let shown = |p: &&cairn_tests::net::Packet| hidden.contains(&p.from) || hidden.contains(&p.to);
    assert_eq!(heard.iter().find(shown), None);
}
