//! Making another's erasure final (C5): a steward may at once; otherwise a moderator's node does it
//! when a week has passed in which it could be restored.

use crate::capability::rank::{Abilities, Rank};
use crate::capability::revocation::ConfirmErase;
use crate::id::{DocumentId, EntryId};
use crate::log::entry::{Control, Kind};
use crate::replica::Replica;
use crate::replica::effect::{Refused, Reply};
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

/// Milliseconds that another's erasure can be restored.
const RESTORABLE_MILLIS: u64 = 7 * 86_400_000;
/// Milliseconds over which the nodes of several moderators spread: one is first, and the others
/// find it done.
const SPREAD_MILLIS: u64 = 86_400_000;
/// Erasures that are confirmed at a time.
const AT_ONCE: usize = 64;

impl Replica {
    /// A steward makes an erasure final now.
    pub(crate) fn confirm_erase(
        &mut self,
        now: Timestamp,
        document: &DocumentId,
        out: &mut Outcome,
    ) -> Result<Reply, Refused> {
        let (created, _, rank) = self.target(document)?;
        let erasure = self.authority.erased(&created);
        let erasure = erasure.ok_or(Refused::Conflict("the post is not erased".to_owned()))?;
        if erasure.final_ {
            return Err(Refused::Conflict("the post is erased for good already".to_owned()));
        }
        let erase = erasure.by;
        let needs = "the rank of steward, and one above the author's";
        let grant = self.grant_with(Abilities::ERASE, Some(rank.max(Rank::Moderator)), needs)?;
        let control = Control::ConfirmErase(ConfirmErase { erase });
        let id = self.write_control(now, grant, &control, out)?;
        self.refresh(out);
        Ok(Reply::Entry(id))
    }

    /// A moderator's node confirms what could be restored for a week and was not.
    pub(crate) fn confirm_erasures(&mut self, now: Timestamp, out: &mut Outcome) {
        let due: Vec<(EntryId, Rank)> = self
            .authority
            .erasures()
            .iter()
            .filter(|(_, erasure)| !erasure.final_ && self.restorable_until(&erasure.by) <= now)
            .filter_map(|(created, erasure)| Some((erasure.by, self.rank_under(created)?)))
            .take(AT_ONCE)
            .collect();
        let mut written = false;
        for (erase, rank) in due {
            // Strictly above the author, and at least a moderator.
            let above = Some(rank.max(Rank::Member));
            if self.confirmed_here(&erase) {
                // It did not help: this device's entries do not count.
                continue;
            }
            let Ok(grant) = self.grant_with(Abilities::ERASE, above, "") else { continue };
            let control = Control::ConfirmErase(ConfirmErase { erase });
            written |= self.write_control(now, grant, &control, out).is_ok();
        }
        if written {
            self.refresh(out);
        }
    }

    /// Whether this device has said so already.
    fn confirmed_here(&self, erase: &EntryId) -> bool {
        let own = self.device();
        let log = self.set.log(&own).into_iter().flat_map(|log| log.iter());
        log.filter(|(_, _, slot)| slot.kind == Kind::CONFIRM_ERASE).any(|(_, id, _)| {
            matches!(
                self.set.control().get(&id),
                Some(Control::ConfirmErase(said)) if said.erase == *erase
            )
        })
    }

    fn restorable_until(&self, erase: &EntryId) -> Timestamp {
        let Some(heard) = self.erasures_heard.get(erase) else {
            return Timestamp::from_millis(u64::MAX);
        };
        heard.after(RESTORABLE_MILLIS).after(self.device().turn(SPREAD_MILLIS))
    }

    /// The rank of the grant under which a content entry stands.
    pub(crate) fn rank_under(&self, content: &EntryId) -> Option<Rank> {
        let grant = self.set.slot(content)?.grant;
        self.authority.grant(&grant).map(|(_, capability)| capability.rank)
    }
}
