//! The persona behind a replica: its keys and its own view of where it stands. Kept in the
//! encrypted store as one record.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::capability::grant::RootAct;
use crate::capability::invite::Code;
use crate::codec;
use crate::crypto::agreement::SecretKey;
use crate::crypto::signing::SigningKey;
use crate::epoch::keyring::KEPT_PREKEYS;
use crate::id::{DeviceId, EntryId, EpochId, GroupId, InviteId, MemberId, PublicKey, RequestId};
use crate::identity::member::MemberKey;
use crate::replica::allowance::Allowance;
use crate::replica::keepers::Letters;
use crate::replica::prekeys::Help;
use crate::replica::retention::Retention;
use crate::replica::rollback::Rollback;
use crate::time::Timestamp;

/// Bytes that a stored persona may have.
const PERSONA_BYTES: usize = 16 * 1024 * 1024;
/// What a record begins with, before its version. One from before there were versions begins with
/// the id of its group.
const RECORD_MARK: &[u8] = b"cairn persona";
/// The form of a record that this build writes.
const RECORD_VERSION: u8 = 1;

/// Where a replica stands in its group, as far as it knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ReplicaState {
    /// Asked to join; nobody has answered, or a person has yet to.
    Waiting,
    /// Is a member.
    Member,
    /// Was a member, and is no longer.
    Removed,
    /// Asked to join and was declined.
    Declined,
    /// Left.
    Left,
}

/// A persona's keys and standing. Wiped when dropped; has no `Debug`.
pub(crate) struct Persona {
    pub(crate) group: GroupId,
    pub(crate) member: MemberKey,
    pub(crate) device: SigningKey,
    pub(crate) transport: SigningKey,
    /// The prekeys that are kept, newest last; never empty (K8).
    pub(crate) prekeys: Vec<Prekey>,
    /// An epoch was processed since the prekey was last replaced, and when it is due for that.
    pub(crate) rotation: Rotation,
    /// What other devices were helped with lately (K8).
    pub(crate) help: Help,
    /// Devices that this persona has moved on from (I4).
    pub(crate) rollback: Rollback,
    /// What came out of use (K7).
    pub(crate) retention: Retention,
    /// Secret halves of the request keys of invites whose epoch's secret is gone (K7).
    pub(crate) request_secrets: BTreeMap<InviteId, Zeroizing<[u8; 32]>>,
    pub(crate) state: ReplicaState,
    /// The last time that this device put on anything (C6).
    pub(crate) clock: Timestamp,
    /// While joining: what to say.
    pub(crate) joining: Option<Joining>,
    /// The name to publish once a member.
    pub(crate) pseudonym: String,
    /// Invites of this member that admit without asking.
    pub(crate) at_once: BTreeSet<InviteId>,
    /// Requests that a person here has declined: they are told so when they ask again (J2).
    pub(crate) declined: BTreeSet<RequestId>,
    /// Devices that this one has admitted lately, and the entries whose keys it owes them (K3).
    pub(crate) owed: BTreeMap<DeviceId, BTreeSet<EntryId>>,
    /// Receipts signed so far (S6).
    pub(crate) receipts: u64,
    /// The act of the council that this person signed last: no other with its predecessor (A10).
    pub(crate) signed: Option<RootAct>,
    /// Documents written again today because a replacement had voided them (A2).
    pub(crate) rewritten: Allowance,
    /// Epochs minted today because the one in use may have leaked (K2).
    pub(crate) leaked: Allowance,
    /// Epochs that open mailboxes and whose entries may still be to come, newest last (M2).
    pub(crate) mailbox_epochs: Vec<EpochId>,
    /// Letters from drop-boxes that are not answered yet (M2).
    pub(crate) letters: Letters,
}

/// A prekey and since when it is in use: the one before it was in use until then.
pub(crate) struct Prekey {
    pub(crate) secret: SecretKey,
    pub(crate) since: Timestamp,
}

/// Whether the prekey is to be replaced (K8).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Rotation {
    /// No epoch was processed since it was.
    None,
    /// One was, just now.
    Wanted,
    /// At this time.
    Due(Timestamp),
}

/// What a newcomer holds until it is admitted.
pub(crate) struct Joining {
    pub(crate) code: Code,
    pub(crate) words: String,
}

/// A record as it was before there were versions. Later ones go on where it ends.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Record {
    #[zeroize(skip)]
    group: GroupId,
    member: [u8; 32],
    device: [u8; 32],
    transport: [u8; 32],
    prekeys: Vec<([u8; 32], u64)>,
    #[zeroize(skip)]
    rotation: Rotation,
    #[zeroize(skip)]
    help: Help,
    #[zeroize(skip)]
    rollback: Rollback,
    #[zeroize(skip)]
    retention: Retention,
    request_secrets: Vec<([u8; 32], [u8; 32])>,
    #[zeroize(skip)]
    state: ReplicaState,
    #[zeroize(skip)]
    clock: Timestamp,
    joining: Option<(String, String)>,
    pseudonym: String,
    #[zeroize(skip)]
    at_once: BTreeSet<InviteId>,
    #[zeroize(skip)]
    declined: BTreeSet<RequestId>,
    #[zeroize(skip)]
    owed: BTreeMap<DeviceId, BTreeSet<EntryId>>,
    receipts: u64,
}

/// What version 1 has besides.
#[derive(Default, Serialize, Deserialize)]
struct Since1 {
    signed: Option<RootAct>,
    rewritten: Allowance,
    leaked: Allowance,
    mailbox_epochs: Vec<EpochId>,
    letters: Letters,
}

impl Persona {
    /// A new device of a member, with keys from `rng`.
    pub(crate) fn generate<R: CryptoRng>(
        now: Timestamp,
        rng: &mut R,
        group: GroupId,
        member: MemberKey,
        pseudonym: String,
    ) -> Self {
        Self {
            group,
            member,
            device: SigningKey::generate(rng),
            transport: SigningKey::generate(rng),
            prekeys: vec![Prekey { secret: SecretKey::generate(rng), since: now }],
            rotation: Rotation::None,
            help: Help::default(),
            rollback: Rollback::default(),
            retention: Retention::default(),
            request_secrets: BTreeMap::new(),
            state: ReplicaState::Waiting,
            clock: Timestamp::default(),
            joining: None,
            pseudonym,
            at_once: BTreeSet::new(),
            declined: BTreeSet::new(),
            owed: BTreeMap::new(),
            receipts: 0,
            signed: None,
            rewritten: Allowance::default(),
            leaked: Allowance::default(),
            mailbox_epochs: Vec::new(),
            letters: Letters::new(),
        }
    }

    /// Becomes another device of the same member: new device and transport keys, and a new prekey
    /// beside those that are kept (I4).
    pub(crate) fn renew<R: CryptoRng>(&mut self, now: Timestamp, rng: &mut R) {
        self.rollback.moved(self.device_id());
        self.device = SigningKey::generate(rng);
        self.transport = SigningKey::generate(rng);
        self.add_prekey(now, SecretKey::generate(rng));
        self.rotation = Rotation::None;
        self.receipts = 0;
    }

    /// A new prekey takes over; the last [`KEPT_PREKEYS`] stay (K8).
    pub(crate) fn add_prekey(&mut self, now: Timestamp, secret: SecretKey) {
        self.prekeys.push(Prekey { secret, since: now });
        let extra = self.prekeys.len().saturating_sub(KEPT_PREKEYS);
        self.prekeys.drain(..extra);
    }

    /// The public half of the newest prekey.
    pub(crate) fn prekey(&self) -> PublicKey {
        let newest = self.prekeys.last().map(|prekey| prekey.secret.public_key());
        newest.unwrap_or(PublicKey::from_bytes([0; 32]))
    }

    /// The prekeys as a keyring has them, oldest first.
    pub(crate) fn secrets(&self) -> Vec<SecretKey> {
        self.prekeys.iter().map(|prekey| prekey.secret.clone()).collect()
    }

    /// The invite that a newcomer came by.
    pub(crate) fn invite(&self) -> Option<InviteId> {
        let secret = &self.joining.as_ref()?.code.invite_secret;
        Some(InviteId::from_bytes(SigningKey::from_seed(secret).verifying_key()))
    }

    pub(crate) fn member_id(&self) -> MemberId {
        self.member.id()
    }

    pub(crate) fn device_id(&self) -> DeviceId {
        DeviceId::from_bytes(self.device.verifying_key())
    }

    /// For the encrypted store.
    pub(crate) fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let record = Record {
            group: self.group,
            member: *self.member.signing_key().to_seed(),
            device: *self.device.to_seed(),
            transport: *self.transport.to_seed(),
            prekeys: self
                .prekeys
                .iter()
                .map(|prekey| (*prekey.secret.to_bytes(), prekey.since.as_millis()))
                .collect(),
            rotation: self.rotation,
            help: self.help.clone(),
            rollback: self.rollback.clone(),
            retention: self.retention.clone(),
            request_secrets: self
                .request_secrets
                .iter()
                .map(|(invite, secret)| (*invite.as_bytes(), **secret))
                .collect(),
            state: self.state,
            clock: self.clock,
            joining: self
                .joining
                .as_ref()
                .map(|joining| (joining.code.to_text(), joining.words.clone())),
            pseudonym: self.pseudonym.clone(),
            at_once: self.at_once.clone(),
            declined: self.declined.clone(),
            owed: self.owed.clone(),
            receipts: self.receipts,
        };
        let since = Since1 {
            signed: self.signed.clone(),
            rewritten: self.rewritten,
            leaked: self.leaked,
            mailbox_epochs: self.mailbox_epochs.clone(),
            letters: self.letters.clone(),
        };
        let parts = Zeroizing::new(codec::encode(&(&record, &since)));
        let version = [RECORD_VERSION];
        Zeroizing::new([RECORD_MARK, version.as_slice(), parts.as_slice()].concat())
    }

    /// From the encrypted store; `None` if the record cannot be read.
    pub(crate) fn from_record(bytes: &[u8]) -> Option<Self> {
        let (record, since): (Record, Since1) = match bytes.strip_prefix(RECORD_MARK) {
            None => (codec::decode(bytes, PERSONA_BYTES).ok()?, Since1::default()),
            Some(versioned) => match versioned.split_first()? {
                (&RECORD_VERSION, parts) => codec::decode(parts, PERSONA_BYTES).ok()?,
                _ => return None,
            },
        };
        if record.prekeys.is_empty() {
            return None;
        }
        let joining = match &record.joining {
            None => None,
            Some((code, words)) => {
                Some(Joining { code: Code::from_text(code).ok()?, words: words.clone() })
            }
        };
        Some(Self {
            group: record.group,
            member: MemberKey::new(SigningKey::from_seed(&record.member)),
            device: SigningKey::from_seed(&record.device),
            transport: SigningKey::from_seed(&record.transport),
            prekeys: record
                .prekeys
                .iter()
                .map(|(secret, since)| Prekey {
                    secret: SecretKey::from_bytes(secret),
                    since: Timestamp::from_millis(*since),
                })
                .collect(),
            rotation: record.rotation,
            help: record.help.clone(),
            rollback: record.rollback.clone(),
            retention: record.retention.clone(),
            request_secrets: record
                .request_secrets
                .iter()
                .map(|(invite, secret)| (InviteId::from_bytes(*invite), Zeroizing::new(*secret)))
                .collect(),
            state: record.state,
            clock: record.clock,
            joining,
            pseudonym: record.pseudonym.clone(),
            at_once: record.at_once.clone(),
            declined: record.declined.clone(),
            owed: record.owed.clone(),
            receipts: record.receipts,
            signed: since.signed,
            rewritten: since.rewritten,
            leaked: since.leaked,
            mailbox_epochs: since.mailbox_epochs,
            letters: since.letters,
        })
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn a_persona_comes_back_from_its_record_and_from_nothing_shorter() {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
        let member = MemberKey::new(SigningKey::from_seed(&[1; 32]));
        let group = GroupId::from_bytes([7; 32]);
        let now = Timestamp::from_millis(7);
        let persona = Persona::generate(now, &mut rng, group, member, "Heron".to_owned());
        let record = persona.to_record();
        let read = Persona::from_record(&record).unwrap();
        assert_eq!(read.device_id(), persona.device_id());
        assert_eq!(read.to_record(), record);
        assert!(Persona::from_record(&record[1..]).is_none());
        let later = [RECORD_MARK, &[RECORD_VERSION + 1], &record[RECORD_MARK.len() + 1..]].concat();
        assert!(Persona::from_record(&later).is_none(), "of a version that is not known");
    }
}
