//! `cairn demo`: real nodes in processes of their own.

use serde_json::Value;

use super::{cairn, run, stderr, stdout};

#[test]
fn the_demo_ends_well_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let talk = folder.path().join("talk.jsonl");
    let line = |id: usize, reply_to: &str, author: &str| {
        format!(
            r#"{{"conversation":"-A title","id":"{id}","reply_to":{reply_to},"author":"{author}","at":"2025-06-01T18:{id:02}:00Z","body":"Words number {id}.\n\nAnd more."}}"#
        )
    };
    let lines = [
        line(1, "null", "ash"),
        line(2, "\"1\"", "briar"),
        line(3, "\"2\"", "clove"),
        line(4, "\"3\"", "dune"),
        line(5, "\"2\"", "briar"),
        line(6, "\"5\"", "ash"),
    ];
    std::fs::write(&talk, lines.join("\n")).unwrap();
    let homes = folder.path().join("t");
    std::fs::create_dir(&homes).unwrap();
    let mut demo = cairn(&folder.path().join("untouched"));
    demo.env("TMPDIR", &homes).args(["demo", "--json", "--people", "4", "--conversations"]);
    let output = run(demo.arg(&talk), "");
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["people"], 4);
    // The six lines, one of either side while apart, and two after the removal.
    assert_eq!(summary["posts"], 10);
    assert_eq!(summary["late_post_void_by"], "A4");
    assert!(stderr(&output).contains("can open nothing that was written after the removal"));
    assert_eq!(std::fs::read_dir(&homes).unwrap().count(), 0, "temporary homes are removed");
    assert!(!folder.path().join("untouched").exists());
}
