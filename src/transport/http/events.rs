//! Event streams (WHATWG HTML, server-sent events), bounded by event.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream as _;
use http::HeaderValue;
use http_body::Frame;
use sse_stream::{Error, Sse, SseStream};

use super::{
    body::{Body, BodyError},
    utf8::Decoder,
};
use crate::error::HttpError;

/// The longest pause that a server may ask for: it must not make us deaf for good.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// A stream of events, one message each.
pub(crate) struct EventStream {
    origin: String,
    limit: usize,
    events: SseStream<Metered>,
    /// How many bytes have come since the last event.
    unframed: Arc<AtomicUsize>,
}

/// Where a stream was when it ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cursor {
    /// The id of the last event that had one.
    pub(crate) last_event_id: Option<HeaderValue>,
    /// How long the server wants to be left alone before the next stream, at most [`LONGEST_RETRY`].
    pub(crate) retry: Option<Duration>,
}

/// What came over a stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: Option<String>,
    pub(crate) data: Vec<u8>,
}

impl EventStream {
    pub(crate) fn new(origin: &str, body: Body, limit: usize) -> Self {
        let unframed = Arc::new(AtomicUsize::new(0));
        let body = Metered {
            body,
            decoder: Decoder::default(),
            // Field names and line ends come on top of the message.
            limit: limit.saturating_add(1024),
            unframed: Arc::clone(&unframed),
        };
        Self { origin: origin.to_owned(), limit, events: SseStream::new(body), unframed }
    }

    /// The next event that says something; none at the end of the stream. What stands in it besides
    /// is noted at the cursor.
    pub(crate) async fn next(&mut self, cursor: &mut Cursor) -> Result<Option<Event>, HttpError> {
        loop {
            let Some(event) = poll_fn(|cx| Pin::new(&mut self.events).poll_next(cx)).await else {
                return Ok(None);
            };
            self.unframed.store(0, Ordering::Relaxed);
            let Sse { event: name, data, id, retry } = event.map_err(|error| self.broken(error))?;
            if let Some(id) = id {
                cursor.last_event_id = HeaderValue::try_from(id).ok().filter(|id| !id.is_empty());
            }
            let retry = retry.map(|millis| Duration::from_millis(millis).min(LONGEST_RETRY));
            cursor.retry = retry.or(cursor.retry);
            // Events without data are no messages: they only move the cursor.
            if let Some(data) = data.filter(|data| !data.trim().is_empty()) {
                if data.len() > self.limit {
                    return Err(self.broken(Error::Body(Box::new(MeteredError::TooLarge))));
                }
                return Ok(Some(Event { name, data: data.into_bytes() }));
            }
        }
    }

    fn broken(&self, error: Error) -> HttpError {
        let origin = self.origin.clone();
        let Error::Body(source) = error else {
            return HttpError::Broken { origin, source: Arc::new(error) };
        };
        match source.downcast::<MeteredError>().map(|error| *error) {
            Ok(MeteredError::TooLarge) => HttpError::TooLarge { origin, limit: self.limit },
            Ok(MeteredError::Body(error)) => HttpError::Broken { origin, source: Arc::new(error) },
            Err(source) => HttpError::Broken { origin, source: source.into() },
        }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A body that is text, and breaks off where an event grows above the limit.
struct Metered {
    body: Body,
    decoder: Decoder,
    limit: usize,
    unframed: Arc<AtomicUsize>,
}

#[derive(Debug, thiserror::Error)]
enum MeteredError {
    #[error(transparent)]
    Body(BodyError),
    #[error("an event is above the limit")]
    TooLarge,
}

impl http_body::Body for Metered {
    type Data = Bytes;
    type Error = MeteredError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, MeteredError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(MeteredError::Body)?;
        let count = frame.data_ref().map_or(0, Bytes::len);
        let before = self.unframed.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > self.limit {
            return Poll::Ready(Some(Err(MeteredError::TooLarge)));
        }
        Poll::Ready(Some(Ok(frame.map_data(|piece| self.decoder.decode(piece)))))
    }
}
