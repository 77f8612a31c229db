//! Where a device is (M5).

use cairn_crdt::codec;
use cairn_crdt::crypto::domain;
use cairn_crdt::discovery::Whereabouts;

use crate::form::{Form, form};
use crate::values::{address, bytes, key, list};

fn whereabouts() -> Whereabouts {
    let (counter, addresses) = (300_u64, list(vec![bytes(&address()), bytes(&[1, 2])]));
    let signed = codec::encode(&([7_u8; 32], counter, &addresses));
    let signature = key(1).sign(domain::SIGN_WHEREABOUTS, &signed);
    Whereabouts { counter, addresses, signature }
}

pub(crate) fn forms() -> Vec<Form> {
    vec![form("Whereabouts", [("whereabouts", whereabouts())])]
}
