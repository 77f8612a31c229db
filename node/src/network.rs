//! The network of one persona: a libp2p Swarm with an identity of its own (I3).
//!
//! ```text
//! driver ── NetworkCommand ──► event loop ──► Swarm
//! driver ◄── NetworkEvent ─── event loop ◄── Swarm, streams
//! ```
//!
//! This module decides nothing about membership: it moves bytes of bounded size between this node
//! and peers whose key the transport proved, and does as it is told about who may take part.

use std::collections::BTreeSet;

use cairn_crdt::id::TransportKey;
use cairn_crdt::replica::effect::Verdict;
use cairn_crdt::replica::input::{GossipToken, Protocol, SessionId};

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
    /// Open a stream to a connected peer; answered by [`NetworkEvent::SessionOpened`].
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
    /// Close everything.
    Shutdown,
}

/// What a persona's network tells the driver.
#[derive(Debug)]
pub enum NetworkEvent {
    /// Where others may reach this node now: every listening and confirmed address, as binary
    /// multiaddrs without the peer id.
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
    /// A peer could not be reached at any address: words without its addresses.
    Unreachable {
        /// Who.
        peer: TransportKey,
        /// Why, for a person.
        why: String,
    },
}
