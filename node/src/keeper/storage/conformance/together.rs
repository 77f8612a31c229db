//! Several processes over one database, each a thread with a connection of its own.

use std::collections::BTreeSet;
use std::sync::Barrier;

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{AccessKey, ControlKey, MailboxId, TransportKey};
use cairn_crdt::mailbox::Generation;
use cairn_crdt::mailbox::access::{Meeting, NewGeneration};
use cairn_crdt::mailbox::message::{KeeperReply, KeeperRequest, NewRecord, Putting};
use cairn_crdt::time::Timestamp;

use super::super::{Store, rows};
use crate::keeper::home::add_invitation;
use crate::keeper::mailbox::{Place, Rules, Visit, sweep};
use crate::keeper::policy::Limits;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const MEETING: Meeting = Meeting {
    keeper: TransportKey::from_bytes([1; 32]),
    client: TransportKey::from_bytes([2; 32]),
    challenge: [3; 32],
};
const PROCESSES: u8 = 4;

type Connect<'a> = &'a (dyn Fn() -> Box<dyn Store> + Sync);

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

/// A client in a process of its own.
struct Client {
    store: Box<dyn Store>,
    limits: Limits,
    visit: Visit,
    now: Timestamp,
}

impl Client {
    fn new(connect: Connect<'_>, limits: Limits) -> Self {
        let visit = Visit { meeting: MEETING, place: Place::Outside };
        Self { store: connect(), limits, visit, now: NOW }
    }

    fn ask(&mut self, request: &KeeperRequest) -> KeeperReply {
        let (limits, visit, now) = (self.limits, self.visit, self.now);
        let mut answer = None;
        self.store
            .within(&mut |tables| {
                let mut rules = Rules { tables, limits: &limits, now, visit };
                answer = Some(rules.answer(request, &[7; 32])?);
                Ok(())
            })
            .unwrap();
        let answer = answer.unwrap();
        self.visit.place = answer.place;
        answer.reply
    }

    fn create(&mut self, owner: u8, secret: u8) -> KeeperReply {
        self.ask(&KeeperRequest::Create {
            secret: [secret; 32],
            owner: mailbox(owner),
            access: AccessKey::from_bytes(key(101).verifying_key()),
            control: ControlKey::from_bytes(key(102).verifying_key()),
        })
    }

    fn open(&mut self, owner: u8) -> KeeperReply {
        let proof = MEETING.prove_access(&key(101), mailbox(owner));
        let access = AccessKey::from_bytes(key(101).verifying_key());
        self.ask(&KeeperRequest::Open { mailbox: mailbox(owner), access, proof })
    }
}

fn mailbox(owner: u8) -> MailboxId {
    MailboxId::from_bytes(key(owner).verifying_key())
}

/// A mailbox, made.
fn made(connect: Connect<'_>, owner: u8) {
    let mut client = Client::new(connect, Limits::default());
    add_invitation(&mut *client.store, NOW, &[owner; 32]).unwrap();
    assert_eq!(client.create(owner, owner), KeeperReply::Created);
}

/// Runs the same in each process; what each brought.
fn each<T: Send>(work: impl Fn(u8) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PROCESSES)
            .map(|number| {
                scope.spawn({
                    let work = &work;
                    move || work(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

pub(super) fn places_and_quota_stay_right(connect: Connect<'_>) {
    made(connect, 1);
    // Room for 90 records that have no priority.
    let limits = Limits { quota: 100 * 1024, ..Limits::default() };
    let puttings = each(|process| {
        let mut client = Client::new(connect, limits);
        assert!(matches!(client.open(1), KeeperReply::Opened(_)));
        let mut puttings = Vec::new();
        for number in 0..30 {
            let bytes = Bytes::new([vec![process, number], vec![0; 1022]].concat()).unwrap();
            let record = NewRecord { priority: false, erase: [0; 32], bytes };
            match client.ask(&KeeperRequest::Put(List::new(vec![record]).unwrap())) {
                KeeperReply::Put(put) => puttings.extend(put.into_vec()),
                other => panic!("{other:?}"),
            }
        }
        puttings
    });
    let all: Vec<Putting> = puttings.concat();
    let places: BTreeSet<u64> = all
        .iter()
        .filter_map(|putting| match putting {
            Putting::Stored(cursor) => Some(cursor.0),
            _ => None,
        })
        .collect();
    assert_eq!(places, (1..=90).collect());
    assert_eq!(all.iter().filter(|putting| **putting == Putting::Full).count(), 30);
    let mut client = Client::new(connect, limits);
    match client.open(1) {
        KeeperReply::Opened(state) => {
            assert_eq!((state.records, state.used, state.newest.0), (90, 90 * 1024, 90));
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn one_of_many_changes_the_keys(connect: Connect<'_>) {
    made(connect, 2);
    let all_in = Barrier::new(usize::from(PROCESSES));
    let told = each(|process| {
        let mut client = Client::new(connect, Limits::default());
        assert!(matches!(client.open(2), KeeperReply::Opened(_)));
        all_in.wait();
        let new = NewGeneration {
            mailbox: mailbox(2),
            generation: Generation(2),
            access: AccessKey::from_bytes([process; 32]),
            control: ControlKey::from_bytes([process; 32]),
            rekey: Bytes::new(vec![process; 100]).unwrap(),
        };
        client.ask(&KeeperRequest::Rotate(Box::new(new.sign(&key(102)))))
    });
    let count = |reply: &KeeperReply| told.iter().filter(|told| *told == reply).count();
    assert_eq!(count(&KeeperReply::Rotated), 1);
    assert_eq!(count(&KeeperReply::Conflict(Generation(2))), told.len().saturating_sub(1));
}

pub(super) fn an_invitation_makes_one_mailbox(connect: Connect<'_>) {
    add_invitation(&mut *connect(), NOW, &[99; 32]).unwrap();
    let told = each(|process| {
        Client::new(connect, Limits::default()).create(process.saturating_add(50), 99)
    });
    let created = told.iter().filter(|told| **told == KeeperReply::Created).count();
    assert_eq!(created, 1);
}

pub(super) fn sweeps_count_once(connect: Connect<'_>) {
    made(connect, 3);
    let limits = Limits::default();
    let mut client = Client::new(connect, limits);
    client.open(3);
    // Half of them came later, and are not over yet.
    for number in 0..80_u8 {
        if number == 40 {
            client.now = NOW.after(1000);
        }
        let bytes = Bytes::new(vec![number; 600]).unwrap();
        let record = NewRecord { priority: false, erase: [0; 32], bytes };
        client.ask(&KeeperRequest::Put(List::new(vec![record]).unwrap()));
    }
    let later = NOW.after(limits.retention).after(1);
    let all_in = Barrier::new(usize::from(PROCESSES));
    each(|_| {
        let mut store = connect();
        all_in.wait();
        store.within(&mut |tables| sweep(tables, &limits, later).map(drop)).unwrap();
    });
    let mut found = None;
    client
        .store
        .within(&mut |tables| {
            found = rows::mailbox_named(tables, mailbox(3))?;
            Ok(())
        })
        .unwrap();
    let found = found.unwrap();
    assert_eq!((found.records, found.used, found.newest.0), (40, 40 * 600, 80));
}
