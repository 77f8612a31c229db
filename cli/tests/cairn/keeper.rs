//! A keeper as its operator meets it, and what is left when it was killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cairn_crdt::codec::Bytes;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{AccessKey, ControlKey, MailboxId};
use cairn_crdt::mailbox::message::{NewRecord, Putting};
use cairn_crdt::mailbox::{Cursor, KeeperCode};
use cairn_node::clock;
use cairn_node::keeper::client::{
    Access, Ask, ClientConfig, ClientEvent, Failure, KeeperClient, Told, Wish, direct,
};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{cairn, run, stderr, stdout};

const PATIENCE: Duration = Duration::from_secs(60);

/// A keeper that runs; killed when dropped.
struct Running(Child);

impl Running {
    fn start(home: &Path, words: &[&str]) -> Self {
        let mut child = cairn(home)
            .args(["--json", "keeper", "run"])
            .args(words)
            .env("CAIRN_LOG", "debug")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(home.with_extension("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("{line}{}", std::fs::read_to_string(home.with_extension("log")).unwrap())
        });
        assert_eq!(ready["ready"], true);
        Self(child)
    }

    fn signal(&mut self, name: &str) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn json(home: &Path, words: &[&str]) -> Value {
    let output = run(cairn(home).arg("--json").args(words), "");
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn access() -> Access {
    let mailbox = MailboxId::from_bytes(key(1).verifying_key());
    Access::Mailbox { mailbox, key: key(2) }
}

fn record(number: u32) -> NewRecord {
    let bytes = [number.to_be_bytes().to_vec(), vec![7; 1000]].concat();
    NewRecord { priority: false, erase: [0; 32], bytes: Bytes::new(bytes).unwrap() }
}

struct Guest(mpsc::Sender<Ask>, mpsc::Receiver<ClientEvent>);

impl Guest {
    fn of(code: &KeeperCode, access: Access) -> Self {
        let addresses = code.keeper.addresses.iter().map(|at| at.as_slice().to_vec()).collect();
        let config = ClientConfig {
            keeper: code.keeper.transport,
            addresses,
            transport: direct(),
            access,
            seen: None,
            rng: clock::randomness().unwrap(),
        };
        let (sender, events) = mpsc::channel(64);
        let (asks, client) = KeeperClient::start(config, sender);
        tokio::spawn(client);
        Self(asks, events)
    }

    async fn up(&mut self) {
        while !matches!(timeout(PATIENCE, self.1.recv()).await.unwrap(), Some(ClientEvent::Up(_))) {
        }
    }

    async fn ask(&mut self, wish: Wish) -> Result<Told, Failure> {
        assert!(self.0.send(Ask { tag: 1, wish }).await.is_ok());
        loop {
            let event = timeout(PATIENCE, self.1.recv()).await.unwrap().unwrap();
            if let ClientEvent::Answer { result, .. } = event {
                return result;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_what_a_keeper_acknowledged_is_there_after_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let listen = ["--listen", "/ip4/127.0.0.2/tcp/0"];
    let mut keeper = Running::start(&home, &listen);
    let code = json(&home, &["keeper", "invite"])["code"].as_str().unwrap().to_owned();
    let code = KeeperCode::from_text(&code).unwrap();
    let mut guest = Guest::of(&code, Access::Nothing);
    guest.up().await;
    let create = Wish::Create {
        secret: Zeroizing::new(code.secret),
        owner: MailboxId::from_bytes(key(1).verifying_key()),
        access: AccessKey::from_bytes(key(2).verifying_key()),
        control: ControlKey::from_bytes(key(3).verifying_key()),
    };
    assert_eq!(guest.ask(create).await, Ok(Told::Created));
    assert!(guest.ask(Wish::Use(access(), None)).await.is_ok());
    let status = json(&home, &["keeper", "status"]);
    assert_eq!((&status["running"], &status["mailboxes"]), (&Value::from(true), &Value::from(1)));
    assert_eq!((&status["connections"], &status["invitations"]), (&1.into(), &0.into()));

    // Put one after the other until the keeper is killed in between.
    let mut acknowledged: Vec<u32> = Vec::new();
    let (enough, is_enough) = std::sync::mpsc::channel();
    let killing = tokio::task::spawn_blocking(move || {
        is_enough.recv().unwrap();
        keeper.signal("-KILL");
    });
    for number in 0.. {
        match guest.ask(Wish::Put(vec![record(number)])).await {
            Ok(Told::Put(puttings)) => {
                assert!(matches!(puttings[0], Putting::Stored(_)));
                acknowledged.push(number);
                if number == 20 {
                    enough.send(()).unwrap();
                }
            }
            other => {
                assert_eq!(other, Err(Failure::Lost));
                break;
            }
        }
    }
    killing.await.unwrap();
    assert!(acknowledged.len() > 20);

    let mut keeper = Running::start(&home, &listen);
    let code = json(&home, &["keeper", "invite"])["code"].as_str().unwrap().to_owned();
    let mut guest = Guest::of(&KeeperCode::from_text(&code).unwrap(), access());
    guest.up().await;
    let (mut held, mut after) = (Vec::new(), Cursor::START);
    loop {
        let got = guest.ask(Wish::Get { after, bytes: u32::MAX }).await.unwrap();
        let Told::Records { records, more } = got else { panic!("{got:?}") };
        after = records.last().map_or(after, |record| record.cursor);
        held.extend(
            records
                .into_iter()
                .map(|record| u32::from_be_bytes(record.bytes[..4].try_into().unwrap())),
        );
        if !more {
            break;
        }
    }
    // What was under way when it was killed may be there or not.
    assert_eq!(held[..acknowledged.len()], acknowledged);
    assert!(held.len() <= acknowledged.len().saturating_add(1));
    drop(guest);

    assert_eq!(keeper.signal("-TERM"), Some(0));
    let log = std::fs::read_to_string(home.with_extension("log")).unwrap();
    for word in ["127.0.0.1", "12D3Koo", "/ip4"] {
        assert!(!log.contains(word), "{log}");
    }
    assert_eq!(json(&home, &["keeper", "status"])["running"], false);
}

#[test]
fn an_operator_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    for words in [["keeper", "invite"], ["keeper", "status"]] {
        let output = run(cairn(&home).args(words), "");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("cairn keeper run"), "{}", stderr(&output));
    }
    // A folder is not made by looking into it.
    assert!(!home.exists());
    let refused = [
        (vec!["--metrics", "0.0.0.0:0"], "127.0.0.1"),
        (vec!["--listen", "nowhere"], "/ip4/"),
        (vec!["--external", "nowhere"], "/dns/"),
        (vec!["--store", "host=/nonexistent user=nobody"], "database"),
    ];
    for (words, hint) in refused {
        let output = run(cairn(&home).args(["keeper", "run"]).args(&words), "");
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(stderr(&output).contains(hint), "{words:?}: {}", stderr(&output));
    }
    let output = run(cairn(&home).args(["keeper", "run", "--quota", "12"]), "");
    assert_eq!(output.status.code(), Some(2));

    let keeper = Running::start(&home, &["--listen", "/ip4/127.0.0.2/tcp/0"]);
    let second = run(cairn(&home).args(["keeper", "run", "--listen", "/ip4/127.0.0.2/tcp/0"]), "");
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("in use by another process"), "{}", stderr(&second));
    let named = json(&home, &["keeper", "invite", "--address", "/dns/keeper.example.org/tcp/4224"]);
    let code = KeeperCode::from_text(named["code"].as_str().unwrap()).unwrap();
    let [at] = code.keeper.addresses.as_slice() else { panic!("one address") };
    let text = cairn_node::config::address_text(at.as_slice());
    assert_eq!(text.as_deref(), Some("/dns/keeper.example.org/tcp/4224"));
    drop(keeper);
}

#[test]
fn an_invitation_is_made_in_the_keepers_own_store_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    drop(Running::start(&home, &["--listen", "/ip4/127.0.0.2/tcp/0"]));
    // As if it had run with a --store of its own, which nobody names now.
    let store = home.join("keeper/keeper.db");
    for file in std::fs::read_dir(home.join("keeper")).unwrap().flatten() {
        if file.path().to_string_lossy().contains("keeper.db") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    for words in [["keeper", "invite"], ["keeper", "status"]] {
        let output = run(cairn(&home).args(words), "");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("--store"), "{}", stderr(&output));
    }
    assert!(!store.exists());
}
