//! Sealed content and the changes in it (K5, C1, C2).

use cairn_crdt::codec;
use cairn_crdt::crypto::aead::SymmetricKey;
use cairn_crdt::document::change::{CheckedChange, check};
use cairn_crdt::document::kinds::post::Imported;
use cairn_crdt::document::kinds::{Content, DocumentKind};
use cairn_crdt::document::rebuild::rebuild;
use cairn_crdt::document::sealing::{
    Creation, DocumentKey, Envelope, Owner, SealedContent, open, seal,
};
use cairn_crdt::epoch::secret::EpochSecret;
use cairn_crdt::id::{DeviceId, EntryId, GrantId, MemberId};
use cairn_crdt::log::entry::{Header, Kind, Seen};
use cairn_crdt::time::Timestamp;

use crate::content::{actor, at, created, edit, edited, samples};
use crate::entries;
use crate::files;
use crate::form::{Form, form};
use crate::values::{GROUP, entry, rng, text};

const CHANGE: &[u8] = b"a change, or what stands for one";
const EARLIER: EntryId = entry(8);
const OWNER: MemberId = MemberId::from_bytes([9; 32]);

fn secret() -> EpochSecret {
    EpochSecret::from_bytes([6; 32])
}

fn key() -> SymmetricKey {
    SymmetricKey::from_bytes([7; 32])
}

const fn creation() -> Creation {
    Creation { owner: Owner::Member(OWNER), random: [10; 16], kind: DocumentKind::Post }
}

/// Of the entry that creates a document, and of one that follows it.
pub(crate) fn envelopes() -> [Envelope; 2] {
    let document = creation().document(GROUP);
    let fresh = DocumentKey::Fresh(key());
    [
        Envelope { document, creation: Some(creation()), key: fresh },
        Envelope { document, creation: None, key: DocumentKey::Of(EARLIER) },
    ]
}

/// Headers and payloads of those two entries.
pub(crate) fn sealed() -> [(Header, Vec<u8>); 2] {
    envelopes().map(|envelope| {
        let header = Header {
            device: DeviceId::from_bytes([2; 32]),
            seq: 4,
            prev: entry(3),
            grant: GrantId::of(entry(4)),
            seen: Seen { count: 3, digest: [5; 16] },
            ..entries::header(Kind::CONTENT)
        };
        seal(&mut rng(7), header, &secret(), &envelope, &key(), CHANGE).unwrap()
    })
}

/// The change that creates a document and, where it can be edited, one of another device.
fn changes(first: &Content, second: Option<&Content>) -> Vec<CheckedChange> {
    let creation = created(first, 1, at(0));
    let existing = [(entry(1), creation.clone())];
    let second = second.map(|second| edit(&existing, second, 2, at(1)));
    [creation].into_iter().chain(second).collect()
}

fn name_of(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Profile => "change-Profile",
        DocumentKind::Thread => "change-Thread",
        DocumentKind::Post => "change-Post",
        DocumentKind::Response => "change-Response",
        DocumentKind::Agreement => "change-Agreement",
        DocumentKind::Act => "change-Act",
    }
}

/// A change is of no kind by itself, so all are tried.
fn check_again(word: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let device = if word == "created" { 1 } else { 2 };
    let mut kinds = DocumentKind::ALL.into_iter();
    let read = kinds.find_map(|kind| check(kind, word == "created", bytes, actor(device)).ok());
    read.map(|change| change.bytes().to_vec())
}

pub(crate) fn forms() -> Vec<Form> {
    let [(_, creating), (_, following)] = sealed();
    let content = |bytes: &[u8]| codec::decode::<SealedContent>(bytes, bytes.len()).unwrap();
    let owners = [("Member", Owner::Member(OWNER)), ("Shared", Owner::Shared)];
    let keys = [("Fresh", DocumentKey::Fresh(key())), ("Of", DocumentKey::Of(EARLIER))];
    let kinds = ["Profile", "Thread", "Post", "Response", "Agreement", "Act"];
    let imported =
        Imported { label: text("old forum"), at: Timestamp::from_millis(1), id: text("post/17") };
    let shared = Creation { owner: Owner::Shared, kind: DocumentKind::Agreement, ..creation() };
    let mut forms = vec![
        form(
            "SealedContent",
            [("creating", content(&creating)), ("following", content(&following))],
        ),
        form("Envelope", ["creating", "following"].into_iter().zip(envelopes())),
        form("Creation", [("owned", creation()), ("shared", shared)]),
        form("Owner", owners),
        form("DocumentKey", keys),
        form("DocumentKind", kinds.into_iter().zip(DocumentKind::ALL)),
        form("Imported", [("imported", imported)]),
    ];
    for (first, second) in samples().iter().zip(edited()) {
        let changes = changes(first, second.as_ref());
        let lines = ["created", "edited"].into_iter().zip(changes);
        let lines = lines.map(|(word, change)| (word, change.bytes().to_vec())).collect();
        forms.push(Form { name: name_of(first.kind()), lines, again: check_again });
    }
    forms
}

/// What people have written says what they wrote. Should this fail, it may no longer be read.
#[test]
fn c2_changes_have_these_bytes() {
    for (first, second) in samples().into_iter().zip(edited()) {
        let kind = first.kind();
        let mut standing = Vec::new();
        let stages = [Some(first), second];
        for ((word, bytes), content) in files::read(name_of(kind)).unwrap().into_iter().zip(stages)
        {
            let creates = word == "created";
            let device = if creates { 1 } else { 2 };
            let change = check(kind, creates, &bytes, actor(device)).unwrap();
            standing.push((entry(device), change));
            let rebuilt = rebuild(kind, &standing);
            assert!(rebuilt.void.is_empty(), "{kind:?} {word}");
            assert_eq!(rebuilt.view.map(|view| view.content), content, "{kind:?} {word}");
        }
    }
}

/// Sealed entries of the file open. Should this fail, what people have written may no longer be
/// read.
#[test]
fn k5_sealed_content_has_these_bytes() {
    let headers = files::read("Header").unwrap();
    for ((word, payload), envelope) in
        files::read("SealedContent").unwrap().into_iter().zip(envelopes())
    {
        let (_, header) = headers.iter().find(|(of, _)| *of == word).unwrap();
        let header = Header::decode(header).unwrap();
        let key_of = |named: &EntryId| (*named == EARLIER).then(key);
        let opened = open(&header, &payload, Some(&secret()), None, key_of).unwrap();
        assert!(opened.envelope == envelope && opened.change == CHANGE, "{word}");
    }
}
