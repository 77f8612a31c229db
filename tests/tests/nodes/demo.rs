//! `cairn demo`: a whole community in one command.

use std::fs;

use cairn_tests::person::{Person, text};
use cairn_tests::place::Place;

#[test]
fn the_demo_ends_by_itself_with_a_summary_and_leaves_nothing_behind() {
    let place = Place::new();
    let nobody = Person::new(&place, "nobody");
    let lines: String = (0..8)
        .map(|number| {
            let answers = if number == 0 { "null".to_owned() } else { format!("\"{}\"", number - 1) };
            format!(
                "{{\"conversation\":\"A short one\",\"id\":\"{number}\",\"reply_to\":{answers},\
                 \"author\":\"author {}\",\"at\":\"2025-06-01T18:0{number}:00Z\",\
                 \"body\":\"Line {number}.\"}}\n",
                number % 4
            )
        })
        .collect();
    let file = nobody.file("lines", lines.as_bytes());
    let summary =
        nobody.ask(&["demo", "--people", "4", "--conversations", text(&file), "--quiet"]);
    assert_eq!((&summary["ok"], &summary["people"]), (&true.into(), &4.into()), "{summary}");
    assert!(summary["digest"].as_str().is_some_and(|digest| digest.len() > 20), "{summary}");
    // The lines, and what the demo itself says when somebody is away and when one is removed.
    assert_eq!(summary["posts"], 12, "{summary}");
    assert_eq!(summary["late_post_void_by"], "A4", "{summary}");
    assert!(!nobody.home.exists(), "the demo needs no home");
    let left: Vec<_> = fs::read_dir(place.temporary()).unwrap().flatten().collect();
    assert!(left.is_empty(), "the demo leaves {left:?} behind");
}
