//! The forms that `docs/protocol.md` describes: every marked table of a struct, an enum, or the
//! fields of a document.

use std::collections::BTreeSet;

/// Forms that are part of another and are never alone: read with that one.
const WITHIN: [&str; 1] = ["Step"];

/// Forms that have no marked table.
const UNMARKED: [&str; 5] = ["Cut", "Frontier", "code-text", "derived", "persona"];

fn text() -> &'static str {
    include_str!("../../docs/protocol.md")
}

/// The markers with what follows each.
fn marked() -> impl Iterator<Item = (&'static str, &'static str)> {
    text().split("<!-- ").skip(1).filter_map(|part| part.split_once(" -->"))
}

pub(crate) fn forms() -> BTreeSet<String> {
    let name = |marker: &str| {
        let mut words = marker.split(' ');
        match (words.next(), words.next()) {
            (Some("struct" | "enum"), Some(name)) => Some(name.to_owned()),
            (Some("fields"), Some(kind)) => Some(format!("change-{kind}")),
            _ => None,
        }
    };
    marked()
        .filter_map(|(marker, _)| name(marker))
        .filter(|name| !WITHIN.contains(&name.as_str()))
        .chain(UNMARKED.map(str::to_owned))
        .collect()
}

/// Every enum with its variants in order.
pub(crate) fn variants() -> Vec<(String, Vec<String>)> {
    let variants = |after: &str| {
        after
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .skip(2)
            .map(|line| line.split('`').nth(1).unwrap().to_owned())
            .collect()
    };
    let found: Vec<_> = marked()
        .filter_map(|(marker, after)| Some((marker.strip_prefix("enum ")?, variants(after))))
        .map(|(name, variants)| (name.to_owned(), variants))
        .collect();
    assert!(found.len() > 10);
    found
}
