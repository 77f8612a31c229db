//! Payloads of control (I2, A1–A10, C5).

use cairn_crdt::authority::sign_root;
use cairn_crdt::capability::grant::{Council, Genesis, Grant, History, RootAct, RootAction};
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::capability::revocation::{
    ConfirmErase, Cut, Erase, Hide, Leave, Pin, PinRight, Remove, Replace, Restore, Revoke,
};
use cairn_crdt::codec::List;
use cairn_crdt::id::GrantId;
use cairn_crdt::identity::device::{Card, Rotate, Unlink};
use cairn_crdt::identity::seed::Seed;

use crate::epochs;
use crate::form::{Form, form};
use crate::values::{
    GRANT, GROUP, cut, device, entry, head, invite, list, member, member_key, public, transport,
    transport_key,
};

pub(crate) fn council() -> Council {
    let keys = [1, 2, 3].map(|number| council_seed(number).council_key(&[8; 32]).verifying_key());
    Council { keys: list(keys.to_vec()), threshold: 2 }
}

fn council_seed(number: u8) -> Seed {
    Seed::from_bytes([number; 32])
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        salt: [8; 32],
        founder: member(1),
        version: 1,
        history: History::All,
        council: council(),
    }
}

pub(crate) fn card() -> Card {
    member_key(1).sign_card(GROUP, device(1), 2, public(1), &transport_key(1))
}

pub(crate) fn grant() -> Grant {
    Grant {
        subject: member(2),
        rank: Rank::Moderator,
        abilities: Abilities::usual(Rank::Moderator),
        cites: list(vec![entry(3), entry(4)]),
        invite: Some(invite()),
    }
}

fn least() -> Grant {
    let (rank, abilities) = (Rank::Reader, Abilities::READ);
    Grant { subject: member(3), rank, abilities, cites: List::default(), invite: None }
}

fn remove() -> Remove {
    Remove { subject: member(2), cut: cut(), epoch: Some(epochs::mint(1)) }
}

fn root(action: RootAction) -> RootAct {
    let previous = entry(6);
    let signatures = [0, 2].map(|index: u8| {
        let key = council_seed(index + 1).council_key(&[8; 32]);
        (index, sign_root(&key, GROUP, previous, &action))
    });
    RootAct { previous, action, signatures: list(signatures.to_vec()) }
}

fn actions() -> [(&'static str, RootAction); 4] {
    [
        ("Rotate", RootAction::Rotate(council())),
        ("Raise", RootAction::Raise { version: 2 }),
        ("Grant", RootAction::Grant(grant())),
        ("Remove", RootAction::Remove(remove())),
    ]
}

fn rotate() -> [(&'static str, Rotate); 2] {
    let signed = member_key(1).sign_card(GROUP, device(1), 0, public(1), &transport_key(2));
    let transport = Rotate::Transport { key: transport(2), signature: signed.transport_signature };
    [("Prekey", Rotate::Prekey(public(2))), ("Transport", transport)]
}

fn pins() -> [(&'static str, PinRight); 2] {
    let signature = member_key(1).sign_pin(GROUP, device(1), 5, entry(5));
    [("Rank", PinRight::Rank), ("Member", PinRight::Member(member(1), signature))]
}

fn devices() -> Vec<Form> {
    let signature = member_key(1).sign_unlink(GROUP, device(1), 5, entry(5));
    let unlink =
        Unlink { member: member(1), device: device(1), seq: 5, entry: entry(5), signature };
    let history = [("SinceJoining", History::SinceJoining), ("All", History::All)];
    vec![
        form("Genesis", [("genesis", genesis())]),
        form("History", history),
        form("Council", [("three", council())]),
        form("Card", [("card", card())]),
        form("Rotate", rotate()),
        form("Unlink", [("unlink", unlink)]),
    ]
}

fn capabilities() -> Vec<Form> {
    let ranks = ["Reader", "Member", "Moderator", "Steward", "Founder"];
    let ranks = ranks.into_iter().zip(Rank::GRANTABLE).chain([("Root", Rank::Root)]);
    let end = entry(9);
    let revoke = |epoch| Revoke { grant: GRANT, cut: cut(), epoch };
    let removing = Remove { cut: Cut::default(), epoch: None, ..remove() };
    let replace = Replace { grant: GRANT, cut: cut(), with: least() };
    let pin = |by| Pin { device: device(1), head: head(5, 5), by };
    let leave = Leave { grants: list(vec![GRANT, GrantId::of(entry(8))]), cut: cut() };
    vec![
        form("Grant", [("most", grant()), ("least", least())]),
        form("Rank", ranks),
        form("CutHead", [("head", head(300, 5))]),
        form("Cut", [("empty", Cut::default()), ("two", cut())]),
        form("Revoke", [("bare", revoke(None)), ("minting", revoke(Some(epochs::mint(2))))]),
        form("Remove", [("bare", removing), ("minting", remove())]),
        form("Replace", [("replace", replace)]),
        form("Pin", pins().map(|(word, by)| (word, pin(by)))),
        form("PinRight", pins()),
        form("Leave", [("leave", leave)]),
        form("RootAct", actions().map(|(word, action)| (word, root(action)))),
        form("RootAction", actions()),
        form("Hide", [("hide", Hide { created: end })]),
        form("Restore", [("two", Restore { hides: list(vec![entry(1), entry(2)]) })]),
        form("Erase", [("two", Erase { created: end, changes: list(vec![entry(1), entry(2)]) })]),
        form("ConfirmErase", [("confirm", ConfirmErase { erase: end })]),
    ]
}

pub(crate) fn forms() -> Vec<Form> {
    devices().into_iter().chain(capabilities()).collect()
}
