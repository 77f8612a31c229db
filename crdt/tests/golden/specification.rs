//! The forms that `docs/protocol.md` describes: every marked table of a struct, an enum, or the
//! fields of a document.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Forms that are part of another and are never alone: read with that one.
const WITHIN: [&str; 1] = ["Step"];

/// Forms that have no marked table.
const UNMARKED: [&str; 12] = [
    "Cut",
    "Draft",
    "Frontier",
    "Kept",
    "Stretch",
    "code-text",
    "derived",
    "draft-text",
    "keeper-code-text",
    "persona",
    "persona-1",
    "record",
];

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

/// What can be read from bytes and is no form: building blocks, and parts of another form.
const PARTS: [&str; 10] = [
    "Abilities",
    "Content",
    "Cursor",
    "FrontierDigest",
    "Generation",
    "Kind",
    "Nonce",
    "Step",
    "SymmetricKey",
    "Timestamp",
];

/// Ids; what is computed and never sent; what changes hold, in Automerge's form; the persona's record.
const APART: [&str; 5] =
    ["src/id.rs", "src/authority", "src/document/kinds/", "src/document/view", "src/replica"];

/// Every type of the sources that can be read from bytes, with its file.
fn readable(path: &Path, found: &mut Vec<(String, String)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            readable(&entry.unwrap().path(), found);
        }
        return;
    }
    let source = fs::read_to_string(path).unwrap();
    for after in source.split("#[derive(").skip(1) {
        let (derived, rest) = after.split_once(")]").unwrap();
        let item =
            rest.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let words: Vec<&str> = item.unwrap_or_default().split([' ', '(', '<', ';']).collect();
        let place = words.iter().position(|word| ["struct", "enum"].contains(word));
        if let (true, Some(place)) = (derived.contains("Deserialize"), place) {
            found.push((words[place + 1].to_owned(), path.display().to_string()));
        }
    }
}

#[test]
fn l4_whatever_can_be_read_from_bytes_is_a_form_or_part_of_one() {
    let mut found = Vec::new();
    readable(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let forms = forms();
    found.retain(|(name, file)| {
        let apart = APART.iter().any(|folder| file.contains(folder));
        !apart && !PARTS.contains(&name.as_str()) && !forms.contains(name)
    });
    assert!(found.is_empty(), "no golden bytes: {found:?}");
}
