//! A request of the host that is no call of a tool.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    connection::{Connection, link::Timing, requests::Clock},
    error::{CallError, Delivery},
    policy::CallOptions,
};

/// A request of the host beside the calls of tools: a list, a resource, a prompt, a completion.
///
/// It is sent when it is first polled, and admitted, timed, cancelled and lost like a
/// [`Call`](crate::Call); where errors speak of a tool, they mean its method.
///
/// # Cancel safety
///
/// Dropping it gives it up, as dropping a call does.
///
/// # Errors
///
/// See [`CallError`].
#[must_use = "a request is sent when it is awaited"]
pub struct Query<T> {
    stage: Stage<T>,
    /// What was said at all places but here.
    inherited: CallOptions,
    idle_timeout: Option<Duration>,
    total_timeout: Option<Duration>,
    cancelled: Option<CancellationToken>,
    fresh: bool,
    stale: bool,
}

/// How a query is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) clock: Clock,
    /// Whether what was kept is to be left alone.
    pub(crate) fresh: bool,
    /// Whether what was kept will do, however old, where there is nothing else.
    pub(crate) stale: bool,
}

type Running<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

enum Stage<T> {
    Declared(Box<dyn FnOnce(Terms) -> Running<T> + Send>),
    Running(Running<T>),
    Ended,
}

impl<T: 'static> Query<T> {
    pub(crate) fn new<F>(
        connection: &Arc<Connection>,
        make: impl FnOnce(Arc<Connection>, Terms) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, CallError>> + Send + 'static,
    {
        let asked = Arc::clone(connection);
        Self::anywhere(&connection.options, move |terms| make(asked, terms))
    }

    /// A query of which it is not known yet which server it goes to.
    pub(crate) fn anywhere<F>(
        inherited: &CallOptions,
        make: impl FnOnce(Terms) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, CallError>> + Send + 'static,
    {
        Self {
            stage: Stage::Declared(Box::new(move |terms| Box::pin(make(terms)))),
            inherited: inherited.clone(),
            idle_timeout: None,
            total_timeout: None,
            cancelled: None,
            fresh: false,
            stale: false,
        }
    }

    /// As [`Call::idle_timeout`](crate::Call::idle_timeout).
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// As [`Call::total_timeout`](crate::Call::total_timeout), over all messages that it takes.
    pub fn total_timeout(mut self, limit: Duration) -> Self {
        self.total_timeout = Some(limit);
        self
    }

    /// As [`Call::cancel_on`](crate::Call::cancel_on).
    pub fn cancel_on(mut self, token: CancellationToken) -> Self {
        self.cancelled = Some(token);
        self
    }

    /// Asks the server even if what it said before still holds.
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// Takes what the server said before, however old that is, where it says nothing now.
    pub fn or_stale(mut self) -> Self {
        self.stale = true;
        self
    }

    fn terms(&self) -> Terms {
        let options = &self.inherited;
        let limit = |own: Option<Duration>, inherited| match own {
            Some(limit) => Some(limit).filter(|limit| !limit.is_zero()),
            None => inherited,
        };
        let timing = Timing {
            idle: limit(self.idle_timeout, options.idle()),
            total: limit(self.total_timeout, options.total()),
        };
        Terms { clock: Clock::start(timing), fresh: self.fresh, stale: self.stale }
    }

    fn start(&mut self) -> Running<T> {
        let terms = self.terms();
        let Stage::Declared(make) = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return Box::pin(std::future::pending());
        };
        let work = make(terms);
        let Some(token) = self.cancelled.take() else { return work };
        Box::pin(async move {
            tokio::select! {
                biased;
                () = token.cancelled() => {
                    let (tool, delivery) = ("a request".to_owned(), Delivery::MaybeSent);
                    Err(CallError::Cancelled { tool, delivery })
                }
                outcome = work => outcome,
            }
        })
    }
}

impl<T: 'static> Future for Query<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Declared(_) = self.stage {
            self.stage = Stage::Running(self.start());
        }
        let Stage::Running(running) = &mut self.stage else { return Poll::Pending };
        let outcome = running.as_mut().poll(cx);
        if outcome.is_ready() {
            self.stage = Stage::Ended;
        }
        outcome
    }
}

impl<T> Unpin for Query<T> {}

impl<T> fmt::Debug for Query<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").finish_non_exhaustive()
    }
}
