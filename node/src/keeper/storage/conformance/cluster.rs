//! A PostgreSQL server of the test's own, on a socket in a temporary folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whom the server runs as when the test runs as root, which it refuses to do.
const NOBODY: &str = "nobody";

pub(super) struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl Cluster {
    /// Starts a server; `None`, and a word that says so, where there is none to be started.
    pub(super) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("SKIPPED: there is no PostgreSQL server here (postgresql in Debian)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let cluster = Self { folder, programs };
        if is_root() {
            run(Command::new("chown").arg(NOBODY).arg(cluster.folder.path()));
        }
        fs::set_permissions(cluster.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = cluster.data();
        run(cluster.program("initdb").args(["-A", "trust", "-U", "keeper", "-N", "-D"]).arg(&data));
        let socket = cluster.folder.path().display();
        let options = format!("-c listen_addresses='' -k {socket} -c fsync=off");
        let log = cluster.folder.path().join("log");
        run(cluster
            .program("pg_ctl")
            .args(["-w", "-D"])
            .arg(&data)
            .arg("-l")
            .arg(log)
            .args(["-o", &options, "start"]));
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of PostgreSQL, as somebody who may run it.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", "nogroup", "--clear-groups"]).arg(program);
        command
    }

    /// An empty database; its URL.
    pub(super) fn database(&self, name: &str) -> String {
        let socket = self.folder.path().display().to_string();
        run(self.program("createdb").args(["-h", &socket, "-U", "keeper", name]));
        format!("host={socket} user=keeper dbname={name}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        let mut stop = self.program("pg_ctl");
        let stopped = stop.args(["-m", "immediate", "-D"]).arg(data).arg("stop");
        drop(stopped.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The newest server's programs.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(Path::new("/usr/lib/postgresql"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
