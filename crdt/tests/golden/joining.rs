//! Invites, codes and requests (J1, J2).

use cairn_crdt::capability::invite::{Code, Contact, Invite, SealedRequestKey};
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::codec::{self, List, Map};
use cairn_crdt::crypto::aead::SymmetricKey;
use cairn_crdt::crypto::{agreement, domain};
use cairn_crdt::id::EpochId;
use cairn_crdt::sync::message::{Declined, Introduction, JoinMessage, Request};
use cairn_crdt::time::Timestamp;

use crate::entries;
use crate::files;
use crate::form::{Form, form};
use crate::values::{
    GROUP, SEEN, address, bytes, device, invite, key, list, member, prekey, public, rng, text,
    transport,
};

fn sealed_key() -> SealedRequestKey {
    let nonce = cairn_crdt::crypto::aead::Nonce::generate(&mut rng(4));
    let epoch = SymmetricKey::from_bytes([6; 32]).derive(domain::REQUEST_KEY, &[]);
    let sealed = epoch.seal(&nonce, invite().as_bytes(), &*prekey(60).to_bytes());
    SealedRequestKey { epoch: EpochId::from_bytes([6; 32]), nonce, sealed: bytes(&sealed) }
}

fn invited(expires: Option<Timestamp>) -> Invite {
    Invite {
        invite: invite(),
        rank: Rank::Member,
        admitters: Map::new([(member(1), 1), (member(2), 500)].into()).unwrap(),
        expires,
        request_key: public(60),
        request_secret: sealed_key(),
    }
}

pub(crate) fn contact() -> Contact {
    Contact { transport: transport(1), addresses: list(vec![bytes(&address()), bytes(&[1, 2])]) }
}

pub(crate) fn code() -> Code {
    Code {
        group: GROUP,
        salt: [8; 32],
        invite_secret: [60; 32],
        request_key: public(60),
        seen: SEEN,
        contacts: list(vec![contact()]),
        keepers: list(vec![contact()]),
    }
}

fn introduction() -> Introduction {
    Introduction { pseudonym: text("quiet heron"), words: text("I would like to join.") }
}

pub(crate) fn request() -> Request {
    let bound = codec::encode(&(GROUP, device(1)));
    let words = codec::encode(&introduction());
    let label = domain::INTRODUCTION;
    let sealed = agreement::seal(&mut rng(5), &public(60), label, &bound, &words).unwrap();
    Request {
        group: GROUP,
        device: device(1),
        opening: entries::opening(),
        invite: invite(),
        proof: key(60).sign(domain::SIGN_INVITE, &bound),
        introduction: bytes(&sealed),
    }
}

fn code_again(_: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let code = Code::from_text(std::str::from_utf8(bytes).ok()?).ok()?;
    Some(code.to_text().into_bytes())
}

pub(crate) fn forms() -> Vec<Form> {
    let declined = [
        ("ByPerson", Declined::ByPerson),
        ("UsedUp", Declined::UsedUp),
        ("Expired", Declined::Expired),
        ("NotHere", Declined::NotHere),
        ("Malformed", Declined::Malformed),
    ];
    let messages = [
        ("Request", JoinMessage::Request(Box::new(request()))),
        ("Waiting", JoinMessage::Waiting),
        ("Admitted", JoinMessage::Admitted),
        ("Declined", JoinMessage::Declined(Declined::Expired)),
    ];
    let lasting = invited(None);
    let ending = invited(Some(Timestamp::from_millis(1_790_000_000_000)));
    let alone = Code { contacts: List::default(), ..code() };
    let written = vec![("text", code().to_text().into_bytes())];
    vec![
        form("Invite", [("lasting", lasting), ("ending", ending)]),
        form("SealedRequestKey", [("sealed", sealed_key())]),
        form("Code", [("alone", alone), ("contact", code())]),
        Form { name: "code-text", lines: written, again: code_again },
        form("Contact", [("two", contact())]),
        form("JoinMessage", messages),
        form("Request", [("request", request())]),
        form("Introduction", [("words", introduction())]),
        form("Declined", declined),
    ]
}

#[test]
fn j2_a_golden_request_opens() {
    let (_, bytes) = files::read("Request").unwrap().remove(0);
    let request: Request = codec::decode(&bytes, bytes.len()).unwrap();
    let bound = codec::encode(&(request.group, request.device));
    let sealed = request.introduction.as_slice();
    let opened = prekey(60).open(domain::INTRODUCTION, &bound, sealed).unwrap();
    assert_eq!(codec::decode(&opened, opened.len()), Ok(introduction()));
}
