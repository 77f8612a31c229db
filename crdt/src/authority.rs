//! Who is a member and what counts: a pure function of the set (A1-A11).
//!
//! ```text
//! LogSet ──evaluate──► Authority ──counting──► counts | suspended | parked | void (rule, entry)
//!                                ──decision──► Authorized<Entry>, ReadGrant
//! ```
//!
//! The rules, and why they are as they are, stand in `docs/authority.md`. What must stay true:
//! the same set gives the same [`Authority::digest`]; evaluation is total; and it costs one pass
//! over the control entries (content only counts where a log is forked).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::capability::grant::Council;
use crate::capability::rank::{Abilities, Rank};
use crate::codec;
use crate::crypto::domain;
use crate::epoch::secret::Audience;
use crate::id::{DeviceId, EntryId, GrantId, MemberId, PublicKey, TransportKey};
use crate::log::entry::{Control, Kind};
use crate::log::set::LogSet;

use counting::Grounds;
use erasure::Documents;
use evaluate::Evaluation;

pub use change::Changes;
pub use council::{root_signature_holds, sign_root};
pub use counting::{Counting, Rule};
pub use device::Device;
pub use erasure::Erasure;
pub use granted::needed_to_grant;

mod change;
mod council;
mod counting;
mod cut;
pub mod decision;
mod device;
mod erasure;
mod evaluate;
mod fork;
mod granted;
mod keepers;

/// Hash of everything that an evaluation says about members, devices, documents and control
/// entries (A9).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub struct AuthorityDigest(pub [u8; 32]);

/// What a live grant confers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Capability {
    /// How high it stands.
    pub rank: Rank,
    /// What it allows.
    pub abilities: Abilities,
    /// Who issued it; `None` for the genesis and the council.
    pub issuer: Option<MemberId>,
    /// The grant that it was issued under; [`GrantId::NONE`] for those.
    pub issued_under: GrantId,
}

/// A member with at least one live grant.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its live grants.
    pub grants: BTreeMap<GrantId, Capability>,
    /// Its live devices.
    pub devices: BTreeSet<DeviceId>,
}

impl Standing {
    /// Its highest rank.
    #[must_use]
    pub fn rank(&self) -> Option<Rank> {
        self.grants.values().map(|capability| capability.rank).max()
    }
}

/// What ended a grant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// The rank that spoke; `None`: the member itself left (A8).
    pub rank: Option<Rank>,
    /// The acts whose cuts decide together, by rising id (A5).
    pub by: Vec<EntryId>,
}

/// The evaluation of a set.
#[derive(Clone, Debug)]
pub struct Authority {
    grounds: Grounds,
    documents: Documents,
    members: BTreeMap<MemberId, Standing>,
    devices: BTreeMap<DeviceId, Device>,
    transports: BTreeMap<TransportKey, DeviceId>,
    forks: BTreeMap<DeviceId, BTreeSet<(u64, EntryId)>>,
    not_counting: BTreeMap<EntryId, Counting>,
    orphaned: BTreeSet<EntryId>,
    suspended_denials: BTreeSet<EntryId>,
    awaited: BTreeSet<EntryId>,
    council: Option<Council>,
    last_root_act: Option<EntryId>,
    version: u16,
    digest: AuthorityDigest,
}

impl Authority {
    /// Evaluates a set. Total: every set has an answer, the empty one too.
    #[must_use]
    pub fn evaluate(set: &LogSet) -> Self {
        let Evaluation { grounds, acts, documents, .. } = Evaluation::of(set);
        let documents = documents.settle(set, &grounds);
        let devices = device::devices(set, &grounds);
        let mut authority = Self {
            transports: device::transports(&devices),
            members: standings(&grounds, &devices),
            forks: evaluate::forks(set),
            not_counting: BTreeMap::new(),
            orphaned: BTreeSet::new(),
            suspended_denials: BTreeSet::new(),
            awaited: evaluate::awaited(set),
            council: acts.council,
            last_root_act: acts.last,
            version: acts.version,
            digest: AuthorityDigest([0; 32]),
            grounds,
            documents,
            devices,
        };
        authority.explain(set);
        authority.digest = authority.hash(set);
        authority
    }

    /// Finds the control entries that do not count.
    fn explain(&mut self, set: &LogSet) {
        for id in set.control().keys() {
            let Some(place) = self.grounds.place(set, id) else { continue };
            let counting = self.grounds.decide(set, &place);
            if counting.counts() {
                continue;
            }
            self.not_counting.insert(*id, counting);
            let denies = matches!(
                place.kind,
                Kind::REVOKE | Kind::REMOVE | Kind::REPLACE | Kind::HIDE | Kind::ROOT
            );
            if denies && counting.denies() {
                self.suspended_denials.insert(*id);
            }
            if matches!(place.kind, Kind::REVOKE | Kind::REMOVE | Kind::REPLACE)
                && let Ok(grant) = self.grounds.exercised(&place)
                && !matches!(grant.base, Counting::Void { .. })
            {
                let cut = self.grounds.by_cut(set, &place, grant);
                let unlinked = self.grounds.unless_unlinked(set, &place);
                if [cut, unlinked].iter().any(|side| matches!(side, Counting::Void { .. })) {
                    self.orphaned.insert(*id);
                }
            }
        }
    }

    fn hash(&self, set: &LogSet) -> AuthorityDigest {
        let control: Vec<(&EntryId, Counting)> = set
            .control()
            .keys()
            .map(|id| (id, self.not_counting.get(id).copied().unwrap_or(Counting::Counts)))
            .collect();
        let hidden = &self.documents.hidden;
        let erased = &self.documents.erased;
        let bytes = codec::encode(&(
            set.group(),
            (control, &self.members, &self.devices, &self.forks),
            (hidden, erased, &self.orphaned, &self.suspended_denials),
            (&self.council, self.last_root_act, self.version),
        ));
        AuthorityDigest(domain::hash(domain::AUTHORITY, &[&bytes]))
    }

    /// The same set, the same digest.
    #[must_use]
    pub const fn digest(&self) -> AuthorityDigest {
        self.digest
    }

    /// Everybody with a live grant.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<MemberId, Standing> {
        &self.members
    }

    /// A member's highest live rank.
    #[must_use]
    pub fn rank_of(&self, member: &MemberId) -> Option<Rank> {
        self.members.get(member).and_then(Standing::rank)
    }

    /// The member for whom a device acts, live or not. `None` if its log opens with two cards
    /// and nothing has decided between them.
    #[must_use]
    pub fn member_of(&self, device: &DeviceId) -> Option<MemberId> {
        self.devices.get(device).map(|device| device.member)
    }

    /// The member whose entry this is: by the card on its own path.
    #[must_use]
    pub fn author(&self, set: &LogSet, entry: &EntryId) -> Option<MemberId> {
        let place = self.grounds.place(set, entry)?;
        self.grounds.member(place.device, place.at)
    }

    /// A device.
    #[must_use]
    pub fn device(&self, device: &DeviceId) -> Option<&Device> {
        self.devices.get(device)
    }

    /// All devices, live or not.
    #[must_use]
    pub const fn devices(&self) -> &BTreeMap<DeviceId, Device> {
        &self.devices
    }

    /// The live device of a live member that goes by a transport key (I2).
    #[must_use]
    pub fn device_of_transport(&self, key: &TransportKey) -> Option<DeviceId> {
        let id = self.transports.get(key)?;
        let device = self.devices.get(id)?;
        let standing = self.members.get(&device.member)?;
        standing.devices.contains(id).then_some(*id)
    }

    /// The device that goes by a transport key, whatever became of it and its member.
    #[must_use]
    pub fn known_transport(&self, key: &TransportKey) -> Option<DeviceId> {
        self.transports.get(key).copied()
    }

    /// The devices of an audience with their current prekeys (K9). Readers are the live devices
    /// of those who hold a live grant to read; of moderators, one of at least that rank. The one
    /// member of a private word is included whether or not it still is one: a removed member is
    /// told why.
    #[must_use]
    pub fn readers(&self, audience: Audience) -> BTreeMap<DeviceId, PublicKey> {
        let floor = match audience {
            Audience::Readers | Audience::Mailbox => Rank::Reader,
            Audience::Moderators | Audience::ModeratorsAnd(_) => Rank::Moderator,
        };
        let reads = |member: &MemberId| {
            let grants = self.members.get(member).map(|standing| &standing.grants);
            grants.into_iter().flat_map(BTreeMap::values).any(|capability| {
                capability.rank >= floor && capability.abilities.contains(Abilities::READ)
            })
        };
        let listed = |device: &Device| match audience {
            Audience::ModeratorsAnd(member) if member == device.member => true,
            _ => reads(&device.member),
        };
        let live = self.devices.iter().filter(|(_, device)| device.live && listed(device));
        live.filter_map(|(id, device)| Some((*id, *device.prekeys.last()?))).collect()
    }

    /// Whether an entry of the set counts, and if not, why.
    #[must_use]
    pub fn counting(&self, set: &LogSet, entry: &EntryId) -> Counting {
        match self.grounds.place(set, entry) {
            Some(place) => self.grounds.decide(set, &place),
            None => Counting::Unknown,
        }
    }

    /// The control entries that do not count in full, with the reasons.
    #[must_use]
    pub const fn not_counting(&self) -> &BTreeMap<EntryId, Counting> {
        &self.not_counting
    }

    /// The hide in force on a document, by the entry that created it (C5).
    #[must_use]
    pub fn hidden(&self, created: &EntryId) -> Option<EntryId> {
        self.documents.hidden.get(created).copied()
    }

    /// The erasure in force on a document, by the entry that created it (C5).
    #[must_use]
    pub fn erased(&self, created: &EntryId) -> Option<&Erasure> {
        self.documents.erased.get(created)
    }

    /// All erasures in force, by the entry that created the document.
    #[must_use]
    pub const fn erasures(&self) -> &BTreeMap<EntryId, Erasure> {
        &self.documents.erased
    }

    /// The act that ended the last grant of one who is no member any more: the removal or
    /// revocation of the highest grant, or what made the grant's issuer fall. `None` for members,
    /// strangers, and whoever left.
    #[must_use]
    pub fn removed(&self, member: &MemberId) -> Option<EntryId> {
        if self.members.contains_key(member) {
            return None;
        }
        let mut grants: Vec<_> = self
            .grounds
            .grants
            .values()
            .filter(|granted| granted.subject == *member && !granted.broken)
            .collect();
        grants.sort_by_key(|granted| (!granted.base.counts(), core::cmp::Reverse(granted.rank)));
        grants.into_iter().find_map(|granted| match granted.base {
            Counting::Void { by, .. } => Some(by),
            _ => {
                let cutting = self.grounds.cuttings.get(granted.ended?)?;
                cutting.rank.and(cutting.statements.first()).copied()
            }
        })
    }

    /// Whether someone was a member and left of their own accord.
    #[must_use]
    pub fn has_left(&self, member: &MemberId) -> bool {
        self.rank_of(member).is_none() && self.was_member(member) && self.removed(member).is_none()
    }

    /// The highest grant that a member was ever validly given, whatever became of it.
    #[must_use]
    pub fn highest_ever(&self, member: &MemberId) -> Option<GrantId> {
        let grants = self.grounds.grants.iter();
        let own = grants.filter(|(_, granted)| granted.subject == *member && !granted.broken);
        own.max_by_key(|(_, granted)| granted.rank).map(|(id, _)| *id)
    }

    /// Whether a member was ever validly granted anything.
    #[must_use]
    pub fn was_member(&self, member: &MemberId) -> bool {
        let mut grants = self.grounds.grants.values();
        grants.any(|granted| granted.subject == *member && !granted.broken)
    }

    /// A grant's capability, live or not; `None` if it is unknown or breaks A1.
    #[must_use]
    pub fn grant(&self, grant: &GrantId) -> Option<(MemberId, Capability)> {
        let granted = self.grounds.grants.get(&self.grounds.resolve(*grant))?;
        (!granted.broken).then(|| (granted.subject, capability(granted)))
    }

    /// What ended a grant; `None` if nothing did. A grant that nothing ended may still not be
    /// live: its own entry may not count.
    #[must_use]
    pub fn ended(&self, grant: &GrantId) -> Option<Ended> {
        let granted = self.grounds.grants.get(&self.grounds.resolve(*grant))?;
        let cutting = self.grounds.cuttings.get(granted.ended?)?;
        Some(Ended { rank: cutting.rank, by: cutting.statements.clone() })
    }

    /// Forked logs: the children of every forked entry, by sequence number (L8).
    #[must_use]
    pub const fn forks(&self) -> &BTreeMap<DeviceId, BTreeSet<(u64, EntryId)>> {
        &self.forks
    }

    /// Removals and revocations that are void only because their author's own log was cut before
    /// them: somebody may want to say them again (A9).
    #[must_use]
    pub const fn orphaned(&self) -> &BTreeSet<EntryId> {
        &self.orphaned
    }

    /// Denials that count although their log is forked (A7).
    #[must_use]
    pub const fn suspended_denials(&self) -> &BTreeSet<EntryId> {
        &self.suspended_denials
    }

    /// The removals of a member that have not been superseded or do not count for less: what a
    /// new grant has to cite (A3).
    #[must_use]
    pub fn removals_of(&self, set: &LogSet, member: &MemberId) -> BTreeSet<EntryId> {
        let concerns = |control: &Control| match control {
            Control::Remove(remove) => remove.subject == *member,
            Control::Root(act) => match &act.action {
                crate::capability::grant::RootAction::Remove(remove) => remove.subject == *member,
                _ => false,
            },
            _ => false,
        };
        let all = set.control().iter().filter(|(_, control)| concerns(control));
        all.map(|(id, _)| *id).filter(|id| self.counting(set, id).denies()).collect()
    }

    /// Whether the answer may be another once `entry` has been added to the set: it is control,
    /// it forks its log, or a cut, pin or act on a document names it. After entries had to go
    /// (L8) it always may.
    #[must_use]
    pub fn is_stale_after(&self, set: &LogSet, entry: &EntryId) -> bool {
        let control = set.slot(entry).is_none_or(|slot| slot.kind.is_control());
        let forks = || {
            let Some((device, seq)) = set.place_of(entry) else { return true };
            set.log(&device).is_some_and(|log| log.forked().contains(&(seq, *entry)))
        };
        control || self.awaited.contains(entry) || forks()
    }

    /// Which content may count for something else than before.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Changes {
        change::between(before, self)
    }

    /// The council in force; `None` if it is unsound and nobody can act for the root (A10).
    #[must_use]
    pub const fn council(&self) -> Option<&Council> {
        self.council.as_ref()
    }

    /// The act that the next root act has to name. `None` while two contend: the root is frozen.
    #[must_use]
    pub const fn last_root_act(&self) -> Option<EntryId> {
        self.last_root_act
    }

    /// Version of the rules in force. Above [`crate::capability::grant::GROUP_VERSION`] this
    /// build may write nothing (L4).
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }
}

fn capability(granted: &granted::Granted) -> Capability {
    Capability {
        rank: granted.rank,
        abilities: granted.abilities,
        issuer: granted.issuer,
        issued_under: granted.under,
    }
}

fn standings(
    grounds: &Grounds,
    devices: &BTreeMap<DeviceId, Device>,
) -> BTreeMap<MemberId, Standing> {
    let mut members: BTreeMap<MemberId, Standing> = BTreeMap::new();
    for (id, granted) in grounds.grants.iter().filter(|(_, granted)| granted.is_live()) {
        let standing = members.entry(granted.subject).or_default();
        standing.grants.insert(*id, capability(granted));
    }
    for (id, device) in devices.iter().filter(|(_, device)| device.live) {
        if let Some(standing) = members.get_mut(&device.member) {
            standing.devices.insert(*id);
        }
    }
    members
}
