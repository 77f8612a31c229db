//! Finding out who lacks what, by range-based set reconciliation (M1), in parts that the keeper takes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cairn_crdt::codec::Bytes;
use cairn_crdt::id::RecordId;
use cairn_crdt::limits::RECONCILE_RECORDS;
use cairn_crdt::mailbox::message::{KeeperReply, KeeperRequest};
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::Failure;
use super::talk::{Heard, Over, Talk};
use super::told::Lie;
use crate::keeper::mailbox::RECONCILE_AIM;

/// The longest prefix by which records are parted.
const BITS: u8 = 16;
/// Records of a part that is aimed at: well below what a keeper compares at once.
const PART: u64 = 16_384;
/// Records that a keeper may claim to hold besides, in all parts: more than a mailbox of the usual
/// quota holds.
const BESIDES: usize = 1 << 20;
/// Messages for one part after which a keeper leads us round in a circle.
const ROUNDS: usize = 64;

/// Those that the keeper lacks, and those that it holds besides.
type Differences = (Vec<RecordId>, Vec<RecordId>);

/// Compares all parts, one after the other. `there` is about how many records the keeper holds.
pub(super) async fn run(
    talk: &mut Talk<'_>,
    there: u64,
    mut ids: Vec<RecordId>,
) -> Heard<Differences> {
    ids.sort_unstable();
    ids.dedup();
    let most = there.max(u64::try_from(ids.len()).unwrap_or(u64::MAX));
    let parts = most.div_ceil(PART).max(1);
    let bits = u8::try_from(64_u32.saturating_sub(parts.saturating_sub(1).leading_zeros()))
        .unwrap_or(BITS)
        .min(BITS);
    let (mut lacks, mut holds) = (Vec::new(), Vec::new());
    let mut waiting: Vec<(u8, u16)> =
        (0..=u16::MAX.checked_shr(u32::from(16_u8.saturating_sub(bits))).unwrap_or(0))
            .rev()
            .map(|prefix| (bits, prefix))
            .collect();
    while let Some((bits, prefix)) = waiting.pop() {
        match part(talk, bits, prefix, &ids).await? {
            Ok(Some(found)) => {
                lacks.extend(found.0);
                claimed(&mut holds, found.1)?;
            }
            Ok(None) if bits < BITS => {
                let first = prefix << 1;
                waiting.push((bits.saturating_add(1), first | 1));
                waiting.push((bits.saturating_add(1), first));
            }
            Ok(None) => return Err(Lie::Bounds.into()),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(Ok((lacks, holds)))
}

/// Adds what the keeper claims to hold. There is no end of parts that it can fill.
fn claimed(holds: &mut Vec<RecordId>, found: Vec<RecordId>) -> Result<(), Over> {
    holds.extend(found);
    if holds.len() > BESIDES { Err(Lie::Bounds.into()) } else { Ok(()) }
}

/// Compares one part; `None` if it is too large for the keeper.
async fn part(
    talk: &mut Talk<'_>,
    bits: u8,
    prefix: u16,
    ids: &[RecordId],
) -> Heard<Option<Differences>> {
    let begins = |id: &&RecordId| {
        let [first, second, ..] = *id.as_bytes();
        let begin = u32::from(u16::from_be_bytes([first, second]));
        begin >> u32::from(BITS.saturating_sub(bits)) == u32::from(prefix)
    };
    let own: Vec<RecordId> = ids.iter().filter(begins).copied().collect();
    let mut ours = initiator(&own)?;
    let mut message = ours.initiate().map_err(|_| Over::from(Lie::Comparison))?;
    let (mut lacks, mut holds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let Ok(bytes) = Bytes::new(message) else { return Ok(Err(Failure::TooLarge)) };
        let reconcile = KeeperRequest::Reconcile { bits, prefix, message: bytes };
        let reply = match talk.request(&reconcile).await? {
            Ok(KeeperReply::Reconcile(reply)) => reply,
            Ok(KeeperReply::TooMany(_)) => return Ok(Ok(None)),
            Ok(_) => return Err(Lie::Answer.into()),
            Err(failure) => return Ok(Err(failure)),
        };
        // The keeper's bytes in a library of others: should it panic, the keeper is to blame.
        let reading =
            AssertUnwindSafe(|| ours.reconcile_with_ids(reply.as_slice(), &mut lacks, &mut holds));
        let Ok(Ok(next)) = catch_unwind(reading) else { return Err(Lie::Comparison.into()) };
        if holds.len() > RECONCILE_RECORDS {
            return Err(Lie::Bounds.into());
        }
        match next {
            Some(next) => message = next,
            None => return differences(lacks, holds, begins).map(|found| Ok(Some(found))),
        }
    }
    Err(Lie::Comparison.into())
}

fn initiator(own: &[RecordId]) -> Result<Negentropy<'static, NegentropyStorageVector>, Over> {
    let sealed = || {
        let mut set = NegentropyStorageVector::with_capacity(own.len());
        for id in own {
            set.insert(0, Id::from_byte_array(*id.as_bytes()))?;
        }
        set.seal()?;
        Negentropy::owned(set, RECONCILE_AIM)
    };
    sealed().map_err(|_| Over::from(Lie::Comparison))
}

/// Each once; what the keeper claims to hold is of this part.
fn differences(
    lacks: Vec<Id>,
    holds: Vec<Id>,
    begins: impl Fn(&&RecordId) -> bool,
) -> Result<Differences, Over> {
    let sorted = |ids: Vec<Id>| {
        let mut ids: Vec<RecordId> =
            ids.iter().map(|id| RecordId::from_bytes(id.to_bytes())).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let holds = sorted(holds);
    if holds.iter().any(|id| !begins(&id)) {
        return Err(Lie::Comparison.into());
    }
    Ok((sorted(lacks), holds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m4_a_keeper_cannot_claim_to_hold_without_end() {
        let id = RecordId::from_bytes([7; 32]);
        let mut holds = Vec::new();
        for _ in 0..16 {
            assert!(claimed(&mut holds, vec![id; BESIDES / 16]).is_ok());
        }
        assert_eq!(claimed(&mut holds, vec![id]).err(), Some(Lie::Bounds.into()));
    }
}
