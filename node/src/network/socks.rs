//! Dialling through a SOCKS5 proxy (RFC 1928), and through nothing else.
//!
//! What must stay true: no socket goes anywhere but to the proxy; no name is resolved here, names
//! are handed to the proxy as they are; nothing listens. Each persona has a user name and password
//! of its own at the proxy, made up anew at each start, so that a proxy which keeps users apart (a
//! Tor daemon does) gives no two personas one way out. A proxy that asks for none gets none.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Pending};
use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as Refusal, TargetAddr};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use crate::config::Proxy;

/// Who a persona is at the proxy.
#[derive(Clone)]
pub(crate) struct Credentials {
    name: String,
    password: String,
}

impl Credentials {
    /// Made from 32 random bytes.
    pub(crate) fn new(random: &[u8; 32]) -> Self {
        let text = cairn_crdt::id::write_base32(random);
        let (name, password) = text.split_at_checked(26).unwrap_or((&text, &text));
        Self { name: name.to_owned(), password: password.to_owned() }
    }
}

/// Whether the proxy itself could be reached the last time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyHealth(Arc<AtomicBool>);

impl ProxyHealth {
    /// Whether it could not.
    pub(crate) fn is_down(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, down: bool) {
        self.0.store(down, Ordering::Relaxed);
    }
}

/// Why nothing was reached through the proxy. Without addresses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocksError {
    /// Nobody answers at the proxy's own address.
    #[error("the proxy cannot be reached: {0}")]
    Down(io::ErrorKind),
    /// What answers there is not a SOCKS5 proxy, or wants another user.
    #[error("the proxy does not serve this node")]
    Unwilling,
    /// The proxy could not reach the other end.
    #[error("the proxy cannot reach the other end")]
    Beyond,
    /// Nothing listens with a proxy.
    #[error("nothing listens when a proxy is used")]
    NoListening,
}

/// A transport that dials through a proxy.
pub(crate) struct Socks {
    proxy: Proxy,
    credentials: Credentials,
    health: ProxyHealth,
}

impl Socks {
    /// Through this proxy, as this user.
    pub(crate) const fn new(proxy: Proxy, credentials: Credentials, health: ProxyHealth) -> Self {
        Self { proxy, credentials, health }
    }
}

/// The address and port, or name and port, that a TCP multiaddr leads to.
fn target(address: &Multiaddr) -> Option<TargetAddr<'static>> {
    let mut parts = address.iter();
    let (host, port) = (parts.next()?, parts.next()?);
    let Protocol::Tcp(port) = port else { return None };
    if parts.any(|part| !matches!(part, Protocol::P2p(_))) {
        return None;
    }
    let ip = |ip: IpAddr| Some(TargetAddr::Ip(SocketAddr::new(ip, port)));
    match host {
        Protocol::Ip4(host) => ip(host.into()),
        Protocol::Ip6(host) => ip(host.into()),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) if name.len() < 256 => {
            Some(TargetAddr::Domain(name.into_owned().into(), port))
        }
        _ => None,
    }
}

async fn connect(
    proxy: Proxy,
    credentials: Credentials,
    health: ProxyHealth,
    target: TargetAddr<'static>,
) -> Result<Compat<TcpStream>, SocksError> {
    let socket = match TcpStream::connect(proxy.0).await {
        Ok(socket) => socket,
        Err(error) => {
            health.note(true);
            return Err(SocksError::Down(error.kind()));
        }
    };
    // A socket whose delay cannot be turned off still works.
    drop(socket.set_nodelay(true));
    let Credentials { name, password } = &credentials;
    let reached =
        Socks5Stream::connect_with_password_and_socket(socket, target, name, password).await;
    let served = !matches!(
        reached,
        Err(Refusal::Io(_)
            | Refusal::InvalidResponseVersion
            | Refusal::NoAcceptableAuthMethods
            | Refusal::UnknownAuthMethod
            | Refusal::PasswordAuthFailure(_))
    );
    health.note(!served);
    match reached {
        Ok(stream) => Ok(stream.into_inner().compat()),
        Err(_) if served => Err(SocksError::Beyond),
        Err(_) => Err(SocksError::Unwilling),
    }
}

impl libp2p::Transport for Socks {
    type Output = Compat<TcpStream>;
    type Error = SocksError;
    type ListenerUpgrade = Pending<Result<Self::Output, SocksError>>;
    type Dial = BoxFuture<'static, Result<Self::Output, SocksError>>;

    fn listen_on(&mut self, _: ListenerId, _: Multiaddr) -> Result<(), TransportError<SocksError>> {
        Err(TransportError::Other(SocksError::NoListening))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<SocksError>> {
        let Some(target) = target(&address).filter(|_| options.role.is_dialer()) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        Ok(connect(self.proxy, self.credentials.clone(), self.health.clone(), target).boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, SocksError>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        target(&text.parse().unwrap()).map(|target| match target {
            TargetAddr::Ip(address) => address.to_string(),
            TargetAddr::Domain(name, port) => format!("{name} {port}"),
        })
    }

    #[test]
    fn a_name_goes_to_the_proxy_as_it_is_and_what_is_not_tcp_goes_nowhere() {
        assert_eq!(read("/ip4/192.0.2.1/tcp/4001").as_deref(), Some("192.0.2.1:4001"));
        assert_eq!(read("/ip6/2001:db8::1/tcp/1").as_deref(), Some("[2001:db8::1]:1"));
        assert_eq!(read("/dns4/keeper.example/tcp/4001").as_deref(), Some("keeper.example 4001"));
        let peer = libp2p::PeerId::random();
        let named = format!("/dns/a.onion/tcp/1/p2p/{peer}");
        assert_eq!(read(&named).as_deref(), Some("a.onion 1"));
        for other in ["/ip4/192.0.2.1/udp/4001/quic-v1", "/ip4/192.0.2.1/tcp/1/ws", "/memory/1"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(read(&format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}/p2p-circuit")), None);
    }

    #[test]
    fn i3_each_persona_is_another_user_at_the_proxy() {
        let (one, other) = (Credentials::new(&[1; 32]), Credentials::new(&[2; 32]));
        assert!(one.name != other.name && one.password != other.password);
        assert!(one.name != one.password);
    }
}
