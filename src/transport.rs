//! Bytes in, bytes out: what carries the frames of a link. Knows nothing of calls.

pub(crate) mod environment;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod memory;
#[cfg_attr(windows, path = "transport/orphans/windows.rs")]
pub(crate) mod orphans;
pub(crate) mod pipe;
pub(crate) mod process;
pub(crate) mod process_table;
pub(crate) mod stderr;
pub(crate) mod stdio;

use std::{
    borrow::Cow,
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

/// Where the bytes of a link go.
pub(crate) trait Sink: Send + Sync + 'static {
    /// Writes what can be written without waiting, or fails with `WouldBlock`.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// The same, for bytes that stand in several places.
    fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Is told that a frame is larger than what usually fits at once.
    fn expect_large(&self) {}

    /// Becomes ready when writing makes sense again.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Whether anything of a message may have left. All clones are of the same message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Departure(Arc<AtomicBool>);

impl Departure {
    pub(crate) fn note(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_noted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Who gets the frames that come in.
pub(crate) trait Frames: Send {
    /// Takes one frame.
    fn frame(&mut self, frame: Cow<'_, [u8]>);
    /// Is told that there are no more at the moment.
    fn flush(&mut self);
}
