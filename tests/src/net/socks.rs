//! A SOCKS5 proxy (RFC 1928, 1929) that runs at a machine of a small internet and remembers what it
//! was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::machine::Machine;

/// The port that it listens on.
const PORT: u16 = 1080;

/// What a proxy was asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The names and passwords of its users.
    pub users: BTreeSet<(String, String)>,
    /// Names that it was to look up.
    pub names: BTreeSet<String>,
    /// Addresses that it was to reach.
    pub addresses: BTreeSet<SocketAddr>,
}

/// A proxy that serves until its machine is gone.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where it is.
    pub address: SocketAddr,
    asked: Arc<Mutex<Asked>>,
}

impl Proxy {
    /// Starts one at a machine. It finds these names and no others.
    ///
    /// # Panics
    /// When it cannot listen there.
    #[must_use]
    pub fn at(machine: &Machine, names: &[(&str, Ipv4Addr)]) -> Self {
        let address = SocketAddr::from((machine.address, PORT));
        let asked: Arc<Mutex<Asked>> = Arc::default();
        let names: BTreeMap<String, Ipv4Addr> =
            names.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
        let listener = machine.inside(move || TcpListener::bind(address).unwrap()).join().unwrap();
        let (keep, at) = (Arc::clone(&asked), machine.clone());
        // Sockets belong to where their thread was when it opened them.
        drop(machine.inside(move || {
            for caller in listener.incoming().flatten() {
                let (keep, names) = (Arc::clone(&keep), names.clone());
                drop(at.inside(move || drop(serve(caller, &keep, &names))));
            }
        }));
        Self { address, asked }
    }

    /// As `--proxy` wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("socks5://{}", self.address)
    }

    /// What it was asked for so far.
    ///
    /// # Panics
    /// When one of its threads has failed.
    #[must_use]
    pub fn asked(&self) -> Asked {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut caller: TcpStream,
    asked: &Mutex<Asked>,
    names: &BTreeMap<String, Ipv4Addr>,
) -> io::Result<()> {
    let [_, methods] = bytes(&mut caller)?;
    let offered = many(&mut caller, methods)?;
    if offered.contains(&2) {
        caller.write_all(&[5, 2])?;
        let [_, length] = bytes(&mut caller)?;
        let name = many(&mut caller, length)?;
        let [length] = bytes(&mut caller)?;
        let password = many(&mut caller, length)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        asked.lock().unwrap().users.insert((text(name), text(password)));
        caller.write_all(&[1, 0])?;
    } else {
        caller.write_all(&[5, 0])?;
    }
    let [_, _, _, kind] = bytes(&mut caller)?;
    let host = match kind {
        1 => Some(IpAddr::V4(Ipv4Addr::from(bytes::<4>(&mut caller)?))),
        4 => Some(IpAddr::V6(Ipv6Addr::from(bytes::<16>(&mut caller)?))),
        _ => {
            let [length] = bytes(&mut caller)?;
            let name = String::from_utf8_lossy(&many(&mut caller, length)?).into_owned();
            let found = names.get(&name).copied().map(IpAddr::V4);
            asked.lock().unwrap().names.insert(name);
            found
        }
    };
    let port = u16::from_be_bytes(bytes(&mut caller)?);
    let target = host.map(|host| SocketAddr::new(host, port));
    asked.lock().unwrap().addresses.extend(target);
    let reached = target.map(TcpStream::connect);
    let Some(Ok(other)) = reached else {
        return caller.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
    };
    caller.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let (mut back, mut forth) = (other.try_clone()?, caller.try_clone()?);
    thread::spawn(move || {
        drop(io::copy(&mut back, &mut forth));
        drop(forth.shutdown(std::net::Shutdown::Write));
    });
    let mut other = other;
    drop(io::copy(&mut caller, &mut other));
    other.shutdown(std::net::Shutdown::Write)
}

fn bytes<const N: usize>(from: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut read = [0; N];
    from.read_exact(&mut read)?;
    Ok(read)
}

fn many(from: &mut TcpStream, length: u8) -> io::Result<Vec<u8>> {
    let mut read = vec![0; usize::from(length)];
    from.read_exact(&mut read)?;
    Ok(read)
}
