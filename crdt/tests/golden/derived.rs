//! What is hashed and derived under each label, and is in no other form.

use cairn_crdt::crypto::domain;
use cairn_crdt::discovery::{Day, DiscoverySecret};
use cairn_crdt::document::change::Actor;
use cairn_crdt::document::kinds::DocumentKind;
use cairn_crdt::document::sealing::{Creation, Owner};
use cairn_crdt::epoch::secret::EpochSecret;
use cairn_crdt::epoch::wrap::tag;
use cairn_crdt::id::{DeviceId, DocumentId, EpochId};
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::log::entry::{Seen, payload_hash};
use cairn_crdt::time::Timestamp;

use crate::entries;
use crate::form::{Form, written_only};
use crate::joining::request;
use crate::values::{GROUP, address, entry, key, rng};

pub(crate) fn forms() -> Vec<Form> {
    let log = entries::log();
    let creation =
        Creation { owner: Owner::Shared, random: [1; 16], kind: DocumentKind::Agreement };
    let secret = EpochSecret::from_bytes([6; 32]);
    let (device, document) = (DeviceId::from_bytes([2; 32]), DocumentId::from_bytes([3; 32]));
    let seed = Seed::from_bytes([5; 32]);
    let discovery = DiscoverySecret::from_bytes([9; 32]);
    let day = Day::of(Timestamp::from_millis(1_790_000_000_000));
    let lines: Vec<(&'static str, Vec<u8>)> = vec![
        ("ENTRY", log[0].id.as_bytes().to_vec()),
        ("PAYLOAD", payload_hash(b"payload").as_bytes().to_vec()),
        ("DOCUMENT", creation.document(GROUP).as_bytes().to_vec()),
        ("ACTOR", Actor::of(device, document).as_bytes().to_vec()),
        ("EPOCH", secret.epoch(GROUP).as_bytes().to_vec()),
        ("RECIPIENT", tag(EpochId::from_bytes([4; 32]), device).to_vec()),
        ("FRONTIER", entries::frontier().digest(GROUP).0.to_vec()),
        ("SEEN", Seen::default().with(entry(1)).digest.to_vec()),
        ("REQUEST", request().id().as_bytes().to_vec()),
        ("TOPIC", domain::hash(domain::TOPIC, &[GROUP.as_bytes()]).to_vec()),
        ("GOSSIP", domain::hash(domain::GOSSIP, &[b"a run"]).to_vec()),
        ("DERIVE_MEMBER", seed.member_key(&[8; 32]).verifying_key().to_vec()),
        ("DERIVE_COUNCIL", seed.council_key(&[8; 32]).verifying_key().to_vec()),
        ("ENVELOPE", secret.envelope_key().as_bytes().to_vec()),
        ("WHEREABOUTS_KEY", discovery.key(day, device).to_vec()),
        ("WHEREABOUTS_SEAL", discovery.seal(&mut rng(5), day, &key(1), 300, &[address()])),
    ];
    vec![Form { name: "derived", lines, again: written_only }]
}
