//! Two homes, two nodes on loopback, real sockets and real stores.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::path::Path;
use std::time::Duration;

use cairn_node::api::client::Client;
use cairn_node::api::command::{ApiError, HistoryChoice, Request};
use cairn_node::runtime::{self, Offline, Ready, UpOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PASSPHRASE: &str = "a long enough passphrase";

struct Node {
    home: TempDir,
    client: Client,
    ready: Ready,
    running: JoinHandle<Result<(), ApiError>>,
}

impl Node {
    async fn first() -> Self {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(runtime::init(home.path(), PASSPHRASE).unwrap().len(), 24);
        Self::up(home).await
    }

    async fn up(home: TempDir) -> Self {
        let path = home.path().to_owned();
        let (tell, told) = oneshot::channel();
        let running = tokio::spawn(async move {
            let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
            let options = UpOptions { listen, ..UpOptions::default() };
            runtime::up(&path, PASSPHRASE, options, |ready| {
                let _ = tell.send(ready);
            })
            .await
        });
        let ready = told.await.unwrap();
        let client = Client::connect(home.path()).await.unwrap().unwrap();
        Self { home, client, ready, running }
    }

    async fn down(self) -> TempDir {
        self.client.call(Request::Shutdown).await.unwrap();
        self.running.await.unwrap().unwrap();
        assert!(!self.home.path().join("api.sock").exists());
        self.home
    }

    async fn ask(&self, request: Request) -> Value {
        self.client.call(request).await.unwrap()
    }

    /// Asks until the answer is as it should be.
    async fn until(&self, request: Request, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let answer = self.ask(request.clone()).await;
            if fits(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
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
        wants: Some("just-listen".to_owned()),
    }
}

async fn digest(node: &Node) -> String {
    text(&node.ask(Request::Status).await["groups"][0], "digest")
}

/// A founder with a thread, and a newcomer who asked to be let in and was.
async fn group() -> (Node, Node, String) {
    let (founder, newcomer) = (Node::first().await, Node::first().await);
    let create = Request::GroupCreate {
        name: "Evenings".to_owned(),
        pseudonym: "quiet heron".to_owned(),
        history: HistoryChoice::All,
    };
    let group = text(&founder.ask(create).await, "group");
    founder.ask(start(&group, "Long evenings")).await;
    let peers = Request::Peers { group: group.clone() };
    founder.until(peers, |answer| !answer["listen"].as_array().unwrap().is_empty()).await;
    let invite = Request::Invite {
        group: group.clone(),
        rank: "member".to_owned(),
        uses: 1,
        expires_in_seconds: None,
        at_once: false,
    };
    let code = text(&founder.ask(invite).await, "code");
    let join = Request::Join {
        code,
        pseudonym: "moss".to_owned(),
        words: "A friend told me of you.".to_owned(),
    };
    let answer = newcomer.ask(join).await;
    assert_eq!(
        (text(&answer, "state"), &answer["reached"]),
        ("waiting".into(), &Value::Bool(true))
    );
    let requests = Request::Requests { group: group.clone() };
    founder.until(requests, |answer| !answer.as_array().unwrap().is_empty()).await;
    founder.ask(Request::Admit { group: group.clone(), request: "moss".to_owned() }).await;
    newcomer.until(Request::GroupList, |answer| answer[0]["state"] == "member").await;
    newcomer.ask(Request::Sync { group: group.clone(), wait: true }).await;
    (founder, newcomer, group)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_found_join_write_apart_and_come_together() {
    let (founder, newcomer, group) = group().await;
    let read = Request::Read { group: group.clone(), thread: "Long evenings".into(), mark: true };
    let page = newcomer.until(read.clone(), |page| page["posts"].as_array().unwrap().len() == 1);
    assert_eq!(text(&page.await["posts"][0]["author"], "pseudonym"), "quiet heron");

    // The newcomer writes without a node, while the founder writes too.
    let home = newcomer.down().await;
    founder.ask(start(&group, "Meanwhile")).await;
    let mut store = Offline::open(home.path(), PASSPHRASE).unwrap();
    let second = Offline::open(home.path(), PASSPHRASE).err().unwrap();
    assert_eq!(second.kind, "locked");
    let post = Request::Post {
        group: group.clone(),
        thread: "Long evenings".to_owned(),
        reply_to: None,
        body: "Same here.".to_owned(),
        note: None,
        wants: None,
    };
    store.call(post).unwrap();
    let page = store.call(read.clone()).unwrap();
    assert_eq!(text(&page["posts"][1]["reach"], "where"), "here");
    drop(store);

    let newcomer = Node::up(home).await;
    assert_eq!(newcomer.ready.listen.len(), 1);
    let both = |page: &Value| page["posts"].as_array().unwrap().len() == 2;
    founder.until(read.clone(), both).await;
    newcomer.ask(Request::Sync { group: group.clone(), wait: true }).await;
    while digest(&founder).await != digest(&newcomer).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reached = |page: &Value| both(page) && page["posts"][1]["reach"]["where"] == "members";
    newcomer.until(read, reached).await;
    founder.down().await;
    newcomer.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_was_chosen_is_kept() {
    let node = Node::first().await;
    assert!(node.ready.listen.is_empty());
    let create = Request::GroupCreate {
        name: "Evenings".to_owned(),
        pseudonym: "quiet heron".to_owned(),
        history: HistoryChoice::SinceJoining,
    };
    let group = text(&node.ask(create).await, "group");
    let peers = Request::Peers { group };
    let before = node.until(peers, |answer| !answer["listen"].as_array().unwrap().is_empty()).await;
    let home = node.down().await;
    let node = Node::up(home).await;
    assert_eq!(before["listen"][0].as_str(), node.ready.listen.first().map(String::as_str));
    let checks = node.ask(Request::Doctor).await;
    for check in checks.as_array().unwrap() {
        assert!(check["check"] == "disk" || check["ok"] == true, "{check}");
    }
    node.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_without_a_store_and_a_wrong_passphrase_are_told() {
    let home = tempfile::tempdir().unwrap();
    let missing = home.path().join("nowhere");
    assert_eq!(Offline::open(&missing, PASSPHRASE).err().unwrap().kind, "no-store");
    assert!(!Path::new(&missing).exists(), "looking makes no folder");
    runtime::init(home.path(), PASSPHRASE).unwrap();
    assert_eq!(runtime::init(home.path(), PASSPHRASE).unwrap_err().kind, "already-there");
    let options = UpOptions::default();
    let error = runtime::up(home.path(), "another", options, |_| {}).await.unwrap_err();
    assert_eq!(error.kind, "passphrase");
    let options = UpOptions { listen: vec!["here".to_owned()], ..UpOptions::default() };
    let error = runtime::up(home.path(), PASSPHRASE, options, |_| {}).await.unwrap_err();
    assert_eq!(error.kind, "usage");
}
