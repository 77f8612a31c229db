//! One machine of a [`Net`](super::Net): what runs there, and what happens to its line.

use std::ffi::OsStr;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::capture::Capture;
use super::iptables;

/// A machine with one interface, `eth0`.
#[derive(Clone, Debug)]
pub struct Machine {
    space: String,
    /// Its address on its segment.
    pub address: Ipv4Addr,
}

impl Machine {
    pub(super) const fn new(space: String, address: Ipv4Addr) -> Self {
        Self { space, address }
    }

    /// The name of its network namespace.
    #[must_use]
    pub fn space(&self) -> &str {
        &self.space
    }

    /// A program that runs there.
    #[must_use]
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space]).arg(program);
        command
    }

    /// Runs something there, on a thread of its own: what it opens stays there.
    ///
    /// # Panics
    /// On that thread, when the namespace is gone.
    pub fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let space = Path::new("/run/netns").join(&self.space);
        thread::spawn(move || {
            let file = File::open(space).expect("the namespace is there");
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter a namespace");
            work()
        })
    }

    /// From now on this part of all that comes in is lost, in hundredths.
    pub fn lose(&self, percent: u8) {
        let part = format!("{:.2}", f64::from(percent) / 100.0);
        let chance = ["-m", "statistic", "--mode", "random", "--probability", &part];
        let rule = ["-A", "INPUT", "-i", "eth0"];
        iptables(&self.space, &[rule.as_slice(), &chance, &["-j", "DROP"]].concat());
    }

    /// Cuts the line: nothing comes in or goes out, and nobody is told.
    pub fn cut(&self) {
        iptables(&self.space, &["-I", "INPUT", "-i", "eth0", "-j", "DROP"]);
        iptables(&self.space, &["-I", "OUTPUT", "-o", "eth0", "-j", "DROP"]);
    }

    /// Mends a line that was cut.
    pub fn mend(&self) {
        iptables(&self.space, &["-D", "INPUT", "-i", "eth0", "-j", "DROP"]);
        iptables(&self.space, &["-D", "OUTPUT", "-o", "eth0", "-j", "DROP"]);
    }

    /// Listens to all that passes its interface from now on, and keeps it in this file.
    #[must_use]
    pub fn listen(&self, file: &Path) -> Capture {
        Capture::begin(self, file)
    }
}
