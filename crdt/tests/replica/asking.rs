//! Keys that a device lacks and asks for (K8).

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::epoch::secret::{Audience, Mint};
use cairn_crdt::epoch::welcome::Welcome;
use cairn_crdt::id::{DeviceId, EpochId};
use cairn_crdt::log::entry::{Control, Seen};
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::{Effect, Verdict};
use cairn_crdt::replica::input::{Command, CutChoice, Input, Protocol, SessionEvent, SessionId};
use cairn_crdt::sync::message::{Admittance, Message, SYNC_VERSION};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::attacks::forge;
use crate::community::Community;
use crate::prekeys::{
    all_linked, forged, mint_of_others, minted, mints, next_day, secrets, welcomes,
};
use crate::relay::gossip;

const DAY: u64 = 86_400_000;

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

/// Says as `who` to `to`, on a stream of its own, that these epochs are lacking.
pub fn claim(c: &mut Community, who: usize, to: usize, epochs: Vec<EpochId>, session: u64) {
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

/// The epochs there are once person 3 has been removed and has come back so often.
fn epochs_of_removals(c: &mut Community, times: usize) -> Vec<EpochId> {
    let member = c.member(3);
    for _ in 0..times {
        c.remove(0, 3, CutChoice::FromTip);
        c.ask(0, Command::Grant { member, rank: Rank::Member })
            .unwrap_or_else(|why| panic!("{why}"));
    }
    c.settle();
    minted(c, 0, Audience::Readers).iter().map(|m| m.epoch).collect()
}

#[test]
fn k8_who_always_asks_costs_a_bounded_number_of_entries() {
    let mut c = Community::with_members(86, 4);
    c.thread(0, "Evening", "hello");
    let epochs = epochs_of_removals(&mut c, 24);
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
    assert_eq!(first, 15, "and one when it came");
    c.now = c.now.after(DAY);
    let second = day(&mut c);
    assert_eq!(second, 16);
}

#[test]
fn k8_junk_of_others_uses_up_nobodys_help() {
    let mut c = Community::with_members(88, 4);
    c.thread(0, "Evening", "hello");
    let epochs = epochs_of_removals(&mut c, 6);
    let device = c.people[2].replica.device();
    let sealed = Bytes::new(vec![7; 64]).unwrap();
    let junk = vec![Control::Welcome(Welcome { recipient: device, sealed }); 40];
    forge(&mut c, 1, 0, 0, junk);
    let before = welcomes(&c, 0, device);
    assert!(before >= 40);
    let [.., fifth, fourth, one, other, another] = epochs[..] else { panic!("too few") };
    claim(&mut c, 2, 0, vec![one], 1);
    claim(&mut c, 2, 0, vec![other, another], 2);
    claim(&mut c, 2, 0, vec![fourth], 3);
    assert_eq!(welcomes(&c, 0, device), before + 3, "it is helped all the same");
    claim(&mut c, 2, 0, vec![fifth], 4);
    assert_eq!(welcomes(&c, 0, device), before + 3, "but not without end");
}

/// What `to` does when `who` says this on a new stream, after each message.
pub fn talk(
    c: &mut Community,
    (who, to): (usize, usize),
    session: u64,
    said: &[Message],
) -> Vec<Vec<Effect>> {
    let (peer, protocol) = (c.key(who), Protocol::Sync);
    let session = SessionId(u64::MAX - session);
    let opened = SessionEvent::Opened { peer, protocol, initiated: false };
    let said = said.iter().map(|message| SessionEvent::Message(message.to_bytes()));
    let mut done = Vec::new();
    for event in [opened].into_iter().chain(said).chain([SessionEvent::Closed]) {
        let input = Input::Session { session, event };
        done.push(c.people[to].replica.handle(c.now, &mut c.rng, input));
    }
    done
}

/// Greets a person as one who holds the same.
pub fn hello(c: &Community, to: usize) -> Message {
    let replica = &c.people[to].replica;
    let (version, group, frontier) = (SYNC_VERSION, replica.group(), replica.digest());
    Message::Hello { version, group, frontier, seen: Seen::default() }
}

#[test]
fn k8_keys_are_asked_for_once_on_a_stream_and_in_its_turn() {
    let mut c = Community::with_members(87, 2);
    c.thread(0, "Evening", "hello");
    c.settle();
    let lacking = || Message::Lacking(List::default());
    let welcome = || Message::Welcome(Admittance::Member);
    let hello = || hello(&c, 0);
    let talks = [
        (true, vec![hello(), lacking()]),
        (true, vec![hello(), welcome(), lacking()]),
        (false, vec![hello(), lacking(), lacking()]),
        (false, vec![lacking()]),
        (false, vec![hello(), Message::Done { all: true }, lacking()]),
    ];
    for (n, (fine, said)) in talks.into_iter().enumerate() {
        let done = talk(&mut c, (1, 0), n as u64, &said);
        let ends = |effects: &Vec<Effect>| {
            effects.iter().any(|effect| matches!(effect, Effect::Disconnect { .. }))
        };
        let ended: Vec<bool> = done.iter().map(ends).collect();
        let mut expected = vec![false; done.len()];
        expected[said.len()] = !fine;
        assert_eq!(ended, expected, "after {n}");
    }
}

#[test]
fn k8_one_member_a_minute_is_asked_and_the_same_one_once_an_hour() {
    const MINUTE: u64 = 60_000;
    let mut c = all_linked(92, 4);
    c.thread(0, "Evening", "hello");
    c.settle();
    let victim = c.people[2].replica.device();
    let mint = mint_with_junk(&mut c, 1, &[victim]);
    let bytes = forged(&c, 1, mint);
    (0..4).for_each(|who| c.unplug(who));
    assert_eq!(gossip(&mut c, 2, 1, bytes).0, Verdict::Accept);
    let start = c.now;
    let plan = [
        (0, 0, true),
        (0, 3, false),
        (MINUTE - 1, 3, false),
        (MINUTE, 3, true),
        (2 * MINUTE, 0, false),
        (60 * MINUTE - 1, 0, false),
        (60 * MINUTE, 0, true),
        (61 * MINUTE - 1, 3, false),
        (61 * MINUTE, 3, true),
    ];
    for (n, (at, whom, asks)) in plan.into_iter().enumerate() {
        c.now = start.after(at);
        let mut asked = |admittance| {
            let said = [hello(&c, 2), Message::Welcome(admittance)];
            let done = talk(&mut c, (whom, 2), n as u64, &said);
            done.into_iter().flatten().any(|effect| match effect {
                Effect::Send { message, .. } => {
                    matches!(Message::from_bytes(&message), Ok(Message::Lacking(_)))
                }
                _ => false,
            })
        };
        assert!(!asked(Admittance::Removed), "of one who gives nothing");
        assert_eq!(asked(Admittance::Member), asks, "{whom} after {at} milliseconds");
    }
}

#[test]
fn k8_a_new_device_is_given_what_was_for_another_of_its_member() {
    let mut c = Community::with_members(95, 3);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let old = c.people[1].store.clone();
    c.post(1, thread, "forgotten");
    c.settle();
    let epoch = minted(&c, 0, Audience::Readers).pop().unwrap().epoch;
    c.set_back(1, old);
    let device = c.people[1].replica.device();
    c.connect(0, 1);
    c.settle();
    let new = c.people[1].replica.device();
    assert_ne!(new, device, "it has moved on (I4)");
    let before = welcomes(&c, 0, new);
    claim(&mut c, 1, 0, vec![epoch], 1);
    assert_eq!(welcomes(&c, 0, new), before + 1);
    claim(&mut c, 1, 0, vec![epoch], 2);
    assert_eq!(welcomes(&c, 0, new), before + 1, "once a day");
    c.now = c.now.after(DAY);
    claim(&mut c, 1, 0, vec![epoch], 3);
    assert_eq!(welcomes(&c, 0, new), before + 2);
}

#[test]
fn k8_who_is_of_the_audience_no_more_is_given_nothing() {
    let mut c = Community::with_members(98, 2);
    let (member, device) = (c.member(1), c.people[1].replica.device());
    let rank = |c: &mut Community, rank| {
        c.ask(0, Command::Grant { member, rank }).unwrap_or_else(|why| panic!("{why}"));
        c.settle();
    };
    rank(&mut c, Rank::Moderator);
    c.invite(1, Rank::Member, 1, true);
    c.settle();
    let mint = minted(&c, 0, Audience::Moderators).pop().unwrap();
    assert!(mint.names(device) && secrets(&c.people[0]).contains(&mint.epoch));
    let before = welcomes(&c, 0, device);
    claim(&mut c, 1, 0, vec![mint.epoch], 1);
    assert_eq!(welcomes(&c, 0, device), before + 1, "as long as it is a moderator's");
    rank(&mut c, Rank::Member);
    c.now = c.now.after(DAY);
    claim(&mut c, 1, 0, vec![mint.epoch], 2);
    assert_eq!(welcomes(&c, 0, device), before + 1);
}

#[test]
fn k8_with_history_all_what_moderators_had_before_is_not_handed_on() {
    let mut c = Community::found(96, History::All);
    let code = c.invite(0, Rank::Member, 1, true);
    let one = c.join(code);
    c.connect(0, one);
    c.settle();
    let before: Vec<Mint> = minted(&c, 0, Audience::Moderators);
    let epochs: Vec<EpochId> = before.iter().map(|mint| mint.epoch).collect();
    assert!(!epochs.is_empty() && epochs.iter().all(|of| secrets(&c.people[0]).contains(of)));
    let member = c.member(one);
    c.ask(0, Command::Grant { member, rank: Rank::Moderator }).unwrap_or_else(|w| panic!("{w}"));
    c.settle();
    claim(&mut c, one, 0, epochs.clone(), 1);
    c.settle();
    assert!(epochs.iter().all(|epoch| !secrets(&c.people[one]).contains(epoch)));
}

/// What opens mailboxes, minted by person 1 and heard of by the founder alone.
pub fn mailbox_epoch(c: &mut Community) -> EpochId {
    let replica = &c.people[1].replica;
    let (group, minter) = (replica.group(), replica.device());
    let readers = replica.authority().readers(Audience::Mailbox);
    let (_, mint) =
        Mint::fresh(&mut c.rng, group, minter, Audience::Mailbox, &readers, &[]).unwrap();
    let epoch = mint.epoch;
    let bytes = forged(c, 1, mint);
    c.unplug(1);
    assert_eq!(gossip(c, 0, 1, bytes).0, Verdict::Accept);
    epoch
}

#[test]
fn k8_what_opens_mailboxes_is_given_to_every_reader() {
    let mut c = Community::with_members(97, 2);
    let epoch = mailbox_epoch(&mut c);
    let code = c.invite(0, Rank::Member, 1, true);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    c.settle();
    assert!(secrets(&c.people[late]).contains(&epoch), "minted before it came");
}
