//! A client that says what the test wants, byte by byte.

use cairn_crdt::id::TransportKey;
use cairn_crdt::mailbox::access::Meeting;
use cairn_crdt::mailbox::message::{KeeperGreeting, KeeperReply, KeeperRequest};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use crate::keeper::frames::Ending;
use crate::keeper::visit::{self, House};

pub(super) const KEEPER: TransportKey = TransportKey::from_bytes([77; 32]);

pub(super) struct Raw {
    stream: Option<DuplexStream>,
    pub(super) meeting: Meeting,
    served: JoinHandle<Ending>,
}

impl Raw {
    /// A stream of a client with this identity, greeted.
    pub(super) async fn connect(house: &House, client: u8) -> Self {
        static STREAMS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let seed = STREAMS.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let (stream, own) = tokio::io::duplex(64 * 1024);
        let client = TransportKey::from_bytes([client; 32]);
        let rng = ChaCha20Rng::seed_from_u64(seed);
        let served = tokio::spawn(visit::serve(house.clone(), client, own.compat(), rng));
        let meeting = Meeting { keeper: KEEPER, client, challenge: [0; 32] };
        let mut raw = Self { stream: Some(stream), meeting, served };
        let greeting = KeeperGreeting::from_bytes(&raw.message().await.unwrap()).unwrap();
        raw.meeting.challenge = greeting.challenge;
        raw
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.as_mut().unwrap().write_all(bytes).await.unwrap();
    }

    pub(super) async fn send_message(&mut self, request: &KeeperRequest) {
        let bytes = request.to_bytes();
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        // The other end may have hung up.
        let stream = self.stream.as_mut().unwrap();
        let _ = stream.write_all(&[&length[..], &bytes].concat()).await;
    }

    async fn message(&mut self) -> Option<Vec<u8>> {
        let stream = self.stream.as_mut().unwrap();
        let length = stream.read_u32().await.ok()?;
        let mut message = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut message).await.ok()?;
        Some(message)
    }

    /// The next reply; `None` if the stream is over.
    pub(super) async fn reply(&mut self) -> Option<KeeperReply> {
        self.message().await.map(|message| KeeperReply::from_bytes(&message).unwrap())
    }

    pub(super) async fn ask(&mut self, request: &KeeperRequest) -> KeeperReply {
        self.send_message(request).await;
        self.reply().await.unwrap()
    }

    pub(super) async fn hang_up(&mut self) {
        self.stream.as_mut().unwrap().shutdown().await.unwrap();
    }

    /// How the keeper's side ended. The stream stays open until then.
    pub(super) async fn ending(self) -> Ending {
        let ending = self.served.await.unwrap();
        drop(self.stream);
        ending
    }
}
