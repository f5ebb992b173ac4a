//! Bytes in, bytes out: what carries the frames of a link. Knows nothing of calls.

pub(crate) mod environment;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod process;
pub(crate) mod process_table;
pub(crate) mod stderr;
pub(crate) mod stdio;

use std::{
    borrow::Cow,
    io,
    sync::Arc,
    task::{Context, Poll},
};

use crate::wire::RequestId;

/// Where the bytes of a link go.
pub(crate) trait Sink: Send + Sync + 'static {
    /// Writes what can be written without waiting, or fails with `WouldBlock`.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Is told that a frame is larger than what usually fits at once.
    fn expect_large(&self) {}

    /// Becomes ready when writing makes sense again.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Who gets the frames that come in.
pub(crate) trait Frames: Send {
    /// Takes one frame.
    fn frame(&mut self, frame: Cow<'_, [u8]>);
    /// Is told that there are no more at the moment.
    fn flush(&mut self);
}

/// Where messages go one by one, each as an exchange of its own.
pub(crate) trait Post: Send + Sync + 'static {
    /// Sends a message on its way, without waiting.
    fn post(self: Arc<Self>, letter: Letter<'_>);

    /// Is told that nobody waits for the answer to a request any more, and what the server may be
    /// told of it.
    fn recall(self: Arc<Self>, id: RequestId, notice: Option<Vec<u8>>);

    /// How many messages that are no requests are on their way.
    fn unasked(&self) -> usize;

    /// Ends all exchanges.
    fn close(&self);
}

/// A message, with what stands in it that may be told outside, too.
#[derive(Debug)]
pub(crate) struct Letter<'a> {
    /// The request that it is, if it is one.
    pub(crate) request: Option<RequestId>,
    pub(crate) frame: Vec<u8>,
    pub(crate) subject: Subject<'a>,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Subject<'a> {
    /// Its method; empty for an answer.
    pub(crate) method: &'a str,
    /// The tool, prompt or resource that it names.
    pub(crate) name: Option<&'a str>,
    /// Arguments that are to be repeated outside: names and values.
    pub(crate) mirrored: &'a [(String, String)],
}
