//! Every bound of a keeper that is no part of its protocol, and what an operator may set.
//!
//! The protocol's own sizes stand in `cairn_crdt::limits`.

use std::time::Duration;

/// Milliseconds in a day.
pub const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// What an operator may set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes that one mailbox may hold; a tenth of it is for priority records alone (M3).
    pub quota: u64,
    /// Milliseconds for which a record is held after it was put or renewed.
    pub retention: u64,
    /// Connections at a time.
    pub connections: u32,
    /// What one mailbox may ask of this process.
    pub mailbox_rate: Rate,
    /// What one connection may ask.
    pub connection_rate: Rate,
    /// What the relay gives.
    pub relay: RelayLimits,
}

/// A store of bytes that refills: whoever empties it waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Bytes that may be asked at once.
    pub burst: u64,
    /// Bytes a second after that.
    pub each_second: u64,
}

/// What a keeper gives as a relay of circuits between members' nodes (M5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RelayLimits {
    /// Nodes that can be reached through it at a time; none turns the relay off.
    pub reservations: usize,
    /// Circuits at a time.
    pub circuits: usize,
    /// Circuits of one node at a time.
    pub circuits_per_peer: usize,
    /// How long a circuit lasts.
    pub duration: Duration,
    /// Bytes that go through a circuit.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            quota: 1 << 30,
            retention: DAY_MILLIS.saturating_mul(400),
            connections: 1024,
            mailbox_rate: Rate { burst: 256 << 20, each_second: 16 << 20 },
            connection_rate: Rate { burst: 128 << 20, each_second: 8 << 20 },
            relay: RelayLimits::default(),
        }
    }
}

impl Limits {
    /// Bytes that a mailbox may hold when a record of this sort is put: a tenth is for priority
    /// records alone, so that a full mailbox still takes those.
    #[must_use]
    pub const fn room(&self, priority: bool) -> u64 {
        if priority { self.quota } else { self.quota.saturating_sub(self.quota / 10) }
    }
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            reservations: 512,
            circuits: 256,
            circuits_per_peer: 16,
            duration: Duration::from_secs(2 * 60 * 60),
            bytes: 512 << 20,
        }
    }
}

/// What a request costs besides its bytes, in bytes.
pub(super) const REQUEST_COST: u64 = 4096;
/// What one comparison costs for each record compared, in bytes: its id is read from disk.
pub(super) const COMPARED_COST: u64 = 40;
/// Mailboxes whose rates are remembered; beyond it those that are full again are forgotten.
pub(super) const RATES_REMEMBERED: usize = 4096;
/// Refusals after which a stream ends.
pub(super) const REFUSALS: u32 = 16;

/// Generations of one mailbox that ended and are remembered, with their wrapped keys.
pub(super) const ENDED_GENERATIONS: u64 = 256;
/// Invitations that are not used yet.
pub(super) const INVITATIONS: u64 = 10_000;
/// Milliseconds for which an invitation can be used.
pub(super) const INVITATION_MILLIS: u64 = DAY_MILLIS * 60;
/// Records that one sweep deletes in one transaction.
pub(super) const SWEEP_RECORDS: u64 = 512;
/// Between two looks at what is out of its time.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Requests that wait for the store before whoever asks has to wait.
pub(super) const JOBS: usize = 64;
/// Between two looks at what another process has written into a shared store.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Processes' own connections to a shared store.
pub const SHARED_WORKERS: usize = 4;

/// Bytes of a message for which no room is taken.
pub(super) const SMALL: usize = 16 * 1024;
/// Bytes of a unit of room.
pub(super) const ROOM_UNIT: usize = 1024;
/// Units of room for the messages of those who are in a mailbox, both ways.
pub(super) const MEMBERS_ROOM: usize = 128 * 1024;
/// The same for everyone else, so that strangers take none of it from members.
pub(super) const STRANGERS_ROOM: usize = 16 * 1024;

/// Connections that are being set up.
pub(super) const PENDING_CONNECTIONS: u32 = 128;
/// Connections of one peer id.
pub(super) const PEER_CONNECTIONS: u32 = 4;
/// Streams of all protocols on one connection.
pub(super) const CONNECTION_STREAMS: u32 = 64;
/// Streams of the keeper's own protocol on one connection.
pub(super) const PEER_STREAMS: usize = 1;
/// Bytes that one QUIC stream, and all of one QUIC connection, may send ahead of what was read.
pub(super) const QUIC_WINDOWS: (u32, u32) = (1024 * 1024, 4 * 1024 * 1024);
/// Part of the machine's memory beyond which no connection is taken.
pub(super) const MEMORY_PART: f64 = 0.8;
/// How long a connection may carry no stream.
pub(super) const IDLE_CONNECTION: Duration = Duration::from_secs(30);
/// Between two checks that a peer is still there.
pub(super) const PING_EVERY: Duration = Duration::from_secs(30);
/// Between two exchanges of addresses and protocols.
pub(super) const IDENTIFY_EVERY: Duration = Duration::from_secs(300);

/// How long a client that has proved nothing may be silent.
pub(super) const STRANGERS_SILENCE: Duration = Duration::from_secs(60);
/// How long another may be silent when it is its turn.
pub(super) const SILENCE: Duration = Duration::from_secs(150);
/// How long one message may take to come once its length is known, or to be written.
pub(super) const MESSAGE_TIME: Duration = Duration::from_secs(120);
/// How long a client waits for news before it is answered that there is none.
pub(super) const WATCH: Duration = Duration::from_secs(30);

/// Values of the distributed hash table that are held.
pub(super) const TABLE_RECORDS: usize = 65_536;
/// Bytes of one such value.
pub(super) const TABLE_VALUE_BYTES: usize = 1024;
/// Bytes of its key.
pub(super) const TABLE_KEY_BYTES: usize = 64;
/// How long such a value is held.
pub(super) const TABLE_TIME: Duration = Duration::from_secs(48 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m5_a_circuit_carries_a_sync() {
        let relay = RelayLimits::default();
        assert!(relay.duration >= Duration::from_secs(3600) && relay.bytes >= 256 << 20);
        assert!(u32::try_from(relay.duration.as_secs()).is_ok());
    }
}
