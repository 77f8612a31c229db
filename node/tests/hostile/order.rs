//! Messages that may not come now, promises that are not kept, and silence (S1, S2).

use std::collections::BTreeMap;

use cairn_crdt::codec::{List, Map};
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{DeviceId, EntryId};
use cairn_crdt::limits;
use cairn_crdt::log::frontier::{Frontier, Tip};
use cairn_crdt::log::run::Run;
use cairn_crdt::replica::input::Protocol;
use cairn_crdt::sync::message::{Admittance, Message, Passport, Range, Refusal, Want};

use crate::bounded;
use crate::insider::Insider;
use crate::node::Node;
use crate::wire::{Ending, Wire};

/// Where on a stream something is said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum When {
    /// Before a greeting.
    First,
    /// Where the node waits for a frontier.
    LetIn,
}

fn wishes(insider: &Insider) -> Vec<(When, Message)> {
    let replica = &insider.replica;
    let (device, tip) = (replica.device(), insider.tip());
    let want = Want { device, head: tip.entry, have: List::default() };
    let wants = List::new(vec![want]).unwrap();
    let range = Range { device, from: 0, to: u64::MAX };
    let run = Run::new(&[insider.entry(tip.entry)], true).unwrap();
    let first = vec![
        Message::Frontier(Frontier::of(replica.set())),
        Message::Want { wants, content: true },
        Message::Run(run.clone()),
        Message::RunsDone,
        Message::WantPayloads(List::new(vec![range]).unwrap()),
        Message::Payloads(List::default()),
        Message::PayloadsDone,
        Message::Done { all: true },
    ];
    let let_in = vec![
        Message::Frontier(Frontier::of(replica.set())),
        Message::Run(run),
        Message::RunsDone,
        Message::Payloads(List::default()),
        Message::PayloadsDone,
        Message::Passport(Passport { cards: List::default(), grants: List::default() }),
    ];
    let first = first.into_iter().map(|message| (When::First, message));
    first.chain(let_in.into_iter().map(|message| (When::LetIn, message))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_what_comes_out_of_order_ends_the_stream_and_the_connection() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let holds = node.holds().await;
        for (when, message) in wishes(&insider) {
            let mut wire = insider.wire(&node).await;
            let session = match when {
                When::First => wire.open(Protocol::Sync).await,
                When::LetIn => wire.let_in().await,
            };
            wire.say(session, &message).await;
            let ending = wire.ending(session).await;
            let named = matches!(ending, Ending::Refused(None | Some(Refusal::Misbehaved)));
            assert!(named, "{when:?} {message:?}: {ending:?}");
            wire.disconnected().await;
            wire.end().await;
        }
        // A second greeting.
        let mut wire = insider.wire(&node).await;
        let session = wire.let_in().await;
        let hello = wire.hello();
        wire.say(session, &hello).await;
        assert!(matches!(wire.ending(session).await, Ending::Refused(_)));
        wire.end().await;
        assert_eq!(node.holds().await, holds);
        insider.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_a_stranger_is_served_nothing_whatever_it_says() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let holds = node.holds().await;
        for (number, (_, message)) in (0_u8..).zip(wishes(&insider)) {
            let stranger = SigningKey::from_seed(&[100 + number; 32]);
            let mut wire = Wire::to(&node.code, &stranger).await;
            let (session, answer) = wire.greet().await;
            assert_eq!(answer, Message::Refused(Refusal::NotKnown));
            wire.say(session, &Message::Welcome(Admittance::Member)).await;
            wire.say(session, &message).await;
            if matches!(message, Message::Frontier(_)) {
                // What it claims to hold is looked at when it has shown who let it in: never.
                wire.say(session, &Message::Done { all: true }).await;
            }
            let ending = wire.ending(session).await;
            assert_ne!(ending, Ending::Content, "{message:?}");
            wire.end().await;
        }
        assert_eq!(node.holds().await, holds);
        insider.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

/// As many logs as a frontier may name, none of which there is.
fn boast() -> Frontier {
    let logs = (0..limits::DEVICES).map(|number| {
        let mut id = [0xEE; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let tip = Tip { seq: u64::MAX, entry: EntryId::from_bytes(id) };
        (DeviceId::from_bytes(id), List::new(vec![tip]).unwrap())
    });
    Frontier(Map::new(BTreeMap::from_iter(logs)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_frontier_that_cannot_be_served_costs_a_question() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let holds = node.holds().await;
        // One keeps silent when it is asked for what it boasted of, one admits that it has nothing.
        let mut silent = insider.wire(&node).await;
        for wire_is_silent in [true, false] {
            let mut other = insider.wire(&node).await;
            let wire = if wire_is_silent { &mut silent } else { &mut other };
            let session = wire.let_in().await;
            wire.say(session, &Message::Welcome(Admittance::Member)).await;
            wire.say(session, &Message::Frontier(boast())).await;
            let Some(Message::Want { wants, content }) = wire.hear(session).await else {
                panic!("the node asks for what it lacks");
            };
            assert_eq!((wants.len(), content), (limits::DEVICES, false));
            if !wire_is_silent {
                wire.say(session, &Message::RunsDone).await;
                assert_eq!(wire.ending(session).await, Ending::Content);
            }
            other.end().await;
        }
        assert_eq!(node.holds().await, holds);
        // While it is waited for, another member is served.
        Insider::join(&node, 2).await.the_node_goes_on(&node).await;
        silent.end().await;
        insider.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}
