//! One session: messages on one stream, each four bytes of length, big-endian, and that many bytes.
//!
//! Reading waits for the driver (`Taken`) before it goes on, writing for the peer; each is bounded in
//! time where it is the peer's turn, and only there.

use std::io;

use cairn_crdt::limits;
use cairn_crdt::replica::input::SessionId;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::policy;

/// What a session tells the event loop.
#[derive(Debug)]
pub(super) enum Report {
    /// A message came.
    Message(Vec<u8>),
    /// All that was given has been written.
    Drained,
    /// It is over. Nothing comes after this.
    Over(Ending),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// This node closed it.
    Closed,
    /// The peer closed it, or the connection is gone.
    Gone,
    /// The peer announced a message over `limits::MESSAGE_BYTES`.
    Oversize,
    /// The peer kept silent, or a message took too long either way.
    Stalled,
}

/// The event loop's end of a session. Dropping `outgoing` flushes and closes it.
pub(super) struct Ends {
    /// Messages to write.
    pub(super) outgoing: mpsc::Receiver<Vec<u8>>,
    /// One for each message that the driver has dealt with.
    pub(super) taken: mpsc::Receiver<()>,
    /// Where reports go.
    pub(super) reports: mpsc::Sender<(SessionId, Report)>,
}

/// Runs a session to its end.
pub(super) async fn run(
    session: SessionId,
    stream: impl AsyncRead + AsyncWrite,
    Ends { mut outgoing, mut taken, reports }: Ends,
) {
    let (reader, writer) = stream.split();
    let wrote = Notify::new();
    let ending = tokio::select! {
        ending = read_all(session, reader, &mut taken, &reports, &wrote) => ending,
        ending = write_all(session, writer, &mut outgoing, &reports, &wrote) => ending,
    };
    // The event loop is gone if nobody hears this.
    let _ = reports.send((session, Report::Over(ending))).await;
}

async fn read_all(
    session: SessionId,
    mut reader: impl AsyncRead + Unpin,
    taken: &mut mpsc::Receiver<()>,
    reports: &mpsc::Sender<(SessionId, Report)>,
    wrote: &Notify,
) -> Ending {
    loop {
        let message = match read_message(&mut reader, wrote).await {
            Ok(message) => message,
            Err(ending) => return ending,
        };
        if reports.send((session, Report::Message(message))).await.is_err() {
            return Ending::Gone;
        }
        if taken.recv().await.is_none() {
            return Ending::Gone;
        }
    }
}

/// The length is checked before anything is allocated, and no more is allocated than came.
async fn read_message(
    reader: &mut (impl AsyncRead + Unpin),
    wrote: &Notify,
) -> Result<Vec<u8>, Ending> {
    let mut length = [0; 4];
    {
        let read = reader.read_exact(&mut length);
        tokio::pin!(read);
        loop {
            tokio::select! {
                read = &mut read => break read.map_err(|_| Ending::Gone)?,
                // Something was written meanwhile: the peer has its time again.
                () = wrote.notified() => {}
                () = tokio::time::sleep(policy::SILENCE) => return Err(Ending::Stalled),
            }
        }
    }
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| Ending::Oversize)?;
    if length > limits::MESSAGE_BYTES {
        return Err(Ending::Oversize);
    }
    let mut message = Vec::new();
    let mut body = reader.take(u64::try_from(length).map_err(|_| Ending::Oversize)?);
    match timeout(policy::MESSAGE_TIME, body.read_to_end(&mut message)).await {
        Err(_) => Err(Ending::Stalled),
        Ok(Ok(read)) if read == length => Ok(message),
        Ok(_) => Err(Ending::Gone),
    }
}

/// A peer that no longer reads may still have sent something: only reading ends a session then.
async fn write_all(
    session: SessionId,
    mut writer: impl AsyncWrite + Unpin,
    outgoing: &mut mpsc::Receiver<Vec<u8>>,
    reports: &mpsc::Sender<(SessionId, Report)>,
    wrote: &Notify,
) -> Ending {
    let mut broken = false;
    while let Some(message) = outgoing.recv().await {
        if broken {
            continue;
        }
        let last = outgoing.is_empty();
        match timeout(policy::MESSAGE_TIME, write_message(&mut writer, &message, last)).await {
            Err(_) => return Ending::Stalled,
            Ok(Err(_)) => broken = true,
            Ok(Ok(())) => {
                wrote.notify_one();
                if last && reports.send((session, Report::Drained)).await.is_err() {
                    return Ending::Gone;
                }
            }
        }
    }
    // Whoever is slow to hear of the end is not waited for longer than for a message.
    let _ = timeout(policy::MESSAGE_TIME, writer.close()).await;
    Ending::Closed
}

async fn write_message(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
    flush: bool,
) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    writer.write_all(&length.to_be_bytes()).await?;
    writer.write_all(message).await?;
    if flush { writer.flush().await } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    use super::*;

    struct Session {
        peer: DuplexStream,
        outgoing: Option<mpsc::Sender<Vec<u8>>>,
        taken: mpsc::Sender<()>,
        reports: mpsc::Receiver<(SessionId, Report)>,
    }

    /// A session whose other end is in the hands of the test. The pipe between holds 64 bytes.
    fn session() -> Session {
        let (own, peer) = tokio::io::duplex(64);
        let (outgoing, queue) = mpsc::channel(policy::SESSION_QUEUE);
        let (taken, permits) = mpsc::channel(1);
        let (sender, reports) = mpsc::channel(16);
        let ends = Ends { outgoing: queue, taken: permits, reports: sender };
        tokio::spawn(run(SessionId(1), own.compat(), ends));
        Session { peer, outgoing: Some(outgoing), taken, reports }
    }

    impl Session {
        async fn report(&mut self) -> Report {
            self.reports.recv().await.unwrap().1
        }

        async fn message(&mut self) -> Vec<u8> {
            match self.report().await {
                Report::Message(message) => message,
                other => panic!("{other:?}"),
            }
        }

        async fn ending(&mut self) -> Ending {
            match self.report().await {
                Report::Over(ending) => ending,
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_over_the_limit_is_refused_by_its_length() {
        let mut session = session();
        let length = u32::try_from(limits::MESSAGE_BYTES).unwrap() + 1;
        session.peer.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(session.ending().await, Ending::Oversize);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_message_waits_until_the_last_one_is_taken() {
        let mut session = session();
        session.peer.write_all(&[0, 0, 0, 1, 7, 0, 0, 0, 1, 8]).await.unwrap();
        assert_eq!(session.message().await, [7]);
        // However long the driver takes, it is not the peer's fault.
        tokio::time::sleep(policy::SILENCE.saturating_mul(10)).await;
        assert!(session.reports.try_recv().is_err());
        session.taken.send(()).await.unwrap();
        assert_eq!(session.message().await, [8]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_loses_the_session_after_its_time_and_not_before() {
        let mut session = session();
        let start = tokio::time::Instant::now();
        assert_eq!(session.ending().await, Ending::Stalled);
        assert_eq!(start.elapsed(), policy::SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_has_its_time_again_after_each_message_to_it() {
        let mut session = session();
        let start = tokio::time::Instant::now();
        let almost = policy::SILENCE.checked_sub(std::time::Duration::from_secs(1)).unwrap();
        tokio::time::sleep(almost).await;
        session.outgoing.as_ref().unwrap().send(vec![1]).await.unwrap();
        assert!(matches!(session.report().await, Report::Drained));
        assert_eq!(session.ending().await, Ending::Stalled);
        assert_eq!(start.elapsed(), almost.saturating_add(policy::SILENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_drips_or_is_not_read_ends_the_session() {
        let mut drips = session();
        drips.peer.write_all(&[0, 1, 0, 0]).await.unwrap();
        let start = tokio::time::Instant::now();
        let dripping = async {
            while drips.peer.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        };
        let ending = async { drips.reports.recv().await.unwrap().1 };
        let (report, ()) = tokio::join!(ending, dripping);
        assert!(matches!(report, Report::Over(Ending::Stalled)));
        assert!(
            start.elapsed()
                <= policy::MESSAGE_TIME.saturating_add(std::time::Duration::from_secs(1))
        );

        let mut unread = session();
        unread.outgoing.as_ref().unwrap().send(vec![0; 1000]).await.unwrap();
        assert_eq!(unread.ending().await, Ending::Stalled);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_given_is_flushed_before_the_session_closes() {
        let mut session = session();
        let outgoing = session.outgoing.take().unwrap();
        outgoing.send(vec![5; 200]).await.unwrap();
        outgoing.send(vec![6; 3]).await.unwrap();
        drop(outgoing);
        let mut all = Vec::new();
        session.peer.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), 4 + 200 + 4 + 3);
        assert_eq!(all[204..], [0, 0, 0, 3, 6, 6, 6]);
        while !matches!(session.report().await, Report::Over(Ending::Closed)) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_cut_inside_a_message_delivers_nothing_of_it() {
        let mut session = session();
        session.peer.write_all(&[0, 0, 0, 9, 1, 2]).await.unwrap();
        drop(session.peer);
        assert!(matches!(
            session.reports.recv().await,
            Some((SessionId(1), Report::Over(Ending::Gone)))
        ));
    }
}
