//! Where this node may open a socket to. The last word, whoever wants it: `reconnect`, a relay's
//! client, hole punching, the table of keepers.
//!
//! - Keepers are called where an operator said that they are, and nowhere that a peer says.
//! - With relays only, nobody else is called: a member that names a relay, a keeper's address or a
//!   server of its own learns nothing of who would call there.
//! - A name is handed to a proxy for keepers only: what peers claim must not make anyone resolve
//!   names.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Transport};

use super::names::is_name;
use super::policy;

/// The rules, shared between a Swarm's transport and whoever knows its keepers.
#[derive(Clone, Default)]
pub(crate) struct Guard {
    circuits_only: bool,
    keepers: Arc<Mutex<BTreeMap<PeerId, BTreeSet<Multiaddr>>>>,
}

impl Guard {
    /// Nobody is a keeper yet.
    pub(crate) fn new(circuits_only: bool) -> Self {
        Self { circuits_only, keepers: Arc::default() }
    }

    /// From now on a keeper may be called at these addresses and at no others; they are without its
    /// name. None of at most [`policy::KEEPERS`] times [`policy::PEER_ADDRESSES`] is left out.
    pub(crate) fn permit(&self, keeper: PeerId, addresses: &[Multiaddr]) {
        let addresses = addresses.iter().take(policy::PEER_ADDRESSES).cloned().collect();
        self.keepers().insert(keeper, addresses);
    }

    /// From now on somebody is no keeper.
    pub(crate) fn revoke(&self, keeper: &PeerId) {
        self.keepers().remove(keeper);
    }

    /// Whether a socket may be opened to an address, which ends with whom is expected there.
    pub(crate) fn allows(&self, address: &Multiaddr) -> bool {
        let mut place = address.clone();
        let expected = match address.iter().last() {
            Some(Protocol::P2p(peer)) => {
                place.pop();
                Some(peer)
            }
            _ => None,
        };
        let keepers = self.keepers();
        match expected.and_then(|peer| keepers.get(&peer)) {
            Some(permitted) => permitted.contains(&place),
            None => !self.circuits_only && !is_name(address),
        }
    }

    fn keepers(&self) -> MutexGuard<'_, BTreeMap<PeerId, BTreeSet<Multiaddr>>> {
        // What was written before a panic is whole: each change is one insertion or removal.
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport that opens only what its guard allows.
pub(super) struct Guarded<T> {
    pub(super) inner: T,
    pub(super) guard: Guard,
}

impl<T: Transport + Unpin> Transport for Guarded<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<T::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<T::Dial, TransportError<T::Error>> {
        if !self.guard.allows(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: &str, peer: PeerId) -> Multiaddr {
        format!("{place}/p2p/{peer}").parse().unwrap()
    }

    const HERE: &str = "/ip4/192.0.2.1/tcp/1";
    const THERE: &str = "/ip4/192.0.2.2/tcp/1";

    #[test]
    fn with_relays_only_own_keepers_are_called_where_they_are_and_nobody_else() {
        let (keeper, member) = (PeerId::random(), PeerId::random());
        let guard = Guard::new(true);
        assert!(!guard.allows(&at(HERE, keeper)), "nobody is a keeper yet");
        guard.permit(keeper, &[HERE.parse().unwrap()]);
        assert!(guard.allows(&at(HERE, keeper)));
        assert!(!guard.allows(&at(THERE, keeper)), "where a member says that it is");
        assert!(!guard.allows(&at(HERE, member)));
        assert!(!guard.allows(&HERE.parse().unwrap()));
        guard.revoke(&keeper);
        assert!(!guard.allows(&at(HERE, keeper)));
    }

    #[test]
    fn a_name_is_handed_on_for_keepers_only() {
        let (keeper, member) = (PeerId::random(), PeerId::random());
        let guard = Guard::new(false);
        let name = "/dns4/keeper.example/tcp/1";
        guard.permit(keeper, &[name.parse().unwrap()]);
        assert!(guard.allows(&at(name, keeper)));
        assert!(!guard.allows(&at("/dns4/tracker.example/tcp/1", keeper)));
        assert!(!guard.allows(&at(name, member)));
        assert!(!guard.allows(&name.parse().unwrap()));
        assert!(guard.allows(&at(THERE, member)));
    }
}
