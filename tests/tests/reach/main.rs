//! Getting through: real nodes on a small internet of network namespaces, behind routers, with
//! relays only, through a proxy, on a bad line.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code: a broken expectation ends the test"
)]

mod bare;
mod direct;
mod kept;
mod line;
mod proxy;
mod relayed;

use serde_json::Value;

use cairn_tests::person::Person;

/// Where a node listens on a small internet: everywhere, at ports of its own choice.
const OPEN: [&str; 2] = ["--no-upnp", "--no-mdns"];

/// How others reach a person's node, by their own `status`.
fn reach(person: &Person, group: &str) -> Value {
    person.standing(group)["reach"].clone()
}
