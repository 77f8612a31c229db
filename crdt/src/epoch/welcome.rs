//! A welcome (K3): what a device needs in order to read what it may but holds no key for.

use serde::{Deserialize, Serialize};

use crate::codec::Bytes;
use crate::id::DeviceId;
use crate::limits::SEALED_BOX_BYTES;

/// Keys for one device. Payload of the kind `welcome`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// For whom.
    pub recipient: DeviceId,
    /// HPKE box to the recipient's prekey, bound to (group, recipient): the keys.
    pub sealed: Bytes<SEALED_BOX_BYTES>,
}
