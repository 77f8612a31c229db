//! Laws (b) and (c): what one more entry can do to the standing of others (A2-A8).
//!
//! The entry is each tip of the set in turn: the set without it is what was there before.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::authority::{Authority, Counting};
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::capability::revocation::PinRight;
use cairn_crdt::id::{DeviceId, EntryId, GrantId, MemberId};
use cairn_crdt::log::entry::{Control, Kind};
use cairn_crdt::log::set::LogSet;

use crate::laws::{Report, Scene, ids};
use crate::parts::{Part, heads};

pub(crate) const REVIVAL: &str = "b: revival";
pub(crate) const STANDING: &str = "c: standing";

/// Tips of a set that are tried.
const TIPS: usize = 8;

pub(crate) fn try_on(scene: &mut Scene, report: &mut Report) {
    let parts = scene.parts.clone();
    let mut tips = parts.tips();
    while tips.len() > TIPS {
        tips.swap_remove(scene.dice.roll(tips.len()));
    }
    for tip in tips {
        let fewer = parts.without(&tip.id);
        let before = Authority::evaluate(&fewer);
        let step = Step {
            seed: scene.seed,
            tip,
            authors: authors(&scene.authority, &scene.set, tip),
            before: (&fewer, &before),
            after: (&scene.set, &scene.authority),
        };
        let rank = step.rank();
        step.revives(rank, report);
        step.changes(rank, report);
    }
}

/// One more entry: what was before, and what is after.
struct Step<'a> {
    seed: u64,
    tip: &'a Part,
    /// Whose word it is.
    authors: BTreeSet<MemberId>,
    before: (&'a LogSet, &'a Authority),
    after: (&'a LogSet, &'a Authority),
}

/// Whose word an entry is: its author's; of what a member key signed that member's; and if its log
/// opens with several cards, of all for whom this device has spoken (I2).
fn authors(authority: &Authority, set: &LogSet, part: &Part) -> BTreeSet<MemberId> {
    let mut authors: BTreeSet<MemberId> = authority.author(set, &part.id).into_iter().collect();
    if let Some(Control::Unlink(unlink)) = &part.control {
        authors.insert(unlink.member);
    }
    let openings = set.log(&part.device).into_iter().flat_map(|log| log.at(0));
    authors.extend(openings.filter_map(|(id, _)| match set.control().get(&id) {
        Some(Control::Card(card)) => Some(card.member),
        _ => None,
    }));
    authors
}

/// The highest rank that a member's valid grants ever gave it.
fn highest(authority: &Authority, set: &LogSet, member: MemberId) -> Option<Rank> {
    let grants = set.control().keys().filter_map(|id| authority.grant(&GrantId::of(*id)));
    grants.filter(|(subject, _)| *subject == member).map(|(_, capability)| capability.rank).max()
}

impl Step<'_> {
    /// The rank with which the entry speaks: that of its grant. What it does by being there at all
    /// (it forks a log, or is a head that others have named) and what its member key signed speaks
    /// about everything that its author did, and so with the highest rank that it ever had.
    fn rank(&self) -> Option<Rank> {
        let (set, authority) = self.after;
        let counting = authority.counting(set, &self.tip.id);
        if self.tip.slot.kind == Kind::ROOT && counting.denies() {
            return Some(Rank::Root);
        }
        let forks = set
            .log(&self.tip.device)
            .is_some_and(|log| log.forked().contains(&(self.tip.seq, self.tip.id)));
        let named = named(set, &self.tip.id);
        let own = match &self.tip.control {
            Some(Control::Pin(pin)) => matches!(pin.by, PinRight::Member(..)),
            _ => self.tip.slot.grant == GrantId::NONE,
        };
        if forks || named || own {
            return self.authors.iter().filter_map(|who| highest(authority, set, *who)).max();
        }
        let (subject, capability) = authority.grant(&self.tip.slot.grant)?;
        self.authors.contains(&subject).then_some(capability.rank)
    }

    /// Law (b): a grant that an act of rank k ended comes back by nobody of rank k or below, but
    /// for who said it.
    fn revives(&self, rank: Option<Rank>, report: &mut Report) {
        let (old, new) = (live(self.before.1), live(self.after.1));
        for grant in new.difference(&old).filter(|grant| self.before.0.contains(&grant.entry())) {
            for (by, k) in ended(self.before.1, self.before.0, *grant) {
                let above = rank > k;
                let takes_back = self.takes_back(&by);
                report.coverage.add(if above {
                    "revived from above"
                } else {
                    "revived by its author"
                });
                report.hold(REVIVAL, above || takes_back, || {
                    let kind = self.tip.slot.kind;
                    format!("set {}: {kind:?} of rank {rank:?} lifted an act of {k:?}", self.seed)
                });
            }
        }
    }

    /// Whether the entry is a statement of the same member as `act` that takes its place: a later
    /// one on its branch (A5), or one that the member key signed or that leaves (A6, A8); or both
    /// are acts of the council.
    fn takes_back(&self, act: &EntryId) -> bool {
        let (set, authority) = self.after;
        let kind = set.slot(act).map(|slot| slot.kind);
        if self.tip.slot.kind == Kind::ROOT && kind == Some(Kind::ROOT) {
            return true;
        }
        if !authority.author(set, act).is_some_and(|author| self.authors.contains(&author)) {
            return false;
        }
        let (device, seq) = set.place_of(act).unwrap();
        let log = set.log(&device).unwrap();
        let later = device == self.tip.device && log.on_path(self.tip.seq, &self.tip.id, seq, act);
        let pins = |entry: &EntryId| matches!(set.control().get(entry), Some(Control::Pin(_)));
        match &self.tip.control {
            Some(Control::Unlink(_) | Control::Leave(_)) => true,
            Some(Control::Pin(pin)) if matches!(pin.by, PinRight::Member(..)) => true,
            Some(Control::Pin(_)) => later && pins(act),
            Some(Control::Remove(_) | Control::Revoke(_) | Control::Replace(_)) => {
                later && !pins(act)
            }
            _ => false,
        }
    }

    /// Law (c): whoever ranks at least as high, the author aside, is what it was, and so is
    /// everything that was done under a grant as high.
    fn changes(&self, rank: Option<Rank>, report: &mut Report) {
        let shielded = |of: Rank| rank.is_none_or(|rank| of >= rank);
        let who = || format!("set {}: {:?} of rank {rank:?}", self.seed, self.tip.slot.kind);
        let standing = |authority: &Authority| -> BTreeMap<(MemberId, GrantId), Rank> {
            let members = authority.members().iter();
            members
                .flat_map(|(member, standing)| {
                    standing.grants.iter().map(|(id, grant)| ((*member, *id), grant.rank))
                })
                .filter(|((member, _), of)| !self.authors.contains(member) && shielded(*of))
                .collect()
        };
        let (old, new) = (standing(self.before.1), standing(self.after.1));
        report.hold(STANDING, old == new, || format!("{} changed {old:?} to {new:?}", who()));
        let devices = |authority: &Authority, member| -> BTreeSet<DeviceId> {
            authority
                .members()
                .get(member)
                .map(|standing| standing.devices.clone())
                .unwrap_or_default()
        };
        for member in self.before.1.members().keys() {
            let tops = (self.before.1.rank_of(member), self.after.1.rank_of(member));
            if let (Some(a), Some(b)) = tops
                && shielded(a.min(b))
                && !self.authors.contains(member)
            {
                let alike = devices(self.before.1, member) == devices(self.after.1, member);
                report.hold(STANDING, alike, || format!("{} changed devices", who()));
            }
        }
        let mut changed = false;
        for id in ids(self.before.0) {
            let (old, new) = (
                self.before.1.counting(self.before.0, &id),
                self.after.1.counting(self.after.0, &id),
            );
            // That a head which was waited for is another log's makes what waited void: neither
            // counts for anything.
            let waited = !old.denies() && !new.denies() && matches!(old, Counting::Parked { .. });
            if old == new || waited {
                continue;
            }
            changed = true;
            let of = self.before.0.slot(&id).unwrap().grant;
            let of = self.before.1.grant(&of).map(|(_, capability)| capability.rank);
            let author = self.after.1.author(self.after.0, &id);
            let own = author.is_some_and(|author| self.authors.contains(&author));
            if let (Some(of), false) = (of, own) {
                report.hold(STANDING, !shielded(of), || {
                    format!("{} made of {old:?} {new:?} under a grant of {of:?}", who())
                });
            }
        }
        if changed {
            report.coverage.add("one more entry changed another");
        }
        if live(self.before.1) != live(self.after.1) {
            report.coverage.add("one more entry changed who is a member");
        }
    }
}

fn live(authority: &Authority) -> BTreeSet<GrantId> {
    authority.members().values().flat_map(|standing| standing.grants.keys()).copied().collect()
}

/// Whether a cut or a pin of the set names an entry as its head.
fn named(set: &LogSet, entry: &EntryId) -> bool {
    set.control().values().any(|control| heads(control).contains(entry))
}

/// Whose acts ended a grant, and of what rank they are, if any did: those that touch it, or what
/// made it void.
fn ended(authority: &Authority, set: &LogSet, grant: GrantId) -> Vec<(EntryId, Option<Rank>)> {
    if let Some(ended) = authority.ended(&grant) {
        return ended.by.iter().map(|by| (*by, ended.rank)).collect();
    }
    let Counting::Void { by, .. } = authority.counting(set, &grant.entry()) else {
        return Vec::new();
    };
    let under = || authority.grant(&set.slot(&by)?.grant).map(|(_, capability)| capability.rank);
    let rank = match set.control().get(&by) {
        Some(Control::Root(_)) => Some(Rank::Root),
        // The member's own word, which any superior's stands above.
        Some(Control::Leave(_) | Control::Unlink(_)) => None,
        Some(Control::Pin(pin)) if matches!(pin.by, PinRight::Member(..)) => None,
        _ => under(),
    };
    vec![(by, rank)]
}
