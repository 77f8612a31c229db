//! Mailboxes at keepers (M1, M2).

use cairn_crdt::capability::keeper::{Dismiss, Keeper};
use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::crypto::aead::SymmetricKey;
use cairn_crdt::epoch::secret::EpochSecret;
use cairn_crdt::id::{AccessKey, ControlKey, DropBoxId, MailboxId, RecordId};
use cairn_crdt::mailbox::access::{Meeting, NewGeneration, SignedBy, SignedGeneration};
use cairn_crdt::mailbox::letter::{Letter, LetterAnswer};
use cairn_crdt::mailbox::message::{
    HeldRecord, KEEPER_VERSION, KeeperGreeting, KeeperReply, KeeperRequest, MailboxState,
    NewRecord, Putting,
};
use cairn_crdt::mailbox::record::{Parcel, Sealer};
use cairn_crdt::mailbox::shelf::{Kept, Stretch};
use cairn_crdt::mailbox::{Cursor, Generation, KeeperCode, erase_hash, record_id};
use cairn_crdt::sync::message::Declined;
use cairn_crdt::time::Timestamp;

use crate::form::{Form, form};
use crate::joining::{contact, request};
use crate::values::{GROUP, bytes, device, entry, key, list, transport};
use crate::{entries, epochs, files, sync};

fn meeting() -> Meeting {
    Meeting { keeper: transport(1), client: transport(2), challenge: [5; 32] }
}

fn mailbox() -> MailboxId {
    MailboxId::from_bytes(key(70).verifying_key())
}

fn access(number: u8) -> AccessKey {
    AccessKey::from_bytes(key(number).verifying_key())
}

fn control(number: u8) -> ControlKey {
    ControlKey::from_bytes(key(number).verifying_key())
}

fn drop_box() -> DropBoxId {
    DropBoxId::from_bytes(key(60).verifying_key())
}

fn new_generation() -> NewGeneration {
    NewGeneration {
        mailbox: mailbox(),
        generation: Generation(2),
        access: access(73),
        control: control(74),
        rekey: bytes(b"wrapped keys"),
    }
}

fn code() -> KeeperCode {
    KeeperCode { keeper: contact(), secret: [9; 32] }
}

fn code_again(_: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let code = KeeperCode::from_text(std::str::from_utf8(bytes).ok()?).ok()?;
    Some(code.to_text().into_bytes())
}

fn record(number: u8) -> Vec<u8> {
    vec![number; 512]
}

fn new_record(priority: bool) -> NewRecord {
    NewRecord { priority, erase: erase_hash(&[6; 32]), bytes: bytes(&record(1)) }
}

fn held() -> HeldRecord {
    HeldRecord { cursor: Cursor(300), bytes: bytes(&record(1)) }
}

fn state() -> MailboxState {
    MailboxState {
        generation: Generation(1),
        control: control(72),
        newest: Cursor(300),
        drops: 3,
        store: [7; 32],
        retention: 34_560_000_000,
        quota: 1 << 30,
        used: 70_000,
        records: 20,
    }
}

fn requests() -> Vec<(&'static str, KeeperRequest)> {
    let proof = meeting().prove_access(&key(71), mailbox());
    let ids = |numbers: &[u8]| list(numbers.iter().map(|n| record_id(&record(*n))).collect());
    let (owner, access, control) = (mailbox(), access(71), control(72));
    let open = KeeperRequest::Open { mailbox: mailbox(), access, proof };
    let drop_proof = meeting().prove_drop(&key(60));
    let expires = Timestamp::from_millis(1_790_000_000_000);
    let message = bytes(&[0x61, 0, 0]);
    let in_drop = bytes(&record(2));
    vec![
        ("Create", KeeperRequest::Create { secret: [9; 32], owner, access, control }),
        ("Open", open),
        ("Put", KeeperRequest::Put(list(vec![new_record(true), new_record(false)]))),
        ("Get", KeeperRequest::Get { after: Cursor(299), bytes: 70_000 }),
        ("Watch", KeeperRequest::Watch { after: Cursor(300), drops: 3 }),
        ("Renew", KeeperRequest::Renew(ids(&[1]))),
        ("Fetch", KeeperRequest::Fetch(ids(&[1, 2]))),
        ("Reconcile", KeeperRequest::Reconcile { bits: 3, prefix: 5, message }),
        ("Erase", KeeperRequest::Erase(list(vec![(record_id(&record(1)), [6; 32])]))),
        ("Rotate", KeeperRequest::Rotate(Box::new(new_generation().sign(&key(72))))),
        ("OpenDrop", KeeperRequest::OpenDrop { drop: drop_box(), expires }),
        ("CloseDrop", KeeperRequest::CloseDrop(drop_box())),
        ("DropGet", KeeperRequest::DropGet { drop: drop_box(), after: Cursor::START }),
        ("DropPut", KeeperRequest::DropPut { drop: drop_box(), record: in_drop }),
        ("Drop", KeeperRequest::Drop { drop: drop_box(), proof: drop_proof }),
    ]
}

fn replies() -> Vec<(&'static str, KeeperReply)> {
    let puttings = putting().map(|(_, putting)| putting).to_vec();
    let id: RecordId = record_id(&record(1));
    vec![
        ("Created", KeeperReply::Created),
        ("Opened", KeeperReply::Opened(state())),
        ("Ended", KeeperReply::Ended { generation: Generation(2), rekey: bytes(b"wrapped keys") }),
        ("Refused", KeeperReply::Refused),
        ("Conflict", KeeperReply::Conflict(Generation(2))),
        ("Put", KeeperReply::Put(list(puttings))),
        ("Records", KeeperReply::Records { records: list(vec![held()]), more: true }),
        ("Newest", KeeperReply::Newest { cursor: Cursor(301), drops: 4 }),
        ("Unknown", KeeperReply::Unknown(list(vec![id]))),
        ("NotErased", KeeperReply::NotErased(List::default())),
        ("Reconcile", KeeperReply::Reconcile(Bytes::default())),
        ("TooMany", KeeperReply::TooMany(1_000_000)),
        ("Rotated", KeeperReply::Rotated),
        ("Done", KeeperReply::Done),
        ("Full", KeeperReply::Full),
        ("Later", KeeperReply::Later { millis: 1500 }),
        ("Unavailable", KeeperReply::Unavailable),
    ]
}

const fn putting() -> [(&'static str, Putting); 3] {
    [("Stored", Putting::Stored(Cursor(301))), ("Known", Putting::Known), ("Full", Putting::Full)]
}

fn parcels() -> [(&'static str, Parcel); 4] {
    let (receipt, left_at) = (sync::receipt(), list(vec![mailbox()]));
    [
        ("Runs", Parcel::Runs(list(vec![entries::run()]))),
        ("Receipt", Parcel::Receipt { receipt, left_at }),
        ("Rekey", Parcel::Rekey { minter: device(1), mint: epochs::mint(2) }),
        ("End", Parcel::End(300)),
    ]
}

fn sealer() -> Sealer {
    let secret = EpochSecret::from_bytes([11; 32]);
    Sealer { mailbox: mailbox(), epoch: secret.epoch(GROUP), secret }
}

fn letter() -> Letter {
    Letter { request: request(), reply: SymmetricKey::from_bytes([12; 32]) }
}

fn answers() -> [(&'static str, LetterAnswer); 2] {
    let secrets = list(vec![EpochSecret::from_bytes([11; 32])]);
    [
        ("Admitted", LetterAnswer::Admitted { mailbox: mailbox(), secrets }),
        ("Declined", LetterAnswer::Declined(Declined::ByPerson)),
    ]
}

/// What a member's node keeps of its groups at keepers.
fn kept() -> Vec<Form> {
    let addresses = contact().addresses;
    let keeper = Keeper { keeper: transport(1), mailbox: mailbox(), addresses };
    let dismiss = Dismiss { keepers: list(vec![entry(1), entry(2)]) };
    let stretch = Stretch { head: entry(1), count: 2 };
    let since = Timestamp::from_millis(1_790_000_000_000);
    let opened = Kept { epoch: Some(sealer().epoch), since, holds: list(vec![stretch]) };
    let sealed = Kept { epoch: None, since, holds: List::default() };
    let records = parcels().map(|(word, parcel)| (word, sealer().seal(&parcel).unwrap()));
    vec![
        form("Keeper", [("keeper", keeper)]),
        form("Dismiss", [("two", dismiss)]),
        form("Parcel", parcels()),
        Form { name: "record", lines: records.to_vec(), again: record_again },
        form("Stretch", [("two", stretch)]),
        form("Kept", [("opened", opened), ("sealed", sealed)]),
        form("Letter", [("letter", letter())]),
        form("LetterAnswer", answers()),
    ]
}

fn record_again(_: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    sealer().seal(&sealer().open(bytes)?).ok()
}

pub(crate) fn forms() -> Vec<Form> {
    kept().into_iter().chain(messages()).collect()
}

fn messages() -> Vec<Form> {
    let greeting = KeeperGreeting {
        version: KEEPER_VERSION,
        challenge: [5; 32],
        quota: 1 << 30,
        retention: 34_560_000_000,
    };
    let by_control = new_generation().sign(&key(72));
    let by_owner = new_generation().sign(&key(70));
    let text = vec![("text", code().to_text().into_bytes())];
    vec![
        form("KeeperCode", [("code", code())]),
        Form { name: "keeper-code-text", lines: text, again: code_again },
        form("NewGeneration", [("two", new_generation())]),
        form("SignedGeneration", [("by-control", by_control), ("by-owner", by_owner)]),
        form("KeeperGreeting", [("greeting", greeting)]),
        form("KeeperRequest", requests()),
        form("NewRecord", [("priority", new_record(true)), ("other", new_record(false))]),
        form("HeldRecord", [("held", held())]),
        form("Putting", putting()),
        form("MailboxState", [("state", state())]),
        form("KeeperReply", replies()),
    ]
}

/// Proofs and signatures of the files hold. Should this fail, nobody opens a mailbox of today.
#[test]
fn m2_golden_proofs_and_generations_hold() {
    for (word, bytes) in files::read("KeeperRequest").unwrap() {
        match KeeperRequest::from_bytes(&bytes).unwrap() {
            KeeperRequest::Open { mailbox, proof, .. } => {
                meeting().check_access(access(71), mailbox, &proof).unwrap();
            }
            KeeperRequest::Drop { drop, proof } => meeting().check_drop(drop, &proof).unwrap(),
            KeeperRequest::Rotate(signed) => {
                assert_eq!(signed.signer(control(72)), Ok(SignedBy::Control), "{word}");
            }
            _ => {}
        }
    }
    let (_, bytes) = files::read("SignedGeneration").unwrap().remove(1);
    let signed: SignedGeneration = cairn_crdt::codec::decode(&bytes, bytes.len()).unwrap();
    assert_eq!(signed.signer(control(72)), Ok(SignedBy::Owner));
}
