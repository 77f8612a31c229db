//! One device's log, signed as a node would.

use cairn_crdt::capability::grant::{Council, GROUP_VERSION, Genesis, History};
use cairn_crdt::capability::revocation::Hide;
use cairn_crdt::codec::List;
use cairn_crdt::crypto::aead::Nonce;
use cairn_crdt::crypto::signing::SigningKey;
use cairn_crdt::id::{DeviceId, EntryId, EpochId, GrantId, GroupId, PublicKey};
use cairn_crdt::identity::member::MemberKey;
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Run, RunRefused, Verified};
use cairn_crdt::log::set::LogSet;

pub(crate) const GRANT: GrantId = GrantId::of(EntryId::from_bytes([9; 32]));

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

pub(crate) fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes(key(number).verifying_key())
}

/// One device's log under construction, in a group that it founded.
#[derive(Clone)]
pub(crate) struct Author {
    pub(crate) group: GroupId,
    pub(crate) number: u8,
    pub(crate) entries: Vec<Entry>,
}

impl Author {
    /// Device 1: genesis, then its card.
    pub(crate) fn founder() -> Self {
        let member = MemberKey::new(key(101));
        let genesis = Genesis {
            salt: [0; 32],
            founder: member.id(),
            version: GROUP_VERSION,
            history: History::SinceJoining,
            council: Council { keys: List::default(), threshold: 0 },
        };
        let mut author = Self { group: GroupId::GENESIS, number: 1, entries: Vec::new() };
        author.control(GrantId::NONE, &Control::Genesis(genesis));
        author.group = author.entries[0].header.group();
        author.card();
        author
    }

    /// Another device of the same group; its log opens with a card.
    pub(crate) fn other(number: u8) -> Self {
        let mut author = Self { group: Self::founder().group, number, entries: Vec::new() };
        author.card();
        author
    }

    pub(crate) fn card(&mut self) {
        let member = MemberKey::new(key(100 + self.number));
        let transport = key(200 + self.number);
        let prekey = PublicKey::from_bytes([5; 32]);
        let card = member.sign_card(self.group, device(self.number), 0, prekey, &transport);
        self.control(GrantId::NONE, &Control::Card(card));
    }

    pub(crate) fn control(&mut self, grant: GrantId, control: &Control) {
        let header = self.header(control.kind().unwrap(), grant);
        self.sign(header, control.encode());
    }

    pub(crate) fn content(&mut self, text: &[u8]) {
        let header = Header { sealing: sealed(1), ..self.header(Kind::CONTENT, GRANT) };
        self.sign(header, text.to_vec());
    }

    pub(crate) fn header(&self, kind: Kind, grant: GrantId) -> Header {
        let before = self.entries.last();
        Header {
            version: VERSION,
            suite: SUITE,
            group: self.group,
            device: device(self.number),
            seq: before.map_or(0, |entry| entry.header.seq + 1),
            prev: before.map_or(EntryId::NONE, |entry| entry.id),
            grant,
            kind,
            payload: payload_hash(&[]),
            size: 0,
            sealing: Sealing::Clear,
            seen: Seen { count: 2, digest: [3; 16] },
        }
    }

    pub(crate) fn sign(&mut self, header: Header, payload: Vec<u8>) {
        self.entries.push(signed(self.number, header, payload));
    }
}

pub(crate) fn signed(number: u8, header: Header, payload: Vec<u8>) -> Entry {
    let size = u32::try_from(payload.len()).unwrap();
    let header = Header { payload: payload_hash(&payload), size, ..header };
    Entry::author(&key(number), header, payload).into_inner()
}

pub(crate) const fn sealed(epoch: u8) -> Sealing {
    Sealing::Sealed { epoch: EpochId::from_bytes([epoch; 32]), nonce: Nonce::zero() }
}

/// A founder's log: card, then content under one epoch, then under another, then control.
pub(crate) fn log() -> Author {
    let mut author = Author::founder();
    for text in [b"one".as_slice(), b"two", b"three!"] {
        author.content(text);
    }
    let header = Header { sealing: sealed(2), ..author.header(Kind::CONTENT, GRANT) };
    author.sign(header, b"four".to_vec());
    author.control(GRANT, &Control::Hide(hide()));
    author
}

pub(crate) const fn hide() -> Hide {
    Hide { created: EntryId::from_bytes([7; 32]) }
}

pub(crate) fn verified(
    author: &Author,
    entries: &[Entry],
) -> Result<Vec<Verified<Entry>>, RunRefused> {
    Run::new(entries, true).unwrap().verify(author.group)
}

pub(crate) fn gather(group: GroupId, entries: impl IntoIterator<Item = Entry>) -> LogSet {
    let mut set = LogSet::new(group);
    for entry in entries {
        set.insert(&entry.from_store()).unwrap();
    }
    set
}
