//! What a keeper says, checked against what was asked: nothing of it is believed.

use std::collections::BTreeSet;

use cairn_crdt::codec::List;
use cairn_crdt::id::RecordId;
use cairn_crdt::limits::{GET_RECORDS, NAMED_RECORDS, PUT_RECORDS, SMALLEST_RECORD};
use cairn_crdt::mailbox::message::{HeldRecord, MailboxState, Putting};
use cairn_crdt::mailbox::{Cursor, record_id};

use super::{Record, Seen};

/// How a keeper has lied, or at least said what no honest keeper says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Lie {
    /// It speaks another language.
    #[error("it speaks another version of the protocol")]
    Version,
    /// Its answer cannot be read, or is none to what was asked.
    #[error("its answer is none to what was asked")]
    Answer,
    /// A record that was not asked for, or twice.
    #[error("it gave another record than it was asked for")]
    RecordId,
    /// Places that do not rise, or lie before what was asked for.
    #[error("the places of its records do not rise")]
    Cursor,
    /// More or less than an honest answer can hold.
    #[error("its answer is out of bounds")]
    Bounds,
    /// The mailbox is another than it was.
    #[error("the mailbox is another than it was: the keeper has lost what it held")]
    Swapped,
    /// Less is there than was seen before.
    #[error("it has gone back behind what it had shown before")]
    SetBack,
    /// A set reconciliation that leads nowhere.
    #[error("its comparison of records cannot be right")]
    Comparison,
    /// A generation that is not later.
    #[error("it named a generation of keys that cannot have followed")]
    Generation,
}

/// Takes in what a mailbox is like when it is opened.
pub(super) fn opened(state: &MailboxState, seen: &mut Option<Seen>) -> Result<(), Lie> {
    if let Some(before) = *seen {
        if before.store != state.store {
            return Err(Lie::Swapped);
        }
        newest(state.newest, state.drops, seen)?;
    }
    *seen = Some(Seen { store: state.store, newest: state.newest, drops: state.drops });
    Ok(())
}

/// Takes in the newest place.
pub(super) fn newest(cursor: Cursor, drops: u64, seen: &mut Option<Seen>) -> Result<(), Lie> {
    if let Some(seen) = seen {
        if cursor < seen.newest || drops < seen.drops {
            return Err(Lie::SetBack);
        }
        (seen.newest, seen.drops) = (cursor, drops);
    }
    Ok(())
}

/// What became of records that were put.
pub(super) fn put(
    asked: usize,
    puttings: List<Putting, PUT_RECORDS>,
    after: Option<Cursor>,
) -> Result<Vec<Putting>, Lie> {
    let puttings = puttings.into_vec();
    if puttings.len() != asked {
        return Err(Lie::Answer);
    }
    let mut last = after.unwrap_or_default();
    for putting in &puttings {
        if let Putting::Stored(cursor) = putting {
            if *cursor <= last {
                return Err(Lie::Cursor);
            }
            last = *cursor;
        }
    }
    Ok(puttings)
}

/// Records after a place.
pub(super) fn after(
    place: Cursor,
    records: List<HeldRecord, GET_RECORDS>,
    more: bool,
) -> Result<Vec<Record>, Lie> {
    if more && records.is_empty() {
        return Err(Lie::Bounds);
    }
    let mut last = place;
    let mut taken = Vec::with_capacity(records.len());
    for held in records.into_vec() {
        if held.cursor <= last {
            return Err(Lie::Cursor);
        }
        last = held.cursor;
        taken.push(record(held)?);
    }
    Ok(taken)
}

/// Records that were named. Those that come are some of them, in their order; how many of those
/// named are answered for is the second value.
pub(super) fn named(
    asked: &[RecordId],
    records: List<HeldRecord, GET_RECORDS>,
    more: bool,
) -> Result<(Vec<Record>, usize), Lie> {
    if more && records.is_empty() {
        return Err(Lie::Bounds);
    }
    let mut rest = asked.iter().enumerate();
    let mut answered = 0;
    let mut taken = Vec::with_capacity(records.len());
    for held in records.into_vec() {
        let record = record(held)?;
        let (place, _) = rest.find(|(_, id)| **id == record.id).ok_or(Lie::RecordId)?;
        answered = place.saturating_add(1);
        taken.push(record);
    }
    Ok((taken, if more { answered } else { asked.len() }))
}

fn record(held: HeldRecord) -> Result<Record, Lie> {
    let bytes = held.bytes.into_vec();
    if bytes.len() < SMALLEST_RECORD {
        return Err(Lie::Bounds);
    }
    Ok(Record { cursor: held.cursor, id: record_id(&bytes), bytes })
}

/// Some of the ids that were named, each once.
pub(super) fn some_of(
    asked: impl Iterator<Item = RecordId>,
    ids: List<RecordId, NAMED_RECORDS>,
) -> Result<Vec<RecordId>, Lie> {
    let mut left: BTreeSet<RecordId> = asked.collect();
    let ids = ids.into_vec();
    for id in &ids {
        if !left.remove(id) {
            return Err(Lie::RecordId);
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use cairn_crdt::codec::Bytes;

    use cairn_crdt::id::ControlKey;
    use cairn_crdt::mailbox::Generation;

    use super::*;

    fn held(cursor: u64, byte: u8) -> HeldRecord {
        HeldRecord { cursor: Cursor(cursor), bytes: Bytes::new(vec![byte; 512]).unwrap() }
    }

    fn list<T, const MAX: usize>(values: Vec<T>) -> List<T, MAX> {
        List::new(values).unwrap()
    }

    fn id(byte: u8) -> RecordId {
        record_id(&[byte; 512])
    }

    #[test]
    fn m4_places_that_do_not_rise_are_noticed() {
        let get = |cursors: &[u64]| {
            let records = cursors.iter().map(|cursor| held(*cursor, 1)).collect();
            after(Cursor(3), list(records), false).map(|records| records.len())
        };
        assert_eq!(get(&[4, 9]), Ok(2));
        assert_eq!(get(&[3]), Err(Lie::Cursor));
        assert_eq!(get(&[5, 5]), Err(Lie::Cursor));
        assert_eq!(get(&[6, 5]), Err(Lie::Cursor));
        assert_eq!(after(Cursor(3), list(vec![]), true), Err(Lie::Bounds));
    }

    #[test]
    fn m4_a_record_that_was_not_asked_for_is_noticed() {
        let asked = [id(1), id(2), id(3)];
        let fetch = |bytes: &[u8], more| {
            let records = bytes.iter().map(|byte| held(9, *byte)).collect();
            named(&asked, list(records), more).map(|(records, answered)| (records.len(), answered))
        };
        assert_eq!(fetch(&[1, 2, 3], false), Ok((3, 3)));
        assert_eq!(fetch(&[2], true), Ok((1, 2)));
        assert_eq!(fetch(&[], false), Ok((0, 3)));
        assert_eq!(fetch(&[4], false), Err(Lie::RecordId));
        assert_eq!(fetch(&[1, 1], false), Err(Lie::RecordId));
        assert_eq!(fetch(&[2, 1], false), Err(Lie::RecordId));
        assert_eq!(fetch(&[], true), Err(Lie::Bounds));
        assert_eq!(some_of([id(1)].into_iter(), list(vec![id(2)])), Err(Lie::RecordId));
        assert_eq!(some_of([id(1)].into_iter(), list(vec![id(1), id(1)])), Err(Lie::RecordId));
    }

    #[test]
    fn m4_a_keeper_that_was_set_back_or_swapped_is_noticed() {
        let state = |store, newest, drops| MailboxState {
            generation: Generation(1),
            control: ControlKey::from_bytes([0; 32]),
            newest: Cursor(newest),
            drops,
            store: [store; 32],
            retention: 0,
            quota: 0,
            used: 0,
            records: 0,
        };
        let mut seen = None;
        assert_eq!(opened(&state(1, 5, 2), &mut seen), Ok(()));
        assert_eq!(opened(&state(1, 5, 2), &mut seen), Ok(()));
        assert_eq!(opened(&state(1, 4, 2), &mut seen), Err(Lie::SetBack));
        assert_eq!(opened(&state(1, 5, 1), &mut seen), Err(Lie::SetBack));
        assert_eq!(opened(&state(2, 9, 9), &mut seen), Err(Lie::Swapped));
        assert_eq!(newest(Cursor(9), 2, &mut seen), Ok(()));
        assert_eq!(newest(Cursor(8), 2, &mut seen), Err(Lie::SetBack));
    }

    #[test]
    fn m4_what_was_put_is_answered_one_by_one_with_places_that_rise() {
        let told = |puttings: Vec<Putting>| put(2, list(puttings), Some(Cursor(5)));
        let (six, seven) = (Putting::Stored(Cursor(6)), Putting::Stored(Cursor(7)));
        assert_eq!(told(vec![six, seven]), Ok(vec![six, seven]));
        assert_eq!(told(vec![six, Putting::Known]), Ok(vec![six, Putting::Known]));
        assert_eq!(told(vec![seven, six]), Err(Lie::Cursor));
        assert_eq!(told(vec![Putting::Stored(Cursor(5)), six]), Err(Lie::Cursor));
        assert_eq!(told(vec![six]), Err(Lie::Answer));
    }
}
