//! A stream of events whose body comes in pieces.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::Frame;

use crate::transport::http::{
    body::Body,
    events::{Cursor, EventStream},
};

/// The names and texts of its events, to its end or to where it breaks off.
pub(super) fn events<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    limit: usize,
) -> Vec<(Option<String>, Vec<u8>)> {
    let pieces = Pieces(pieces.map(Bytes::copy_from_slice).collect());
    let body = Body::Foreign(reqwest::Body::wrap(pieces));
    let mut stream = EventStream::new("fuzzed", body, limit);
    let (mut cursor, mut found) = (Cursor::default(), Vec::new());
    while let Ok(Some(event)) = at_once(stream.next(&mut cursor)) {
        found.push((event.name, event.data));
    }
    found
}

/// What has all that it needs never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut nobody = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut nobody) {
            return done;
        }
    }
}

struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}
