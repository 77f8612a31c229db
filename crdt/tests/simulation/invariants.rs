//! What must always hold (protocol.md, section 10), checked from outside: against what people did,
//! and against each other's disks.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::authority::Authority;
use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::rank::Rank;
use cairn_crdt::id::{DocumentId, EntryId, GrantId, MemberId};
use cairn_crdt::log::entry::Control;
use cairn_crdt::log::set::LogSet;
use cairn_crdt::replica::effect::{PostRow, PostState, Row};
use cairn_crdt::replica::{Replica, ReplicaState};
use cairn_crdt::time::Timestamp;

use crate::person::Person;
use crate::world::World;

/// Milliseconds that are let pass at a time until nothing moves any more: longer than it takes
/// until a peer is synchronised with again.
const STRETCH: u64 = 50_000;
/// Stretches after which there must be quiet.
const STRETCHES: u64 = 30;
/// By how much a stretch is longer where there is a keeper.
const KEEPER_TIMES: u64 = 4;
/// Messages of one pair in a quiet stretch, at most.
const MURMUR: u64 = 120;

impl World {
    /// Lines are good, keepers do their work, and everyone is here.
    pub(super) fn be_well(&mut self) {
        self.network.delay = 20;
        self.network.loss = 0;
        self.mend_keepers();
        for who in 0..self.people.len() {
            self.restart(who);
        }
    }

    /// Ends all that keeps people apart and waits until nothing moves; then everything is checked.
    pub fn quiet(&mut self) {
        self.network.sides = None;
        self.network.scattered = false;
        self.be_well();
        let mut still = 0;
        for stretch in 0..STRETCHES {
            self.join_hands(stretch == 0);
            let moved = self.moved();
            let (messages, questions) = (self.network.messages, self.keepers.questions);
            // With a keeper some things take longer: what was full is tried again, for one.
            let times = if self.keepers.calls.is_empty() { 1 } else { KEEPER_TIMES };
            self.pass(STRETCH * times);
            self.look();
            if self.failure.is_some() {
                return;
            }
            still = if moved == self.moved() { still + 1 } else { 0 };
            let pairs = (self.people.len() * self.people.len()) as u64;
            let murmur = self.network.messages - messages;
            if still > 0 && murmur > pairs * MURMUR * times {
                self.fail("7", format!("{murmur} messages although nothing moves"));
            }
            if still >= 2 {
                self.count("quiet");
                self.few_questions(self.keepers.questions - questions, STRETCH * times);
                self.check();
                for person in &mut self.people {
                    person.heard.clear();
                }
                return;
            }
        }
        self.fail("7", "it never becomes quiet");
    }

    /// Everybody is connected with everybody; at first with second faces, then with first ones.
    fn join_hands(&mut self, second_faces: bool) {
        let twins: Vec<(usize, usize)> = (0..self.people.len())
            .filter_map(|who| Some((who, self.people[who].face_of?)))
            .collect();
        for (twin, first) in twins {
            self.unplug(if second_faces { first } else { twin });
        }
        for a in 0..self.people.len() {
            for b in 0..a {
                self.connect(a, b);
            }
        }
    }

    /// How much each person has written, or is writing.
    pub fn moved(&self) -> Vec<(u64, Option<ReplicaState>)> {
        let moved = |person: &Person| person.moved + person.undurable.len() as u64;
        self.people.iter().map(|person| (moved(person), person.state())).collect()
    }

    fn replica(&self, who: usize) -> Option<&Replica> {
        self.people[who].replica.as_ref()
    }

    fn honest(&self) -> Vec<usize> {
        let people = 0..self.people.len();
        people.filter(|who| self.people[*who].honest && self.people[*who].is_up()).collect()
    }

    /// Those who take themselves for members, and have never equivocated. Whom only a traitor has
    /// admitted, nobody else knows, and nobody tells.
    pub fn honest_members(&self) -> Vec<usize> {
        let member = |who: &usize| self.people[*who].state() == Some(ReplicaState::Member);
        let members: Vec<usize> = self.honest().into_iter().filter(member).collect();
        if self.people.iter().all(|person| person.honest) {
            return members;
        }
        let known = |who: &usize| {
            let own = self.people[*who].member;
            let mut others = members.iter().filter(|other| *other != who);
            others.any(|o| self.replica(*o).is_some_and(|r| r.authority().was_member(&own)))
        };
        members.iter().filter(|who| known(who)).copied().collect()
    }

    /// Someone's view of who is a member changed.
    pub fn note_members(&mut self, who: usize) {
        let person = &self.people[who];
        let Some(replica) = person.replica.as_ref().filter(|_| person.honest) else { return };
        for member in replica.authority().members().keys().filter(|m| **m != person.member) {
            self.record.last_member.insert(*member, self.now);
        }
    }

    /// What holds at any time.
    pub fn look(&mut self) {
        for who in 0..self.people.len() {
            self.note_members(who);
            self.same_set_same_authority(who);
            self.nothing_revives(who);
        }
    }

    /// 1: the same set amounts to the same, whoever holds it and whenever.
    fn same_set_same_authority(&mut self, who: usize) {
        let Some(replica) = self.replica(who) else { return };
        let (set, authority) = (replica.digest(), replica.authority().digest());
        let known = *self.record.evaluated.entry(set.0).or_insert(authority);
        if known != authority {
            self.fail("1", format!("person {who} makes something else of the same set"));
        }
    }

    /// 3: what a removal ended comes back only by its author, or by someone above.
    fn nothing_revives(&mut self, who: usize) {
        let Some(replica) = self.replica(who) else { return };
        let (authority, set) = (replica.authority(), replica.set());
        let live: BTreeSet<GrantId> =
            authority.members().values().flat_map(|s| s.grants.keys().copied()).collect();
        let mut what = None;
        if let Some((ended, held)) = self.record.ended.get(&who) {
            for (grant, by) in ended.iter().filter(|(grant, _)| live.contains(grant)) {
                let removers: Vec<MemberId> =
                    by.by.iter().filter_map(|id| authority.author(set, id)).collect();
                let justified = set.control().keys().filter(|id| !held.contains(id)).any(|id| {
                    let under = set.slot(id).and_then(|slot| authority.grant(&slot.grant));
                    let above = under.is_some_and(|(_, under)| Some(under.rank) > by.rank);
                    let own = authority.author(set, id).is_some_and(|by| removers.contains(&by));
                    let founding = set.slot(id).is_some_and(|slot| slot.grant == GrantId::NONE);
                    own || (above && by.rank.is_some() && !founding)
                });
                if !justified {
                    what = Some(format!("for {who}, {grant:?} is live again"));
                }
            }
        }
        let every = authority_grants(set);
        let ended = every.iter().filter_map(|grant| Some((*grant, authority.ended(grant)?)));
        let ended = (ended.collect(), set.control().keys().copied().collect());
        self.record.ended.insert(who, ended);
        if let Some(what) = what {
            self.fail("3", what);
        }
    }

    /// Everything that is checked when nothing moves.
    fn check(&mut self) {
        let members = self.honest_members();
        self.everyone_agrees(&members);
        self.nothing_is_left_over();
        self.whoever_is_meant_can_read();
        self.check_alone();
        self.check_keepers(&members);
    }

    /// What is checked of each by itself.
    pub fn check_alone(&mut self) {
        self.low_ranks_do_nothing_to_high_ones();
        self.sealed_stays_sealed();
        self.nothing_is_lost();
        self.erased_is_gone();
        self.nobody_forks_by_accident();
        self.disks_hold_the_whole();
    }

    /// 1: all honest members hold the same set, make the same of it, and show the same.
    pub fn everyone_agrees(&mut self, members: &[usize]) {
        let Some((first, others)) = members.split_first() else { return };
        for other in others {
            let (Some(a), Some(b)) = (self.replica(*first), self.replica(*other)) else { continue };
            let (sets, authorities) =
                (a.digest() == b.digest(), a.authority().digest() == b.authority().digest());
            if !sets {
                let only = |a: &Replica, b: &Replica| -> Vec<String> {
                    let logs = a.set().logs().iter();
                    let all = logs.flat_map(|(device, log)| log.iter().map(move |e| (device, e)));
                    let only = all.filter(|(_, (_, id, _))| !b.set().contains(id));
                    only.map(|(device, (seq, _, _))| format!("{device:?}:{seq}")).collect()
                };
                let what =
                    format!("only {first}: {:?}, only {other}: {:?}", only(a, b), only(b, a));
                self.fail("1", what);
            } else if !authorities {
                self.fail("1", format!("{first} and {other} evaluate differently"));
            }
            self.same_rows(*first, *other);
        }
        // Whoever takes itself for a member is one.
        for who in members {
            let own = self.people[*who].member;
            let known = |other: &usize| {
                self.replica(*other).is_some_and(|r| r.authority().members().contains_key(&own))
            };
            if !members.iter().all(known) {
                self.fail("1", format!("{who} does not know of its own removal"));
            }
        }
    }

    /// What both show is the same. Of a post, someone who was away lacks the changes that were not
    /// written for them; what all share (K6) is the same for all, unless nobody is left who owes
    /// its keys, or its author was removed and only later more of what they wrote counted.
    fn same_rows(&mut self, a: usize, b: usize) {
        let mut differs = None;
        let opened = (self.opened(a), self.opened(b));
        let orphans = (self.is_orphan(a), self.is_orphan(b));
        for (document, row) in &self.people[a].store.rows {
            let Some(other) = self.people[b].store.rows.get(document) else { continue };
            if untimed(row) == untimed(other) {
                continue;
            }
            let none = BTreeSet::new();
            let of_a = opened.0.get(document).unwrap_or(&none);
            let of_b = opened.1.get(document).unwrap_or(&none);
            let owed = |lacking: &EntryId, who: usize, orphan: bool| {
                self.record.sealed.get(lacking).is_some_and(|sealed| {
                    let meant = sealed.readers.contains(&self.people[who].member);
                    let author = &self.people[sealed.by];
                    let member = author.state() == Some(ReplicaState::Member);
                    author.honest && member && is_for_all(row) && (meant || !orphan)
                })
            };
            if of_a == of_b
                || of_b.difference(of_a).any(|lacking| owed(lacking, a, orphans.0))
                || of_a.difference(of_b).any(|lacking| owed(lacking, b, orphans.1))
            {
                differs = Some(format!("{a} shows {row:?}, {b} shows {other:?}"));
            }
        }
        if let Some(what) = differs {
            self.fail("1", what);
        }
    }

    /// Whether of those who admitted someone or conferred a rank on them, nobody honest is a
    /// member any more.
    fn is_orphan(&self, who: usize) -> bool {
        let Some(replica) = self.replica(who) else { return true };
        let subject = self.people[who].member;
        let conferred = replica.set().control().iter().filter(|(_, control)| match control {
            Control::Grant(grant) => grant.subject == subject,
            Control::Replace(replace) => replace.with.subject == subject,
            _ => false,
        });
        let by: BTreeSet<MemberId> =
            conferred.filter_map(|(id, _)| replica.authority().author(replica.set(), id)).collect();
        !self.honest_members().iter().any(|who| by.contains(&self.people[*who].member))
    }

    /// The changes of each document that someone could open.
    fn opened(&self, who: usize) -> BTreeMap<DocumentId, BTreeSet<EntryId>> {
        let mut opened: BTreeMap<DocumentId, BTreeSet<EntryId>> = BTreeMap::new();
        for (id, kept) in &self.people[who].store.entries {
            if let Some((document, _)) = kept.document {
                opened.entry(document).or_default().insert(*id);
            }
        }
        opened
    }

    /// 2: without the logs of those who never stood at a rank, everyone at that rank stands as
    /// they do with them.
    fn low_ranks_do_nothing_to_high_ones(&mut self) {
        let Some(replica) = self.honest_members().first().and_then(|who| self.replica(*who)) else {
            return;
        };
        let (set, authority) = (replica.set(), replica.authority());
        let mut highest: BTreeMap<MemberId, Rank> = BTreeMap::new();
        for (subject, capability) in
            authority_grants(set).iter().filter_map(|grant| authority.grant(grant))
        {
            let rank = highest.entry(subject).or_insert(capability.rank);
            *rank = capability.rank.max(*rank);
        }
        let mut what = None;
        for floor in [Rank::Member, Rank::Moderator, Rank::Steward, Rank::Founder] {
            let mut without = LogSet::new(set.group());
            for (device, log) in set.logs() {
                let member = authority.member_of(device);
                let rank = member.and_then(|member| highest.get(&member));
                if rank.is_none_or(|rank| *rank < floor) {
                    continue;
                }
                for (seq, id, slot) in log.iter() {
                    let control = set.control().get(&id).cloned();
                    without.restore(id, *device, seq, *slot, control);
                }
            }
            if standing_at(authority, floor) != standing_at(&Authority::evaluate(&without), floor) {
                what = Some(format!("someone below {floor} changed the standing of one above"));
            }
        }
        if let Some(what) = what {
            self.fail("2", what);
        }
    }

    /// 4: whoever the author did not count as a reader has no key to it.
    fn sealed_stays_sealed(&mut self) {
        let mut what = None;
        let traitors = self.people.iter().filter(|person| !person.honest);
        let traitors: BTreeSet<MemberId> = traitors.map(|person| person.member).collect();
        for (who, person) in self.people.iter().enumerate() {
            let epochs: BTreeSet<_> = person
                .store
                .snapshot(self.group)
                .epochs
                .into_iter()
                .map(|(epoch, _)| epoch)
                .collect();
            for (entry, sealed) in &self.record.sealed {
                // A reader that means no good may tell anyone.
                let told = |reader: &MemberId| traitors.contains(reader);
                let leaked = self.people.iter().any(|traitor| {
                    let kept = traitor.store.entries.get(entry);
                    !traitor.honest && kept.is_some_and(|kept| kept.envelope.is_some())
                });
                let own = self.people[sealed.by].member == person.member;
                let meant = own || sealed.readers.contains(&person.member);
                if meant || leaked || sealed.readers.iter().any(told) {
                    continue;
                }
                let later =
                    self.record.last_member.get(&person.member).is_some_and(|at| *at >= sealed.at);
                let held = epochs.contains(&sealed.epoch);
                // With history `all`, whoever came since has it, and whoever came and went while
                // the author knew nothing of either.
                let unknown = !sealed.known.contains(&person.member)
                    && self.record.last_member.contains_key(&person.member);
                let may_hold = self.history == History::All && (later || unknown);
                if held && !may_hold {
                    what = Some(format!("{who} has the epoch of {entry:?}, not written for it"));
                }
                let read = person.store.entries.get(entry).is_some_and(|k| k.envelope.is_some());
                if read && !later {
                    what = Some(format!("{who} reads {entry:?}, not written for it"));
                }
            }
        }
        if let Some(what) = what {
            self.fail("4", what);
        }
    }

    /// Whom an author counted as a reader, and who is still a member, can read what counts.
    fn whoever_is_meant_can_read(&mut self) {
        let mut what = None;
        for who in self.honest_members() {
            let person = &self.people[who];
            let Some(replica) = self.replica(who) else { continue };
            let (authority, set) = (replica.authority(), replica.set());
            let created: BTreeMap<DocumentId, &EntryId> = self
                .record
                .sealed
                .iter()
                .filter(|(_, sealed)| sealed.creates)
                .filter_map(|(entry, sealed)| Some((sealed.document?, entry)))
                .collect();
            for (entry, sealed) in &self.record.sealed {
                let Some(document) = sealed.document else { continue };
                let counts = set.contains(entry) && authority.counting(set, entry).counts();
                let first = created.get(&document);
                let erased = first.is_some_and(|first| authority.erased(first).is_some());
                // Who has two faces may show one of them to nobody any more.
                let honest = self.people[sealed.by].honest;
                if !counts || erased || !honest || !sealed.readers.contains(&person.member) {
                    continue;
                }
                let opened = person.store.entries.get(entry).is_some_and(|k| k.document.is_some());
                let shown = !sealed.creates || person.store.rows.contains_key(&document);
                if !opened || !shown {
                    what = Some(format!("{who} cannot read {entry:?} of {}", sealed.by));
                }
            }
        }
        if let Some(what) = what {
            self.fail("4 (K2, K3)", what);
        }
    }

    /// 6: of what was acknowledged, everything is there.
    fn nothing_is_lost(&mut self) {
        for who in 0..self.people.len() {
            self.acknowledged_is_held(who);
        }
        let mut what = None;
        for (who, person) in self.people.iter().enumerate() {
            if let Some(lost) =
                self.record.lost.iter().find(|lost| person.store.entries.contains_key(lost))
            {
                what = Some(format!("{lost:?} was sent to {who} before it was on a disk"));
            }
        }
        if let Some(what) = what {
            self.fail("6", what);
        }
    }

    pub fn acknowledged_is_held(&mut self, who: usize) {
        let mut what = None;
        let person = &self.people[who];
        let Some(replica) = self.replica(who) else { return };
        for (entry, _) in self.record.acknowledged.iter().filter(|(_, by)| **by == who) {
            if !replica.set().contains(entry) {
                what = Some(format!("{who} has lost {entry:?}"));
            } else if person
                .store
                .entries
                .get(entry)
                .is_none_or(|kept| kept.payload.is_none() && !kept.erased)
            {
                what = Some(format!("{who} has lost the words of {entry:?}"));
            }
        }
        if let Some(what) = what {
            self.fail("6", what);
        }
    }

    /// 6: of what was erased for good, nobody who heard of it has any words.
    fn erased_is_gone(&mut self) {
        let mut what = None;
        for who in self.honest() {
            let Some(replica) = self.replica(who) else { continue };
            let store = &self.people[who].store;
            for (created, _) in replica.authority().erasures().iter().filter(|(_, e)| e.final_) {
                let document = self.record.sealed.get(created).and_then(|sealed| sealed.document);
                let Some(document) = document else { continue };
                for (entry, sealed) in &self.record.sealed {
                    // A change that the owner's other face wrote, and that no erasure names, tells
                    // nobody who lacks the creation what it belongs to.
                    let of_it = sealed.document == Some(document) && self.people[sealed.by].honest;
                    let kept = store.entries.get(entry).filter(|_| of_it);
                    let Some(kept) = kept else { continue };
                    let read = kept.payload.is_some() && kept.document.is_some();
                    if kept.envelope.is_some()
                        || read
                        || (entry == created && kept.payload.is_some())
                    {
                        what = Some(format!("{who} still has {entry:?}, which was erased"));
                    }
                }
                if let Some(Row::Post(post)) = store.rows.get(&document)
                    && (post.state != PostState::Erased || !post.body.is_empty())
                {
                    what = Some(format!("{who} still shows {document:?}, which was erased"));
                }
            }
        }
        if let Some(what) = what {
            self.fail("6 (C5)", what);
        }
    }

    /// S4: a machine that crashes and starts again never writes over what it wrote.
    fn nobody_forks_by_accident(&mut self) {
        let mut what = None;
        for who in self.honest() {
            let Some(replica) = self.replica(who) else { continue };
            for device in replica.authority().forks().keys() {
                let owner = self.people.iter().position(|person| person.device == *device);
                if owner.is_some_and(|owner| self.people[owner].honest) {
                    what = Some(format!("the log of {owner:?} is forked"));
                }
            }
        }
        if let Some(what) = what {
            self.fail("6 (S4)", what);
        }
    }

    /// 7: nothing waits that will never come.
    fn nothing_is_left_over(&mut self) {
        let gossip = self.network.unjudged();
        if gossip > 0 {
            self.fail("7", format!("{gossip} gossiped entries were never judged"));
        }
        let asked =
            self.asked.values().next().map(|asked| format!("{}: {}", asked.who, asked.word));
        if let Some(what) = asked {
            self.fail("7", format!("never answered: {what}"));
        }
        for who in self.honest_members() {
            let Some(replica) = self.replica(who) else { continue };
            let missing = replica.missing();
            if missing > 0 && self.people.iter().all(|person| person.honest) {
                self.fail("1 (S2)", format!("{who} lacks {missing} payloads"));
            }
        }
    }

    /// 1, 6: started from its disk now, a machine is what it is.
    fn disks_hold_the_whole(&mut self) {
        let mut what = None;
        for who in self.honest() {
            let Some(replica) = self.replica(who) else { continue };
            let person = &self.people[who];
            let snapshot = person.store.snapshot(self.group);
            let Ok((again, _)) = Replica::restore(person.clock(self.now), snapshot) else {
                what = Some(format!("{who} cannot start"));
                break;
            };
            let now = (replica.digest(), replica.authority().digest(), replica.state());
            let then = (again.digest(), again.authority().digest(), again.state());
            if now != then {
                what = Some(format!("{who} would start as something else"));
            }
            if (replica.missing(), replica.unread()) != (again.missing(), again.unread()) {
                let counts = |r: &Replica| (r.missing(), r.unread());
                let (is, was) = (counts(replica), counts(&again));
                what = Some(format!("{who} lacks and cannot read {is:?}, and {was:?} if started"));
            }
        }
        if let Some(what) = what {
            self.fail("6", what);
        }
    }
}

/// Every grant that a set names.
fn authority_grants(set: &LogSet) -> Vec<GrantId> {
    let grants = set.control().iter().filter(|(_, control)| {
        matches!(control, Control::Genesis(_) | Control::Grant(_) | Control::Replace(_))
    });
    grants.map(|(id, _)| GrantId::of(*id)).collect()
}

/// The live grants at a rank or above it.
fn standing_at(authority: &Authority, floor: Rank) -> BTreeMap<GrantId, (MemberId, Rank)> {
    let members = authority.members().iter();
    let all = members.flat_map(|(member, s)| s.grants.iter().map(move |(id, c)| (member, id, c)));
    all.filter(|(_, _, capability)| capability.rank >= floor)
        .map(|(member, id, capability)| (*id, (*member, capability.rank)))
        .collect()
}

/// Whether everyone may read all of it, whenever they came (K6).
fn is_for_all(row: &Row) -> bool {
    match row {
        Row::Post(post) => post.title.is_some(),
        Row::Profile { .. } | Row::Agreement { .. } => true,
        _ => false,
    }
}

/// A row without what is each replica's own: when it came.
fn untimed(row: &Row) -> Row {
    match row {
        Row::Post(post) => Row::Post(PostRow {
            arrived: Timestamp::default(),
            written: Timestamp::default(),
            ..post.clone()
        }),
        other => other.clone(),
    }
}
