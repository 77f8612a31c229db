//! What is kept, passed on and refused of what others send (L2, L3, L4, L8, S6), and what two
//! groups share (I3). Some of it only a dishonest device would send: the tests sign in its name.

use std::collections::BTreeSet;

use cairn_crdt::authority::sign_root;
use cairn_crdt::capability::grant::{GROUP_VERSION, History, RootAct, RootAction};
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::{self, List};
use cairn_crdt::crypto::domain;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{DeviceId, EntryId, GrantId, MemberId, PublicKey};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::frontier::Frontier;
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::replica::effect::{Effect, Refused, Verdict, Write};
use cairn_crdt::replica::input::{Command, GossipToken, Input, Protocol, SessionEvent, SessionId};
use cairn_crdt::replica::{Founding, Replica};
use cairn_crdt::sync::message::{Message, Receipt};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::community::{Community, START};

/// The key of a person's device: the third part of what the store keeps of a persona.
pub fn device_key(c: &Community, who: usize) -> SigningKey {
    let seed: [u8; 32] = c.people[who].store.persona[78..110].try_into().unwrap();
    let key = SigningKey::from_seed(&seed);
    assert_eq!(&key.verifying_key(), c.people[who].replica.device().as_bytes());
    key
}

/// An entry of a person's own log as it is gossiped.
pub fn stored(c: &Community, who: usize, entry: EntryId) -> Vec<u8> {
    let kept = &c.people[who].store.entries[&entry];
    let entry = Entry {
        id: entry,
        header: kept.header.clone(),
        payload: kept.payload.clone(),
        signature: kept.signature,
    };
    Run::new(&[entry], true).unwrap().to_bytes()
}

/// Gives gossip to a person; what comes of it is performed. The verdict, and what was written.
pub fn gossip(
    c: &mut Community,
    to: usize,
    from: usize,
    bytes: Vec<u8>,
) -> (Verdict, Vec<EntryId>) {
    let from = c.key(from);
    let input = Input::Gossip { token: GossipToken(u64::MAX), from, bytes };
    let mut effects = c.people[to].replica.handle(c.now, &mut c.rng, input);
    let mut verdict = None;
    let mut written = Vec::new();
    effects.retain(|effect| match effect {
        Effect::Verdict { verdict: said, .. } => {
            verdict = Some(*said);
            false
        }
        _ => true,
    });
    for effect in &effects {
        if let Effect::Persist(writes) = effect {
            written.extend(writes.iter().filter_map(|write| match write {
                Write::Entry { id, .. } => Some(*id),
                _ => None,
            }));
        }
    }
    c.perform(to, effects);
    c.run();
    (verdict.unwrap(), written)
}

/// The last entry of a person's own log.
pub fn tip(c: &Community, who: usize) -> (u64, EntryId) {
    let replica = &c.people[who].replica;
    *replica.set().log(&replica.device()).unwrap().heads().last().unwrap()
}

/// Signs control as a person's device, after an entry of its log.
fn forge(
    c: &Community,
    who: usize,
    after: (u64, EntryId),
    control: &Control,
) -> (EntryId, Vec<u8>) {
    let kind = control.kind().unwrap_or(Kind(77));
    let payload = control.encode();
    let header = Header {
        version: VERSION,
        suite: SUITE,
        group: c.people[who].replica.group(),
        device: c.people[who].replica.device(),
        seq: after.0 + 1,
        prev: after.1,
        grant: GrantId::NONE,
        kind,
        payload: payload_hash(&payload),
        size: u32::try_from(payload.len()).unwrap(),
        sealing: Sealing::Clear,
        seen: Seen::default(),
    };
    let entry = Entry::author(&device_key(c, who), header, payload).into_inner();
    (entry.id, Run::new(&[entry], true).unwrap().to_bytes())
}

#[test]
fn i3_two_groups_on_one_machine_share_nothing_that_can_be_seen() {
    let mut rng = ChaCha20Rng::seed_from_u64(60);
    let seed = Seed::from_bytes([3; 32]);
    let mut seen: BTreeSet<[u8; 32]> = BTreeSet::new();
    let mut found = |name: &str| {
        let founding = Founding {
            seed: &seed,
            name: name.to_owned(),
            pseudonym: "Heron".to_owned(),
            history: History::SinceJoining,
        };
        let (replica, _) = Replica::found(START, &mut rng, founding).unwrap();
        let card = replica.set().control().values().find_map(|control| match control {
            Control::Card(card) => Some(card.clone()),
            _ => None,
        });
        let card = card.unwrap();
        let shown = [
            *replica.group().as_bytes(),
            *replica.member().as_bytes(),
            *replica.device().as_bytes(),
            *card.transport.as_bytes(),
            *card.prekey.as_bytes(),
            replica.topic(),
        ];
        let new = shown.iter().filter(|part| seen.insert(**part)).count();
        assert_eq!(new, shown.len());
    };
    found("Thursday circle");
    found("Thursday circle");
}

#[test]
fn l2_what_has_no_beginning_waits_and_is_neither_kept_nor_passed_on() {
    let mut c = Community::with_members(61, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(1);
    c.post(1, thread, "one");
    let first = tip(&c, 1).1;
    c.post(1, thread, "two");
    let second = tip(&c, 1).1;
    let held = c.people[0].replica.held();
    let late = stored(&c, 1, second);
    assert_eq!(gossip(&mut c, 0, 1, late), (Verdict::Ignore, Vec::new()));
    assert_eq!(c.people[0].replica.held(), held);
    let early = stored(&c, 1, first);
    let (verdict, written) = gossip(&mut c, 0, 1, early);
    assert_eq!(verdict, Verdict::Accept);
    assert!(written.contains(&first) && written.contains(&second));
    assert!(c.reads(0, "one") && c.reads(0, "two"));
}

#[test]
fn l3_a_log_is_stored_once_a_grant_of_its_member_is_held() {
    let mut c = Community::with_members(62, 3);
    let code = c.invite(0, Rank::Member, 1, true);
    c.settle();
    c.unplug(1);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    let device = c.people[late].replica.device();
    let opening = c.people[late].replica.set().log(&device).unwrap().at(0).next().unwrap().0;
    let card = stored(&c, late, opening);
    assert_eq!(gossip(&mut c, 1, 2, card), (Verdict::Ignore, Vec::new()), "of nobody yet");
    assert!(c.people[1].replica.set().log(&device).is_none());
    let member = c.member(late);
    let set = c.people[0].replica.set();
    let grants = |control: &Control| matches!(control, Control::Grant(g) if g.subject == member);
    let (grant, _) = set.control().iter().find(|(_, control)| grants(control)).unwrap();
    // The invite was made before the line was cut, so this is the next entry of the founder's.
    let bytes = stored(&c, 0, *grant);
    let (verdict, written) = gossip(&mut c, 1, 2, bytes);
    assert_eq!(verdict, Verdict::Accept);
    assert!(written.contains(&opening), "what waited is stored with it");
}

#[test]
fn l4_an_unknown_kind_is_passed_on() {
    let mut c = Community::with_members(63, 2);
    let after = tip(&c, 1);
    let (id, bytes) = forge(&c, 1, after, &Control::Unknown);
    let members = c.people[0].replica.authority().members().clone();
    let (verdict, written) = gossip(&mut c, 0, 1, bytes);
    assert_eq!((verdict, written), (Verdict::Accept, vec![id]));
    assert_eq!(*c.people[0].replica.authority().members(), members);
    c.settle();
    c.assert_same(&[0, 1]);
}

#[test]
fn l4_below_the_version_of_its_group_a_node_says_so_and_writes_nothing() {
    let mut c = Community::with_members(64, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let old = c.people[0].store.clone();
    c.post(0, thread, "forgotten");
    let forgotten = stored(&c, 0, tip(&c, 0).1);
    let group = c.people[0].replica.group();
    let genesis = EntryId::from_bytes(*group.as_bytes());
    let Control::Genesis(founding) = c.people[0].replica.set().control()[&genesis].clone() else {
        panic!("the group's first entry");
    };
    let council = Seed::from_bytes([0; 32]).council_key(&founding.salt);
    let action = RootAction::Raise { version: GROUP_VERSION + 1 };
    let signature = sign_root(&council, group, genesis, &action);
    let signatures = List::new(vec![(0, signature)]).unwrap();
    let act = Control::Root(RootAct { previous: genesis, action, signatures });
    let after = tip(&c, 1);
    let (_, bytes) = forge(&c, 1, after, &act);
    assert_eq!(gossip(&mut c, 0, 1, bytes.clone()).0, Verdict::Accept);
    assert_eq!(c.people[0].replica.authority().version(), GROUP_VERSION + 1);
    let held = c.people[0].replica.held();
    let body = crate::community::body("hello again");
    let post = c.ask(0, Command::Post { thread, reply_to: None, body });
    assert!(matches!(post, Err(Refused::UpdateNeeded)));
    let (member, rank) = (c.member(1), Rank::Moderator);
    let grant = c.ask(0, Command::Grant { member, rank });
    assert!(matches!(grant, Err(Refused::UpdateNeeded)));
    assert_eq!(c.people[0].replica.held(), held);
    // Nor does it replace its prekey (K8), or move on to another device (I4).
    c.unplug(1);
    crate::prekeys::next_day(&mut c);
    assert_eq!(c.people[0].replica.held(), held);
    c.set_back(0, old);
    let device = c.people[0].replica.device();
    for bytes in [bytes, forgotten] {
        assert_eq!(gossip(&mut c, 0, 1, bytes).0, Verdict::Accept);
    }
    assert_eq!(c.people[0].replica.device(), device);
}

#[test]
fn l8_a_fork_reaches_everyone_and_is_the_same_for_all() {
    let mut c = Community::with_members(65, 3);
    c.connect(1, 2);
    c.settle();
    let after = tip(&c, 2);
    let leave = |grants: u8| {
        let none = GrantId::of(EntryId::from_bytes([grants; 32]));
        let grants = List::new(vec![none]).unwrap();
        let cut = cairn_crdt::capability::revocation::Cut::default();
        Control::Leave(cairn_crdt::capability::revocation::Leave { grants, cut })
    };
    let (here, to_founder) = forge(&c, 2, after, &leave(1));
    let (there, to_member) = forge(&c, 2, after, &leave(2));
    c.unplug(2);
    c.disconnect(0, 1);
    assert_eq!(gossip(&mut c, 0, 2, to_founder).0, Verdict::Accept);
    assert_eq!(gossip(&mut c, 1, 2, to_member).0, Verdict::Accept);
    c.connect(0, 1);
    c.settle();
    c.assert_same(&[0, 1]);
    let device = c.people[2].replica.device();
    for who in [0, 1] {
        let forks = c.people[who].replica.authority().forks();
        let ids: BTreeSet<EntryId> = forks[&device].iter().map(|(_, id)| *id).collect();
        assert_eq!(ids, BTreeSet::from([here, there]));
    }
    // Nobody is stopped by it, the forked device aside.
    let thread = c.thread(1, "Morning", "still here");
    c.post(1, thread, "and on");
    c.settle();
    assert!(c.reads(0, "and on"));
}

#[test]
fn l8_content_after_a_fork_is_not_passed_on() {
    let mut c = Community::with_members(66, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let after = tip(&c, 1);
    c.unplug(1);
    c.post(1, thread, "on one branch");
    let content = stored(&c, 1, tip(&c, 1).1);
    let (_, other) = forge(&c, 1, after, &Control::Unknown);
    assert_eq!(gossip(&mut c, 0, 1, other).0, Verdict::Accept, "control is");
    let (verdict, written) = gossip(&mut c, 0, 1, content);
    assert_eq!(verdict, Verdict::Ignore);
    assert_eq!(written.len(), 1, "it is kept: a pin may select it");
    assert!(!c.reads(0, "on one branch"));
}

#[test]
fn s6_a_receipt_holds_by_its_devices_signature_and_the_newest_counts() {
    let mut c = Community::with_members(67, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(2);
    let post = c.post(0, thread, "who has this");
    let entry = c.people[0].replica.created(&post).unwrap();
    let group = c.people[0].replica.group();
    let frontier = Frontier::of(c.people[0].replica.set());
    let receipt = |signer: &SigningKey, device: DeviceId, count: u64, frontier: &Frontier| {
        let bytes = codec::encode(&(group, count, frontier));
        let signature = signer.sign(domain::SIGN_RECEIPT, &bytes);
        Receipt { device, count, frontier: frontier.clone(), signature }
    };
    let (one, two) = (device_key(&c, 1), device_key(&c, 2));
    let device = c.people[2].replica.device();
    let peer = c.key(1);
    let tell = |c: &mut Community, session: u64, receipt: Receipt| {
        let session = SessionId(u64::MAX - session);
        let protocol = Protocol::Sync;
        let opened = SessionEvent::Opened { peer, protocol, initiated: false };
        let message = SessionEvent::Message(Message::Receipt(receipt).to_bytes());
        for event in [opened, message, SessionEvent::Closed] {
            let input = Input::Session { session, event };
            let effects = c.people[0].replica.handle(c.now, &mut c.rng, input);
            c.perform(0, effects);
        }
        c.people[0].replica.reach(&entry).members
    };
    let before = c.people[0].replica.reach(&entry).members;
    let forged = receipt(&one, device, 1000, &frontier);
    assert_eq!(tell(&mut c, 1, forged), before, "signed by another");
    let older = receipt(&two, device, 0, &frontier);
    let empty = receipt(&two, device, 1000, &Frontier::default());
    assert_eq!(tell(&mut c, 2, empty), before);
    assert_eq!(tell(&mut c, 3, older), before, "older than the one that is held");
    let newest = receipt(&two, device, 1001, &frontier);
    assert_eq!(tell(&mut c, 4, newest), before + 1);
}

/// A card of a member that nobody knows.
pub fn stranger(c: &Community) -> (MemberId, SigningKey, Vec<u8>) {
    let group = c.people[0].replica.group();
    let (device, transport) = (SigningKey::from_seed(&[91; 32]), SigningKey::from_seed(&[92; 32]));
    let member = MemberKey::new(SigningKey::from_seed(&[93; 32]));
    let id = DeviceId::from_bytes(device.verifying_key());
    let card = member.sign_card(group, id, 0, PublicKey::from_bytes([5; 32]), &transport);
    let payload = Control::Card(card).encode();
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
    let entry = Entry::author(&device, header, payload).into_inner();
    (member.id(), transport, Run::new(&[entry], true).unwrap().to_bytes())
}
