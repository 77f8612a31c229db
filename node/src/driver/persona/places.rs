//! Where a persona's node can be reached: told to its members, put into codes, and remembered for
//! the next start.
//!
//! What must stay true: once a person has asked not to be seen, nothing that is told from then on
//! holds an address of this machine.

use cairn_crdt::capability::invite::{Code, Contact};
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::TransportKey;
use cairn_crdt::limits;
use cairn_crdt::replica::input::Input;

use super::super::desk::Desk;
use super::Persona;
use crate::config;

/// The group setting that holds the addresses at which the node could be reached last.
const ADDRESSES_SETTING: &str = "addresses";

type Addresses = List<Bytes<{ limits::ADDRESS_BYTES }>, { limits::ADDRESSES }>;

impl Persona {
    /// The node's own addresses changed.
    pub(in crate::driver) fn listens(&mut self, desk: &mut Desk, addresses: Vec<Vec<u8>>) {
        self.link.listening.clone_from(&addresses);
        let stored = bounded(&addresses);
        let bytes = cairn_crdt::codec::encode(&stored);
        let mut ports = self.ports(desk);
        let learnt = ports.learn(&addresses);
        let ports = serde_json::to_vec(&ports).unwrap_or_default();
        let kept =
            desk.store.set_group_setting(self.group, ADDRESSES_SETTING, &bytes).and_then(|()| {
                match learnt {
                    true => desk.store.set_group_setting(self.group, config::PORTS_SETTING, &ports),
                    false => Ok(()),
                }
            });
        if let Err(error) = kept {
            // They are only a help for the next start.
            tracing::warn!(%error, "the node's addresses could not be remembered");
        }
        self.give(Input::Listening { addresses });
    }

    /// The ports that this persona chose before.
    pub(in crate::driver) fn ports(&self, desk: &Desk) -> config::Ports {
        let stored = desk.store.group_setting(self.group, config::PORTS_SETTING).ok().flatten();
        stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Puts where this node can be reached into an invitation code: where it listens now, or did
    /// when it last ran.
    pub(in crate::driver) fn with_contact(&self, desk: &Desk, mut code: Code) -> Code {
        let Some(replica) = &self.replica else { return code };
        let addresses = match self.link.listening.is_empty() {
            true => self.remembered(desk),
            false => bounded(&self.link.listening),
        };
        let transport = TransportKey::from_bytes(replica.transport_key().verifying_key());
        let mut contacts = vec![Contact { transport, addresses }];
        let others = code.contacts.iter().filter(|contact| contact.transport != transport);
        contacts.extend(others.take(limits::ADMITTERS.saturating_sub(1)).cloned());
        code.contacts = List::new(contacts).unwrap_or_default();
        code
    }

    /// From now on nobody is to learn where this machine is: where it was called directly before is
    /// told to nobody any more, in codes or to members.
    pub(in crate::driver) fn hide(&mut self, desk: &mut Desk) {
        if self.remembered(desk).iter().any(|address| !config::is_circuit(address.as_slice())) {
            self.listens(desk, Vec::new());
        }
    }

    /// Where the node could be reached when it last ran.
    fn remembered(&self, desk: &Desk) -> Addresses {
        let stored = desk.store.group_setting(self.group, ADDRESSES_SETTING).ok().flatten();
        let limit = limits::ADDRESSES.saturating_mul(limits::ADDRESS_BYTES.saturating_add(2));
        stored
            .and_then(|bytes| cairn_crdt::codec::decode(&bytes, limit.saturating_add(8)).ok())
            .unwrap_or_default()
    }
}

/// As many addresses as one contact may have, those that others can reach first.
fn bounded(addresses: &[Vec<u8>]) -> Addresses {
    let mut fit: Vec<(bool, Bytes<{ limits::ADDRESS_BYTES }>)> = addresses
        .iter()
        .filter_map(|address| {
            let bytes = Bytes::new(address.clone()).ok()?;
            Some((config::is_loopback(address), bytes))
        })
        .collect();
    fit.sort_by_key(|(loopback, _)| *loopback);
    List::new(fit.into_iter().map(|(_, bytes)| bytes).take(limits::ADDRESSES).collect())
        .unwrap_or_default()
}
