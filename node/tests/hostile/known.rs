//! Attacks that hurt other systems of this kind, by the names under which they are told. Some stand
//! elsewhere in this suite: an authority link that is encrypted but unsigned
//! (`l5_an_unsigned_run_is_refused`), a bad signature that was marked as checked
//! (`l5_a_run_signed_by_another_key_is_refused`), a storage node that joins without an invitation
//! (`j2_a_request_without_the_invites_proof_is_declined`), a replayed invite proof
//! (`j2_a_request_replayed_by_another_peer_is_declined`), a bomb that inflates
//! (`k5_a_bomb_that_inflates_shows_nothing`), a peer that claims a frontier it cannot serve
//! (`s2_a_frontier_that_cannot_be_served_costs_a_question`).

use std::time::Duration;

use cairn_crdt::capability::revocation::{Cut, Remove};
use cairn_crdt::codec::List;
use cairn_crdt::epoch::secret::{Audience, Mint};
use cairn_crdt::id::{EntryId, GrantId, MemberId};
use cairn_crdt::log::entry::{Control, Header, Sealing, Seen, payload_hash};
use cairn_crdt::log::frontier::Frontier;
use cairn_crdt::log::run::Entry;
use cairn_crdt::sync::message::{Admittance, Message, Want};
use cairn_node::api::command::{CutSpec, ImportLine, Request};
use futures::AsyncWriteExt as _;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::bounded;
use crate::floods::{hello, member};
use crate::insider::Insider;
use crate::node::Node;
use crate::raw::{Raw, SYNC, framed};
use crate::wire::Ending;

/// Connections that are opened and held.
const CONNECTIONS: usize = 10_000;
/// How many of them at a time: this process holds both ends.
const AT_ONCE: usize = 2_500;
/// MiB that the node may grow by for all of them.
const GROWTH: usize = 96;

/// Signs a control entry of an insider, wherever its header says that it stands.
fn control(insider: &Insider, control: &Control, header: impl FnOnce(Header) -> Header) -> Entry {
    let payload = control.encode();
    let (hash, size) = (payload_hash(&payload), u32::try_from(payload.len()).unwrap());
    let next = insider.header(control.kind().unwrap(), insider.grant());
    let header = header(Header { payload: hash, size, ..next });
    Entry::author(&insider.device_key(), header, payload).into_inner()
}

fn removal(of: MemberId) -> Control {
    Control::Remove(Remove { subject: of, cut: Cut::default(), epoch: None })
}

fn highest(insider: &Insider) -> GrantId {
    let standing = &insider.replica.authority().members()[&insider.replica.member()];
    *standing.grants.iter().max_by_key(|(_, held)| held.rank).unwrap().0
}

/// The first entry of the own log.
fn card(insider: &Insider) -> EntryId {
    let log = insider.replica.set().log(&insider.replica.device()).unwrap();
    log.iter().next().unwrap().1
}

async fn members(node: &Node) -> Vec<String> {
    let members = node.ask(Request::Members { group: node.group.to_string() }).await;
    let ids = members.as_array().unwrap().iter();
    let mut ids: Vec<String> = ids.map(|m| m["member"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Somebody who was a moderator and was removed, and a member who helps.
async fn removed(node: &Node) -> (Insider, Insider) {
    let mut moderator = Insider::join(node, 1).await;
    let (group, id) = (node.group.to_string(), moderator.replica.member().to_string());
    let grant = Request::Grant {
        group: group.clone(),
        member: id.clone(),
        rank: "moderator".to_owned(),
        preview: false,
    };
    node.ask(grant).await;
    moderator.synchronise(node).await;
    let remove = Request::Remove {
        group,
        member: id,
        cut: CutSpec::FromTip,
        rule: "Be kind".to_owned(),
        reason: "Was not".to_owned(),
        preview: false,
    };
    node.ask(remove).await;
    (moderator, Insider::join(node, 2).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_admin_who_publishes_with_only_genesis_as_its_past_moves_nobody() {
    bounded(async {
        let node = Node::up().await;
        let (moderator, mut helper) = removed(&node).await;
        let before = members(&node).await;
        // As if nothing but the genesis had been seen, right after the first entry of its log.
        let act = control(&moderator, &removal(helper.replica.member()), |header| Header {
            grant: highest(&moderator),
            seq: 1,
            prev: card(&moderator),
            seen: Seen::default(),
            ..header
        });
        assert_eq!(helper.hand_run(&node, &act).await, Ending::Content);
        assert_eq!(members(&node).await, before);
        helper.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_dated_branch_under_a_cut_counts_for_nothing() {
    bounded(async {
        let node = Node::up().await;
        let (mut moderator, mut helper) = removed(&node).await;
        let (before, shows) = (members(&node).await, node.shows().await);
        let tip = moderator.tip();
        let post = moderator.post(&node, "it was always here");
        let opened = moderator.open(&post);
        // The place of its last entry that counts: below the cut, on another branch.
        let slot = moderator.entry(tip.entry).header;
        let header = Header { seq: slot.seq, prev: slot.prev, ..post.header };
        let branch = moderator.seal(header, &opened.envelope, &opened.change);
        assert_eq!(helper.hand_run(&node, &branch).await, Ending::Content);
        assert_eq!(node.shows().await, shows);
        assert_eq!(members(&node).await, before);
        helper.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_colluder_who_removes_the_remover_brings_nobody_back() {
    bounded(async {
        let node = Node::up().await;
        let (_, helper) = removed(&node).await;
        let before = members(&node).await;
        let founder = helper.replica.authority().members().iter();
        let founder = *founder.max_by_key(|(_, standing)| standing.rank()).unwrap().0;
        let act = control(&helper, &removal(founder), |header| header);
        assert_eq!(helper.hand_run(&node, &act).await, Ending::Content);
        assert_eq!(members(&node).await, before);
        helper.knowing(&act).the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_boxes_from_someone_without_authority_are_not_written_under() {
    bounded(async {
        let node = Node::up().await;
        let mut forger = Insider::join(&node, 1).await;
        let group = forger.replica.group();
        let recipients = forger.replica.authority().readers(Audience::Readers);
        let device = forger.replica.device();
        let (_, mint) =
            Mint::fresh(&mut forger.rng, group, device, Audience::Readers, &recipients, &[])
                .unwrap();
        let epoch = mint.epoch;
        // Under the founder's grant, which is not the forger's to use.
        let grant = forger.grant_of_another();
        let boxes = control(&forger, &Control::Epoch(mint), |header| Header { grant, ..header });
        assert_eq!(forger.hand_run(&node, &boxes).await, Ending::Content);
        let post = Request::Post {
            group: group.to_string(),
            thread: node.thread.to_string(),
            reply_to: None,
            body: "Under which key?".to_owned(),
            note: None,
            wants: None,
        };
        node.ask(post).await;
        let mut honest = forger.knowing(&boxes);
        honest.the_node_goes_on(&node).await;
        let kept = honest.store.entries.values();
        let under = kept.filter(
            |kept| matches!(kept.header.sealing, Sealing::Sealed { epoch: of, .. } if of == epoch),
        );
        assert_eq!(under.count(), 0);
        node.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_up_nobody_else() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let line = |number: usize| ImportLine {
            conversation: "Long evenings, long ago".to_owned(),
            id: number.to_string(),
            reply_to: None,
            author: "someone".to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            body: (0..400).map(|word: usize| format!("{number}.{} ", word * number)).collect(),
        };
        let posts = (1..=400).map(line).collect();
        node.ask(Request::Import { group: node.group.to_string(), posts }).await;
        // Asks for all that there is on three streams, and reads none of it.
        let raw = Raw::to(&node.code, member(&insider)).await.unwrap();
        let founder = insider.entry(insider.replica.created(&node.thread).unwrap()).header.device;
        let head = insider.replica.set().log(&founder).unwrap().heads().last().unwrap().1;
        let want = Want { device: founder, head, have: List::default() };
        let wants = List::new(vec![want]).unwrap();
        let mut held = Vec::new();
        for _ in 0..3 {
            let Some(mut stream) = raw.open(SYNC).await else { continue };
            let said = [
                hello(&node),
                framed(&Message::Welcome(Admittance::Member).to_bytes()),
                framed(&Message::Frontier(Frontier::default()).to_bytes()),
                framed(&Message::Want { wants: wants.clone(), content: true }.to_bytes()),
            ];
            let _ = stream.write_all(&said.concat()).await;
            let _ = stream.flush().await;
            held.push(stream);
        }
        assert!(!held.is_empty());
        Insider::join(&node, 2).await.the_node_goes_on(&node).await;
        drop(held);
        raw.end();
        insider.the_node_goes_on(&node).await;
        node.down().await;
    })
    .await;
}

/// MiB of memory that this process, and the node in it, hold now.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<usize> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_default() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_keep_no_member_out() {
    bounded(async {
        let node = Node::up().await;
        let mut insider = Insider::join(&node, 1).await;
        let holds = node.holds().await;
        let contact = node.code.contacts.iter().next().unwrap();
        let bytes = contact.addresses.iter().next().unwrap().as_slice().to_vec();
        let port = Multiaddr::try_from(bytes).unwrap().iter().find_map(|part| match part {
            Protocol::Tcp(port) => Some(port),
            _ => None,
        });
        let before = resident();
        let mut held = Vec::new();
        for number in 0..CONNECTIONS {
            if number % AT_ONCE == 0 {
                held.clear();
                insider.the_node_goes_on(&node).await;
            }
            let connect = tokio::net::TcpStream::connect(("127.0.0.1", port.unwrap()));
            // A full queue of the kernel's is no answer: as good as none.
            if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(1), connect).await {
                held.push(stream);
            }
        }
        insider.the_node_goes_on(&node).await;
        let grown = resident().saturating_sub(before);
        assert!(grown < GROWTH, "{grown} MiB for connections that said nothing");
        drop(held);
        assert!(node.holds().await.1 > holds.1);
        node.down().await;
    })
    .await;
}
