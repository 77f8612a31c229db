//! A persona that moves on to a new device is connected by its new identity (I4).

use cairn_crdt::id::{DeviceId, EntryId};
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::replica::Replica;

use super::wire::{joined, transport};
use super::*;

fn replica(node: &Node, group: GroupId) -> &Replica {
    node.driver.personas.get(&group).unwrap().replica().unwrap()
}

/// Another entry in the place of the last one of a node's own log: what a disk that was set back
/// has forgotten.
fn forgotten(node: &Node, group: GroupId) -> Vec<u8> {
    let replica = replica(node, group);
    let persona = node.store.snapshot(group).unwrap().persona;
    let key = SigningKey::from_seed(persona[78..110].try_into().unwrap());
    let device = DeviceId::from_bytes(key.verifying_key());
    assert_eq!(device, replica.device());
    let log = replica.set().log(&device).unwrap();
    let (seq, tip) = log.heads().last().copied().unwrap();
    let slot = *log.slot(seq, &tip).unwrap();
    let payload = Control::Unknown.encode();
    let header = Header {
        version: VERSION,
        suite: SUITE,
        group,
        device,
        seq,
        prev: slot.prev,
        grant: slot.grant,
        kind: Kind(77),
        payload: payload_hash(&payload),
        size: 0,
        sealing: Sealing::Clear,
        seen: Seen::default(),
    };
    assert_ne!(slot.prev, EntryId::NONE);
    let entry = Entry::author(&key, header, payload).into_inner();
    Run::new(&[entry], true).unwrap().to_bytes()
}

#[test]
fn i4_a_new_identity_gets_a_network_of_its_own_and_the_old_one_ends() {
    let (mut wire, id) = joined(1);
    let group = wire.group;
    wire.ask(1, start(&id, "Written without knowing"));
    wire.settle();
    let (network, before) = (wire.nodes[1].ends.lock().unwrap()[&group].0, wire.keys[1]);
    let device = replica(&wire.nodes[1], group).device();
    let bytes = forgotten(&wire.nodes[1], group);
    wire.gossip(1, bytes);
    let told = wire.nodes[1].told(group);
    assert!(told.iter().any(|command| matches!(command, NetworkCommand::Shutdown)));
    assert!(wire.nodes[1].driver.personas[&group].replica().is_none(), "it is read again");

    for key in 0..2 {
        let peer = wire.keys[1 - key];
        wire.nodes[key].event(group, NetworkEvent::Disconnected(peer));
    }
    wire.pass(2);
    wire.keys[1] = transport(&wire.nodes[1], group);
    assert_ne!(wire.keys[1], before);
    assert_ne!(replica(&wire.nodes[1], group).device(), device);
    assert_ne!(wire.nodes[1].ends.lock().unwrap()[&group].0, network, "another network");
    wire.connect();
    wire.pass(120);
    wire.ask(1, start(&id, "From the new device"));
    wire.pass(120);
    assert_eq!(digest(&mut wire.nodes[0], &id), digest(&mut wire.nodes[1], &id));
    assert_eq!(threads(&mut wire.nodes[0], &id), threads(&mut wire.nodes[1], &id));
    let shown = wire.ask(0, Request::Threads { group: id }).to_string();
    assert!(shown.contains("Written without knowing") && shown.contains("From the new device"));
}
