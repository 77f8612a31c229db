//! Counts, and nothing but counts: no mailbox, no record, no address, no peer id.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// A count that rises, or a number of what there is.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn take(&self, fewer: u64) {
        self.0.fetch_sub(fewer, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a keeper counts while it runs.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(super) connections: Count,
    pub(super) streams: Count,
    pub(super) requests: Count,
    pub(super) refused: Count,
    pub(super) later: Count,
    pub(super) failures: Count,
    pub(super) bytes_in: Count,
    pub(super) bytes_out: Count,
    pub(super) reservations: Count,
    pub(super) circuits: Count,
    pub(super) table_records: Count,
}

/// How a keeper is, for its operator.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Whether it runs.
    pub running: bool,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Records in all mailboxes.
    pub records: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Invitations that are not used yet.
    pub invitations: u64,
    /// Connections now.
    pub connections: u64,
    /// Circuits through the relay now.
    pub circuits: u64,
    /// Requests since it was started.
    pub requests: u64,
    /// Requests refused since it was started.
    pub refused: u64,
}

impl Metrics {
    /// Adds what only a running keeper knows.
    pub fn complete(&self, status: Status) -> Status {
        Status {
            running: true,
            connections: self.connections.now(),
            circuits: self.circuits.now(),
            requests: self.requests.now(),
            refused: self.refused.now(),
            ..status
        }
    }

    /// In the text format of Prometheus.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = [
            ("connections", "gauge", "Connections now.", &self.connections),
            ("streams", "gauge", "Clients' streams now.", &self.streams),
            (
                "reservations",
                "gauge",
                "Nodes that can be reached through the relay now.",
                &self.reservations,
            ),
            ("circuits", "gauge", "Circuits through the relay now.", &self.circuits),
            (
                "table_records_total",
                "counter",
                "Values taken into the distributed hash table.",
                &self.table_records,
            ),
            ("requests_total", "counter", "Requests.", &self.requests),
            ("refused_total", "counter", "Requests refused.", &self.refused),
            ("later_total", "counter", "Requests put off because of a rate.", &self.later),
            ("failures_total", "counter", "Requests that the store failed.", &self.failures),
            ("received_bytes_total", "counter", "Bytes of requests.", &self.bytes_in),
            ("sent_bytes_total", "counter", "Bytes of answers.", &self.bytes_out),
        ];
        let mut text = String::new();
        for (name, kind, help, count) in lines {
            let now = count.now();
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "# HELP cairn_keeper_{name} {help}\n# TYPE cairn_keeper_{name} {kind}\n\
                 cairn_keeper_{name} {now}\n"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_all_that_is_told() {
        let metrics = Metrics::default();
        metrics.requests.add(3);
        metrics.connections.add(2);
        metrics.connections.take(1);
        let text = metrics.text();
        assert!(text.contains("\ncairn_keeper_requests_total 3\n"));
        assert!(text.contains("\ncairn_keeper_connections 1\n"));
        assert_eq!(text.lines().count() % 3, 0);
        let status = metrics.complete(Status { mailboxes: 5, ..Status::default() });
        assert!(status.running && status.mailboxes == 5 && status.requests == 3);
    }
}
