//! Nodes as processes of their own: this program again, called with `node` and a home.
#![expect(unreachable_pub, reason = "a benchmark")]
#![allow(dead_code, reason = "each benchmark uses a part")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cairn_node::api::client::Client;
use cairn_node::api::command::Request;
use cairn_node::runtime::{self, UpOptions};
use serde_json::Value;
use tempfile::TempDir;

pub const PASSPHRASE: &str = "a passphrase for a benchmark";

/// What is written in every post.
pub const TEXT: &str = "last night was hard again, but I called my sister and slept a little";

/// Whether this process is to measure. Otherwise it was one of the nodes, and has been stopped, or was
/// only to show that it starts.
pub async fn measures() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, home] = arguments.as_slice()
        && word == "node"
    {
        serve(Path::new(home)).await;
        return false;
    }
    !arguments.iter().any(|argument| argument == "--test")
}

async fn serve(home: &Path) {
    let options =
        UpOptions { listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()], ..UpOptions::default() };
    runtime::up(home, PASSPHRASE, options, |_| println!("ready")).await.unwrap();
}

pub struct Node {
    child: Child,
    client: Client,
    /// From its start until it was ready.
    pub started: Duration,
}

impl Node {
    pub async fn up(home: &Path) -> Self {
        let begin = Instant::now();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("node")
            .arg(home)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready");
        let started = begin.elapsed();
        let client = Client::connect(home).await.unwrap().unwrap();
        Self { child, client, started }
    }

    pub async fn ask(&self, request: Request) -> Value {
        self.client.call(request).await.unwrap_or_else(|why| panic!("{why}"))
    }

    pub async fn group(&self) -> Value {
        self.ask(Request::Status).await["groups"][0].clone()
    }

    /// The most memory that the process has had, in MiB.
    pub fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024.0
    }

    pub async fn down(mut self) {
        self.ask(Request::Shutdown).await;
        self.child.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes received over the loopback interface so far.
pub fn loopback_bytes() -> f64 {
    let table = std::fs::read_to_string("/proc/net/dev").unwrap();
    let line = table.lines().find(|line| line.trim_start().starts_with("lo:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    runtime::init(home.path(), PASSPHRASE).unwrap();
    home
}
