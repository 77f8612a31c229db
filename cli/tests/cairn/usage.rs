//! Exit codes, the shape of errors, and bad input that is refused before a store is touched.

use std::process::Output;

use super::{cairn, run, stderr, stdout};

/// A sentence and a hint on stderr, nothing on stdout.
fn assert_refused(output: &Output, sentence: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    assert_eq!(stdout(output), "");
    let said = stderr(output);
    assert!(said.starts_with("Error: "), "{said}");
    assert!(said.contains(sentence), "{said}");
    assert!(said.contains("\nHint: "), "{said}");
}

#[test]
fn what_is_put_wrongly_ends_with_2() {
    let home = tempfile::tempdir().unwrap();
    for words in [
        vec![],
        vec!["fly"],
        vec!["post"],
        vec!["invite", "g", "--rank", "king"],
        vec!["invite", "g", "--expires", "soon"],
        vec!["invite", "g", "--uses", "0"],
        vec!["respond", "g", "p", "like"],
        vec!["revoke", "g", "m", "--from-tip", "--from-start"],
        vec!["revoke", "g", "m", "--from-tip", "--cut", "e"],
        vec!["remove", "g", "m"],
        vec!["hide", "g", "p", "--reason", "r"],
        vec!["demo", "--people", "3"],
        vec!["post", "g", "t", "the text itself"],
        vec!["up", "--passphrase", "secret"],
    ] {
        let output = run(cairn(home.path()).args(&words), "");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{words:?}");
    }
}

#[test]
fn without_a_store_each_command_names_init() {
    let home = tempfile::tempdir().unwrap();
    for words in [
        vec!["up"],
        vec!["group", "list"],
        vec!["read", "g", "t"],
        vec!["join", "cairn:abc", "--as", "moss"],
        vec!["sync", "g"],
        vec!["status", "--json"],
    ] {
        let output = run(cairn(home.path()).args(&words), "");
        assert_refused(&output, "There is no store in");
        assert!(stderr(&output).contains("cairn init"), "{words:?}");
    }
}

#[test]
fn doctor_prints_one_value_and_fails_without_a_store() {
    let home = tempfile::tempdir().unwrap();
    let output = run(cairn(home.path()).args(["doctor", "--json"]), "");
    assert_eq!(output.status.code(), Some(1));
    let checks: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(checks[0]["ok"], false);
    assert_eq!(checks[0]["check"], "home");
}

#[test]
fn a_passphrase_comes_from_no_pipe() {
    let home = tempfile::tempdir().unwrap();
    let output = run(cairn(home.path()).arg("init"), "secret words of mine\n");
    assert_refused(&output, "there is no terminal to ask on");
    assert!(!home.path().join("store.db").exists());
}

#[test]
fn a_passphrase_file_must_hold_a_passphrase() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("p");
    for content in [&b"\n"[..], b"", b"\xff\xfe", &[b'a'; 5000]] {
        std::fs::write(&file, content).unwrap();
        let mut command = cairn(&home.path().join("h"));
        let output = run(command.arg("init").env("CAIRN_PASSPHRASE_FILE", &file), "");
        assert_refused(&output, "The passphrase file");
    }
    let missing = home.path().join("none");
    let mut command = cairn(&home.path().join("h"));
    let output = run(command.arg("init").env("CAIRN_PASSPHRASE_FILE", missing), "");
    assert_refused(&output, "The passphrase file");
}

#[test]
fn a_malformed_line_of_an_import_is_named_by_its_number() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("talk.jsonl");
    let good = r#"{"conversation":"c","id":"1","reply_to":null,"author":"a","at":"2025-06-01T18:00:00Z","body":"b"}"#;
    for (wrong, sentence) in [
        ("{", "Line 2 is not valid JSON"),
        ("{\"conversation\":\"c\"}", "Line 2 has the wrong shape"),
        (good, "Line 2 has an \"id\" that an earlier line"),
        (&good.replace("\"1\"", "\"2\"").replace("null", "\"9\""), "Line 2 answers"),
        (&good.replace("\"1\"", "\"2\"").replace("2025-06-01", "June"), "Line 2 has an \"at\""),
    ] {
        std::fs::write(&file, format!("{good}\n{wrong}\n{good}\n")).unwrap();
        // No store is there: the file is refused before one is looked for.
        let output = run(cairn(home.path()).args(["import", "g"]).arg(&file), "");
        assert_refused(&output, sentence);
        assert!(stderr(&output).contains("Nothing of the file was used."));
    }
    let output = run(cairn(home.path()).args(["demo", "--conversations"]).arg(&file), "");
    assert_refused(&output, "Line 2");
}

#[test]
fn no_color_and_a_pipe_keep_escapes_away() {
    let home = tempfile::tempdir().unwrap();
    for no_color in [None, Some("1")] {
        let mut command = cairn(home.path());
        command.arg("doctor");
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        let output = run(&mut command, "");
        assert!(stdout(&output).contains("home: attention."), "{}", stdout(&output));
        assert!(!stdout(&output).contains('\u{1b}') && !stderr(&output).contains('\u{1b}'));
    }
}
