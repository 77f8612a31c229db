//! One stream: what is asked on it, in what order, and what is made of the answers.

use std::sync::Arc;
use std::time::Duration;

use cairn_crdt::id::{AccessKey, TransportKey};
use cairn_crdt::mailbox::Cursor;
use cairn_crdt::mailbox::access::Meeting;
use cairn_crdt::mailbox::message::{
    KEEPER_VERSION, KeeperGreeting, KeeperReply, KeeperRequest, MailboxState,
};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::told::{self, Lie};
use super::{Access, Ask, ClientConfig, ClientEvent, Failure, Told, Wish};
use crate::keeper::frames::{self, Ending, Reader};
use crate::keeper::policy;

/// How long an answer may take: the longest wait for news, and room for a slow line.
const ANSWER: Duration = Duration::from_secs(120);
/// How long nothing is asked before the client asks for news by itself, so that the stream stays.
const IDLE: Duration = Duration::from_secs(30);
/// How often something is asked again that the keeper put off.
const LATER_TRIES: u32 = 8;
/// The longest that a keeper may put something off.
const LATER: Duration = Duration::from_secs(60);

type Input = Box<dyn AsyncRead + Unpin + Send>;
type Output = Box<dyn AsyncWrite + Unpin + Send>;

/// Why a stream is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::keeper) enum Over {
    /// Nobody asks any more.
    Stopped,
    /// The keeper, or the way to it, is gone.
    Lost,
    /// The keeper took too long.
    Silent,
    /// The keeper lied.
    Lied(Lie),
}

impl From<Ending> for Over {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Oversize => Self::Lied(Lie::Bounds),
            Ending::Misbehaved => Self::Lied(Lie::Answer),
            Ending::Stalled => Self::Silent,
            Ending::Gone | Ending::Stopped => Self::Lost,
        }
    }
}

impl From<Lie> for Over {
    fn from(lie: Lie) -> Self {
        Self::Lied(lie)
    }
}

/// Runs a stream to its end.
pub(in crate::keeper) async fn run(
    config: &mut ClientConfig,
    asks: &mut mpsc::Receiver<Ask>,
    events: &mpsc::Sender<ClientEvent>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: TransportKey,
    under_way: &mut UnderWay,
) -> Over {
    let (reader, writer) = stream.split();
    let (reader, writer): (Input, Output) = (Box::new(reader), Box::new(writer));
    let mut reader = Reader::new(reader);
    // A client has one message in hand at a time.
    let room = Arc::new(Semaphore::new(policy::MEMBERS_ROOM));
    let meeting = match greeted(&mut reader, &room, config.keeper, client).await {
        Ok(meeting) => meeting,
        Err(over) => return over,
    };
    let mut talk = Talk { config, events, reader, writer, room, meeting, open: None, under_way };
    match talk.all(asks).await {
        Ok(()) => Over::Stopped,
        Err(over) => over,
    }
}

async fn greeted(
    reader: &mut Reader<Input>,
    room: &Arc<Semaphore>,
    keeper: TransportKey,
    client: TransportKey,
) -> Result<Meeting, Over> {
    let greeting = timeout(ANSWER, reader.next(room)).await.map_err(|_| Over::Silent)??;
    let greeting = KeeperGreeting::from_bytes(&greeting.bytes).map_err(|_| Lie::Answer)?;
    if greeting.version != KEEPER_VERSION {
        return Err(Lie::Version.into());
    }
    Ok(Meeting { keeper, client, challenge: greeting.challenge })
}

/// What was asked and is not answered yet.
#[derive(Debug, Default)]
pub(in crate::keeper) struct UnderWay {
    ask: Option<u64>,
    /// A wait for news; its asker may be the client itself.
    watch: Option<Option<u64>>,
}

impl UnderWay {
    /// Whose answers will not come any more.
    pub(in crate::keeper) fn lost(self) -> impl Iterator<Item = u64> {
        self.ask.into_iter().chain(self.watch.flatten())
    }
}

pub(super) struct Talk<'a> {
    pub(super) config: &'a mut ClientConfig,
    events: &'a mpsc::Sender<ClientEvent>,
    reader: Reader<Input>,
    writer: Output,
    room: Arc<Semaphore>,
    meeting: Meeting,
    /// What the mailbox was like when it was opened; `None`: nothing is open, or a drop-box.
    pub(super) open: Option<MailboxState>,
    under_way: &'a mut UnderWay,
}

/// An answer, or the end of the stream.
pub(super) type Heard<T> = Result<Result<T, Failure>, Over>;

impl Talk<'_> {
    async fn all(&mut self, asks: &mut mpsc::Receiver<Ask>) -> Result<(), Over> {
        match self.enter().await? {
            Ok(state) => self.tell(ClientEvent::Up(state)).await?,
            Err(Failure::Refused) => {
                self.tell(ClientEvent::Up(None)).await?;
                self.tell(ClientEvent::Refused).await?;
            }
            Err(_) => self.tell(ClientEvent::Up(None)).await?,
        }
        loop {
            let idle = self.under_way.watch.is_none() && self.open.is_some();
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.ask(ask).await?,
                    None => return Ok(()),
                },
                reply = timeout(ANSWER, self.reader.next(&self.room)), if self.under_way.watch.is_some() => {
                    let reply = reply.map_err(|_| Over::Silent)??.bytes;
                    self.news(&reply).await?;
                }
                () = sleep(IDLE), if idle => self.watch(None, None).await?,
                () = self.events.closed() => return Ok(()),
            }
        }
    }

    async fn tell(&mut self, event: ClientEvent) -> Result<(), Over> {
        self.events.send(event).await.map_err(|_| Over::Stopped)
    }

    async fn answer(&mut self, tag: u64, result: Result<Told, Failure>) -> Result<(), Over> {
        self.tell(ClientEvent::Answer { tag, result }).await
    }

    async fn ask(&mut self, Ask { tag, wish }: Ask) -> Result<(), Over> {
        // It is answered by whoever ends the stream, should this be given up in between.
        self.under_way.ask = Some(tag);
        if let Wish::Watch { after, drops } = wish {
            self.watch(Some(tag), Some((after, drops))).await?;
            self.under_way.ask = None;
            return Ok(());
        }
        let result = match self.grant(wish).await {
            Err(Over::Lied(lie)) => {
                self.answer(tag, Err(Failure::Lie(lie))).await?;
                self.under_way.ask = None;
                return Err(Over::Lied(lie));
            }
            result => result?,
        };
        self.answer(tag, result).await?;
        self.under_way.ask = None;
        Ok(())
    }

    /// One request and its answer. A keeper that has no time is asked again after what it said.
    pub(super) async fn request(&mut self, request: &KeeperRequest) -> Heard<KeeperReply> {
        let bytes = request.to_bytes();
        if bytes.len() > cairn_crdt::limits::KEEPER_MESSAGE_BYTES {
            return Ok(Err(Failure::TooLarge));
        }
        for _ in 0..LATER_TRIES {
            frames::write(&mut self.writer, &bytes).await?;
            if self.under_way.watch.is_some() {
                let news = self.reply().await?;
                self.news(&news).await?;
            }
            let reply = self.reply().await?;
            let reply = KeeperReply::from_bytes(&reply).map_err(|_| Lie::Answer)?;
            match reply {
                KeeperReply::Later { millis } => {
                    sleep(Duration::from_millis(u64::from(millis)).min(LATER)).await;
                }
                KeeperReply::Refused => return Ok(Err(Failure::Refused)),
                KeeperReply::Unavailable => return Ok(Err(Failure::Unavailable)),
                KeeperReply::Full => return Ok(Err(Failure::Full)),
                KeeperReply::Conflict(generation) => {
                    self.open = None;
                    return Ok(Err(Failure::Conflict(generation)));
                }
                KeeperReply::Ended { generation, rekey } => {
                    self.ended(generation, rekey.into_vec()).await?;
                    return Ok(Err(Failure::Ended));
                }
                reply => return Ok(Ok(reply)),
            }
        }
        Ok(Err(Failure::Unavailable))
    }

    async fn reply(&mut self) -> Result<Vec<u8>, Over> {
        let reply = timeout(ANSWER, self.reader.next(&self.room)).await;
        Ok(reply.map_err(|_| Over::Silent)??.bytes)
    }

    async fn ended(
        &mut self,
        generation: cairn_crdt::mailbox::Generation,
        rekey: Vec<u8>,
    ) -> Result<(), Over> {
        let before = self.open.take().is_some_and(|state| generation < state.generation);
        if before || !matches!(self.config.access, Access::Mailbox { .. }) {
            return Err(Lie::Generation.into());
        }
        self.tell(ClientEvent::Ended { generation, rekey }).await
    }

    /// Opens what is to be opened.
    pub(super) async fn enter(&mut self) -> Heard<Option<MailboxState>> {
        self.open = None;
        let request = match &self.config.access {
            Access::Nothing => return Ok(Ok(None)),
            Access::Mailbox { mailbox, key } => KeeperRequest::Open {
                mailbox: *mailbox,
                access: AccessKey::from_bytes(key.verifying_key()),
                proof: self.meeting.prove_access(key, *mailbox),
            },
            Access::Drop(key) => KeeperRequest::Drop {
                drop: cairn_crdt::id::DropBoxId::from_bytes(key.verifying_key()),
                proof: self.meeting.prove_drop(key),
            },
        };
        let reply = match self.request(&request).await? {
            Ok(reply) => reply,
            Err(failure) => return Ok(Err(failure)),
        };
        match (&self.config.access, reply) {
            (Access::Mailbox { .. }, KeeperReply::Opened(state)) => {
                told::opened(&state, &mut self.config.seen)?;
                self.open = Some(state.clone());
                Ok(Ok(Some(state)))
            }
            (Access::Drop(_), KeeperReply::Done) => Ok(Ok(None)),
            _ => Err(Lie::Answer.into()),
        }
    }

    /// Begins to wait for news; one wait ends another.
    async fn watch(&mut self, tag: Option<u64>, known: Option<(Cursor, u64)>) -> Result<(), Over> {
        let seen = self.config.seen.map(|seen| (seen.newest, seen.drops));
        let (after, drops) = known.or(seen).unwrap_or_default();
        let request = KeeperRequest::Watch { after, drops }.to_bytes();
        frames::write(&mut self.writer, &request).await?;
        if self.under_way.watch.is_some() {
            let news = self.reply().await?;
            self.news(&news).await?;
        }
        self.under_way.watch = Some(tag);
        Ok(())
    }

    /// The answer to a wait for news has come.
    async fn news(&mut self, reply: &[u8]) -> Result<(), Over> {
        let Some(tag) = self.under_way.watch else { return Ok(()) };
        let reply = KeeperReply::from_bytes(reply).map_err(|_| Lie::Answer)?;
        let result = match reply {
            KeeperReply::Newest { cursor, drops } => {
                if self.open.is_some() {
                    told::newest(cursor, drops, &mut self.config.seen)?;
                }
                Ok(Told::Newest { cursor, drops })
            }
            KeeperReply::Ended { generation, rekey } => {
                self.ended(generation, rekey.into_vec()).await?;
                Err(Failure::Ended)
            }
            KeeperReply::Refused => Err(Failure::Refused),
            KeeperReply::Later { .. } | KeeperReply::Unavailable => Err(Failure::Unavailable),
            _ => return Err(Lie::Answer.into()),
        };
        if let Some(tag) = tag {
            self.answer(tag, result).await?;
        }
        self.under_way.watch = None;
        Ok(())
    }
}
