//! What passed a machine's interface.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::machine::Machine;
use crate::patience::until;
use crate::person::signal;
use crate::program::ended;

/// One packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// From where.
    pub from: Ipv4Addr,
    /// To where.
    pub to: Ipv4Addr,
    /// Bytes that it carries for TCP or UDP.
    pub bytes: usize,
    /// As `tcpdump` has it in words.
    pub line: String,
}

/// A recording that goes on until it is read.
#[derive(Debug)]
pub struct Capture {
    process: Child,
    file: PathBuf,
}

impl Capture {
    pub(super) fn begin(machine: &Machine, file: &Path) -> Self {
        let words = ["-i", "eth0", "-n", "-U", "-s", "0", "--immediate-mode", "-w"];
        let mut command = machine.program("tcpdump");
        // As root tcpdump would become another user, who may not write here.
        command.args(["-Z", "root"]).args(words).arg(file);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let capture = Self { process, file: file.to_owned() };
        // The file's head is written when the interface is being listened to.
        until("the interface is listened to", || {
            fs::metadata(file).is_ok_and(|data| data.len() >= 24).then_some(())
        });
        capture
    }

    /// Ends the recording; all packets of IPv4, in order.
    ///
    /// # Panics
    /// When there is nothing to read.
    #[must_use]
    pub fn packets(mut self) -> Vec<Packet> {
        signal(&self.process, "TERM");
        let _ = ended(&mut self.process, "tcpdump");
        let read = Command::new("tcpdump").args(["-n", "-t", "-r"]).arg(&self.file).output();
        let read = read.expect("tcpdump was there");
        let lines = String::from_utf8_lossy(&read.stdout).into_owned();
        lines.lines().filter_map(packet).collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// `IP 10.0.0.2.40000 > 198.18.0.2.4001: Flags …`; ports are not there for all protocols.
fn packet(line: &str) -> Option<Packet> {
    let rest = line.strip_prefix("IP ")?;
    let (from, rest) = rest.split_once(" > ")?;
    let (to, _) = rest.split_once(": ")?;
    let length = line.rsplit_once("length ").map_or("", |(_, length)| length);
    let digits: String = length.chars().take_while(char::is_ascii_digit).collect();
    let bytes = digits.parse().unwrap_or_default();
    Some(Packet { from: host(from)?, to: host(to)?, bytes, line: line.to_owned() })
}

fn host(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').take(4).collect();
    parts.join(".").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_tcpdump_is_understood() {
        let line = "IP 192.168.1.2.40000 > 198.18.0.2.4001: Flags [S], seq 1, length 7";
        let read = packet(line).unwrap();
        assert_eq!(read.bytes, 7);
        assert_eq!(read.from, Ipv4Addr::new(192, 168, 1, 2));
        assert_eq!(read.to, Ipv4Addr::new(198, 18, 0, 2));
        assert!(packet("IP 192.168.1.2 > 224.0.0.251: igmp v2 report").is_some());
        assert!(packet("ARP, Request who-has 192.168.1.1 tell 192.168.1.2").is_none());
    }
}
