//! Live entries (S3): checked before they are passed on, from members only.

use crate::id::TransportKey;
use crate::log::run::Run;
use crate::replica::Replica;
use crate::replica::effect::{Effect, Event, Verdict};
use crate::replica::ingest::Misbehaved;
use crate::replica::input::GossipToken;
use crate::replica::outcome::Outcome;
use crate::time::Timestamp;

impl Replica {
    pub(crate) fn gossip(
        &mut self,
        now: Timestamp,
        token: GossipToken,
        from: TransportKey,
        bytes: &[u8],
        out: &mut Outcome,
    ) {
        let verdict = if self.authority.device_of_transport(&from).is_none() {
            Verdict::Reject
        } else {
            match self.gossiped(now, from, bytes, out) {
                Ok(verdict) => verdict,
                Err(why) => {
                    out.notify(Event::Misbehaved { rule: why.to_string() });
                    Verdict::Reject
                }
            }
        };
        out.effect(Effect::Verdict { token, verdict });
    }

    fn gossiped(
        &mut self,
        now: Timestamp,
        from: TransportKey,
        bytes: &[u8],
        out: &mut Outcome,
    ) -> Result<Verdict, Misbehaved> {
        let entries = Run::from_bytes(bytes)?.verify(self.persona.group)?;
        let [entry] = entries.as_slice() else { return Err(Misbehaved::OutOfOrder) };
        let (id, device) = (entry.get().id, entry.get().header.device);
        let content = !entry.get().header.kind.is_control();
        let taken = self.ingest(now, entries, out)?;
        if taken.waiting {
            self.peers.stir_peer(now, from);
            return Ok(Verdict::Ignore);
        }
        // Content after a fork is not passed on before a branch is selected (L8).
        let forked = self.set.log(&device).and_then(crate::log::set::Log::fork_seq).is_some();
        let counts = self.authority.counting(&self.set, &id).counts();
        if content && forked && !counts {
            return Ok(Verdict::Ignore);
        }
        Ok(if taken.new > 0 { Verdict::Accept } else { Verdict::Ignore })
    }
}
