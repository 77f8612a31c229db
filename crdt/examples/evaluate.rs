//! Evaluates sets of entries that are written down in a short form.
//!
//! `cargo run --release -p cairn-crdt --example evaluate` reads JSON lines on stdin, each one a
//! set, and prints one JSON line each. In: `{"entries":[…]}` in an order in which every id is
//! defined before it is used; the founder is the member `F`, each member has one device of the
//! same name. An entry: `{"id","device","prev":id|null,"grant":"genesis"|id,"kind":…}` with kind
//! `grant` `{"subject","rank":"steward|moderator|member|reader","cites":[ids of removals]}`,
//! `remove` `{"subject","cuts":{device: id|null}}`, `pin` `{"target": id}`, `post`. The fields of
//! a kind stand beside it (`"kind":"pin","target":"x"`) or inside (`"kind":{"pin":{"target":
//! "x"}}`). Two entries of one device with the same `prev` are a fork; `null` means that the entry
//! follows the device's card. It builds real signed entries from it and evaluates them. Out:
//! `{"members":{name:[ranks, sorted]},"counts":[ids, sorted],"suspended_denials":[ids, sorted],
//! "orphaned":[ids, sorted]}`, sorted as plain strings.
//!
//! Every grant has all abilities, so ranks alone decide. `members` lists `F` as `founder`, each
//! rank once, and nobody without one. An entry is in `counts` when it counts in full, whatever it
//! does; entries under a grant that does not exist, is not their member's or breaks A1 are void,
//! and so is a grant that breaks A1. A cut on an id that is not the named device's is as `null`.
//! `orphaned` holds the removals that are void because they lie off or above the path of their own
//! author's cut, not those that fell with the grant they are under.
//!
//! Bad input ends the program with code 1 and a message that names the line; the answers to the
//! lines before it have been printed. Empty lines are passed over.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use scene::{Cast, answer};

#[path = "evaluate/scene.rs"]
mod scene;
#[path = "evaluate/written.rs"]
mod written;

fn main() -> ExitCode {
    match run(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Answers line by line.
pub(crate) fn run(input: impl BufRead, mut output: impl Write) -> Result<(), String> {
    let mut cast = Cast::new();
    for (index, line) in input.lines().enumerate() {
        let number = index.saturating_add(1);
        let wrong = |message: String| format!("line {number}: {message}");
        let line = line.map_err(|error| wrong(error.to_string()))?;
        if !line.trim().is_empty() {
            let answer = answer(&mut cast, &line).map_err(wrong)?;
            writeln!(output, "{answer}").map_err(|error| error.to_string())?;
        }
    }
    output.flush().map_err(|error| error.to_string())
}
