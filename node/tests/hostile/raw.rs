//! An attacker below the node's own network: bytes on streams that nothing bounds on its side.

use std::collections::VecDeque;
use std::task::Poll;
use std::time::Duration;

use cairn_crdt::capability::invite::Code;
use futures::future::poll_fn;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::Endpoint;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, Transport as _, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The name of the protocol on the wire.
pub(crate) const SYNC: &str = "/cairn/sync/1";

/// Less than the silence after which a node gives a stream up anyway.
const SOONER_THAN_SILENCE: Duration = Duration::from_secs(50);

type Asked = oneshot::Sender<Option<SubstreamBox>>;

/// One connection, encrypted and multiplexed, on which every stream is taken and dropped.
pub(crate) struct Raw {
    asks: mpsc::Sender<Asked>,
    running: JoinHandle<()>,
}

/// Works on a connection until it is gone.
async fn work(mut muxer: StreamMuxerBox, mut asks: mpsc::Receiver<Asked>) {
    let mut waiting: VecDeque<Asked> = VecDeque::new();
    poll_fn(|context| {
        while let Poll::Ready(Some(ask)) = asks.poll_recv(context) {
            waiting.push_back(ask);
        }
        while !waiting.is_empty() {
            match muxer.poll_outbound_unpin(context) {
                Poll::Ready(Ok(stream)) => {
                    let ask = waiting.pop_front().expect("not empty");
                    let _ = ask.send(Some(stream));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        while let Poll::Ready(stream) = muxer.poll_inbound_unpin(context) {
            if stream.is_err() {
                return Poll::Ready(());
            }
        }
        while let Poll::Ready(event) = muxer.poll_unpin(context) {
            if event.is_err() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    })
    .await;
}

impl Raw {
    /// Connects to the node that a code names; `None` if it does not take the connection.
    pub(crate) async fn to(code: &Code, key: [u8; 32]) -> Option<Self> {
        let key = Keypair::ed25519_from_bytes(key).unwrap();
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(&key).unwrap())
            .multiplex(yamux::Config::default())
            .boxed();
        let contact = code.contacts.iter().next().unwrap();
        let addresses = contact.addresses.iter().map(|a| a.as_slice().to_vec());
        let address = addresses.filter_map(|a| Multiaddr::try_from(a).ok()).next().unwrap();
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let (_, muxer) = transport.dial(address, options).unwrap().await.ok()?;
        let (asks, asked) = mpsc::channel(1);
        Some(Self { asks, running: tokio::spawn(work(muxer, asked)) })
    }

    /// A stream of a protocol; `None` if the node does not take it.
    pub(crate) async fn open(&self, protocol: &str) -> Option<SubstreamBox> {
        let (ask, asked) = oneshot::channel();
        self.asks.send(ask).await.ok()?;
        let mut stream = asked.await.ok()??;
        for line in ["/multistream/1.0.0", protocol] {
            let mut bytes = vec![u8::try_from(line.len() + 1).unwrap()];
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
            stream.write_all(&bytes).await.ok()?;
            stream.flush().await.ok()?;
            let mut echo = vec![0; bytes.len()];
            stream.read_exact(&mut echo).await.ok()?;
            (echo == bytes).then_some(())?;
        }
        Some(stream)
    }

    pub(crate) fn end(self) {
        self.running.abort();
    }
}

/// A message with its length before it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [length.as_slice(), message].concat()
}

/// Reads until the node says no more; how many bytes it said. It has to end the stream for what was
/// said on it, and not only when it has waited long enough for more.
pub(crate) async fn drain(stream: &mut SubstreamBox) -> usize {
    let mut said = Vec::new();
    // A stream that is reset is over as well.
    let _ = tokio::time::timeout(SOONER_THAN_SILENCE, stream.read_to_end(&mut said))
        .await
        .expect("the node ends the stream by itself");
    said.len()
}
