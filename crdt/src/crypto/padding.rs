//! Padmé padding: the length tells O(log log n) bits instead of log n, at most 12 % larger
//! (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with
//! PURBs", PoPETs 2019, section 4).

/// Content shorter than this is padded to it: most replies then look alike.
pub const SMALLEST: usize = 256;

/// The padded length of `length` bytes.
#[must_use]
pub const fn padme(length: usize) -> usize {
    if length <= SMALLEST {
        return SMALLEST;
    }
    let exponent = length.ilog2();
    let bits = exponent.ilog2().saturating_add(1);
    let mask = (1_usize << exponent.saturating_sub(bits)).saturating_sub(1);
    length.saturating_add(mask) & !mask
}

/// Appends a marker and zeroes up to the padded length.
#[must_use]
pub fn pad(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(0x80);
    bytes.resize(padme(bytes.len()), 0);
    bytes
}

/// The same, to `least` bytes if it were fewer.
#[must_use]
pub fn pad_to(bytes: Vec<u8>, least: usize) -> Vec<u8> {
    let mut bytes = pad(bytes);
    bytes.resize(bytes.len().max(least), 0);
    bytes
}

/// What was padded; `None` if the marker is missing.
#[must_use]
pub fn unpad(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().rposition(|byte| *byte != 0)?;
    match bytes.split_at_checked(end)? {
        (content, [0x80, ..]) => Some(content),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k5_padding_comes_off_and_adds_at_most_an_eighth() {
        for length in [0, 1, 255, 256, 257, 1000, 4095, 40_000] {
            let content = vec![0_u8; length];
            let padded = pad(content.clone());
            assert_eq!(unpad(&padded), Some(content.as_slice()));
            assert!(padded.len() <= SMALLEST.max((length + 1) * 9 / 8), "{length}");
        }
        assert_eq!(unpad(&[0, 0]), None);
        assert_eq!(unpad(&[1, 0]), None);
    }
}
