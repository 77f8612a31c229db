//! Settling a log that has two branches, and ending a device of one's own (A6, A8).

use crate::capability::rank::{Abilities, Rank};
use crate::capability::revocation::{CutHead, Pin, PinRight};
use crate::id::{DeviceId, EntryId, GrantId};
use crate::identity::device::Unlink;
use crate::log::entry::Control;
use crate::replica::Replica;
use crate::replica::effect::{Refused, Reply};
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

impl Replica {
    /// Selects the branch of a forked log that an entry lies on, up to its end (A6): by the member
    /// key if the device is one's own, otherwise by rank.
    pub(crate) fn pin(
        &mut self,
        now: Timestamp,
        entry: &EntryId,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (device, seq) = self.set.place_of(entry).ok_or(Refused::Unknown { what: "entry" })?;
        let head = self.branch_end(&device, seq, entry)?;
        let owner = self.authority.member_of(&device);
        let own = self.member();
        let (grant, by) = if owner == Some(own) {
            let group = self.persona.group;
            let signature = self.persona.member.sign_pin(group, device, head.seq, head.entry);
            let grant = self.grant_with(Abilities::READ, None, "to be a member")?;
            (grant, PinRight::Member(own, signature))
        } else {
            let rank = owner.and_then(|owner| self.authority.rank_of(&owner));
            let rank = Some(rank.unwrap_or(Rank::Reader));
            (self.grant_with(Abilities::READ, rank, "a rank above the member's")?, PinRight::Rank)
        };
        let id = self.write_control(now, grant, &Control::Pin(Pin { device, head, by }), out)?;
        self.refresh(out);
        Ok(Reply::Entry(id))
    }

    /// The end of the branch that an entry lies on.
    fn branch_end(&self, device: &DeviceId, seq: u64, entry: &EntryId) -> Result<CutHead, Refused> {
        let log = self.set.log(device).ok_or(Refused::Unknown { what: "device" })?;
        if log.fork_seq().is_none() {
            let why = "this log has a single branch: there is nothing to select".to_owned();
            return Err(Refused::Conflict(why));
        }
        let mut ends = log.heads().iter().filter(|(at, head)| log.on_path(*at, head, seq, entry));
        match (ends.next(), ends.next()) {
            (Some((seq, entry)), None) => Ok(CutHead { seq: *seq, entry: *entry }),
            _ => Err(Refused::Conflict(
                "this entry lies on several branches: name one after the log divides".to_owned(),
            )),
        }
    }

    /// Ends a device of this member: what it wrote up to `last` stands, or up to all that is held
    /// (A8).
    pub(crate) fn unlink(
        &mut self,
        now: Timestamp,
        device: DeviceId,
        last: Option<EntryId>,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let own = self.member();
        if device == self.device() || self.authority.member_of(&device) != Some(own) {
            let why = "only another device of yours can be ended".to_owned();
            return Err(Refused::Conflict(why));
        }
        let log = self.set.log(&device).ok_or(Refused::Unknown { what: "device" })?;
        let (seq, entry) = match last {
            Some(entry) => {
                let place = self.set.place_of(&entry).filter(|(of, _)| *of == device);
                (place.ok_or(Refused::Unknown { what: "entry" })?.1, entry)
            }
            None => log.heads().last().copied().ok_or(Refused::Unknown { what: "device" })?,
        };
        let signature = self.persona.member.sign_unlink(self.persona.group, device, seq, entry);
        let unlink = Unlink { member: own, device, seq, entry, signature };
        let id = self.write_control(now, GrantId::NONE, &Control::Unlink(unlink), out)?;
        self.refresh(out);
        Ok(Reply::Entry(id))
    }
}
