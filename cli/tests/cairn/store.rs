//! Commands on the store alone, while no node runs for the home.

use std::path::Path;

use serde_json::Value;

use super::{cairn, run, stderr, stdout};

/// A home with a store, its passphrase beside it.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p"), "correct horse\n").unwrap();
        let home = Self { folder };
        let made = home.json(&["init"], "");
        assert_eq!(made["recovery"].as_array().map(Vec::len), Some(24));
        home
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, words: &[&str], stdin: &str) -> std::process::Output {
        let mut command = cairn(&self.path().join("h"));
        command.env("CAIRN_PASSPHRASE_FILE", self.path().join("p")).args(words);
        run(&mut command, stdin)
    }

    /// The one value that a command prints with `--json`.
    fn json(&self, words: &[&str], stdin: &str) -> Value {
        let output = self.run(&[words, &["--json"]].concat(), stdin);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    }
}

#[test]
fn a_group_is_founded_written_in_and_read_without_a_node() {
    let home = Home::new();
    let group = home.json(&["group", "create", "Tuesday", "--as", "moss"], "");
    let group = group["group"].as_str().unwrap().to_owned();
    let thread = home.json(&["thread", "start", "Tuesday", "--title", "Evenings"], "Long.\n");
    let thread = thread["thread"].as_str().unwrap().to_owned();
    let answer = home.json(&["post", &group, "Evenings", "--note", "loss"], "Still here.");
    let post = answer["post"].as_str().unwrap();
    home.json(&["respond", "Tuesday", post, "hear"], "");
    home.json(&["edit", "Tuesday", post], "Still here, and well.");

    let page = home.json(&["read", "Tuesday", &thread], "");
    assert_eq!(page["title"], "Evenings");
    assert_eq!(page["posts"][0]["body"], "Long.");
    assert_eq!(page["posts"][1]["body"], "Still here, and well.");
    assert_eq!(page["posts"][1]["reach"]["where"], "here");
    let shown = stdout(&home.run(&["read", "Tuesday", "Evenings"], ""));
    assert!(shown.contains("Folded: loss.") && !shown.contains("Still here"), "{shown}");
    assert!(shown.contains("on this device only"));
    let open = stdout(&home.run(&["read", "Tuesday", "Evenings", "--unfold"], ""));
    assert!(open.contains("Still here, and well.") && open.contains("moss: I hear you"));

    assert_eq!(home.json(&["search", "Tuesday", "well"], "")[0]["post"], post);
    assert_eq!(home.json(&["explain", "Tuesday", post], "")["counts"], true);
    home.json(&["erase", "Tuesday", post], "");
    assert_eq!(home.json(&["read", "Tuesday", "Evenings"], "")["posts"][1]["state"], "erased");
}

#[test]
fn name_and_agreement_change_without_a_node() {
    let home = Home::new();
    home.json(&["group", "create", "Tuesday", "--as", "moss"], "");
    home.json(&["group", "pseudonym", "Tuesday", "slow fern"], "");
    assert_eq!(home.json(&["members", "Tuesday"], "")[0]["pseudonym"], "slow fern");
    home.json(&["group", "agreement", "Tuesday", "--set"], "Be kind.\nSay so.");
    let agreement = home.json(&["group", "agreement", "Tuesday"], "");
    assert_eq!(agreement, serde_json::json!({ "name": "Tuesday", "text": "Be kind.\nSay so." }));
}

#[test]
fn a_name_that_looks_real_is_warned_of_and_not_refused() {
    let home = Home::new();
    let output = home.run(&["group", "create", "Tuesday", "--as", "Anna Berg", "--json"], "");
    assert!(output.status.success());
    assert!(stderr(&output).contains("looks like a first and a last name"));
    let output = home.run(&["group", "create", "Friday", "--json", "--quiet"], "");
    assert!(output.status.success());
    assert!(stderr(&output).starts_with("You will be called \""), "{}", stderr(&output));
}

#[test]
fn an_import_is_whole_conversations_marked_with_their_authors() {
    let home = Home::new();
    home.json(&["group", "create", "Tuesday", "--as", "moss"], "");
    let file = home.path().join("talk.jsonl");
    let line = |talk: &str, id: &str, reply_to: &str| {
        format!(
            r#"{{"conversation":"{talk}","id":"{id}","reply_to":{reply_to},"author":"Heather","at":"2024-05-04T10:00:00Z","body":"body {id}"}}"#
        )
    };
    let good = [line("One", "1", "null"), line("Two", "1", "null"), line("One", "2", "\"1\"")];
    std::fs::write(&file, format!("{}\n{{\n", good.join("\n"))).unwrap();
    let path = file.to_str().unwrap();
    let refused = home.run(&["import", "Tuesday", path], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("Line 4 is not valid JSON"));
    assert_eq!(home.json(&["threads", "Tuesday"], ""), serde_json::json!([]));

    std::fs::write(&file, good.join("\n")).unwrap();
    let answer = home.json(&["import", "Tuesday", path], "");
    assert_eq!(answer["posts"], 3);
    assert_eq!(answer["threads"].as_array().map(Vec::len), Some(2));
    let page = home.json(&["read", "Tuesday", "One"], "");
    assert_eq!(page["posts"][1]["imported"]["author"], "Heather");
    assert_eq!(page["posts"][1]["reply_to"], page["posts"][0]["post"]);
}

#[test]
fn what_needs_a_node_says_how_to_start_one() {
    let home = Home::new();
    home.json(&["group", "create", "Tuesday", "--as", "moss"], "");
    for words in [vec!["sync", "Tuesday"], vec!["peers", "Tuesday"], vec!["join", "cairn:x"]] {
        let output = home.run(&words, "");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("`cairn up`"), "{}", stderr(&output));
    }
    assert!(home.json(&["status"], "")["groups"][0]["digest"].is_string());
}

#[test]
fn a_wrong_passphrase_is_told_and_changes_nothing() {
    let home = Home::new();
    std::fs::write(home.path().join("p"), "wrong\n").unwrap();
    for words in [vec!["group", "list"], vec!["up"]] {
        let output = home.run(&words, "");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).to_lowercase().contains("passphrase"), "{}", stderr(&output));
    }
    let checks = home.run(&["doctor", "--json"], "");
    assert_eq!(checks.status.code(), Some(1));
    std::fs::write(home.path().join("p"), "correct horse\n").unwrap();
    assert_eq!(home.json(&["group", "list"], ""), serde_json::json!([]));
    let again = home.run(&["init"], "");
    assert!(stderr(&again).contains("Nothing was changed"));
}

#[test]
fn an_export_goes_to_a_new_file_of_ones_own() {
    let home = Home::new();
    home.json(&["group", "create", "Tuesday", "--as", "moss"], "");
    home.json(&["thread", "start", "Tuesday", "--title", "Evenings"], "My words.");
    assert!(home.json(&["export"], "").to_string().contains("My words."));
    let file = home.path().join("out.json");
    let path = file.to_str().unwrap();
    home.json(&["export", "Tuesday", "--out", path], "");
    assert!(std::fs::read_to_string(&file).unwrap().contains("My words."));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.run(&["export", "Tuesday", "--out", path], "").status.code(), Some(1));
}
