//! What is said on a stream (S1, S2, S6).

use cairn_crdt::codec;
use cairn_crdt::crypto::domain;
use cairn_crdt::id::EpochId;
use cairn_crdt::sync::message::{
    Admittance, Message, Passport, PayloadOf, Range, Receipt, Refusal, SYNC_VERSION, Want,
};

use crate::entries;
use crate::form::{Form, form};
use crate::values::{GROUP, SEEN, bytes, device, entry, key, list};

fn admittances() -> [(&'static str, Admittance); 2] {
    [("Member", Admittance::Member), ("Removed", Admittance::Removed)]
}

fn refusals() -> [(&'static str, Refusal); 4] {
    [
        ("NotKnown", Refusal::NotKnown),
        ("Version", Refusal::Version),
        ("Misbehaved", Refusal::Misbehaved),
        ("Busy", Refusal::Busy),
    ]
}

fn want() -> Want {
    Want { device: device(1), head: entry(1), have: list(vec![entry(2), entry(3)]) }
}

fn range() -> Range {
    Range { device: device(1), from: 3, to: 3_000 }
}

fn payload() -> PayloadOf {
    PayloadOf { entry: entry(1), payload: bytes(b"sealed") }
}

fn passport() -> Passport {
    Passport { cards: list(vec![entries::opening()]), grants: list(vec![entries::run()]) }
}

pub(crate) fn receipt() -> Receipt {
    let (count, frontier) = (300_u64, entries::frontier());
    let signed = codec::encode(&(GROUP, count, &frontier));
    let signature = key(1).sign(domain::SIGN_RECEIPT, &signed);
    Receipt { device: device(1), count, frontier, signature }
}

fn messages() -> [(&'static str, Message); 14] {
    let frontier = entries::frontier();
    let hello = Message::Hello {
        version: SYNC_VERSION,
        group: GROUP,
        frontier: frontier.digest(GROUP),
        seen: SEEN,
    };
    [
        ("Hello", hello),
        ("Passport", Message::Passport(passport())),
        ("Welcome", Message::Welcome(Admittance::Member)),
        ("Refused", Message::Refused(Refusal::Busy)),
        ("Frontier", Message::Frontier(frontier)),
        ("Want", Message::Want { wants: list(vec![want()]), content: true }),
        ("Run", Message::Run(entries::run())),
        ("RunsDone", Message::RunsDone),
        ("WantPayloads", Message::WantPayloads(list(vec![range()]))),
        ("Payloads", Message::Payloads(list(vec![payload()]))),
        ("PayloadsDone", Message::PayloadsDone),
        ("Receipt", Message::Receipt(receipt())),
        ("Done", Message::Done { all: true }),
        ("Lacking", Message::Lacking(list(vec![EpochId::from_bytes([4; 32])]))),
    ]
}

pub(crate) fn forms() -> Vec<Form> {
    vec![
        form("Message", messages()),
        form("Admittance", admittances()),
        form("Refusal", refusals()),
        form("Want", [("two", want())]),
        form("Range", [("range", range())]),
        form("PayloadOf", [("payload", payload())]),
        form("Passport", [("one", passport())]),
        form("Receipt", [("receipt", receipt())]),
    ]
}
