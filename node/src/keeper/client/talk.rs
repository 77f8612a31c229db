//! One stream: what is asked on it, in what order, and what is made of the answers.

use std::time::Duration;

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::{AccessKey, TransportKey};
use cairn_crdt::limits::{ANSWER_BYTES, NAMED_RECORDS, PUT_RECORDS};
use cairn_crdt::mailbox::Cursor;
use cairn_crdt::mailbox::access::Meeting;
use cairn_crdt::mailbox::message::{
    KEEPER_VERSION, KeeperGreeting, KeeperReply, KeeperRequest, MailboxState, NewRecord, Putting,
};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::told::{self, Lie};
use super::{Access, Ask, ClientConfig, ClientEvent, Failure, Told, Wish, compare};
use crate::keeper::frames::{self, Ending, Reader};

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
pub(super) enum Over {
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
pub(super) async fn run(
    config: &mut ClientConfig,
    asks: &mut mpsc::Receiver<Ask>,
    events: &mpsc::Sender<ClientEvent>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: TransportKey,
) -> Over {
    let (reader, writer) = stream.split();
    let (reader, writer): (Input, Output) = (Box::new(reader), Box::new(writer));
    let mut reader = Reader::new(reader);
    let meeting = match greeted(&mut reader, config.keeper, client).await {
        Ok(meeting) => meeting,
        Err(over) => return over,
    };
    let mut talk = Talk { config, events, reader, writer, meeting, open: None, watching: None };
    match talk.all(asks).await {
        Ok(()) => Over::Stopped,
        Err(over) => over,
    }
}

async fn greeted(
    reader: &mut Reader<Input>,
    keeper: TransportKey,
    client: TransportKey,
) -> Result<Meeting, Over> {
    let greeting = timeout(ANSWER, reader.next()).await.map_err(|_| Over::Silent)??;
    let greeting = KeeperGreeting::from_bytes(&greeting).map_err(|_| Lie::Answer)?;
    if greeting.version != KEEPER_VERSION {
        return Err(Lie::Version.into());
    }
    Ok(Meeting { keeper, client, challenge: greeting.challenge })
}

/// A wait for news that is under way.
#[derive(Clone, Copy, Debug)]
struct Watching {
    /// Who asked; `None`: the client itself.
    tag: Option<u64>,
}

pub(super) struct Talk<'a> {
    config: &'a mut ClientConfig,
    events: &'a mpsc::Sender<ClientEvent>,
    reader: Reader<Input>,
    writer: Output,
    meeting: Meeting,
    /// What the mailbox was like when it was opened; `None`: nothing is open, or a drop-box.
    open: Option<MailboxState>,
    watching: Option<Watching>,
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
            let idle = self.watching.is_none() && self.open.is_some();
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.ask(ask).await?,
                    None => return Ok(()),
                },
                reply = timeout(ANSWER, self.reader.next()), if self.watching.is_some() => {
                    let reply = reply.map_err(|_| Over::Silent)??;
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
        if let Wish::Watch { after, drops } = wish {
            return self.watch(Some(tag), Some((after, drops))).await;
        }
        match self.grant(wish).await {
            Ok(result) => self.answer(tag, result).await,
            Err(Over::Lied(lie)) => {
                self.answer(tag, Err(Failure::Lie(lie))).await?;
                Err(Over::Lied(lie))
            }
            Err(over) => {
                self.answer(tag, Err(Failure::Lost)).await?;
                Err(over)
            }
        }
    }

    // Requests --------------------------------------------------------------------------------

    /// One request and its answer. A keeper that has no time is asked again after what it said.
    pub(super) async fn request(&mut self, request: &KeeperRequest) -> Heard<KeeperReply> {
        let bytes = request.to_bytes();
        if bytes.len() > cairn_crdt::limits::KEEPER_MESSAGE_BYTES {
            return Ok(Err(Failure::TooLarge));
        }
        for _ in 0..LATER_TRIES {
            frames::write(&mut self.writer, &bytes).await?;
            if self.watching.is_some() {
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
        Ok(timeout(ANSWER, self.reader.next()).await.map_err(|_| Over::Silent)??)
    }

    async fn ended(
        &mut self,
        generation: cairn_crdt::mailbox::Generation,
        rekey: Vec<u8>,
    ) -> Result<(), Over> {
        self.open = None;
        if !matches!(self.config.access, Access::Mailbox { .. }) {
            return Err(Lie::Generation.into());
        }
        self.tell(ClientEvent::Ended { generation, rekey }).await
    }

    /// Opens what is to be opened.
    async fn enter(&mut self) -> Heard<Option<MailboxState>> {
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
        if self.watching.is_some() {
            let news = self.reply().await?;
            self.news(&news).await?;
        }
        self.watching = Some(Watching { tag });
        Ok(())
    }

    /// The answer to a wait for news has come.
    async fn news(&mut self, reply: &[u8]) -> Result<(), Over> {
        let Some(Watching { tag }) = self.watching.take() else { return Ok(()) };
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
        match tag {
            Some(tag) => self.answer(tag, result).await,
            None => Ok(()),
        }
    }

    // Wishes ----------------------------------------------------------------------------------

    async fn grant(&mut self, wish: Wish) -> Heard<Told> {
        match wish {
            Wish::Create { secret, owner, access, control } => {
                let create = KeeperRequest::Create { secret: *secret, owner, access, control };
                self.simple(&create, &KeeperReply::Created, Told::Created).await
            }
            Wish::Use(access, seen) => {
                self.config.access = access;
                self.config.seen = seen;
                Ok(self.enter().await?.map(Told::Opened))
            }
            Wish::Addresses(addresses) => {
                self.config.addresses = addresses;
                Ok(Ok(Told::Done))
            }
            Wish::Put(records) => self.put(records).await,
            Wish::Get { after, bytes } => {
                let get = KeeperRequest::Get { after, bytes };
                self.records_after(&get, after).await
            }
            Wish::Watch { .. } => Ok(Err(Failure::Unavailable)),
            Wish::Renew(ids) => {
                let mut unknown = Vec::new();
                for part in ids.chunks(NAMED_RECORDS) {
                    let renew = KeeperRequest::Renew(list(part.to_vec()));
                    match self.request(&renew).await? {
                        Ok(KeeperReply::Unknown(ids)) => {
                            unknown.extend(told::some_of(part.iter().copied(), ids)?);
                        }
                        Ok(_) => return Err(Lie::Answer.into()),
                        Err(failure) => return Ok(Err(failure)),
                    }
                }
                Ok(Ok(Told::Unknown(unknown)))
            }
            Wish::Fetch(ids) => self.fetch(&ids).await,
            Wish::Compare(ids) => {
                let there = self.open.as_ref().map_or(0, |state| state.records);
                Ok(compare::run(self, there, ids)
                    .await?
                    .map(|(lacks, holds)| Told::Compared { lacks, holds }))
            }
            Wish::Erase(named) => {
                let mut kept = Vec::new();
                for part in named.chunks(NAMED_RECORDS / 4) {
                    let erase = KeeperRequest::Erase(list(part.to_vec()));
                    match self.request(&erase).await? {
                        Ok(KeeperReply::NotErased(ids)) => {
                            kept.extend(told::some_of(part.iter().map(|(id, _)| *id), ids)?);
                        }
                        Ok(_) => return Err(Lie::Answer.into()),
                        Err(failure) => return Ok(Err(failure)),
                    }
                }
                Ok(Ok(Told::NotErased(kept)))
            }
            Wish::Rotate(signed) => {
                let rotate = KeeperRequest::Rotate(signed);
                let told = self.simple(&rotate, &KeeperReply::Rotated, Told::Rotated).await?;
                if told.is_ok() {
                    self.open = None;
                }
                Ok(told)
            }
            Wish::OpenDrop(drop, expires) => {
                let open = KeeperRequest::OpenDrop { drop, expires };
                self.simple(&open, &KeeperReply::Done, Told::Done).await
            }
            Wish::CloseDrop(drop) => {
                let close = KeeperRequest::CloseDrop(drop);
                self.simple(&close, &KeeperReply::Done, Told::Done).await
            }
            Wish::DropGet(drop, after) => {
                let get = KeeperRequest::DropGet { drop, after };
                self.records_after(&get, after).await
            }
            Wish::DropPut(drop, bytes) => {
                let Ok(record) = Bytes::new(bytes) else { return Ok(Err(Failure::TooLarge)) };
                let put = KeeperRequest::DropPut { drop, record };
                Ok(self.puttings(&put, 1, None).await?.map(Told::Put))
            }
        }
    }

    /// A request with one good answer that says nothing more.
    async fn simple(
        &mut self,
        request: &KeeperRequest,
        good: &KeeperReply,
        told: Told,
    ) -> Heard<Told> {
        match self.request(request).await? {
            Ok(reply) if reply == *good => Ok(Ok(told)),
            Ok(_) => Err(Lie::Answer.into()),
            Err(failure) => Ok(Err(failure)),
        }
    }

    async fn put(&mut self, records: Vec<NewRecord>) -> Heard<Told> {
        let mut puttings = Vec::with_capacity(records.len());
        let mut part: Vec<NewRecord> = Vec::new();
        let mut bytes: usize = 0;
        for record in records {
            let size = record.bytes.as_slice().len();
            let full = bytes.saturating_add(size) > ANSWER_BYTES || part.len() >= PUT_RECORDS;
            if full && !part.is_empty() {
                match self.put_part(std::mem::take(&mut part)).await? {
                    Ok(told) => puttings.extend(told),
                    Err(failure) => return Ok(Err(failure)),
                }
                bytes = 0;
            }
            bytes = bytes.saturating_add(size);
            part.push(record);
        }
        if !part.is_empty() {
            match self.put_part(part).await? {
                Ok(told) => puttings.extend(told),
                Err(failure) => return Ok(Err(failure)),
            }
        }
        Ok(Ok(Told::Put(puttings)))
    }

    async fn put_part(&mut self, part: Vec<NewRecord>) -> Heard<Vec<Putting>> {
        let count = part.len();
        let seen = self.config.seen.map(|seen| seen.newest);
        self.puttings(&KeeperRequest::Put(list(part)), count, seen).await
    }

    async fn puttings(
        &mut self,
        request: &KeeperRequest,
        count: usize,
        after: Option<Cursor>,
    ) -> Heard<Vec<Putting>> {
        match self.request(request).await? {
            Ok(KeeperReply::Put(puttings)) => Ok(Ok(told::put(count, puttings, after)?)),
            Ok(_) => Err(Lie::Answer.into()),
            Err(failure) => Ok(Err(failure)),
        }
    }

    async fn records_after(&mut self, request: &KeeperRequest, after: Cursor) -> Heard<Told> {
        match self.request(request).await? {
            Ok(KeeperReply::Records { records, more }) => {
                let records = told::after(after, records, more)?;
                Ok(Ok(Told::Records { records, more }))
            }
            Ok(_) => Err(Lie::Answer.into()),
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// As much as comes in one answer; what was named last may have to be asked for again.
    async fn fetch(&mut self, ids: &[cairn_crdt::id::RecordId]) -> Heard<Told> {
        let part: Vec<_> = ids.iter().copied().take(NAMED_RECORDS).collect();
        match self.request(&KeeperRequest::Fetch(list(part.clone()))).await? {
            Ok(KeeperReply::Records { records, more }) => {
                let (records, answered) = told::named(&part, records, more)?;
                Ok(Ok(Told::Records { records, more: answered < ids.len() }))
            }
            Ok(_) => Err(Lie::Answer.into()),
            Err(failure) => Ok(Err(failure)),
        }
    }
}

/// What was cut to its bound before.
fn list<T, const MAX: usize>(values: Vec<T>) -> List<T, MAX> {
    List::new(values).unwrap_or_default()
}
