//! The shell of Cairn around the pure core: libp2p, the encrypted store, the local API.
//!
//! ```text
//! peer bytes ─► network ─► Input ─┐                         ┌─► Persist ─► storage
//! command    ─► api ─────► Input ─┼─► driver ─► Replica ────┼─► Send    ─► network
//! timer      ─► runtime ─► Input ─┘                         └─► Reply   ─► api
//! ```

pub mod api;
pub mod clock;
pub mod config;
pub mod driver;
pub mod keeper;
pub mod network;
pub mod runtime;
pub mod storage;
