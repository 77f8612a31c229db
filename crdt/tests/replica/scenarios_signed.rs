//! Entries that the tests sign in a person's name, which the person's own node would not write.

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::id::{EntryId, GrantId};
use cairn_crdt::log::entry::{Control, Header, Kind, SUITE, Sealing, Seen, VERSION, payload_hash};
use cairn_crdt::log::run::{Entry, Run};

use crate::community::Community;
use crate::relay::device_key;

/// Signs control as a person's device, after an entry of its log and under a grant.
pub fn sign(
    c: &Community,
    who: usize,
    after: (u64, EntryId),
    grant: GrantId,
    control: &Control,
) -> (EntryId, Vec<u8>) {
    let entry = signed(c, who, after, grant, control.kind().unwrap(), control.encode());
    (entry.id, Run::new(&[entry], true).unwrap().to_bytes())
}

/// As [`sign`], of any kind and with any payload.
pub fn signed(
    c: &Community,
    who: usize,
    after: (u64, EntryId),
    grant: GrantId,
    kind: Kind,
    payload: Vec<u8>,
) -> Entry {
    let header = Header {
        version: VERSION,
        suite: SUITE,
        group: c.people[who].replica.group(),
        device: c.people[who].replica.device(),
        seq: after.0 + 1,
        prev: after.1,
        grant,
        kind,
        payload: payload_hash(&payload),
        size: u32::try_from(payload.len()).unwrap(),
        sealing: Sealing::Clear,
        seen: Seen::default(),
    };
    Entry::author(&device_key(c, who), header, payload).into_inner()
}

/// A person's highest grant.
pub fn grant_of(c: &Community, who: usize) -> GrantId {
    let standing = &c.people[0].replica.authority().members()[&c.member(who)];
    let highest = standing.grants.iter().max_by_key(|(_, capability)| capability.rank);
    let (grant, capability) = highest.unwrap();
    assert!(capability.rank >= Rank::Reader);
    *grant
}
