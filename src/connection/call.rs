//! One call, from admission to outcome.

mod relisted;

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::Span;

use relisted::{Again, Relisted};

use super::{
    Connection, SessionScope,
    handshake::Era,
    link::{Link, Loss, Reply, Request, Subject, Timing},
    outbox::Splice,
};
use crate::{
    arguments::Arguments,
    catalog::{Route, Tool},
    error::{CallError, Delivery, DownCause, DownReason, HttpError, ServerError},
    output::Output,
    policy::Limits,
    status::Phase,
    telemetry,
    wire::{self, Answer, RawResult},
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
        again: Option<Box<Again>>,
    },
    /// Refused once, for a reason that a new list of tools may mend.
    Relisted(Relisted),
    Ended,
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
        Self { stage, idle_timeout: None, total_timeout: None, cancelled: None, once: false }
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

    fn begin(&mut self, waker: &Waker) -> Result<(), CallError> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Declared { tool, arguments } => {
                let (reply, span) = self.send(&tool, &arguments, waker)?;
                let mirrors = reply.is_driven() && reply.link().mirrors() && !self.once;
                let again = mirrors.then(|| Box::new(self.again(&tool, arguments)));
                self.stage = Stage::Waiting { tool, reply, span, again };
                Ok(())
            }
            Stage::Refused(error) => Err(*error),
            Stage::Waiting { .. } | Stage::Relisted(_) | Stage::Ended => Ok(()),
        }
    }

    fn again(&self, tool: &Tool, arguments: Arguments) -> Again {
        let total = self.timing(tool.connection()).total;
        Again { arguments, began: Instant::now(), idle_timeout: self.idle_timeout, total }
    }

    fn send(
        &self,
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
        let meta = link.meta(timing.idle.is_some());
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
                Err(loss) => lost(tool, link.epoch, loss),
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
        let (tool, outcome, again) = match &mut self.stage {
            Stage::Waiting { tool, reply, span, again } => {
                let outcome = ready!(Pin::new(&mut *reply).poll(cx));
                let outcome = conclude(tool, reply.link(), outcome);
                telemetry::call_ended(span, outcome.as_ref());
                (tool, outcome, again.take())
            }
            Stage::Relisted(relisted) => {
                let outcome = ready!(relisted.as_mut().poll(cx));
                self.stage = Stage::Ended;
                return Poll::Ready(outcome);
            }
            Stage::Declared { .. } | Stage::Refused(_) | Stage::Ended => return Poll::Pending,
        };
        let Some(again) = again.filter(|_| Again::is_called_for(&outcome)) else {
            self.stage = Stage::Ended;
            return Poll::Ready(outcome);
        };
        self.stage = Stage::Relisted(again.start(tool.clone(), outcome));
        self.poll(cx)
    }
}

fn conclude(tool: &Tool, link: &Link, outcome: Result<Vec<u8>, Loss>) -> Result<Output, CallError> {
    let frame = outcome.map_err(|loss| lost(tool, link.epoch, loss))?;
    let (server, id) = (tool.server(), tool.id());
    let invalid = |detail: String| CallError::InvalidResponse {
        server: server.to_owned(),
        tool: id.to_owned(),
        detail,
    };
    match wire::open_answer(frame).map_err(invalid)? {
        Answer::Result(result) => {
            check(&result, link.era()).map_err(invalid).map(|()| Output::new(result))
        }
        Answer::Error(error) => Err(CallError::Rejected {
            server: server.to_owned(),
            tool: id.to_owned(),
            code: error.code,
            message: error.message,
            data: error.data,
        }),
    }
}

/// Refuses what is no result of a tool: anything but an object, and a kind of result that we did
/// not ask for (MCP 2026-07-28, basic: an unrecognised `resultType` is invalid).
fn check(result: &RawResult, era: Option<Era>) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "resultType")]
        result_type: Option<String>,
    }
    if !result.get().starts_with('{') {
        return Err("the result is not an object".to_owned());
    }
    if era != Some(Era::Modern) {
        return Ok(());
    }
    let head: Head = serde_json::from_str(result.get()).map_err(|error| error.to_string())?;
    match head.result_type.as_deref() {
        None | Some("complete") => Ok(()),
        Some(other) => Err(format!("a result of the type {other:?}, which was not asked for")),
    }
}

fn not_ready(connection: &Connection) -> CallError {
    not_ready_for(connection, None)
}

/// `reason` is why the link is down, where the status may not say it yet.
fn not_ready_for(connection: &Connection, reason: Option<Arc<DownReason>>) -> CallError {
    let status = connection.status();
    let over = matches!(status.phase, Phase::Stopping | Phase::Stopped);
    if over || connection.scope.tasks.is_ending() {
        return CallError::SessionClosed { delivery: Delivery::NotSent };
    }
    CallError::NotReady {
        server: connection.name().to_string(),
        phase: if status.is_ready() { Phase::BackingOff } else { status.phase },
        error: reason.map(ServerError::Down).or(status.last_error),
    }
}

fn lost(tool: &Tool, epoch: u64, loss: Loss) -> CallError {
    let server = tool.server().to_owned();
    let limits: &Limits = &tool.connection().spec.limits;
    match loss {
        Loss::Down { reason, delivery } => down(server, epoch, reason, delivery),
        Loss::Http { error, delivery } => failed(tool, epoch, error, delivery),
        Loss::TimedOut { limit, after, delivery } => {
            CallError::TimedOut { server, tool: tool.id().to_owned(), limit, after, delivery }
        }
        Loss::TooManyCalls => {
            let limit = format!("{} calls in flight", limits.max_calls);
            CallError::Overloaded { server, limit, setting: "max_calls" }
        }
        Loss::TooManyBytes => {
            let limit = format!("{} bytes of requests in flight", limits.max_call_bytes);
            CallError::Overloaded { server, limit, setting: "max_call_bytes" }
        }
    }
}

/// Of a call whose own exchange failed.
fn failed(tool: &Tool, epoch: u64, error: Arc<HttpError>, delivery: Delivery) -> CallError {
    let (server, id) = (tool.server().to_owned(), tool.id().to_owned());
    match (error.status(), &*error) {
        (Some(status), _) => CallError::HttpStatus { server, tool: id, status, delivery, error },
        (None, HttpError::ContentType { .. } | HttpError::NoAnswer { .. }) => {
            CallError::InvalidResponse { server, tool: id, detail: error.to_string() }
        }
        (None, _) => {
            let reason = Arc::new(DownReason::new(DownCause::Http(error)));
            down(server, epoch, reason, delivery)
        }
    }
}

fn down(server: String, epoch: u64, reason: Arc<DownReason>, delivery: Delivery) -> CallError {
    if matches!(reason.cause, DownCause::SessionClosed) {
        return CallError::SessionClosed { delivery };
    }
    CallError::TransportDown { server, epoch, delivery, reason }
}
