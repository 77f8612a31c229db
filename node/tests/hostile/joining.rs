//! Requests to join that do not prove what they must (J2): declined, and nobody hears of them.

use cairn_crdt::codec;
use cairn_crdt::crypto::domain;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{GroupId, InviteId};
use cairn_crdt::replica::effect::Effect;
use cairn_crdt::replica::input::{Input, Protocol, SessionEvent, SessionId};
use cairn_crdt::sync::message::{Declined, JoinMessage, Request};
use cairn_node::api::command;
use cairn_node::clock;

use crate::bounded;
use crate::insider::Insider;
use crate::node::Node;
use crate::wire::Wire;

/// What a newcomer asks when it reaches the node.
fn request(newcomer: &mut Insider, node: &Node) -> Request {
    let peer = node.code.contacts.iter().next().unwrap().transport;
    let session = SessionId(0);
    let event = SessionEvent::Opened { peer, protocol: Protocol::Join, initiated: true };
    let inputs = [Input::Connected { peer }, Input::Session { session, event }];
    let mut asked = None;
    for input in inputs {
        for effect in newcomer.replica.handle(clock::now(), &mut newcomer.rng, input) {
            if let Effect::Send { message, .. } = effect {
                asked = Some(JoinMessage::from_bytes(&message).unwrap());
            }
        }
    }
    let Some(JoinMessage::Request(request)) = asked else { panic!("a newcomer asks") };
    *request
}

/// Asks as the peer with a key; the answer, after which the node closes the stream.
async fn asks(node: &Node, key: &SigningKey, request: Request) -> JoinMessage {
    let mut wire = Wire::to(&node.code, key).await;
    let session = wire.open(Protocol::Join).await;
    wire.say_bytes(session, JoinMessage::Request(Box::new(request)).to_bytes()).await;
    let answer = wire.hear_join(session).await.expect("an answer");
    assert_eq!(wire.hear_join(session).await, None);
    wire.end().await;
    answer
}

/// Asks for something that is declined; afterwards the same newcomer, honest, is let in.
async fn is_declined(
    why: Declined,
    forge: impl FnOnce(&mut Insider, Request) -> (SigningKey, Request),
) {
    bounded(async {
        let node = Node::up().await;
        let mut newcomer = Insider::outside(&node, 5);
        let honest = request(&mut newcomer, &node);
        let holds = node.holds().await;
        let (key, forged) = forge(&mut newcomer, honest.clone());
        assert_eq!(asks(&node, &key, forged).await, JoinMessage::Declined(why));
        let requests = command::Request::Requests { group: node.group.to_string() };
        assert_eq!(node.ask(requests).await, serde_json::json!([]));
        assert_eq!(node.holds().await, holds);
        assert_eq!(asks(&node, &newcomer.key(), honest).await, JoinMessage::Admitted);
        Insider::join(&node, 6).await.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j2_a_request_replayed_by_another_peer_is_declined() {
    is_declined(Declined::Malformed, |_, request| (SigningKey::from_seed(&[44; 32]), request))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j2_a_request_without_the_invites_proof_is_declined() {
    is_declined(Declined::Malformed, |newcomer, mut request| {
        let bound = codec::encode(&(request.group, request.device));
        let other = SigningKey::from_seed(&[45; 32]);
        request.proof = other.sign(domain::SIGN_INVITE, &bound);
        (newcomer.key(), request)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j2_an_invite_that_nobody_made_is_declined() {
    is_declined(Declined::NotHere, |newcomer, mut request| {
        let bound = codec::encode(&(request.group, request.device));
        let other = SigningKey::from_seed(&[45; 32]);
        request.invite = InviteId::from_bytes(other.verifying_key());
        request.proof = other.sign(domain::SIGN_INVITE, &bound);
        (newcomer.key(), request)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j2_a_request_for_another_group_is_declined() {
    is_declined(Declined::Malformed, |newcomer, mut request| {
        request.group = GroupId::from_bytes([46; 32]);
        (newcomer.key(), request)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j2_an_introduction_that_moderators_cannot_open_is_declined() {
    is_declined(Declined::Malformed, |newcomer, mut request| {
        request.introduction = codec::Bytes::new(vec![7; 300]).unwrap();
        (newcomer.key(), request)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j2_answers_that_were_not_asked_for_and_garbage_end_the_connection() {
    bounded(async {
        let node = Node::up().await;
        let holds = node.holds().await;
        let newcomer = Insider::outside(&node, 5);
        let messages = [
            JoinMessage::Admitted.to_bytes(),
            JoinMessage::Waiting.to_bytes(),
            JoinMessage::Declined(Declined::ByPerson).to_bytes(),
            vec![0xFF; 1000],
            Vec::new(),
        ];
        for message in messages {
            let mut wire = newcomer.wire(&node).await;
            let session = wire.open(Protocol::Join).await;
            wire.say_bytes(session, message).await;
            assert_eq!(wire.hear_join(session).await, None);
            wire.disconnected().await;
            wire.end().await;
        }
        assert_eq!(node.holds().await, holds);
        Insider::join(&node, 6).await.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}
