//! Random groups: forks, removals, pins, heads that are not held, devices that nobody knew of.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use cairn_crdt::capability::grant::Grant;
use cairn_crdt::capability::rank::{Abilities, Rank};
use cairn_crdt::codec::List;
use cairn_crdt::id::{EntryId, GrantId};
use cairn_crdt::log::entry::Control;
use cairn_crdt::log::run::{Entry, Verified};

use crate::people::{FAY, Group, granting, member, owner};

const PEOPLE: [&str; 6] = [FAY, "ann", "bo", "cleo", "dan", "eve"];
const DEVICES: [&str; 9] = [FAY, "ann", "bo", "cleo", "dan", "eve", "ann/2", "bo/2", "cleo/2"];
const RANKS: [Rank; 4] = [Rank::Steward, Rank::Moderator, Rank::Member, Rank::Reader];

/// Dice.
pub(crate) struct Dice(ChaCha20Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// Below `bound`.
    pub(crate) fn roll(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.roll(from.len())) }
    }
}

/// A random group of about `size` entries.
pub(crate) fn group(seed: u64, size: usize) -> Group {
    let mut dice = Dice::new(seed);
    let mut group = Group::new();
    // (grant, whose, rank)
    let mut grants: Vec<(GrantId, &str, Rank)> = vec![(group.genesis, FAY, Rank::Founder)];
    let mut removals: Vec<EntryId> = Vec::new();
    // (device, entry)
    let mut written: Vec<(&str, EntryId)> = Vec::new();
    let forks = dice.roll(25);
    for _ in 0..size {
        let &(under, whose, _) = dice.pick(&grants).unwrap();
        let whose = if dice.chance(3) { PEOPLE[dice.roll(PEOPLE.len())] } else { whose };
        let own: Vec<&str> =
            DEVICES.iter().filter(|device| owner(device) == whose).copied().collect();
        let by = *dice.pick(&own).unwrap();
        // The founder forks rarely, or all groups would be suspended.
        let percent = if by == FAY { forks / 8 } else { forks };
        let logged: Vec<EntryId> =
            written.iter().filter(|(device, _)| *device == by).map(|(_, id)| *id).collect();
        if dice.chance(percent)
            && let Some(back) = dice.pick(&logged)
        {
            group.rewind(by, *back);
        }
        let subject = PEOPLE[dice.roll(PEOPLE.len())];
        let heads = |dice: &mut Dice| -> Vec<(&str, EntryId)> {
            let mut heads: Vec<(&str, EntryId)> = Vec::new();
            for device in DEVICES.iter().filter(|device| owner(device) == subject) {
                let logged: Vec<&(&str, EntryId)> =
                    written.iter().filter(|(of, _)| of == device).collect();
                if dice.chance(75)
                    && let Some((_, id)) = dice.pick(&logged)
                {
                    heads.push((device, *id));
                }
            }
            if dice.chance(4)
                && let Some((_, id)) = dice.pick(&written)
            {
                heads.push((subject, *id));
            }
            heads
        };
        let entry = match dice.roll(100) {
            0..35 => {
                let rank = RANKS[dice.roll(4)];
                let cites: Vec<EntryId> =
                    removals.iter().filter(|_| dice.chance(30)).copied().take(8).collect();
                let with = all_abilities(subject, rank, &cites);
                let entry = group.say(by, under, &Control::Grant(with));
                grants.push((GrantId::of(entry), subject, rank));
                entry
            }
            35..55 => {
                let cut = heads(&mut dice);
                let entry = group.remove(by, under, subject, &cut);
                removals.push(entry);
                entry
            }
            55..62 => {
                let &(grant, _, _) = dice.pick(&grants).unwrap();
                let cut = heads(&mut dice);
                group.revoke(by, under, grant, &cut)
            }
            62..68 => {
                let &(grant, subject, _) = dice.pick(&grants).unwrap();
                let rank = RANKS[dice.roll(4)];
                let cut = heads(&mut dice);
                let with = all_abilities(subject, rank, &[]);
                let entry = group.replace(by, under, grant, &cut, with);
                grants.push((GrantId::of(entry), subject, rank));
                entry
            }
            68..76 if !written.is_empty() => {
                let &(of, head) = dice.pick(&written).unwrap();
                group.pin(by, under, of, head)
            }
            76..79 if !written.is_empty() => {
                let &(of, head) = dice.pick(&written).unwrap();
                if owner(of) == whose {
                    group.own_pin(by, under, of, head)
                } else {
                    group.post(by, under)
                }
            }
            79..82 => {
                let &(grant, _, _) = dice.pick(&grants).unwrap();
                let cut = heads(&mut dice);
                group.leave(by, &[grant], &cut)
            }
            82..84 if !written.is_empty() => {
                let &(of, head) = dice.pick(&written).unwrap();
                group.unlink(by, of, head)
            }
            _ => group.post(by, under),
        };
        written.push((by, entry));
    }
    group
}

fn all_abilities(to: &str, rank: Rank, cites: &[EntryId]) -> Grant {
    Grant {
        subject: member(to),
        abilities: Abilities::ALL,
        cites: List::new(cites.to_vec()).unwrap(),
        ..granting(to, rank, &[])
    }
}

/// Some of a group's entries: every log broken off somewhere.
pub(crate) fn partial(group: &Group, seed: u64) -> Vec<Verified<Entry>> {
    let mut dice = Dice::new(seed);
    let mut dropped: Vec<EntryId> = Vec::new();
    group
        .entries
        .iter()
        .filter(|entry| {
            let entry = entry.get();
            let gone = dropped.contains(&entry.header.prev) || dice.chance(6);
            if gone {
                dropped.push(entry.id);
            }
            !gone
        })
        .cloned()
        .collect()
}
