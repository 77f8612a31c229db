//! Which keepers a group uses (M1): entries of the group like any other act, so that all members
//! come to the same list.

use serde::{Deserialize, Serialize};

use crate::codec::{Bytes, List};
use crate::id::{EntryId, MailboxId, TransportKey};
use crate::limits::{ADDRESS_BYTES, ADDRESSES, CITATIONS};

/// The group has a mailbox at a keeper. Payload of the kind `keeper`. Needs the ability to edit the
/// agreement.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Keeper {
    /// The keeper's libp2p identity.
    pub keeper: TransportKey,
    /// The group's mailbox there.
    pub mailbox: MailboxId,
    /// Where the keeper listens, as binary multiaddrs; may name it by a domain.
    pub addresses: List<Bytes<ADDRESS_BYTES>, ADDRESSES>,
}

/// The group no longer uses keepers. Payload of the kind `dismiss`. Needs the same ability.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Dismiss {
    /// The entries of the kind `keeper` that are taken back.
    pub keepers: List<EntryId, CITATIONS>,
}
