//! Bringing a conversation from elsewhere.

use cairn_tests::circle::{gather, string, until_equal};
use cairn_tests::person::{Person, text};
use cairn_tests::place::Place;

const GOOD: &str = r#"{"conversation":"Evenings","id":"1","reply_to":null,"author":"Ash","at":"2025-03-03T18:05:00Z","body":"Which part of the day is longest?"}
{"conversation":"Evenings","id":"2","reply_to":"1","author":"Briar","at":"2025-03-03T18:11:00+02:00","body":"Evenings. \u00dcberhaupt."}
{"conversation":"Walks","id":"1","reply_to":null,"author":"Clove","at":"2025-03-04","body":"I went as far as the lake."}
"#;

#[test]
fn import_refuses_a_malformed_line_by_its_number_and_imports_nothing_of_the_file() {
    let place = Place::new();
    let [ana, ben] = Person::settle(&place, ["ana", "ben"]);
    let group = gather(&ana, &[&ben]);
    let import = |lines: &str| {
        let file = ana.file("lines", lines.as_bytes());
        ana.run(&["import", &group, text(&file), "--json"], "")
    };
    let wrong = [
        ("{\n", "Line 4 is not valid JSON."),
        (r#"{"conversation":"Evenings","id":"3"}"#, "Line 4 has the wrong shape"),
        (
            r#"{"conversation":"Evenings","id":"3","reply_to":"9","author":"A","at":"2025-03-03","body":"b"}"#,
            "Line 4 answers (\"reply_to\") no earlier line",
        ),
        (
            r#"{"conversation":"Evenings","id":"3","reply_to":null,"author":"A","at":"yesterday","body":"b"}"#,
            "Line 4 has an \"at\" that is no ISO 8601 time",
        ),
        (
            r#"{"conversation":"Evenings","id":"2","reply_to":null,"author":"A","at":"2025-03-03","body":"b"}"#,
            "Line 4 has an \"id\" that an earlier line",
        ),
    ];
    for (line, said) in wrong {
        let ran = import(&format!("{GOOD}{line}\n{GOOD}"));
        assert!(ran.refusal().starts_with(said), "it was to say \"{said}\": {ran:?}");
        assert!(ran.refusal().contains("Nothing of the file was used."), "{ran:?}");
    }
    assert_eq!(ana.ask(&["threads", &group]), serde_json::json!([]));

    let answer = import(GOOD).json();
    assert_eq!((&answer["posts"], answer["threads"].as_array().unwrap().len()), (&3.into(), 2));
    until_equal(&group, &[&ana, &ben]);
    let view = ben.view(&group);
    assert_eq!(view.len(), 3);
    let member = ana.member(&group);
    for page in ben.pages(&group) {
        for post in page["posts"].as_array().unwrap() {
            // Ana's posts, marked with whose words they are.
            assert_eq!(string(&post["author"], "member"), member);
            let author = match post["body"].as_str().unwrap() {
                "Which part of the day is longest?" => ("Ash", "2025-03-03T18:05:00"),
                "Evenings. Überhaupt." => ("Briar", "2025-03-03T16:11:00"),
                _ => ("Clove", "2025-03-04T00:00:00"),
            };
            let imported = (string(&post["imported"], "author"), string(&post["imported"], "at"));
            assert_eq!(imported.0, author.0);
            assert!(imported.1.starts_with(author.1), "{imported:?}");
        }
    }
}
