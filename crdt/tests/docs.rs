//! The documents say what the code does: their tables are read here and compared with it.

#![expect(clippy::arithmetic_side_effects, reason = "test code")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cairn_crdt::codec::List;
use cairn_crdt::document::kinds::DocumentKind;
use cairn_crdt::sync::message::{Admittance, JoinMessage, Message};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn document(name: &str) -> String {
    read(root().join("docs").join(name))
}

/// Every Rust source below a folder, if there is one, joined.
fn gather(folder: &Path, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(read(path));
        }
    }
}

fn sources() -> String {
    let mut files = Vec::new();
    gather(&root().join("src"), &mut files);
    files.join("\n")
}

// Tables ------------------------------------------------------------------------------------------

type Row = Vec<String>;

/// The rows of the table whose first line of text is at or after `lines`' beginning.
fn rows<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Row> {
    lines
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The tables of a document that have a marker before them, by marker.
fn marked(text: &str) -> BTreeMap<String, Vec<Row>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut tables = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let marker = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        if let Some(marker) = marker {
            let before = tables.insert(marker.to_owned(), rows(lines[at..].iter().copied()));
            assert!(before.is_none(), "{marker} twice");
        }
    }
    tables
}

/// All rows of all tables of a document.
fn all_rows(text: &str) -> Vec<Row> {
    let mut found = Vec::new();
    let mut table = false;
    for line in text.lines() {
        let is = line.starts_with('|');
        let rule = line.starts_with("| ---");
        if is && table && !rule {
            found.extend(rows(["|", "|", line].into_iter()));
        }
        table = is && (table || rule);
    }
    found
}

/// What stands between backticks in a cell.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn name(cell: &str) -> String {
    quoted(cell).first().unwrap_or_else(|| panic!("no name in {cell:?}")).clone()
}

fn number(cell: &str) -> u128 {
    cell.replace(',', "").parse().unwrap_or_else(|_| panic!("no number in {cell:?}"))
}

// Sources -----------------------------------------------------------------------------------------

/// A type without what does not change its meaning.
fn plain(text: &str) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    for path in ["limits::", "codec::", "crate::capability::revocation::", "crate::id::", "{", "}"]
    {
        text = text.replace(path, "");
    }
    text
}

/// The lines of the one item that begins so, up to its end, without comments and attributes.
fn item(source: &str, kind: &str, name: &str) -> Vec<String> {
    let begins = |line: &str| {
        let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
        line == format!("{kind} {name} {{")
    };
    let found: Vec<usize> =
        source.lines().enumerate().filter(|(_, line)| begins(line)).map(|(at, _)| at).collect();
    let [at] = found.as_slice() else { panic!("{} places define {kind} {name}", found.len()) };
    source
        .lines()
        .skip(at + 1)
        .take_while(|line| *line != "}")
        .filter(|line| !line.trim_start().starts_with("//") && !line.trim_start().starts_with("#["))
        .map(str::to_owned)
        .collect()
}

fn fields(lines: &[String]) -> Vec<(String, String)> {
    lines
        .iter()
        .filter_map(|line| {
            line.trim().trim_start_matches("pub ").trim_end_matches(',').split_once(": ")
        })
        .map(|(field, of)| (field.to_owned(), plain(of)))
        .collect()
}

/// The variants of an enum, each with what it carries.
fn variants(lines: &[String]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in lines {
        let inner = line.strip_prefix("    ").unwrap_or(line);
        if inner.starts_with(char::is_uppercase) {
            let inner = inner.trim_end_matches(',');
            let end = inner.find(['(', ' ', ',']).unwrap_or(inner.len());
            let (variant, rest) = inner.split_at(end);
            let carried = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
            found.push((variant.to_owned(), plain(carried.unwrap_or_default())));
        } else if let (Some((_, carried)), true) = (found.last_mut(), inner.starts_with("    ")) {
            carried.push_str(&plain(inner));
        }
    }
    for (_, carried) in &mut found {
        *carried = carried.trim_end_matches(',').to_owned();
    }
    found
}

/// The value of a constant: products, shifts and names of other constants.
fn value(source: &str, name: &str) -> u128 {
    let begins = format!("const {name}: ");
    let mut found = source.lines().filter_map(|line| {
        let (before, after) = line.split_once(&begins)?;
        let visible = ["", "pub ", "pub(crate) ", "pub(super) "].contains(&before);
        visible.then(|| after.split_once(" = ").unwrap().1.trim_end_matches(';').to_owned())
    });
    let expression = found.next().unwrap_or_else(|| panic!("no constant {name}"));
    assert!(found.next().is_none(), "{name} is defined twice");
    let term = |term: &str| -> u128 {
        let term = term.trim();
        let digits = term.replace('_', "");
        digits.parse().unwrap_or_else(|_| value(source, term))
    };
    match expression.split_once("<<") {
        Some((base, by)) => term(base) << term(by),
        None => expression.split('*').map(term).product(),
    }
}

/// Names of types in a type.
fn types(of: &str) -> Vec<String> {
    of.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.starts_with(char::is_uppercase) && word.chars().any(char::is_lowercase))
        .map(str::to_owned)
        .collect()
}

// protocol.md -------------------------------------------------------------------------------------

#[test]
fn the_fields_and_variants_of_the_specification_are_those_of_the_code() {
    let source = sources();
    let text = document("protocol.md");
    let tables = marked(&text);
    let mut described: BTreeSet<String> = BTreeSet::new();
    let mut used: BTreeSet<String> = BTreeSet::new();
    for (marker, rows) in &tables {
        // A name that two files use says which it means.
        let (marker, source) = match marker.split_once(" in ") {
            Some((marker, file)) => (marker, &read(root().join("src").join(file))),
            None => (marker.as_str(), &source),
        };
        match marker.split_once(' ') {
            Some(("struct", of)) => {
                let code = fields(&item(source, "struct", of));
                let written: Vec<(String, String)> =
                    rows.iter().map(|row| (name(&row[0]), plain(&name(&row[1])))).collect();
                assert_eq!(written, code, "{of}");
                used.extend(code.iter().flat_map(|(_, of)| types(of)));
                described.insert(of.to_owned());
            }
            Some(("enum", of)) => {
                let code = variants(&item(source, "enum", of));
                let written: Vec<(String, String)> = rows
                    .iter()
                    .map(|row| (name(&row[1]), plain(&quoted(&row[2]).join(","))))
                    .collect();
                assert_eq!(written, code, "{of}");
                for (place, row) in rows.iter().enumerate() {
                    assert_eq!(number(&row[0]), place as u128, "{of}");
                }
                used.extend(code.iter().flat_map(|(_, carried)| types(carried)));
                described.insert(of.to_owned());
            }
            _ => {}
        }
    }
    // Nothing that is sent is left undescribed.
    let blocks = text.split("### Building blocks").nth(1).unwrap();
    described.extend(rows(blocks.lines()).iter().map(|row| name(&row[0])));
    described.extend(["Option", "Box", "List", "Map", "Bytes", "Text"].map(str::to_owned));
    let missing: Vec<&String> = used.difference(&described).collect();
    assert!(missing.is_empty(), "not described: {missing:?}");
    assert!(described.len() > 60);
}

#[test]
fn the_kinds_of_the_specification_are_those_of_the_code() {
    let source = sources();
    let tables = marked(&document("protocol.md"));
    let mut code: Vec<(u128, String, String)> = Vec::new();
    let mut about = String::new();
    for line in read(root().join("src/log/entry.rs")).lines() {
        let line = line.trim();
        if let Some(said) = line.strip_prefix("/// [`") {
            about = said.trim_end_matches("`].").to_owned();
        }
        let constant = line.strip_prefix("pub const ").and_then(|c| c.split_once(": Self = Self("));
        if let Some((name, number)) = constant {
            let number = number.trim_end_matches(");").parse().unwrap();
            let payload = if number == 128 { "SealedContent" } else { about.as_str() };
            code.push((number, name.to_owned(), payload.to_owned()));
        }
    }
    let written: Vec<(u128, String, String)> =
        tables["kinds"].iter().map(|row| (number(&row[0]), name(&row[1]), name(&row[2]))).collect();
    assert_eq!(written, code);
    for (_, _, payload) in &code {
        let is = |kind: &str| tables.contains_key(&format!("{kind} {payload}"));
        assert!(is("struct") || is("enum"), "{payload} is not described");
    }
    let bits: Vec<(String, String)> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub const "))
        .filter_map(|line| line.split_once(": Self = Self(1"))
        .filter(|(_, bit)| *bit == ");" || bit.starts_with(" <<"))
        .filter(|(name, _)| *name != "GENESIS")
        .map(|(name, bit)| (name.to_owned(), bit.trim_matches([' ', '<', ')', ';']).to_owned()))
        .collect();
    let written: Vec<(String, String)> = tables["abilities"]
        .iter()
        .map(|row| (name(&row[1]), if row[0] == "0" { String::new() } else { row[0].clone() }))
        .collect();
    assert_eq!(written, bits);
}

#[test]
fn the_labels_of_the_specification_are_those_of_the_code() {
    let code: Vec<(String, String)> = read(root().join("src/crypto/domain.rs"))
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = "))
        .map(|(name, label)| (name.to_owned(), label.trim_matches(['"', ';']).to_owned()))
        .collect();
    let written: Vec<(String, String)> = marked(&document("protocol.md"))["labels"]
        .iter()
        .map(|row| (name(&row[0]), name(&row[1])))
        .collect();
    assert_eq!(written, code);
    // Each is used, and by one file besides the one that verifies.
    let source = sources();
    for (name, _) in &code {
        let elsewhere = ["GOSSIP"].contains(&name.as_str());
        assert!(source.contains(&format!("domain::{name}")) || elsewhere, "{name} is not used");
    }
}

#[test]
fn the_limits_of_the_specification_are_those_of_the_code() {
    let source = sources();
    let tables = marked(&document("protocol.md"));
    let code: Vec<String> = read(root().join("src/limits.rs"))
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": "))
        .map(|(name, _)| name.to_owned())
        .collect();
    let written: Vec<String> = tables["limits"].iter().map(|row| name(&row[0])).collect();
    assert_eq!(written, code);
    for row in tables["limits"].iter().chain(&tables["numbers"]) {
        let name = name(&row[0]);
        assert_eq!(number(&row[1]), value(&source, &name), "{name}");
    }
}

#[test]
fn the_documents_of_the_specification_have_the_fields_of_the_code() {
    let tables = marked(&document("protocol.md"));
    for kind in DocumentKind::ALL {
        let rows = &tables[&format!("fields {kind:?}")];
        let written: Vec<(String, String, bool)> =
            rows.iter().map(|row| (name(&row[0]), name(&row[1]), row[2] == "yes")).collect();
        let code: Vec<(String, String, bool)> = kind
            .fields()
            .iter()
            .map(|field| (field.key.to_owned(), format!("{:?}", field.shape), field.editable))
            .collect();
        assert_eq!(written, code, "{kind:?}");
    }
}

#[test]
fn a_variant_is_written_as_the_number_that_the_specification_gives() {
    let tables = marked(&document("protocol.md"));
    let said = |of: &str, variant: &str| {
        let row = tables[of].iter().find(|row| name(&row[1]) == variant).unwrap();
        u8::try_from(number(&row[0])).unwrap()
    };
    let messages = [
        ("RunsDone", Message::RunsDone, vec![]),
        ("PayloadsDone", Message::PayloadsDone, vec![]),
        ("Done", Message::Done { all: true }, vec![1]),
        ("Welcome", Message::Welcome(Admittance::Removed), vec![1]),
        ("WantPayloads", Message::WantPayloads(List::default()), vec![0]),
    ];
    for (variant, message, rest) in messages {
        let bytes = [vec![said("enum Message", variant)], rest].concat();
        assert_eq!(message.to_bytes(), bytes, "{variant}");
    }
    let admitted = JoinMessage::Admitted.to_bytes();
    assert_eq!(admitted, [said("enum JoinMessage", "Admitted")]);
}

// glossary.md -------------------------------------------------------------------------------------

#[test]
fn every_term_of_the_glossary_is_where_it_says() {
    let rows = all_rows(&document("glossary.md"));
    let mut terms = 0;
    for row in rows {
        let [_, types, places, ..] = row.as_slice() else { panic!("{row:?}") };
        let files: Vec<String> = places
            .split("](")
            .skip(1)
            .map(|link| read(root().join("docs").join(link.split(')').next().unwrap())))
            .collect();
        assert!(!files.is_empty() || types.is_empty(), "{row:?} names no file");
        for named in quoted(types) {
            let defines = |line: &str| {
                let line = line.trim_start();
                let line =
                    line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
                let line = line.strip_prefix("const ").unwrap_or(line);
                let kinds = ["struct ", "enum ", "type ", "fn ", "trait ", ""];
                kinds.iter().any(|kind| {
                    let rest = line.strip_prefix(kind).and_then(|l| l.strip_prefix(named.as_str()));
                    // Ids are named alone on a line of their macro, constants before their type.
                    rest.is_some_and(|rest| match *kind {
                        "" => rest.is_empty() || rest.starts_with(": "),
                        _ => !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'),
                    })
                })
            };
            let found = files.iter().any(|file| file.lines().any(defines));
            assert!(found, "{named} is not in the files of {row:?}");
        }
        terms += 1;
    }
    assert!(terms > 40);
}

// validation.md -----------------------------------------------------------------------------------

/// The rules that the table has to cover.
fn rules() -> Vec<String> {
    let some = [("L", 8), ("I", 4), ("A", 11), ("K", 9), ("C", 7), ("J", 3), ("S", 6), ("M", 5)];
    some.into_iter()
        .flat_map(|(letter, last)| (1..=last).map(move |number| format!("{letter}{number}")))
        .collect()
}

#[test]
fn every_rule_is_checked_somewhere_and_held_by_a_test() {
    let workspace = root().join("..");
    let mut files = Vec::new();
    for folder in
        ["crdt/src", "crdt/tests", "node/src", "node/tests", "cli/src", "cli/tests", "tests"]
    {
        gather(&workspace.join(folder), &mut files);
    }
    let tests: BTreeSet<String> = files
        .iter()
        .flat_map(|file| file.lines())
        .map(|line| line.trim_start().trim_start_matches("async "))
        .filter_map(|line| Some(line.strip_prefix("fn ")?.split('(').next()?.to_owned()))
        .collect();
    let mut covered: BTreeSet<String> = BTreeSet::new();
    for row in all_rows(&document("validation.md")) {
        let [rule, _, places, named] = row.as_slice() else { panic!("{row:?}") };
        let (places, named) = (quoted(places), quoted(named));
        assert!(!places.is_empty() && !named.is_empty(), "{row:?}");
        for path in places {
            assert!(workspace.join(&path).is_file(), "{path} is not there");
        }
        for test in named {
            assert!(tests.contains(&test), "no test {test}");
        }
        covered.insert(rule.clone());
    }
    let missing: Vec<String> = rules().into_iter().filter(|rule| !covered.contains(rule)).collect();
    assert!(missing.is_empty(), "rules without a row: {missing:?}");
}

// Links -------------------------------------------------------------------------------------------

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let folder = root().join("docs");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        for link in read(&path).split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            let file = target.split('#').next().unwrap();
            assert!(folder.join(file).exists(), "{}: {target}", path.display());
        }
    }
}
