//! Ids by the beginning of their written form: 5 bits a character, most significant first.

use cairn_crdt::id::WRITTEN_LENGTH;

/// The smallest and the largest id whose written form can begin like this; `None` if none can.
pub(super) fn range(prefix: &str) -> Option<([u8; 32], [u8; 32])> {
    if prefix.len() > WRITTEN_LENGTH {
        return None;
    }
    let mut bits = Vec::with_capacity(256);
    for character in prefix.bytes() {
        let value = match character {
            b'a'..=b'z' => character.checked_sub(b'a')?,
            b'2'..=b'7' => character.checked_sub(b'2')?.checked_add(26)?,
            _ => return None,
        };
        bits.extend((0..5).rev().map(|bit| (value >> bit) & 1 == 1));
    }
    // 52 characters carry 260 bits: the last four are always zero.
    if bits.iter().skip(256).any(|bit| *bit) {
        return None;
    }
    let fill = |with: bool| {
        let mut id = [0_u8; 32];
        for (place, byte) in id.iter_mut().enumerate() {
            let first = place.saturating_mul(8);
            for bit in first..first.saturating_add(8) {
                *byte = (*byte << 1) | u8::from(bits.get(bit).copied().unwrap_or(with));
            }
        }
        id
    };
    Some((fill(false), fill(true)))
}

#[cfg(test)]
mod tests {
    use cairn_crdt::id::EntryId;

    use super::*;

    #[test]
    fn a_range_holds_exactly_the_ids_that_begin_like_this() {
        for seed in 0..=255_u8 {
            let id: [u8; 32] = std::array::from_fn(|place| seed.wrapping_mul(31) ^ place as u8);
            let written = EntryId::from_bytes(id).to_string();
            for length in 0..=WRITTEN_LENGTH {
                let prefix = written.get(..length).unwrap();
                let (low, high) = range(prefix).unwrap();
                assert!(low <= id && id <= high, "{written} {length}");
                assert!(EntryId::from_bytes(low).to_string().starts_with(prefix));
                assert!(EntryId::from_bytes(high).to_string().starts_with(prefix));
            }
            assert_eq!(range(&written), Some((id, id)));
        }
    }

    #[test]
    fn what_no_id_begins_with_has_no_range() {
        assert_eq!(range("A"), None);
        assert_eq!(range("0"), None);
        assert_eq!(range(&"a".repeat(53)), None);
        assert_eq!(range(&format!("{}b", "a".repeat(51))), None);
    }
}
