//! Golden bytes (L4): one file for every wire form of the specification, made from fixed values.
//!
//! They are what stands on disks and what other versions of the program send. So they are kept for
//! ever: should a test here fail, then what people have written may no longer be read. A form that
//! changes gets a new version and a new file; the old file stays, with a reader for it.
//!
//! `CAIRN_WRITE_GOLDEN=1` writes the files that are missing. It never changes one that is there: as
//! long as no version has been released, a form is changed by deleting its file and writing it again.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code"
)]

#[path = "../fixtures/content.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod content;

mod control;
mod derived;
mod discovery;
mod documents;
mod entries;
mod epochs;
mod files;
mod form;
mod joining;
mod mailbox;
mod specification;
mod stored;
mod sync;
mod values;

use form::Form;

/// Every form, each with the values of its file.
fn forms() -> Vec<Form> {
    let parts = [
        entries::forms(),
        control::forms(),
        epochs::forms(),
        documents::forms(),
        joining::forms(),
        mailbox::forms(),
        sync::forms(),
        stored::forms(),
        derived::forms(),
        discovery::forms(),
    ];
    parts.into_iter().flatten().collect()
}
