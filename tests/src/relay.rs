//! A wire that can be listened to: what two nodes say to each other passes through here, and a copy
//! of each byte is kept.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use cairn_crdt::capability::invite::{Code, Contact};
use cairn_crdt::codec::{Bytes, List};

/// A relay of TCP connections to one address. Its threads end with the connections.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Relay {
    /// One in front of this address.
    ///
    /// # Panics
    /// When there is no port for it.
    #[must_use]
    pub fn before(node: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&heard);
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                let Ok(node) = TcpStream::connect(node) else { continue };
                let ways = [
                    (caller.try_clone().unwrap(), node.try_clone().unwrap()),
                    (node, caller),
                ];
                for (from, to) in ways {
                    let keep = Arc::clone(&keep);
                    thread::spawn(move || pass(from, to, &keep));
                }
            }
        });
        Self { port, heard }
    }

    /// All that has passed so far: for each direction of each connection, its bytes in order.
    ///
    /// # Panics
    /// When a thread of the relay has failed.
    #[must_use]
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().clone()
    }

    /// The same invitation, but with this relay as the only address to ask at.
    ///
    /// # Panics
    /// When the code is none.
    #[must_use]
    pub fn instead(&self, code: &str) -> String {
        with_addresses(code, &[tcp(self.port)])
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, keep: &Mutex<Vec<Vec<u8>>>) {
    let place = {
        let mut heard = keep.lock().unwrap();
        heard.push(Vec::new());
        heard.len() - 1
    };
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        keep.lock().unwrap()[place].extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // An error means that the other side has gone already.
    drop(to.shutdown(Shutdown::Write));
    drop(from.shutdown(Shutdown::Read));
}

/// The address of a TCP port on loopback as a binary multiaddr.
#[must_use]
pub fn tcp(port: u16) -> Vec<u8> {
    const IP4: u8 = 4;
    const TCP: u8 = 6;
    let [high, low] = port.to_be_bytes();
    vec![IP4, 127, 0, 0, 1, TCP, high, low]
}

/// The same invitation, with these as the only addresses to ask at.
///
/// # Panics
/// When the code is none.
#[must_use]
pub fn with_addresses(code: &str, addresses: &[Vec<u8>]) -> String {
    let mut code = Code::from_text(code).unwrap_or_else(|error| panic!("{error}: {code}"));
    let bytes = addresses.iter().map(|address| Bytes::new(address.clone()).unwrap()).collect();
    let addresses = List::new(bytes).unwrap();
    let contacts: Vec<Contact> = code
        .contacts
        .iter()
        .map(|contact| Contact { transport: contact.transport, addresses: addresses.clone() })
        .collect();
    code.contacts = List::new(contacts).unwrap();
    code.to_text()
}

/// The port of the first address in what `up` says when it is ready, or `peers` of a group.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn listening(answer: &serde_json::Value) -> SocketAddr {
    let address = answer["listen"][0].as_str().unwrap_or_else(|| panic!("no address: {answer}"));
    let port = address.split('/').skip_while(|part| *part != "tcp").nth(1).expect("a TCP address");
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_heard_in_both_directions() {
        let node = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::before(node.local_addr().unwrap());
        let mut caller = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port)).unwrap();
        caller.write_all(b"hello").unwrap();
        caller.shutdown(Shutdown::Write).unwrap();
        let (mut called, _) = node.accept().unwrap();
        let mut question = String::new();
        called.read_to_string(&mut question).unwrap();
        called.write_all(b"good evening").unwrap();
        drop(called);
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert_eq!((question.as_str(), answer.as_str()), ("hello", "good evening"));
        let mut heard = relay.heard();
        heard.sort();
        assert_eq!(heard, [b"good evening".to_vec(), b"hello".to_vec()]);
    }
}
