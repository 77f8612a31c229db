//! What is in the set, what waits, and which branches of a fork are kept (L1, L2, L4, L8, S5).

use cairn_crdt::authority::Authority;
use cairn_crdt::crypto::domain;
use cairn_crdt::id::EntryId;
use cairn_crdt::limits::{FORK_BRANCHES, PARKED_BYTES, PARKED_ENTRIES, PAYLOAD_BYTES};
use cairn_crdt::log::entry::{Control, Header, Kind, Seen};
use cairn_crdt::log::frontier::Frontier;
use cairn_crdt::log::parked::{Awaited, Parked};
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::log::set::{EntryRefused, Inserted, Log, LogSet};

use crate::author::{Author, GRANT, device, gather, hide, log, sealed, signed, verified};

#[test]
fn l1_seen_is_a_count_and_a_sum_in_no_order() {
    let ids: Vec<EntryId> = (0..5).map(|n| EntryId::from_bytes([n; 32])).collect();
    let forth = ids.iter().fold(Seen::default(), |seen, id| seen.with(*id));
    let back = ids.iter().rev().fold(Seen::default(), |seen, id| seen.with(*id));
    assert_eq!((forth, forth.count), (back, 5));
    let set = gather(log().group, log().entries);
    assert!(LogSet::new(log().group).is_empty() && !set.is_empty());
    assert!(Log::default().is_empty() && set.logs().values().all(|log| !log.is_empty()));
    let own = set.control().keys().fold(Seen::default(), |seen, id| seen.with(*id));
    assert_eq!(set.seen(), own);
}

#[test]
fn l2_an_entry_continues_its_own_log_or_is_in_no_set() {
    let author = log();
    let mut set = gather(author.group, author.entries.clone());
    let mut stranger = Author::other(2);
    stranger.content(b"hello");
    for entry in stranger.entries.clone() {
        set.insert(&entry.from_store()).unwrap();
    }
    let mut insert = |header: Header, number: u8| {
        let payload = Control::Hide(hide()).encode();
        set.insert(&signed(number, header, payload).from_store())
    };
    let good = author.header(Kind::HIDE, GRANT);
    let broken = Err(EntryRefused::BrokenChain);
    let elsewhere = stranger.entries[1].id;
    assert_eq!(insert(Header { seq: good.seq + 1, ..good.clone() }, 1), broken, "a gap");
    assert_eq!(
        insert(Header { prev: elsewhere, seq: 2, ..good.clone() }, 1),
        broken,
        "another log"
    );
    assert_eq!(insert(Header { seq: 0, ..good.clone() }, 1), broken, "a beginning with a past");
    let unheard = EntryId::from_bytes([77; 32]);
    assert_eq!(insert(Header { prev: unheard, ..good.clone() }, 1), Ok(Inserted::Unrooted));
    let first = Header { seq: 0, prev: EntryId::NONE, device: device(3), ..good };
    assert_eq!(insert(first, 3), Err(EntryRefused::NoCard));
}

#[test]
fn l2_what_waits_is_bounded_and_the_oldest_goes_first() {
    let mut parked = Parked::default();
    let author = log();
    let waits = |number: usize, bytes: usize| {
        let prev = EntryId::from_bytes(domain::hash(domain::SEEN, &[&number.to_le_bytes()]));
        let header = Header { prev, sealing: sealed(1), ..author.header(Kind::CONTENT, GRANT) };
        (Awaited::Entry(prev), signed(1, header, vec![0; bytes]).from_store())
    };
    for number in 0..PARKED_ENTRIES + 3 {
        let (awaited, entry) = waits(number, 1);
        parked.park(awaited, entry.clone());
        parked.park(awaited, entry);
    }
    assert_eq!(parked.len(), PARKED_ENTRIES);
    assert!(parked.release(waits(2, 1).0).is_empty(), "the oldest went");
    assert_eq!(parked.release(waits(3, 1).0).len(), 1);
    let mut parked = Parked::default();
    let fit = PARKED_BYTES / PAYLOAD_BYTES;
    for number in 0..fit + 2 {
        let (awaited, entry) = waits(number, PAYLOAD_BYTES);
        parked.park(awaited, entry);
    }
    assert_eq!(parked.len(), fit);
}

#[test]
fn l4_control_that_is_not_canonical_is_in_no_set() {
    let author = log();
    let mut set = gather(author.group, author.entries.clone());
    let mut payload = Control::Hide(hide()).encode();
    payload.push(0);
    let entry = signed(1, author.header(Kind::HIDE, GRANT), payload);
    assert_eq!(set.insert(&entry.from_store()), Err(EntryRefused::NotCanonical));
}

#[test]
fn l4_an_unknown_kind_is_kept_chained_and_relayed_and_counts_for_nothing() {
    let mut author = log();
    let before = gather(author.group, author.entries.clone());
    author.sign(author.header(Kind(77), GRANT), b"from a later version".to_vec());
    let header = Header { sealing: sealed(1), ..author.header(Kind(200), GRANT) };
    author.sign(header, b"sealed by a later version".to_vec());
    author.content(b"and on it goes");
    let relayed = verified(&author, &author.entries[1..]).unwrap();
    assert_eq!(relayed.len(), author.entries.len() - 1);
    let set = gather(author.group, author.entries.clone());
    assert_eq!(set.len(), author.entries.len());
    let unknown = author.entries[author.entries.len() - 3].id;
    assert_eq!(set.control()[&unknown], Control::Unknown);
    let (one, other) = (Authority::evaluate(&before), Authority::evaluate(&set));
    assert_eq!(one.members(), other.members());
    assert_eq!(one.devices(), other.devices());
}

/// Branches of one log: `count` entries that all follow its last, each with one that follows it.
fn branches(author: &Author, count: u32) -> Vec<Entry> {
    let mut all = Vec::new();
    for number in 0..count {
        let mut branch = author.clone();
        let seen = Seen { count: number + 10, digest: [0; 16] };
        let header = Header { seen, sealing: sealed(1), ..branch.header(Kind::CONTENT, GRANT) };
        branch.sign(header, b"here or there".to_vec());
        branch.content(b"and on");
        all.extend_from_slice(&branch.entries[author.entries.len()..]);
    }
    all
}

#[test]
fn l8_a_fork_is_kept_whole_and_shown_at_both_ends() {
    let author = log();
    let set = gather(author.group, author.entries.iter().cloned().chain(branches(&author, 2)));
    let log = set.log(&device(1)).unwrap();
    assert_eq!(log.fork_seq(), Some(author.entries.len() as u64));
    assert_eq!((log.forked().len(), log.heads().len()), (2, 2));
    assert_eq!(Frontier::of(&set).0.get(&device(1)).unwrap().len(), 2);
    let forks = Authority::evaluate(&set).forks().clone();
    assert_eq!(forks[&device(1)], log.forked().clone());
}

#[test]
fn l8_which_branches_are_kept_depends_on_the_set_alone() {
    let author = log();
    let over = u32::try_from(FORK_BRANCHES).unwrap() + 6;
    let mut all = branches(&author, over);
    // A fork further on goes first: the lowest sequence numbers stay.
    let later = Author {
        entries: author.entries.iter().cloned().chain(all[..1].to_vec()).collect(),
        ..author.clone()
    };
    all.extend(branches(&later, 2));
    let mut smallest: Vec<EntryId> = all
        .iter()
        .filter(|entry| entry.header.prev == author.entries.last().unwrap().id)
        .map(|entry| entry.id)
        .collect();
    smallest.sort_unstable();
    smallest.truncate(FORK_BRANCHES);
    let mut digests = Vec::new();
    for turn in 0..5 {
        let third = all.len() / 3;
        all.rotate_left(third);
        if turn % 2 == 1 {
            all.reverse();
        }
        let mut set = gather(author.group, author.entries.clone());
        // What cannot be rooted yet, or any more, waits and is offered again.
        for _ in 0..4 {
            for entry in &all {
                match set.insert(&entry.clone().from_store()) {
                    Ok(_) | Err(EntryRefused::TooManyBranches) => {}
                    Err(why) => assert_eq!(Err(why), Ok(())),
                }
            }
        }
        let log = set.log(&device(1)).unwrap();
        let kept: Vec<EntryId> = log.forked().iter().map(|(_, id)| *id).collect();
        assert_eq!(kept.len(), FORK_BRANCHES);
        assert_eq!(kept, smallest);
        digests.push(Frontier::of(&set).digest(author.group));
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[test]
fn s5_runs_stand_by_themselves_and_may_be_brought_in_any_order() {
    let author = log();
    let files: Vec<Vec<u8>> =
        author.entries.chunks(1).map(|chunk| Run::new(chunk, true).unwrap().to_bytes()).collect();
    let expected = gather(author.group, author.entries.clone());
    let mut set = LogSet::new(author.group);
    let mut parked = Parked::default();
    let entries = files
        .iter()
        .rev()
        .flat_map(|bytes| Run::from_bytes(bytes).and_then(|run| run.verify(author.group)).unwrap());
    for entry in entries {
        let mut ready = vec![entry];
        while let Some(entry) = ready.pop() {
            let id = entry.get().id;
            if set.insert(&entry).unwrap() == Inserted::Unrooted {
                parked.park(Awaited::Entry(entry.get().header.prev), entry);
                assert!(!parked.is_empty());
            } else {
                ready.extend(parked.release(Awaited::Entry(id)));
            }
        }
    }
    assert!(parked.is_empty());
    let digest = |set: &LogSet| Frontier::of(set).digest(author.group);
    assert_eq!(digest(&set), digest(&expected));
}
