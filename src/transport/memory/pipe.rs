//! One direction of a connection within this process.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::{error::DownCause, transport::Sink, wire::RequestId};

/// How many bytes may be on their way in one direction, as in a pipe.
pub(super) const CAPACITY: usize = 64 << 10;

/// A request that got a status of HTTP instead of an answer, from a server that plays the part of one
/// behind a URL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) request: RequestId,
    pub(crate) status: u16,
}

/// What came out of a pipe.
pub(super) enum Came {
    Bytes(Vec<u8>),
    Refusal(Refusal),
    End(DownCause),
}

/// Bytes on their way in one direction.
#[derive(Default)]
pub(super) struct Pipe {
    state: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    bytes: VecDeque<u8>,
    closed: bool,
    /// Why, if more is known than that it is.
    cause: Option<DownCause>,
    refusals: VecDeque<Refusal>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    /// Takes what is there; nothing at the end.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>, most: usize) -> Poll<Vec<u8>> {
        self.poll(cx, |flow| (!flow.bytes.is_empty() || flow.closed).then(|| flow.take(most)))
    }

    /// What came next: bytes, then what was said besides them, then the end.
    pub(super) fn poll_come(&self, cx: &mut Context<'_>) -> Poll<Came> {
        self.poll(cx, |flow| {
            if !flow.bytes.is_empty() {
                return Some(Came::Bytes(flow.take(CAPACITY)));
            }
            if let Some(refusal) = flow.refusals.pop_front() {
                return Some(Came::Refusal(refusal));
            }
            let cause = || flow.cause.clone().unwrap_or(DownCause::StreamEnded);
            flow.closed.then(|| Came::End(cause()))
        })
    }

    /// Looks once, and is woken by the next that happens where there was nothing.
    fn poll<T>(&self, cx: &mut Context<'_>, look: impl FnOnce(&mut Flow) -> Option<T>) -> Poll<T> {
        let mut flow = self.state.lock();
        let Some(found) = look(&mut flow) else {
            let earlier = flow.reader.replace(cx.waker().clone());
            drop(flow);
            drop(earlier);
            return Poll::Pending;
        };
        let writer = flow.writer.take();
        drop(flow);
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(found)
    }

    #[cfg(feature = "testing")]
    pub(super) fn refuse(&self, refusal: Refusal) {
        let mut flow = self.state.lock();
        flow.refusals.push_back(refusal);
        let reader = flow.reader.take();
        drop(flow);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Puts as much in as fits; `WouldBlock` where that is nothing.
    pub(super) fn put(&self, bytes: &[u8]) -> io::Result<usize> {
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

    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut flow = self.state.lock();
        if flow.closed || flow.bytes.len() < CAPACITY {
            return Poll::Ready(());
        }
        let earlier = flow.writer.replace(cx.waker().clone());
        drop(flow);
        drop(earlier);
        Poll::Pending
    }

    pub(super) fn close(&self) {
        self.end(None);
    }

    /// Ends it; only the first cause counts.
    pub(super) fn end(&self, cause: Option<DownCause>) {
        let mut flow = self.state.lock();
        if !flow.closed {
            (flow.closed, flow.cause) = (true, cause);
        }
        let woken = [flow.reader.take(), flow.writer.take()];
        drop(flow);
        woken.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Flow {
    fn take(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let (front, back) =
            (&front[..count.min(front.len())], &back[..count.saturating_sub(front.len())]);
        let taken = [front, back].concat();
        self.bytes.drain(..count);
        taken
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
