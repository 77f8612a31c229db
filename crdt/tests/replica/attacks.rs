//! What a member, a former member or a device that lies makes honest nodes do: nothing without
//! bound, and nothing that costs others their words.

use std::collections::BTreeMap;

use cairn_crdt::capability::draft::Draft;
use cairn_crdt::capability::grant::{Grant, History, RootAction};
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::capability::revocation::{Cut, Replace};
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::epoch::secret::{Audience, EpochSecret, Mint};
use cairn_crdt::epoch::welcome::Welcome;
use cairn_crdt::id::{DeviceId, DocumentId, EntryId, GrantId, GroupId, PublicKey};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::limits::{DEVICES, MEMBER_DEVICES};
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::frontier::Frontier;
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::log::set::{LogSet, Slot};
use cairn_crdt::replica::effect::PostState;
use cairn_crdt::replica::input::{Command, CutChoice};

use crate::community::Community;
use crate::prekeys::{mints, secrets};
use crate::relay::{device_key, gossip, tip};

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// Entries signed one after the other as a person's device, at the end of its log, by somebody who
/// claims to have seen `seen`. Given to `to`.
pub fn forge(c: &mut Community, who: usize, to: usize, seen: u32, acts: Vec<Control>) {
    let after = tip(c, who);
    forge_after(c, who, to, seen, after, acts);
}

/// The same after an entry of that log that its own device need not know. The last one.
pub fn forge_after(
    c: &mut Community,
    who: usize,
    to: usize,
    seen: u32,
    (mut seq, mut prev): (u64, EntryId),
    acts: Vec<Control>,
) -> (u64, EntryId) {
    let replica = &c.people[who].replica;
    let standing = &replica.authority().members()[&replica.member()];
    let grant = *standing.grants.keys().next().unwrap();
    let mut runs = Vec::new();
    for control in acts {
        seq += 1;
        let payload = control.encode();
        let header = Header {
            version: VERSION,
            suite: SUITE,
            group: replica.group(),
            device: replica.device(),
            seq,
            prev,
            grant,
            kind: control.kind().unwrap(),
            payload: payload_hash(&payload),
            size: u32::try_from(payload.len()).unwrap(),
            sealing: Sealing::Clear,
            seen: Seen { count: seen, digest: [0; 16] },
        };
        let entry = Entry::author(&device_key(c, who), header, payload).into_inner();
        prev = entry.id;
        runs.push(Run::new(&[entry], true).unwrap().to_bytes());
    }
    for run in runs {
        gossip(c, to, who, run);
    }
    (seq, prev)
}

fn grant(c: &mut Community, by: usize, whom: usize, rank: Rank) {
    let member = c.member(whom);
    assert!(c.ask(by, Command::Grant { member, rank }).is_ok());
    c.settle();
}

fn shows(c: &Community, who: usize, text: &str) -> bool {
    let posts = c.people[who].store.posts();
    posts.iter().any(|post| post.body == text && post.state == PostState::Shown)
}

#[test]
fn k2_who_claims_to_have_seen_what_is_not_spoils_no_epoch_to_come() {
    let mut c = Community::with_members(900, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(1);
    let sealed = Bytes::new(vec![7; 64]).unwrap();
    let welcome = Welcome { recipient: DeviceId::from_bytes([9; 32]), sealed };
    forge(&mut c, 1, 0, u32::MAX, vec![Control::Welcome(welcome)]);
    c.settle();
    let before = mints(&c, 0);
    for _ in 0..3 {
        c.post(0, thread, "to and fro");
        c.settle();
        c.post(2, thread, "to and fro");
        c.settle();
    }
    assert_eq!(mints(&c, 0), before, "nobody mints for each post");
}

#[test]
fn k6_an_epoch_carries_nothing_where_history_is_closed() {
    let mut c = Community::with_members(901, 3);
    c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(1);
    let before = secrets(&c.people[0]).len();
    let replica = &c.people[1].replica;
    let (group, device) = (replica.group(), replica.device());
    let readers: BTreeMap<_, _> = replica.authority().readers(Audience::Readers);
    let junk: Vec<EpochSecret> = (0..64).map(|n| EpochSecret::from_bytes([n; 32])).collect();
    let junk: Vec<_> = junk.iter().map(|secret| (secret.epoch(group), secret)).collect();
    let (_, mint) =
        Mint::fresh(&mut c.rng, group, device, Audience::Readers, &readers, &junk).unwrap();
    forge(&mut c, 1, 0, 0, vec![Control::Epoch(mint)]);
    assert_eq!(secrets(&c.people[0]).len(), before + 1, "the epoch and none of what it carries");
}

#[test]
fn c5_what_was_hidden_is_not_written_again_after_a_demotion() {
    let mut c = Community::with_members(904, 4);
    let thread = c.thread(0, "Evening", "hello");
    grant(&mut c, 0, 1, Rank::Moderator);
    grant(&mut c, 0, 3, Rank::Steward);
    c.unplug(1);
    c.unplug(3);
    c.connect(1, 3);
    let document = c.post(1, thread, "unkind");
    c.settle();
    let (rule, reason) = ("Be kind".to_owned(), String::new());
    assert!(c.ask(3, Command::Hide { document, rule, reason }).is_ok());
    c.settle();
    grant(&mut c, 0, 1, Rank::Member);
    c.connect(0, 1);
    c.connect(0, 3);
    for _ in 0..3 {
        c.settle();
    }
    assert!((0..4).all(|who| !shows(&c, who, "unkind")));
}

#[test]
fn c5_a_device_that_was_ended_confirms_an_erasure_once_at_most() {
    let mut c = Community::with_members(906, 3);
    let thread = c.thread(0, "Evening", "hello");
    grant(&mut c, 0, 1, Rank::Moderator);
    let post = c.post(2, thread, "words");
    c.settle();
    let copy = c.copy(1);
    let old = c.people[1].replica.device();
    c.post(1, thread, "from the old device");
    assert!(c.ask(1, Command::Erase { document: post }).is_ok());
    c.settle();
    c.unplug(1);
    c.connect(0, copy);
    c.settle();
    c.settle();
    assert_ne!(c.people[copy].replica.device(), old, "it has moved on");
    assert!(c.ask(copy, Command::Unlink { device: old, last: None }).is_ok());
    c.settle();
    c.hand_over(0, 1);
    c.now = c.now.after(9 * DAY);
    c.pass(60_000);
    let confirms = |control: &&Control| matches!(control, Control::ConfirmErase(_));
    let written = c.people[1].replica.set().control().values().filter(confirms).count();
    assert_eq!(written, 1, "it cannot help, and is not said again");
}

#[test]
fn a10_nobody_signs_what_its_words_do_not_say() {
    let c = Community::found(907, History::SinceJoining);
    let replica = &c.people[0].replica;
    let key = Seed::from_bytes([0; 32]).council_key(&replica.salt().unwrap());
    let previous = replica.authority().last_root_act().unwrap();
    let act = |abilities| {
        let (subject, cites) = (replica.member(), List::default());
        let grant = Grant { subject, rank: Rank::Reader, abilities, cites, invite: None };
        Draft::new(replica.group(), previous, RootAction::Grant(grant))
    };
    assert!(replica.cosign(&key, act(Abilities::usual(Rank::Reader))).is_ok());
    assert!(replica.cosign(&key, act(Abilities::ALL)).is_err(), "more than a reader");
}

#[test]
fn k1_who_signs_cards_without_end_makes_no_epoch_too_large() {
    let mut c = Community::with_members(903, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let group = c.people[1].replica.group();
    let seed: [u8; 32] = c.people[1].store.persona[46..78].try_into().unwrap();
    let member = MemberKey::new(SigningKey::from_seed(&seed));
    assert_eq!(member.id(), c.member(1));
    for index in 1..=u32::try_from(MEMBER_DEVICES).unwrap() + 6 {
        let device = SigningKey::generate(&mut c.rng);
        let transport = SigningKey::generate(&mut c.rng);
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
        let entry = Entry::author(&device, header, payload).into_inner();
        let run = Run::new(&[entry], true).unwrap().to_bytes();
        gossip(&mut c, 0, 1, run);
    }
    let authority = c.people[0].replica.authority();
    let of = authority.devices().values().filter(|device| device.member == member.id()).count();
    assert!(of > MEMBER_DEVICES, "the set holds them");
    let readers = authority.readers(Audience::Readers);
    assert_eq!(readers.len(), MEMBER_DEVICES + 1, "few are written for");
    c.post(0, thread, "still written");
    assert!(c.reads(0, "still written"));
}

#[test]
fn s2_who_opens_logs_without_end_hides_their_own_only() {
    let group = GroupId::from_bytes([1; 32]);
    let mut set = LogSet::new(group);
    let mut open = |member: u8, number: u32| {
        let mut id = [member; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        // The honest ones have the largest ids.
        id[4] = member;
        if member != 1 {
            id[0] = 0xff;
        }
        let device = DeviceId::from_bytes(id);
        let key = MemberKey::new(SigningKey::from_seed(&[member; 32]));
        let transport = SigningKey::from_seed(&[9; 32]);
        let prekey = PublicKey::from_bytes([3; 32]);
        let card = match number {
            0 | 1 => key.sign_card(group, device, number, prekey, &transport),
            // Nobody checks what is put back.
            _ => {
                let mut card = key.sign_card(group, device, 1, prekey, &transport);
                card.index = number;
                card
            }
        };
        let (kind, grant) = (Kind::CARD, GrantId::NONE);
        let slot = Slot { prev: EntryId::NONE, grant, kind, seen: 0 };
        set.restore(EntryId::from_bytes(id), device, 0, slot, Some(Control::Card(card)));
        device
    };
    let honest: Vec<DeviceId> = (2..12)
        .flat_map(|member| [(member, 0), (member, 1)])
        .map(|(member, number)| open(member, number))
        .collect();
    for number in 0..u32::try_from(DEVICES).unwrap() {
        open(1, number);
    }
    let frontier = Frontier::of(&set);
    assert_eq!(frontier.0.iter().count(), DEVICES);
    assert!(honest.iter().all(|device| frontier.0.get(device).is_some()));
}

#[test]
fn a2_who_demotes_somebody_again_and_again_makes_their_node_write_so_much_a_day() {
    let mut c = Community::with_members(905, 3);
    let thread = c.thread(0, "Evening", "hello");
    grant(&mut c, 0, 1, Rank::Moderator);
    for n in 0..20 {
        c.post(2, thread, &format!("post {n}"));
    }
    c.settle();
    c.unplug(2);
    c.unplug(1);
    let member = c.member(2);
    let own =
        |c: &Community| c.people[2].replica.set().log(&c.people[2].replica.device()).unwrap().len();
    let before = own(&c);
    let mut last = tip(&c, 1);
    for _ in 0..16 {
        let standing = &c.people[2].replica.authority().members()[&member];
        let held = *standing.grants.keys().next().unwrap();
        let rank = Rank::Member;
        let (abilities, cites) = (Abilities::usual(rank), List::default());
        let with = Grant { subject: member, rank, abilities, cites, invite: None };
        let replace = Control::Replace(Replace { grant: held, cut: Cut::default(), with });
        last = forge_after(&mut c, 1, 2, 0, last, vec![replace]);
        c.settle();
    }
    let written = own(&c) - before;
    assert!((100..=256 + 8).contains(&written), "{written} entries");
    c.now = c.now.after(DAY);
    c.settle();
    c.settle();
    assert!((0..20).all(|n| shows(&c, 2, &format!("post {n}"))), "nothing is lost for good");
}

/// Two people who go on under an epoch that the third, whose device this is, never had.
fn after_a_removal(seed: u64) -> (Community, DocumentId, DeviceId) {
    let mut c = Community::with_members(seed, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let gone = c.people[2].replica.device();
    c.remove(0, 2, CutChoice::FromTip);
    c.post(0, thread, "after");
    c.settle();
    c.unplug(1);
    (c, thread, gone)
}

#[test]
fn k2_who_claims_to_have_handed_on_what_is_in_use_costs_a_bounded_number_of_mints() {
    let (mut c, thread, gone) = after_a_removal(906);
    let before = mints(&c, 0);
    let mut last = tip(&c, 1);
    for _ in 0..24 {
        let sealed = Bytes::new(vec![7; 64]).unwrap();
        let welcome = Control::Welcome(Welcome { recipient: gone, sealed });
        let seen = c.people[0].replica.set().seen().count;
        last = forge_after(&mut c, 1, 0, seen, last, vec![welcome]);
        c.post(0, thread, "to and fro");
    }
    let minted = mints(&c, 0) - before;
    assert!((4..=8).contains(&minted), "{minted} mints");
    assert!(c.reads(0, "to and fro"));
}

/// Of many welcomes to somebody who is gone one was written after the epoch in use: it may carry it.
#[test]
fn k2_of_all_that_may_have_leaked_the_latest_decides() {
    for late in 0..8 {
        let (mut c, thread, gone) = after_a_removal(920 + late);
        let before = mints(&c, 0);
        let sealed = Bytes::new(vec![7; 64]).unwrap();
        let welcome = Control::Welcome(Welcome { recipient: gone, sealed });
        forge(&mut c, 1, 0, 1, vec![welcome.clone(); 7]);
        c.post(0, thread, "as before");
        assert_eq!(mints(&c, 0), before, "written by who had not heard of the epoch");
        let seen = c.people[0].replica.set().seen().count;
        // Its place among the others is another in each of these groups.
        let log = c.people[0].replica.set().log(&c.people[1].replica.device()).unwrap();
        let end = log.heads().last().copied().unwrap();
        forge_after(&mut c, 1, 0, seen, end, vec![welcome]);
        c.post(0, thread, "under another");
        assert_eq!(mints(&c, 0), before + 1);
    }
}
