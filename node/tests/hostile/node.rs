//! The node that is attacked: a home, a group, a thread.

use std::time::Duration;

use cairn_crdt::capability::invite::Code;
use cairn_crdt::id::{DocumentId, GroupId};
use cairn_node::api::client::Client;
use cairn_node::api::command::{ApiError, HistoryChoice, Request};
use cairn_node::runtime::{self, UpOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PASSPHRASE: &str = "a long enough passphrase";

/// What a node holds: the digest of its set, and how many entries that is.
pub(crate) type Holds = (String, u64);

pub(crate) struct Node {
    _home: TempDir,
    client: Client,
    running: JoinHandle<Result<(), ApiError>>,
    pub(crate) group: GroupId,
    pub(crate) thread: DocumentId,
    /// Lets in whoever uses it.
    pub(crate) code: Code,
}

impl Node {
    /// A founder with a thread, who let nobody in yet.
    pub(crate) async fn up() -> Self {
        let home = tempfile::tempdir().unwrap();
        runtime::init(home.path(), PASSPHRASE).unwrap();
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
        told.await.unwrap();
        let client = Client::connect(home.path()).await.unwrap().unwrap();
        let create = Request::GroupCreate {
            name: "Evenings".to_owned(),
            pseudonym: "quiet heron".to_owned(),
            history: HistoryChoice::All,
        };
        let group = text(&client.call(create).await.unwrap(), "group");
        let start = Request::ThreadStart {
            group: group.clone(),
            title: "Long evenings".to_owned(),
            body: "The evenings are long.".to_owned(),
            note: None,
            wants: None,
        };
        client.call(start).await.unwrap();
        let threads = client.call(Request::Threads { group: group.clone() }).await.unwrap();
        let thread = text(&threads[0], "thread").parse().unwrap();
        let peers = Request::Peers { group: group.clone() };
        while client.call(peers.clone()).await.unwrap()["listen"].as_array().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let invite = Request::Invite {
            group: group.clone(),
            rank: "member".to_owned(),
            uses: 9,
            expires_in_seconds: None,
            at_once: true,
        };
        let code = text(&client.call(invite).await.unwrap(), "code");
        let code = Code::from_text(&code).unwrap();
        let group = group.parse().unwrap();
        Self { _home: home, client, running, group, thread, code }
    }

    pub(crate) async fn ask(&self, request: Request) -> Value {
        self.client.call(request).await.unwrap()
    }

    pub(crate) async fn holds(&self) -> Holds {
        let status = self.ask(Request::Status).await;
        let group = &status["groups"][0];
        (text(group, "digest"), group["entries"].as_u64().unwrap())
    }

    /// All that a person sees: every thread, every post of the one that there is.
    pub(crate) async fn shows(&self) -> (Value, Value) {
        let group = self.group.to_string();
        let threads = self.ask(Request::Threads { group: group.clone() }).await;
        let thread = self.thread.to_string();
        (threads, self.ask(Request::Read { group, thread, mark: false }).await)
    }

    pub(crate) async fn shows_post(&self, body: &str) -> bool {
        let (_, page) = self.shows().await;
        page["posts"].as_array().unwrap().iter().any(|post| post["body"] == body)
    }

    /// Whoever panicked or hung does not end well.
    pub(crate) async fn down(self) {
        self.ask(Request::Shutdown).await;
        self.running.await.unwrap().unwrap();
    }
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_else(|| panic!("no {field} in {answer}")).to_owned()
}
