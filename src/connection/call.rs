//! One call, from admission to outcome.

mod continued;
mod relisted;

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::Span;

use continued::Continued;
pub use continued::{Detach, Detached, Task};
use relisted::{Again, Relisted};

use super::{
    Connection, SessionScope,
    about::{About, not_ready, not_ready_for},
    handshake::Era,
    link::{Link, Loss, Reply, Request, Subject, Timing},
    listeners::Listening,
    outbox::Splice,
    requests::{Kind, kind},
};
use crate::{
    arguments::Arguments,
    catalog::{Route, Tool},
    error::{CallError, Delivery},
    output::Output,
    progress::{Progress, ProgressReport, progress},
    queue::Writer,
    telemetry,
    wire::{self, Answer, Meta, RawResult},
};

thread_local! {
    /// Where a frame is put together before it is queued: small frames need no memory of their own.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's empty frame, and takes it back unless it has grown large.
fn with_scratch<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    const KEPT: usize = 64 << 10;
    SCRATCH.with_borrow_mut(|frame| {
        // A panic may have left half a frame here.
        frame.clear();
        let result = write(frame);
        frame.clear();
        frame.shrink_to(KEPT);
        result
    })
}

/// A call of a tool: a future that is sent when it is first polled.
///
/// # Cancel safety
///
/// Dropping it cancels the call: a request that has not left is withdrawn; for one that may have
/// left, the server is told once, by `notifications/cancelled`, without waiting for it. A late
/// answer is dropped.
///
/// # Errors
///
/// See [`CallError`]; [`kind`](CallError::kind) and [`delivery`](CallError::delivery) say what
/// happened and whether the call may be repeated.
#[derive(Debug)]
#[must_use = "a call is sent when it is awaited"]
pub struct Call {
    stage: Stage,
    idle_timeout: Option<Duration>,
    total_timeout: Option<Duration>,
    cancelled: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Whether this is the second attempt of another.
    once: bool,
    /// What few calls have.
    more: Option<Box<More>>,
}

/// What few calls have.
#[derive(Debug, Default)]
struct More {
    progress: Option<Writer<ProgressReport>>,
    listening: Option<Listening>,
    /// Whether a task is handed to the host instead of being followed.
    detached: bool,
}

#[derive(Debug)]
enum Stage {
    Declared {
        tool: Tool,
        arguments: Arguments,
    },
    Refused(Box<CallError>),
    Waiting {
        tool: Tool,
        reply: Reply,
        span: Span,
        /// What a modern server may have to be told once more.
        kept: Option<Kept>,
    },
    /// Answered by questions, or by a task.
    Continued(Continued),
    /// Refused once, for a reason that a new list of tools may mend.
    Relisted(Relisted),
    Ended,
}

/// What it takes to make a call once more.
#[derive(Debug)]
struct Kept {
    arguments: Arguments,
    began: Instant,
}

impl Call {
    pub(crate) fn of_tool(tool: Tool, arguments: Arguments) -> Self {
        Self::new(Stage::Declared { tool, arguments })
    }

    pub(crate) fn by_id(scope: &SessionScope, id: &str, arguments: Arguments) -> Self {
        let catalog = scope.board.load();
        Self::new(match catalog.route(id) {
            Some(Route::To(tool)) => Stage::Declared { tool: tool.clone(), arguments },
            Some(Route::Ambiguous(a, b)) => Stage::Refused(Box::new(CallError::AmbiguousTool {
                tool: id.to_owned(),
                servers: (a.to_string(), b.to_string()),
            })),
            None if scope.tasks.is_ending() => {
                Stage::Refused(Box::new(CallError::SessionClosed { delivery: Delivery::NotSent }))
            }
            None => Stage::Refused(Box::new(CallError::UnknownTool {
                tool: id.to_owned(),
                nearest: catalog.nearest(id),
            })),
        })
    }

    fn new(stage: Stage) -> Self {
        Self {
            stage,
            idle_timeout: None,
            total_timeout: None,
            cancelled: None,
            once: false,
            more: None,
        }
    }

    /// How long this call may go without an answer or progress, instead of the server's or the
    /// session's setting; `Duration::ZERO` means no such limit.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// How long this call may take in all, instead of the server's or the session's setting;
    /// `Duration::ZERO` means no such limit.
    pub fn total_timeout(mut self, limit: Duration) -> Self {
        self.total_timeout = Some(limit);
        self
    }

    /// Cancels the call, as dropping it would, when this token is cancelled; it then ends as
    /// [`CallError::Cancelled`].
    pub fn cancel_on(mut self, token: CancellationToken) -> Self {
        self.cancelled = Some(Box::pin(token.cancelled_owned()));
        self
    }

    /// The progress that the server reports of this call, as a stream that ends with the call. To be
    /// asked for before the call is first polled; asking again ends the stream before.
    pub fn progress(&mut self) -> Progress {
        let (writer, progress) = progress();
        self.more().progress = Some(writer);
        progress
    }

    fn tool(&self) -> Option<&Tool> {
        match &self.stage {
            Stage::Declared { tool, .. } | Stage::Waiting { tool, .. } => Some(tool),
            Stage::Refused(_) | Stage::Relisted(_) | Stage::Continued(_) | Stage::Ended => None,
        }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn begin(&mut self, waker: &Waker) -> Result<(), CallError> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Declared { tool, arguments } => {
                let (reply, span) = self.send(&tool, &arguments, waker)?;
                let modern = reply.link().era() == Some(Era::Modern);
                let again = modern || tool.connection().shows_urls();
                let kept = again.then(|| Kept { arguments, began: Instant::now() });
                self.stage = Stage::Waiting { tool, reply, span, kept };
                Ok(())
            }
            Stage::Refused(error) => Err(*error),
            Stage::Waiting { .. } | Stage::Relisted(_) | Stage::Continued(_) | Stage::Ended => {
                Ok(())
            }
        }
    }

    fn send(
        &mut self,
        tool: &Tool,
        arguments: &Arguments,
        waker: &Waker,
    ) -> Result<(Reply, Span), CallError> {
        if let Some(found) = arguments.unfit() {
            return Err(CallError::InvalidArguments {
                tool: tool.id().to_owned(),
                found: found.to_owned(),
            });
        }
        let connection = tool.connection();
        let link = connection.live_link();
        let link = link.as_ref().ok_or_else(|| not_ready(connection))?;
        let timing = self.timing(connection);
        let id = link.next_id();
        let trace = connection.trace_members();
        let listener = self.more.as_ref().and_then(|more| more.progress.as_ref());
        let progress = timing.idle.is_some() || listener.is_some();
        let meta = Meta { trace: trace.as_deref().unwrap_or_default(), ..link.meta(progress) };
        let listening = listener.map(|writer| Listening::to(link, id, writer));
        if let Some(more) = &mut self.more {
            more.listening = listening;
        }
        let mirrored = if link.mirrors() { tool.mirrored(arguments) } else { Vec::new() };
        let mirrored = mirrored.as_slice();
        let span = telemetry::call_span(&link.span, tool.id(), id);
        with_scratch(|frame| {
            let (shared, mut at) = (arguments.shared().filter(|_| link.is_stream()), 0);
            if shared.is_none() {
                frame.reserve(arguments.size_hint());
            }
            let written = wire::request(frame, (id, "tools/call"), meta, |frame| {
                frame.extend_from_slice(tool.members().as_bytes());
                at = frame.len();
                if shared.is_some() { Ok(()) } else { arguments.write(frame) }
            });
            written.map_err(|error| CallError::InvalidArguments {
                tool: tool.id().to_owned(),
                found: error.to_string(),
            })?;
            let (admitted, cancellable, waker) = (true, true, Some(waker.clone()));
            let subject = Subject { method: "tools/call", name: Some(tool.name()), mirrored };
            let splice = shared.map(|text| Splice { at, text: Arc::clone(text) });
            let request =
                Request { id, frame, splice, subject, timing, admitted, cancellable, waker };
            let error = match link.send(request) {
                Ok(reply) => return Ok((reply, span)),
                // It went down in the moment before, and this call has not been part of it.
                Err(Loss::Down { reason, .. }) => not_ready_for(connection, Some(reason)),
                Err(loss) => about(tool).lost(link.epoch, loss),
            };
            telemetry::call_ended(&span, Err(&error));
            Err(error)
        })
    }

    fn timing(&self, connection: &Connection) -> Timing {
        let limit = |own: Option<Duration>, inherited| {
            Some(own.unwrap_or(inherited)).filter(|limit| !limit.is_zero())
        };
        Timing {
            idle: limit(self.idle_timeout, connection.options.idle_timeout),
            total: limit(self.total_timeout, connection.options.total_timeout),
        }
    }

    fn is_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        self.cancelled.as_mut().is_some_and(|token| token.as_mut().poll(cx).is_ready())
    }

    /// Ends a call that its token cancelled.
    fn cancel(&mut self) -> CallError {
        let (tool, span, delivery) = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Waiting { tool, reply, span, .. } => (tool, span, reply.cancel()),
            Stage::Declared { tool, .. } => (tool, Span::none(), Delivery::NotSent),
            Stage::Refused(error) => return *error,
            Stage::Relisted(relisted) => (relisted.tool, Span::none(), Delivery::MaybeSent),
            Stage::Continued(continued) => (continued.tool, continued.span, Delivery::MaybeSent),
            Stage::Ended => return CallError::SessionClosed { delivery: Delivery::MaybeSent },
        };
        let error = CallError::Cancelled { tool: tool.id().to_owned(), delivery };
        telemetry::call_ended(&span, Err(&error));
        error
    }
}

impl Future for Call {
    type Output = Result<Output, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_cancelled(cx) && !matches!(self.stage, Stage::Ended) {
            return Poll::Ready(Err(self.cancel()));
        }
        if let Stage::Declared { .. } | Stage::Refused(_) = self.stage {
            if let Err(error) = self.begin(cx.waker()) {
                return Poll::Ready(Err(error));
            }
            // The request knows whom to wake, so there is mostly nothing to poll yet.
            if !matches!(&self.stage, Stage::Waiting { reply, .. } if reply.is_driven()) {
                return Poll::Pending;
            }
        }
        match &mut self.stage {
            Stage::Waiting { tool, reply, span, kept } => {
                let outcome = ready!(Pin::new(&mut *reply).poll(cx));
                let outcome = match (conclude(tool, reply.link(), outcome), kept.take()) {
                    (Ok(concluded), kept) if concluded.kind != Kind::Complete => {
                        let concluded = (concluded, kept);
                        let (tool, span) = (tool.clone(), std::mem::replace(span, Span::none()));
                        return self.go_on(cx, (tool, span), concluded);
                    }
                    (outcome, kept) => {
                        (outcome.map(|concluded| Output::new(concluded.result)), kept)
                    }
                };
                telemetry::call_ended(span, outcome.0.as_ref());
                let (tool, link) = (tool.clone(), Arc::clone(reply.link()));
                self.end(cx, (tool, link), outcome)
            }
            Stage::Relisted(relisted) => {
                let outcome = ready!(relisted.as_mut().poll(cx));
                self.finish(outcome)
            }
            Stage::Continued(continued) => {
                let outcome = ready!(continued.poll(cx));
                telemetry::call_ended(&continued.span, outcome.as_ref());
                self.finish(outcome)
            }
            Stage::Declared { .. } | Stage::Refused(_) | Stage::Ended => Poll::Pending,
        }
    }
}

impl Call {
    fn finish(&mut self, outcome: Result<Output, CallError>) -> Poll<Result<Output, CallError>> {
        self.stage = Stage::Ended;
        // Whoever listens learns of the end.
        self.more = None;
        Poll::Ready(outcome)
    }

    /// Ends with this outcome, unless it can be mended.
    fn end(
        &mut self,
        cx: &mut Context<'_>,
        (tool, link): (Tool, Arc<Link>),
        (outcome, kept): (Result<Output, CallError>, Option<Kept>),
    ) -> Poll<Result<Output, CallError>> {
        if let (Err(error), Some(kept)) = (&outcome, &kept)
            && let Some(urls) = Continued::urls_of(error, &tool)
        {
            let timing = self.timing(tool.connection());
            self.stage = Stage::Continued(Continued::after_urls(tool, urls, kept, timing));
            return Pin::new(self).poll(cx);
        }
        let mendable = link.mirrors() && !self.once && Again::is_called_for(&outcome);
        let Some(Kept { arguments, began }) = kept.filter(|_| mendable) else {
            return self.finish(outcome);
        };
        let total = self.timing(tool.connection()).total;
        let again = Again { arguments, began, idle_timeout: self.idle_timeout, total };
        self.stage = Stage::Relisted(again.start(tool, outcome));
        Pin::new(self).poll(cx)
    }

    /// Goes on with a call that the server answered by questions, or by a task.
    fn go_on(
        &mut self,
        cx: &mut Context<'_>,
        (tool, span): (Tool, Span),
        (concluded, kept): (Concluded, Option<Kept>),
    ) -> Poll<Result<Output, CallError>> {
        let more = self.more.as_ref();
        if more.is_some_and(|more| more.detached) && concluded.kind == Kind::Task {
            return self.finish(Ok(Output::new(concluded.result)));
        }
        let Some(kept) = kept else { return self.finish(Err(about(&tool).never_asked())) };
        let timing = self.timing(tool.connection());
        let again = more.map(|more| (more.progress.clone(), more.detached)).unwrap_or_default();
        self.stage =
            Stage::Continued(Continued::new((tool, span), (concluded, kept), timing, again));
        Pin::new(self).poll(cx)
    }
}

/// The answer to a call, which need not be its end.
struct Concluded {
    result: RawResult,
    kind: Kind,
    link: Arc<Link>,
}

fn about(tool: &Tool) -> About<'_> {
    About { connection: tool.connection(), what: tool.id() }
}

fn conclude(
    tool: &Tool,
    link: &Arc<Link>,
    outcome: Result<Vec<u8>, Loss>,
) -> Result<Concluded, CallError> {
    let about = about(tool);
    let frame = outcome.map_err(|loss| about.lost(link.epoch, loss))?;
    match wire::open_answer(frame).map_err(|detail| about.invalid(detail))? {
        Answer::Result(result) => {
            let kind = kind(&result, link.era()).map_err(|detail| about.invalid(detail))?;
            Ok(Concluded { result, kind, link: Arc::clone(link) })
        }
        Answer::Error(error) => Err(about.rejected(error)),
    }
}
