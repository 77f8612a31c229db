//! The driver with a store in memory, and with networks that are only the ends of channels.
#![expect(clippy::arithmetic_side_effects, reason = "test code")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use cairn_crdt::capability::invite::Code;
use cairn_crdt::replica::input::Protocol;
use rand_core::SeedableRng as _;
use serde_json::Value;

use super::*;
use crate::api::command::{Answer, HistoryChoice, Request};
use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::input::SessionId;
use store::SharedStore;

mod identity;
mod inviting;
mod places;
mod store;
mod wire;

/// Commands that a network of these tests has room for.
const ROOM: usize = 8;

type Ends = Arc<Mutex<BTreeMap<GroupId, (NetworkId, mpsc::Receiver<NetworkCommand>)>>>;

struct Wires {
    ends: Ends,
    /// A position of the addresses that is taken, from 1; none if 0.
    taken: usize,
}

impl Networks for Wires {
    fn start(
        &mut self,
        id: NetworkId,
        group: GroupId,
        _: &SigningKey,
        _: [u8; 32],
        listen: Vec<Multiaddr>,
    ) -> Result<mpsc::Sender<NetworkCommand>, NetworkError> {
        if listen.len() >= self.taken && self.taken > 0 {
            let why = "the address is in use".to_owned();
            return Err(NetworkError::Listen { position: self.taken, why });
        }
        let (sender, commands) = mpsc::channel(ROOM);
        self.ends.lock().unwrap().insert(group, (id, commands));
        Ok(sender)
    }

    fn keeper(
        &mut self,
        _: NetworkId,
        _: GroupId,
        _: TransportKey,
        _: Vec<Vec<u8>>,
    ) -> mpsc::Sender<Ask> {
        mpsc::channel(1).0
    }

    fn finding(&mut self, _: NetworkId, _: GroupId) -> mpsc::Sender<FindingCommand> {
        mpsc::channel(1).0
    }
}

/// A node without a runtime: time passes when told.
struct Node {
    driver: Driver,
    store: SharedStore,
    ends: Ends,
    now: Timestamp,
}

impl Node {
    fn new(seed: u8) -> Self {
        let store = SharedStore::default();
        store.clone().set_setting(SEED_SETTING, &[seed; 32]).unwrap();
        Self::open(store, seed, Timestamp::from_millis(1_800_000_000_000))
    }

    fn open(store: SharedStore, seed: u8, now: Timestamp) -> Self {
        Self::open_by(store, seed, now, Vec::new(), Way::default())
    }

    fn open_by(
        store: SharedStore,
        seed: u8,
        now: Timestamp,
        listen: Vec<Multiaddr>,
        way: Way,
    ) -> Self {
        let ends = Ends::default();
        let networks = Box::new(Wires { ends: ends.clone(), taken: 0 });
        let connections = Connections { networks, listen, usual: true, way };
        let rng = ChaCha20Rng::seed_from_u64(u64::from(seed) + now.as_millis());
        let boxed = Box::new(store.clone());
        let driver = Driver::open(now, PathBuf::from("/"), boxed, rng, Some(connections)).unwrap();
        Self { driver, store, ends, now }
    }

    fn reopened(self, seed: u8) -> Self {
        Self::open(self.store, seed, self.now)
    }

    fn asked(&mut self, request: Request) -> oneshot::Receiver<Result<Answer, ApiError>> {
        let (answer, answered) = oneshot::channel();
        self.driver.handle(self.now, Incoming::Ask { request, answer });
        answered
    }

    fn ask(&mut self, request: Request) -> Result<Answer, ApiError> {
        let mut answered = self.asked(request);
        self.driver.finish(self.now);
        answered.try_recv().unwrap()
    }

    fn event(&mut self, group: GroupId, event: NetworkEvent) {
        let network = self.ends.lock().unwrap().get(&group).unwrap().0;
        self.driver.handle(self.now, Incoming::Network { group, network, event });
    }

    /// What the driver has told the network of a group since this was asked last.
    fn told(&mut self, group: GroupId) -> Vec<NetworkCommand> {
        let mut told = Vec::new();
        loop {
            let before = told.len();
            if let Some((_, end)) = self.ends.lock().unwrap().get_mut(&group) {
                told.extend(std::iter::from_fn(|| end.try_recv().ok()));
            }
            self.driver.finish(self.now);
            if told.len() == before {
                return told;
            }
        }
    }

    fn found(&mut self) -> (GroupId, String) {
        let request = Request::GroupCreate {
            name: "Evenings".to_owned(),
            pseudonym: "quiet heron".to_owned(),
            history: HistoryChoice::All,
        };
        let id = text(&self.ask(request).unwrap(), "group");
        (id.parse().unwrap(), id)
    }
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_else(|| panic!("no {field} in {answer}")).to_owned()
}

fn start(group: &str, title: &str) -> Request {
    Request::ThreadStart {
        group: group.to_owned(),
        title: title.to_owned(),
        body: "The evenings are long.".to_owned(),
        note: None,
        wants: None,
    }
}

fn invite(group: &str) -> Request {
    Request::Invite {
        group: group.to_owned(),
        rank: "member".to_owned(),
        uses: 1,
        expires_in_seconds: None,
        at_once: false,
    }
}

/// What an invitation says of where the node is.
fn places(answer: Result<Answer, ApiError>) -> Vec<Vec<u8>> {
    let code = Code::from_text(&text(&answer.unwrap(), "code")).unwrap();
    let contacts = code.contacts.iter().flat_map(|contact| contact.addresses.iter());
    contacts.map(|address| address.as_slice().to_vec()).collect()
}

fn threads(node: &mut Node, group: &str) -> usize {
    let answer = node.ask(Request::Threads { group: group.to_owned() }).unwrap();
    answer.as_array().unwrap().len()
}

fn digest(node: &mut Node, group: &str) -> String {
    text(&node.ask(Request::GroupShow { group: group.to_owned() }).unwrap(), "digest")
}

fn is_publish(command: &NetworkCommand) -> bool {
    matches!(command, NetworkCommand::Publish(_))
}

const PEER: TransportKey = TransportKey::from_bytes([9; 32]);

#[test]
fn s4_what_could_not_be_written_is_neither_answered_nor_sent() {
    let mut node = Node::new(1);
    let (id, group) = node.found();
    let before = digest(&mut node, &group);
    node.told(id);

    node.store.set_full(true);
    let error = node.ask(start(&group, "Long evenings")).unwrap_err();
    assert_eq!(error.kind, "storage");
    assert!(!node.told(id).iter().any(is_publish));
    node.store.set_full(false);
    assert_eq!(threads(&mut node, &group), 0);
    assert_eq!(digest(&mut node, &group), before, "memory ran ahead of the disk");

    node.ask(start(&group, "Long evenings")).unwrap();
    assert!(node.told(id).iter().any(is_publish));
    assert_eq!(threads(&mut node, &group), 1);
    let after = digest(&mut node, &group);
    let mut node = node.reopened(2);
    assert_eq!(digest(&mut node, &group), after, "what was answered is on disk");
}

#[test]
fn s4_what_is_on_a_full_disk_can_be_read_and_nothing_is_written() {
    let mut node = Node::new(1);
    let (_, group) = node.found();
    let thread = text(&node.ask(start(&group, "Long evenings")).unwrap(), "thread");
    let read = |node: &mut Node, group: &str| {
        node.ask(Request::Read { group: group.to_owned(), thread: thread.clone(), mark: true })
    };
    let before = (digest(&mut node, &group), read(&mut node, &group).unwrap());
    let listed = node.ask(Request::GroupList).unwrap();

    node.store.set_full(true);
    for _ in 0..2 {
        assert_eq!(node.ask(start(&group, "Early mornings")).unwrap_err().kind, "storage");
        assert_eq!(threads(&mut node, &group), 1);
        assert_eq!((digest(&mut node, &group), read(&mut node, &group).unwrap()), before);
        assert_eq!(node.ask(Request::GroupList).unwrap(), listed);
    }
    let mut node = node.reopened(2);
    assert_eq!(digest(&mut node, &group), before.0, "opened on a full disk");
    assert_eq!(node.ask(start(&group, "Early mornings")).unwrap_err().kind, "storage");

    node.store.set_full(false);
    node.ask(start(&group, "Early mornings")).unwrap();
    assert_eq!(threads(&mut node, &group), 2);
    assert_ne!(digest(&mut node, &group), before.0);
}

#[test]
fn s4_after_a_failed_write_streams_are_closed_and_gossip_is_not_left_waiting() {
    let mut node = Node::new(1);
    let (id, group) = node.found();
    let session = SessionId(7);
    node.event(id, NetworkEvent::Connected(PEER));
    let opened = NetworkEvent::SessionOpened {
        session,
        peer: PEER,
        protocol: Protocol::Sync,
        initiated: false,
    };
    node.event(id, opened);
    node.told(id);
    node.store.set_full(true);
    node.ask(start(&group, "Long evenings")).unwrap_err();
    let told = node.told(id);
    assert!(told.iter().any(
        |command| matches!(command, NetworkCommand::Close { session: closed } if *closed == session)
    ));
    let token = cairn_crdt::replica::input::GossipToken(3);
    node.event(id, NetworkEvent::Gossip { token, from: PEER, bytes: vec![1] });
    assert!(node.told(id).iter().any(|command| matches!(command, NetworkCommand::Verdict { .. })));
}

#[test]
fn a_group_that_rested_after_a_failure_comes_back_by_itself() {
    let mut node = Node::new(1);
    let (id, group) = node.found();
    node.told(id);
    node.store.set_full(true);
    node.ask(start(&group, "Long evenings")).unwrap_err();
    node.store.set_full(false);
    assert!(node.told(id).iter().all(|c| !matches!(c, NetworkCommand::Members(_))));
    node.now = node.now.after(60_000);
    node.driver.finish(node.now);
    assert!(node.told(id).iter().any(|c| matches!(c, NetworkCommand::Members(_))));
}

fn start_unresolved(group: &str, number: usize) -> Request {
    start(group, &format!("Thread {number}"))
}

#[test]
fn a_network_without_room_keeps_nothing_from_being_answered() {
    let mut node = Node::new(1);
    let (id, group) = node.found();
    for number in 0..4 * ROOM {
        node.ask(start_unresolved(&group, number)).unwrap();
    }
    assert_eq!(node.driver.crowded().count(), 1);
    let published = node.told(id).iter().filter(|command| is_publish(command)).count();
    assert!(published >= 4 * ROOM, "only {published} entries were gossiped");
    assert_eq!(node.driver.crowded().count(), 0);
}

#[test]
fn a_taken_address_is_told_in_a_sentence_or_done_without() {
    let store = SharedStore::default();
    let mut first = Node::open(store.clone(), 1, Timestamp::from_millis(1_800_000_000_000));
    store.clone().set_setting(SEED_SETTING, &[1; 32]).unwrap();
    first.found();
    let listen = crate::config::listen(&[]).unwrap();
    let open = |usual: bool, taken: usize| {
        let ends = Ends::default();
        let networks = Box::new(Wires { ends: ends.clone(), taken });
        let connections =
            Connections { networks, listen: listen.clone(), usual, way: Way::default() };
        let rng = ChaCha20Rng::seed_from_u64(1);
        let store = Box::new(store.clone());
        let now = Timestamp::from_millis(1_800_000_000_000);
        Driver::open(now, PathBuf::from("/"), store, rng, Some(connections)).map(|_| ())
    };
    assert!(open(true, 4).is_ok(), "a machine without IPv6 is one to listen on");
    let error = open(false, 4).unwrap_err();
    assert!(error.message.contains("/ip6/::/udp/0/quic-v1") && error.hint.is_some());
}

#[test]
fn questions_about_nothing_are_answered_with_a_sentence() {
    let mut node = Node::new(1);
    let (_, group) = node.found();
    let kinds = [
        (Request::Threads { group: "elsewhere".to_owned() }, "not-found"),
        (
            Request::Read { group: group.clone(), thread: "none".to_owned(), mark: true },
            "not-found",
        ),
        (Request::Explain { group: group.clone(), id: "zzzz".to_owned() }, "not-found"),
        (Request::Admit { group: group.clone(), request: "zzzz".to_owned() }, "not-found"),
        (
            Request::Grant {
                preview: false,
                group: group.clone(),
                member: "quiet heron".to_owned(),
                rank: "king".to_owned(),
            },
            "usage",
        ),
        (
            Request::Join {
                code: "hello".to_owned(),
                pseudonym: "moss".to_owned(),
                words: String::new(),
            },
            "usage",
        ),
        (start(&group, ""), "usage"),
    ];
    for (request, kind) in kinds {
        let shown = format!("{request:?}");
        let error = node.ask(request).unwrap_err();
        assert_eq!(error.kind, kind, "{shown}: {error}");
        assert!(error.message.ends_with('.'), "{error}");
    }
}

#[test]
fn a_group_is_found_by_its_name_and_shown() {
    let mut node = Node::new(1);
    let (_, group) = node.found();
    let shown = node.ask(Request::GroupShow { group: "evenings".to_owned() }).unwrap();
    assert_eq!(text(&shown, "group"), group);
    assert_eq!((text(&shown, "history"), text(&shown, "state")), ("all".into(), "member".into()));
    assert_eq!(text(&shown, "rank"), "founder");
    let members = node.ask(Request::Members { group: group.clone() }).unwrap();
    assert_eq!(
        (text(&members[0], "pseudonym"), &members[0]["you"]),
        ("quiet heron".into(), &Value::Bool(true))
    );
    let why = node.ask(Request::Explain { group, id: "quiet heron".to_owned() }).unwrap();
    assert_eq!(why["counts"], Value::Bool(true));
}

#[test]
fn a_node_without_a_network_answers_what_it_can() {
    let store = SharedStore::default();
    store.clone().set_setting(SEED_SETTING, &[1; 32]).unwrap();
    let now = Timestamp::from_millis(1_800_000_000_000);
    let rng = ChaCha20Rng::seed_from_u64(1);
    let driver = Driver::open(now, PathBuf::from("/"), Box::new(store.clone()), rng, None).unwrap();
    let mut node = Node { driver, store, ends: Ends::default(), now };
    let (_, group) = node.found();
    node.ask(start(&group, "Long evenings")).unwrap();
    assert_eq!(threads(&mut node, &group), 1);
    let error = node.ask(Request::Sync { group, wait: true }).unwrap_err();
    assert_eq!(error.kind, "unavailable");
}

#[test]
fn waiting_for_a_group_where_nobody_is_reached_ends_with_a_sentence() {
    let mut node = Node::new(1);
    let (_, group) = node.found();
    let mut answered = node.asked(Request::Sync { group, wait: true });
    node.driver.finish(node.now);
    assert!(answered.try_recv().is_err());
    for _ in 0..60 {
        node.now = node.now.after(1000);
        node.driver.finish(node.now);
    }
    let error = answered.try_recv().unwrap().unwrap_err();
    assert_eq!(error.kind, "unavailable");
    assert!(error.message.starts_with("Nobody of the group"));
}
