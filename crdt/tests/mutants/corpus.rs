//! Every kept input, once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::targets::{TARGETS, let_automerge_panic};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    fs::read_dir(folder).unwrap().map(|entry| name(entry.unwrap())).collect()
}

#[test]
fn l4_no_kept_input_breaks_anything() {
    let_automerge_panic();
    for (target, body) in TARGETS {
        let corpus = folder().join("corpus").join(target);
        let inputs = names(&corpus);
        assert!(!inputs.is_empty(), "{target} starts from nothing");
        for input in inputs {
            println!("{target}/{input}");
            let bytes = read(&corpus.join(input));
            body(&bytes);
            // And with its end missing, or more after it.
            body(&bytes[..bytes.len() / 2]);
            body(&[bytes.as_slice(), &[1]].concat());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test reads its inputs")]
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn l4_every_fuzz_target_is_built_and_starts_from_something() {
    let listed: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder().join("corpus")), listed);
    let files = names(&folder().join("fuzz_targets"));
    let files: BTreeSet<String> =
        files.iter().map(|file| file.trim_end_matches(".rs").to_owned()).collect();
    assert_eq!(files, listed);
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for name in listed {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
