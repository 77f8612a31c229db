//! The conformance scenarios about what comes from outside (L2, L4-L8, I4, S2).

use cairn_crdt::authority::Authority;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::capability::revocation::{Cut, CutHead, Leave, Pin, PinRight, Remove};
use cairn_crdt::codec::List;
use cairn_crdt::crypto::signing::Signature;
use cairn_crdt::id::{EntryId, GrantId};
use cairn_crdt::log::entry::{Control, Kind};
use cairn_crdt::log::frontier::Frontier;
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::log::set::LogSet;
use cairn_crdt::replica::effect::Verdict;
use cairn_crdt::replica::input::CutChoice;

use crate::community::Community;
use crate::relay::{gossip, stored, tip};
use crate::scenarios_joining::appoint;
use crate::scenarios_signed::{grant_of, sign, signed};

#[test]
fn scenario_42_without_any_words_the_chains_hold_and_nothing_of_authority_changes() {
    let mut c = Community::with_members(120, 3);
    let thread = c.thread(0, "Evening", "hello");
    for n in 0..5 {
        c.post(1 + n % 2, thread, &format!("words {n}"));
    }
    c.remove(0, 2, CutChoice::FromTip);
    c.settle();
    let replica = &c.people[0].replica;
    let mut set = LogSet::new(replica.group());
    let mut dropped = 0;
    for log in replica.set().logs().values() {
        let entries: Vec<Entry> = log
            .iter()
            .map(|(_, id, _)| {
                let kept = &c.people[0].store.entries[&id];
                let content = !kept.header.kind.is_control();
                dropped += usize::from(content && kept.payload.is_some());
                let payload = kept.payload.clone().filter(|_| !content);
                Entry { id, header: kept.header.clone(), payload, signature: kept.signature }
            })
            .collect();
        let mut rest = entries.as_slice();
        while let Some((run, taken)) = Run::first_of(rest, true) {
            let run = Run::from_bytes(&run.to_bytes()).unwrap();
            for entry in run.verify(replica.group()).unwrap() {
                set.insert(&entry).unwrap();
            }
            rest = &rest[taken..];
        }
    }
    assert!(dropped > 5, "{dropped}");
    assert_eq!(Frontier::of(&set), Frontier::of(replica.set()));
    assert_eq!(Authority::evaluate(&set).digest(), replica.authority().digest());
}

#[test]
fn scenario_43_who_is_served_last_months_group_can_tell_by_what_others_have_seen() {
    let mut c = Community::with_members(121, 4);
    c.settle();
    // Person 3 is away; a moderator is removed meanwhile, and a post is written by one who knows.
    c.unplug(3);
    c.remove(0, 2, CutChoice::FromTip);
    let thread = c.thread(1, "Evening", "hello");
    c.settle();
    let stale = c.people[3].replica.set().seen();
    let written = c.people[1].replica.created(&thread).unwrap();
    let seen = c.people[1].store.entries[&written].header.seen;
    assert!(seen.count > stale.count && seen.digest != stale.digest);
    // The same hint stands in a new invite (J1) and in every greeting (S2).
    let code = c.invite(0, Rank::Member, 1, true);
    assert!(code.seen.count > stale.count);
    // Whoever serves what person 3 had and the post alone, as a keeper could, is found out.
    assert!(c.people[3].replica.seen_further().is_empty(), "nothing has come yet");
    let log = c.people[1].replica.device();
    let theirs = c.people[1].replica.set().log(&log).unwrap();
    let (from, _) = c.people[3].replica.set().log(&log).unwrap().heads().last().copied().unwrap();
    let lacking: Vec<EntryId> = theirs.between(from + 1, u64::MAX).map(|(id, _)| id).collect();
    for id in lacking {
        let run = stored(&c, 1, id);
        gossip(&mut c, 3, 1, run);
    }
    assert_eq!(c.people[3].replica.seen_further(), [c.member(1)].into(), "it is stale");
    // It is a hint and no rule: whoever is behind catches up from anyone who is not.
    c.connect(1, 3);
    c.settle();
    c.connect(0, 3);
    c.settle();
    c.assert_same(&[0, 1, 3]);
    assert!((0..4).all(|who| who == 2 || c.people[who].replica.seen_further().is_empty()));
    assert_eq!(c.people[3].replica.set().seen(), c.people[0].replica.set().seen());
}

#[test]
fn scenario_44_what_a_keeper_flips_is_refused_and_what_it_drops_is_filled_in() {
    let mut c = Community::with_members(122, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(1);
    let mut written = Vec::new();
    for n in 0..9 {
        c.post(1, thread, &format!("words {n}"));
        written.push(tip(&c, 1).1);
    }
    let runs: Vec<Vec<u8>> = written.iter().map(|id| stored(&c, 1, *id)).collect();
    let held = c.people[0].replica.held();
    // A bit is flipped, anywhere.
    for at in (0..runs[0].len() * 8).step_by(7) {
        let mut bytes = runs[0].clone();
        bytes[at / 8] ^= 1 << (at % 8);
        let (verdict, stored) = gossip(&mut c, 0, 1, bytes);
        assert_eq!((verdict, stored.len()), (Verdict::Reject, 0), "bit {at}");
    }
    // Another group's entry, well signed over there.
    let mut other = Community::with_members(123, 2);
    let foreign = other.thread(1, "Elsewhere", "hello");
    let foreign = other.people[1].replica.created(&foreign).unwrap();
    let bytes = stored(&other, 1, foreign);
    assert_eq!(gossip(&mut c, 0, 1, bytes), (Verdict::Reject, Vec::new()));
    assert_eq!(c.people[0].replica.held(), held);
    // Every third is dropped and the rest comes backwards: what has no beginning waits.
    for (number, run) in runs.iter().enumerate().rev() {
        if number % 3 != 1 {
            gossip(&mut c, 0, 1, run.clone());
        }
    }
    assert_eq!(c.people[0].replica.held(), held + 1, "the first one only");
    assert!(c.reads(0, "words 0") && !c.reads(0, "words 2"));
    // A second source fills it in.
    c.unplug(2);
    c.connect(1, 2);
    c.settle();
    c.unplug(1);
    c.connect(0, 2);
    c.settle();
    c.assert_same(&[0, 1, 2]);
    assert!((0..9).all(|n| c.reads(0, &format!("words {n}"))));
}

/// The order of the group of Ed25519's points, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn scenario_45_a_signature_that_only_a_lax_verifier_takes_is_refused() {
    let mut c = Community::with_members(124, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(1);
    c.post(1, thread, "words");
    let id = tip(&c, 1).1;
    let kept = c.people[1].store.entries[&id].clone();
    let good = *kept.signature.unwrap().as_bytes();
    // s + order: the same equation holds, for whoever does not ask that s be below the order.
    let mut malleable = good;
    let mut carry = 0_u16;
    for (byte, add) in malleable[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    // R of small order (the neutral point), s zero; and R not in the one encoding.
    let mut small = [0; 64];
    small[0] = 1;
    let mut not_canonical = good;
    not_canonical[..32].copy_from_slice(&[0xff; 32]);
    for signature in [malleable, small, not_canonical] {
        let signature = Some(Signature::from_bytes(signature));
        let (header, payload) = (kept.header.clone(), kept.payload.clone());
        let entry = Entry { id, header, payload, signature };
        let bytes = Run::new(&[entry], true).unwrap().to_bytes();
        assert_eq!(gossip(&mut c, 0, 1, bytes), (Verdict::Reject, Vec::new()));
    }
    assert!(!c.people[0].store.entries.contains_key(&id));
    let bytes = stored(&c, 1, id);
    assert_eq!(gossip(&mut c, 0, 1, bytes).0, Verdict::Accept);
}

#[test]
fn scenario_46_another_encoding_of_a_valid_entry_is_refused() {
    let mut c = Community::with_members(125, 2);
    c.settle();
    let after = tip(&c, 1);
    let leave = Leave { grants: List::default(), cut: Cut::default() };
    let control = Control::Leave(leave);
    let (id, bytes) = sign(&c, 1, after, GrantId::NONE, &control);
    // A byte more; and the first length written with a needless byte.
    let mut longer = bytes.clone();
    longer.push(0);
    let at = bytes.iter().position(|byte| (1..0x80).contains(byte)).unwrap();
    let mut overlong = bytes.clone();
    overlong[at] |= 0x80;
    overlong.insert(at + 1, 0);
    for other in [longer, overlong] {
        assert_eq!(gossip(&mut c, 0, 1, other), (Verdict::Reject, Vec::new()));
    }
    // A payload that is signed and says the same in other bytes.
    let mut payload = control.encode();
    payload.push(0);
    let entry = signed(&c, 1, after, GrantId::NONE, Kind::LEAVE, payload);
    let other = Run::new(&[entry], true).unwrap().to_bytes();
    assert_eq!(gossip(&mut c, 0, 1, other), (Verdict::Reject, Vec::new()));
    assert!(!c.people[0].replica.set().contains(&id));
    assert_eq!(gossip(&mut c, 0, 1, bytes), (Verdict::Accept, vec![id]));
}

#[test]
fn scenario_47_a_backup_that_writes_on_makes_a_fork_in_which_removals_stand() {
    let mut c = Community::with_members(126, 4);
    appoint(&mut c, 1, Rank::Moderator);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let backup = c.copy(1);
    // The phone removes somebody and posts; the backup, which knows nothing of it, posts too.
    c.unplug(1);
    c.remove(1, 3, CutChoice::FromTip);
    let here = tip(&c, 1);
    c.post(1, thread, "from the phone");
    c.post(backup, thread, "from the backup");
    let there = tip(&c, backup);
    c.hand_over(1, 0);
    assert!(c.reads(0, "from the phone"));
    c.hand_over(backup, 0);
    let authority = c.people[0].replica.authority();
    let device = c.people[1].replica.device();
    assert!(authority.forks().contains_key(&device));
    assert_eq!(authority.rank_of(&c.member(3)), None, "the removal stands");
    assert_eq!(authority.rank_of(&c.member(1)), Some(Rank::Moderator), "the fork ends nobody");
    assert!(!c.reads(0, "from the phone") && !c.reads(0, "from the backup"));
    // A pin selects the phone's branch.
    let head = tip(&c, 1);
    let pin = Pin { device, head: CutHead { seq: head.0, entry: head.1 }, by: PinRight::Rank };
    let (_, bytes) = sign(&c, 0, tip(&c, 0), grant_of(&c, 0), &Control::Pin(pin));
    assert_eq!(gossip(&mut c, 0, 2, bytes).0, Verdict::Accept);
    c.settle();
    c.assert_same(&[0, 2]);
    assert!(c.reads(2, "from the phone") && !c.reads(2, "from the backup"));
    let authority = c.people[2].replica.authority();
    assert!(authority.counting(c.people[2].replica.set(), &here.1).counts());
    assert!(!authority.counting(c.people[2].replica.set(), &there.1).denies());
}

#[test]
fn scenario_51_when_everything_is_full_a_removal_is_still_stored() {
    let mut c = Community::with_members(127, 4);
    appoint(&mut c, 1, Rank::Moderator);
    c.unplug(0);
    c.unplug(1);
    c.unplug(3);
    // Person 3 fills what it can: branches of its own log past the bound, and entries whose
    // beginning nobody has.
    let after = tip(&c, 3);
    let none = |number: u32| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        let leave = Leave {
            grants: List::new(vec![GrantId::of(EntryId::from_bytes(id))]).unwrap(),
            cut: Cut::default(),
        };
        Control::Leave(leave)
    };
    for number in 0..100 {
        let (_, bytes) = sign(&c, 3, after, GrantId::NONE, &none(number));
        gossip(&mut c, 0, 3, bytes);
    }
    for number in 0..5_000 {
        let nowhere = (9, EntryId::from_bytes([u8::try_from(number % 251).unwrap(); 32]));
        let (_, bytes) = sign(&c, 3, nowhere, GrantId::NONE, &none(number));
        gossip(&mut c, 0, 3, bytes);
    }
    let subject = c.member(3);
    let remove = Remove { subject, cut: Cut::default(), epoch: None };
    let (id, bytes) = sign(&c, 1, tip(&c, 1), grant_of(&c, 1), &Control::Remove(remove));
    assert_eq!(gossip(&mut c, 0, 1, bytes).0, Verdict::Accept);
    assert!(c.people[0].store.entries.contains_key(&id));
    assert_eq!(c.people[0].replica.authority().rank_of(&subject), None);
}
