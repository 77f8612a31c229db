//! One person of the demo: a home of their own, and a node in a process of its own.
//!
//! All that is done goes through the node's socket while it runs, and through the command line
//! while it does not: exactly what a person could do.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cairn_node::api::client::Client;
use cairn_node::api::command::{Answer, Request};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::error::Failure;

/// How long a node may take to stop by itself before it is ended.
const FAREWELL: Duration = Duration::from_secs(30);

/// A person, present or away.
pub(super) struct Person {
    /// How the others call them.
    pub(super) pseudonym: String,
    home: PathBuf,
    passphrase_file: PathBuf,
    node: Option<Node>,
}

struct Node {
    /// Killed when dropped: no process outlives the demo.
    process: Child,
    client: Client,
}

impl Person {
    /// Somebody with a store and no running node.
    pub(super) async fn settle(
        pseudonym: String,
        home: PathBuf,
        passphrase_file: PathBuf,
    ) -> Result<Self, Failure> {
        let person = Self { pseudonym, home, passphrase_file, node: None };
        person.command(&["init"], "").await?;
        Ok(person)
    }

    /// Where their store is.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Whether their node runs.
    pub(super) const fn is_here(&self) -> bool {
        self.node.is_some()
    }

    /// Starts the node and waits until it says that it is ready.
    pub(super) async fn arrive(&mut self) -> Result<(), Failure> {
        let mut process = self
            .program()?
            .args(["up", "--json", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed(&format!("could not be started: {error}")))?;
        let stdout = process.stdout.take().ok_or_else(|| self.failed("has no output"))?;
        let mut ready = String::new();
        let read = BufReader::new(stdout.take(64 * 1024)).read_line(&mut ready).await;
        let is_ready = serde_json::from_str::<Value>(&ready)
            .is_ok_and(|line| line.get("ready") == Some(&Value::Bool(true)));
        if read.is_err() || !is_ready {
            return Err(self.failed(&format!("did not start: {}", last_words(process).await)));
        }
        if let Some(mut stderr) = process.stderr.take() {
            // A full pipe would stop the node: what it logs from here on is nobody's.
            tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
        }
        let client = Client::connect(&self.home)
            .await?
            .ok_or_else(|| self.failed("said that it is ready and does not answer"))?;
        self.node = Some(Node { process, client });
        Ok(())
    }

    /// Asks the node to stop, and waits until it has ended.
    pub(super) async fn depart(&mut self) -> Result<(), Failure> {
        let Some(mut node) = self.node.take() else { return Ok(()) };
        node.client.call(Request::Shutdown).await?;
        match tokio::time::timeout(FAREWELL, node.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.failed(&format!("ended with {status}"))),
            Ok(Err(error)) => Err(self.failed(&format!("could not be waited for: {error}"))),
            Err(_) => Err(self.failed("did not stop when asked to")),
        }
    }

    /// Ends the node at once, whatever it does.
    pub(super) async fn end(&mut self) {
        if let Some(mut node) = self.node.take() {
            // An error means that it has ended already.
            drop(node.process.kill().await);
        }
    }

    /// A question to their running node.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer, Failure> {
        Ok(self.client()?.call(request).await?)
    }

    /// The way to their running node.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let node = self.node.as_ref().ok_or_else(|| self.failed("is not running"))?;
        Ok(node.client.clone())
    }

    /// A command in their home, in a process of its own, with `text` as its stdin.
    pub(super) async fn command(&self, words: &[&str], text: &str) -> Result<Answer, Failure> {
        let mut process = self
            .program()?
            .args(words)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed(&format!("could not be started: {error}")))?;
        if let Some(mut stdin) = process.stdin.take() {
            // A command that needs no text may close its stdin before it is written.
            drop(stdin.write_all(text.as_bytes()).await);
        }
        let output = process
            .wait_with_output()
            .await
            .map_err(|error| self.failed(&format!("could not be waited for: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(self.failed(&format!("answered to `{}`: {said}", words.join(" "))));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| self.failed(&format!("gave no JSON: {error}")))
    }

    /// This very program, for their home.
    fn program(&self) -> Result<Command, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::new(format!("The program cannot find itself to start nodes: {error}."))
        })?;
        let mut command = Command::new(program);
        command
            .arg("--home")
            .arg(&self.home)
            .env("CAIRN_PASSPHRASE_FILE", &self.passphrase_file)
            .kill_on_drop(true);
        Ok(command)
    }

    fn failed(&self, what: &str) -> Failure {
        Failure::new(format!("The node of {} {}.", self.pseudonym, what.trim_end_matches('.')))
    }
}

/// What a process that is ending says on stderr.
async fn last_words(mut process: Child) -> String {
    let mut words = String::new();
    if let Some(stderr) = process.stderr.take() {
        // Half a sentence is better than none.
        drop(process.start_kill());
        drop(stderr.take(4096).read_to_string(&mut words).await);
    }
    let words = words.trim();
    if words.is_empty() { "it said nothing".to_owned() } else { words.to_owned() }
}
