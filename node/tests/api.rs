//! The local API over a real socket, with a stand-in for the driver.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cairn_node::api::client::Client;
use cairn_node::api::command::{ApiError, Request};
use cairn_node::api::server;
use cairn_node::driver::incoming::Incoming;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

struct Node {
    home: TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Node {
    /// Answers `status`, refuses `group-list`, and leaves everything else without an answer.
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = server::bind(&home.path().join("api.sock")).unwrap();
        let (driver, mut incoming) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Some(Incoming::Ask { request, answer }) = incoming.recv().await {
                let _ = match request {
                    Request::Status => answer.send(Ok(json!({ "groups": [] }))),
                    Request::GroupList => answer
                        .send(Err(ApiError::refused("you may not do this").hinted("Ask first."))),
                    _ => Ok(()),
                };
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server::serve(listener, driver, async {
            let _ = stopped.await;
        }));
        Self { home, stop: Some(stop), serving }
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("api.sock")
    }

    async fn client(&self) -> Client {
        Client::connect(self.home.path()).await.unwrap().unwrap()
    }

    /// Status line and body of an answer to bytes of one's own making.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        // Whoever is told early that it is too much may not be able to say all of it.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_question_is_answered_and_an_error_comes_with_its_hint() {
    let node = Node::start();
    let client = node.client().await;
    assert_eq!(client.call(Request::Status).await.unwrap(), json!({ "groups": [] }));
    let error = client.call(Request::GroupList).await.unwrap_err();
    assert_eq!((error.kind.as_str(), error.hint.as_deref()), ("refused", Some("Ask first.")));
    let error = client.call(Request::Doctor).await.unwrap_err();
    assert_eq!(error.kind, "unavailable", "a driver that stops leaves nobody waiting");
}

#[tokio::test]
async fn only_its_owner_can_open_the_socket() {
    let node = Node::start();
    assert_eq!(mode(&node.socket()), 0o600);
}

#[tokio::test]
async fn what_is_no_question_is_refused_without_being_repeated() {
    let node = Node::start();
    for body in ["{\"do\":\"canary\"}", "canary", "{\"do\":\"threads\",\"group\":7}", ""] {
        let request = format!(
            "POST /v1/call HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = node.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("\"usage\""), "{answer}");
        assert!(!answer.contains("canary"), "{answer}");
    }
    let elsewhere = b"GET /v1/call HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(node.raw(elsewhere).await.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn a_question_over_the_bound_is_refused() {
    let node = Node::start();
    let request = format!(
        "POST /v1/call HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        server::QUESTION_BYTES + 1
    );
    let mut request = request.into_bytes();
    request.extend(std::iter::repeat_n(b' ', server::QUESTION_BYTES + 1));
    let answer = node.raw(&request).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("too-large"), "{answer}");
}

#[tokio::test]
async fn without_a_node_there_is_no_client_and_a_left_over_socket_is_replaced() {
    let mut node = Node::start();
    let empty = tempfile::tempdir().unwrap();
    assert!(Client::connect(empty.path()).await.unwrap().is_none());
    drop(node.stop.take());
    (&mut node.serving).await.unwrap().unwrap();
    assert!(node.socket().exists());
    assert!(Client::connect(node.home.path()).await.unwrap().is_none());
    assert!(server::bind(&node.socket()).is_ok());
}

#[tokio::test]
async fn something_else_in_the_place_of_the_socket_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("api.sock");
    std::fs::write(&path, "mine").unwrap();
    let error = server::bind(&path).unwrap_err();
    assert_eq!(error.kind, "unavailable");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}
