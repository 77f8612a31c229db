//! A first look at the bytes of a change, before Automerge sees them (C3).
//!
//! Automerge stores operations in columns of runs: "this value, so many times". Few bytes can
//! claim any number of operations, and Automerge would go through all of them. So every count and
//! length is read and bounded here, on the bytes themselves; nothing is allocated.
//!
//! The format is the change chunk of <https://automerge.org/automerge-binary-format-spec/>.
//! Whether the values make sense is not this file's business.

use crate::limits::{CHANGE_BYTES, CHANGE_NAMES};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Chunk type of a change that is not compressed.
const CHANGE: u8 = 1;
/// Columns that a change can have.
const COLUMNS: u64 = 16;
/// Bytes of a key; the longest in any profile is shorter.
const KEY_BYTES: u64 = 32;
/// No counter or difference of counters is larger.
const COUNTER: u64 = 1 << 32;

/// Whether the bytes are an uncompressed change chunk without message or extra bytes, whose every
/// count is within its bound; `operations` is the bound for rows and for predecessors in all.
pub(super) fn is_bounded(bytes: &[u8], operations: u64) -> bool {
    bytes.len() <= CHANGE_BYTES && scan(bytes, operations).is_some()
}

fn scan(bytes: &[u8], operations: u64) -> Option<()> {
    let mut chunk = Reader(bytes);
    let magic = chunk.take(4)? == MAGIC;
    chunk.take(4)?;
    let change = chunk.take(1)? == [CHANGE];
    let length = chunk.unsigned()?;
    if !magic || !change || length != chunk.left() {
        return None;
    }
    let names = u64::try_from(CHANGE_NAMES).ok()?;
    let dependencies = bounded(chunk.unsigned()?, names)?;
    chunk.skip(dependencies.checked_mul(32)?)?;
    chunk.actor()?;
    bounded(chunk.unsigned()?, COUNTER)?;
    bounded(chunk.unsigned()?, COUNTER)?;
    chunk.signed()?;
    bounded(chunk.unsigned()?, 0)?;
    for _ in 0..bounded(chunk.unsigned()?, names)? {
        chunk.actor()?;
    }
    let columns = bounded(chunk.unsigned()?, COLUMNS)?;
    let mut specifications = chunk;
    for _ in 0..columns {
        chunk.unsigned()?;
        chunk.unsigned()?;
    }
    for _ in 0..columns {
        let specification = specifications.unsigned()?;
        let length = specifications.unsigned()?;
        column(specification, Reader(chunk.take(length)?), operations)?;
    }
    (chunk.left() == 0).then_some(())
}

/// Goes through one column. Its type is in the low three bits, the fourth says "compressed".
fn column(specification: u64, mut data: Reader<'_>, operations: u64) -> Option<()> {
    let kind = specification & 0b111;
    if specification & 0b1000 != 0 || specification > 0xffff {
        return None;
    }
    if kind == RAW_VALUES {
        return Some(());
    }
    let (mut rows, mut members) = (0_u64, 0_u64);
    while data.left() > 0 {
        if kind == BOOLEANS {
            rows = rows.checked_add(data.unsigned()?)?;
        } else {
            let run = data.signed()?;
            let count = run.unsigned_abs();
            if run == 0 {
                rows = rows.checked_add(data.unsigned()?)?;
            } else {
                rows = rows.checked_add(count)?;
            }
            bounded(rows, operations)?;
            // A positive run has one value, a negative one has that many, a null run has none.
            for _ in 0..if run < 0 { count } else { u64::from(run > 0) } {
                let value = data.value(kind)?;
                if kind == GROUP {
                    let times = if run < 0 { 1 } else { count };
                    members = members.checked_add(value.checked_mul(times)?)?;
                }
            }
        }
        bounded(rows, operations)?;
        bounded(members, operations)?;
    }
    Some(())
}

const GROUP: u64 = 0;
const DIFFERENCES: u64 = 3;
const BOOLEANS: u64 = 4;
const STRINGS: u64 = 5;
const RAW_VALUES: u64 = 7;

fn bounded(value: u64, most: u64) -> Option<u64> {
    (value <= most).then_some(value)
}

/// What is left to read.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn left(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    fn take(&mut self, length: impl TryInto<usize>) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length.try_into().ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, length: u64) -> Option<()> {
        self.take(length).map(|_| ())
    }

    /// An actor of 32 bytes.
    fn actor(&mut self) -> Option<()> {
        bounded(self.unsigned()?, 32).filter(|length| *length == 32)?;
        self.skip(32)
    }

    /// One value of a column; its number, or zero for a string.
    fn value(&mut self, kind: u64) -> Option<u64> {
        match kind {
            STRINGS => {
                let length = bounded(self.unsigned()?, KEY_BYTES)?;
                self.skip(length).map(|()| 0)
            }
            DIFFERENCES => bounded(self.signed()?.unsigned_abs(), COUNTER),
            _ => self.unsigned(),
        }
    }

    /// LEB128.
    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return None };
            let bits = u64::from(byte & 0x7f);
            value |= bits.checked_shl(shift).filter(|moved| moved >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Signed LEB128. At most nine bytes: nothing here needs the tenth.
    fn signed(&mut self) -> Option<i64> {
        let mut value = 0_i64;
        for shift in (0_u32..63).step_by(7) {
            let [byte] = *self.take(1)? else { return None };
            value |= i64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                let unused = 57_u32.checked_sub(shift)?;
                return value.checked_shl(unused)?.checked_shr(unused);
            }
        }
        None
    }
}
