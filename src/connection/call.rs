//! One call, from admission to outcome.

pub(crate) mod attempts;
mod continued;
mod guarded;
mod outcome;
mod poll;
mod relisted;

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use continued::Continued;
pub use continued::{Detach, Detached, Task};
use guarded::{Guarded, Unlisted};
use outcome::about;
use relisted::Relisted;

use super::{
    Connection, SessionScope,
    about::{not_ready, not_ready_for},
    handshake::Era,
    link::{Link, Loss, Reply, Request, Subject, Timing},
    listeners::Listening,
    outbox::Splice,
};
use crate::{
    arguments::Arguments,
    catalog::{Route, Tool},
    error::{CallError, Delivery},
    layer::Ticket,
    policy::CallOptions,
    progress::{Progress, ProgressReport, progress},
    queue::Writer,
    secret::Secrets,
    telemetry::{self, Traced},
    usage::Running,
    wire::{self, Meta},
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
    /// Counted from its first poll on. Before all else here, so that it is dropped before the books are
    /// closed that it is counted in.
    running: Option<Running>,
    /// When the answer came, where that is known and the end of it.
    came: Option<Instant>,
    stage: Stage,
    idle_timeout: Option<Duration>,
    total_timeout: Option<Duration>,
    cancelled: Option<Box<Cancel>>,
    way: Way,
    /// Whether this is the second attempt of another, over a new list of tools.
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

/// Who listens to its progress, and whether a task is handed to the host: of each message that it takes.
type Wishes = (Option<Writer<ProgressReport>>, bool);

/// A token, and the wait for it.
#[derive(Debug)]
struct Cancel {
    token: CancellationToken,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// How a call comes to its link.
#[derive(Debug)]
enum Way {
    /// As the terms of its tool say: past everything, where nothing stands in front of it.
    AsTermsSay,
    /// Over the live link, as one attempt.
    Live,
    /// Over a link of its own.
    Over(Arc<Link>),
}

#[derive(Debug)]
enum Stage {
    Declared {
        tool: Tool,
        arguments: Arguments,
    },
    Refused {
        error: Box<CallError>,
        scope: Arc<SessionScope>,
    },
    Waiting {
        tool: Tool,
        reply: Reply,
        span: Traced,
        /// What a server may have to be told once more.
        kept: Option<Kept>,
    },
    /// Answered by questions, or by a task.
    Continued(Continued),
    /// Refused once, for a reason that a new list of tools may mend.
    Relisted(Relisted),
    /// The id is in no list yet, but may come to be.
    Unlisted {
        unlisted: Box<Unlisted>,
        arguments: Arguments,
    },
    /// Something stands in front of the link.
    Guarded(Guarded),
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

    pub(crate) fn by_id(
        scope: &Arc<SessionScope>,
        all: &[Arc<Connection>],
        id: &str,
        arguments: Arguments,
    ) -> Self {
        Self::new(match routed(scope, id) {
            Ok(tool) => Stage::Declared { tool, arguments },
            Err(refused) => {
                let unknown = matches!(*refused, CallError::UnknownTool { .. });
                let servers = if unknown { Unlisted::servers(id, all) } else { Vec::new() };
                if servers.is_empty() {
                    Stage::Refused { error: refused, scope: Arc::clone(scope) }
                } else {
                    let (scope, id) = (Arc::clone(scope), id.to_owned());
                    let unlisted = Unlisted { scope, id, servers, options: CallOptions::default() };
                    Stage::Unlisted { unlisted: Box::new(unlisted), arguments }
                }
            }
        })
    }

    fn new(stage: Stage) -> Self {
        Self {
            running: None,
            came: None,
            stage,
            idle_timeout: None,
            total_timeout: None,
            cancelled: None,
            way: Way::AsTermsSay,
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

    /// Other options for this call alone; what they leave out stays as it was.
    pub fn with_options(mut self, options: &CallOptions) -> Self {
        match &mut self.stage {
            Stage::Declared { tool, .. } => *tool = tool.with_options(options),
            Stage::Unlisted { unlisted, .. } => unlisted.options = options.over(&unlisted.options),
            Stage::Refused { .. }
            | Stage::Waiting { .. }
            | Stage::Relisted(_)
            | Stage::Continued(_)
            | Stage::Guarded(_)
            | Stage::Ended => {}
        }
        self
    }

    /// Cancels the call, as dropping it would, when this token is cancelled; it then ends as
    /// [`CallError::Cancelled`].
    pub fn cancel_on(mut self, token: CancellationToken) -> Self {
        let wait = Box::pin(token.clone().cancelled_owned());
        self.cancelled = Some(Box::new(Cancel { token, wait }));
        self
    }

    /// The progress that the server reports of this call, as a stream that ends with the call. To be
    /// asked for before the call is first polled; asking again ends the stream before.
    pub fn progress(&mut self) -> Progress {
        let (writer, progress) = progress();
        self.more().progress = Some(writer);
        progress
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn wishes(&self) -> Wishes {
        let more = self.more.as_ref();
        more.map(|more| (more.progress.clone(), more.detached)).unwrap_or_default()
    }

    /// Takes the wishes of the call that this is a part of.
    fn heed(&mut self, (progress, detached): Wishes) {
        if progress.is_some() || detached {
            let more = self.more();
            (more.progress, more.detached) = (progress, detached);
        }
    }

    fn begin(&mut self, waker: &Waker) -> Result<(), CallError> {
        let now = Instant::now();
        self.count(now);
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Declared { tool, arguments } => {
                let as_terms_say = matches!(self.way, Way::AsTermsSay);
                if as_terms_say && tool.terms().guarded {
                    self.guard(tool, arguments);
                    return Ok(());
                }
                match self.send(&tool, &arguments, (now, waker)) {
                    Ok((reply, span)) => {
                        let modern = reply.link().era() == Some(Era::Modern);
                        let kept = modern || tool.connection().shows_urls();
                        let kept = kept.then_some(Kept { arguments, began: now });
                        self.stage = Stage::Waiting { tool, reply, span, kept };
                    }
                    // It is only asleep.
                    Err(CallError::NotReady { .. })
                        if as_terms_say && tool.connection().spec.sleeps() =>
                    {
                        self.guard(tool, arguments);
                    }
                    Err(error) => return Err(error),
                }
                Ok(())
            }
            Stage::Unlisted { mut unlisted, arguments } => {
                unlisted.options = self.own_options().over(&unlisted.options);
                self.stage = Stage::Guarded(Guarded::search(*unlisted, arguments, self.ticket()));
                Ok(())
            }
            Stage::Refused { error, .. } => Err(*error),
            Stage::Waiting { .. }
            | Stage::Relisted(_)
            | Stage::Continued(_)
            | Stage::Guarded(_)
            | Stage::Ended => Ok(()),
        }
    }

    /// Counts it as begun, unless it is a part of another.
    fn count(&mut self, now: Instant) {
        if !matches!(self.way, Way::AsTermsSay) || self.running.is_some() {
            return;
        }
        let usage = match &self.stage {
            Stage::Declared { tool, .. } => tool.usage(),
            Stage::Unlisted { unlisted, .. } => unlisted.scope.book.unrouted(),
            Stage::Refused { scope, .. } => scope.book.unrouted(),
            Stage::Waiting { .. }
            | Stage::Relisted(_)
            | Stage::Continued(_)
            | Stage::Guarded(_)
            | Stage::Ended => return,
        };
        self.running = Some(Running::begin(usage, now));
    }

    /// Leaves the short way.
    fn guard(&mut self, tool: Tool, arguments: Arguments) {
        let own = self.own_options();
        let tool = if own == CallOptions::default() { tool } else { tool.with_options(&own) };
        self.stage = Stage::Guarded(Guarded::call(tool, arguments, self.ticket()));
    }

    /// The limits that were given to this call itself.
    fn own_options(&self) -> CallOptions {
        let mut options = CallOptions::default();
        (options.idle_timeout, options.total_timeout) = (self.idle_timeout, self.total_timeout);
        options
    }

    /// From here on the token is looked at where the call is.
    fn ticket(&mut self) -> Ticket {
        let mut ticket = Ticket::new(self.cancelled.take().map(|cancel| cancel.token));
        if let Some(more) = self.more.take() {
            (ticket.progress, ticket.detached) = (more.progress, more.detached);
        }
        ticket
    }

    fn send(
        &mut self,
        tool: &Tool,
        arguments: &Arguments,
        (now, waker): (Instant, &Waker),
    ) -> Result<(Reply, Traced), CallError> {
        if let Some(found) = arguments.unfit() {
            return Err(CallError::InvalidArguments {
                tool: tool.id().to_owned(),
                found: found.to_owned(),
            });
        }
        let connection = tool.connection();
        let live = connection.live_link();
        let link = match &self.way {
            Way::Over(link) => link,
            Way::AsTermsSay | Way::Live => live.as_ref().ok_or_else(|| not_ready(connection))?,
        };
        let terms = tool.terms();
        let timing = self.timing(terms.timing);
        let id = link.next_id();
        let listener = self.more.as_ref().and_then(|more| more.progress.as_ref());
        let span = telemetry::call_span(link, tool, id);
        let (trace, progress) = (link.trace_members(span.span()), timing.idle.is_some());
        let trace = trace.as_deref().unwrap_or_default();
        let progress = progress || listener.is_some();
        let meta = Meta { added: &terms.meta, trace, ..link.meta(progress) };
        let listening = listener.map(|writer| Listening::to(link, id, writer));
        let mirrored = if link.mirrors() { tool.mirrored(arguments) } else { Vec::new() };
        let mirrored = mirrored.as_slice();
        let secrets = &connection.scope.secrets;
        with_scratch(|frame| {
            let (shared, mut at) = (arguments.as_shared().filter(|_| link.is_stream()), 0);
            if shared.is_none() {
                // All of it, for a large frame is not to be copied for its last bytes.
                frame.reserve(tool.members().len() + arguments.size_hint() + meta.size_hint());
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
            let rest = shared.map(|text| text.get().as_bytes()).unwrap_or_default();
            check_egress(secrets, (tool.server(), tool.id()), [frame, rest])?;
            let (admitted, cancellable, waker) = (true, true, Some(waker.clone()));
            let subject = Subject { method: "tools/call", name: Some(tool.name()), mirrored };
            let splice = shared.map(|text| Splice { at, text: Arc::clone(text) });
            let request =
                Request { id, frame, splice, subject, timing, now, admitted, cancellable, waker };
            let error = match link.send(request) {
                Ok(reply) => {
                    if let Some(more) = &mut self.more {
                        more.listening = listening;
                    }
                    return Ok((reply, span));
                }
                // It went down in the moment before, and this call has not been part of it.
                Err(Loss::Down { reason, .. }) => not_ready_for(connection, Some(reason)),
                Err(loss) => about(tool).lost(link.epoch, loss),
            };
            span.call_ended(Err(&error));
            Err(error)
        })
    }

    fn timing(&self, inherited: Timing) -> Timing {
        let limit = |own: Option<Duration>, inherited| match own {
            Some(limit) => Some(limit).filter(|limit| !limit.is_zero()),
            None => inherited,
        };
        Timing {
            idle: limit(self.idle_timeout, inherited.idle),
            total: limit(self.total_timeout, inherited.total),
        }
    }

    fn is_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        self.cancelled.as_mut().is_some_and(|cancel| cancel.wait.as_mut().poll(cx).is_ready())
    }

    /// Ends a call that its token cancelled.
    fn cancel(&mut self) -> CallError {
        let (tool, span, delivery) = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Waiting { tool, reply, span, .. } => (tool, span, reply.cancel()),
            Stage::Declared { tool, .. } => (tool, Traced::none(), Delivery::NotSent),
            Stage::Refused { error, .. } => return *error,
            Stage::Relisted(relisted) => (relisted.tool, Traced::none(), Delivery::MaybeSent),
            Stage::Continued(continued) => (continued.tool, continued.span, Delivery::MaybeSent),
            Stage::Unlisted { unlisted, .. } => {
                return CallError::Cancelled { tool: unlisted.id, delivery: Delivery::NotSent };
            }
            // A call that is guarded looks at its token itself.
            Stage::Guarded(_) | Stage::Ended => {
                return CallError::SessionClosed { delivery: Delivery::MaybeSent };
            }
        };
        let error = CallError::Cancelled { tool: tool.id().to_owned(), delivery };
        span.call_ended(Err(&error));
        error
    }
}

/// Refuses arguments that hold a secret of another server, where the session wants that.
pub(super) fn check_egress(
    secrets: &Secrets,
    (server, tool): (&str, &str),
    sent: [&[u8]; 2],
) -> Result<(), CallError> {
    if !secrets.egress_scope {
        return Ok(());
    }
    let owner = sent.iter().find_map(|part| secrets.redactor.stranger(part, server));
    let Some(owner) = owner else { return Ok(()) };
    let (server, tool) = (server.to_owned(), tool.to_owned());
    Err(CallError::SecretOutOfScope { server, tool, owner: owner.to_string() })
}

/// Where an id leads, or why nowhere.
fn routed(scope: &SessionScope, id: &str) -> Result<Tool, Box<CallError>> {
    let catalog = scope.board.load();
    Err(Box::new(match catalog.route(id) {
        Some(Route::To(tool)) => return Ok(tool.clone()),
        Some(Route::Ambiguous(a, b)) => CallError::AmbiguousTool {
            tool: id.to_owned(),
            servers: (a.to_string(), b.to_string()),
        },
        None if scope.tasks.is_ending() => CallError::SessionClosed { delivery: Delivery::NotSent },
        None => CallError::UnknownTool { tool: id.to_owned(), nearest: catalog.nearest(id) },
    }))
}
