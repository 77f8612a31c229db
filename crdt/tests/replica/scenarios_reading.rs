//! The conformance scenarios about who can read what (K1-K8). What somebody must not read is
//! handed to them whole, as if a keeper had been robbed, and stays closed.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::epoch::keyring::Keyring;
use cairn_crdt::epoch::secret::{Audience, Mint};
use cairn_crdt::epoch::wrap::Wrap;
use cairn_crdt::id::{DeviceId, EpochId, PublicKey};
use cairn_crdt::identity::device::{Rotate, Unlink};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::log::entry::Control;
use cairn_crdt::replica::input::CutChoice;

use crate::community::Community;
use crate::relay::{gossip, tip};
use crate::scenarios_joining::appoint;
use crate::scenarios_signed::{grant_of, sign};

#[test]
fn scenario_32_what_was_written_without_knowing_of_a_newcomer_reaches_it_in_one_round() {
    let mut c = Community::with_members(100, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    c.unplug(1);
    c.post(1, thread, "without knowing");
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    c.connect(0, 1);
    c.settle();
    assert!(c.reads(late, "without knowing"));
    c.assert_same(&[0, 1, late]);
}

#[test]
fn scenario_33_two_who_were_admitted_at_once_both_read_all_that_follows() {
    let mut c = Community::with_members(101, 2);
    appoint(&mut c, 1, Rank::Moderator);
    let thread = c.thread(0, "Evening", "hello");
    let codes = (c.invite(0, Rank::Member, 1, true), c.invite(1, Rank::Member, 1, true));
    c.settle();
    c.unplug(1);
    let (left, right) = (c.join(codes.0), c.join(codes.1));
    c.connect(0, left);
    c.connect(1, right);
    c.settle();
    c.connect(0, 1);
    c.settle();
    for (who, text) in [(0, "by 0"), (1, "by 1"), (left, "by left"), (right, "by right")] {
        c.post(who, thread, text);
    }
    c.settle();
    c.settle();
    c.assert_same(&[0, 1, left, right]);
    for reader in [0, 1, left, right] {
        for text in ["by 0", "by 1", "by left", "by right"] {
            assert!(c.reads(reader, text), "{reader} does not read {text}");
        }
    }
}

/// All epochs that the entries of a person's set mint.
fn mints(c: &Community, who: usize) -> Vec<Mint> {
    let control = c.people[who].replica.set().control().values();
    control
        .filter_map(|control| match control {
            Control::Epoch(mint) => Some(mint.clone()),
            Control::Remove(remove) => remove.epoch.clone(),
            _ => None,
        })
        .collect()
}

#[test]
fn scenario_34_two_removals_at_once_cost_few_epochs_and_shut_both_out() {
    const WRITERS: [usize; 10] = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
    let mut c = Community::with_members(102, 14);
    appoint(&mut c, 1, Rank::Moderator);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let before = mints(&c, 0).len();
    // Half with the founder, half with the moderator.
    c.unplug(0);
    WRITERS.iter().for_each(|who| c.connect(who % 2, *who));
    c.remove(0, 2, CutChoice::FromTip);
    c.remove(1, 3, CutChoice::FromTip);
    c.settle();
    for who in WRITERS {
        c.post(who, thread, &format!("apart {who}"));
    }
    c.settle();
    c.connect(0, 1);
    c.settle();
    c.settle();
    for who in WRITERS {
        c.post(who, thread, &format!("after {who}"));
    }
    c.settle();
    c.settle();
    let mut all = vec![0, 1];
    all.extend(WRITERS);
    c.assert_same(&all);
    assert!(mints(&c, 0).len() - before <= WRITERS.len());
    for (removed, other) in [(2, 0), (3, 1)] {
        c.hand_over(0, removed);
        for who in WRITERS {
            assert!(!c.reads(removed, &format!("after {who}")), "{removed} reads {who}");
            // Those who knew only of the other removal wrote for this one too.
            if who % 2 == other {
                assert!(!c.reads(removed, &format!("apart {who}")));
            }
        }
    }
    for who in WRITERS {
        let text = format!("after {who}");
        assert!(all.iter().all(|reader| c.reads(*reader, &text)), "{text}");
    }
}

#[test]
fn scenario_35_who_was_admitted_by_somebody_just_removed_is_in_no_later_epoch() {
    let mut c = Community::with_members(103, 2);
    appoint(&mut c, 1, Rank::Moderator);
    let thread = c.thread(0, "Evening", "hello");
    let code = c.invite(1, Rank::Member, 1, true);
    c.settle();
    c.unplug(1);
    let late = c.join(code);
    c.connect(1, late);
    c.settle();
    c.post(1, thread, "meanwhile");
    c.settle();
    assert!(c.reads(late, "meanwhile"));
    c.remove(0, 1, CutChoice::FromTip);
    c.connect(0, 1);
    c.settle();
    c.post(0, thread, "afterwards");
    c.settle();
    c.hand_over(0, late);
    assert!(!c.reads(late, "afterwards"));
    assert!(c.reads(0, "afterwards"));
}

#[test]
fn scenario_36_whom_another_grant_keeps_reads_the_next_epoch() {
    let mut c = Community::with_members(104, 3);
    appoint(&mut c, 1, Rank::Moderator);
    appoint(&mut c, 2, Rank::Steward);
    let thread = c.thread(0, "Evening", "hello");
    let code = c.invite(1, Rank::Member, 1, true);
    let kept = c.join(code);
    c.connect(1, kept);
    c.settle();
    c.connect(0, kept);
    c.settle();
    // The steward removes who admitted them, from the start; the founder, apart, appoints them.
    c.unplug(2);
    c.remove(2, 1, CutChoice::FromStart);
    assert_eq!(c.people[2].replica.authority().rank_of(&c.member(kept)), None);
    appoint(&mut c, kept, Rank::Moderator);
    c.unplug(1);
    c.connect(0, 2);
    c.settle();
    c.settle();
    for (who, text) in [(0, "by the founder"), (2, "by the steward"), (kept, "by the one kept")] {
        c.post(who, thread, text);
        c.settle();
    }
    c.assert_same(&[0, 2, kept]);
    for reader in [0, 2, kept] {
        for text in ["by the founder", "by the steward", "by the one kept"] {
            assert!(c.reads(reader, text), "{reader} does not read {text}");
        }
    }
    c.hand_over(0, 1);
    assert!(!c.reads(1, "by the founder"));
}

/// The prekeys of everyone who reads, as 0 sees them.
fn readers(c: &Community) -> BTreeMap<DeviceId, PublicKey> {
    c.people[0].replica.authority().readers(Audience::Readers)
}

fn held(c: &Community, who: usize) -> BTreeSet<EpochId> {
    let snapshot = c.people[who].store.snapshot(c.people[who].replica.group());
    snapshot.epochs.iter().map(|(epoch, _)| *epoch).collect()
}

#[test]
fn scenario_37_who_is_wrapped_junk_notices_and_nobody_is_split_off() {
    let mut c = Community::with_members(105, 4);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let (group, minter, victim) = {
        let replica = |who: usize| &c.people[who].replica;
        (replica(0).group(), replica(1).device(), replica(2).device())
    };
    // Person 1 mints for all, and spoils the wrap for person 2.
    let readers = readers(&c);
    let fresh = |c: &mut Community| {
        Mint::fresh(&mut c.rng, group, minter, Audience::Readers, &readers, &[]).unwrap()
    };
    let (_, honest) = fresh(&mut c);
    let mut without = readers.clone();
    without.remove(&victim);
    let tags: BTreeSet<_> = honest
        .wraps
        .iter()
        .filter(|wrap| without.keys().all(|device| !names(&honest, wrap, *device)))
        .map(|wrap| wrap.recipient)
        .collect();
    let wraps = honest.wraps.iter().map(|wrap| {
        let junk = tags.contains(&wrap.recipient);
        let sealed = if junk { Bytes::new(vec![7; 48]).unwrap() } else { wrap.sealed.clone() };
        Wrap { recipient: wrap.recipient, sealed }
    });
    let spoilt = Mint { wraps: List::new(wraps.collect()).unwrap(), ..honest };
    let epoch = spoilt.epoch;
    assert_eq!(tags.len(), 1);
    let (_, bytes) = sign(&c, 1, tip(&c, 1), grant_of(&c, 1), &Control::Epoch(spoilt));
    for to in [0, 2, 3] {
        gossip(&mut c, to, 1, bytes.clone());
    }
    assert!(held(&c, 0).contains(&epoch) && held(&c, 3).contains(&epoch));
    assert!(!held(&c, 2).contains(&epoch), "what was wrapped is not the epoch's secret");
    // The set is the same for all, and the victim is stopped by nothing: it reads on as soon as
    // anyone mints again, and what it writes itself reaches everyone.
    c.post(2, thread, "from the victim");
    c.settle();
    c.remove(0, 3, CutChoice::FromTip);
    c.post(0, thread, "from the founder");
    c.settle();
    assert!(c.reads(0, "from the victim") && c.reads(2, "from the founder"));
    assert_eq!(c.people[0].replica.digest(), c.people[2].replica.digest());
}

/// Whether a wrap is the one for a device.
fn names(mint: &Mint, wrap: &Wrap, device: DeviceId) -> bool {
    cairn_crdt::epoch::wrap::tag(mint.epoch, device) == wrap.recipient
}

#[test]
fn scenario_39_what_a_newcomer_reads_of_before_is_the_groups_policy() {
    for (history, reads) in [(History::SinceJoining, false), (History::All, true)] {
        let mut c = Community::found(106, history);
        let thread = c.thread(0, "Evening", "said before");
        let code = c.invite(0, Rank::Member, 1, true);
        let late = c.join(code);
        c.connect(0, late);
        c.settle();
        c.post(0, thread, "said after");
        c.settle();
        c.hand_over(0, late);
        assert_eq!(c.reads(late, "said before"), reads);
        assert!(c.reads(late, "said after"));
    }
}

#[test]
fn scenario_40_a_stolen_phone_reads_nothing_new_once_it_is_unlinked() {
    let mut c = Community::with_members(107, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let thief = c.copy(2);
    c.post(0, thread, "before it is known");
    c.settle();
    c.hand_over(0, thief);
    assert!(c.reads(thief, "before it is known"), "the thief has what the owner had");
    // The words end the device, by whatever log they are carried.
    let genesis = cairn_crdt::id::EntryId::from_bytes(*c.people[0].replica.group().as_bytes());
    let Control::Genesis(founding) = c.people[0].replica.set().control()[&genesis].clone() else {
        panic!("the group's first entry");
    };
    let key = MemberKey::new(Seed::from_bytes([2; 32]).member_key(&founding.salt));
    assert_eq!(key.id(), c.member(2));
    let (device, (seq, entry)) = (c.people[2].replica.device(), tip(&c, 2));
    let group = c.people[0].replica.group();
    let signature = key.sign_unlink(group, device, seq, entry);
    let unlink = Unlink { member: key.id(), device, seq, entry, signature };
    let none = cairn_crdt::id::GrantId::NONE;
    let (_, bytes) = sign(&c, 1, tip(&c, 1), none, &Control::Unlink(unlink));
    for to in [0, 1] {
        gossip(&mut c, to, 1, bytes.clone());
    }
    c.unplug(2);
    c.post(0, thread, "once it is known");
    c.settle();
    c.hand_over(0, thief);
    assert!(c.reads(1, "once it is known") && !c.reads(thief, "once it is known"));
}

#[test]
fn scenario_40_nor_once_its_prekey_was_rotated_and_an_epoch_was_minted() {
    let mut c = Community::with_members(108, 4);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let thief = c.copy(2);
    // The owner rotates; the thief has the old prekey only.
    let fresh = SecretKey::generate(&mut c.rng);
    let rotate = Control::Rotate(Rotate::Prekey(fresh.public_key()));
    let none = cairn_crdt::id::GrantId::NONE;
    let (_, bytes) = sign(&c, 2, tip(&c, 2), none, &rotate);
    c.unplug(2);
    for to in [0, 1, 3] {
        gossip(&mut c, to, 2, bytes.clone());
    }
    assert_eq!(readers(&c)[&c.people[2].replica.device()], fresh.public_key());
    // Something else makes the group mint.
    c.remove(0, 3, CutChoice::FromTip);
    c.post(0, thread, "after the rotation");
    c.settle();
    c.hand_over(0, thief);
    assert!(c.reads(1, "after the rotation") && !c.reads(thief, "after the rotation"));
    let mut keyring = Keyring::new(fresh);
    let (group, owner) = (c.people[0].replica.group(), c.people[2].replica.device());
    let minter = c.people[0].replica.device();
    let newest: Vec<Mint> = c.people[0]
        .replica
        .set()
        .control()
        .values()
        .filter_map(|control| match control {
            Control::Remove(remove) => remove.epoch.clone(),
            _ => None,
        })
        .collect();
    let learnt = keyring.learn_mint(group, minter, owner, &newest[0]);
    assert!(learnt.is_ok_and(|learnt| learnt == [newest[0].epoch]), "the owner reads on");
    assert!(!held(&c, thief).contains(&newest[0].epoch));
}
