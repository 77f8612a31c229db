//! The fixed values that all forms are made from. Nothing here may ever change.

use cairn_crdt::capability::revocation::{Cut, CutHead};
use cairn_crdt::codec::{Bytes, List, Map, Text};
use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{
    DeviceId, EntryId, GrantId, GroupId, InviteId, MemberId, PublicKey, TransportKey,
};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::log::entry::Seen;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

pub(crate) const GROUP: GroupId = GroupId::from_bytes([1; 32]);
pub(crate) const GRANT: GrantId = GrantId::of(entry(9));
pub(crate) const SEEN: Seen = Seen { count: 300, digest: [3; 16] };

pub(crate) const fn entry(number: u8) -> EntryId {
    EntryId::from_bytes([number; 32])
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

pub(crate) fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes(key(number).verifying_key())
}

pub(crate) fn member_key(number: u8) -> MemberKey {
    MemberKey::new(key(number.wrapping_add(100)))
}

pub(crate) fn member(number: u8) -> MemberId {
    member_key(number).id()
}

pub(crate) fn transport_key(number: u8) -> SigningKey {
    key(number.wrapping_add(200))
}

pub(crate) fn transport(number: u8) -> TransportKey {
    TransportKey::from_bytes(transport_key(number).verifying_key())
}

pub(crate) fn prekey(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number.wrapping_add(50); 32])
}

pub(crate) fn public(number: u8) -> PublicKey {
    prekey(number).public_key()
}

pub(crate) fn invite() -> InviteId {
    InviteId::from_bytes(key(60).verifying_key())
}

pub(crate) fn list<T, const MAX: usize>(values: Vec<T>) -> List<T, MAX> {
    List::new(values).unwrap()
}

pub(crate) fn bytes<const MAX: usize>(value: &[u8]) -> Bytes<MAX> {
    Bytes::new(value.to_vec()).unwrap()
}

pub(crate) fn text<const MAX: usize>(value: &str) -> Text<MAX> {
    Text::new(value).unwrap()
}

pub(crate) const fn head(seq: u64, number: u8) -> CutHead {
    CutHead { seq, entry: entry(number) }
}

pub(crate) fn cut() -> Cut {
    Cut(Map::new([(device(2), head(7, 17)), (device(3), head(300, 18))].into()).unwrap())
}

pub(crate) fn address() -> Vec<u8> {
    vec![4, 127, 0, 0, 1, 6, 1, 187]
}
