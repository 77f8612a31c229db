//! Which keepers there are to deal with, as the entries of the group say, or a newcomer's code.

use std::collections::{BTreeMap, BTreeSet};

use super::{KeeperAsk, KeeperSnapshot, MEMORY_BYTES, Memory, Visit};
use crate::codec;
use crate::id::{EntryId, MailboxId, RecordId, TransportKey};
use crate::mailbox::shelf::{Kept, Shelf};
use crate::replica::Replica;
use crate::replica::effect::{Effect, Write};
use crate::replica::outcome::Outcome;
use crate::replica::persona::ReplicaState;

/// A keeper as it is named.
struct Named {
    entry: Option<EntryId>,
    /// Not known to a newcomer yet.
    mailbox: Option<MailboxId>,
    addresses: Vec<Vec<u8>>,
}

impl Replica {
    /// Takes over what is remembered of keepers.
    pub(crate) fn restore_keepers(&mut self, snapshots: Vec<KeeperSnapshot>) {
        for KeeperSnapshot { keeper, memory, records } in snapshots {
            let Ok(memory) = codec::decode::<Memory>(&memory, MEMORY_BYTES) else { continue };
            let going: BTreeSet<RecordId> = memory.erasing.iter().map(|(id, _)| *id).collect();
            let records = records.into_iter().filter(|(id, _)| !going.contains(id));
            let records = records.filter_map(|(id, kept)| Some((id, Kept::from_bytes(&kept)?)));
            let shelf = Shelf::restore(&self.set, records.collect());
            let visit = Visit::new(None, Vec::new(), memory, shelf);
            self.keepers.visits.insert(keeper, visit);
        }
    }

    /// Keepers come and go with the entries that name them; a newcomer has those of its code.
    pub(crate) fn follow_keepers(&mut self, out: &mut Outcome) {
        let mut wanted: BTreeMap<TransportKey, Named> = BTreeMap::new();
        let own = self.device();
        let leaving = self.persona.state == ReplicaState::Left;
        // Whoever has left is done with a keeper when the others can read there that they have.
        let unsaid = |keeper: &TransportKey| {
            let visit = self.keepers.visits.get(keeper);
            visit.is_some_and(|visit| {
                !out.entered.is_empty() || visit.shelf.lacking_of(own).next().is_some()
            })
        };
        if leaving || self.persona.state == ReplicaState::Member {
            for (keeper, (entry, named)) in self.authority.keepers(&self.set) {
                if leaving && !unsaid(&keeper) {
                    continue;
                }
                let addresses = named.addresses.iter().map(|a| a.as_slice().to_vec()).collect();
                let (entry, mailbox) = (Some(entry), Some(named.mailbox));
                wanted.insert(keeper, Named { entry, mailbox, addresses });
            }
        } else if let Some(joining) = &self.persona.joining
            && self.persona.state == ReplicaState::Waiting
        {
            for contact in joining.code.keepers.iter() {
                let addresses = contact.addresses.iter().map(|a| a.as_slice().to_vec()).collect();
                let named = Named { entry: None, mailbox: None, addresses };
                wanted.insert(contact.transport, named);
            }
        }
        if let Some(adding) = &self.keepers.adding {
            wanted.entry(adding.keeper).or_insert_with(|| Named {
                entry: None,
                mailbox: Some(adding.mailbox),
                addresses: adding.addresses.clone(),
            });
        }
        let gone: Vec<TransportKey> = self
            .keepers
            .visits
            .keys()
            .filter(|keeper| !wanted.contains_key(*keeper))
            .copied()
            .collect();
        for keeper in gone {
            self.keepers.visits.remove(&keeper);
            out.effect(Effect::Keeper { keeper, ask: KeeperAsk::Leave });
            out.write(Write::ForgetKeeper { keeper });
        }
        for (keeper, Named { entry, mailbox, addresses }) in wanted {
            let known = self.keepers.visits.get(&keeper).map(|visit| visit.memory.mailbox);
            let another =
                known.flatten().is_some() && mailbox.is_some() && known.flatten() != mailbox;
            if another {
                out.write(Write::ForgetKeeper { keeper });
            }
            if known.is_none() || another {
                let shelf = Shelf::restore(&self.set, BTreeMap::new());
                let visit = Visit::new(entry, Vec::new(), Memory::default(), shelf);
                self.keepers.visits.insert(keeper, visit);
            }
            let Some(visit) = self.keepers.visits.get_mut(&keeper) else { continue };
            visit.entry = entry;
            let learnt = mailbox.is_some() && visit.memory.mailbox != mailbox;
            if learnt {
                visit.remember(|memory| memory.mailbox = mailbox);
            }
            if visit.addresses != addresses {
                visit.addresses.clone_from(&addresses);
                out.effect(Effect::Keeper { keeper, ask: KeeperAsk::Reach { addresses } });
            }
            if learnt && visit.up {
                self.reach_anew(keeper, out);
            }
        }
    }

    /// Another connection is made, under another name: one on which a drop-box was used is good for
    /// nothing else.
    pub(super) fn reach_anew(&mut self, keeper: TransportKey, out: &mut Outcome) {
        let Some(visit) = self.keepers.visits.get_mut(&keeper) else { return };
        visit.hang_up(None);
        let addresses = visit.addresses.clone();
        out.effect(Effect::Keeper { keeper, ask: KeeperAsk::Leave });
        out.effect(Effect::Keeper { keeper, ask: KeeperAsk::Reach { addresses } });
    }
}
