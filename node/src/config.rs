//! What a person may set, read and checked: where a node listens, and addresses as text.

use std::net::{Ipv4Addr, Ipv6Addr};

use cairn_crdt::id::TransportKey;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use crate::api::command::ApiError;
use crate::storage::Store;

mod way;

pub use way::{Proxy, Reach, WAY_SETTING, Way};

/// How `cairn up` runs.
#[derive(Clone, Debug, Default)]
pub struct UpOptions {
    /// Multiaddrs to listen on; none stands for TCP and QUIC on every address of the machine, at
    /// ports of the node's own choice.
    pub listen: Vec<String>,
    /// Whether to find members on the local network.
    pub mdns: bool,
    /// Whether to ask the router to let others in.
    pub upnp: bool,
    /// `direct` or `relay-only`; what was said last, if nothing is said.
    pub reach: Option<String>,
    /// `socks5://HOST:PORT` or `none`; what was said last, if nothing is said.
    pub proxy: Option<String>,
}

/// How a node goes: what a person says now, or else what the store remembers of what they said
/// before. What they say now is remembered.
///
/// # Errors
/// When it is not understood, the store fails, or addresses to listen on are given to a node that
/// is not to listen.
pub fn choose_way(store: &mut dyn Store, options: &UpOptions) -> Result<Way, ApiError> {
    let bytes = store.setting(WAY_SETTING)?;
    let kept = bytes.as_ref().map_or(Some(Way::default()), |b| serde_json::from_slice(b).ok());
    let said_in_full = options.reach.is_some() && options.proxy.is_some();
    // Never more open than it was, because of bytes that are not understood.
    let kept = kept.or(said_in_full.then(Way::default)).ok_or_else(|| {
        ApiError::new("damaged", "how this node may be reached cannot be read from the store")
            .hinted("Say it anew, with both --reach and --proxy.")
    })?;
    let way = kept.with(options.reach.as_deref(), options.proxy.as_deref())?;
    if !way.listens() && !options.listen.is_empty() {
        return Err(ApiError::usage(
            "A node that goes by relays only or by a proxy does not listen",
        )
        .hinted("Leave out --listen, or say --reach direct and --proxy none."));
    }
    let written = serde_json::to_vec(&way).unwrap_or_default();
    if bytes.as_deref() != Some(&written) && (bytes.is_some() || way != Way::default()) {
        store.set_setting(WAY_SETTING, &written)?;
    }
    Ok(way)
}

/// The group setting that holds [`Ports`].
pub const PORTS_SETTING: &str = "ports";

/// The ports that a persona chose once, so that others find it where they found it before (I3: no
/// two personas share one). Zero stands for none yet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Ports {
    tcp4: u16,
    tcp6: u16,
    udp4: u16,
    udp6: u16,
}

/// Reads the addresses to listen on.
///
/// # Errors
/// When one is no multiaddr with a TCP or QUIC port.
pub fn listen(written: &[String]) -> Result<Vec<Multiaddr>, ApiError> {
    if written.is_empty() {
        let hosts = [Protocol::Ip4(Ipv4Addr::UNSPECIFIED), Protocol::Ip6(Ipv6Addr::UNSPECIFIED)];
        return Ok(hosts
            .into_iter()
            .flat_map(|host| {
                let host = Multiaddr::from(host);
                [
                    host.clone().with(Protocol::Tcp(0)),
                    host.with(Protocol::Udp(0)).with(Protocol::QuicV1),
                ]
            })
            .collect());
    }
    let unfit = |text: &str| {
        ApiError::usage(format!("A node cannot listen on \"{text}\", which is no address"))
            .hinted("For example /ip4/0.0.0.0/tcp/0 for TCP, /ip4/0.0.0.0/udp/0/quic-v1 for QUIC.")
    };
    written
        .iter()
        .map(|text| {
            let address: Multiaddr = text.parse().map_err(|_| unfit(text))?;
            let parts: Vec<Protocol<'_>> = address.iter().collect();
            match parts.as_slice() {
                [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
                | [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Udp(_), Protocol::QuicV1] => {
                    Ok(address)
                }
                _ => Err(unfit(text)),
            }
        })
        .collect()
}

impl Ports {
    /// Where a persona listens: fixed ports stay for the `first`; the others, and every port 0, get
    /// the port that the persona chose before, or choose now.
    #[must_use]
    pub fn apply(&self, listen: &[Multiaddr], first: bool) -> Vec<Multiaddr> {
        listen
            .iter()
            .map(|address| match sort(address) {
                Some((sort, port)) if port == 0 || !first => {
                    with_port(address, *self.clone().slot(sort))
                }
                _ => address.clone(),
            })
            .collect()
    }

    /// Remembers the ports that were chosen, out of the addresses that the node listens on.
    /// Whether anything new was learnt.
    pub fn learn(&mut self, listening: &[Vec<u8>]) -> bool {
        let before = *self;
        for bytes in listening {
            let Ok(address) = Multiaddr::try_from(bytes.clone()) else { continue };
            if let Some((sort, port)) = sort(&address) {
                let slot = self.slot(sort);
                if *slot == 0 {
                    *slot = port;
                }
            }
        }
        before != *self
    }

    /// Whether each address that was asked for has one of its sort among those listened on.
    #[must_use]
    pub fn cover(asked: &[Multiaddr], listening: &[Vec<u8>]) -> bool {
        let kind = |address: &Multiaddr| sort(address).map(|(sort, _)| sort);
        let up: Vec<Option<Sort>> = listening
            .iter()
            .filter_map(|bytes| Multiaddr::try_from(bytes.clone()).ok())
            .map(|address| kind(&address))
            .collect();
        asked.iter().all(|address| up.contains(&kind(address)))
    }

    const fn slot(&mut self, sort: Sort) -> &mut u16 {
        match sort {
            Sort::Tcp4 => &mut self.tcp4,
            Sort::Tcp6 => &mut self.tcp6,
            Sort::Udp4 => &mut self.udp4,
            Sort::Udp6 => &mut self.udp6,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sort {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
}

/// `None` for what is no port of a machine, or leads on from there: the port of a circuit is the
/// keeper's.
fn sort(address: &Multiaddr) -> Option<(Sort, u16)> {
    if leads_on(address) {
        return None;
    }
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(_), Protocol::Tcp(port)) => Some((Sort::Tcp4, port)),
        (Protocol::Ip6(_), Protocol::Tcp(port)) => Some((Sort::Tcp6, port)),
        (Protocol::Ip4(_), Protocol::Udp(port)) => Some((Sort::Udp4, port)),
        (Protocol::Ip6(_), Protocol::Udp(port)) => Some((Sort::Udp6, port)),
        _ => None,
    }
}

fn with_port(address: &Multiaddr, port: u16) -> Multiaddr {
    address
        .iter()
        .map(|part| match part {
            Protocol::Tcp(_) => Protocol::Tcp(port),
            Protocol::Udp(_) => Protocol::Udp(port),
            other => other,
        })
        .collect()
}

/// A binary multiaddr as text; `None` if it is none.
#[must_use]
pub fn address_text(bytes: &[u8]) -> Option<String> {
    Multiaddr::try_from(bytes.to_vec()).ok().map(|address| address.to_string())
}

/// Whether only this machine can reach the address.
#[must_use]
pub fn is_loopback(bytes: &[u8]) -> bool {
    let first = Multiaddr::try_from(bytes.to_vec()).ok().and_then(|a| {
        a.iter().next().map(|p| match p {
            Protocol::Ip4(ip) => ip.is_loopback(),
            Protocol::Ip6(ip) => ip.is_loopback(),
            _ => false,
        })
    });
    first.unwrap_or(false)
}

/// Whether a binary multiaddr is a circuit of a relay, which says nothing of where a machine is.
#[must_use]
pub fn is_circuit(bytes: &[u8]) -> bool {
    Multiaddr::try_from(bytes.to_vec()).is_ok_and(|address| leads_on(&address))
}

fn leads_on(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// A libp2p identity as text.
#[must_use]
pub fn peer_text(key: &TransportKey) -> String {
    libp2p::identity::ed25519::PublicKey::try_from_bytes(key.as_bytes())
        .map_or_else(|_| key.to_string(), |key| PeerId::from_public_key(&key.into()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(addresses: &[Multiaddr]) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_a_word_a_node_listens_on_tcp_and_quic_everywhere() {
        assert_eq!(
            texts(&listen(&[]).unwrap()),
            [
                "/ip4/0.0.0.0/tcp/0",
                "/ip4/0.0.0.0/udp/0/quic-v1",
                "/ip6/::/tcp/0",
                "/ip6/::/udp/0/quic-v1"
            ]
        );
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        for text in ["hello", "/ip4/1.2.3.4", "/dns4/example.org/tcp/1", "/ip4/1.2.3.4/udp/1", ""] {
            let error = listen(&[text.to_owned()]).unwrap_err();
            assert!(error.kind == "usage" && error.message.contains(text) && error.hint.is_some());
        }
    }

    #[test]
    fn i3_a_fixed_port_serves_the_first_and_a_chosen_one_is_remembered() {
        let asked =
            listen(&["/ip4/127.0.0.1/tcp/4001".to_owned(), "/ip6/::1/udp/0/quic-v1".to_owned()])
                .unwrap();
        let mut ports = Ports::default();
        assert_eq!(
            texts(&ports.apply(&asked, true)),
            ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/udp/0/quic-v1"]
        );
        assert_eq!(
            texts(&ports.apply(&asked, false)),
            ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/udp/0/quic-v1"]
        );
        let chosen = ["/ip4/127.0.0.1/tcp/5001", "/ip6/::1/udp/5002/quic-v1"];
        let chosen = chosen.map(|text| text.parse::<Multiaddr>().unwrap().to_vec());
        // The port of a keeper, through which others reach this node, is none of its own.
        let keeper = libp2p::PeerId::random();
        let circuit = format!("/ip4/127.0.0.1/tcp/4000/p2p/{keeper}/p2p-circuit");
        let circuit = [circuit.parse::<Multiaddr>().unwrap().to_vec()];
        assert!(!ports.learn(&circuit) && !Ports::cover(&asked, &circuit));
        assert!(ports.learn(&chosen));
        assert!(!ports.learn(&chosen));
        assert_eq!(
            texts(&ports.apply(&asked, false)),
            ["/ip4/127.0.0.1/tcp/5001", "/ip6/::1/udp/5002/quic-v1"]
        );
    }
}
