//! `reference.md` is the help of every command. `CAIRN_WRITE_REFERENCE=1 cargo test -p cairn`
//! writes it anew.

use std::fmt::Write;
use std::path::Path;

use super::{cairn, run, stdout};

#[test]
fn the_reference_is_the_help_of_every_command() {
    let mut page = String::from(
        "# Commands\n\nThe help of every command, as the program prints it. A test compares this \
         page with the program.\n",
    );
    describe(&mut page, &mut Vec::new());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference.md");
    if std::env::var_os("CAIRN_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, page,
        "the help has changed: CAIRN_WRITE_REFERENCE=1 cargo test -p cairn writes the page anew"
    );
}

/// The help of a command, then of its subcommands.
fn describe(page: &mut String, words: &mut Vec<String>) {
    let home = tempfile::tempdir().unwrap();
    let output = run(cairn(home.path()).args(&*words).arg("--help"), "");
    assert!(output.status.success(), "{words:?}");
    let help = stdout(&output);
    assert!(!help.contains('\u{1b}'), "help that is no terminal's has no colours");
    let name = ["cairn"].into_iter().chain(words.iter().map(String::as_str));
    let name = name.collect::<Vec<_>>().join(" ");
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = help.join("\n");
    writeln!(page, "\n## {name}\n\n```text\n{}\n```", help.trim_end()).unwrap();
    for subcommand in subcommands(&help) {
        words.push(subcommand);
        describe(page, words);
        words.pop();
    }
}

/// The names under "Commands:".
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}
