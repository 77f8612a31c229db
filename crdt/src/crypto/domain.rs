//! Every label under which something is hashed, derived or signed. A label is used for one thing.

/// Hash of a header: the entry id (L1).
pub const ENTRY: &str = "cairn 2026 v1 entry";
/// Hash of a stored payload (K5).
pub const PAYLOAD: &str = "cairn 2026 v1 payload";
/// Document id (C1).
pub const DOCUMENT: &str = "cairn 2026 v1 document";
/// Automerge actor of a device in a document (C3).
pub const ACTOR: &str = "cairn 2026 v1 actor";
/// Epoch id (K1).
pub const EPOCH: &str = "cairn 2026 v1 epoch";
/// Short name of a recipient inside an epoch (K1).
pub const RECIPIENT: &str = "cairn 2026 v1 epoch recipient";
/// Digest of a frontier (S2).
pub const FRONTIER: &str = "cairn 2026 v1 frontier";
/// Digest of a computed authority (A9).
pub const AUTHORITY: &str = "cairn 2026 v1 authority";
/// One summand of the `seen` digest (L1).
pub const SEEN: &str = "cairn 2026 v1 seen";
/// Checksum at the end of an invitation code (J1).
pub const CODE: &str = "cairn 2026 v1 code";
/// Request id (J2).
pub const REQUEST: &str = "cairn 2026 v1 request";
/// Gossip topic of a group (S3).
pub const TOPIC: &str = "cairn 2026 v1 topic";
/// The name under which bundles are sealed (S5).
pub const BUNDLE: &str = "cairn 2026 v1 bundle";
/// Id of a gossiped message (S3).
pub const GOSSIP: &str = "cairn 2026 v1 gossip";
/// Record id (M1).
pub const RECORD: &str = "cairn 2026 v1 record";
/// Nonce of a record: its first 24 bytes (M1).
pub const RECORD_NONCE: &str = "cairn 2026 v1 record nonce";
/// What a record is deleted by, of the token that deletes it (M1).
pub const ERASE: &str = "cairn 2026 v1 erase";
/// What a keeper keeps of the secret of an invitation (M1).
pub const INVITATION: &str = "cairn 2026 v1 invitation";

/// HKDF info: member key from the recovery seed and the group's salt (I1).
pub const DERIVE_MEMBER: &str = "cairn 2026 v1 derive member";
/// HKDF info: council key from the recovery seed and the group's salt (A10).
pub const DERIVE_COUNCIL: &str = "cairn 2026 v1 derive council";
/// HKDF info: wrap of an epoch secret to one recipient (K1).
pub const WRAP: &str = "cairn 2026 v1 wrap";
/// HKDF info: key for the envelopes sealed under an epoch (K5).
pub const ENVELOPE: &str = "cairn 2026 v1 envelope";
/// HKDF info: key for the secrets that an epoch carries of those before it (K6).
pub const HISTORY: &str = "cairn 2026 v1 history";
/// HKDF info: key for the secret half of an invite's request key (J1).
pub const REQUEST_KEY: &str = "cairn 2026 v1 request key";
/// HKDF info: access key of a mailbox (M2).
pub const DERIVE_ACCESS: &str = "cairn 2026 v1 derive access";
/// HKDF info: control key of a mailbox (M2).
pub const DERIVE_CONTROL: &str = "cairn 2026 v1 derive control";
/// HKDF info: owner's key of a mailbox, and so its name (M2).
pub const DERIVE_OWNER: &str = "cairn 2026 v1 derive owner";
/// HKDF info: from which members' addresses are found (M5).
pub const DERIVE_DISCOVERY: &str = "cairn 2026 v1 derive discovery";
/// HKDF info: key of the records of a mailbox (M1).
pub const RECORD_KEY: &str = "cairn 2026 v1 record key";
/// HKDF info: token that deletes a record (M1).
pub const ERASE_TOKEN: &str = "cairn 2026 v1 erase token";
/// HKDF info: key of the answer to a letter (M2).
pub const REPLY_KEY: &str = "cairn 2026 v1 reply key";
/// HPKE info: a letter in a drop-box (M2).
pub const LETTER: &str = "cairn 2026 v1 letter";
/// HKDF info: where a device puts its whereabouts on one day (M5).
pub const WHEREABOUTS_KEY: &str = "cairn 2026 v1 whereabouts key";
/// HKDF info: key that seals the whereabouts of a group's devices on one day (M5).
pub const WHEREABOUTS_SEAL: &str = "cairn 2026 v1 whereabouts seal";
/// HPKE info: a welcome (K3).
pub const WELCOME: &str = "cairn 2026 v1 welcome";
/// HPKE info: the introduction in a request to join (J2).
pub const INTRODUCTION: &str = "cairn 2026 v1 introduction";

/// Signature of a device over an entry id (L1).
pub const SIGN_ENTRY: &str = "cairn 2026 v1 sign entry";
/// Signature of a member key over a device card (I2).
pub const SIGN_CARD: &str = "cairn 2026 v1 sign card";
/// Countersignature of a transport key over (group, device) (I2).
pub const SIGN_TRANSPORT: &str = "cairn 2026 v1 sign transport";
/// Signature of a member key over an unlinking (A8).
pub const SIGN_UNLINK: &str = "cairn 2026 v1 sign unlink";
/// Signature of a member key over a pin of its own device (A6).
pub const SIGN_PIN: &str = "cairn 2026 v1 sign pin";
/// Signature of a council key over a root act (A10).
pub const SIGN_ROOT: &str = "cairn 2026 v1 sign root";
/// Signature of an invite key over (group, device) (J2).
pub const SIGN_INVITE: &str = "cairn 2026 v1 sign invite";
/// Signature of a device over the frontier that it holds (S6).
pub const SIGN_RECEIPT: &str = "cairn 2026 v1 sign receipt";
/// Signature of an access key over (keeper, client, challenge, mailbox) (M2).
pub const SIGN_ACCESS: &str = "cairn 2026 v1 sign access";
/// Signature of an invite key over (keeper, client, challenge, drop-box) (M2).
pub const SIGN_DROP: &str = "cairn 2026 v1 sign drop";
/// Signature of a control or owner key over a new generation (M2).
pub const SIGN_GENERATION: &str = "cairn 2026 v1 sign generation";
/// Signature of a device over where it is (M5).
pub const SIGN_WHEREABOUTS: &str = "cairn 2026 v1 sign whereabouts";

/// Hashes `parts`, one after the other, under a label. The caller sees to it that the boundaries
/// are fixed or written.
#[must_use]
pub fn hash(label: &'static str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(label);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_label_is_used_twice() {
        let source = include_str!("domain.rs");
        let mut labels: Vec<&str> = source
            .lines()
            .filter(|line| line.starts_with("pub const"))
            .filter_map(|line| line.split('"').nth(1))
            .collect();
        let all = labels.len();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!((labels.len(), all > 20), (all, true));
    }
}
