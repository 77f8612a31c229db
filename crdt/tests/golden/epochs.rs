//! Epochs and welcomes (K1, K3, K6).

use std::collections::BTreeMap;

use cairn_crdt::codec;
use cairn_crdt::epoch::secret::{Audience, EpochSecret, Mint};
use cairn_crdt::epoch::welcome::{Keys, Welcome};
use cairn_crdt::id::{DeviceId, MemberId, PublicKey};

use crate::documents;
use crate::files;
use crate::form::{Form, form};
use crate::values::{GROUP, entry, list, prekey, rng};

const MINTER: DeviceId = DeviceId::from_bytes([100; 32]);

const fn recipient(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

fn recipients(number: u8) -> BTreeMap<DeviceId, PublicKey> {
    (1..=number).map(|n| (recipient(n), prekey(n).public_key())).collect()
}

const fn audiences() -> [(&'static str, Audience); 4] {
    let member = MemberId::from_bytes([7; 32]);
    [
        ("Readers", Audience::Readers),
        ("Moderators", Audience::Moderators),
        ("ModeratorsAnd", Audience::ModeratorsAnd(member)),
        ("Mailbox", Audience::Mailbox),
    ]
}

/// An epoch for so many devices.
pub(crate) fn mint(number: u8) -> Mint {
    let (_, mint) = Mint::fresh(
        &mut rng(u64::from(number)),
        GROUP,
        MINTER,
        Audience::Readers,
        &recipients(number),
        &[],
    )
    .unwrap();
    mint
}

/// An epoch for so many devices that carries the secret of one before it.
fn carrying(number: u8) -> Mint {
    let before = EpochSecret::from_bytes([number; 32]);
    let history = [(before.epoch(GROUP), &before)];
    let (_, audience) = audiences()[2];
    let minted =
        Mint::fresh(&mut rng(9), GROUP, MINTER, audience, &recipients(number), &history).unwrap();
    minted.1
}

fn keys() -> Keys {
    let [creating, following] = documents::envelopes();
    let secrets = [11, 12].map(|number| EpochSecret::from_bytes([number; 32]));
    Keys {
        epochs: list(secrets.to_vec()),
        envelopes: list(vec![(entry(1), creating), (entry(2), following)]),
    }
}

fn welcome() -> Welcome {
    let prekey = prekey(1).public_key();
    Welcome::seal(&mut rng(3), GROUP, recipient(1), &prekey, &keys()).unwrap()
}

pub(crate) fn forms() -> Vec<Form> {
    let mints = [
        ("one", mint(1)),
        ("two", mint(2)),
        ("three", mint(3)),
        ("one-carrying", carrying(1)),
        ("two-carrying", carrying(2)),
        ("three-carrying", carrying(3)),
    ];
    vec![
        form("Mint", mints),
        form("Audience", audiences()),
        form("Wrap", [("wrap", mint(1).wraps.as_slice()[0].clone())]),
        form("Welcome", [("welcome", welcome())]),
        form("Keys", [("none", Keys::default()), ("some", keys())]),
    ]
}

/// The epochs of the file open, for each of their devices. Should this fail, old epochs no longer
/// do.
#[test]
fn k1_epochs_have_these_bytes() {
    for (word, bytes) in files::read("Mint").unwrap() {
        let mint: Mint = codec::decode(&bytes, bytes.len()).unwrap();
        let number = u8::try_from(mint.wraps.len()).unwrap();
        for n in 1..=number {
            let secret = mint.open(GROUP, MINTER, recipient(n), &[prekey(n)]).unwrap();
            let before = mint.previous(GROUP, MINTER, &secret).unwrap();
            assert_eq!(before.len(), usize::from(word.ends_with("-carrying")), "{word}");
            let carried = EpochSecret::from_bytes([number; 32]);
            assert!(before.iter().all(|(_, secret)| *secret == carried), "{word}");
        }
    }
}

#[test]
fn k3_a_golden_welcome_opens() {
    let (_, bytes) = files::read("Welcome").unwrap().remove(0);
    let welcome: Welcome = codec::decode(&bytes, bytes.len()).unwrap();
    assert!(welcome.open(GROUP, &[prekey(1)]).is_ok_and(|opened| opened == keys()));
}
