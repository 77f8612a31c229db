//! Messages on a stream: four bytes of length, big-endian, and that many bytes.

use std::io;
use std::sync::Arc;

use cairn_crdt::limits::KEEPER_MESSAGE_BYTES;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::policy;

/// Why nothing more comes of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// The other end closed it, or the connection is gone.
    Gone,
    /// The other end announced a message that is too large.
    Oversize,
    /// A message took too long either way, or none came.
    Stalled,
    /// The other end said what cannot be read, or what was out of its place.
    Misbehaved,
    /// This end was told to stop.
    Stopped,
}

/// A message, and the room that it takes up.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    /// Given back when dropped.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// Takes room for so many bytes, waiting for others to give it back; little is let in always.
pub(super) async fn room_for(room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    if bytes < policy::SMALL {
        return None;
    }
    let units = u32::try_from(bytes.div_ceil(policy::ROOM_UNIT)).unwrap_or(u32::MAX);
    Arc::clone(room).acquire_many_owned(units).await.ok()
}

/// Reads messages. What has come of a message is kept when the reading is given up in between, so
/// that waiting for it can be one of several things that are waited for.
pub(super) struct Reader<R> {
    stream: R,
    length: [u8; 4],
    known: usize,
    message: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) const fn new(stream: R) -> Self {
        Self { stream, length: [0; 4], known: 0, message: Vec::new(), room: None }
    }

    /// The next message. The length is checked and room is taken before anything is allocated, and
    /// not much more is allocated than came.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn next(&mut self, room: &Arc<Semaphore>) -> Result<Message, Ending> {
        while self.known < self.length.len() {
            let rest = self.length.get_mut(self.known..).ok_or(Ending::Gone)?;
            let read = self.stream.read(rest).await.map_err(|_| Ending::Gone)?;
            if read == 0 {
                return Err(Ending::Gone);
            }
            self.known = self.known.saturating_add(read);
        }
        let length = usize::try_from(u32::from_be_bytes(self.length)).unwrap_or(usize::MAX);
        if length > KEEPER_MESSAGE_BYTES {
            return Err(Ending::Oversize);
        }
        let whole = async {
            if self.room.is_none() {
                self.room = room_for(room, length).await;
            }
            self.body(length).await
        };
        timeout(policy::MESSAGE_TIME, whole).await.map_err(|_| Ending::Stalled)??;
        self.known = 0;
        Ok(Message { bytes: std::mem::take(&mut self.message), room: self.room.take() })
    }

    async fn body(&mut self, length: usize) -> Result<(), Ending> {
        let mut part = [0; 16 * 1024];
        while self.message.len() < length {
            let lacking = length.saturating_sub(self.message.len()).min(part.len());
            let into = part.get_mut(..lacking).ok_or(Ending::Gone)?;
            let read = self.stream.read(into).await.map_err(|_| Ending::Gone)?;
            if read == 0 {
                return Err(Ending::Gone);
            }
            self.message.extend_from_slice(part.get(..read).ok_or(Ending::Gone)?);
        }
        Ok(())
    }
}

/// Writes one message and sees to it that it goes out.
///
/// # Errors
/// When the other end is gone or does not take it in time.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
) -> Result<(), Ending> {
    match timeout(policy::MESSAGE_TIME, write_all(stream, message)).await {
        Err(_) => Err(Ending::Stalled),
        Ok(written) => written.map_err(|_| Ending::Gone),
    }
}

async fn write_all(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(message).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    use super::*;

    fn room() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(policy::MEMBERS_ROOM))
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_comes_whole_however_often_the_reading_was_given_up() {
        let (mut peer, own) = tokio::io::duplex(64);
        let mut reader = Reader::new(own.compat());
        for byte in [0, 0, 0, 3, 7, 8] {
            peer.write_all(&[byte]).await.unwrap();
            assert!(timeout(Duration::from_millis(1), reader.next(&room())).await.is_err());
        }
        peer.write_all(&[9, 0, 0, 0, 0]).await.unwrap();
        assert_eq!(reader.next(&room()).await.unwrap().bytes, [7, 8, 9]);
        assert!(reader.next(&room()).await.unwrap().bytes.is_empty());
        drop(peer);
        assert_eq!(reader.next(&room()).await.err(), Some(Ending::Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_over_the_limit_is_refused_by_its_length() {
        let (mut peer, own) = tokio::io::duplex(64);
        let length = u32::try_from(KEEPER_MESSAGE_BYTES).unwrap() + 1;
        peer.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(Reader::new(own.compat()).next(&room()).await.err(), Some(Ending::Oversize));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_drips_or_is_not_taken_is_not_waited_for() {
        let (mut peer, own) = tokio::io::duplex(64);
        peer.write_all(&[0, 0, 1, 0]).await.unwrap();
        let dripping = async {
            while peer.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let (mut reader, room) = (Reader::new(own.compat()), room());
        tokio::select! {
            read = reader.next(&room) => assert_eq!(read.err(), Some(Ending::Stalled)),
            () = dripping => panic!("the other end is still there"),
        }
        let (_peer, own) = tokio::io::duplex(64);
        assert_eq!(write(&mut own.compat(), &[0; 1000]).await, Err(Ending::Stalled));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_message_waits_for_room_and_a_small_one_does_not() {
        let room = Arc::new(Semaphore::new(32 * 1024 / policy::ROOM_UNIT));
        let (mut one, own) = tokio::io::duplex(64);
        let mut first = Reader::new(own.compat());
        one.write_all(&[0, 0, 0x80, 0, 1]).await.unwrap();
        // Half a message holds the room of a whole one.
        assert!(timeout(Duration::from_millis(1), first.next(&room)).await.is_err());
        let (mut two, own) = tokio::io::duplex(32 * 1024 + 64);
        let mut second = Reader::new(own.compat());
        two.write_all(&[0, 0, 0, 1, 9]).await.unwrap();
        assert_eq!(second.next(&room).await.unwrap().bytes, [9]);
        two.write_all(&[0, 0, 0x80, 0]).await.unwrap();
        two.write_all(&[5; 32 * 1024]).await.unwrap();
        assert!(timeout(Duration::from_secs(1), second.next(&room)).await.is_err());
        drop(first);
        assert_eq!(second.next(&room).await.unwrap().bytes, [5; 32 * 1024]);
        assert_eq!(room.available_permits(), 32 * 1024 / policy::ROOM_UNIT);
    }
}
