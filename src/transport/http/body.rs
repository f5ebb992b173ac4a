//! The body of an answer, however its connection is had.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::{decode::Decoded, pool::Lease};

/// The body of a request: a message, or nothing.
///
/// Boxed, for a connection has room for 32 requests, however few it gets.
#[derive(Default)]
pub(crate) struct Message(Box<Whole>);

#[derive(Default)]
struct Whole {
    bytes: Bytes,
    /// Set once a connection has looked at it.
    taken: Option<Arc<AtomicBool>>,
}

impl Message {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(Box::new(Whole { bytes, taken: None }))
    }

    /// Has it told when a connection looks at it.
    pub(super) fn tell_taken(&mut self) -> Arc<AtomicBool> {
        Arc::clone(self.0.taken.get_or_insert_default())
    }
}

impl http_body::Body for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        if let Some(taken) = &self.0.taken {
            taken.store(true, Ordering::Release);
        }
        self.0.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.bytes.len() as u64)
    }
}

/// The body of an answer.
pub(crate) enum Body {
    Direct(Pooled),
    Decoded(Box<Decoded>),
    /// Of a client that is not ours.
    Foreign(reqwest::Body),
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Direct(hyper::Error),
    #[error(transparent)]
    Decoded(io::Error),
    #[error(transparent)]
    Foreign(reqwest::Error),
}

impl Body {
    pub(crate) fn length(&self) -> Option<usize> {
        self.size_hint().exact().and_then(|length| usize::try_from(length).ok())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Direct(body) => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Direct)))
            }
            Self::Decoded(body) => {
                let chunk = ready!(body.poll_chunk(cx));
                Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data).map_err(BodyError::Decoded)))
            }
            Self::Foreign(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                let foreign = |error: reqwest::Error| BodyError::Foreign(error.without_url());
                Poll::Ready(frame.map(|frame| frame.map_err(foreign)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Direct(body) => body.incoming.size_hint(),
            Self::Decoded(_) => SizeHint::default(),
            Self::Foreign(body) => body.size_hint(),
        }
    }
}

/// A body on a connection of a pool: read to its end, it gives the connection back; dropped before,
/// it closes it.
pub(crate) struct Pooled {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl Pooled {
    pub(super) fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self { incoming, lease: Some(lease) };
        body.give_back_at_end();
        body
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.is_at_end() {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => self.give_back_at_end(),
            Some(Err(_)) => self.lease = None,
            None => self.give_back(),
        }
        Poll::Ready(frame)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.lease.is_none()
    }

    fn give_back_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}
