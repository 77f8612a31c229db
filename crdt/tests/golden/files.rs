//! The files, and what is held of all of them.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::form::Form;
use crate::{forms, specification};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// What a file holds: a word and bytes on each line. `None` if it is not there.
pub(crate) fn read(name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let text = fs::read_to_string(folder().join(format!("{name}.hex"))).ok()?;
    let line = |line: &str| {
        let (word, hex) = line.split_once(' ').unwrap();
        (word.to_owned(), HEXLOWER.decode(hex.as_bytes()).unwrap())
    };
    Some(text.lines().map(line).collect())
}

/// Makes a file that is missing; the system refuses if there is one.
fn write(form: &Form) {
    let path = folder().join(format!("{}.hex", form.name));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
    for (word, bytes) in &form.lines {
        writeln!(file, "{word} {}", HEXLOWER.encode(bytes)).unwrap();
    }
    println!("{}: written", path.display());
}

#[test]
fn l4_every_form_has_the_bytes_that_it_always_had() {
    let may_write = std::env::var_os("CAIRN_WRITE_GOLDEN").is_some();
    for form in forms() {
        let Some(held) = read(form.name) else {
            assert!(may_write, "{}.hex is missing: CAIRN_WRITE_GOLDEN=1 makes it", form.name);
            write(&form);
            continue;
        };
        let words = |lines: Vec<&str>| lines.join(" ");
        assert_eq!(
            words(held.iter().map(|(word, _)| word.as_str()).collect()),
            words(form.lines.iter().map(|(word, _)| *word).collect()),
            "{}",
            form.name
        );
        for ((word, held), (_, now)) in held.iter().zip(&form.lines) {
            let (held, now) = (HEXLOWER.encode(held), HEXLOWER.encode(now));
            assert_eq!(held, now, "{} {word}: what is held is never changed", form.name);
        }
    }
}

#[test]
fn l4_what_any_version_wrote_is_read_and_written_the_same() {
    for form in forms() {
        for (word, bytes) in read(form.name).unwrap() {
            let again = (form.again)(&word, &bytes);
            assert_eq!(again.as_deref(), Some(bytes.as_slice()), "{} {word}", form.name);
        }
    }
}

#[test]
fn l4_there_is_a_file_for_every_form_of_the_specification_and_no_other() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".hex").map(str::to_owned)
        })
        .collect();
    let made: BTreeSet<String> = forms().iter().map(|form| form.name.to_owned()).collect();
    assert_eq!(files, made);
    assert_eq!(specification::forms(), made);
    for (name, variants) in specification::variants() {
        let held: Vec<String> = read(&name).unwrap().into_iter().map(|(word, _)| word).collect();
        assert_eq!(held, variants, "{name}");
    }
}
