//! The way out of a link whose messages are exchanges of their own.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::Outcome;
use crate::{transport::Departure, wire::RequestId};

/// Where messages go one by one, each as an exchange of its own.
pub(crate) trait Post: Send + Sync + 'static {
    /// The exchange of a request, which whoever waits for its answer has to drive; it is given up by
    /// being dropped. Any other message goes on its way by itself.
    fn post(self: Arc<Self>, letter: Letter<'_>) -> Option<Exchange>;

    /// Is told that a request was given up, and what the server may be told of it.
    fn recall(self: Arc<Self>, notice: Vec<u8>);

    /// What the server calls the HTTP session, if there is one.
    fn http_session(&self) -> Option<String>;

    /// Has the server asked again for its tools.
    fn relist(&self);

    /// How many of our answers to the server are on their way.
    fn unread_answers(&self) -> usize;
}

/// A request on its way, and its outcome; none if that comes, or came, another way.
pub(crate) struct Exchange {
    course: Pin<Box<dyn Future<Output = Option<Outcome>> + Send>>,
    departure: Departure,
}

impl Exchange {
    /// An exchange that notes its departure before anything of the request leaves.
    pub(crate) fn new(
        departure: Departure,
        course: impl Future<Output = Option<Outcome>> + Send + 'static,
    ) -> Self {
        Self { course: Box::pin(course), departure }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        self.course.as_mut().poll(cx)
    }

    /// Whether nothing of the request has left. It stays so if this is not polled any more.
    pub(super) fn is_at_home(&self) -> bool {
        !self.departure.is_noted()
    }
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

impl Subject<'_> {
    /// Whether it is that of an answer: what we ask and tell has a method.
    pub(crate) fn is_answer(&self) -> bool {
        self.method.is_empty()
    }
}
