//! Which keeper is asked for a place, and when.

use rand_core::SeedableRng as _;

use super::*;

fn keepers(many: usize) -> (Keepers, Vec<PeerId>) {
    let mut keepers = Keepers::new(ChaCha20Rng::from_seed([1; 32]));
    let peers: BTreeSet<PeerId> = (0..many).map(|_| PeerId::random()).collect();
    keepers.set(peers.clone());
    for peer in &peers {
        keepers.connected(peer, format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}").parse().unwrap());
        keepers.speaks(peer, true);
    }
    (keepers, peers.into_iter().collect())
}

fn ask(keepers: &mut Keepers, now: Instant) -> Vec<(PeerId, ListenerId)> {
    let listens = keepers.orders(true, now).into_iter().map(|order| match order {
        Order::Listen(peer, _) => (peer, ListenerId::next()),
        Order::Release(_) => panic!("nothing is to be given up"),
    });
    let listens: Vec<_> = listens.collect();
    for (peer, listener) in &listens {
        keepers.asked(peer, *listener);
    }
    listens
}

#[test]
fn two_places_are_reserved_and_given_up_when_none_is_needed() {
    let (mut keepers, _) = keepers(4);
    let now = Instant::now();
    let asked = ask(&mut keepers, now);
    assert_eq!(asked.len(), policy::RESERVATIONS);
    assert!(keepers.orders(true, now).is_empty() && keepers.circuits().is_empty());
    assert!(keepers.orders(false, now).is_empty(), "what is only asked for is waited for");
    for (peer, _) in &asked {
        keepers.granted(peer, now);
    }
    let circuits = keepers.circuits();
    assert_eq!(circuits.len(), 2);
    assert!(asked.iter().all(|(peer, _)| {
        circuits.contains(&format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}/p2p-circuit").parse().unwrap())
    }));
    let released: BTreeSet<PeerId> = asked.iter().map(|(peer, _)| *peer).collect();
    let released: Vec<Order> = released.into_iter().map(Order::Release).collect();
    assert_eq!(keepers.orders(false, now), released);
}

#[test]
fn who_refuses_rests_longer_each_time_and_the_next_is_asked() {
    let (mut keepers, _) = keepers(3);
    let mut now = Instant::now();
    let asked = ask(&mut keepers, now);
    let (refusing, listener) = asked[0];
    assert_eq!(keepers.closed(listener, true, now), Some(refusing));
    assert_eq!(keepers.closed(listener, true, now), None, "once is enough");
    let next = ask(&mut keepers, now);
    assert!(next.len() == 1 && next[0].0 != refusing && next[0].0 != asked[1].0);
    let mut before = Instant::now() - Instant::now();
    for _ in 0..6 {
        keepers.closed(next[0].1, true, now);
        let until = keepers.wake(now).unwrap();
        now = until.max(now + before * 3);
        let again = ask(&mut keepers, now);
        for (_, listener) in again {
            keepers.closed(listener, true, now);
        }
        before = keepers.wake(now).unwrap() - now;
    }
    assert!(before > policy::FIRST_PAUSE);
}

#[test]
fn a_place_that_is_taken_back_at_once_does_not_start_the_pauses_anew() {
    let (mut keepers, _) = keepers(1);
    let mut now = Instant::now();
    for _ in 0..12 {
        let [(peer, listener)] = ask(&mut keepers, now)[..] else { panic!("one is asked") };
        keepers.granted(&peer, now);
        keepers.closed(listener, true, now);
        now = keepers.wake(now).unwrap();
    }
    let [(peer, listener)] = ask(&mut keepers, now)[..] else { panic!("one is asked") };
    keepers.granted(&peer, now);
    keepers.closed(listener, true, now);
    assert!(keepers.wake(now).unwrap() >= now + policy::LONGEST_PAUSE / 2);
    now = keepers.wake(now).unwrap();
    let [(peer, listener)] = ask(&mut keepers, now)[..] else { panic!("one is asked") };
    keepers.granted(&peer, now);
    now += policy::STEADY;
    keepers.closed(listener, true, now);
    assert!(keepers.wake(now).unwrap() <= now + policy::FIRST_PAUSE);
}

#[test]
fn a_keeper_that_vanished_has_no_place_and_one_that_does_not_relay_is_not_asked() {
    let (mut keepers, peers) = keepers(2);
    let now = Instant::now();
    let asked = ask(&mut keepers, now);
    keepers.granted(&asked[0].0, now);
    keepers.lost(&asked[0].0, now);
    assert!(keepers.circuits().is_empty());
    assert_eq!(keepers.count().connected, 1);
    assert!(keepers.orders(true, now).is_empty(), "it must be connected first");
    keepers.connected(&asked[0].0, "/ip4/192.0.2.1/tcp/1".parse().unwrap());
    assert!(keepers.orders(true, now).is_empty(), "and say that it relays");
    keepers.speaks(&asked[0].0, true);
    assert_eq!(keepers.orders(true, now).len(), 1);
    assert_eq!(keepers.set(BTreeSet::from([peers[0]])), [peers[1]]);
}

#[test]
fn a_keeper_that_does_not_relay_is_not_being_found_out() {
    let (mut keepers, peers) = keepers(2);
    keepers.lost(&peers[0], Instant::now());
    keepers.connected(&peers[0], "/ip4/192.0.2.1/tcp/1".parse().unwrap());
    assert_eq!((keepers.count().connected, keepers.count().refusing), (2, 0));
    for peer in &peers {
        keepers.speaks(peer, false);
    }
    assert_eq!((keepers.count().connected, keepers.count().refusing), (2, 2));
    keepers.lost(&peers[0], Instant::now());
    assert_eq!((keepers.count().connected, keepers.count().refusing), (1, 1));
}

#[test]
fn a_keeper_that_relays_at_too_many_addresses_loses_its_place_and_no_other_does() {
    let (mut keepers, _) = keepers(2);
    let now = Instant::now();
    let asked = ask(&mut keepers, now);
    let [(honest, first), (talking, second)] = asked[..] else { panic!("two are asked") };
    let at = |port: usize| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap();
    for _ in 0..100 {
        assert_eq!(keepers.says(first, at(1), now), None, "the same again");
    }
    for port in 1..=policy::PEER_ADDRESSES {
        assert_eq!(keepers.says(second, at(port), now), None);
    }
    assert_eq!(keepers.says(second, at(1000), now), Some(talking));
    assert_eq!(keepers.count().refusing, 1);
    assert!(keepers.closed(second, false, now).is_none() && keepers.is_one(&honest));
}

#[test]
fn the_keepers_are_bounded() {
    let (keepers, _) = keepers(policy::KEEPERS * 3);
    assert_eq!(keepers.count().all, policy::KEEPERS);
}
