//! A small internet made by a test: a public segment, homes behind routers that masquerade, and
//! homes without an uplink, each machine in a network namespace of its own.
//!
//! Needs root, `ip` and `iptables` (and `tcpdump` to listen); without them a test is skipped. No
//! interface ever stands in the namespace of whoever runs the tests, names hold the number of the
//! test's process, and everything is taken down with the [`Net`], also when the test fails. What a
//! killed test left behind is taken down by the next.

mod capture;
mod machine;
mod socks;

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

pub use capture::{Capture, Packet};
pub use machine::Machine;
pub use socks::{Asked, Proxy};

/// What every namespace of these tests is called at its beginning.
const PREFIX: &str = "cairn-net-";
/// Separates several nets of one process.
static NETS: AtomicU32 = AtomicU32::new(0);

/// How a router changes the ports of what goes out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mapping {
    /// It keeps them where it can: holes can be punched.
    Steady,
    /// Another port for every other end: holes cannot be punched.
    Random,
}

/// A small internet. Taken down when dropped.
#[derive(Debug)]
pub struct Net {
    id: String,
    spaces: RefCell<Vec<String>>,
    public: Cell<u8>,
    cables: Cell<u32>,
}

/// A local segment: a home's or a café's.
#[derive(Debug)]
pub struct Home<'net> {
    net: &'net Net,
    space: String,
    /// The router's address on the public segment; `None` without an uplink.
    pub address: Option<Ipv4Addr>,
    machines: Cell<u8>,
}

impl Net {
    /// An empty one; `None`, and said so, where none can be made.
    ///
    /// # Panics
    /// When one could be made, and was not.
    #[must_use]
    pub fn new(test: &str) -> Option<Self> {
        let number = NETS.fetch_add(1, Ordering::Relaxed);
        let id = format!("{PREFIX}{}-{number}", std::process::id());
        let probe = format!("{id}-probe");
        for (words, missing) in [
            (["ip", "netns", "list"].as_slice(), "the command ip"),
            (&["ip", "netns", "add", &probe], "root's right to make network namespaces"),
            (&["ip", "netns", "del", &probe], "root's right to make network namespaces"),
            (&["iptables", "-t", "nat", "-L", "-n"], "root's right to set firewall rules"),
            (&["tcpdump", "--version"], "the command tcpdump"),
        ] {
            if !works(words) {
                crate::skipped(test, missing);
                return None;
            }
        }
        sweep();
        let net =
            Self { id, spaces: RefCell::default(), public: Cell::new(1), cables: Cell::new(0) };
        let public = net.space("public");
        ip(&["-n", &public, "link", "add", "name", "hub", "type", "bridge"]);
        ip(&["-n", &public, "link", "set", "hub", "up"]);
        Some(net)
    }

    /// A machine on the public segment.
    #[must_use]
    pub fn machine(&self, name: &str) -> Machine {
        let space = self.space(name);
        let address = self.attach_public(&space, "eth0");
        Machine::new(space, address)
    }

    /// A home behind a router that lets nobody in unasked.
    #[must_use]
    pub fn home(&self, name: &str, mapping: Mapping) -> Home<'_> {
        let mut home = self.island(name);
        home.address = Some(self.attach_public(&home.space, "wan"));
        let space = home.space.as_str();
        let rule = |words: &[&str]| iptables(space, words);
        let masquerade = ["-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE"];
        match mapping {
            Mapping::Steady => rule(&masquerade),
            Mapping::Random => rule(&[masquerade.as_slice(), &["--random-fully"]].concat()),
        }
        // Without these a packet that comes early is answered, and the mapping moves to another
        // port: no router at a home does that.
        for chain in ["INPUT", "FORWARD"] {
            rule(&["-A", chain, "-i", "wan", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"]);
        }
        write(space, "/proc/sys/net/ipv4/ip_forward", "1");
        home
    }

    /// A home whose router has no uplink.
    #[must_use]
    pub fn island(&self, name: &str) -> Home<'_> {
        let space = self.space(name);
        ip(&["-n", &space, "link", "add", "name", "hub", "type", "bridge"]);
        ip(&["-n", &space, "addr", "add", "192.168.1.1/24", "dev", "hub"]);
        ip(&["-n", &space, "link", "set", "hub", "up"]);
        Home { net: self, space, address: None, machines: Cell::new(1) }
    }

    /// A namespace of its own, without IPv6: what is listened to then holds nothing but what was
    /// asked for.
    fn space(&self, name: &str) -> String {
        let space = format!("{}-{name}", self.id);
        ip(&["netns", "add", &space]);
        self.spaces.borrow_mut().push(space.clone());
        write(&space, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        ip(&["-n", &space, "link", "set", "lo", "up"]);
        space
    }

    fn attach_public(&self, space: &str, interface: &str) -> Ipv4Addr {
        let host = next(&self.public);
        let address = Ipv4Addr::new(198, 18, 0, host);
        self.attach(&format!("{}-public", self.id), space, interface, &format!("{address}/16"));
        address
    }

    /// A cable from a bridge to a machine.
    fn attach(&self, bridge: &str, space: &str, interface: &str, address: &str) {
        let end = format!("port{}", self.cables.get());
        self.cables.set(self.cables.get() + 1);
        let cable = ["link", "add", "name", interface, "netns", space, "type", "veth"];
        ip(&[cable.as_slice(), &["peer", "name", &end, "netns", bridge]].concat());
        ip(&["-n", bridge, "link", "set", &end, "master", "hub", "up"]);
        ip(&["-n", space, "addr", "add", address, "dev", interface]);
        ip(&["-n", space, "link", "set", interface, "up"]);
    }
}

impl Home<'_> {
    /// A machine in this home.
    #[must_use]
    pub fn machine(&self, name: &str) -> Machine {
        let space = self.net.space(name);
        let address = Ipv4Addr::new(192, 168, 1, next(&self.machines));
        self.net.attach(&self.space, &space, "eth0", &format!("{address}/24"));
        ip(&["-n", &space, "route", "add", "default", "via", "192.168.1.1"]);
        Machine::new(space, address)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for space in self.spaces.borrow().iter() {
            // An error means that it is gone already.
            let _ = works(&["ip", "netns", "del", space]);
        }
    }
}

fn next(numbers: &Cell<u8>) -> u8 {
    numbers.set(numbers.get() + 1);
    numbers.get()
}

/// Takes down what tests left behind whose processes are gone.
fn sweep() {
    let listed = Command::new("ip").args(["netns", "list"]).output().expect("ip was there");
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = works(&["ip", "netns", "del", name]);
        }
    }
}

fn works(words: &[&str]) -> bool {
    let (program, words) = words.split_first().expect("a command has a name");
    Command::new(program).args(words).output().is_ok_and(|ran| ran.status.success())
}

fn ip(words: &[&str]) {
    run(Command::new("ip").args(words));
}

fn iptables(space: &str, words: &[&str]) {
    run(Command::new("ip").args(["netns", "exec", space, "iptables"]).args(words));
}

fn write(space: &str, file: &str, value: &str) {
    let script = format!("echo {value} > {file}");
    run(Command::new("ip").args(["netns", "exec", space, "sh", "-c", &script]));
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    fn serve(machine: &Machine) -> SocketAddr {
        let address = SocketAddr::from((machine.address, 7));
        let listener = machine.inside(move || TcpListener::bind(address).unwrap());
        std::thread::spawn(move || {
            for caller in listener.join().unwrap().incoming().flatten() {
                let from = caller.peer_addr().unwrap().ip().to_string();
                drop({ caller }.write_all(from.as_bytes()));
            }
        });
        address
    }

    fn call(machine: &Machine, at: SocketAddr) -> Option<String> {
        let called = machine.inside(move || {
            let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2)).ok()?;
            let mut seen = String::new();
            stream.read_to_string(&mut seen).ok()?;
            Some(seen)
        });
        called.join().unwrap()
    }

    #[test]
    fn a_router_hides_its_home_and_lets_nobody_in() {
        let Some(net) = Net::new("a_router_hides_its_home_and_lets_nobody_in") else { return };
        let outside = net.machine("outside");
        let home = net.home("home", Mapping::Steady);
        let (inside, beside) = (home.machine("inside"), home.machine("beside"));
        let stranded = net.island("island").machine("stranded");
        let (outer, inner) = (serve(&outside), serve(&inside));
        assert_eq!(call(&inside, outer), home.address.map(|address| address.to_string()));
        assert_eq!(call(&beside, inner), Some(beside.address.to_string()));
        assert_eq!(call(&outside, inner), None);
        assert_eq!(call(&stranded, outer), None);
        outside.cut();
        assert_eq!(call(&inside, outer), None);
        outside.mend();
        assert!(call(&inside, outer).is_some());
        drop(net);
        assert!(!works(&["ip", "netns", "exec", outside.space(), "true"]), "it is still there");
    }
}
