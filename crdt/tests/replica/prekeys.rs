//! Prekeys that change (K8), and epochs that were minted at once (K2, K3).

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::List;
use cairn_crdt::epoch::secret::{Audience, Mint};
use cairn_crdt::id::{DeviceId, EntryId, EpochId, PublicKey};
use cairn_crdt::identity::device::Rotate;
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::Verdict;
use cairn_crdt::replica::input::{Command, CutChoice};

use crate::community::{Community, Person};
use crate::relay::{device_key, gossip, tip};
use crate::thief::{Thief, prekeys};

const DAY: u64 = 86_400_000;

/// A day and two hours go by, and everybody who is connected meets.
pub fn next_day(c: &mut Community) {
    c.settle();
    c.now = c.now.after(DAY);
    c.settle();
    c.now = c.now.after(DAY / 12);
    c.settle();
}

fn count(c: &Community, who: usize, of: impl Fn(&Control) -> bool) -> usize {
    c.people[who].replica.set().control().values().filter(|control| of(control)).count()
}

fn rotations(c: &Community, who: usize) -> usize {
    count(c, who, |control| matches!(control, Control::Rotate(Rotate::Prekey(_))))
}

pub fn mints(c: &Community, who: usize) -> usize {
    count(c, who, |control| matches!(control, Control::Epoch(_)))
}

pub fn welcomes(c: &Community, who: usize, device: DeviceId) -> usize {
    let of = |control: &Control| matches!(control, Control::Welcome(w) if w.recipient == device);
    count(c, who, of)
}

pub fn secrets(person: &Person) -> BTreeSet<EpochId> {
    let snapshot = person.store.snapshot(person.replica.group());
    snapshot.epochs.into_iter().map(|(epoch, _)| epoch).collect()
}

fn mint_of(control: &Control) -> Option<&Mint> {
    match control {
        Control::Epoch(mint) => Some(mint),
        Control::Remove(remove) => remove.epoch.as_ref(),
        _ => None,
    }
}

pub fn minted(c: &Community, who: usize, audience: Audience) -> Vec<Mint> {
    let set = c.people[who].replica.set();
    let mut found: Vec<(u32, Mint)> = set
        .control()
        .iter()
        .filter_map(|(id, control)| Some((set.slot(id)?.seen, mint_of(control)?.clone())))
        .filter(|(_, mint)| mint.audience == audience)
        .collect();
    found.sort_by_key(|(seen, _)| *seen);
    found.into_iter().map(|(_, mint)| mint).collect()
}

/// A mint signed as a person's device, at the end of its log, with a large `seen`.
pub fn forged(c: &Community, who: usize, mint: Mint) -> Vec<u8> {
    let replica = &c.people[who].replica;
    let after = tip(c, who);
    let payload = Control::Epoch(mint).encode();
    let standing = &replica.authority().members()[&replica.member()];
    let header = Header {
        version: VERSION,
        suite: SUITE,
        group: replica.group(),
        device: replica.device(),
        seq: after.0 + 1,
        prev: after.1,
        grant: *standing.grants.keys().next().unwrap(),
        kind: Kind::EPOCH,
        payload: payload_hash(&payload),
        size: u32::try_from(payload.len()).unwrap(),
        sealing: Sealing::Clear,
        seen: Seen { count: 100_000, digest: [0; 16] },
    };
    let entry = Entry::author(&device_key(c, who), header, payload).into_inner();
    Run::new(&[entry], true).unwrap().to_bytes()
}

/// A mint that names an epoch of others, for these devices.
pub fn mint_of_others(c: &mut Community, by: usize, epoch: EpochId, audience: Audience) -> Mint {
    let replica = &c.people[by].replica;
    let readers: BTreeMap<DeviceId, PublicKey> = replica.authority().readers(audience);
    let (group, device) = (replica.group(), replica.device());
    let (_, fresh) = Mint::fresh(&mut c.rng, group, device, audience, &readers, &[]).unwrap();
    let mut wraps = fresh.wraps.into_vec();
    let tags = readers.keys().map(|device| cairn_crdt::epoch::wrap::tag(epoch, *device));
    for (wrap, tag) in wraps.iter_mut().zip(tags) {
        wrap.recipient = tag;
    }
    wraps.sort_by_key(|wrap| wrap.recipient);
    Mint { epoch, wraps: List::new(wraps).unwrap(), ..fresh }
}

/// A group of `n`, all linked to each other.
pub fn all_linked(seed: u64, n: usize) -> Community {
    let mut c = Community::with_members(seed, n);
    link_all(&mut c, n);
    c.settle();
    c
}

fn link_all(c: &mut Community, n: usize) {
    for a in 0..n {
        for b in a + 1..n {
            c.connect(a, b);
        }
    }
}

#[test]
fn k8_a_prekey_is_replaced_after_an_epoch_and_a_quiet_group_writes_nothing() {
    let mut c = Community::with_members(80, 4);
    c.thread(1, "Evening", "hello");
    c.settle();
    assert_eq!(rotations(&c, 0), 0, "not right after joining");
    let before = mints(&c, 0);
    next_day(&mut c);
    assert_eq!(rotations(&c, 0), 4, "one for each device, however many epochs there were");
    for _ in 0..3 {
        next_day(&mut c);
    }
    assert_eq!(rotations(&c, 0), 4, "and then no more");
    c.thread(2, "Morning", "hello");
    assert_eq!(mints(&c, 0), before, "a rotation is no reason to mint");
    c.assert_same(&[0, 1, 2, 3]);
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    next_day(&mut c);
    assert_eq!(rotations(&c, 0), 9);
    c.restart(1);
    c.connect(0, 1);
    c.post(late, c.people[0].store.posts()[0].thread, "said after all of that");
    c.settle();
    assert!((0..4).all(|who| c.reads(who, "said after all of that")));
}

#[test]
fn k8_a_copied_device_opens_nothing_of_an_epoch_after_its_rotation() {
    let mut c = Community::with_members(81, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let stolen = c.people[1].store.clone();
    next_day(&mut c);
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    let post = c.post(0, thread, "said after the rotation");
    c.settle();
    assert!(c.reads(1, "said after the rotation"));
    let thief = Thief::of(&c, 1, &stolen);
    let opens = |entry: EntryId| thief.opens(&entry, &c.people[1].store.entries[&entry]);
    assert!(opens(c.people[1].replica.created(&thread).unwrap()));
    assert!(!opens(c.people[1].replica.created(&post).unwrap()));
}

#[test]
fn k8_the_last_eight_prekeys_are_kept() {
    let mut c = Community::with_members(93, 3);
    c.thread(0, "Evening", "hello");
    let member = c.member(2);
    for day in 1..=10 {
        c.remove(0, 2, CutChoice::FromTip);
        c.ask(0, Command::Grant { member, rank: Rank::Member })
            .unwrap_or_else(|why| panic!("{why}"));
        next_day(&mut c);
        let kept = prekeys(&c.people[1].store.persona).len();
        assert_eq!(kept, 8.min(day + 1), "after {day} days");
    }
}

#[test]
fn k8_who_was_removed_replaces_no_prekey() {
    let mut c = Community::with_members(94, 3);
    c.thread(0, "Evening", "hello");
    c.settle();
    c.remove(0, 1, CutChoice::FromTip);
    c.settle();
    assert_eq!(c.people[1].replica.state(), ReplicaState::Removed);
    let before = rotations(&c, 1);
    next_day(&mut c);
    assert_eq!((rotations(&c, 0), rotations(&c, 1)), (2, before));
}

#[test]
fn k2_a_mint_by_someone_outside_the_audience_is_not_written_under() {
    for demoted in [false, true] {
        let mut c = Community::with_members(88, 2);
        c.thread(0, "Evening", "hello");
        c.settle();
        let known = if demoted {
            let member = c.member(1);
            for rank in [Rank::Moderator, Rank::Member] {
                c.ask(0, Command::Grant { member, rank }).unwrap_or_else(|why| panic!("{why}"));
                c.settle();
                if rank == Rank::Moderator {
                    c.invite(1, Rank::Member, 1, true);
                    c.settle();
                }
            }
            minted(&c, 0, Audience::Moderators).pop().unwrap().epoch
        } else {
            minted(&c, 0, Audience::Readers).pop().unwrap().epoch
        };
        assert!(secrets(&c.people[0]).contains(&known) && secrets(&c.people[1]).contains(&known));
        let mint = mint_of_others(&mut c, 1, known, Audience::Moderators);
        let bytes = forged(&c, 1, mint);
        c.unplug(1);
        assert_eq!(gossip(&mut c, 0, 1, bytes).0, Verdict::Accept);
        let before = c.people[0].replica.set().control().len();
        c.invite(0, Rank::Member, 1, true);
        let set = c.people[0].replica.set();
        let own = set.log(&c.people[0].replica.device()).unwrap().heads().last().unwrap().1;
        let Control::Invite(invite) = &set.control()[&own] else { panic!("the invite") };
        assert!(set.control().len() > before);
        assert_ne!(invite.request_secret.epoch, known, "someone else knows that secret");
    }
}

#[test]
fn k6_the_history_of_readers_carries_no_secret_of_moderators() {
    let mut c = Community::found(89, History::All);
    let code = c.invite(0, Rank::Member, 3, true);
    let one = c.join(code.clone());
    c.connect(0, one);
    c.settle();
    let known = minted(&c, 0, Audience::Moderators).pop().unwrap().epoch;
    let mint = mint_of_others(&mut c, one, known, Audience::Readers);
    let bytes = forged(&c, one, mint);
    c.unplug(one);
    assert_eq!(gossip(&mut c, 0, one, bytes).0, Verdict::Accept);
    let two = c.join(code);
    c.connect(0, two);
    c.settle();
    assert!(secrets(&c.people[0]).contains(&known) && !secrets(&c.people[two]).contains(&known));
}

#[test]
fn k3_newcomers_admitted_at_once_by_two_read_all_that_follows() {
    let mut c = Community::with_members(90, 10);
    let moderator = c.member(1);
    c.ask(0, Command::Grant { member: moderator, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let (here, there) = (c.invite(0, Rank::Member, 1, true), c.invite(1, Rank::Member, 1, true));
    c.settle();
    // Two halves that do not hear of each other, and a third that hears of nothing.
    for who in 1..10 {
        c.unplug(who);
    }
    (2..5).for_each(|who| c.connect(0, who));
    (5..8).for_each(|who| c.connect(1, who));
    let x = c.join(here);
    c.connect(0, x);
    let y = c.join(there);
    c.connect(1, y);
    c.settle();
    let before = mints(&c, 0);
    let said: Vec<String> = [2, 5, 8, 9, x, y].iter().map(|who| format!("by {who}")).collect();
    for (who, text) in [2, 5, 8, 9, x, y].into_iter().zip(&said) {
        c.post(who, thread, text);
    }
    c.settle();
    link_all(&mut c, 12);
    for _ in 0..4 {
        c.settle();
    }
    let everyone: Vec<usize> = (0..12).collect();
    c.assert_same(&everyone);
    for text in &said {
        for who in 0..12 {
            assert!(c.reads(who, text), "{who} does not read what was said {text}");
        }
    }
    for who in 0..12 {
        c.post(who, thread, &format!("again {who}"));
    }
    c.settle();
    assert!((0..12).all(|who| (0..12).all(|by| c.reads(who, &format!("again {by}")))));
    let more = mints(&c, 0) - before;
    assert!(more <= 3, "{more} epochs more");
}

#[test]
fn k2_removals_at_once_with_ten_writers_end_in_one_epoch_without_either() {
    let mut c = all_linked(91, 12);
    let moderator = c.member(1);
    c.ask(0, Command::Grant { member: moderator, rank: Rank::Moderator })
        .unwrap_or_else(|why| panic!("{why}"));
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let before = minted(&c, 0, Audience::Readers).len();
    for who in 0..12 {
        c.unplug(who);
    }
    c.remove(0, 10, CutChoice::FromTip);
    c.remove(1, 11, CutChoice::FromTip);
    for who in 0..10 {
        c.post(who, thread, &format!("apart {who}"));
    }
    link_all(&mut c, 10);
    for _ in 0..3 {
        c.settle();
    }
    let everyone: Vec<usize> = (0..10).collect();
    c.assert_same(&everyone);
    assert!(
        everyone.iter().all(|who| everyone.iter().all(|by| c.reads(*who, &format!("apart {by}"))))
    );
    // All know of both removals, and write at once without hearing of each other.
    for who in 0..10 {
        c.unplug(who);
    }
    for who in 0..10 {
        c.post(who, thread, &format!("after {who}"));
    }
    link_all(&mut c, 10);
    for _ in 0..3 {
        c.settle();
    }
    let then = minted(&c, 0, Audience::Readers);
    assert!(then.len() - before <= 12, "two removals and a mint for each writer at most");
    let entries: BTreeSet<EntryId> = c.people[0].store.entries.keys().copied().collect();
    for round in 0..3 {
        for who in 0..10 {
            c.post(who, thread, &format!("round {round} {who}"));
        }
        c.settle();
    }
    c.assert_same(&everyone);
    assert_eq!(minted(&c, 0, Audience::Readers).len(), then.len(), "nobody mints again");
    let new = c.people[0].store.entries.iter().filter(|(id, _)| !entries.contains(*id));
    let used: BTreeSet<EpochId> = new
        .filter_map(|(_, kept)| match kept.header.sealing {
            Sealing::Sealed { epoch, .. } => Some(epoch),
            Sealing::Clear => None,
        })
        .collect();
    assert_eq!(used.len(), 1, "one usable epoch");
    for removed in [10, 11] {
        let device = c.people[removed].replica.device();
        let all = then.iter().filter(|mint| used.contains(&mint.epoch));
        assert!(all.into_iter().all(|mint| !mint.names(device)));
        assert!(!c.reads(removed, "after 3") && !c.reads(removed, "round 2 3"));
    }
}
