//! How a node may be reached and how it reaches others: directly, through relays only, through a
//! SOCKS proxy.
//!
//! The choice is kept in the store, because a person who once asked not to be seen must not be seen
//! because of a word forgotten on another day. `--reach direct` and `--proxy none` take it back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::api::command::ApiError;

/// The home setting that holds a [`Way`].
pub const WAY_SETTING: &str = "way";
/// What a proxy is written with in front.
const SCHEME: &str = "socks5://";

/// Whom the machine's address is shown to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// The members whose nodes this one speaks to, and everyone whom they could tell.
    #[default]
    Direct,
    /// Keepers only: members are spoken to through their relays, and learn no address.
    RelayOnly,
}

/// A SOCKS5 proxy through which all is dialled. Its own address is no name, so that none has to be
/// resolved to reach it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Proxy(pub SocketAddr);

/// How a node reaches others and is reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// Whom its address is shown to.
    pub reach: Reach,
    /// Where all its connections go through.
    pub proxy: Option<Proxy>,
}

impl Way {
    /// Whether the node has listening sockets of its own: neither with relays only nor with a
    /// proxy, which would be gone round.
    #[must_use]
    pub const fn listens(&self) -> bool {
        matches!(self.reach, Reach::Direct) && self.proxy.is_none()
    }

    /// Whether members are dialled at circuits of keepers and nowhere else.
    #[must_use]
    pub const fn circuits_only(&self) -> bool {
        matches!(self.reach, Reach::RelayOnly)
    }

    /// For a person: what this way keeps back; `None` if nothing.
    #[must_use]
    pub const fn words(self) -> Option<&'static str> {
        match (self.reach, self.proxy.is_some()) {
            (Reach::Direct, false) => None,
            (Reach::RelayOnly, false) => Some("Members are reached through relays only."),
            (Reach::Direct, true) => Some("Everything goes through the proxy."),
            (Reach::RelayOnly, true) => {
                Some("Members are reached through relays only, and everything through the proxy.")
            }
        }
    }

    /// This way with what a person says now in place of what was kept.
    ///
    /// # Errors
    /// When one of the two is not understood.
    pub fn with(self, reach: Option<&str>, proxy: Option<&str>) -> Result<Self, ApiError> {
        let reach = match reach {
            None => self.reach,
            Some("direct") => Reach::Direct,
            Some("relay-only") => Reach::RelayOnly,
            Some(other) => {
                return Err(ApiError::usage(format!("There is no way \"{other}\" of --reach"))
                    .hinted("It is either direct or relay-only."));
            }
        };
        let proxy = match proxy {
            None => self.proxy,
            Some("none") => None,
            Some(text) => Some(proxy_of(text)?),
        };
        Ok(Self { reach, proxy })
    }
}

/// Reads `socks5://HOST:PORT`.
fn proxy_of(text: &str) -> Result<Proxy, ApiError> {
    let unfit = |why: &str| {
        ApiError::usage(format!("Nothing can be reached through the proxy \"{text}\": {why}"))
            .hinted("For example socks5://127.0.0.1:9050 for a Tor daemon; none to stop using one.")
    };
    let place = text.strip_prefix(SCHEME).ok_or_else(|| unfit("it is not a SOCKS5 proxy"))?;
    let place = place.strip_suffix('/').unwrap_or(place);
    if let Ok(address) = place.parse() {
        return Ok(Proxy(address));
    }
    let (host, port) = place.rsplit_once(':').ok_or_else(|| unfit("it has no port"))?;
    let port = port.parse().map_err(|_| unfit("its port is no number from 1 to 65535"))?;
    if host.contains('@') {
        return Err(unfit("each group has a user name of its own there, so none can be given"));
    }
    match host {
        "localhost" => Ok(Proxy(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))),
        _ => Err(unfit("its host is no IP address, and no name is looked up outside it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_as_it_was_kept() {
        let kept =
            Way::default().with(Some("relay-only"), Some("socks5://127.0.0.1:9050")).unwrap();
        assert_eq!(kept.with(None, None).unwrap(), kept);
        assert!(!kept.listens() && kept.circuits_only());
        let direct = kept.with(Some("direct"), None).unwrap();
        assert!(!direct.listens() && !direct.circuits_only(), "the proxy is still there");
        assert_eq!(direct.with(None, Some("none")).unwrap(), Way::default());
        assert!(Way::default().listens());
    }

    #[test]
    fn a_proxy_is_an_address_and_a_port() {
        let read = |text| Way::default().with(None, Some(text)).map(|way| way.proxy.unwrap().0);
        assert_eq!(read("socks5://localhost:9050").unwrap().to_string(), "127.0.0.1:9050");
        assert_eq!(read("socks5://[::1]:1080/").unwrap().to_string(), "[::1]:1080");
        for text in [
            "http://127.0.0.1:8080",
            "socks5://proxy.example:1080",
            "socks5://127.0.0.1",
            "socks5://ana:secret@127.0.0.1:9050",
            "socks5://localhost:70000",
            "",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.kind == "usage" && error.hint.is_some(), "{text}");
        }
        assert_eq!(Way::default().with(Some("sideways"), None).unwrap_err().kind, "usage");
    }
}
