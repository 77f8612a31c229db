//! The door between one connection and gossip (S3).
//!
//! Shut at first: no gossip protocol is offered and none is asked for. The behaviour opens it for a
//! member by handing over the handler that gossip made for this connection, so that a stream of
//! another protocol on it goes on undisturbed. Once shut again it stays so until the connection is
//! gone.
//!
//! Gossip gives a connection up for good when the other end does not speak its protocol, and the
//! other end may open its own door later than this one. So the handler is asked to speak only after
//! the peer said, by identify or by a stream of its own, that its door is open.

use std::fmt;
use std::task::{Context, Poll};

use either::Either;
use libp2p::core::upgrade::DeniedUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, ProtocolsChange};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, NetworkBehaviour, SubstreamProtocol,
};

use super::gossip::Router;

/// What gossip itself runs on a connection.
pub(super) type Inner = <Router as NetworkBehaviour>::ConnectionHandler;
type Offered = <Inner as ConnectionHandler>::InboundProtocol;
type Asked = <Inner as ConnectionHandler>::OutboundProtocol;
type Told = <Inner as ConnectionHandler>::ToBehaviour;

/// Every version of the gossip protocol is named under this.
const GOSSIP: &str = "/meshsub/";

/// What the behaviour tells the door.
pub(super) enum GateOrder {
    /// Let gossip through.
    Open(Box<Inner>),
    /// Let nothing through any more.
    Shut,
    /// For gossip itself.
    Pass(<Inner as ConnectionHandler>::FromBehaviour),
}

impl fmt::Debug for GateOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Open",
            Self::Shut => "Shut",
            Self::Pass(_) => "Pass",
        })
    }
}

/// The door of one connection.
#[derive(Default)]
pub(super) struct Gate {
    inner: Option<Box<Inner>>,
    shut_for_good: bool,
    peer_speaks: bool,
}

impl ConnectionHandler for Gate {
    type FromBehaviour = GateOrder;
    type ToBehaviour = Told;
    type InboundProtocol = Offered;
    type OutboundProtocol = Asked;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Offered> {
        match &self.inner {
            Some(inner) => inner.listen_protocol(),
            None => SubstreamProtocol::new(Either::Right(DeniedUpgrade), ()),
        }
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.connection_keep_alive())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Asked, (), Told>> {
        match &mut self.inner {
            Some(inner) if self.peer_speaks => inner.poll(context),
            _ => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, order: GateOrder) {
        match order {
            GateOrder::Open(inner) if !self.shut_for_good => self.inner = Some(inner),
            GateOrder::Open(_) => {}
            GateOrder::Shut => {
                self.shut_for_good = true;
                self.inner = None;
            }
            GateOrder::Pass(event) => {
                if let Some(inner) = &mut self.inner {
                    inner.on_behaviour_event(event);
                }
            }
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Offered, Asked>) {
        match &event {
            ConnectionEvent::RemoteProtocolsChange(ProtocolsChange::Added(added)) => {
                self.peer_speaks |= added.clone().any(|name| name.as_ref().starts_with(GOSSIP));
            }
            ConnectionEvent::FullyNegotiatedInbound(_) => self.peer_speaks = true,
            _ => {}
        }
        if let Some(inner) = &mut self.inner {
            inner.on_connection_event(event);
        }
    }
}
