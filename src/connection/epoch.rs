//! One link, from the start of what carries it until nothing of that is left.

mod child;
mod memory;
#[cfg(feature = "http")]
mod remote;

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Span;

use self::child::Child;
#[cfg(feature = "http")]
use super::remote::Remote;
use super::{
    Connection, actor,
    handshake::{Agreement, Era},
    health::{self, StreamProber},
    link::{Link, Observed, OnDown, Timing, Way},
    listing::{self, ListingLost},
    resume,
};
use crate::{
    catalog::Listing,
    caught::{Panicked, caught},
    error::{ConnectError, DownCause, DownReason, Stage},
    record::{Record, recorder::Party},
    spec::Transport,
    status::TransportKind,
    telemetry,
    transport::{memory::MemoryStream, process::deadline_after},
};

/// How long, at most, a server is asked nothing but `server/discover` while it is silent.
const PATIENCE: Duration = Duration::from_secs(3);

/// What became of an epoch: reported in this order, each at most once but `Listed`, which comes
/// whenever the tools have changed after `Opened`. `Gone` always comes.
#[derive(Debug)]
pub(crate) enum Report {
    Opened { epoch: u64, opened: Box<Opened> },
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
    pub(crate) pid: Option<u32>,
    pub(crate) transport: TransportKind,
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
    /// What runs for it; each ends with the link, or with what carries that.
    pub(crate) tasks: TaskTracker,
}

/// How far an epoch has come.
struct Course {
    running: Option<Running>,
    stage: Stage,
    /// Whether its link was reported as open.
    live: bool,
}

/// A link and what carries it.
#[derive(Clone)]
struct Running {
    link: Arc<Link>,
    tools_changed: Arc<Notify>,
    carrier: Carrier,
}

/// What carries a link.
#[derive(Clone)]
enum Carrier {
    Child(Child),
    Memory(Arc<MemoryStream>),
    #[cfg(feature = "http")]
    Remote(Arc<Remote>),
}

/// What went over the link, if there was one.
fn on_record(running: Option<&Running>) -> Record {
    running.map(|running| running.link.record()).unwrap_or_default()
}

impl Drop for Epoch {
    /// On every way out, for without this report nothing would ever follow.
    fn drop(&mut self) {
        (self.report)(Report::Gone { epoch: self.number });
    }
}

impl Carrier {
    fn pid(&self) -> Option<u32> {
        match self {
            Self::Child(child) => Some(child.process.pid),
            Self::Memory(_) => None,
            #[cfg(feature = "http")]
            Self::Remote(_) => None,
        }
    }

    fn kind(&self) -> TransportKind {
        match self {
            Self::Child(_) => TransportKind::Stdio,
            Self::Memory(_) => TransportKind::Memory,
            #[cfg(feature = "http")]
            Self::Remote(remote) => remote.kind(),
        }
    }

    /// The last lines of the server's log, where it has one for us.
    fn last_words(&self) -> Vec<String> {
        match self {
            Self::Child(child) => child.stderr.lines(),
            Self::Memory(_) => Vec::new(),
            #[cfg(feature = "http")]
            Self::Remote(_) => Vec::new(),
        }
    }

    /// Ends it, and waits until nothing of it is left.
    async fn end(self) {
        match self {
            Self::Child(child) => child.end().await,
            Self::Memory(stream) => stream.close(),
            #[cfg(feature = "http")]
            // Boxed, for an exchange is large, and the task that ends with it is there all along.
            Self::Remote(remote) => Box::pin(remote.end()).await,
        }
    }
}

impl Epoch {
    pub(crate) async fn run(self) {
        let mut course = Course { running: None, stage: Stage::Handshake, live: false };
        // Code of the host runs here, too, such as what provides secrets.
        let ended = caught(pin!(self.run_link(&mut course))).await;
        if let Err(Panicked) = ended {
            self.report_panic(&course);
        }
        if let Some(running) = course.running {
            self.tear_down(running).await;
        }
        // They hold what carried it: its pipes, its streams.
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn report_panic(&self, course: &Course) {
        let (epoch, stage) = (self.number, course.stage);
        let reason = Arc::new(DownReason::new(DownCause::Internal));
        (self.report)(match course.live {
            true => Report::WentDown { epoch, reason },
            false => Report::StartFailed { epoch, error: ConnectError::Ended { stage, reason } },
        });
    }

    /// Opens the link, and sees it to its end.
    async fn run_link(&self, course: &mut Course) {
        let Course { running, stage, live } = course;
        let limit = self.connection.spec.init_timeout;
        let deadline = deadline_after(limit);
        let (began, meter) = (Instant::now(), &self.connection.usage.meter);
        meter.link_begins();
        // What opening takes is given back before the link lives.
        let opening = Box::pin(self.open(running, stage, deadline));
        let outcome = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            outcome = tokio::time::timeout_at(deadline, opening) => Some(outcome),
        };
        let epoch = self.number;
        match outcome {
            None => {}
            Some(Ok(Ok(opened))) => {
                meter.link_started(true, began.elapsed());
                *live = true;
                self.live(opened).await;
            }
            Some(Ok(Err(error))) => {
                meter.link_started(false, began.elapsed());
                let error = error.on_record(|| on_record(running.as_ref()));
                (self.report)(Report::StartFailed { epoch, error });
            }
            Some(Err(_elapsed)) => {
                meter.link_started(false, began.elapsed());
                let last_words = running.as_ref().map(|running| running.carrier.last_words());
                let (stage, stderr_tail) = (*stage, last_words.unwrap_or_default());
                let record = on_record(running.as_ref());
                let error = ConnectError::TimedOut { stage, after: limit, stderr_tail, record };
                (self.report)(Report::StartFailed { epoch, error });
            }
        }
    }

    /// Reports the open link, and waits until it is down or is to end.
    async fn live(&self, opened: Opened) {
        let (epoch, link) = (self.number, Arc::clone(&opened.link));
        let (began, mut failed) = (Instant::now(), false);
        (self.report)(Report::Opened { epoch, opened: Box::new(opened) });
        resume::resume(&self.connection, &link);
        tokio::select! {
            biased;
            reason = link.down() => {
                failed = !reason.was_asked_for() && !reason.is_unused();
                (self.report)(Report::WentDown { epoch, reason });
            }
            () = self.stop.cancelled() => {}
        }
        self.connection.usage.meter.link_ended(failed, began.elapsed());
    }

    /// Fails what is outstanding, then ends what carries the link, and waits until it is gone.
    async fn tear_down(&self, running: Running) {
        let closing = self.connection.is_ending();
        let cause = if closing { self.connection.closing_cause() } else { DownCause::Internal };
        running.link.go_down(DownReason::new(cause));
        let began = Instant::now();
        running.carrier.end().await;
        self.connection.usage.meter.link_gone(began.elapsed());
    }

    async fn open(
        &self,
        slot: &mut Option<Running>,
        stage: &mut Stage,
        deadline: Instant,
    ) -> Result<Opened, ConnectError> {
        let (agreement, running) = match &self.connection.spec.transport {
            Transport::Stdio(stdio) => self.open_child(stdio, slot, deadline).await?,
            Transport::Memory(memory) => self.open_memory(memory, slot).await?,
            #[cfg(feature = "http")]
            Transport::StreamableHttp(remote) => self.open_remote(&remote.http, slot).await?,
            #[cfg(feature = "http")]
            Transport::HttpSse(remote) => self.open_remote(&remote.http, slot).await?,
        };
        *stage = Stage::Listing;
        telemetry::link_is_open(&running.link, &agreement.version);
        let listing = self.list(&running, &agreement).await?;
        self.watch_health(&running);
        let (pid, transport) = (running.carrier.pid(), running.carrier.kind());
        Ok(Opened { link: running.link, agreement, listing, pid, transport })
    }

    /// Over HTTP, there is a watch in any case.
    fn watch_health(&self, running: &Running) {
        if let Some(check) = self.connection.spec.health
            && running.link.is_stream()
        {
            let link = Arc::clone(&running.link);
            self.spawn(health::watch(link, check, Arc::new(StreamProber)));
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
        let listing = listing.map_err(|lost| match lost {
            ListingLost::Down(reason) => ConnectError::Ended { stage: Stage::Listing, reason },
            ListingLost::Http(error) => error.into(),
        })?;
        let (report, epoch) = (Arc::clone(&self.report), self.number);
        let post = move |listing| report(Report::Listed { epoch, listing });
        let (link, lasts) = (Arc::clone(&running.link), listing.lasting());
        self.spawn(listing::keep_fresh(connection, link, changed, lasts, post));
        Ok(listing)
    }

    /// Where what a link does is told and counted.
    fn observed(&self) -> Observed {
        let Connection { labels, usage, scope, .. } = &*self.connection;
        Observed {
            span: self.span.clone(),
            labels: Arc::clone(labels),
            usage: Arc::clone(usage),
            tracer: scope.tracer.clone(),
            redactor: scope.secrets.redactor.clone(),
        }
    }

    /// A link whose messages leave in this way.
    fn link(&self, way: Way) -> Arc<Link> {
        let Connection { spec, scope, .. } = &*self.connection;
        let (transport, address) = spec.transport.address();
        let party = Party {
            server: Arc::clone(self.connection.name()),
            epoch: self.number,
            transport,
            address,
            redactor: scope.secrets.redactor.clone(),
        };
        let link = Arc::new(Link::new(party, self.observed(), spec.limits, way, self.on_down()));
        *self.connection.latest.lock() = Arc::downgrade(&link);
        link
    }

    /// What a link does before anybody learns that it is down.
    fn on_down(&self) -> OnDown {
        // Weak, for the connection holds the link.
        let (connection, number) = (Arc::downgrade(&self.connection), self.number);
        Box::new(move |reason| {
            if let Some(connection) = connection.upgrade() {
                actor::lose(&connection, number, reason);
            }
        })
    }

    fn patience(&self) -> Duration {
        PATIENCE.min(self.connection.spec.init_timeout / 4)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.connection.scope.tasks.spawn(&self.span, self.tasks.track_future(task));
    }
}
