//! Showing a member who has not heard of one who let one in (S1).

use std::collections::BTreeMap;

use crate::capability::rank::Rank;
use crate::codec::List;
use crate::id::{DeviceId, EntryId, GrantId, MemberId, TransportKey};
use crate::identity::member::verify_card;
use crate::log::entry::Control;
use crate::log::run::{Entry, Run};
use crate::log::set::EntryRefused;
use crate::replica::Replica;
use crate::replica::ingest::Misbehaved;
use crate::replica::input::{Load, SessionId, Stored};
use crate::replica::joining::card_of;
use crate::replica::outcome::Outcome;
use crate::sync::message::{Message, PASSPORT_RUNS, Passport};

impl Replica {
    /// The grant that the passport is for. Where none is in force, the highest that ever was: it may
    /// only be suspended here, because its issuer's disk was set back (I4), and whoever is shown it
    /// may hold what settles that.
    fn shown_grant(&self) -> Option<GrantId> {
        let own = self.member();
        self.highest_grant(&own).or_else(|| self.authority.highest_ever(&own))
    }

    /// What has to be read from the store to show who let this device in: its card, and the
    /// grants of the chain with what follows each up to a kept signature.
    pub(crate) fn passport_load(&self) -> Option<Load> {
        let mut ids = Vec::new();
        let mut grant = self.shown_grant()?;
        let mut devices = vec![self.device()];
        for _ in 0..PASSPORT_RUNS {
            let (device, seq) = self.set.place_of(&grant.entry())?;
            let log = self.set.log(&device)?;
            let last = seq.saturating_add(u64::try_from(crate::limits::RUN_ENTRIES).ok()?);
            ids.extend(log.between(seq, last).map(|(id, _)| id));
            devices.push(device);
            let under = self.set.slot(&grant.entry())?.grant;
            if under == GrantId::NONE {
                break;
            }
            grant = under;
        }
        for device in devices {
            ids.extend(self.set.log(&device)?.between(0, 1).map(|(id, _)| id));
        }
        ids.sort_unstable();
        ids.dedup();
        Some(Load::Entries(ids))
    }

    /// The store has read the passport's entries.
    pub(crate) fn show_passport(
        &mut self,
        session: SessionId,
        stored: &[Stored],
        out: &mut Outcome,
    ) {
        match self.passport(stored) {
            Some(passport) => out.send(session, &Message::Passport(passport)),
            None => self.end(session, out),
        }
    }

    fn passport(&self, stored: &[Stored]) -> Option<Passport> {
        let by_id: BTreeMap<EntryId, &Stored> = stored.iter().map(|s| (s.id, s)).collect();
        let run_from = |device: DeviceId, seq: u64, first: EntryId| -> Option<Run> {
            let log = self.set.log(&device)?;
            let mut entries = Vec::new();
            let mut next = Some((seq, first));
            while let Some((seq, id)) = next {
                let stored = by_id.get(&id)?;
                let signature = stored.signature;
                entries.push(Entry {
                    id,
                    header: stored.header.clone(),
                    payload: stored.header.kind.is_control().then(|| stored.payload.clone()),
                    signature,
                });
                if signature.is_some() {
                    return Run::new(&entries, false);
                }
                let above = seq.checked_add(1)?;
                next = log.at(above).find(|(_, s)| s.prev == id).map(|(id, _)| (above, id));
            }
            None
        };
        let opening_of = |device: DeviceId| {
            let (first, _) = self.set.log(&device)?.at(0).next()?;
            run_from(device, 0, first)
        };
        let mut grants = Vec::new();
        let mut cards = Vec::new();
        let mut grant = self.shown_grant()?;
        cards.push(opening_of(self.device())?);
        while grants.len() < PASSPORT_RUNS {
            let (device, seq) = self.set.place_of(&grant.entry())?;
            let under = self.set.slot(&grant.entry())?.grant;
            if under == GrantId::NONE {
                break;
            }
            grants.push(run_from(device, seq, grant.entry())?);
            if cards.len() < PASSPORT_RUNS {
                cards.extend(opening_of(device));
            }
            grant = under;
        }
        grants.reverse();
        cards.reverse();
        Some(Passport { cards: List::new(cards).ok()?, grants: List::new(grants).ok()? })
    }

    /// Whether a passport shows a chain from someone known to the peer at the other end. Opens a
    /// door and is no rule of validity: what the peer then brings is checked like anything else.
    pub(crate) fn passport_holds(
        &self,
        peer: &TransportKey,
        passport: Passport,
    ) -> Result<bool, Misbehaved> {
        let group = self.persona.group;
        let mut members: BTreeMap<DeviceId, MemberId> = BTreeMap::new();
        let mut bearer = None;
        for run in passport.cards.into_vec() {
            for entry in run.verify(group)? {
                let Some(card) = card_of(&entry) else { continue };
                let device = entry.get().header.device;
                verify_card(group, device, &card).map_err(|_| EntryRefused::BadInnerSignature)?;
                members.insert(device, card.member);
                if card.transport == *peer {
                    bearer = Some(card.member);
                }
            }
        }
        let mut ranks: BTreeMap<MemberId, Rank> = self
            .authority
            .members()
            .iter()
            .filter_map(|(member, standing)| Some((*member, standing.rank()?)))
            .collect();
        for run in passport.grants.into_vec() {
            for entry in run.verify(group)? {
                let Entry { header, payload, .. } = entry.get();
                let Some(payload) = payload else { continue };
                let (subject, rank) = match Control::decode(header.kind, payload) {
                    Ok(Control::Grant(grant)) => (grant.subject, grant.rank),
                    Ok(Control::Replace(replace)) => (replace.with.subject, replace.with.rank),
                    _ => continue,
                };
                let known = self.authority.member_of(&header.device);
                let issuer = known.or_else(|| members.get(&header.device).copied());
                let issued = issuer.and_then(|issuer| ranks.get(&issuer)).copied();
                let gone = self.authority.removed(&subject).is_some();
                if !gone && issued.is_some_and(|issued| issued > rank) {
                    ranks.entry(subject).or_insert(rank);
                }
            }
        }
        Ok(bearer.is_some_and(|bearer| ranks.contains_key(&bearer)))
    }
}
