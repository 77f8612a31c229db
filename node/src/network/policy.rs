//! Every bound and pause of the network, and the rule of who may open a stream.
//!
//! *Known* peers are members and peers that the driver seeks. Strangers are everyone else: they may
//! connect, because a newcomer's request and a member's new device come from strangers (S1, J2), but
//! they share a small part of what there is, so that they can never keep a member out.

use std::time::Duration;

/// Commands that wait for the event loop.
pub(super) const COMMANDS: usize = 256;
/// Events that wait for the driver; beyond it nothing more is read from the network.
pub(super) const EVENTS_WAITING: usize = 64;
/// Gossiped entries whose verdict is not known; beyond it new ones are ignored, and come with S2.
pub(super) const VERDICTS_WAITING: usize = 1024;
/// Bytes of one gossiped message: an entry with its payload, its header and room to spare. Less than
/// a message of a session may have, because gossip keeps the messages of the last seconds.
pub(super) const GOSSIP_BYTES: usize = cairn_crdt::limits::PAYLOAD_BYTES * 2;
/// Messages that wait to be sent to one peer by gossip.
pub(super) const GOSSIP_QUEUE: usize = 64;

/// Connections at a time.
pub(super) const CONNECTIONS: usize = 512;
/// Connections of strangers at a time.
pub(super) const STRANGER_CONNECTIONS: usize = 64;
/// Connections to one peer. Two are usual when both ends dial at once.
pub(super) const PEER_CONNECTIONS: usize = 4;
/// Connections that are being set up, in either direction.
pub(super) const PENDING_CONNECTIONS: u32 = 64;
/// Of those that come, how many may come from one place.
pub(super) const PLACE_PENDING: usize = 8;
/// Attempts to reach sought peers at a time; less than [`PENDING_CONNECTIONS`].
pub(super) const DIALS: usize = 32;
/// Part of the machine's memory beyond which no connection is taken.
pub(super) const MEMORY_PART: f64 = 0.8;
/// Streams of all protocols on one connection.
pub(super) const CONNECTION_STREAMS: u32 = 32;
/// Bytes that one QUIC stream, and all of one QUIC connection, may send ahead of what was read.
pub(super) const QUIC_WINDOWS: (u32, u32) = (1024 * 1024, 4 * 1024 * 1024);

/// Sessions at a time.
pub(super) const SESSIONS: usize = 256;
/// Sessions of strangers at a time.
pub(super) const STRANGER_SESSIONS: usize = 32;
/// Sessions with one peer, those being opened included.
pub(super) const PEER_SESSIONS: usize = 4;
/// Messages that wait to be written to one session.
pub(super) const SESSION_QUEUE: usize = 8;

/// Peers that can be sought at a time.
pub(super) const SOUGHT_PEERS: usize = cairn_crdt::limits::DEVICES;
/// Addresses that are kept of one sought peer, from the driver and from the network each.
pub(crate) const PEER_ADDRESSES: usize = cairn_crdt::limits::ADDRESSES;
/// The pause after a first failure to connect.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A connection that lasted this long was a success: the pauses start anew.
pub(super) const STEADY: Duration = Duration::from_secs(60);

/// Peers on the local network that are remembered, known or not.
pub(super) const NEARBY: usize = 64;
/// Keepers that one persona uses.
pub(super) const KEEPERS: usize = 8;
/// Keepers at whose relays a place is reserved while nobody can call directly.
pub(super) const RESERVATIONS: usize = 2;
/// Addresses of this node's own, seen by one keeper in one network, that are believed and tried.
pub(super) const OWN_ADDRESSES: usize = 32;
/// How long addresses that come one after the other are waited for before they are told.
pub(super) const SETTLE: Duration = Duration::from_millis(100);
/// Changes of this node's own addresses that are told one after the other.
pub(super) const TELLINGS: usize = 16;
/// How long until one more may be told.
pub(super) const TELL_AGAIN: Duration = Duration::from_secs(600);
/// Own addresses that keepers are asked to call back at one time.
pub(super) const PROBES: usize = 4;
/// Between two times that keepers are asked to call back at addresses not tried yet.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(3);
/// How long one connection may take to be set up.
pub(super) const CONNECTING_TIME: Duration = Duration::from_secs(10);
/// The same through a proxy or a relay: a way through Tor is long.
pub(super) const PROXIED_TIME: Duration = Duration::from_secs(60);
/// How long the name of a keeper may take to be looked up.
pub(super) const NAME_TIME: Duration = Duration::from_secs(10);

/// Records of whereabouts that are put again and again: yesterday's, today's, and two more.
pub(super) const PUBLISHED: usize = 4;
/// How long one is put again, and how long keepers are asked to hold it: a day and as much as the
/// clocks of members may differ.
pub(super) const PUBLISHED_FOR: Duration = Duration::from_secs(36 * 3600);
/// Between two times that a record is put, give or take a quarter.
pub(super) const REPUBLISH: Duration = Duration::from_secs(3 * 3600);
/// Things that wait to be looked for or put.
pub(super) const FINDING_JOBS: usize = 256;
/// Of those done at one time.
pub(super) const FINDING_QUERIES: usize = 8;
/// Connections of one burst of finding.
pub(super) const FINDING_CONNECTIONS: u32 = 32;
/// How long one thing may be looked for.
pub(super) const FINDING_TIME: Duration = Duration::from_secs(90);
/// Different values under one key that are told of.
pub(super) const FOUND_VALUES: usize = 4;
/// Bytes of one message of the table.
pub(super) const FINDING_PACKET: usize = 16 * 1024;
/// How long a burst waits for more to do.
pub(super) const BURST_IDLE: Duration = Duration::from_secs(10);
/// Doublings of the first pause before a relayed peer is dialled anew: some seconds.
pub(super) const UPGRADE_FIRST: u32 = 2;
/// How long gossip is still taken from a relayed connection after a direct one is there.
pub(super) const CHANGING_OVER: Duration = Duration::from_secs(20);
/// How long a connection to a stranger may carry no stream.
pub(super) const IDLE_CONNECTION: Duration = Duration::from_secs(30);
/// How long a peer may be silent on a session, when it is its turn.
pub(super) const SILENCE: Duration = Duration::from_secs(120);
/// How long one message may take to come once its length is known, or to be written: the slowest
/// line that is waited for carries 9 kB/s.
pub(super) const MESSAGE_TIME: Duration = Duration::from_secs(120);
/// Between two checks that a peer is still there.
pub(super) const PING_EVERY: Duration = Duration::from_secs(30);
/// Between two exchanges of addresses and protocols.
pub(super) const IDENTIFY_EVERY: Duration = Duration::from_secs(60);
/// How long the end of the connections is waited for when the network stops.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// How many sessions there are when one more is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occupancy {
    /// In all.
    pub(super) all: usize,
    /// With strangers.
    pub(super) strangers: usize,
    /// With the peer in question.
    pub(super) peer: usize,
}

/// Whether one more session may be opened with a peer.
pub(super) const fn may_open(now: Occupancy, known: bool) -> bool {
    now.all < SESSIONS && now.peer < PEER_SESSIONS && (known || now.strangers < STRANGER_SESSIONS)
}

/// Whether one more connection may be had with a peer: in all, with strangers, with the peer.
pub(super) const fn may_connect(now: Occupancy, known: bool) -> bool {
    now.peer < PEER_CONNECTIONS
        && now.all < CONNECTIONS
        && (known || now.strangers < STRANGER_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_strangers_never_keep_a_known_peer_out() {
        let full = Occupancy { all: STRANGER_SESSIONS, strangers: STRANGER_SESSIONS, peer: 0 };
        assert!(!may_open(full, false));
        assert!(may_open(full, true));
        let full =
            Occupancy { all: STRANGER_CONNECTIONS, strangers: STRANGER_CONNECTIONS, peer: 0 };
        assert!(!may_connect(full, false));
        assert!(may_connect(full, true));
    }

    #[test]
    fn one_peer_has_its_share_and_no_more() {
        let share = Occupancy { all: PEER_SESSIONS, strangers: 0, peer: PEER_SESSIONS };
        assert!(!may_open(share, true));
        let share = Occupancy { all: PEER_CONNECTIONS, strangers: 0, peer: PEER_CONNECTIONS };
        assert!(!may_connect(share, true));
        assert!(!may_open(Occupancy { all: SESSIONS, strangers: 0, peer: 0 }, true));
        assert!(!may_connect(Occupancy { all: CONNECTIONS, strangers: 0, peer: 0 }, true));
    }
}
