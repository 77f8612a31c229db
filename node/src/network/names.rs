//! Looking up the names of keepers. Nothing that a peer says is ever looked up: only an operator's
//! own words, in a code that a founder added, hold a name.

use std::net::IpAddr;

use futures::future::join_all;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::time::timeout;

use super::policy;

/// Whether an address begins with a name.
pub(crate) fn is_name(address: &Multiaddr) -> bool {
    matches!(
        address.iter().next(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_))
    )
}

/// These addresses with every name in front replaced by the addresses that the system finds for it;
/// what it finds none for is left out. At most [`policy::PEER_ADDRESSES`] are taken and found. All
/// names are asked for at once: one that nobody answers for keeps no other waiting.
pub(crate) async fn look_up(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    with(addresses, of_name).await
}

async fn with<F>(addresses: Vec<Multiaddr>, of_name: impl Fn(Multiaddr) -> F) -> Vec<Multiaddr>
where
    F: Future<Output = Vec<Multiaddr>>,
{
    let of_name = &of_name;
    let one = |address: Multiaddr| async move {
        if is_name(&address) { of_name(address).await } else { vec![address] }
    };
    let found = join_all(addresses.into_iter().take(policy::PEER_ADDRESSES).map(one)).await;
    found.into_iter().flatten().take(policy::PEER_ADDRESSES).collect()
}

async fn of_name(address: Multiaddr) -> Vec<Multiaddr> {
    let (name, four, six) = match address.iter().next() {
        Some(Protocol::Dns(name)) => (name.into_owned(), true, true),
        Some(Protocol::Dns4(name)) => (name.into_owned(), true, false),
        Some(Protocol::Dns6(name)) => (name.into_owned(), false, true),
        _ => return Vec::new(),
    };
    let asked = timeout(policy::NAME_TIME, tokio::net::lookup_host((name, 0))).await;
    let Ok(Ok(found)) = asked else { return Vec::new() };
    let rest: Multiaddr = address.iter().skip(1).collect();
    let fit = found.map(|socket| socket.ip()).filter(|ip| match ip {
        IpAddr::V4(_) => four,
        IpAddr::V6(_) => six,
    });
    fit.take(policy::PEER_ADDRESSES)
        .map(|ip| Multiaddr::from(ip).iter().chain(rest.iter()).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn no_name_waits_for_another() {
        let names: Vec<Multiaddr> = (1..4)
            .map(|port| format!("/dns4/keeper.example/tcp/{port}").parse().unwrap())
            .collect();
        let all_asked = Barrier::new(names.len());
        let found = with(names.clone(), |name| async {
            all_asked.wait().await;
            vec![name]
        });
        assert_eq!(timeout(Duration::from_secs(10), found).await.unwrap(), names);
    }

    #[tokio::test]
    async fn a_name_becomes_its_addresses_and_an_address_stays() {
        let plain: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let named: Multiaddr = "/dns4/localhost/udp/2/quic-v1".parse().unwrap();
        let found = look_up(vec![plain.clone(), named]).await;
        assert_eq!(found, [plain, "/ip4/127.0.0.1/udp/2/quic-v1".parse().unwrap()]);
    }
}
