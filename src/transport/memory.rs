//! Servers in this very process: two queues of bytes instead of two pipes.

use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Frames, Sink,
    lines::{LineTooLong, Lines},
};
use crate::error::DownCause;

/// How many bytes may be on their way in one direction, as in a pipe.
const CAPACITY: usize = 64 << 10;

/// How many connections may wait to be accepted.
const BACKLOG: usize = 64;

/// A server in this process, which listens at the other end: see [`Memory::pair`].
///
/// A cheap handle. Every start of a link makes a new connection, as it would start a new process.
#[derive(Debug, Clone)]
pub struct Memory {
    room: Arc<Room>,
}

/// The end at which a server in this process listens. Dropping it refuses every connection from then
/// on.
#[derive(Debug)]
pub struct MemoryListener {
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    state: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    streams: VecDeque<MemoryStream>,
    open: bool,
    listener: Option<Waker>,
}

impl Memory {
    /// A way to a server in this process, for a [`ServerSpec`](crate::ServerSpec), and the end at which
    /// that server listens.
    #[must_use]
    pub fn pair() -> (Self, MemoryListener) {
        let state = Waiting { streams: VecDeque::new(), open: true, listener: None };
        let room = Arc::new(Room { state: Mutex::new(state) });
        (Self { room: Arc::clone(&room) }, MemoryListener { room })
    }

    /// Whether connections are accepted from now on, as long as there is a listener.
    #[cfg(feature = "testing")]
    pub(crate) fn listen(&self, open: bool) {
        self.room.listen(open);
    }

    /// Connects, if somebody listens.
    pub(crate) fn connect(&self) -> Option<MemoryStream> {
        let (ours, theirs) = MemoryStream::pair();
        let mut state = self.room.state.lock();
        if !state.open || state.streams.len() >= BACKLOG {
            return None;
        }
        state.streams.push_back(theirs);
        let listener = state.listener.take();
        drop(state);
        if let Some(listener) = listener {
            listener.wake();
        }
        Some(ours)
    }
}

impl MemoryListener {
    /// The next connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no connection.
    pub async fn accept(&mut self) -> MemoryStream {
        std::future::poll_fn(|cx| {
            let mut state = self.room.state.lock();
            if let Some(stream) = state.streams.pop_front() {
                return Poll::Ready(stream);
            }
            let earlier = state.listener.replace(cx.waker().clone());
            drop(state);
            drop(earlier);
            Poll::Pending
        })
        .await
    }
}

impl Room {
    /// Whether connections are accepted from now on; those that wait are let go where they are not.
    fn listen(&self, open: bool) {
        let mut state = self.state.lock();
        state.open = open;
        let gone = if open { VecDeque::new() } else { std::mem::take(&mut state.streams) };
        drop(state);
        drop(gone);
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.room.listen(false);
    }
}

/// One end of a connection within this process; dropping it ends the connection.
pub struct MemoryStream {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
}

impl MemoryStream {
    fn pair() -> (Self, Self) {
        let (one, other) = (Arc::<Pipe>::default(), Arc::<Pipe>::default());
        let ours = Self { incoming: Arc::clone(&one), outgoing: Arc::clone(&other) };
        (ours, Self { incoming: other, outgoing: one })
    }

    /// Where the bytes of a link go.
    pub(crate) fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.outgoing) as _
    }

    /// Ends both directions.
    pub(crate) fn close(&self) {
        self.incoming.close();
        self.outgoing.close();
    }

    /// The task that reads; returns why the link over it has to end.
    pub(crate) async fn read_frames(
        &self,
        max_frame: usize,
        frames: &mut impl Frames,
    ) -> DownCause {
        let mut lines = Lines::new(max_frame);
        loop {
            let chunk = std::future::poll_fn(|cx| self.incoming.poll_take(cx, CAPACITY)).await;
            if chunk.is_empty() {
                return DownCause::StreamEnded;
            }
            let read = lines.read(|buffer| {
                buffer.extend_from_slice(&chunk);
                Ok(chunk.len())
            });
            debug_assert!(read.is_ok(), "it only appends");
            let complete = lines.take(|line| frames.frame(line));
            frames.flush();
            if let Err(LineTooLong { limit }) = complete {
                return DownCause::FrameTooLarge { limit };
            }
            tokio::task::consume_budget().await;
        }
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStream")
    }
}

/// Bytes on their way in one direction.
#[derive(Default)]
struct Pipe {
    state: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    bytes: VecDeque<u8>,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    /// Takes what is there; nothing at the end.
    fn poll_take(&self, cx: &mut Context<'_>, most: usize) -> Poll<Vec<u8>> {
        let mut flow = self.state.lock();
        if flow.bytes.is_empty() && !flow.closed {
            let earlier = flow.reader.replace(cx.waker().clone());
            drop(flow);
            drop(earlier);
            return Poll::Pending;
        }
        let count = most.min(flow.bytes.len());
        let taken = flow.bytes.drain(..count).collect();
        let writer = flow.writer.take();
        drop(flow);
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(taken)
    }

    /// Puts as much in as fits; `WouldBlock` where that is nothing.
    fn put(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut flow = self.state.lock();
        if flow.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = CAPACITY - flow.bytes.len();
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = room.min(bytes.len());
        flow.bytes.extend(&bytes[..count]);
        let reader = flow.reader.take();
        drop(flow);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(count)
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut flow = self.state.lock();
        if flow.closed || flow.bytes.len() < CAPACITY {
            return Poll::Ready(());
        }
        let earlier = flow.writer.replace(cx.waker().clone());
        drop(flow);
        drop(earlier);
        Poll::Pending
    }

    fn close(&self) {
        let mut flow = self.state.lock();
        flow.closed = true;
        let woken = [flow.reader.take(), flow.writer.take()];
        drop(flow);
        woken.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Sink for Pipe {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)
    }

    fn try_write_vectored(&self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.put(parts.iter().find(|part| !part.is_empty()).map_or(&[], |part| part))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_room(cx).map(Ok)
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = buffer.remaining();
        self.incoming.poll_take(cx, most).map(|taken| {
            buffer.put_slice(&taken);
            Ok(())
        })
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.outgoing.put(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.outgoing.poll_room(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.close();
        Poll::Ready(Ok(()))
    }
}
