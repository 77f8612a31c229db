//! The network of one persona: a libp2p Swarm with an identity of its own (I3).
//!
//! ```text
//! driver ── NetworkCommand ──► event loop ──► Swarm
//! driver ◄── NetworkEvent ─── event loop ◄── Swarm, streams
//! ```
//!
//! This module decides nothing about membership: it moves bytes of bounded size between this node
//! and peers whose key the transport proved, and does as it is told about who may take part.
//!
//! What must stay true:
//!
//! - Nothing is shared between two personas: key, ports, address book and agent string are those of
//!   one Swarm (I3).
//! - Nobody outside the set of members is in a mesh or fan-out, or has a message delivered (S3).
//! - Keepers are in no mesh and no session; the driver is not told of their connections.
//! - With relays only, no member learns an address of this machine: nothing listens, and members are
//!   dialled through this node's own keepers: `guard` has the last word. Through a proxy, no socket leads anywhere
//!   else. Both close when something fails: without a relay or proxy this node waits.
//! - No name that a peer says is ever looked up.
//! - Everything that a stranger can make grow has a bound in `policy`.
//! - The event loop always takes commands, so that it and the driver never wait for each other.
//! - No address and no peer id is logged above trace. The crates underneath do log them: a
//!   subscriber takes only the lines of targets that begin with `cairn`.

mod behaviour;
mod discovery;
mod doorway;
mod event_loop;
mod finding;
mod framing;
mod gate;
mod gossip;
mod guard;
mod keepers;
pub(crate) mod listening;
mod names;
mod nearby;
mod observed;
mod policy;
mod probing;
mod punching;
mod reachability;
mod reconnect;
mod sessions;
mod socks;
mod streams;
mod swarm;
mod telling;
pub(crate) mod transport;
mod upgrade;

pub use finding::{Finding, FindingCommand, FindingConfig, FindingEvent};
pub use reachability::{How, Reachability, Why};
pub use transport::to_keepers;

use std::collections::BTreeSet;
use std::future::Future;

use cairn_crdt::crypto::signing::SigningKey;
use libp2p::Multiaddr;
use tokio::sync::mpsc;

use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::effect::Verdict;
use cairn_crdt::replica::input::{GossipToken, Protocol, SessionId};

use crate::config::Way;

/// What the driver asks of a persona's network.
#[derive(Debug)]
pub enum NetworkCommand {
    /// Try to reach a peer at these binary multiaddrs and the ones learnt before, with jittered
    /// pauses that grow, until told otherwise. Reconnect when the connection is lost.
    Seek {
        /// Who.
        peer: TransportKey,
        /// Where.
        addresses: Vec<Vec<u8>>,
    },
    /// No longer try to reach a peer.
    Forget {
        /// Who.
        peer: TransportKey,
    },
    /// Close every connection to a peer.
    Disconnect {
        /// Who.
        peer: TransportKey,
    },
    /// Open a stream to a connected peer; answered by [`NetworkEvent::SessionOpened`] or
    /// [`NetworkEvent::NotOpened`].
    Open {
        /// Who.
        peer: TransportKey,
        /// What for.
        protocol: Protocol,
    },
    /// Send one message on a stream. The driver sends one only after `SessionOpened` or
    /// [`NetworkEvent::Drained`], and then as few as it likes: this is the back-pressure.
    Send {
        /// The stream.
        session: SessionId,
        /// At most `limits::MESSAGE_BYTES`.
        message: Vec<u8>,
    },
    /// The driver has dealt with a [`NetworkEvent::Message`]: the next one may come.
    Taken {
        /// The stream.
        session: SessionId,
    },
    /// Flush and close a stream.
    Close {
        /// The stream.
        session: SessionId,
    },
    /// Gossip an entry.
    Publish(Vec<u8>),
    /// What to do with a gossiped entry.
    Verdict {
        /// Which.
        token: GossipToken,
        /// Pass it on or not.
        verdict: Verdict,
    },
    /// From now on exactly these peers take part in gossip (S3). Nobody else is in a mesh or
    /// fan-out, whatever it subscribes to.
    Members(BTreeSet<TransportKey>),
    /// From now on exactly these are the group's keepers, the first `KEEPERS` of them: a
    /// connection is kept to each, they are asked to call back, and a place is reserved at their
    /// relays while nobody can call this node directly. They take no part in anything else.
    Keepers(Vec<KeeperContact>),
    /// Close everything.
    Shutdown,
}

/// A keeper and where it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeeperContact {
    /// Its libp2p identity.
    pub transport: TransportKey,
    /// Its addresses, as an operator wrote them: they may begin with a name. At most
    /// `limits::ADDRESSES` are used.
    pub addresses: Vec<Multiaddr>,
}

/// What a persona's network tells the driver.
#[derive(Debug)]
pub enum NetworkEvent {
    /// Where others may reach this node now: every listening and confirmed address, as binary
    /// multiaddrs without the peer id; those that it listens on first. Not said more often than a few
    /// times in an hour.
    Listening(Vec<Vec<u8>>),
    /// A peer's first connection is up.
    Connected(TransportKey),
    /// A peer's last connection is gone.
    Disconnected(TransportKey),
    /// A stream is open.
    SessionOpened {
        /// Its name, never used again in this process.
        session: SessionId,
        /// The other end.
        peer: TransportKey,
        /// What for.
        protocol: Protocol,
        /// Whether this node opened it.
        initiated: bool,
    },
    /// A stream that was asked for could not be opened: the peer is not connected, does not speak
    /// the protocol, or has as many streams as it may have.
    NotOpened {
        /// The other end.
        peer: TransportKey,
        /// What for.
        protocol: Protocol,
    },
    /// A whole message came. No other comes on this stream before [`NetworkCommand::Taken`].
    Message {
        /// The stream.
        session: SessionId,
        /// The message.
        message: Vec<u8>,
    },
    /// All that was sent on this stream has been written: send more.
    Drained(SessionId),
    /// The stream is over. Nothing more comes of it.
    SessionClosed(SessionId),
    /// A gossiped entry from a member.
    Gossip {
        /// For the verdict.
        token: GossipToken,
        /// Who handed it over.
        from: TransportKey,
        /// The entry.
        bytes: Vec<u8>,
    },
    /// Whether a connected peer is reached through a relay only. Said when it is, and when that
    /// changes.
    Relayed {
        /// Who.
        peer: TransportKey,
        /// Whether no connection to it is direct.
        relayed: bool,
    },
    /// Whether others can reach this node has become known, or is another way than before.
    Reachability(Reachability),
    /// A peer could not be reached at any address: words without its addresses.
    Unreachable {
        /// Who.
        peer: TransportKey,
        /// Why, for a person.
        why: String,
    },
}

/// What a persona's network needs to start.
pub struct NetworkConfig {
    /// The persona's transport key: its peer id is made from it and from nothing else (I3).
    pub key: SigningKey,
    /// The hash that names the gossip topic (S3).
    pub topic: [u8; 32],
    /// Where to listen. Port 0 lets the system choose; [`NetworkEvent::Listening`] says what it
    /// chose. TCP, and QUIC version 1 over UDP.
    pub listen: Vec<Multiaddr>,
    /// Whether to find peers by multicast on the local network. This announces the peer id and the
    /// addresses of the persona to everyone on that network, and to see two personas announced
    /// from one address is to know that they share a machine.
    pub mdns: bool,
    /// Whether to ask the router to open a port (UPnP). The router, and everyone on the local
    /// network who listens, learns of a port for each persona.
    pub upnp: bool,
    /// How this node reaches others and is reached. With relays only, or through a proxy, neither
    /// `listen` nor `mdns` nor `upnp` has any effect.
    pub way: Way,
    /// Seed for the jitter of the pauses between attempts to connect; random.
    pub jitter: [u8; 32],
}

/// Why a network could not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The key is not one that a peer id can be made from.
    #[error("the transport key of this group cannot be used: restore the store from a backup")]
    Key,
    /// The system did not give what the transports need.
    #[error("the network could not be set up: {0}")]
    Setup(String),
    /// An address cannot be listened on.
    #[error("cannot listen at the address number {position} of --listen: {why}")]
    Listen {
        /// Which of [`NetworkConfig::listen`], from 1.
        position: usize,
        /// What the system said, without the address.
        why: String,
    },
}

/// The network of one persona.
pub struct Network;

impl Network {
    /// Starts to listen. Nothing happens until the returned future is polled; it ends after
    /// [`NetworkCommand::Shutdown`], or when the other end of either channel is gone. To be called
    /// inside a Tokio runtime.
    ///
    /// # Errors
    /// When the key cannot be used or an address cannot be listened on.
    pub fn start(
        config: NetworkConfig,
        events: mpsc::Sender<NetworkEvent>,
    ) -> Result<(mpsc::Sender<NetworkCommand>, impl Future<Output = ()> + Send + use<>), NetworkError>
    {
        let (sender, commands) = mpsc::channel(policy::COMMANDS);
        let event_loop = event_loop::EventLoop::new(config, commands, events)?;
        Ok((sender, event_loop.run()))
    }
}
