//! One stream between two replicas: what has been said, and what may be said next.
//!
//! ```text
//! opened ─► Hello ⇄ Hello ─► Welcome ⇄ Welcome ─► Frontier ⇄ Frontier
//!        Want ─► Run… RunsDone ─► WantPayloads ─► Payloads… PayloadsDone ─► Lacking? ─► Done ⇄ Done
//! ```
//!
//! Both ends speak the same language; each says *want* for itself. What comes out of order is the
//! other end's fault and ends the stream.

use crate::id::TransportKey;
use crate::log::frontier::Frontier;
use crate::replica::input::Protocol;
use crate::sync::message::Admittance;
use crate::time::Timestamp;

/// Entries lacking from which headers and control go first and content payloads after them (S2).
pub const LARGE_GAP: u64 = 512;
/// Milliseconds of silence while something is awaited, after which a stream is given up.
pub const SILENCE_MILLIS: u64 = 60_000;

/// How often the other end may ask for something on one stream.
pub const WANTS: u32 = 64;

/// One stream.
#[derive(Clone, Debug)]
pub struct Session {
    /// The other end.
    pub peer: TransportKey,
    /// What it is for.
    pub protocol: Protocol,
    /// Whether this end opened it.
    pub initiated: bool,
    /// What this end lets the other have; `None` until it is known.
    pub theirs: Option<Admittance>,
    /// What the other end lets this one have; `None` until it has said so.
    pub ours: Option<Admittance>,
    /// Whether the other end has said hello.
    pub greeted: bool,
    /// Whether this end's frontier was sent.
    pub frontier_sent: bool,
    /// Whether a passport was shown or asked for already: once is enough.
    pub passport: bool,
    /// What this end has shown of itself: when the other end is done, it holds all of that.
    pub shown: Option<Frontier>,
    /// The other end's frontier, if it came before its passport.
    pub early: Option<Frontier>,
    /// The other end's digest was this end's, so that its frontier was not waited for.
    pub equal: bool,
    /// What this end waits for.
    pub awaiting: Awaiting,
    /// How often the other end has asked for something.
    pub wants_served: u32,
    /// How many payloads were missing when they were last asked for: asking again is worth it
    /// only if some came.
    pub missing_when_asked: Option<usize>,
    /// Whether the other end has asked for keys: once is enough (K8).
    pub keys_asked: bool,
    /// Whether this end has said that it is done.
    pub done_sent: bool,
    /// Whether the other end has.
    pub done_received: bool,
    /// When something was last received.
    pub heard: Timestamp,
}

/// What this end waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Awaiting {
    /// The other end's frontier, or that it is done.
    Frontier,
    /// Runs that were wanted.
    Runs,
    /// Payloads that were wanted.
    Payloads,
    /// Nothing.
    Nothing,
}

impl Session {
    /// A stream that was just opened.
    #[must_use]
    pub const fn new(
        peer: TransportKey,
        protocol: Protocol,
        initiated: bool,
        now: Timestamp,
    ) -> Self {
        Self {
            peer,
            protocol,
            initiated,
            theirs: None,
            ours: None,
            greeted: false,
            frontier_sent: false,
            passport: false,
            shown: None,
            early: None,
            equal: false,
            awaiting: Awaiting::Frontier,
            wants_served: 0,
            missing_when_asked: None,
            keys_asked: false,
            done_sent: false,
            done_received: false,
            heard: now,
        }
    }

    /// Whether the other end may ask for entries.
    #[must_use]
    pub const fn may_want(&self) -> bool {
        self.theirs.is_some() && self.frontier_sent
    }

    /// Whether the other end may ask for content payloads.
    #[must_use]
    pub const fn may_want_content(&self) -> bool {
        matches!(self.theirs, Some(Admittance::Member)) && self.frontier_sent
    }

    /// Whether nothing more is to be said.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.done_sent && self.done_received
    }

    /// Whether the other end has been silent for too long.
    #[must_use]
    pub const fn is_silent(&self, now: Timestamp) -> bool {
        now.since(self.heard) > SILENCE_MILLIS
    }
}
