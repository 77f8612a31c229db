//! What must hold of keepers, checked from outside: that members who meet nowhere else agree by one
//! that is honest, that it learns nothing and is accused of nothing, that nobody reads there who was
//! removed, and that nothing lies there which was erased.

use std::collections::{BTreeMap, BTreeSet};

use cairn_crdt::capability::rank::Rank;
use cairn_crdt::epoch::secret::EpochSecret;
use cairn_crdt::id::{AccessKey, EntryId, MailboxId, MemberId};
use cairn_crdt::mailbox::keys::access_key;
use cairn_crdt::mailbox::record::{Parcel, Sealer};
use cairn_crdt::replica::keepers::{KeeperView, Misconduct};

use crate::record::CANARY;
use crate::world::World;

/// Milliseconds that are let pass at a time where people meet at keepers only: longer than it takes
/// until a keeper that was full is tried again.
const STRETCH: u64 = 400_000;
/// Stretches after which all must be settled.
const STRETCHES: u64 = 20;
/// Questions of one machine to one keeper in an hour in which nothing happens, at most: a wait for
/// news takes half a minute, a newcomer looks for an answer four times a minute.
const AN_HOUR: u64 = 600;

impl World {
    /// Keepers that all of these people know of, use, and that never did wrong; with the mailboxes.
    fn common_keepers(&self, people: &[usize]) -> Vec<(usize, MailboxId)> {
        let known = |who: &usize| -> BTreeSet<(usize, MailboxId)> {
            let Some(replica) = self.people[*who].replica.as_ref() else { return BTreeSet::new() };
            let all = replica.authority().keepers(replica.set());
            let places = all.iter().filter_map(|(key, (_, named))| {
                let at = self.keepers.position(key)?;
                self.keepers.all[at].honest.then_some((at, named.mailbox))
            });
            places.collect()
        };
        let mut sets = people.iter().map(known);
        let Some(first) = sets.next() else { return Vec::new() };
        sets.fold(first, |common, other| &common & &other).into_iter().collect()
    }

    /// Honest members, less those of whom another knows that they are none.
    fn undisputed(&self) -> Vec<usize> {
        let members = self.honest_members();
        let counted = |who: &usize| {
            let own = self.people[*who].member;
            let counts = |other: &usize| {
                let replica = self.people[*other].replica.as_ref();
                replica.is_some_and(|r| r.authority().members().contains_key(&own))
            };
            members.iter().all(counts)
        };
        members.iter().filter(|who| counted(who)).copied().collect()
    }

    /// Everyone agrees once more, and from then on nobody meets anybody but at keepers.
    pub fn scatter(&mut self) {
        self.quiet();
        if self.failure.is_some() || self.common_keepers(&self.honest_members()).is_empty() {
            self.count("nowhere to scatter to");
            return;
        }
        self.count("scattered");
        self.network.scattered = true;
        for who in 0..self.people.len() {
            self.unplug(who);
        }
    }

    /// 1: those who meet at an honest keeper only hold the same as if they had met each other.
    pub fn agree_apart(&mut self) {
        if !self.network.scattered {
            return;
        }
        self.be_well();
        let mut still = 0;
        for _ in 0..STRETCHES {
            let (moved, questions) = (self.moved(), self.keepers.questions);
            self.pass(STRETCH);
            self.look();
            if self.failure.is_some() {
                return;
            }
            still = if moved == self.moved() { still + 1 } else { 0 };
            if still > 1 {
                self.few_questions(self.keepers.questions - questions, STRETCH);
                self.check_apart();
                return;
            }
        }
        self.fail("7", "it never becomes quiet at the keepers");
    }

    fn check_apart(&mut self) {
        let mut members = self.undisputed();
        let all = members.len();
        members.retain(|who| !self.is_shut_out(*who));
        if members.len() < all {
            self.count("someone shut out by who did not know better");
        }
        if members.len() < 2 || self.common_keepers(&members).is_empty() {
            self.count("nowhere to meet");
            return;
        }
        self.count("agreed by keepers alone");
        self.everyone_agrees(&members);
        self.check_alone();
        self.check_keepers(&members);
    }

    /// Whether someone is in no mailbox, and one who began a generation took them for no member, or its
    /// keeper went back to a generation of before they came. They are let in when they meet somebody:
    /// the keys that followed theirs are not for them.
    fn is_shut_out(&self, who: usize) -> bool {
        let person = &self.people[who];
        let views = person.replica.as_ref().map(|replica| replica.keepers()).unwrap_or_default();
        let left_out = |readers: &Vec<MemberId>| !readers.contains(&person.member);
        let of_before = |view: &KeeperView| {
            self.keepers.all.iter().any(|it| it.key == view.keeper && it.went_back)
        };
        !views.iter().any(|view| view.open)
            && (self.keepers.begun.iter().any(left_out) || views.iter().any(of_before))
    }

    /// 7: with nothing to do, a machine leaves its keepers alone.
    pub fn few_questions(&mut self, questions: u64, millis: u64) {
        let lines = self.keepers.calls.len() as u64;
        if questions > lines * (AN_HOUR * millis / 3_600_000 + 1) {
            self.fail("7", format!("{questions} questions to keepers although nothing moves"));
        }
    }

    /// M4: an honest keeper is accused of nothing; another may be.
    pub fn nobody_honest_is_accused(&mut self, who: usize, keeper: usize) {
        let it = &self.keepers.all[keeper];
        let Some(replica) = self.people[who].replica.as_ref() else { return };
        let found = replica.keepers().into_iter().find(|view| view.keeper == it.key);
        let Some((misconduct, at)) = found.and_then(|view| view.misconduct) else { return };
        let what = match misconduct {
            Misconduct::SetBack => "a keeper accused of having been set back",
            Misconduct::Withholds(_) => "a keeper accused of withholding",
            Misconduct::Lies => "a keeper accused of lying",
        };
        if it.honest {
            self.fail("M4", format!("person {who} accuses keeper {keeper}: {misconduct:?}"));
        }
        if self.keepers.accused.insert((who, keeper, at.as_millis())) {
            self.count(what);
        }
    }

    /// What is checked of keepers when nothing moves and these people agree.
    pub fn check_keepers(&mut self, members: &[usize]) {
        self.keepers_learn_nothing();
        for (keeper, mailbox) in self.common_keepers(members) {
            self.count("an honest keeper looked into");
            self.nobody_removed_gets_in(members, keeper, mailbox);
            self.nobody_else_reads_there(keeper, mailbox);
            self.nothing_erased_lies_there(members, keeper, mailbox);
        }
    }

    /// 5: no words, and nothing that tells who it is for.
    fn keepers_learn_nothing(&mut self) {
        let mut telling: Vec<(Vec<u8>, String)> = vec![
            (CANARY.as_bytes().to_vec(), "words".to_owned()),
            (self.group.as_bytes().to_vec(), "the group's id".to_owned()),
        ];
        for (who, person) in self.people.iter().enumerate() {
            telling.push((person.member.as_bytes().to_vec(), format!("the member id of {who}")));
            telling.push((person.key.as_bytes().to_vec(), format!("the transport key of {who}")));
            telling.push((person.device.as_bytes().to_vec(), format!("the device id of {who}")));
        }
        let mut by_first: Vec<Vec<usize>> = vec![Vec::new(); 256];
        for (at, (bytes, _)) in telling.iter().enumerate() {
            by_first[usize::from(bytes[0])].push(at);
        }
        let mut found = None;
        for keeper in &mut self.keepers.all {
            let seen = std::mem::take(&mut keeper.seen);
            for (at, byte) in seen.iter().enumerate() {
                for index in &by_first[usize::from(*byte)] {
                    let (bytes, what) = &telling[*index];
                    if seen[at..].starts_with(bytes) {
                        found = Some(what.clone());
                    }
                }
            }
        }
        if let Some(what) = found {
            self.fail("5", format!("a keeper is shown {what}"));
        }
    }

    /// The secrets that someone's disk has, as they seal records of a mailbox.
    fn sealers(&self, who: usize, mailbox: MailboxId) -> Vec<Sealer> {
        let epochs = self.people[who].store.epochs.iter();
        let sealer = |(epoch, secret): (&_, &zeroize::Zeroizing<[u8; 32]>)| Sealer {
            mailbox,
            epoch: *epoch,
            secret: EpochSecret::from_bytes(**secret),
        };
        epochs.map(sealer).collect()
    }

    /// 4, M2: who is no member has no key to the generation of now, if anyone could change it.
    fn nobody_removed_gets_in(&mut self, members: &[usize], keeper: usize, mailbox: MailboxId) {
        let Some(held) = self.keepers.all[keeper].disk.mailboxes.get(&mailbox) else { return };
        let current = held.access();
        let Some(replica) = self.people[members[0]].replica.as_ref() else { return };
        let inside: BTreeSet<MemberId> = replica.authority().members().keys().copied().collect();
        let able = |who: &&usize| {
            let rank = replica.authority().rank_of(&self.people[**who].member);
            let views = self.people[**who].replica.as_ref().map(|r| r.keepers());
            let open = views.into_iter().flatten();
            let key = self.keepers.all[keeper].key;
            rank >= Some(Rank::Moderator) && open.into_iter().any(|v| v.keeper == key && v.open)
        };
        let told = self.people.iter().any(|p| !p.honest && inside.contains(&p.member));
        if told || !members.iter().any(|who| able(&who)) {
            return;
        }
        let outside = (0..self.people.len()).filter(|p| !inside.contains(&self.people[*p].member));
        let mut what = None;
        let mut tried = false;
        for who in outside {
            for sealer in self.sealers(who, mailbox) {
                tried = true;
                let key = access_key(&sealer.secret, mailbox);
                if AccessKey::from_bytes(key.verifying_key()) == current {
                    what = Some(format!("{who}, who is no member, can open keeper {keeper}"));
                }
            }
        }
        if tried {
            self.count("someone outside who cannot open a mailbox");
        }
        if let Some(what) = what {
            self.fail("4 (M2)", what);
        }
    }

    /// 4, M2: a record opens for nobody whom its writer did not count as a member.
    fn nobody_else_reads_there(&mut self, keeper: usize, mailbox: MailboxId) {
        let Some(held) = self.keepers.all[keeper].disk.mailboxes.get(&mailbox) else { return };
        let mut what = None;
        let mut tried = false;
        for (who, person) in self.people.iter().enumerate() {
            let sealers = self.sealers(who, mailbox);
            let last = self.record.last_member.get(&person.member);
            for record in held.records.values() {
                let Some(put) = self.keepers.put.get(record.id.as_bytes()) else { continue };
                let later = last.is_some_and(|at| *at >= put.at);
                let told = self.people.iter().any(|p| !p.honest && put.readers.contains(&p.member));
                let writer = &self.people[put.by];
                let own = writer.member == person.member;
                if own
                    || put.farewell
                    || !writer.honest
                    || put.readers.contains(&person.member)
                    || later
                    || told
                {
                    continue;
                }
                tried |= !sealers.is_empty();
                if sealers.iter().any(|sealer| sealer.open(&record.bytes).is_some()) {
                    what = Some(format!("{who} opens a record that {} put without it", put.by));
                }
            }
        }
        if tried {
            self.count("someone whom a record does not open for");
        }
        if let Some(what) = what {
            self.fail("4 (M2)", what);
        }
    }

    /// 6, C5: what was erased for good lies in no record that its members can open.
    fn nothing_erased_lies_there(&mut self, members: &[usize], keeper: usize, mailbox: MailboxId) {
        let Some(held) = self.keepers.all[keeper].disk.mailboxes.get(&mailbox) else { return };
        let mut erased: BTreeMap<EntryId, usize> = BTreeMap::new();
        let mut sealers: BTreeMap<_, Sealer> = BTreeMap::new();
        for who in members {
            let entries = &self.people[*who].store.entries;
            let gone = entries.iter().filter(|(_, kept)| kept.erased);
            erased.extend(gone.map(|(id, _)| (*id, *who)));
            sealers.extend(self.sealers(*who, mailbox).into_iter().map(|s| (s.epoch, s)));
        }
        let mut what = None;
        let mut looked = 0;
        for record in held.records.values() {
            let mut opened = sealers.values().filter_map(|sealer| sealer.open(&record.bytes));
            let Some(Parcel::Runs(runs)) = opened.next() else { continue };
            for (entry, payload) in runs.iter().flat_map(|run| run.contents()) {
                let Some(who) = erased.get(&entry) else { continue };
                looked += 1;
                if payload {
                    what = Some(format!("keeper {keeper} has {entry:?}, which {who} erased"));
                }
            }
        }
        if looked > 0 {
            self.count("erased content that no keeper has");
        }
        if let Some(what) = what {
            self.fail("6 (C5)", what);
        }
    }
}
