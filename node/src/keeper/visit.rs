//! One stream of a client: greeting, then request and answer, one after the other.

use std::sync::Arc;
use std::time::Duration;

use cairn_crdt::id::TransportKey;
use cairn_crdt::limits::KEEPER_MESSAGE_BYTES;
use cairn_crdt::mailbox::Cursor;
use cairn_crdt::mailbox::access::Meeting;
use cairn_crdt::mailbox::message::{KEEPER_VERSION, KeeperGreeting, KeeperReply, KeeperRequest};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::desk::{Asked, Clock, Job, Watched};
use super::frames::{self, Ending, Message, Reader};
use super::mailbox::{Answer, Place, Visit};
use super::metrics::Metrics;
use super::policy::{self, Limits};
use super::rates::Bucket;

/// Room for large messages, shared by all streams.
#[derive(Clone)]
pub(super) struct Rooms {
    members: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            members: Arc::new(Semaphore::new(policy::MEMBERS_ROOM)),
            strangers: Arc::new(Semaphore::new(policy::STRANGERS_ROOM)),
        }
    }
}

impl Rooms {
    fn of(&self, place: Place) -> Arc<Semaphore> {
        Arc::clone(match place {
            Place::Mailbox { .. } => &self.members,
            Place::Outside | Place::Drop { .. } => &self.strangers,
        })
    }
}

/// What every stream is given.
#[derive(Clone)]
pub(super) struct House {
    pub(super) keeper: TransportKey,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) watched: Watched,
    pub(super) rooms: Rooms,
    pub(super) metrics: Arc<Metrics>,
}

/// Serves a stream to its end.
pub(super) async fn serve(
    house: House,
    client: TransportKey,
    stream: impl AsyncRead + AsyncWrite + Send,
    mut rng: ChaCha20Rng,
) -> Ending {
    let mut challenge = [0; 32];
    rng.fill_bytes(&mut challenge);
    let meeting = Meeting { keeper: house.keeper, client, challenge };
    let (reader, mut writer) = stream.split();
    let mut guest = Guest {
        visit: Visit { meeting, place: Place::Outside },
        bucket: Bucket::new(house.limits.connection_rate, (house.clock)()),
        reader: Reader::new(reader),
        refusals: 0,
        rng,
        house,
    };
    let ending = match guest.talk(&mut writer).await {
        Ok(()) => Ending::Gone,
        Err(ending) => ending,
    };
    // Whoever is slow to hear of the end is not waited for.
    let _ = timeout(policy::IDLE_CONNECTION, writer.close()).await;
    ending
}

struct Guest<R> {
    visit: Visit,
    bucket: Bucket,
    reader: Reader<R>,
    refusals: u32,
    rng: ChaCha20Rng,
    house: House,
}

impl<R: AsyncRead + Unpin> Guest<R> {
    async fn talk(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Ending> {
        let greeting = KeeperGreeting {
            version: KEEPER_VERSION,
            challenge: self.visit.meeting.challenge,
            quota: self.house.limits.quota,
            retention: self.house.limits.retention,
        };
        frames::write(writer, &greeting.to_bytes()).await?;
        // What came while the client waited for news.
        let mut early = None;
        loop {
            let room = self.house.rooms.of(self.visit.place);
            let Message { bytes: message, room: taken } = match early.take() {
                Some(message) => message,
                None => timeout(self.patience(), self.reader.next(&room))
                    .await
                    .map_err(|_| Ending::Stalled)??,
            };
            let request = KeeperRequest::from_bytes(&message).map_err(|_| Ending::Misbehaved)?;
            let bytes = u64::try_from(message.len()).unwrap_or(u64::MAX);
            drop(message);
            self.house.metrics.requests.add(1);
            self.house.metrics.bytes_in.add(bytes);
            // What is to be put stays in memory until it is on disk; what is to be given needs room
            // of its own, which is not waited for with something in hand.
            let taken = match request {
                KeeperRequest::Get { .. }
                | KeeperRequest::Fetch(_)
                | KeeperRequest::DropGet { .. } => {
                    drop(taken);
                    let waiting = frames::room_for(&room, KEEPER_MESSAGE_BYTES);
                    timeout(policy::MESSAGE_TIME, waiting).await.map_err(|_| Ending::Stalled)?
                }
                _ => taken,
            };
            let reply = match request {
                KeeperRequest::Watch { after, drops } => {
                    self.wait_for_news((after, drops), &mut early).await?
                }
                request => self.ask(request, bytes).await?,
            };
            self.count(&reply)?;
            let reply = reply.to_bytes();
            let bytes = u64::try_from(reply.len()).unwrap_or(u64::MAX);
            self.house.metrics.bytes_out.add(bytes);
            frames::write(writer, &reply).await?;
            drop(taken);
        }
    }

    /// How long the client may be silent.
    const fn patience(&self) -> Duration {
        match self.visit.place {
            Place::Outside => policy::STRANGERS_SILENCE,
            Place::Mailbox { .. } | Place::Drop { .. } => policy::SILENCE,
        }
    }

    /// Whoever is refused again and again has nothing to do here.
    fn count(&mut self, reply: &KeeperReply) -> Result<(), Ending> {
        if *reply == KeeperReply::Refused {
            self.house.metrics.refused.add(1);
            self.refusals = self.refusals.saturating_add(1);
        }
        if self.refusals > policy::REFUSALS { Err(Ending::Misbehaved) } else { Ok(()) }
    }

    async fn ask(&mut self, request: KeeperRequest, bytes: u64) -> Result<KeeperReply, Ending> {
        let cost = bytes.saturating_add(policy::REQUEST_COST);
        let now = (self.house.clock)();
        if let Err(millis) = self.bucket.take(self.house.limits.connection_rate, now, cost) {
            self.house.metrics.later.add(1);
            return Ok(KeeperReply::Later { millis });
        }
        let (answer, answered) = oneshot::channel();
        let mut fresh = [0; 32];
        if matches!(request, KeeperRequest::Create { .. }) {
            self.rng.fill_bytes(&mut fresh);
        }
        let asked = Asked { visit: self.visit, request, bytes, fresh, answer };
        self.house.jobs.send(Job::Ask(Box::new(asked))).await.map_err(|_| Ending::Stopped)?;
        let Answer { reply, place, cost, .. } = answered.await.map_err(|_| Ending::Stopped)?;
        self.visit.place = place;
        self.bucket.spend(cost);
        Ok(reply)
    }

    /// Waits until there is something new, the client asks something else, or it has been long.
    async fn wait_for_news(
        &mut self,
        known: (Cursor, u64),
        early: &mut Option<Message>,
    ) -> Result<KeeperReply, Ending> {
        let end = Instant::now().checked_add(policy::WATCH).unwrap_or_else(Instant::now);
        // First listen, then look: what comes in between is not missed.
        let row = self.visit.place.mailbox();
        let mut news = row.map(|row| self.house.watched.watch(row));
        let room = self.house.rooms.of(self.visit.place);
        loop {
            let (after, drops) = known;
            let request = KeeperRequest::Watch { after, drops };
            let reply = self.ask(request, 0).await?;
            let KeeperReply::Newest { cursor, drops } = reply else { return Ok(reply) };
            if (cursor, drops) != known || early.is_some() {
                return Ok(reply);
            }
            let changed = async {
                match &mut news {
                    // The sender lives as long as somebody watches.
                    Some(news) => drop(news.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                message = self.reader.next(&room) => *early = Some(message?),
                () = sleep_until(end) => return Ok(reply),
            }
        }
    }
}
