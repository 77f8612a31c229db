//! Every size that a stranger can choose, with its bound. Units are in the names or the comments.

/// Entries in one run (L6).
pub const RUN_ENTRIES: usize = 256;
/// Bytes of one payload as stored and sent, sealed.
pub const PAYLOAD_BYTES: usize = 64 * 1024;
/// Bytes of a document change once inflated (C3).
pub const CHANGE_BYTES: usize = 48 * 1024;
/// Bytes of one message between peers.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Bytes of the payloads that one run message carries; the rest of the message is headers.
pub const RUN_PAYLOAD_BYTES: usize = 512 * 1024;
/// Devices in a group that a frontier, an epoch or a cut may name.
pub const DEVICES: usize = 4096;
/// Devices that one epoch is minted for: its entry, with history, fits in [`PAYLOAD_BYTES`].
pub const EPOCH_DEVICES: usize = 1024;
/// Secrets of earlier epochs that one epoch carries in a group with history `all` (K6).
pub const HISTORY_EPOCHS: usize = 64;
/// Devices of one member, and so of one cut.
pub const MEMBER_DEVICES: usize = 64;
/// Logs of one member that are kept (L8): of devices that live, and of those that are gone.
pub const MEMBER_LOGS: usize = 256;
/// Branches of a forked log that are kept (L8).
pub const FORK_BRANCHES: usize = 64;
/// Removals that one grant may cite (A3), hides that one restore may lift (C5).
pub const CITATIONS: usize = 64;
/// Members that one invite may name as admitters.
pub const ADMITTERS: usize = 32;
/// Keys of the council (A10).
pub const COUNCIL: usize = 16;
/// Grants that one `leave` may end.
pub const LEAVE_GRANTS: usize = 64;
/// Payloads that one erasure may name.
pub const ERASED_PAYLOADS: usize = 1024;
/// Keys that one welcome may carry, of either sort.
pub const WELCOME_KEYS: usize = 512;
/// Epochs that a device asks for again at a time (K8).
pub const LACKING_EPOCHS: usize = 64;
/// Bytes of a sealed box inside a control payload.
pub const SEALED_BOX_BYTES: usize = 56 * 1024;
/// Entries without their predecessors that wait, per replica (L2).
pub const PARKED_ENTRIES: usize = 4096;
/// Bytes of payloads of those that wait.
pub const PARKED_BYTES: usize = 16 * 1024 * 1024;
/// Members' nodes that one node looks for by itself.
pub const SOUGHT_PEERS: usize = 24;
/// Ids in the locator of one want.
pub const LOCATOR_IDS: usize = 40;
/// Runs of payloads that one message asks for.
pub const WANTED_RANGES: usize = 4096;
/// Requests to join that wait for an answer.
pub const WAITING_REQUESTS: usize = 256;
/// Requests to join of which is remembered that a person has declined them.
pub const DECLINED_REQUESTS: usize = 1024;
/// Addresses of one peer, in a code or in a profile.
pub const ADDRESSES: usize = 16;
/// Bytes of one address in its binary form.
pub const ADDRESS_BYTES: usize = 256;
/// Bytes of a record that says where a device is: all have this size (M5).
pub const WHEREABOUTS_BYTES: usize = 1024;

/// Operations of one document change: a character of shared text is one (C3).
pub const CHANGE_OPS: usize = 40 * 1024;
/// Changes that one change may name as its dependencies, and actors that it may name (C3).
pub const CHANGE_NAMES: usize = 64;
/// Changes of one document that are looked at; what comes after in canonical order is void.
pub const DOCUMENT_CHANGES: usize = 4096;

/// Characters of a pseudonym.
pub const PSEUDONYM_CHARS: usize = 40;
/// Bytes of a title or of a group's name.
pub const TITLE_BYTES: usize = 200;
/// Bytes of a post's body.
pub const BODY_BYTES: usize = 32 * 1024;
/// Bytes of a content note, a reason, an introduction.
pub const NOTE_BYTES: usize = 2000;
/// Bytes of the agreement.
pub const AGREEMENT_BYTES: usize = 32 * 1024;

/// Keepers that a group uses (M1).
pub const KEEPERS: usize = 8;
/// Secrets that open mailboxes which a device tries, and which a newcomer is given (M2).
pub const MAILBOX_SECRETS: usize = 64;
/// Runs in one record.
pub const PARCEL_RUNS: usize = 256;
/// Stretches of entries that are remembered of one record.
pub const RECORD_STRETCHES: usize = 1024;
/// Records of one mailbox that a device remembers: anyone with its keys can put small ones. Beyond
/// that it takes in only what it put itself.
pub const SHELF_RECORDS: usize = 1024 * 1024;
/// Bytes of one record of a mailbox (M1).
pub const RECORD_BYTES: usize = 640 * 1024;
/// Bytes of the smallest record: padding begins here.
pub const SMALLEST_RECORD: usize = 512;
/// Bytes of one message between a keeper and its client.
pub const KEEPER_MESSAGE_BYTES: usize = 1024 * 1024;
/// Records in one put.
pub const PUT_RECORDS: usize = 64;
/// Records in one answer.
pub const GET_RECORDS: usize = 1024;
/// Bytes of the records in one answer, or in one put; the rest of the message is what names them.
pub const ANSWER_BYTES: usize = 896 * 1024;
/// Records that one message may name.
pub const NAMED_RECORDS: usize = 4096;
/// Bytes of the keys of a new generation, wrapped for each who stays (M2).
pub const REKEY_BYTES: usize = 512 * 1024;
/// Bytes of one message of a set reconciliation.
pub const RECONCILE_BYTES: usize = 64 * 1024;
/// Records that one set reconciliation compares; a larger mailbox is compared in parts.
pub const RECONCILE_RECORDS: usize = 65_536;
/// Drop-boxes of one mailbox.
pub const DROP_BOXES: usize = 128;
/// Records in one drop-box.
pub const DROP_RECORDS: usize = 64;
/// Bytes of one record of a drop-box.
pub const DROP_RECORD_BYTES: usize = 64 * 1024;
