//! `cairn`: one program for a support group without a server.
//!
//! A command asks the node that runs for its home through the node's socket; where none runs and
//! the store alone is enough, it opens the store itself ([`door`]). It knows nothing of entries,
//! keys or networks: whatever it shows came as an answer of the typed local API.
//!
//! Invariants: one JSON value and nothing else on stdout with `--json`; remarks and progress on
//! stderr; no secret and no post text in an argument; text of other people is cleaned of control
//! characters before a terminal sees it.

mod args;
mod commands;
mod conversation;
mod door;
mod editor;
mod error;
mod home;
mod moment;
mod output;
mod passphrase;
mod pseudonym;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use error::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(format!("The program could not start its threads: {error}.")))
        .and_then(|runtime| runtime.block_on(commands::run(cli)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}
