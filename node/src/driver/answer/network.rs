//! Questions about other nodes.

use std::collections::BTreeMap;

use cairn_crdt::id::{MemberId, TransportKey};
use cairn_crdt::replica::Replica;
use cairn_crdt::time::Timestamp;
use serde_json::{Value, json};

use super::super::Driver;
use super::super::link::Link;
use super::super::persona::Persona;
use super::super::waits::members_connected;
use super::View;
use super::groups::{digest, name, state_word};
use super::keepers;
use crate::api::command::{Answer, ApiError};
use crate::config::{Way, address_text, peer_text};

/// What a synchronised group is like.
pub(in crate::driver) fn synced(persona: &Persona, replica: &Replica) -> Answer {
    json!({
        "digest": digest(replica),
        "entries": replica.held(),
        "missing": replica.missing(),
        "stale": !replica.seen_further().is_empty(),
        "peers": members_connected(persona, replica).len(),
        "keepers": keepers::views(replica),
    })
}

/// Where others reach a persona's node, as text with its peer id.
pub(in crate::driver) fn own_addresses(persona: &Persona) -> Vec<String> {
    let Some(replica) = persona.replica() else { return Vec::new() };
    let own = peer_text(&TransportKey::from_bytes(replica.transport_key().verifying_key()));
    let texts = persona.link.listening.iter().filter_map(|bytes| address_text(bytes));
    texts.map(|address| format!("{address}/p2p/{own}")).collect()
}

/// The other nodes of a group, and one's own addresses.
pub(super) fn peers(view: &View<'_>) -> Result<Answer, ApiError> {
    let link = &view.persona.link;
    let authority = view.replica.authority();
    let own = view.replica.device();
    let mut known: BTreeMap<TransportKey, Option<MemberId>> = BTreeMap::new();
    for (id, device) in authority.devices() {
        if *id != own && authority.device_of_transport(&device.transport) == Some(*id) {
            known.insert(device.transport, Some(device.member));
        }
    }
    for contact in view.replica.pending_code().iter().flat_map(|code| code.contacts.iter()) {
        known.entry(contact.transport).or_insert(None);
    }
    for peer in &link.connected {
        known.entry(*peer).or_insert(None);
    }
    let profiles = view.store.profiles(view.group)?;
    let one = |(peer, member): (TransportKey, Option<MemberId>)| {
        let profile = member.and_then(|member| profiles.get(&member));
        let state = if link.connected.contains(&peer) {
            "connected"
        } else if link.unreachable.contains(&peer) {
            "unreachable"
        } else if link.is_up() {
            "seeking"
        } else {
            "offline"
        };
        let addresses = profile.map(|profile| profile.addresses.as_slice()).unwrap_or_default();
        json!({
            "peer": peer_text(&peer),
            "member": member.map(|member| member.to_string()),
            "pseudonym": profile.map(|profile| profile.pseudonym.as_str()),
            "state": state,
            "through": link.connected.contains(&peer).then(|| through(link, &peer)),
            "addresses": addresses.iter().filter_map(|a| address_text(a)).collect::<Vec<_>>(),
        })
    };
    let peers: Vec<Value> = known.into_iter().map(one).collect();
    Ok(json!({ "listen": own_addresses(view.persona), "peers": peers }))
}

/// By which way a connected peer is reached.
fn through(link: &Link, peer: &TransportKey) -> &'static str {
    if link.relayed.contains(peer) { "relay" } else { "direct" }
}

/// How others reach the node of a persona, for a person and for a program.
fn reach(link: &Link) -> Value {
    let judged = link.reachability;
    match link.is_up() {
        true => json!({
            "how": judged.how.word(),
            "why": judged.sentence(),
            "hint": judged.hint(),
        }),
        false => Value::Null,
    }
}

/// How every group stands.
pub(super) fn status(driver: &mut Driver, now: Timestamp) -> Result<Answer, ApiError> {
    let mut groups = Vec::new();
    for group in driver.personas.keys().copied().collect::<Vec<_>>() {
        let id = group.to_string();
        groups.push(match driver.shown(now, &id) {
            Ok(view) => {
                let mut status = synced(view.persona, view.replica);
                if let Value::Object(status) = &mut status {
                    status.insert("group".to_owned(), json!(id));
                    status.insert("name".to_owned(), json!(name(&view)?));
                    let state = state_word(view.replica.state());
                    status.insert("state".to_owned(), json!(state));
                    status.insert("reach".to_owned(), reach(&view.persona.link));
                }
                status
            }
            Err(error) => json!({ "group": id, "state": "damaged", "error": error.message }),
        });
    }
    let way = driver.connections.as_ref().map(|connections| connections.way);
    Ok(
        json!({ "groups": groups, "way": way.and_then(Way::words), "version": env!("CARGO_PKG_VERSION") }),
    )
}
