//! Prekeys that change, keys that are asked for again (K8), and epochs that were minted at once
//! (K2, K3).

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::epoch::secret::{Audience, Mint};
use cairn_crdt::epoch::welcome::Welcome;
use cairn_crdt::id::{DeviceId, EntryId, EpochId, PublicKey};
use cairn_crdt::identity::device::Rotate;
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Run};
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::{Effect, Verdict};
use cairn_crdt::replica::input::{Command, CutChoice, Input, Protocol, SessionEvent, SessionId};
use cairn_crdt::sync::message::{Admittance, Message, SYNC_VERSION};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::attacks::forge;
use crate::community::{Community, Person};
use crate::relay::{device_key, gossip, tip};
use crate::retention::Thief;

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

fn welcomes(c: &Community, who: usize, device: DeviceId) -> usize {
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

fn minted(c: &Community, who: usize, audience: Audience) -> Vec<Mint> {
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
fn forged(c: &Community, who: usize, mint: Mint) -> Vec<u8> {
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

/// A mint by a person's device for exactly an audience, wrapped to the right keys but for those
/// devices that get junk.
fn mint_with_junk(c: &mut Community, by: usize, junk: &[DeviceId]) -> Mint {
    let replica = &c.people[by].replica;
    let mut readers = replica.authority().readers(Audience::Readers);
    let other = SecretKey::generate(&mut ChaCha20Rng::seed_from_u64(404)).public_key();
    for (device, prekey) in &mut readers {
        if junk.contains(device) {
            *prekey = other;
        }
    }
    let (group, device) = (replica.group(), replica.device());
    Mint::fresh(&mut c.rng, group, device, Audience::Readers, &readers, &[]).unwrap().1
}

/// A mint that names an epoch of others, for these devices.
fn mint_of_others(c: &mut Community, by: usize, epoch: EpochId, audience: Audience) -> Mint {
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

/// Says as `who` to `to`, on a stream of its own, that these epochs are lacking.
fn claim(c: &mut Community, who: usize, to: usize, epochs: Vec<EpochId>, session: u64) {
    let (peer, protocol) = (c.key(who), Protocol::Sync);
    let session = SessionId(u64::MAX - session);
    let replica = &c.people[to].replica;
    let hello = Message::Hello {
        version: SYNC_VERSION,
        group: replica.group(),
        frontier: replica.digest(),
        seen: Seen::default(),
    };
    let lacking = Message::Lacking(List::new(epochs).unwrap());
    let opened = SessionEvent::Opened { peer, protocol, initiated: false };
    let said = [hello, Message::Welcome(Admittance::Member), lacking];
    let said = said.map(|message| SessionEvent::Message(message.to_bytes()));
    for event in [opened].into_iter().chain(said).chain([SessionEvent::Closed]) {
        let input = Input::Session { session, event };
        let effects = c.people[to].replica.handle(c.now, &mut c.rng, input);
        c.perform(to, effects);
    }
    c.run();
}

/// A group of `n`, all linked to each other.
fn all_linked(seed: u64, n: usize) -> Community {
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
fn k8_whoever_was_wrapped_junk_asks_and_is_healed() {
    let mut c = all_linked(82, 4);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let victim = c.people[2].replica.device();
    let mint = mint_with_junk(&mut c, 1, &[victim]);
    let epoch = mint.epoch;
    let bytes = forged(&c, 1, mint);
    // And another names the same epoch for others, so that nobody could tell whose it is.
    let confusing = mint_of_others(&mut c, 3, epoch, Audience::Moderators);
    let confusing = forged(&c, 3, confusing);
    c.unplug(1);
    for to in [0, 2] {
        assert_eq!(gossip(&mut c, to, 1, bytes.clone()).0, Verdict::Accept);
        assert_eq!(gossip(&mut c, to, 3, confusing.clone()).0, Verdict::Accept);
    }
    c.unplug(3);
    assert!(secrets(&c.people[0]).contains(&epoch) && !secrets(&c.people[2]).contains(&epoch));
    c.post(0, thread, "sealed under it");
    assert!(!c.reads(2, "sealed under it"));
    c.settle();
    c.settle();
    assert!(c.reads(2, "sealed under it"), "it asked");
    assert!(secrets(&c.people[2]).contains(&epoch));
    assert_eq!(welcomes(&c, 0, victim), 2, "one at joining, one now: one member was asked");
    let before = mints(&c, 0);
    c.post(2, thread, "in answer");
    c.settle();
    assert!(c.reads(0, "in answer"));
    assert_eq!(mints(&c, 0), before, "no split");
    c.assert_same(&[0, 2]);
}

#[test]
fn k8_a_wrap_to_a_prekey_that_is_gone_is_asked_for_again() {
    let mut c = all_linked(83, 3);
    let thread = c.thread(0, "Evening", "hello");
    next_day(&mut c);
    // Someone wraps to a key that the device has long dropped: as if it had been away.
    let device = c.people[2].replica.device();
    let mint = mint_with_junk(&mut c, 1, &[device]);
    let bytes = forged(&c, 1, mint);
    c.unplug(1);
    for to in [0, 2] {
        gossip(&mut c, to, 1, bytes.clone());
    }
    c.settle();
    c.settle();
    c.post(0, thread, "and it was there before anything was sealed under it");
    assert!(c.reads(2, "and it was there before anything was sealed under it"));
}

#[test]
fn k8_nothing_is_handed_on_that_was_not_for_the_device() {
    let mut c = Community::with_members(84, 2);
    c.thread(0, "Evening", "said before");
    c.settle();
    let code = c.invite(0, Rank::Member, 1, true);
    let early: Vec<Mint> = minted(&c, 0, Audience::Readers);
    let moderators: Vec<Mint> = minted(&c, 0, Audience::Moderators);
    let late = c.join(code);
    c.connect(0, late);
    c.connect(1, late);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Member);
    let device = c.people[late].replica.device();
    let before = welcomes(&c, 0, device);
    let asked: Vec<EpochId> = early.iter().chain(&moderators).map(|mint| mint.epoch).collect();
    assert!(asked.iter().all(|epoch| secrets(&c.people[0]).contains(epoch)));
    for to in [0, 1] {
        claim(&mut c, late, to, asked.clone(), 1);
    }
    c.settle();
    assert_eq!(welcomes(&c, 0, device), before, "minted without it, or for others");
    // It claims to have been a recipient.
    for (n, epoch) in asked.iter().enumerate() {
        let mint = mint_of_others(&mut c, late, *epoch, Audience::Readers);
        let bytes = forged(&c, late, mint);
        for to in [0, 1] {
            gossip(&mut c, to, late, bytes.clone());
            claim(&mut c, late, to, vec![*epoch], 10 + n as u64);
        }
        c.unplug(late);
        c.connect(0, late);
        c.connect(1, late);
    }
    c.settle();
    assert_eq!(welcomes(&c, 0, device), before);
    assert!(!c.reads(late, "said before"));
}

#[test]
fn k8_with_history_all_whoever_lacks_an_epoch_is_given_it() {
    let mut c = Community::found(85, History::All);
    let code = c.invite(0, Rank::Member, 2, true);
    let one = c.join(code.clone());
    c.connect(0, one);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    // Sealed by one who has not heard of the newcomer, and the admitter is away for good.
    c.unplug(one);
    c.post(one, thread, "written without knowing");
    let two = c.join(code);
    c.connect(0, two);
    c.settle();
    c.unplug(0);
    c.connect(one, two);
    c.settle();
    c.settle();
    assert!(c.reads(two, "written without knowing"));
}

#[test]
fn k8_who_always_asks_costs_a_bounded_number_of_entries() {
    let mut c = Community::with_members(86, 4);
    c.thread(0, "Evening", "hello");
    for _ in 0..24 {
        let member = c.member(3);
        c.remove(0, 3, CutChoice::FromTip);
        c.ask(0, Command::Grant { member, rank: Rank::Member })
            .unwrap_or_else(|why| panic!("{why}"));
    }
    c.settle();
    let epochs: Vec<EpochId> = minted(&c, 0, Audience::Readers).iter().map(|m| m.epoch).collect();
    let device = c.people[2].replica.device();
    let day = |c: &mut Community| {
        let before = welcomes(c, 0, device);
        for (n, epoch) in epochs.iter().chain(&epochs).enumerate() {
            claim(c, 2, 0, vec![*epoch], n as u64);
            claim(c, 2, 1, vec![*epoch], 100 + n as u64);
            c.settle();
        }
        welcomes(c, 0, device) - before
    };
    let first = day(&mut c);
    assert!((8..=20).contains(&first), "{first} welcomes in a day");
    c.now = c.now.after(DAY);
    assert!(day(&mut c) <= 20);
}

#[test]
fn k8_junk_of_others_uses_up_nobodys_help() {
    let mut c = Community::with_members(88, 4);
    c.thread(0, "Evening", "hello");
    let member = c.member(3);
    for _ in 0..6 {
        c.remove(0, 3, CutChoice::FromTip);
        c.ask(0, Command::Grant { member, rank: Rank::Member })
            .unwrap_or_else(|why| panic!("{why}"));
    }
    c.settle();
    let epochs: Vec<EpochId> = minted(&c, 0, Audience::Readers).iter().map(|m| m.epoch).collect();
    let device = c.people[2].replica.device();
    let sealed = Bytes::new(vec![7; 64]).unwrap();
    let junk = vec![Control::Welcome(Welcome { recipient: device, sealed }); 40];
    forge(&mut c, 1, 0, 0, junk);
    let before = welcomes(&c, 0, device);
    assert!(before >= 40);
    let [.., one, other, another] = epochs[..] else { panic!("too few") };
    claim(&mut c, 2, 0, vec![one], 1);
    claim(&mut c, 2, 0, vec![other, another], 2);
    assert_eq!(welcomes(&c, 0, device), before + 2, "it is helped all the same");
}

#[test]
fn k8_keys_are_asked_for_once_on_a_stream_and_of_nobody_in_vain() {
    let mut c = Community::with_members(87, 2);
    c.thread(0, "Evening", "hello");
    c.settle();
    let twice = Message::Lacking(List::default()).to_bytes();
    let (peer, protocol, session) = (c.key(1), Protocol::Sync, SessionId(u64::MAX));
    let mut said = Vec::new();
    let replica = &c.people[0].replica;
    let hello = Message::Hello {
        version: SYNC_VERSION,
        group: replica.group(),
        frontier: replica.digest(),
        seen: Seen::default(),
    };
    for event in [
        SessionEvent::Opened { peer, protocol, initiated: false },
        SessionEvent::Message(hello.to_bytes()),
        SessionEvent::Message(twice.clone()),
        SessionEvent::Message(twice),
    ] {
        said = c.people[0].replica.handle(c.now, &mut c.rng, Input::Session { session, event });
    }
    assert!(said.iter().any(|effect| matches!(effect, Effect::Disconnect { .. })));
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
