//! Forks, and which logs of a member who opens them without end are kept (L8).

use std::collections::BTreeSet;

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{DeviceId, EntryId, GrantId, PublicKey};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::limits::MEMBER_LOGS;
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::Entry;
use cairn_crdt::log::set::{Inserted, LogSet};

use crate::author::{device, gather, log};

#[test]
fn l8_which_logs_of_a_member_are_kept_depends_on_the_set_alone() {
    let group = log().group;
    let member = MemberKey::new(SigningKey::from_seed(&[7; 32]));
    let transport = SigningKey::from_seed(&[8; 32]);
    let opened = |number: u16, index: u32| {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let device = SigningKey::from_seed(&seed);
        let id = DeviceId::from_bytes(device.verifying_key());
        let prekey = PublicKey::from_bytes([3; 32]);
        let card = Control::Card(member.sign_card(group, id, index, prekey, &transport));
        let payload = card.encode();
        let header = Header {
            version: VERSION,
            suite: SUITE,
            group,
            device: id,
            seq: 0,
            prev: EntryId::NONE,
            grant: GrantId::NONE,
            kind: Kind::CARD,
            payload: payload_hash(&payload),
            size: u32::try_from(payload.len()).unwrap(),
            sealing: Sealing::Clear,
            seen: Seen::default(),
        };
        Entry::author(&device, header, payload)
    };
    let bound = u16::try_from(MEMBER_LOGS).unwrap();
    // Every index twice, so that the last place goes to the smaller id of two.
    let mut all: Vec<_> = (0..bound + 21)
        .map(|number| (u32::from(number / 2), opened(number, u32::from(number / 2))))
        .collect();
    let mut sorted: Vec<_> =
        all.iter().map(|(index, entry)| (*index, entry.get().header.device)).collect();
    sorted.sort_unstable();
    sorted.truncate(MEMBER_LOGS);
    let expected: BTreeSet<DeviceId> = sorted.into_iter().map(|(_, device)| device).collect();
    for turn in 0..4 {
        let third = all.len() / 3;
        all.rotate_left(third);
        if turn % 2 == 1 {
            all.reverse();
        }
        let mut set = LogSet::new(group);
        let mut held = BTreeSet::new();
        for (_, entry) in all.iter().chain(&all[..9]) {
            match set.insert(entry).unwrap() {
                Inserted::New { evicted } => {
                    held.insert(entry.get().id);
                    held.retain(|id| !evicted.contains(id));
                }
                Inserted::Surplus => assert!(!set.contains(&entry.get().id)),
                Inserted::Known => {}
                Inserted::Unrooted => panic!("it opens a log"),
            }
        }
        assert_eq!(set.logs().keys().copied().collect::<BTreeSet<_>>(), expected);
        assert_eq!((set.len(), held.len()), (MEMBER_LOGS, MEMBER_LOGS), "a card each");
        assert_eq!(set.control().len(), held.len());
        assert_eq!(usize::try_from(set.seen().count).unwrap(), held.len());
        // And what was put back from a store is bounded as well.
        let mut restored = LogSet::new(group);
        for (device, log) in set.logs() {
            for (seq, id, slot) in log.iter() {
                let control = set.control().get(&id).cloned();
                restored.restore(id, *device, seq, *slot, control);
            }
        }
        let after: Vec<_> = all.iter().map(|(_, entry)| restored.insert(entry).unwrap()).collect();
        assert!(after.iter().all(|done| matches!(done, Inserted::Known | Inserted::Surplus)));
        assert_eq!(restored.len(), MEMBER_LOGS);
    }
}

#[test]
fn l8_the_entry_before_a_branch_leads_to_both_and_a_branch_to_itself() {
    let trunk = log();
    let branch = |texts: [&str; 3]| {
        let mut author = trunk.clone();
        texts.into_iter().for_each(|text| author.content(text.as_bytes()));
        author.entries
    };
    let (one, other) = (branch(["a", "b", "c"]), branch(["x", "y", "z"]));
    let set = gather(trunk.group, one.iter().chain(&other[trunk.entries.len()..]).cloned());
    let log = set.log(&device(1)).unwrap();
    for (branch, elsewhere) in [(&one, &other), (&other, &one)] {
        for (head, at) in
            (0..branch.len()).flat_map(|head| (0..branch.len()).map(move |at| (head, at)))
        {
            let (head, seq) = (&branch[head], u64::try_from(at).unwrap());
            let found = log.ancestor(head.header.seq, &head.id, seq);
            let expected = (seq <= head.header.seq).then_some(branch[at].id);
            assert_eq!(found, expected);
            let on_both = expected.is_some() && at < trunk.entries.len();
            let on_path = log.on_path(head.header.seq, &head.id, seq, &elsewhere[at].id);
            assert_eq!(on_path, on_both);
        }
    }
    assert_eq!(log.ancestor(1, &EntryId::from_bytes([7; 32]), 0), None, "of what is not held");
}
