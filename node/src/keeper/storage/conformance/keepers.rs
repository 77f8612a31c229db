//! Two keepers over one database, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use cairn_crdt::codec::Bytes;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{AccessKey, ControlKey, MailboxId, TransportKey};
use cairn_crdt::mailbox::access::NewGeneration;
use cairn_crdt::mailbox::message::NewRecord;
use cairn_crdt::mailbox::{Cursor, Generation};
use cairn_crdt::time::Timestamp;
use libp2p::Multiaddr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tokio::sync::mpsc;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::super::Store;
use super::super::postgres::PostgresStore;
use crate::keeper::client::{
    Access, Ask, ClientConfig, ClientEvent, Failure, KeeperClient, Told, Wish, direct,
};
use crate::keeper::home::add_invitation;
use crate::keeper::policy::Limits;
use crate::keeper::{Keeper, KeeperConfig};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const PATIENCE: Duration = Duration::from_secs(60);

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn mailbox() -> MailboxId {
    MailboxId::from_bytes(key(1).verifying_key())
}

/// Starts a keeper with a key of its own; where it is.
async fn keeper(number: u8, url: String) -> Multiaddr {
    let connect = move || {
        let connect = |_| Box::new(PostgresStore::connect(&url).unwrap()) as Box<dyn Store>;
        (0..2).map(connect).collect::<Vec<_>>()
    };
    let stores = tokio::task::spawn_blocking(connect).await.unwrap();
    let config = KeeperConfig {
        key: key(number),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        external: Vec::new(),
        limits: Limits::default(),
        clock: Arc::new(|| NOW),
        rng: ChaCha20Rng::from_seed([number; 32]),
    };
    let mut keeper = Keeper::start(config, stores).unwrap();
    for desk in std::mem::take(&mut keeper.desks) {
        std::thread::spawn(|| desk.run());
    }
    let mut listening = keeper.listening.clone();
    tokio::spawn(keeper.run(std::future::pending()));
    let up = timeout(PATIENCE, listening.wait_for(|up| !up.is_empty())).await;
    up.unwrap().unwrap()[0].clone()
}

struct Guest(mpsc::Sender<Ask>, mpsc::Receiver<ClientEvent>);

impl Guest {
    fn at(number: u8, address: &Multiaddr, access: Access) -> Self {
        let config = ClientConfig {
            keeper: TransportKey::from_bytes(key(number).verifying_key()),
            addresses: vec![address.to_vec()],
            transport: direct(),
            access,
            seen: None,
            rng: ChaCha20Rng::from_seed([number.wrapping_add(100); 32]),
        };
        let (sender, events) = mpsc::channel(64);
        let (asks, client) = KeeperClient::start(config, sender);
        tokio::spawn(client);
        Self(asks, events)
    }

    async fn event(&mut self, is: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
        loop {
            let event = timeout(PATIENCE, self.1.recv()).await.unwrap().unwrap();
            if is(&event) {
                return event;
            }
        }
    }

    async fn up(&mut self) {
        self.event(|event| matches!(event, ClientEvent::Up(_))).await;
    }

    async fn begin(&mut self, wish: Wish) {
        assert!(self.0.send(Ask { tag: 1, wish }).await.is_ok());
    }

    async fn answer(&mut self) -> Result<Told, Failure> {
        match self.event(|event| matches!(event, ClientEvent::Answer { .. })).await {
            ClientEvent::Answer { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&mut self, wish: Wish) -> Result<Told, Failure> {
        self.begin(wish).await;
        self.answer().await
    }
}

pub(super) async fn serve_one_mailbox(url: &str) {
    let (one, two) = (keeper(10, url.to_owned()).await, keeper(20, url.to_owned()).await);
    let owned = url.to_owned();
    let invite = move || {
        add_invitation(&mut PostgresStore::connect(&owned).unwrap(), NOW, &[5; 32]).unwrap();
    };
    tokio::task::spawn_blocking(invite).await.unwrap();
    let access = || Access::Mailbox { mailbox: mailbox(), key: key(2) };
    let mut writer = Guest::at(10, &one, Access::Nothing);
    writer.up().await;
    let create = Wish::Create {
        secret: Zeroizing::new([5; 32]),
        owner: mailbox(),
        access: AccessKey::from_bytes(key(2).verifying_key()),
        control: ControlKey::from_bytes(key(3).verifying_key()),
    };
    assert_eq!(writer.ask(create).await, Ok(Told::Created));
    assert!(writer.ask(Wish::Use(access(), None)).await.is_ok());

    let mut reader = Guest::at(20, &two, access());
    reader.up().await;
    reader.begin(Wish::Watch { after: Cursor::START, drops: 0 }).await;
    let bytes = Bytes::new(vec![7; 600]).unwrap();
    let record = NewRecord { priority: false, erase: [0; 32], bytes };
    assert!(writer.ask(Wish::Put(vec![record])).await.is_ok());
    // The other process has written it, and this one hears of it.
    assert_eq!(reader.answer().await, Ok(Told::Newest { cursor: Cursor(1), drops: 0 }));
    let get = || Wish::Get { after: Cursor::START, bytes: 9 };
    assert!(matches!(reader.ask(get()).await, Ok(Told::Records { records, .. })
        if records.len() == 1));

    // A removal at one of them holds at the other, for the connection that is open.
    let new = NewGeneration {
        mailbox: mailbox(),
        generation: Generation(2),
        access: AccessKey::from_bytes(key(4).verifying_key()),
        control: ControlKey::from_bytes(key(6).verifying_key()),
        rekey: Bytes::new(vec![9; 600]).unwrap(),
    };
    let rotate = Wish::Rotate(Box::new(new.sign(&key(3))));
    assert_eq!(writer.ask(rotate).await, Ok(Told::Rotated));
    assert_eq!(reader.ask(get()).await, Err(Failure::Ended));
}
