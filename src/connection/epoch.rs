//! One link, from the start of its process until nothing of it is left.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Span;

use super::{
    Connection, actor,
    handshake::{self, Agreement, Era, HandshakeError},
    inbound::Inbound,
    link::{Link, Timing},
    listing::{self, LinkIsDown},
};
use crate::{
    catalog::Listing,
    census::ProcessRecord,
    error::{ConnectError, DownCause, DownReason, Stage},
    spec::{Stdio, Transport},
    telemetry,
    transport::{
        process::Process,
        stderr::{self, StderrTail},
        stdio,
    },
};

/// How long, at most, a server is asked nothing but `server/discover` while it is silent.
const PATIENCE: Duration = Duration::from_secs(3);

/// What became of an epoch: reported in this order, each at most once but `Listed`, which comes
/// whenever the tools have changed after `Opened`. `Gone` always comes.
#[derive(Debug)]
pub(crate) enum Report {
    Opened { epoch: u64, opened: Opened },
    StartFailed { epoch: u64, error: ConnectError },
    WentDown { epoch: u64, reason: Arc<DownReason> },
    Listed { epoch: u64, listing: Listing },
    Gone { epoch: u64 },
}

/// An open link and what was learnt on the way.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) link: Arc<Link>,
    pub(crate) agreement: Agreement,
    pub(crate) listing: Listing,
    pub(crate) pid: u32,
}

/// Whom an epoch reports to.
pub(crate) type Reporter = Arc<dyn Fn(Report) + Send + Sync>;

/// One epoch of a connection, to be run as a task.
pub(crate) struct Epoch {
    pub(crate) connection: Arc<Connection>,
    pub(crate) number: u64,
    /// What an earlier epoch found out.
    pub(crate) era: Option<Era>,
    /// Ends the epoch, however far it is.
    pub(crate) stop: CancellationToken,
    pub(crate) span: Span,
    pub(crate) report: Reporter,
}

/// A running process with its link.
#[derive(Clone)]
struct Running {
    link: Arc<Link>,
    process: Process,
    stderr: Arc<StderrTail>,
    /// Shared by all clones, so that it can be closed for all of them.
    stdin: Arc<Mutex<Option<Arc<stdio::Stdin>>>>,
    tools_changed: Arc<Notify>,
    /// Has the process stopped when the last clone is gone, whatever became of its owner.
    _stop: Arc<DropGuard>,
}

impl Drop for Epoch {
    /// On every way out, for without this report nothing would ever follow.
    fn drop(&mut self) {
        (self.report)(Report::Gone { epoch: self.number });
    }
}

impl Running {
    /// Whether the process has read everything that was written to it.
    fn has_read_all(&self) -> bool {
        self.stdin.lock().as_ref().is_some_and(|stdin| stdin.is_drained())
    }
}

impl Epoch {
    pub(crate) async fn run(self) {
        let mut running = None;
        let mut stage = Stage::Handshake;
        let limit = self.connection.spec.init_timeout;
        let outcome = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            outcome = tokio::time::timeout(limit, self.open(&mut running, &mut stage)) => {
                Some(outcome)
            }
        };
        let epoch = self.number;
        match outcome {
            None => {}
            Some(Ok(Ok(opened))) => self.live(opened).await,
            Some(Ok(Err(error))) => (self.report)(Report::StartFailed { epoch, error }),
            Some(Err(_elapsed)) => {
                let tail = running.as_ref().map(|running: &Running| running.stderr.lines());
                let stderr_tail = tail.unwrap_or_default();
                let error = ConnectError::TimedOut { stage, after: limit, stderr_tail };
                (self.report)(Report::StartFailed { epoch, error });
            }
        }
        if let Some(running) = running {
            self.tear_down(running).await;
        }
    }

    /// Reports the open link, and waits until it is down or is to end.
    async fn live(&self, opened: Opened) {
        let (epoch, link) = (self.number, Arc::clone(&opened.link));
        (self.report)(Report::Opened { epoch, opened });
        tokio::select! {
            reason = link.down() => (self.report)(Report::WentDown { epoch, reason }),
            () = self.stop.cancelled() => {}
        }
    }

    /// Fails what is outstanding, then stops the process and waits until it is gone.
    async fn tear_down(&self, running: Running) {
        let closing = self.connection.scope.tasks.is_ending();
        let cause = if closing { DownCause::SessionClosed } else { DownCause::Internal };
        running.link.go_down(DownReason::new(cause));
        let Running { process, stdin, .. } = running;
        // At the end of its stdin it may be gone in no time, and nobody knows its children then.
        process.hold_strangers();
        *stdin.lock() = None;
        process.stop();
        process.gone().await;
    }

    async fn open(
        &self,
        running: &mut Option<Running>,
        stage: &mut Stage,
    ) -> Result<Opened, ConnectError> {
        let (agreement, running) = self.shake(running).await?;
        *stage = Stage::Listing;
        telemetry::link_is_open(&self.span, &agreement.version);
        let listing = self.list(&running, &agreement).await?;
        Ok(Opened { link: running.link, agreement, listing, pid: running.process.pid })
    }

    /// Shakes hands; with a fresh process and `initialize` if the first one read the probe and
    /// ended.
    async fn shake(
        &self,
        slot: &mut Option<Running>,
    ) -> Result<(Agreement, Running), ConnectError> {
        let patience = PATIENCE.min(self.connection.spec.init_timeout / 4);
        let roots = !self.connection.spec.roots.is_empty();
        let running = slot.insert(self.start()?).clone();
        match handshake::shake(&running.link, roots, self.era, patience).await {
            Ok(agreement) => return Ok((agreement, running)),
            // It ended before it read the probe, so the probe did not end it.
            Err(HandshakeError::EndedAtProbe(error)) if !running.has_read_all() => {
                return Err(error);
            }
            Err(HandshakeError::EndedAtProbe(_)) => self.tear_down(running).await,
            Err(HandshakeError::Failed(error)) => return Err(error),
        }
        let running = slot.insert(self.start()?).clone();
        match handshake::shake(&running.link, roots, Some(Era::Legacy), patience).await {
            Ok(agreement) => Ok((agreement, running)),
            Err(HandshakeError::EndedAtProbe(error) | HandshakeError::Failed(error)) => Err(error),
        }
    }

    async fn list(
        &self,
        running: &Running,
        agreement: &Agreement,
    ) -> Result<Listing, ConnectError> {
        let Some(tools) = &agreement.capabilities.tools else { return Ok(Listing::default()) };
        let (connection, changed) =
            (Arc::clone(&self.connection), Arc::clone(&running.tools_changed));
        if tools.list_changed && agreement.era == Era::Modern {
            // Before the list is asked for, so that no change falls in between.
            let subscribed = CancellationToken::new();
            let link = Arc::clone(&running.link);
            self.spawn(listing::listen(link, Arc::clone(&changed), subscribed.clone()));
            subscribed.cancelled().await;
        }
        let listing = listing::list_tools(&connection, &running.link, Timing::default()).await;
        let ended = |LinkIsDown(reason)| ConnectError::Ended { stage: Stage::Listing, reason };
        let listing = listing.map_err(ended)?;
        let (report, epoch) = (Arc::clone(&self.report), self.number);
        let post = move |listing| report(Report::Listed { epoch, listing });
        self.spawn(listing::keep_fresh(connection, Arc::clone(&running.link), changed, post));
        Ok(listing)
    }

    /// Starts the process, and the tasks of its link.
    fn start(&self) -> Result<Running, ConnectError> {
        let scope = &self.connection.scope;
        let Transport::Stdio(spec) = &self.connection.spec.transport;
        let stdio::Started { child, stdin, stdout, stderr } = stdio::start(spec, &scope.census)?;
        let process = self.adopt(child, spec)?;
        let limits = self.connection.spec.limits;
        // Weak, for the connection holds the link.
        let (connection, number) = (Arc::downgrade(&self.connection), self.number);
        let on_down = Box::new(move |reason: &_| {
            if let Some(connection) = connection.upgrade() {
                actor::lose(&connection, number, reason);
            }
        });
        let link =
            Arc::new(Link::new(self.number, self.span.clone(), limits, stdin.clone(), on_down));
        let tail = Arc::new(StderrTail::default());
        self.connection.set_stderr(Arc::clone(&tail));
        let running = Running {
            link: Arc::clone(&link),
            process: process.clone(),
            stderr: Arc::clone(&tail),
            stdin: Arc::new(Mutex::new(Some(Arc::clone(&stdin)))),
            tools_changed: Arc::new(Notify::new()),
            _stop: Arc::new(process.stop_guard()),
        };
        self.spawn(Arc::clone(&link).write(stdin));
        self.spawn(Arc::clone(&link).clock());
        let (exited, gone) = (process.exited.clone(), process.gone_token());
        self.spawn(stderr::drain(stderr, tail, exited, gone));
        self.spawn(self.read(stdout, &running));
        Ok(running)
    }

    fn adopt(&self, child: tokio::process::Child, spec: &Stdio) -> Result<Process, ConnectError> {
        let scope = &self.connection.scope;
        let (session, server) = (Arc::clone(&scope.id), Arc::clone(self.connection.name()));
        let record = ProcessRecord { session, server };
        let (process, reaper) = stdio::adopt(child, spec, &scope.census, record)?;
        self.spawn(reaper);
        Ok(process)
    }

    /// The task that reads, and takes the link down when there is nothing more to read.
    fn read(
        &self,
        stdout: stdio::Stream,
        running: &Running,
    ) -> impl Future<Output = ()> + Send + use<> {
        let Running { link, process, stderr, tools_changed, .. } = running;
        let (link, process, stderr) = (Arc::clone(link), process.clone(), Arc::clone(stderr));
        let connection = Arc::clone(&self.connection);
        let mut inbound = Inbound::new(connection, Arc::clone(&link), Arc::clone(tools_changed));
        let max_frame = self.connection.spec.limits.max_frame;
        async move {
            // Nobody waits for a link that is no longer read, whatever became of this task.
            let _guard = DownOnDrop(&link);
            let child = stdio::Child { process: &process, stderr: &stderr };
            let write_failed = link.write_failed();
            let reason = stdio::read(stdout, max_frame, &child, &mut inbound, write_failed).await;
            link.go_down(reason);
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.connection.scope.tasks.spawn(&self.span, task);
    }
}

/// Takes a link down with the task that reads it, where that did not give a better reason.
struct DownOnDrop<'a>(&'a Link);

impl Drop for DownOnDrop<'_> {
    fn drop(&mut self) {
        self.0.go_down(DownReason::new(DownCause::Internal));
    }
}
