//! Bundles: what is carried by hand (S5).

use cairn_crdt::replica::bundles::Unpacked;
use cairn_crdt::replica::effect::{Event, Reply};
use cairn_crdt::replica::input::{Command, CutChoice, Input};

use crate::community::Community;

/// All records of a bundle that someone writes.
fn written(c: &mut Community, who: usize) -> Vec<Vec<u8>> {
    let Ok(Reply::Bundle(bundle)) = c.ask(who, Command::Bundle) else { panic!("no bundle") };
    let mut records = bundle.head.clone();
    let store = &c.people[who].store;
    let read = |ids: &[_]| Ok::<_, std::convert::Infallible>(store.read(ids));
    bundle
        .deposit
        .pack(c.now, read, |packed| {
            records.push(packed.record.bytes.into_vec());
            Ok(())
        })
        .unwrap();
    records.extend(bundle.tail.clone());
    records.push(bundle.end(u32::try_from(records.len()).unwrap()));
    records
}

fn read(c: &mut Community, who: usize, records: &[Vec<u8>]) -> Unpacked {
    c.people[who].events.clear();
    c.inputs.push_back((who, Input::Bundle { records: records.to_vec() }));
    c.run();
    let unpacked = c.people[who].events.iter().find_map(|event| match event {
        Event::Unpacked(unpacked) => Some(*unpacked),
        _ => None,
    });
    unpacked.unwrap()
}

fn apart(seed: u64, n: usize) -> Community {
    let mut c = Community::with_members(seed, n);
    for who in 0..n {
        c.unplug(who);
    }
    c
}

#[test]
fn s5_a_bundle_brings_all_to_who_never_had_a_keeper() {
    let mut c = apart(1, 2);
    c.thread(0, "By hand", "carried on a stick");
    let bundle = written(&mut c, 0);
    let unpacked = read(&mut c, 1, &bundle);
    assert_eq!((unpacked.foreign, unpacked.end.is_some()), (unpacked.foreign, true));
    assert!(unpacked.opened > 0);
    assert!(c.reads(1, "carried on a stick"));
    c.assert_same(&[0, 1]);
}

#[test]
fn s5_bundles_merge_in_any_order_and_a_torn_one_is_good_up_to_there() {
    let mut c = apart(2, 3);
    c.thread(0, "One", "from the first");
    c.thread(1, "Two", "from the second");
    let (one, two) = (written(&mut c, 0), written(&mut c, 1));
    // The end of the second is missing, and it is read twice.
    let torn = &two[..two.len() - 1];
    assert_eq!(read(&mut c, 2, torn).end, None);
    read(&mut c, 2, &one);
    read(&mut c, 2, torn);
    assert!(c.reads(2, "from the first") && c.reads(2, "from the second"));
}

#[test]
fn s5_what_a_bundle_begins_with_is_the_same_when_it_is_written_again() {
    let mut c = apart(7, 2);
    c.thread(0, "Again", "written twice");
    let one = written(&mut c, 0);
    c.reconnect(0);
    let other = written(&mut c, 0);
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    assert!(same >= one.len() - 3, "{same} of {}", one.len());
}

#[test]
fn s5_a_bundle_of_another_group_opens_nowhere() {
    let mut c = apart(3, 2);
    let mut other = apart(4, 2);
    other.thread(0, "Elsewhere", "none of your business");
    let bundle = written(&mut other, 0);
    let unpacked = read(&mut c, 1, &bundle);
    assert_eq!(unpacked.opened, 0);
    assert_eq!(unpacked.foreign, bundle.len() as u64);
    assert!(!c.reads(1, "none of your business"));
}

#[test]
fn s5_who_was_away_while_somebody_was_removed_opens_the_bundle_and_the_removed_does_not() {
    let mut c = apart(5, 3);
    c.remove(0, 1, CutChoice::FromTip);
    c.thread(0, "After", "without them");
    let bundle = written(&mut c, 0);
    read(&mut c, 2, &bundle);
    assert!(c.reads(2, "without them"));
    c.assert_same(&[0, 2]);
    read(&mut c, 1, &bundle);
    assert!(!c.reads(1, "without them"));
}

#[test]
fn s5_nothing_in_a_bundle_tells_whose_it_is() {
    let mut c = apart(6, 2);
    c.thread(0, "A title", "words that nobody else may read");
    let bundle = written(&mut c, 0).concat();
    let group = *c.people[0].replica.group().as_bytes();
    let member = *c.member(0).as_bytes();
    let device = *c.people[0].replica.device().as_bytes();
    for secret in [&group[..], &member, &device, b"nobody else", b"cairn"] {
        assert!(!bundle.windows(secret.len()).any(|window| window == secret), "{secret:?}");
    }
}
