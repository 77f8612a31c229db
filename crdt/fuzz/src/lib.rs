//! What each fuzz target does with its input.
//!
//! A body is an ordinary function of bytes that panics if something does not hold. None of them
//! needs libFuzzer, so the tests of the crate include this folder, replay every input that is kept
//! in `corpus`, and run crafted changes by the million.

pub mod changes;
pub mod content;
pub mod decoders;
pub mod evaluator;
pub mod script;
pub mod session;

#[path = "../../tests/fixtures/content.rs"]
mod fixtures;

/// A target: its name and body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. Each has a file in `fuzz_targets` and a folder in `corpus`.
pub const TARGETS: [Target; 17] = [
    ("header", decoders::header),
    ("control", decoders::control),
    ("run", decoders::run),
    ("frontier", decoders::frontier),
    ("sync_message", decoders::sync_message),
    ("join_message", decoders::join_message),
    ("request", decoders::request),
    ("code", decoders::code),
    ("draft", decoders::draft),
    ("keeper", decoders::keeper),
    ("sealed_parts", decoders::sealed_parts),
    ("persona", decoders::persona),
    ("content", content::content),
    ("change", changes::change),
    ("raw_change", changes::raw_change),
    ("evaluator", evaluator::evaluator),
    ("session", session::session),
];

/// Panics that Automerge has on crafted changes are caught and mean "refused": they are not printed,
/// and not the end, as libFuzzer would have it. One that is not caught still is.
pub fn let_automerge_panic() {
    std::panic::set_hook(Box::new(|info| {
        let foreign = |file: &str| file.contains("/registry/") || file.contains("/library/");
        if info.location().is_some_and(|place| !foreign(place.file())) {
            eprintln!("{info}");
        }
    }));
}
