//! Servers in this very process: two queues of bytes instead of two pipes.

mod pipe;

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
pub(crate) use pipe::Refusal;
use pipe::{Came, Pipe};

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

impl PartialEq for Memory {
    /// Whether both lead to the same listener.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.room, &other.room)
    }
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

    /// What the far side hears besides bytes: for a server that plays another transport's part.
    #[cfg(feature = "testing")]
    pub(crate) fn aside(&self) -> Aside {
        Aside { pipe: Arc::clone(&self.outgoing) }
    }

    /// The task that reads; returns why the link over it has to end.
    pub(crate) async fn read_frames(
        &self,
        max_frame: usize,
        frames: &mut impl Frames,
        refused: impl Fn(Refusal) + Send,
    ) -> DownCause {
        let mut lines = Lines::new(max_frame);
        loop {
            let chunk = match std::future::poll_fn(|cx| self.incoming.poll_come(cx)).await {
                Came::Bytes(chunk) => chunk,
                Came::Refusal(refusal) => {
                    refused(refusal);
                    continue;
                }
                Came::End(cause) => return cause,
            };
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

/// Says what bytes cannot, towards the far side of a connection.
#[cfg(feature = "testing")]
#[derive(Clone)]
pub(crate) struct Aside {
    pipe: Arc<Pipe>,
}

#[cfg(feature = "testing")]
impl Aside {
    /// Refuses one request, as a server behind a URL does by a status.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.pipe.refuse(refusal);
    }

    /// Ends the connection for this cause, as the exit of a process would.
    pub(crate) fn end(&self, cause: DownCause) {
        self.pipe.end(Some(cause));
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
