//! The core is pure: the same entries, the same answer. No clock, randomness source, file, socket,
//! thread, environment or unordered map is in it, and what it depends on is named here.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};

/// Everything that the core may depend on. A new name here is a decision.
const DEPENDENCIES: [&str; 17] = [
    "automerge",
    "bip39",
    "blake3",
    "chacha20poly1305",
    "data-encoding",
    "ed25519-dalek",
    "hkdf",
    "hpke",
    "miniz_oxide",
    "postcard",
    "rand_core",
    "serde",
    "serde_bytes",
    "sha2",
    "thiserror",
    "x25519-dalek",
    "zeroize",
];

/// What no source of the core may say outside a comment.
const IMPURE: [&str; 24] = [
    "SystemTime",
    "Instant",
    "std::time",
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "thread::spawn",
    "thread_local!",
    "std::sync",
    "HashMap",
    "HashSet",
    "RandomState",
    "tokio",
    "libp2p",
    "rusqlite",
    "getrandom",
    "OsRng",
    "async fn",
    "async move",
    "println!",
    "unsafe",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of a section of a manifest.
fn section(manifest: &str, name: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != format!("[{name}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_core_says_nothing_of_the_world_outside() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 50);
    let mut found = Vec::new();
    for file in files {
        for (number, line) in read(&file).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            found.extend(
                IMPURE.iter().filter(|word| code.contains(*word)).map(|word| {
                    format!("{}: {}: {word}", file.display(), number.saturating_add(1))
                }),
            );
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_core_depends_on_what_is_named_here_and_nothing_else() {
    let manifest = read(root().join("Cargo.toml"));
    let names: Vec<String> = section(&manifest, "dependencies")
        .iter()
        .filter_map(|line| line.split(['.', ' ', '=']).next().map(str::to_owned))
        .collect();

    assert_eq!(names, DEPENDENCIES);
    assert!(!manifest.contains("[build-dependencies]") && !manifest.contains("[target."));
    assert_eq!(section(&manifest, "lints"), ["workspace = true"]);
}

#[test]
fn the_lints_name_what_is_disallowed() {
    let lints = read(root().join("clippy.toml"));
    let named = [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "std::thread::spawn",
        "std::env::var",
        "std::fs::File::open",
        "std::collections::HashMap",
        "std::collections::HashSet",
        "std::net::TcpStream",
        "std::net::UdpSocket",
    ];
    for path in named {
        assert!(lints.contains(&format!("path = \"{path}\"")), "{path}");
    }
    let workspace = read(root().join("../Cargo.toml"));
    let rust = section(&workspace, "workspace.lints.rust");
    assert!(rust.contains(&"unsafe_code = \"forbid\"".to_owned()));
    let clippy = section(&workspace, "workspace.lints.clippy");
    for lint in
        ["unwrap_used", "expect_used", "panic", "indexing_slicing", "arithmetic_side_effects"]
    {
        assert!(clippy.contains(&format!("{lint} = \"deny\"")), "{lint}");
    }
}
