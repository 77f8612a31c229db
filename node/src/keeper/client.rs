//! The other end of a keeper's protocol: asks one keeper, one thing after the other.
//!
//! ```text
//! driver ── Ask ──► client ──► Swarm of a throw-away identity ──► keeper
//! driver ◄── ClientEvent ──┘
//! ```
//!
//! Each connection has a libp2p identity that was drawn for it, so that a keeper cannot tell by it
//! who comes again, nor that two mailboxes are the same person's. A keeper is believed nothing:
//! whatever it says is checked here ([`Lie`]), and one that lies is left and tried again later.
//!
//! Nothing is asked twice by itself. What was under way when a connection is lost is answered
//! [`Failure::Lost`]; whoever asked does not know whether it was done, and every request may be made
//! again without harm.

mod compare;
mod dialling;
pub(super) mod talk;
mod told;
mod wishes;

use std::time::Duration;

use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{AccessKey, ControlKey, DropBoxId, MailboxId, RecordId, TransportKey};
use cairn_crdt::mailbox::access::SignedGeneration;
use cairn_crdt::mailbox::message::{MailboxState, NewRecord, Putting};
use cairn_crdt::mailbox::{Cursor, Generation};
use cairn_crdt::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

pub use self::dialling::{MakeTransport, Transport, direct};
pub use self::told::Lie;

/// Things asked that wait for the client.
const ASKS: usize = 64;
/// The pause after a first failure to connect.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A connection that lasted this long was a success: the pauses start anew.
const STEADY: Duration = Duration::from_secs(60);

/// What a client needs to start.
pub struct ClientConfig {
    /// The keeper's libp2p identity.
    pub keeper: TransportKey,
    /// Where it is, as binary multiaddrs.
    pub addresses: Vec<Vec<u8>>,
    /// How it is dialled: [`direct`], or through a proxy.
    pub transport: MakeTransport,
    /// What is opened on each connection.
    pub access: Access,
    /// What was seen of the mailbox before.
    pub seen: Option<Seen>,
    /// Seeded by the operating system: throw-away identities and pauses come from it.
    pub rng: ChaCha20Rng,
}

/// What a client may open at a keeper.
#[derive(Clone)]
pub enum Access {
    /// Nothing: for making a mailbox.
    Nothing,
    /// A mailbox.
    Mailbox {
        /// Which.
        mailbox: MailboxId,
        /// An access key of it.
        key: SigningKey,
    },
    /// A drop-box; the key is that of its invite.
    Drop(SigningKey),
}

/// What was seen of a mailbox: none of it may ever be less.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// What the keeper drew when the mailbox was made.
    pub store: [u8; 32],
    /// The newest place.
    pub newest: Cursor,
    /// The count of what was put into its drop-boxes.
    pub drops: u64,
}

/// A wish with a tag that comes back with the answer.
pub struct Ask {
    /// Of the asker's choice.
    pub tag: u64,
    /// What is asked.
    pub wish: Wish,
}

/// What can be asked. Lists may be of any length: they are asked for in parts.
pub enum Wish {
    /// Make a mailbox with an operator's invitation; [`Told::Created`].
    Create {
        /// Of the invitation.
        secret: Zeroizing<[u8; 32]>,
        /// The owner's key.
        owner: MailboxId,
        /// Of generation 1.
        access: AccessKey,
        /// Of generation 1.
        control: ControlKey,
    },
    /// Open this from now on, at once and on every connection to come; [`Told::Opened`].
    Use(Access, Option<Seen>),
    /// The keeper is to be found here from now on; [`Told::Done`].
    Addresses(Vec<Vec<u8>>),
    /// Hold these; [`Told::Put`].
    Put(Vec<NewRecord>),
    /// What came after a place, at most so many bytes; [`Told::Records`].
    Get {
        /// The place.
        after: Cursor,
        /// Bytes of records.
        bytes: u32,
    },
    /// Say when there is more than this. Anything may be asked meanwhile; then, and after half a
    /// minute, it is answered with what there is; [`Told::Newest`].
    Watch {
        /// The newest place known.
        after: Cursor,
        /// The last count of what was put into the drop-boxes.
        drops: u64,
    },
    /// Hold these as long as if they were new; [`Told::Unknown`].
    Renew(Vec<RecordId>),
    /// Give these; [`Told::Records`].
    Fetch(Vec<RecordId>),
    /// Find out who lacks what; [`Told::Compared`].
    Compare(Vec<RecordId>),
    /// Delete these with their tokens; [`Told::NotErased`].
    Erase(Vec<(RecordId, [u8; 32])>),
    /// Begin a generation; [`Told::Rotated`]. Nothing is open after that: [`Wish::Use`].
    Rotate(Box<SignedGeneration>),
    /// Make a drop-box, or change how long there is one; [`Told::Done`].
    OpenDrop(DropBoxId, Timestamp),
    /// Delete a drop-box; [`Told::Done`].
    CloseDrop(DropBoxId),
    /// What came into a drop-box after a place; [`Told::Records`].
    DropGet(DropBoxId, Cursor),
    /// Put a record into a drop-box; [`Told::Put`].
    DropPut(DropBoxId, Vec<u8>),
}

/// A good answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Told {
    /// The mailbox is made.
    Created,
    /// It is open; of a drop-box there is nothing to say.
    Opened(Option<MailboxState>),
    /// What became of each record, in order.
    Put(Vec<Putting>),
    /// Records, by rising place or in the order asked; more says that there are more.
    Records {
        /// The records.
        records: Vec<Record>,
        /// Whether there are more.
        more: bool,
    },
    /// The newest place and the count of what was put into the drop-boxes.
    Newest {
        /// The place.
        cursor: Cursor,
        /// The count.
        drops: u64,
    },
    /// Those that the keeper does not hold.
    Unknown(Vec<RecordId>),
    /// Those whose token is another.
    NotErased(Vec<RecordId>),
    /// Who lacks what.
    Compared {
        /// The keeper lacks these.
        lacks: Vec<RecordId>,
        /// It holds these besides.
        holds: Vec<RecordId>,
    },
    /// The generation has begun.
    Rotated,
    /// It is done.
    Done,
}

/// A record that the keeper gave. Its id is the hash of its bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its place.
    pub cursor: Cursor,
    /// Its name.
    pub id: RecordId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why there is no good answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The keeper refuses, and does not say why.
    #[error("the keeper refuses this")]
    Refused,
    /// The key is of a generation that has ended; [`ClientEvent::Ended`] brings what followed.
    #[error("the keys of this mailbox have changed")]
    Ended,
    /// Somebody else has begun this generation.
    #[error("somebody else has changed the keys of this mailbox")]
    Conflict(Generation),
    /// There is no room.
    #[error("the keeper has no room for this")]
    Full,
    /// The keeper cannot do anything now.
    #[error("the keeper cannot do this now")]
    Unavailable,
    /// There is no connection, or it was lost.
    #[error("the keeper is not reached")]
    Lost,
    /// The keeper has lied.
    #[error("the keeper has lied: {0}")]
    Lie(Lie),
    /// What was asked is more than the protocol carries.
    #[error("this is more than a keeper takes")]
    TooLarge,
}

/// What a client tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientEvent {
    /// There is a connection, and what is to be opened is open.
    Up(Option<MailboxState>),
    /// There is none, or it was lost. Another is tried for.
    Down {
        /// For a person, without addresses.
        why: String,
    },
    /// The generation has ended. The connection stays, with nothing open: [`Wish::Use`].
    Ended {
        /// The one after it.
        generation: Generation,
        /// Its keys, wrapped.
        rekey: Vec<u8>,
    },
    /// What is to be opened is refused. The connection stays, with nothing open.
    Refused,
    /// An answer.
    Answer {
        /// Of the ask.
        tag: u64,
        /// What came of it.
        result: Result<Told, Failure>,
    },
}

/// A client of one keeper.
pub struct KeeperClient {
    config: ClientConfig,
    asks: mpsc::Receiver<Ask>,
    events: mpsc::Sender<ClientEvent>,
    /// Attempts that failed since the last success.
    failures: u32,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Continue,
    Stop,
}

impl KeeperClient {
    /// A client. Nothing happens until the returned future is polled, inside a Tokio runtime; it
    /// ends when the other end of either channel is gone. Whoever takes the events late delays
    /// answers and nothing else; whoever asks uses `try_send`, so that neither waits for the other.
    pub fn start(
        config: ClientConfig,
        events: mpsc::Sender<ClientEvent>,
    ) -> (mpsc::Sender<Ask>, impl Future<Output = ()> + Send + use<>) {
        let (sender, asks) = mpsc::channel(ASKS);
        let client = Self { config, asks, events, failures: 0 };
        (sender, client.run())
    }

    async fn run(mut self) {
        while self.attempt().await == Next::Continue {
            self.failures = self.failures.saturating_add(1);
            if self.rest().await == Next::Stop {
                return;
            }
        }
    }

    /// One connection from its beginning to its end.
    async fn attempt(&mut self) -> Next {
        let mut seed = Zeroizing::new([0; 32]);
        self.config.rng.fill_bytes(seed.as_mut_slice());
        let (keeper, addresses) = (self.config.keeper, self.config.addresses.clone());
        let connecting = dialling::connect(keeper, addresses, self.config.transport.clone(), seed);
        tokio::pin!(connecting);
        let connected = loop {
            tokio::select! {
                connected = &mut connecting => break connected,
                ask = self.asks.recv() => {
                    let Some(ask) = ask else { return Next::Stop };
                    let event = self.unconnected(ask);
                    if self.tell(event).await == Next::Stop {
                        return Next::Stop;
                    }
                }
            }
        };
        let (mut swarm, stream, client) = match connected {
            Ok(connected) => connected,
            Err(why) => return self.tell(ClientEvent::Down { why }).await,
        };
        let began = Instant::now();
        let mut under_way = talk::UnderWay::default();
        let (config, asks, events) = (&mut self.config, &mut self.asks, &self.events);
        let ended = tokio::select! {
            ended = talk::run(config, asks, events, stream, client, &mut under_way) => ended,
            () = dialling::drive(&mut swarm) => talk::Over::Lost,
        };
        for tag in under_way.lost() {
            if self.tell(lost(tag)).await == Next::Stop {
                return Next::Stop;
            }
        }
        if began.elapsed() >= STEADY {
            self.failures = 0;
        }
        let why = match ended {
            talk::Over::Stopped => return Next::Stop,
            talk::Over::Lost => "the connection to the keeper was lost".to_owned(),
            talk::Over::Silent => "the keeper did not answer in time".to_owned(),
            talk::Over::Lied(lie) => {
                if matches!(lie, Lie::SetBack | Lie::Swapped) {
                    // Whoever asks has noticed, and begins with it anew.
                    self.config.seen = None;
                }
                format!("the keeper has lied: {lie}")
            }
        };
        self.tell(ClientEvent::Down { why }).await
    }

    async fn tell(&self, event: ClientEvent) -> Next {
        match self.events.send(event).await {
            Ok(()) => Next::Continue,
            Err(_) => Next::Stop,
        }
    }

    /// Waits before the next attempt, longer each time, and never just as long as another client.
    async fn rest(&mut self) -> Next {
        let shift = self.failures.saturating_sub(1).min(16);
        let whole = FIRST_PAUSE.saturating_mul(1 << shift).min(LONGEST_PAUSE);
        let part = self.config.rng.next_u32() % 512;
        let pause = whole.mul_f64(f64::from(part.saturating_add(512)) / 1024.0);
        let end = Instant::now().checked_add(pause).unwrap_or_else(Instant::now);
        loop {
            tokio::select! {
                () = sleep_until(end) => return Next::Continue,
                () = self.events.closed() => return Next::Stop,
                ask = self.asks.recv() => match ask {
                    None => return Next::Stop,
                    Some(ask) => {
                        let event = self.unconnected(ask);
                        let again = self.failures == 0;
                        if self.tell(event).await == Next::Stop {
                            return Next::Stop;
                        }
                        // Somebody knows better where it is: no need to wait.
                        if again {
                            return Next::Continue;
                        }
                    }
                },
            }
        }
    }

    /// There is no way to the keeper now. What is to be opened is remembered.
    fn unconnected(&mut self, ask: Ask) -> ClientEvent {
        let tag = ask.tag;
        match ask.wish {
            Wish::Use(access, seen) => {
                self.config.access = access;
                self.config.seen = seen;
                lost(tag)
            }
            Wish::Addresses(addresses) => {
                self.config.addresses = addresses;
                self.failures = 0;
                ClientEvent::Answer { tag, result: Ok(Told::Done) }
            }
            _ => lost(tag),
        }
    }
}

const fn lost(tag: u64) -> ClientEvent {
    ClientEvent::Answer { tag, result: Err(Failure::Lost) }
}
