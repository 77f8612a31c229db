//! The program as a person or a script meets it: its help, its errors, a store without a node, and
//! a whole community of nodes.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "test code")]

#[path = "cairn/community.rs"]
mod community;
#[path = "cairn/keeper.rs"]
mod keeper;
#[path = "cairn/reference.rs"]
mod reference;
#[path = "cairn/store.rs"]
mod store;
#[path = "cairn/usage.rs"]
mod usage;

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// The program in an environment without anything of the person who runs the tests.
fn cairn(home: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
    command.env_clear().env("CAIRN_HOME", home).env("COLUMNS", "100");
    command
}

/// Runs a command with some stdin.
fn run(command: &mut Command, stdin: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses may be gone before it has read anything.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
