//! Epochs, welcomes and the keyring (K1–K6, K9).

#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::capability::revocation::{Cut, CutHead, Remove};
use cairn_crdt::codec::{self, Bytes, List, Map};
use cairn_crdt::crypto::aead::{Nonce, SymmetricKey, derive};
use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::crypto::domain;
use cairn_crdt::document::kinds::DocumentKind;
use cairn_crdt::document::sealing::{Creation, DocumentKey, Envelope, Owner};
use cairn_crdt::epoch::keyring::{HeldKey, KEPT_PREKEYS, Keyring};
use cairn_crdt::epoch::secret::{Audience, CannotOpen, EpochSecret, Mint};
use cairn_crdt::epoch::welcome::{Keys, NotWelcome, Welcome};
use cairn_crdt::epoch::wrap::{Binding, Wrap, tag};
use cairn_crdt::id::{DeviceId, DocumentId, EntryId, EpochId, GroupId, MemberId, PublicKey};
use cairn_crdt::limits::{
    EPOCH_DEVICES, HISTORY_EPOCHS, MEMBER_DEVICES, PAYLOAD_BYTES, WELCOME_KEYS,
};
use chacha20poly1305::KeyInit as _;
use chacha20poly1305::aead::Aead as _;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

const GROUP: GroupId = GroupId::from_bytes([1; 32]);
const OTHER_GROUP: GroupId = GroupId::from_bytes([2; 32]);

const fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

const MINTER: DeviceId = device(100);

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn prekey(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number.wrapping_add(50); 32])
}

fn devices(numbers: impl IntoIterator<Item = u8>) -> BTreeMap<DeviceId, PublicKey> {
    numbers.into_iter().map(|n| (device(n), prekey(n).public_key())).collect()
}

fn mint(seed: u64, numbers: impl IntoIterator<Item = u8>) -> (EpochSecret, Mint) {
    Mint::fresh(&mut rng(seed), GROUP, MINTER, Audience::Readers, &devices(numbers), &[]).unwrap()
}

fn open(mint: &Mint, number: u8) -> Result<EpochSecret, CannotOpen> {
    mint.open(GROUP, MINTER, device(number), &[prekey(number)])
}

#[test]
fn k1_each_recipient_opens_the_secret_and_nobody_else_does() {
    let (secret, mint) = mint(1, 1..=5);
    assert_eq!(secret.epoch(GROUP), mint.epoch);
    assert_ne!(secret.epoch(OTHER_GROUP), mint.epoch);
    for number in 1..=5 {
        assert!(open(&mint, number).is_ok_and(|opened| opened == secret));
        assert!(mint.names(device(number)));
    }
    assert_eq!(open(&mint, 6).err(), Some(CannotOpen::NotARecipient));
    assert!(!mint.names(device(6)));
    let other = |group, minter, recipient: u8, key: u8| {
        mint.open(group, minter, device(recipient), &[prekey(key)]).err()
    };
    assert_eq!(other(GROUP, MINTER, 1, 1), None);
    assert_eq!(other(OTHER_GROUP, MINTER, 1, 1), Some(CannotOpen::Junk));
    assert_eq!(other(GROUP, device(101), 1, 1), Some(CannotOpen::Junk));
    assert_eq!(other(GROUP, MINTER, 2, 1), Some(CannotOpen::Junk));
    assert_eq!(other(GROUP, MINTER, 1, 2), Some(CannotOpen::Junk));
}

#[test]
fn k1_a_wrap_is_bound_to_every_part_that_the_text_names() {
    let ephemeral = prekey(90);
    let binding = Binding {
        group: GROUP,
        epoch: EpochId::from_bytes([3; 32]),
        minter: MINTER,
        recipient: device(1),
        prekey: prekey(1).public_key(),
        ephemeral: ephemeral.public_key(),
    };
    let sealed = binding.wrap(&ephemeral, &[8; 32]).unwrap();
    assert_eq!(sealed.len(), 48);
    assert!(binding.unwrap(&prekey(1), &sealed).is_ok_and(|opened| *opened == [8; 32]));
    let changed = [
        Binding { group: OTHER_GROUP, ..binding },
        Binding { epoch: EpochId::from_bytes([4; 32]), ..binding },
        Binding { minter: device(101), ..binding },
        Binding { recipient: device(2), ..binding },
        Binding { prekey: prekey(2).public_key(), ..binding },
    ];
    for other in changed {
        assert!(other.unwrap(&prekey(1), &sealed).is_err());
    }
}

/// What a wrap is, made with the libraries alone: X25519, HKDF-SHA256 without salt, info = label ‖
/// 0 ‖ suite ‖ group ‖ epoch ‖ minter ‖ recipient ‖ prekey ‖ ephemeral, XChaCha20-Poly1305.
#[test]
fn k1_a_wrap_opens_by_the_written_format() {
    let (secret, mint) = mint(1, 1..=3);
    let short: Vec<u8> =
        domain::hash(domain::RECIPIENT, &[mint.epoch.as_bytes(), device(2).as_bytes()])[..8].into();
    let wrap = mint.wraps.iter().find(|wrap| wrap.recipient == *short).unwrap();
    let key = x25519_dalek::StaticSecret::from([52; 32]);
    let shared = key.diffie_hellman(&x25519_dalek::PublicKey::from(*mint.ephemeral.as_bytes()));
    let mut info = domain::WRAP.as_bytes().to_vec();
    info.extend([0, 1]);
    info.extend([1; 32]);
    info.extend(mint.epoch.as_bytes());
    info.extend([100; 32]);
    info.extend([2; 32]);
    info.extend(x25519_dalek::PublicKey::from(&key).as_bytes());
    info.extend(mint.ephemeral.as_bytes());
    let mut wrap_key = [0; 32];
    hkdf::Hkdf::<sha2::Sha256>::new(None, shared.as_bytes()).expand(&info, &mut wrap_key).unwrap();
    let cipher = chacha20poly1305::XChaCha20Poly1305::new(&wrap_key.into());
    let opened = cipher.decrypt(&[0; 24].into(), wrap.sealed.as_slice()).unwrap();
    assert_eq!(opened, secret.as_bytes());
}

#[test]
fn k1_a_prekey_of_small_order_harms_its_device_only() {
    let mut all = devices(1..=2);
    all.insert(device(3), PublicKey::from_bytes([0; 32]));
    let (secret, mint) =
        Mint::fresh(&mut rng(1), GROUP, MINTER, Audience::Readers, &all, &[]).unwrap();
    assert!(open(&mint, 1).is_ok_and(|opened| opened == secret));
    assert_eq!(open(&mint, 3).err(), Some(CannotOpen::Junk));
    assert!(mint.is_for_exactly(&all.keys().copied().collect()));
}

/// Anyone could make this wrap without knowing a key: it is sealed under what an all-zero shared
/// secret derives, and holds the right secret of the epoch.
#[test]
fn k1_an_all_zero_shared_secret_is_refused() {
    let (secret, honest) = mint(1, 1..=1);
    let ephemeral = PublicKey::from_bytes([0; 32]);
    let mut info = vec![1];
    info.extend(GROUP.as_bytes());
    info.extend(honest.epoch.as_bytes());
    info.extend(MINTER.as_bytes());
    info.extend(device(1).as_bytes());
    info.extend(prekey(1).public_key().as_bytes());
    info.extend(ephemeral.as_bytes());
    let key = derive(&[], &[0; 32], domain::WRAP, &info);
    let sealed = Bytes::new(key.seal(&Nonce::zero(), &[], secret.as_bytes())).unwrap();
    let wrap = Wrap { recipient: tag(honest.epoch, device(1)), sealed };
    let forged = Mint { ephemeral, wraps: List::new(vec![wrap]).unwrap(), ..honest };
    assert_eq!(open(&forged, 1).err(), Some(CannotOpen::Junk));
}

#[test]
fn k1_a_wrapped_secret_that_is_not_of_the_epoch_is_junk() {
    let (_, honest) = mint(1, 1..=2);
    let ephemeral = prekey(90);
    let binding = |number: u8| Binding {
        group: GROUP,
        epoch: honest.epoch,
        minter: MINTER,
        recipient: device(number),
        prekey: prekey(number).public_key(),
        ephemeral: ephemeral.public_key(),
    };
    let wraps = [1, 2].map(|number| Wrap {
        recipient: tag(honest.epoch, device(number)),
        sealed: Bytes::new(binding(number).wrap(&ephemeral, &[9; 32]).unwrap()).unwrap(),
    });
    let forged = Mint {
        ephemeral: ephemeral.public_key(),
        wraps: List::new(wraps.to_vec()).unwrap(),
        ..honest
    };
    assert!(forged.names(device(1)));
    assert_eq!(open(&forged, 1).err(), Some(CannotOpen::Junk));
}

#[test]
fn k4_a_removed_device_opens_nothing_of_the_epoch_minted_without_it() {
    let (_, before) = mint(1, 1..=3);
    let (secret, after) = mint(2, 1..=2);
    let mut removed = Keyring::new(prekey(3));
    assert!(removed.learn_mint(GROUP, MINTER, device(3), &before).is_ok());
    let learnt = removed.learn_mint(GROUP, MINTER, device(3), &after);
    assert_eq!(learnt.err(), Some(CannotOpen::NotARecipient));
    assert!(removed.epoch(secret.epoch(GROUP)).is_none());
    for borrowed in 1..=2 {
        let opened = after.open(GROUP, MINTER, device(borrowed), removed.prekeys());
        assert_eq!(opened.err(), Some(CannotOpen::Junk));
    }
}

#[test]
fn k2_an_epoch_knows_exactly_whom_it_is_for() {
    let (_, mint) = mint(1, 1..=3);
    let set = |numbers: &[u8]| numbers.iter().map(|n| device(*n)).collect::<BTreeSet<_>>();
    assert!(mint.is_for_exactly(&set(&[1, 2, 3])));
    assert!(!mint.is_for_exactly(&set(&[1, 2])));
    assert!(!mint.is_for_exactly(&set(&[1, 2, 3, 4])));
    assert!(!mint.is_for_exactly(&set(&[1, 2, 4])));
    let readers = set(&[1, 2, 4, 5]);
    assert_eq!(mint.missing(&readers).collect::<Vec<_>>(), [device(4), device(5)]);
}

#[test]
fn k2_the_choice_is_by_seen_then_id_among_what_is_held_and_fits() {
    let mints: Vec<_> = (1..=3).map(|seed| mint(seed, 1..=3)).collect();
    let (wide_secret, wide) = mint(4, 1..=4);
    let (foreign_secret, foreign) =
        Mint::fresh(&mut rng(5), GROUP, MINTER, Audience::Moderators, &devices(1..=3), &[])
            .unwrap();
    let readers: BTreeSet<_> = (1..=3).map(device).collect();
    let mut keyring = Keyring::new(prekey(1));
    let choose = |keyring: &Keyring, candidates: &[(&Mint, u32)]| {
        keyring.choose(candidates.iter().copied(), Audience::Readers, &readers)
    };
    let [one, two, three] = [0, 1, 2].map(|index| &mints[index].1);
    let all = [(one, 5), (two, 7), (three, 7), (&wide, 9), (&foreign, 9)];
    assert_eq!(choose(&keyring, &all), None);
    keyring.learn_epoch(GROUP, wide_secret);
    keyring.learn_epoch(GROUP, foreign_secret);
    assert_eq!(choose(&keyring, &all), None);
    keyring.learn_epoch(GROUP, mints[0].0.clone());
    assert_eq!(choose(&keyring, &all), Some(one.epoch));
    keyring.learn_epoch(GROUP, mints[1].0.clone());
    assert_eq!(choose(&keyring, &all), Some(two.epoch));
    keyring.learn_epoch(GROUP, mints[2].0.clone());
    assert_eq!(choose(&keyring, &all), Some(two.epoch.min(three.epoch)));
    let mut turned = all;
    turned.reverse();
    assert_eq!(choose(&keyring, &turned), Some(two.epoch.min(three.epoch)));
    keyring.forget_epoch(two.epoch.min(three.epoch));
    assert_eq!(choose(&keyring, &all), Some(two.epoch.max(three.epoch)));
    let moderators = keyring.choose(all, Audience::Moderators, &readers);
    assert_eq!(moderators, Some(foreign.epoch));
}

#[test]
fn k6_with_history_all_an_epoch_opens_those_before_it() {
    let (first, first_mint) = mint(1, 1..=2);
    let history = [(first.epoch(GROUP), &first)];
    let (second, second_mint) =
        Mint::fresh(&mut rng(2), GROUP, MINTER, Audience::Readers, &devices(1..=3), &history)
            .unwrap();
    let mut newcomer = Keyring::new(prekey(3));
    let learnt = newcomer.learn_mint(GROUP, MINTER, device(3), &second_mint).unwrap();
    assert_eq!(learnt, [first_mint.epoch, second_mint.epoch]);
    assert!(newcomer.epoch(first_mint.epoch).is_some_and(|held| *held == first));
    let again = newcomer.learn_mint(GROUP, MINTER, device(3), &second_mint);
    assert_eq!(again, Ok(Vec::new()));
    assert_eq!(second_mint.previous(GROUP, MINTER, &first).err(), Some(CannotOpen::History));
    let other_minter = second_mint.previous(GROUP, device(101), &second).err();
    assert_eq!(other_minter, Some(CannotOpen::History));
    assert!(first_mint.previous(GROUP, MINTER, &first).is_ok_and(|none| none.is_empty()));
    let many: Vec<_> = (0..100).map(|n| EpochSecret::from_bytes([n; 32])).collect();
    let many: Vec<_> = many.iter().map(|secret| (secret.epoch(GROUP), secret)).collect();
    let (secret, long) =
        Mint::fresh(&mut rng(3), GROUP, MINTER, Audience::Readers, &devices(1..=1), &many).unwrap();
    let carried = long.previous(GROUP, MINTER, &secret).unwrap_or_default();
    let carried: Vec<_> = carried.iter().map(|(epoch, _)| *epoch).collect();
    let expected: Vec<_> = many.iter().take(HISTORY_EPOCHS).map(|(epoch, _)| *epoch).collect();
    assert_eq!(carried, expected);
}

#[test]
fn k1_the_largest_removal_fits_in_an_entry() {
    let every: BTreeMap<_, _> = (0..=EPOCH_DEVICES)
        .map(|n| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            (DeviceId::from_bytes(id), prekey(1).public_key())
        })
        .collect();
    let some: BTreeMap<_, _> = every.iter().take(EPOCH_DEVICES).map(|(d, k)| (*d, *k)).collect();
    let before: Vec<_> = (0..100).map(|n| EpochSecret::from_bytes([n; 32])).collect();
    let before: Vec<_> = before.iter().map(|secret| (secret.epoch(GROUP), secret)).collect();
    let audience = Audience::ModeratorsAnd(MemberId::from_bytes([7; 32]));
    let too_many = Mint::fresh(&mut rng(1), GROUP, MINTER, audience, &every, &before);
    assert_eq!(too_many.err().map(|error| error.devices), Some(EPOCH_DEVICES + 1));
    let (_, mint) = Mint::fresh(&mut rng(1), GROUP, MINTER, audience, &some, &before).unwrap();
    let head = CutHead { seq: u64::MAX, entry: EntryId::from_bytes([1; 32]) };
    let cut = every.keys().take(MEMBER_DEVICES).map(|device| (*device, head)).collect();
    let remove = Remove {
        subject: MemberId::from_bytes([1; 32]),
        cut: Cut(Map::new(cut).unwrap()),
        epoch: Some(mint),
    };
    assert!(codec::encode(&remove).len() <= PAYLOAD_BYTES);
}

fn envelope(number: u8) -> (EntryId, Envelope) {
    let owner = Owner::Member(MemberId::from_bytes([number; 32]));
    let creation = Creation { owner, random: [number; 16], kind: DocumentKind::Thread };
    let envelope = Envelope {
        document: creation.document(GROUP),
        creation: Some(creation),
        key: DocumentKey::Fresh(SymmetricKey::from_bytes([number; 32])),
    };
    (EntryId::from_bytes([number; 32]), envelope)
}

#[test]
fn k3_a_welcome_opens_for_its_device_in_its_group_only() {
    let secret = EpochSecret::from_bytes([4; 32]);
    let keys = Keys::pack(std::slice::from_ref(&secret), &[envelope(1), envelope(2)]);
    let [keys] = keys.as_slice() else { panic!("one is enough") };
    let to = prekey(1).public_key();
    let welcome = Welcome::seal(&mut rng(1), GROUP, device(1), &to, keys).unwrap();
    let open = |welcome: &Welcome, group, number| welcome.open(group, &[prekey(number)]).err();
    assert!(welcome.open(GROUP, &[prekey(2), prekey(1)]).is_ok_and(|opened| opened == *keys));
    assert_eq!(open(&welcome, GROUP, 2), Some(NotWelcome::DoesNotOpen));
    assert_eq!(open(&welcome, OTHER_GROUP, 1), Some(NotWelcome::DoesNotOpen));
    let other = Welcome { recipient: device(2), ..welcome.clone() };
    assert_eq!(open(&other, GROUP, 1), Some(NotWelcome::DoesNotOpen));
    let small = PublicKey::from_bytes([0; 32]);
    let refused = Welcome::seal(&mut rng(1), GROUP, device(1), &small, keys).err();
    assert_eq!(refused, Some(NotWelcome::BadPrekey));
    let mut keyring = Keyring::new(prekey(1));
    let learnt = keyring.learn_epochs(GROUP, keys);
    assert_eq!(learnt, [secret.epoch(GROUP)]);
}

#[test]
fn k3_many_keys_are_packed_in_several_welcomes_that_each_fit() {
    let epochs: Vec<_> = (0..100).map(|n| EpochSecret::from_bytes([n; 32])).collect();
    let envelopes: Vec<_> = (0..1500).map(|n| envelope((n % 250) as u8)).collect();
    let packed = Keys::pack(&epochs, &envelopes);
    assert!(packed.len() > 1);
    let (mut some, mut others) = (0, 0);
    for keys in &packed {
        let to = prekey(1).public_key();
        assert!(Welcome::seal(&mut rng(1), GROUP, device(1), &to, keys).is_ok());
        assert!(keys.envelopes.len() <= WELCOME_KEYS);
        some += keys.epochs.len();
        others += keys.envelopes.len();
    }
    assert_eq!((some, others), (100, 1500));
    // However near the end of the box the last key comes.
    for n in 0..24 {
        let epochs = &epochs[..n];
        let mixed: Vec<_> = envelopes
            .iter()
            .cloned()
            .map(|(entry, envelope)| {
                let shared = Envelope { key: DocumentKey::Of(entry), ..envelope.clone() };
                (entry, if entry.as_bytes()[0] % 3 == 0 { shared } else { envelope })
            })
            .collect();
        for keys in Keys::pack(epochs, &mixed) {
            let to = prekey(1).public_key();
            assert!(Welcome::seal(&mut rng(1), GROUP, device(1), &to, &keys).is_ok());
        }
    }
    // As many of either sort as a welcome may hold are in one, and one more makes two.
    let secret = |n: u16| {
        let mut bytes = [7; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        EpochSecret::from_bytes(bytes)
    };
    let bound = u16::try_from(WELCOME_KEYS).unwrap();
    let sizes = |epochs: u16, envelopes: u16| -> Vec<usize> {
        let epochs: Vec<_> = (0..epochs).map(secret).collect();
        let small = |n: u16| {
            let entry = EntryId::from_bytes([n as u8; 32]);
            let document = DocumentId::from_bytes([2; 32]);
            let key = DocumentKey::Of(entry);
            (entry, Envelope { document, creation: None, key })
        };
        let envelopes: Vec<_> = (0..envelopes).map(small).collect();
        let packed = Keys::pack(&epochs, &envelopes);
        packed.iter().map(|keys| keys.epochs.len() + keys.envelopes.len()).collect()
    };
    assert_eq!((sizes(bound, 0), sizes(bound + 1, 0)), (vec![512], vec![512, 1]));
    assert_eq!((sizes(0, bound), sizes(0, bound + 1)), (vec![512], vec![512, 1]));
    assert!(Keys::pack(&[], &[]).is_empty());
}

#[test]
fn k8_an_epoch_wrapped_to_an_earlier_prekey_still_opens() {
    let (_, mint) = mint(1, 1..=1);
    let mut keyring = Keyring::new(prekey(1));
    for number in 2..=KEPT_PREKEYS as u8 {
        keyring.rotate(prekey(number));
    }
    assert!(keyring.learn_mint(GROUP, MINTER, device(1), &mint).is_ok());
    let mut late = Keyring::new(prekey(1));
    for number in 2..=KEPT_PREKEYS as u8 + 1 {
        late.rotate(prekey(number));
    }
    assert_eq!(late.prekeys().len(), KEPT_PREKEYS);
    let refused = late.learn_mint(GROUP, MINTER, device(1), &mint).err();
    assert_eq!(refused, Some(CannotOpen::Junk));
}

#[test]
fn k5_a_document_key_goes_on_within_its_epoch_and_no_further() {
    let mut keyring = Keyring::new(prekey(1));
    let (entry, carried) = envelope(1);
    let [epoch, next] = [1, 2].map(|n| EpochId::from_bytes([n; 32]));
    let is_fresh = |keyring: &Keyring, epoch, last| {
        let (named, key) = keyring.key_to_write(&mut rng(1), epoch, last);
        match named {
            DocumentKey::Fresh(fresh) => {
                assert!(fresh == key);
                true
            }
            DocumentKey::Of(of) => {
                assert!(of == entry && key == SymmetricKey::from_bytes([1; 32]));
                false
            }
        }
    };
    assert!(is_fresh(&keyring, epoch, None));
    assert!(is_fresh(&keyring, epoch, Some((entry, epoch))));
    keyring.learn_envelope(entry, &carried);
    assert!(!is_fresh(&keyring, epoch, Some((entry, epoch))));
    assert!(is_fresh(&keyring, next, Some((entry, epoch))));
}

#[test]
fn k7_what_is_forgotten_is_gone_and_what_is_stored_comes_back() {
    let (secret, _) = mint(1, 1..=1);
    let mut keyring = Keyring::new(prekey(1));
    let epoch = keyring.learn_epoch(GROUP, secret);
    let ((one, first), (two, second)) = (envelope(1), envelope(2));
    keyring.learn_envelope(one, &first);
    keyring.learn_envelope(two, &second);
    keyring.forget_document(first.document);
    assert!(keyring.document_key(one).is_none());
    assert!(keyring.document_key(two).is_some());
    let parts = |keyring: &Keyring| {
        (keyring.prekeys().to_vec(), keyring.epochs().clone(), keyring.documents().clone())
    };
    let (prekeys, epochs, documents) = parts(&keyring);
    let mut again = Keyring::from_parts(prekeys, epochs, documents).unwrap();
    assert!(again.epoch(epoch).is_some() && again.document_key(two).is_some());
    again.forget_epoch(epoch);
    assert!(again.epoch(epoch).is_none());
    let none: BTreeMap<EntryId, HeldKey> = BTreeMap::new();
    assert!(Keyring::from_parts(Vec::new(), BTreeMap::new(), none).is_none());
    let (three, reference) = (
        EntryId::from_bytes([3; 32]),
        Envelope {
            document: DocumentId::from_bytes([3; 32]),
            creation: None,
            key: DocumentKey::Of(two),
        },
    );
    again.learn_envelope(three, &reference);
    assert!(again.document_key(three).is_none());
}
