//! Two drivers with a wire between them: joining, synchronising, and the pace of a stream.

use std::collections::BTreeSet;

use cairn_crdt::limits;
use cairn_crdt::sync::message::Message;

use super::*;

/// Two nodes of one group and everything that is on its way between them.
pub(super) struct Wire {
    pub(super) nodes: [Node; 2],
    pub(super) group: GroupId,
    pub(super) keys: [TransportKey; 2],
    next: u64,
    /// Bytes of the largest message that passed.
    largest: usize,
    /// Messages of runs and payloads that passed.
    served: usize,
}

impl Wire {
    fn peer(&self, side: usize) -> TransportKey {
        self.keys[1 - side]
    }

    /// Carries everything over until neither side has anything to say at this time.
    pub(super) fn settle(&mut self) {
        let mut closed: BTreeSet<SessionId> = BTreeSet::new();
        loop {
            let mut quiet = true;
            for side in 0..2 {
                for command in self.nodes[side].told(self.group) {
                    quiet = false;
                    self.carry(side, command, &mut closed);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn carry(&mut self, side: usize, command: NetworkCommand, closed: &mut BTreeSet<SessionId>) {
        let other = 1 - side;
        let group = self.group;
        match command {
            NetworkCommand::Open { protocol, .. } => {
                self.next += 1;
                let session = SessionId(self.next);
                for (node, initiated) in [(side, true), (other, false)] {
                    let peer = self.peer(node);
                    let opened = NetworkEvent::SessionOpened { session, peer, protocol, initiated };
                    self.nodes[node].event(group, opened);
                }
            }
            NetworkCommand::Send { session, message } => {
                self.largest = self.largest.max(message.len());
                if let Ok(Message::Run(_) | Message::Payloads(_)) = Message::from_bytes(&message) {
                    self.served += 1;
                }
                self.nodes[other].event(group, NetworkEvent::Message { session, message });
                self.nodes[side].event(group, NetworkEvent::Drained(session));
            }
            NetworkCommand::Close { session } if closed.insert(session) => {
                for node in 0..2 {
                    self.nodes[node].event(group, NetworkEvent::SessionClosed(session));
                }
            }
            NetworkCommand::Publish(bytes) => self.gossip(other, bytes),
            _ => {}
        }
    }

    pub(super) fn gossip(&mut self, to: usize, bytes: Vec<u8>) {
        self.next += 1;
        let token = cairn_crdt::replica::input::GossipToken(self.next);
        let from = self.peer(to);
        self.nodes[to].event(self.group, NetworkEvent::Gossip { token, from, bytes });
    }

    pub(super) fn connect(&mut self) {
        for side in 0..2 {
            let peer = self.peer(side);
            self.nodes[side].event(self.group, NetworkEvent::Connected(peer));
        }
        self.settle();
    }

    pub(super) fn disconnect(&mut self) {
        for side in 0..2 {
            let peer = self.peer(side);
            self.nodes[side].event(self.group, NetworkEvent::Disconnected(peer));
        }
        self.settle();
    }

    /// Lets time pass on both sides.
    pub(super) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            for node in &mut self.nodes {
                node.now = node.now.after(1000);
                node.driver.finish(node.now);
            }
            self.settle();
        }
    }

    pub(super) fn ask(&mut self, side: usize, request: Request) -> Answer {
        self.nodes[side].ask(request).unwrap()
    }
}

pub(super) fn transport(node: &Node, group: GroupId) -> TransportKey {
    let replica = node.driver.personas.get(&group).unwrap().replica().unwrap();
    TransportKey::from_bytes(replica.transport_key().verifying_key())
}

#[test]
fn what_comes_at_once_is_written_at_once() {
    let (mut wire, id) = joined(1);
    for number in 0..20 {
        wire.ask(0, start_unresolved(&id, 100 + number));
    }
    let group = wire.group;
    let gossiped: Vec<Vec<u8>> = wire.nodes[0]
        .told(group)
        .into_iter()
        .filter_map(|command| match command {
            NetworkCommand::Publish(bytes) => Some(bytes),
            _ => None,
        })
        .collect();
    assert!(gossiped.len() >= 20);
    let before = wire.nodes[1].store.writes();
    for bytes in gossiped {
        wire.gossip(1, bytes);
    }
    let told = |wire: &mut Wire| {
        let mut ends = wire.nodes[1].ends.lock().unwrap();
        let end = &mut ends.get_mut(&group).unwrap().1;
        let mut told = std::iter::from_fn(|| end.try_recv().ok());
        told.any(|command| matches!(command, NetworkCommand::Verdict { .. }))
    };
    let early = told(&mut wire) && wire.nodes[1].store.writes() == before;
    assert!(!early, "passed on before it was written");
    let now = wire.nodes[1].now;
    wire.nodes[1].driver.finish(now);
    assert!(told(&mut wire));
    let writes = wire.nodes[1].store.writes() - before;
    assert!(writes < 20, "{writes} writes for 20 entries");
}

/// A founder and a newcomer who was admitted and holds all that the founder held.
pub(super) fn joined(posts: usize) -> (Wire, String) {
    let mut founder = Node::new(1);
    let (group, id) = founder.found();
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().unwrap();
    founder.event(group, NetworkEvent::Listening(vec![address.to_vec()]));
    for number in 0..posts {
        founder.ask(start_unresolved(&id, number)).unwrap();
    }
    let invite = Request::Invite {
        group: id.clone(),
        rank: "member".to_owned(),
        uses: 1,
        expires_in_seconds: Some(3600),
        at_once: false,
    };
    let code = text(&founder.ask(invite).unwrap(), "code");
    let read = cairn_crdt::capability::invite::Code::from_text(&code).unwrap();
    let contact = &read.contacts.as_slice()[0];
    assert_eq!(contact.transport, transport(&founder, group));
    assert_eq!(contact.addresses.as_slice()[0].as_slice(), address.to_vec());

    let mut newcomer = Node::new(2);
    newcomer.now = founder.now;
    let join = Request::Join {
        code,
        pseudonym: "moss".to_owned(),
        words: "A friend told me of you.".to_owned(),
    };
    let mut answered = newcomer.asked(join);
    newcomer.driver.finish(newcomer.now);
    let keys = [transport(&founder, group), transport(&newcomer, group)];
    let nodes = [founder, newcomer];
    let mut wire = Wire { nodes, group, keys, next: 0, largest: 0, served: 0 };
    wire.connect();
    wire.pass(8);
    let answer = answered.try_recv().unwrap().unwrap();
    assert_eq!(
        (text(&answer, "state"), &answer["reached"]),
        ("waiting".into(), &Value::Bool(true))
    );

    let requests = wire.ask(0, Request::Requests { group: id.clone() });
    assert_eq!(text(&requests[0], "introduction"), "A friend told me of you.");
    let admit = Request::Admit { group: id.clone(), request: "moss".to_owned() };
    let admitted = wire.ask(0, admit);
    wire.pass(15);
    let member = wire.nodes[1].driver.personas.get(&group).unwrap().replica().unwrap().member();
    assert_eq!(text(&admitted, "member"), member.to_string());
    (wire, id)
}

#[test]
fn s2_a_newcomer_asks_is_admitted_and_comes_to_hold_everything() {
    let (mut wire, id) = joined(30);
    let list = wire.ask(1, Request::GroupList);
    assert_eq!(
        (text(&list[0], "state"), text(&list[0], "name")),
        ("member".into(), "Evenings".into())
    );
    assert_eq!(threads(&mut wire.nodes[1], &id), 30);
    let digests = [0, 1].map(|side| digest(&mut wire.nodes[side], &id));
    assert_eq!(digests[0], digests[1]);
    assert!(wire.largest <= limits::MESSAGE_BYTES);
}

#[test]
fn what_both_wrote_apart_comes_together_and_waiting_for_it_ends() {
    let (mut wire, id) = joined(1);
    wire.disconnect();
    for number in 0..20 {
        wire.ask(0, start_unresolved(&id, 100 + number));
        wire.ask(1, start_unresolved(&id, 200 + number));
    }
    wire.settle_without_gossip();
    wire.connect();
    let mut answered = wire.nodes[1].asked(Request::Sync { group: id.clone(), wait: true });
    wire.pass(10);
    let answer = answered.try_recv().unwrap().unwrap();
    assert_eq!(answer["missing"], Value::from(0));
    let digests = [0, 1].map(|side| digest(&mut wire.nodes[side], &id));
    assert_eq!(digests[0], digests[1]);
    assert_eq!(text(&answer, "digest"), digests[1]);
    assert_eq!(threads(&mut wire.nodes[0], &id), 41);
}

impl Wire {
    /// Loses what is on its way.
    fn settle_without_gossip(&mut self) {
        for node in &mut self.nodes {
            node.told(self.group);
        }
    }
}

#[test]
fn s2_nothing_more_is_sent_before_what_was_sent_is_taken() {
    let (mut wire, id) = joined(1);
    wire.disconnect();
    for number in 0..20 {
        wire.ask(0, start_unresolved(&id, number));
    }
    wire.settle_without_gossip();
    wire.served = 0;
    let group = wire.group;
    let mut sent_on = BTreeSet::new();
    for side in 0..2 {
        let peer = wire.peer(side);
        wire.nodes[side].event(group, NetworkEvent::Connected(peer));
    }
    // Everything passes but the founder's network never says that a message was written.
    for _ in 0..20 {
        for side in 0..2 {
            wire.nodes[side].now = wire.nodes[side].now.after(1000);
            for command in wire.nodes[side].told(group) {
                if let (0, NetworkCommand::Send { session, message }) = (side, &command) {
                    assert!(sent_on.insert(*session), "a second message without room for it");
                    let message = message.clone();
                    let session = *session;
                    wire.nodes[1].event(group, NetworkEvent::Message { session, message });
                } else {
                    wire.carry(side, command, &mut BTreeSet::new());
                }
            }
        }
    }
    assert!(!sent_on.is_empty());
    assert!(threads(&mut wire.nodes[1], &id) < 21);
    for session in sent_on {
        wire.nodes[0].event(group, NetworkEvent::Drained(session));
    }
    wire.pass(10);
    assert!(wire.served > 0);
    assert_eq!(threads(&mut wire.nodes[1], &id), 21);
}
