//! A server that is opened for each call: a link of its own, which ends with the call.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    Connection, about,
    epoch::{Epoch, Opened, Report, Reporter},
    guard::{self, until},
    handshake::Era,
    link::Link,
    listing,
};
use crate::{
    error::{CallError, ConnectError, ServerError},
    status::Phase,
};

/// What the calls of such a server share.
#[derive(Debug)]
pub(crate) struct PerCall {
    epochs: AtomicU64,
    /// Fires once links may be opened: nothing is left of what had the server's place before.
    begun: CancellationToken,
    /// Ends all that calls have opened.
    stop: CancellationToken,
    running: TaskTracker,
    /// What an earlier epoch found out.
    era: Mutex<Option<Era>>,
    /// Held by who lists the tools for the first time: when and how the latest failed to.
    listing: tokio::sync::Mutex<Option<(Instant, CallError)>>,
}

impl PerCall {
    /// `end` is the end of its connection.
    pub(super) fn new(end: &CancellationToken) -> Self {
        Self {
            epochs: AtomicU64::new(0),
            begun: CancellationToken::new(),
            stop: end.child_token(),
            running: TaskTracker::new(),
            era: Mutex::default(),
            listing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn begin(&self) {
        self.begun.cancel();
    }

    /// Ends all that calls have opened, and waits until nothing of it is left.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}

/// A link that lasts as long as this.
pub(super) struct Transient {
    pub(super) link: Arc<Link>,
    stop: DropGuard,
    gone: CancellationToken,
}

impl Transient {
    /// Ends it and waits until nothing of it is left, or the deadline has come; then that goes on
    /// without anybody waiting.
    pub(super) async fn close(self, deadline: Option<Instant>) {
        drop(self.stop);
        until(deadline, self.gone.cancelled()).await;
    }
}

type Opening = oneshot::Sender<Result<Opened, ConnectError>>;

/// Opens a link of its own, for who has a place. Dropped before it is open, nothing of it stays.
pub(super) async fn open(
    connection: &Arc<Connection>,
    deadline: Option<Instant>,
) -> Result<Transient, CallError> {
    let begun = connection.per_call().begun.cancelled();
    let begun = until(deadline, connection.end.run_until_cancelled(begun)).await;
    if connection.is_ending() || begun.is_none() {
        return Err(about::not_ready(connection));
    }
    let stop = connection.per_call().stop.child_token();
    let (gone, (opening, opened)) = (CancellationToken::new(), oneshot::channel());
    spawn(connection, stop.clone(), gone.clone(), opening);
    let stop = stop.drop_guard();
    let not_ready = |error| CallError::NotReady {
        server: connection.name().to_string(),
        phase: Phase::Starting,
        error,
    };
    let opened = match until(deadline, opened).await {
        Some(Ok(Ok(opened))) => opened,
        Some(Ok(Err(error))) => {
            let mut error = error.or_login();
            error.redact(&connection.scope.secrets.redactor);
            *connection.per_call().era.lock() = None;
            return Err(not_ready(Some(ServerError::Connect(Arc::new(error)))));
        }
        Some(Err(_)) => return Err(about::not_ready(connection)),
        None => return Err(not_ready(None)),
    };
    *connection.per_call().era.lock() = Some(opened.agreement.era);
    listing::post_if_new(connection, opened.listing);
    Ok(Transient { link: opened.link, stop, gone })
}

/// Does something over a link of its own that is no call of a tool, in the place of one.
pub(super) async fn over<T, F: Future<Output = Result<T, CallError>>>(
    connection: &Arc<Connection>,
    deadline: Option<Instant>,
    work: impl FnOnce(Arc<Link>) -> F,
) -> Result<T, CallError> {
    let _place = guard::place(connection, deadline).await?;
    let transient = open(connection, deadline).await?;
    let outcome = work(Arc::clone(&transient.link)).await;
    transient.close(deadline).await;
    outcome
}

/// Opens the server to list its tools, and closes it again.
pub(super) async fn list(
    connection: &Arc<Connection>,
    deadline: Option<Instant>,
) -> Result<(), CallError> {
    over(connection, deadline, |_| std::future::ready(Ok(()))).await
}

/// Lists its tools unless that was done: once, however many calls wait for it, and those that waited
/// while it could not start learn of that, too.
pub(super) async fn list_once(
    connection: &Arc<Connection>,
    deadline: Option<Instant>,
) -> Result<(), CallError> {
    let came = Instant::now();
    let turn = until(deadline, connection.per_call().listing.lock()).await;
    let mut failed = turn.ok_or_else(|| about::not_ready(connection))?;
    if connection.scope.board.has_listed(connection.place) {
        return Ok(());
    }
    if let Some((at, error)) = &*failed
        && *at >= came
    {
        return Err(error.clone());
    }
    let outcome = list(connection, deadline).await;
    // That there was no time says nothing to those who have some.
    if let Err(error @ CallError::NotReady { error: Some(_), .. }) = &outcome {
        *failed = Some((Instant::now(), error.clone()));
    }
    outcome
}

fn spawn(
    connection: &Arc<Connection>,
    stop: CancellationToken,
    gone: CancellationToken,
    opening: Opening,
) {
    let number = connection.per_call().epochs.fetch_add(1, Ordering::Relaxed) + 1;
    let era = *connection.per_call().era.lock();
    let span = connection.link_span(number);
    let opening = Mutex::new(Some(opening));
    let report: Reporter = Arc::new(move |report| {
        let outcome = match report {
            Report::Opened { opened, .. } => Ok(*opened),
            Report::StartFailed { error, .. } => Err(error),
            Report::WentDown { .. } | Report::Listed { .. } => return,
            Report::Gone { .. } => {
                *opening.lock() = None;
                return gone.cancel();
            }
        };
        if let Some(opening) = opening.lock().take() {
            // Whoever does not wait any more has stopped it, too.
            drop(opening.send(outcome));
        }
    });
    let connection = Arc::clone(connection);
    let (tasks, running) = (connection.scope.tasks.clone(), connection.per_call().running.clone());
    let epoch = Epoch {
        connection,
        number,
        era,
        stop,
        span: span.clone(),
        report,
        tasks: TaskTracker::new(),
    };
    tasks.spawn(&span, running.track_future(epoch.run()));
}
