//! One person: a home, and a node that can be started, stopped and killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::net::Machine;
use crate::patience::until;
use crate::place::Place;
use crate::program::{Ran, cairn, ended};

/// Where a node listens when a test does not say: any free port, on loopback, and nobody is looked
/// for on the local network.
pub const LOOPBACK: [&str; 3] = ["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];

/// Where a keeper listens when nothing else is said: any free port, on loopback.
pub const LOOPBACK_KEEPER: [&str; 2] = ["--listen", "/ip4/127.0.0.1/tcp/0"];

/// Somebody with a home.
#[derive(Debug)]
pub struct Person {
    /// How the others call them, and what their home is called.
    pub name: String,
    /// The folder of their store.
    pub home: PathBuf,
    /// The file with the passphrase that they use.
    pub passphrase_file: PathBuf,
    /// What their nodes log, as `CAIRN_LOG` has it.
    pub log_level: String,
    /// The machine that they sit at, if it is one of a small internet.
    pub machine: Option<Machine>,
    logs: PathBuf,
    temporary: PathBuf,
    started: u32,
    node: Option<Node>,
}

#[derive(Debug)]
struct Node {
    process: Child,
    ready: Value,
}

impl Person {
    /// Somebody without a store yet.
    #[must_use]
    pub fn new(place: &Place, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            home: place.home(name),
            passphrase_file: place.passphrase_file(),
            log_level: "info".to_owned(),
            machine: None,
            logs: place.logs(),
            temporary: place.temporary(),
            started: 0,
            node: None,
        }
    }

    /// Somebody with a store, at a machine of a small internet. Their node does not run yet.
    #[must_use]
    pub fn at(place: &Place, name: &str, machine: &Machine) -> Self {
        let mut person = Self::new(place, name);
        person.machine = Some(machine.clone());
        drop(person.ask(&["init"]));
        person
    }

    /// Somebody who runs a keeper at a machine of a small internet.
    #[must_use]
    pub fn keeper(place: &Place, name: &str, machine: &Machine) -> Self {
        let mut keeper = Self::new(place, name);
        keeper.machine = Some(machine.clone());
        keeper.keep(&["--external", &format!("/ip4/{}/tcp/4224", machine.address)]);
        keeper
    }

    /// Several people, each with a store and a running node.
    #[must_use]
    pub fn settle<const N: usize>(place: &Place, names: [&str; N]) -> [Self; N] {
        let mut people = names.map(|name| Self::new(place, name));
        std::thread::scope(|scope| {
            for person in &mut people {
                scope.spawn(|| {
                    drop(person.ask(&["init"]));
                    person.arrive();
                });
            }
        });
        people
    }

    /// The program, with this person's home and nothing of whoever runs the tests.
    #[must_use]
    pub fn program(&self) -> Command {
        let mut command = match &self.machine {
            Some(machine) => machine.program(cairn()),
            None => Command::new(cairn()),
        };
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("TMPDIR", &self.temporary)
            .env("CAIRN_HOME", &self.home)
            .env("CAIRN_PASSPHRASE_FILE", &self.passphrase_file)
            .env("CAIRN_LOG", &self.log_level)
            .env("COLUMNS", "100");
        command
    }

    /// Runs a command, with `text` as its stdin, as a person would read it.
    #[must_use]
    pub fn run(&self, words: &[&str], text: &str) -> Ran {
        Ran::of(self.program().args(words), text.as_bytes())
    }

    /// Runs a command that takes no text; its answer.
    ///
    /// # Panics
    /// When the command fails.
    #[must_use]
    pub fn ask(&self, words: &[&str]) -> Value {
        self.tell(words, "")
    }

    /// Runs a command with `text` as its stdin; its answer.
    ///
    /// # Panics
    /// When the command fails.
    #[must_use]
    pub fn tell(&self, words: &[&str], text: &str) -> Value {
        Ran::of(self.program().args(words).arg("--json"), text.as_bytes()).json()
    }

    /// Starts the node, on loopback, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn arrive(&mut self) {
        self.arrive_with(&LOOPBACK);
    }

    /// Starts the node with these options, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn arrive_with(&mut self, options: &[&str]) {
        self.launch(&["up"], options);
    }

    /// Runs a keeper in this person's home, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn keep(&mut self, options: &[&str]) {
        self.launch(&["keeper", "run"], options);
    }

    /// Makes a code with which one group can use this person's keeper.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn keeper_code(&self) -> String {
        let answer = self.ask(&["keeper", "invite"]);
        answer["code"].as_str().unwrap_or_else(|| panic!("no code in {answer}")).to_owned()
    }

    fn launch(&mut self, command: &[&str], options: &[&str]) {
        assert!(self.node.is_none(), "the node of {} runs already", self.name);
        self.started += 1;
        let log = |what: &str| self.logs.join(format!("{}-{}.{what}", self.name, self.started));
        let (stdout, stderr) = (log("out"), log("err"));
        let mut process = self
            .program()
            .args(command)
            .arg("--json")
            .args(options)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .expect("the program can be started");
        let ready = until(&format!("the node of {} is ready", self.name), || {
            let said = fs::read_to_string(&stdout).unwrap();
            if let Some((line, _)) = said.split_once('\n') {
                return Some(serde_json::from_str::<Value>(line).expect("the line is JSON"));
            }
            let ended = process.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the node of {} did not start: {}",
                self.name,
                fs::read_to_string(&stderr).unwrap()
            );
            None
        });
        assert_eq!(ready["ready"], true, "{ready}");
        self.node = Some(Node { process, ready });
    }

    /// Whether the node runs.
    #[must_use]
    pub const fn is_here(&self) -> bool {
        self.node.is_some()
    }

    /// What the node said when it was ready.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn ready(&self) -> &Value {
        &self.node.as_ref().expect("the node runs").ready
    }

    /// Stops the node as a service manager does, and waits for its clean end.
    ///
    /// # Panics
    /// When it does not end, or not with 0.
    pub fn depart(&mut self) {
        let mut node = self.node.take().expect("the node runs");
        signal(&node.process, "TERM");
        let status = ended(&mut node.process, &format!("the node of {}", self.name));
        assert!(status.success(), "the node of {} ended with {status}", self.name);
        assert!(!self.home.join("api.sock").exists(), "a socket was left behind");
    }

    /// Kills the node, without a warning, wherever it is.
    ///
    /// # Panics
    /// When it has ended before.
    pub fn kill(&mut self) {
        let mut node = self.node.take().expect("the node runs");
        let early = node.process.try_wait().unwrap();
        assert!(early.is_none(), "the node of {} ended by itself: {early:?}", self.name);
        node.process.kill().unwrap();
        node.process.wait().unwrap();
    }

    /// Bytes that the store has on disk now.
    #[must_use]
    pub fn stored(&self) -> u64 {
        let size = |name: &str| fs::metadata(self.home.join(name)).map_or(0, |file| file.len());
        size("store.db") + size("store.db-wal")
    }

    /// Waits until the store has grown to `bytes` on disk, or `over` says that it will not.
    ///
    /// # Panics
    /// When neither happens.
    pub fn until_stored(&self, bytes: u64, mut over: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        for look in 0_u32.. {
            // The size costs next to nothing, so it is looked at closely.
            if self.stored() >= bytes || (look % 64 == 63 && over()) {
                return;
            }
            assert!(begun.elapsed() < crate::patience::PATIENCE, "the store does not grow");
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// A file in this person's home folder, for commands that read one.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.logs.parent().unwrap().join(format!("{}-{name}", self.name));
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            // An error means that it has ended already.
            drop(node.process.kill());
            drop(node.process.wait());
        }
    }
}

/// Sends a signal by its name.
///
/// # Panics
/// When there is no shell to send it.
pub fn signal(process: &Child, name: &str) {
    // The standard library can only kill; every shell has this built in.
    let command = format!("kill -{name} {}", process.id());
    let sent = Command::new("sh").args(["-c", &command]).status().expect("there is a shell");
    assert!(sent.success(), "SIG{name} could not be sent");
}

/// As an argument.
///
/// # Panics
/// When the path is not UTF-8.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the tests is UTF-8")
}
