//! All that reaches the driver.

use cairn_crdt::id::{GroupId, TransportKey};
use tokio::sync::oneshot;

use crate::api::command::{Answer, ApiError, Request};
use crate::keeper::client::ClientEvent;
use crate::network::{FindingEvent, NetworkEvent};

/// Where an answer goes. Whoever no longer waits for it costs nothing.
pub type Answering = oneshot::Sender<Result<Answer, ApiError>>;

/// Tells the networks of one process apart: a group that was joined anew has another than before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NetworkId(pub u64);

/// One thing that the driver is told or asked.
#[derive(Debug)]
pub enum Incoming {
    /// A question by way of the API.
    Ask {
        /// The question.
        request: Request,
        /// Where the answer goes.
        answer: Answering,
    },
    /// Something happened in a persona's network.
    Network {
        /// The persona's group.
        group: GroupId,
        /// Which of its networks.
        network: NetworkId,
        /// What.
        event: NetworkEvent,
    },
    /// A client of one of a persona's keepers says something.
    Keeper {
        /// The persona's group.
        group: GroupId,
        /// Which keeper.
        keeper: TransportKey,
        /// Which of its clients.
        client: NetworkId,
        /// What.
        event: ClientEvent,
    },
    /// Something was found.
    Finding {
        /// The persona's group.
        group: GroupId,
        /// By which finding.
        finding: NetworkId,
        /// What.
        event: FindingEvent,
    },
    /// The network of a persona has stopped by itself.
    NetworkEnded {
        /// The persona's group.
        group: GroupId,
        /// Which of its networks.
        network: NetworkId,
    },
    /// Say when every persona's network listens: its addresses, as text.
    WhenListening(oneshot::Sender<Vec<String>>),
    /// Close everything and come to an end.
    Stop,
}
