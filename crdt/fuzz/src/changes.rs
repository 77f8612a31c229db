//! Crafted changes (C3): a script of edits of an honest change, its length and checksum repaired.
//!
//! Whatever comes of it: nothing panics past the check, a document that takes the change in is
//! rebuilt the same from any order, is saved, loaded and read, and its honest authors go on.

mod edits;
mod outcome;
mod story;

pub use edits::chunk;
pub use outcome::{Outcome, Side};
pub use story::{author, stories};

use super::script::Script;

/// How a change is crafted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Craft {
    /// Its bytes are changed anywhere.
    Bytes,
    /// What it says is changed, and Automerge writes it.
    Meaning,
}

/// Runs a script: which story, which of its changes, and the edits of that.
pub fn run(craft: Craft, script: &[u8]) -> Outcome {
    let mut script = Script::new(script);
    let Some(story) = script.pick(stories()) else { return Outcome::Unwritable };
    let place = script.below(story.changes.len());
    let mutant = match craft {
        Craft::Bytes => Some(edits::flipped(&mut script, story.honest(place).bytes())),
        Craft::Meaning => edits::twisted(&mut script, story.expanded(place)),
    };
    match mutant {
        Some(mutant) => story.try_out(place, &mutant),
        None => Outcome::Unwritable,
    }
}

/// The target: the first byte says how the change is crafted.
pub fn change(data: &[u8]) {
    let Some((craft, script)) = data.split_first() else { return };
    let craft = if craft % 2 == 0 { Craft::Bytes } else { Craft::Meaning };
    run(craft, script);
}

/// The target for bytes that nobody repaired: they are a change or are refused.
pub fn raw_change(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let Some(story) = stories().get(usize::from(first / 2) % stories().len()) else { return };
    story.try_out(usize::from(first % 2).min(story.changes.len().saturating_sub(1)), bytes);
}
