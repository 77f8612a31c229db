//! Who acts: six people, three of whom have two devices, in a group whose council is two of three.

use std::sync::LazyLock;

use cairn_crdt::capability::grant::{Council, GROUP_VERSION, Genesis, History};
use cairn_crdt::codec::List;
use cairn_crdt::crypto::aead::Nonce;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{DeviceId, EntryId, EpochId, GrantId, GroupId, MemberId, PublicKey};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::Entry;
use cairn_crdt::log::set::LogSet;

/// Members.
pub(super) const PEOPLE: usize = 6;
/// The member of each device; the first is the founder's.
pub(super) const DEVICES: [usize; 9] = [0, 1, 2, 3, 4, 5, 1, 2, 3];
/// Keys of the council.
pub(super) const COUNCIL: usize = 3;

pub(super) struct Cast {
    pub(super) group: GroupId,
    /// Genesis and the card of every device.
    pub(super) set: LogSet,
    pub(super) cards: Vec<Entry>,
    /// For every device a card of the next member with the next device's transport key.
    pub(super) other_cards: Vec<Control>,
    pub(super) people: Vec<MemberKey>,
    pub(super) devices: Vec<SigningKey>,
    pub(super) council: Vec<SigningKey>,
}

pub(super) fn cast() -> &'static Cast {
    static CAST: LazyLock<Cast> = LazyLock::new(Cast::new);
    &CAST
}

fn key(role: u8, number: usize) -> SigningKey {
    let mut seed = [role; 32];
    seed[0] = number as u8;
    SigningKey::from_seed(&seed)
}

/// An entry; unsigned, for few of them are ever sent.
pub(super) fn entry(header: Header, payload: Vec<u8>) -> Entry {
    let size = payload.len() as u32;
    let header = Header { payload: payload_hash(&payload), size, ..header };
    Entry { id: header.id(), header, payload: Some(payload), signature: None }
}

pub(super) fn header(group: GroupId, device: DeviceId, kind: Kind) -> Header {
    let sealing = if kind.is_control() {
        Sealing::Clear
    } else {
        Sealing::Sealed { epoch: EpochId::from_bytes([0; 32]), nonce: Nonce::zero() }
    };
    Header {
        version: VERSION,
        suite: SUITE,
        group,
        device,
        seq: 0,
        prev: EntryId::NONE,
        grant: GrantId::NONE,
        kind,
        payload: payload_hash(&[]),
        size: 0,
        sealing,
        seen: Seen::default(),
    }
}

impl Cast {
    fn new() -> Self {
        let people: Vec<MemberKey> = (0..PEOPLE).map(|n| MemberKey::new(key(1, n))).collect();
        let devices: Vec<SigningKey> = (0..DEVICES.len()).map(|n| key(2, n)).collect();
        let transports: Vec<SigningKey> = (0..DEVICES.len()).map(|n| key(3, n)).collect();
        let council: Vec<SigningKey> = (0..COUNCIL).map(|n| key(4, n)).collect();
        let ids: Vec<DeviceId> =
            devices.iter().map(|key| DeviceId::from_bytes(key.verifying_key())).collect();
        let keys = council.iter().map(SigningKey::verifying_key).collect();
        let genesis = Control::Genesis(Genesis {
            salt: [0; 32],
            founder: people[0].id(),
            version: GROUP_VERSION,
            history: History::SinceJoining,
            council: Council { keys: List::new(keys).unwrap(), threshold: 2 },
        });
        let genesis = entry(header(GroupId::GENESIS, ids[0], Kind::GENESIS), genesis.encode());
        let group = genesis.header.group();
        let card = |device: usize, member: usize, transport: usize| {
            let prekey = PublicKey::from_bytes([device as u8; 32]);
            let transport = &transports[transport];
            Control::Card(people[member].sign_card(group, ids[device], 0, prekey, transport))
        };
        let mut cards = Vec::new();
        let mut other_cards = Vec::new();
        for (device, member) in DEVICES.into_iter().enumerate() {
            let mut header = header(group, ids[device], Kind::CARD);
            if device == 0 {
                (header.seq, header.prev) = (1, genesis.id);
            }
            cards.push(entry(header, card(device, member, device).encode()));
            let other = (device + 1) % DEVICES.len();
            other_cards.push(card(device, (member + 1) % PEOPLE, other));
        }
        let mut set = LogSet::new(group);
        for entry in std::iter::once(&genesis).chain(&cards) {
            set.insert(&entry.clone().from_store()).unwrap();
        }
        Self { group, set, cards, other_cards, people, devices, council }
    }

    pub(super) fn member(&self, number: usize) -> MemberId {
        self.people[number].id()
    }

    pub(super) fn device(&self, number: usize) -> DeviceId {
        self.cards[number].header.device
    }

    pub(super) fn key_of(&self, device: &DeviceId) -> Option<&SigningKey> {
        let place = self.cards.iter().position(|card| card.header.device == *device)?;
        self.devices.get(place)
    }
}
