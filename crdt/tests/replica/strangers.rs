//! What a stranger, a newcomer and a peer that breaks the rules get (J3, S1–S3).

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::List;
use cairn_crdt::crypto::signing::Signature;
use cairn_crdt::id::{EntryId, TransportKey};
use cairn_crdt::log::entry::Seen;
use cairn_crdt::log::frontier::{Frontier, FrontierDigest};
use cairn_crdt::log::run::Run;
use cairn_crdt::replica::ReplicaState;
use cairn_crdt::replica::effect::{Effect, Event, Verdict};
use cairn_crdt::replica::input::{
    Command, GossipToken, Input, Protocol, SessionEvent, SessionId, Timer,
};
use cairn_crdt::sync::message::{
    Admittance, Message, Passport, Range, Receipt, Refusal, SYNC_VERSION, Want,
};

use crate::community::Community;
use crate::relay::stranger;

/// Opens a stream to a person as a peer with this key; what the person says on it.
struct Caller {
    peer: TransportKey,
    session: SessionId,
    to: usize,
}

/// What comes back for one thing that was said.
#[derive(Default)]
struct Answer {
    messages: Vec<Message>,
    served: bool,
    disconnected: bool,
}

impl Caller {
    fn open(c: &mut Community, to: usize, peer: TransportKey, number: u64) -> (Self, Answer) {
        let caller = Self { peer, session: SessionId(u64::MAX - number), to };
        let opened = SessionEvent::Opened { peer, protocol: Protocol::Sync, initiated: false };
        let answer = caller.event(c, opened);
        (caller, answer)
    }

    fn event(&self, c: &mut Community, event: SessionEvent) -> Answer {
        let input = Input::Session { session: self.session, event };
        let effects = c.people[self.to].replica.handle(c.now, &mut c.rng, input);
        let mut answer = Answer::default();
        let mut rest = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { session, message } if session == self.session => {
                    answer.messages.push(Message::from_bytes(&message).unwrap());
                }
                Effect::Serve { session, .. } if session == self.session => answer.served = true,
                Effect::Disconnect { peer } if peer == self.peer => answer.disconnected = true,
                Effect::Close { session } if session == self.session => {}
                other => rest.push(other),
            }
        }
        c.perform(self.to, rest);
        answer
    }

    fn say(&self, c: &mut Community, message: &Message) -> Answer {
        self.event(c, SessionEvent::Message(message.to_bytes()))
    }
}

fn hello(c: &Community, frontier: [u8; 32]) -> Message {
    Message::Hello {
        version: SYNC_VERSION,
        group: c.people[0].replica.group(),
        frontier: FrontierDigest(frontier),
        seen: Seen::default(),
    }
}

fn refused(answer: &Answer, why: Refusal) -> bool {
    answer.messages == [Message::Refused(why)]
}

/// Every message that asks for something or brings something.
fn wishes(c: &Community) -> Vec<Message> {
    let replica = &c.people[0].replica;
    let device = replica.device();
    let head = replica.set().log(&device).unwrap().heads().last().unwrap().1;
    let want = Want { device, head, have: List::default() };
    let range = Range { device, from: 0, to: u64::MAX };
    vec![
        Message::Frontier(Frontier::of(replica.set())),
        Message::Want { wants: List::new(vec![want]).unwrap(), content: true },
        Message::Run(Run::from_bytes(&stranger(c).2).unwrap()),
        Message::RunsDone,
        Message::WantPayloads(List::new(vec![range]).unwrap()),
        Message::Payloads(List::default()),
        Message::PayloadsDone,
        Message::Done { all: true },
    ]
}

#[test]
fn s1_a_stranger_is_served_nothing_whatever_it_says() {
    let mut c = Community::with_members(70, 2);
    c.thread(0, "Evening", "hello");
    c.settle();
    let (_, transport, _) = stranger(&c);
    let peer = TransportKey::from_bytes(transport.verifying_key());
    let held = c.people[0].replica.held();
    for (number, message) in (0_u64..).zip(wishes(&c)) {
        let (caller, _) = Caller::open(&mut c, 0, peer, number);
        let greeted = hello(&c, [0; 32]);
        assert!(refused(&caller.say(&mut c, &greeted), Refusal::NotKnown));
        // That the other end would be let in over there opens nothing here.
        let welcome = Message::Welcome(Admittance::Member);
        assert!(caller.say(&mut c, &welcome).messages.is_empty());
        let answer = caller.say(&mut c, &message);
        assert!(!answer.served, "{message:?}");
        let nothing = answer.messages.is_empty() || refused(&answer, Refusal::Misbehaved);
        assert!(nothing, "{message:?}: {:?}", answer.messages);
        caller.event(&mut c, SessionEvent::Closed);
    }
    let (caller, _) = Caller::open(&mut c, 0, peer, 100);
    let card = List::new(vec![Run::from_bytes(&stranger(&c).2).unwrap()]).unwrap();
    let passport = Passport { cards: card, grants: List::default() };
    let answer = caller.say(&mut c, &Message::Passport(passport));
    assert!(refused(&answer, Refusal::NotKnown), "a card without a chain");
    assert_eq!(c.people[0].replica.held(), held);
}

#[test]
fn s1_a_stranger_who_says_no_is_shown_no_passport() {
    let mut c = Community::with_members(69, 2);
    let (_, transport, _) = stranger(&c);
    let peer = TransportKey::from_bytes(transport.verifying_key());
    // A member shows who let it in to a member, and to nobody else.
    for (number, peer, shows) in [(0, peer, false), (1, c.key(0), true)] {
        let (caller, _) = Caller::open(&mut c, 1, peer, number);
        let greeting = hello(&c, [0; 32]);
        caller.say(&mut c, &greeting);
        let refused = Message::Refused(Refusal::NotKnown).to_bytes();
        let event = SessionEvent::Message(refused);
        let input = Input::Session { session: caller.session, event };
        let effects = c.people[1].replica.handle(c.now, &mut c.rng, input);
        assert_eq!(effects.iter().any(|effect| matches!(effect, Effect::Load(_))), shows);
    }
}

#[test]
fn s2_what_comes_out_of_order_ends_the_stream() {
    let mut c = Community::with_members(71, 2);
    let peer = c.key(1);
    let unasked = [1, 2, 3, 4, 6, 7];
    for (number, index) in (0_u64..).zip(unasked) {
        let message = wishes(&c).swap_remove(index);
        let (caller, answer) = Caller::open(&mut c, 0, peer, number);
        assert!(matches!(answer.messages.as_slice(), [Message::Hello { .. }]));
        let answer = caller.say(&mut c, &message);
        assert!(refused(&answer, Refusal::Misbehaved), "{message:?}");
        assert!(answer.disconnected && !answer.served, "{message:?}");
    }
    let broke = |event: &Event| matches!(event, Event::Misbehaved { rule } if rule.contains("S2"));
    assert!(c.people[0].events.iter().any(broke));
    // A second hello, and a language that is not spoken here.
    let (caller, _) = Caller::open(&mut c, 0, peer, 50);
    let greeting = hello(&c, [0; 32]);
    assert!(matches!(
        caller.say(&mut c, &greeting).messages.as_slice(),
        [Message::Welcome(Admittance::Member), Message::Frontier(_)]
    ));
    assert!(refused(&caller.say(&mut c, &greeting), Refusal::Misbehaved));
    let (caller, _) = Caller::open(&mut c, 0, peer, 51);
    let Message::Hello { group, frontier, seen, .. } = greeting else { panic!("a hello") };
    let newer = Message::Hello { version: SYNC_VERSION + 1, group, frontier, seen };
    assert!(refused(&caller.say(&mut c, &newer), Refusal::Version));
}

#[test]
fn s2_equal_frontiers_are_told_by_one_digest() {
    let mut c = Community::with_members(72, 2);
    c.settle();
    let peer = c.key(1);
    let (caller, _) = Caller::open(&mut c, 0, peer, 0);
    let same = hello(&c, c.people[0].replica.digest().0);
    let answer = caller.say(&mut c, &same);
    assert!(matches!(answer.messages.as_slice(), [Message::Welcome(Admittance::Member)]));
}

#[test]
fn s2_what_is_written_between_two_greetings_harms_nobody() {
    let mut c = Community::with_members(78, 2);
    c.settle();
    let peer = c.key(1);
    // The caller wrote after it had greeted: to it the two differ, and it shows its frontier.
    let (caller, _) = Caller::open(&mut c, 0, peer, 0);
    let same = hello(&c, c.people[0].replica.digest().0);
    caller.say(&mut c, &same);
    caller.say(&mut c, &Message::Welcome(Admittance::Member));
    let frontier = Message::Frontier(Frontier::of(c.people[0].replica.set()));
    let answer = caller.say(&mut c, &frontier);
    assert!(answer.messages.is_empty() && !answer.disconnected);
    assert!(caller.say(&mut c, &frontier).disconnected, "but once only");
    // This end wrote after it had greeted: no frontier comes, and it ends the stream in time.
    let (caller, _) = Caller::open(&mut c, 0, peer, 1);
    let other = hello(&c, [0; 32]);
    caller.say(&mut c, &other);
    caller.say(&mut c, &Message::Welcome(Admittance::Member));
    let answer = caller.say(&mut c, &Message::Done { all: true });
    assert_eq!(answer.messages.last(), Some(&Message::Done { all: true }));
}

#[test]
fn s3_gossip_of_a_stranger_is_rejected_unread() {
    let mut c = Community::with_members(73, 2);
    let (_, transport, card) = stranger(&c);
    let from = TransportKey::from_bytes(transport.verifying_key());
    let input = Input::Gossip { token: GossipToken(u64::MAX), from, bytes: card };
    let effects = c.people[0].replica.handle(c.now, &mut c.rng, input);
    let rejected =
        |effect: &Effect| matches!(effect, Effect::Verdict { verdict: Verdict::Reject, .. });
    assert!(effects.iter().any(rejected));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Persist(_))));
}

#[test]
fn j1_a_code_does_not_name_the_groups_topic() {
    let mut c = Community::found(74, History::SinceJoining);
    let code = c.invite(0, Rank::Member, 1, true);
    let bytes = cairn_crdt::codec::encode(&code);
    let topic = c.people[0].replica.topic();
    assert!(!bytes.windows(32).any(|part| part == topic));
    let gossiped: EntryId = EntryId::from_bytes(topic);
    assert!(!code.to_text().contains(&gossiped.to_string()));
}

#[test]
fn j2_an_invite_that_has_expired_admits_nobody() {
    let mut c = Community::found(75, History::SinceJoining);
    let expires = Some(c.now.after(1_000));
    let command = Command::Invite { rank: Rank::Member, uses: 1, expires, at_once: true };
    let Ok(cairn_crdt::replica::effect::Reply::Invite(code)) = c.ask(0, command) else {
        panic!("no invite")
    };
    let contact = c.invite(0, Rank::Member, 1, true).contacts;
    let code = cairn_crdt::capability::invite::Code { contacts: contact, ..*code };
    c.pass(2_000);
    let late = c.join(code);
    c.connect(0, late);
    c.settle();
    assert_eq!(c.people[late].replica.state(), ReplicaState::Declined);
}

#[test]
fn j3_a_newcomer_shows_nothing_before_it_holds_the_chain_to_the_genesis() {
    let mut c = Community::with_members(76, 2);
    c.thread(0, "Evening", "hello");
    c.settle();
    let code = c.invite(0, Rank::Member, 1, false);
    let late = c.join(code);
    let whole: Vec<(EntryId, Vec<u8>)> = c.people[0]
        .store
        .entries
        .iter()
        .filter_map(|(id, kept)| {
            let entry = cairn_crdt::log::run::Entry {
                id: *id,
                header: kept.header.clone(),
                payload: kept.payload.clone(),
                signature: Some(kept.signature?),
            };
            Some((*id, Run::new(&[entry], true)?.to_bytes()))
        })
        .collect();
    let genesis = EntryId::from_bytes(*c.people[0].replica.group().as_bytes());
    // The inviter's node hands over everything but the beginning.
    let peer = c.key(0);
    let (mut caller, _) = Caller::open(&mut c, late, peer, 0);
    caller.to = late;
    let greeting = hello(&c, [0; 32]);
    caller.say(&mut c, &greeting);
    caller.say(&mut c, &Message::Welcome(Admittance::Member));
    let frontier = Message::Frontier(Frontier::of(c.people[0].replica.set()));
    let answer = caller.say(&mut c, &frontier);
    assert!(matches!(answer.messages.as_slice(), [Message::Want { .. }]));
    for (_, bytes) in whole.iter().filter(|(id, _)| *id != genesis) {
        let answer = caller.say(&mut c, &Message::Run(Run::from_bytes(bytes).unwrap()));
        assert!(!answer.disconnected);
    }
    let newcomer = &c.people[late];
    assert_eq!(newcomer.replica.held(), 1, "its own card");
    assert!(newcomer.replica.authority().members().is_empty());
    assert!(newcomer.store.rows.is_empty());
    assert_eq!(newcomer.replica.state(), ReplicaState::Waiting);
    // A genesis of another group is not a beginning of this one.
    let other = Community::found(77, History::SinceJoining);
    let foreign = EntryId::from_bytes(*other.people[0].replica.group().as_bytes());
    let kept = other.people[0].store.entries[&foreign].clone();
    let entry = cairn_crdt::log::run::Entry {
        id: foreign,
        header: kept.header,
        payload: kept.payload,
        signature: kept.signature,
    };
    let run = Run::new(&[entry], true).unwrap();
    let answer = caller.say(&mut c, &Message::Run(run));
    assert!(refused(&answer, Refusal::Misbehaved) && answer.disconnected);
}

#[test]
fn s1_a_stranger_that_keeps_talking_gets_no_more_time_for_it() {
    let mut c = Community::with_members(61, 2);
    let (caller, _) = Caller::open(&mut c, 0, TransportKey::from_bytes([77; 32]), 1);
    let greeting = hello(&c, [0; 32]);
    caller.say(&mut c, &greeting);
    let receipt = Message::Receipt(Receipt {
        device: c.people[1].replica.device(),
        count: 1,
        frontier: Frontier::default(),
        signature: Signature::from_bytes([0; 64]),
    });
    for _ in 0..8 {
        c.pass(10_000);
        assert!(!caller.say(&mut c, &receipt).disconnected);
    }
    // The stream is over: what would have been out of order on it is said to nobody.
    assert!(!caller.say(&mut c, &Message::Done { all: true }).disconnected);
}

#[test]
fn s1_a_stranger_who_only_connects_keeps_nobody_awake() {
    let mut c = Community::with_members(170, 2);
    let thread = c.thread(0, "Evening", "hello");
    c.settle();
    let peer = TransportKey::from_bytes([9; 32]);
    let next = |c: &mut Community, input: Input| {
        let effects = c.people[0].replica.handle(c.now, &mut c.rng, input);
        let timers = effects.iter().filter_map(|effect| match effect {
            Effect::Timer { at, .. } => Some(*at),
            _ => None,
        });
        let next = timers.max();
        c.perform(0, effects);
        next
    };
    next(&mut c, Input::Connected { peer });
    c.post(0, thread, "stirs");
    // The members are asked whether it came; after that there is nothing to do for a while.
    for _ in 0..4 {
        c.now = c.now.after(2_000);
        let at = next(&mut c, Input::Timer(Timer::Tick)).unwrap();
        assert!(at >= c.now.after(1_000), "awake again after {}", at.since(c.now));
    }
}
